//! The admin socket: HTTP/1.1 with JSON for this node's owner. Its routes are those of
//! docs/OPERATIONS.md.
//!
//! Only root and the node's own user get an answer. Every act (who, what, when) is on disk, in the
//! timeline, before it takes effect; if it can't be written, it isn't performed. It never moves
//! money.

mod answers;
mod parameters;
mod routes;
mod socket;

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::UnixStream,
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{
    operator::operations::Operations,
    telemetry::{Telemetry, timeline::Timeline},
};
pub use socket::{AdminSocket, BindError, PATH_BYTES_MAX};

/// Connections at a time; further ones wait.
const CONNECTIONS_MAX: usize = 16;
/// How long a whole request may take to arrive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 64 << 10;
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 32;
/// The most entries that `GET /journal` returns.
pub const JOURNAL_ENTRIES_MAX: usize = 1_000;

/// The parts that the routes need.
pub struct AdminDoor {
    pub operations: Arc<dyn Operations>,
    pub timeline: Timeline,
    pub telemetry: Telemetry,
    pub clock: Arc<dyn crate::clock::Clock>,
}

impl AdminDoor {
    /// Serves the socket until `stop` is ready; requests in progress get a moment to finish.
    /// Removes the socket.
    pub async fn serve(self, socket: AdminSocket, stop: impl Future<Output = ()>) {
        let door = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let accept_all = async {
            loop {
                let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
                match socket.accept().await {
                    Ok((stream, user)) => {
                        let door = Arc::clone(&door);
                        tokio::spawn(async move {
                            door.serve_connection(stream, user).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the admin socket can't accept a connection");
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept_all => {}
            () = stop => {}
        }
        drop(socket);
        let all = u32::try_from(CONNECTIONS_MAX).expect("a small number");
        // Idle connections aren't waited for.
        let _ = timeout(Duration::from_millis(500), places.acquire_many(all)).await;
    }

    async fn serve_connection(self: Arc<Self>, stream: UnixStream, user: User) {
        let service = service_fn(move |request: Request<Incoming>| {
            let door = Arc::clone(&self);
            async move { Ok::<Response<Full<Bytes>>, Infallible>(door.answer(request, user).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_TIMEOUT)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "an admin connection ended early");
        }
    }
}

/// The user at the other end of the socket, as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub pid: Option<i32>,
}
