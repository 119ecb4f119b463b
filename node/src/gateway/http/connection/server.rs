//! The port: connections, bounded in number and in time, each with one request at a time
//! (HTTP/1.1). It never looks into a request.
//!
//! When the node stops, requests in progress are answered, new ones get `stopping`, and then the
//! connections are closed.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Response};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    paced::pace_response,
    patience::{Activity, TrackedStream},
    tls::{self, TlsError},
};
use crate::gateway::http::{HttpDoor, HttpDoorParts, routes};
use crate::{
    config::HttpTls,
    limits::{
        HTTP_BUFFER_BYTES_MAX, HTTP_CONNECTIONS_MAX, HTTP_DRAIN_PAUSE, HTTP_HEAD_BYTES_MAX,
        HTTP_HEADERS_MAX, HTTP_HELLO_PATIENCE, HTTP_KEEPALIVE_IDLE, HTTP_KEEPALIVE_INTERVAL,
        HTTP_KEEPALIVE_PROBES, HTTP_STOP_PATIENCE, HTTP_WRITE_PATIENCE,
    },
};

/// Why the port can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("listen.http: {address}: {source}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The port, bound but not open yet.
pub struct HttpServer {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    places: usize,
}

/// The answer to a connection over the limit; nothing is read from it.
const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
retry-after: 1\r\nconnection: close\r\ncontent-length: 174\r\n\r\n\
{\"type\":\"urn:evenkeel:problem:overloaded\",\"title\":\"The queues are full\",\"status\":503,\
\"detail\":\"too many connections\",\"code\":\"overloaded\",\"retryable\":true,\"request_id\":\"none\"}";

impl HttpServer {
    /// Binds the port; must be called within a runtime.
    ///
    /// # Errors
    /// When the port is taken, or the certificate can't be used.
    pub fn bind(address: SocketAddr, tls: Option<&HttpTls>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address, source };
        let tls = tls.map(tls::acceptor).transpose()?;
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        Ok(Self { listener, tls, places: HTTP_CONNECTIONS_MAX })
    }

    /// Serves at most this many connections at a time, where fewer descriptors are free.
    #[must_use]
    pub fn with_places(self, places: usize) -> Self {
        Self { places: places.min(HTTP_CONNECTIONS_MAX), ..self }
    }

    /// The address of the port.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the node stops.
    pub async fn serve(self, parts: HttpDoorParts) {
        let door = Arc::new(HttpDoor::new(parts));
        let mut stopping = door.stopping.clone();
        let (close, closing) = watch::channel(false);
        let places = Arc::new(Semaphore::new(self.places));
        let router = routes::router(&door);
        let accept = self.accept_all(&door, &router, &places, &closing);
        tokio::select! {
            () = accept => {}
            () = wait_for_stop(&mut stopping) => {}
        }
        drop(self.listener);
        close.send_replace(true);
        let all = u32::try_from(self.places).expect("a small number");
        // The remaining connections end with the runtime.
        let _ = timeout(HTTP_STOP_PATIENCE, places.acquire_many(all)).await;
    }

    async fn accept_all(
        &self,
        door: &Arc<HttpDoor>,
        router: &Router,
        places: &Arc<Semaphore>,
        closing: &watch::Receiver<bool>,
    ) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the HTTP port can't accept a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                // A client that expects TLS can't read this, but it sees the close.
                let _told_or_not = stream.try_write(FULL.as_bytes());
                continue;
            };
            let connection = HttpConnection {
                door: door.clone(),
                router: router.clone(),
                closing: closing.clone(),
                _place: place,
            };
            tokio::spawn(connection.run(stream, self.tls.clone()));
        }
    }
}

/// Waits until the node stops, and a moment longer, in which new requests get `stopping`.
async fn wait_for_stop(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stopping| *stopping).await.is_ok() {
        sleep(HTTP_DRAIN_PAUSE).await;
    }
}

/// Answers are written whole, so delaying small packets gains nothing. Keepalive and a write
/// timeout close connections of clients that vanished.
fn configure_socket(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let probes =
        TcpKeepalive::new().with_time(HTTP_KEEPALIVE_IDLE).with_interval(HTTP_KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&probes.with_retries(HTTP_KEEPALIVE_PROBES))?;
    socket.set_tcp_user_timeout(Some(HTTP_WRITE_PATIENCE))
}

struct HttpConnection {
    door: Arc<HttpDoor>,
    router: Router,
    closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl HttpConnection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        if let Err(error) = configure_socket(&stream) {
            tracing::debug!(%error, "a connection was closed before it began");
            return;
        }
        let Some(tls) = tls else { return self.serve(stream).await };
        match timeout(HTTP_HELLO_PATIENCE, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "the TLS handshake failed"),
            Err(_) => tracing::debug!("the TLS handshake timed out"),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut self, stream: S) {
        let activity = Activity::new();
        let _connected = self.door.metrics.track_connection();
        let bodies = &self.door.bodies;
        let service = service_fn(|mut request: Request<Incoming>| {
            let busy = Activity::start_serving(&activity);
            request.extensions_mut().insert(busy.clone());
            let answered = routes::answer(self.door.clone(), self.router.clone(), request);
            async move { Ok::<Response<Body>, Infallible>(pace_response(answered.await, busy, bodies)) }
        });
        let stream = TokioIo::new(TrackedStream { stream, activity: activity.clone() });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_headers(HTTP_HEADERS_MAX)
                .max_header_size(HTTP_HEAD_BYTES_MAX)
                .max_buf_size(HTTP_BUFFER_BYTES_MAX)
                .serve_connection(stream, service)
        );
        let mut run_out = pin!(activity.wait_until_overdue());
        let mut told = false;
        loop {
            tokio::select! {
                served = connection.as_mut() => {
                    if let Err(error) = served {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                why = run_out.as_mut() => return tracing::debug!(why, "a slow connection was closed"),
                _ = self.closing.changed(), if !told => {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_place_is_told_so_in_a_whole_answer() {
        let (head, body) = FULL.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((&problem["status"], &problem["code"]), (&503.into(), &"overloaded".into()));
    }
}
