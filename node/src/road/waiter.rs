//! Sends one request and waits for its end. It never handles several requests at a time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use evenkeel_wire::reply::{Refusal, RefusalCode};
use tokio::{sync::oneshot, time::Instant};

use super::{Caller, Reply, ReplySink, Request, Road, Ticket};

/// Receives the one reply.
struct Waiter(Mutex<Option<oneshot::Sender<Reply>>>);

impl ReplySink for Waiter {
    fn deliver(&self, _token: u64, reply: Reply) {
        if let Some(waiter) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The caller may be gone.
            drop(waiter.send(reply));
        }
    }
}

impl Road {
    /// Routes a request and waits for its end.
    pub async fn send_and_wait(
        &self,
        caller: Caller,
        request: Request,
        patience: Duration,
    ) -> Reply {
        let is_read = matches!(request, Request::Read(_));
        let (sender, reply) = oneshot::channel();
        self.route(Ticket {
            caller,
            request,
            deadline: Instant::now() + patience,
            waiting_since: None,
            proposed: false,
            sink: Arc::new(Waiter(Mutex::new(Some(sender)))),
            token: 0,
        });
        reply.await.unwrap_or_else(|_| Reply::Refused(stopped_refusal(is_read)))
    }
}

/// The refusal of a request that hadn't ended when the node stopped.
fn stopped_refusal(is_read: bool) -> Refusal {
    if is_read {
        Refusal::new(RefusalCode::Stopping, "this site is shutting down; nothing was done")
    } else {
        Refusal::new(RefusalCode::OutcomeUnknown, "it may yet commit; retry with the same id")
    }
}
