//! One attempt at a site: puts a ticket on the site's road, as a door does, and takes its reply.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use evenkeel_node::{
    admission,
    road::{Reply, ReplySink, Request, Ticket},
};
use evenkeel_wire::{
    id::{NodeId, OPERATOR_KEY},
    key::Role,
    outcome::{Answer, Stamp},
    reply::{RefusalCode, View},
    request::Query,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use super::{disk::LifePulse, site::SimulatedSite};
use crate::simulation::checks::{invariants::answered, watch::Watch};

/// The text of the operator's key.
pub const OPERATOR: &str = "operator of a simulation";

/// The result of an attempt.
#[derive(Debug)]
pub enum Attempt {
    /// Decided: one answer for each command.
    Decided(Stamp, Vec<Answer>),
    /// A read's answer.
    Read(Box<View>),
    /// Refused: certainly nothing was done.
    Refused(RefusalCode),
    /// It may have been done, or may still be.
    Unknown,
}

/// Takes one reply and checks it before the client gets it.
struct CheckedSink {
    node: NodeId,
    pulse: Arc<LifePulse>,
    watch: Arc<Watch>,
    reply: Mutex<Option<oneshot::Sender<Reply>>>,
}

impl ReplySink for CheckedSink {
    fn deliver(&self, _token: u64, reply: Reply) {
        if !self.pulse.is_alive() {
            return;
        }
        if let Reply::Decided(decided, range) = &reply {
            let inner = self.watch.lock_state();
            let firsts = decided.answers[range.clone()].iter().filter_map(|answer| answer.first);
            let held = firsts
                .chain([decided.stamp])
                .try_for_each(|stamp| inner.durable.check_acknowledged(self.node, &stamp));
            drop(inner);
            self.watch.report_if_broken(held);
        }
        match self.reply.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(sender) => drop(sender.send(reply)),
            None => self.watch.report_broken(format!("answered: node {} replied twice", self.node)),
        }
    }
}

/// Sends one request to a site.
pub async fn attempt(site: &SimulatedSite, request: Request, deadline: Duration) -> Attempt {
    let Some(life) = site.life() else { return Attempt::Refused(RefusalCode::NoPrimary) };
    let hash = admission::key_hash(OPERATOR);
    let caller = match admission::authenticate(&life.state, hash) {
        Ok(caller) => caller,
        Err(refusal) if refusal.code == RefusalCode::Recovering => {
            return Attempt::Refused(refusal.code);
        }
        Err(refusal) => {
            site.watch
                .report_broken(format!("node {} rejects the operator's key: {refusal}", site.node));
            return Attempt::Refused(refusal.code);
        }
    };
    assert_eq!((caller.key, caller.role), (OPERATOR_KEY, Role::Operator));
    let (sender, reply) = oneshot::channel();
    let sink = Arc::new(CheckedSink {
        node: site.node,
        pulse: life.pulse.clone(),
        watch: site.watch.clone(),
        reply: Mutex::new(Some(sender)),
    });
    let is_read = matches!(request, Request::Read(_));
    life.road.route(Ticket {
        caller,
        request,
        deadline: Instant::now() + deadline,
        waiting_since: None,
        proposed: false,
        sink,
        token: 0,
    });
    let replied = tokio::select! {
        biased;
        replied = timeout(deadline + answered::SLACK, reply) => replied,
        () = life.pulse.await_end() => return Attempt::Unknown,
    };
    match replied {
        Ok(Ok(reply)) => attempt_from_reply(reply, is_read),
        Ok(Err(_)) if !life.pulse.is_alive() => Attempt::Unknown,
        // A dropped ticket means that its reply never arrives.
        Ok(Err(_)) | Err(_) => {
            if life.pulse.is_alive() {
                site.watch.report_if_broken(answered::missing_reply(site.node, deadline));
            }
            Attempt::Unknown
        }
    }
}

fn attempt_from_reply(reply: Reply, is_read: bool) -> Attempt {
    match reply {
        Reply::Decided(decided, range) => {
            Attempt::Decided(decided.stamp, decided.answers[range].to_vec())
        }
        Reply::View(view, _) => Attempt::Read(view),
        Reply::Refused(refusal) if is_read || refusal.code.says_nothing_was_done() => {
            Attempt::Refused(refusal.code)
        }
        Reply::Refused(_) => Attempt::Unknown,
    }
}

/// A request with encoded commands; `atomic`: all of them or none.
#[must_use]
pub fn submit_request(commands: &[Bytes], atomic: bool) -> Request {
    let count = u32::try_from(commands.len()).expect("a few commands");
    Request::Submit { count, atomic, commands: commands.concat().into() }
}

/// A request with a query.
#[must_use]
pub fn read_request(query: Query) -> Request {
    Request::Read(query)
}
