//! The port: connections, bounded in number and in time, each with one request at a time
//! (HTTP/1.1). It never looks into a request.
//!
//! A full port still answers load balancers and Prometheus: a connection beyond its places is
//! served for one request, which is answered if it's a probe or a scrape.
//!
//! When the node stops, requests in progress are answered, new ones get `stopping`, and then the
//! connections are closed.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Response};
use evenkeel_wire::endpoint::{ShortTask, ShortTasks, SlotPool};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
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
        HTTP_BUFFER_BYTES_MAX, HTTP_DRAIN_PAUSE, HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX,
        HTTP_HELLO_PATIENCE, HTTP_KEEPALIVE_IDLE, HTTP_KEEPALIVE_INTERVAL, HTTP_KEEPALIVE_PROBES,
        HTTP_PROBE_PATIENCE, HTTP_PROBES_MAX, HTTP_PROBES_PER_ADDRESS_MAX, HTTP_STOP_PATIENCE,
        HTTP_WRITE_PATIENCE,
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
    places: SlotPool,
}

/// How many connections the port serves.
#[derive(Clone, Copy, Debug)]
pub struct HttpPlaces {
    /// All together.
    pub all: usize,
    /// Those of one address.
    pub per_address: usize,
}

impl HttpServer {
    /// Binds the port; must be called within a runtime.
    ///
    /// # Errors
    /// When the port is taken, or the certificate can't be used.
    pub fn bind(
        address: SocketAddr,
        tls: Option<&HttpTls>,
        places: HttpPlaces,
    ) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address, source };
        let tls = tls.map(tls::acceptor).transpose()?;
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        Ok(Self { listener, tls, places: SlotPool::new(places.all, places.per_address) })
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
        let router = routes::router(&door);
        tokio::select! {
            () = self.accept_all(&door, &router, &closing) => {}
            () = wait_for_stop(&mut stopping) => {}
        }
        drop((self.listener, closing));
        close.send_replace(true);
        // The remaining connections end with the runtime.
        let _ = timeout(HTTP_STOP_PATIENCE, close.closed()).await;
    }

    async fn accept_all(
        &self,
        door: &Arc<HttpDoor>,
        router: &Router,
        closing: &watch::Receiver<bool>,
    ) {
        let probes = ShortTasks::new(HTTP_PROBES_MAX, HTTP_PROBES_PER_ADDRESS_MAX);
        loop {
            let (stream, from) = match self.listener.accept().await {
                Ok((stream, from)) => (stream, from.ip()),
                Err(error) => {
                    tracing::warn!(%error, "the HTTP port can't accept a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let connection = HttpConnection {
                door: door.clone(),
                router: router.clone(),
                closing: closing.clone(),
            };
            let tls = self.tls.clone();
            match self.places.take_slot(from) {
                Some(place) => {
                    tokio::spawn(async move {
                        connection.run(stream, tls).await;
                        drop(place);
                    });
                }
                None => {
                    tokio::spawn(connection.run_probe(stream, tls, probes.begin(from)));
                }
            }
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

    /// Serves a connection for which there's no place: one request, and only a moment.
    async fn run_probe(self, stream: TcpStream, tls: Option<TlsAcceptor>, mut task: ShortTask) {
        let probe = async {
            match tls {
                None => self.answer_probe(stream).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => self.answer_probe(stream).await,
                    Err(error) => tracing::debug!(%error, "the TLS handshake failed"),
                },
            }
        };
        tokio::select! {
            late = timeout(HTTP_PROBE_PATIENCE, probe) => {
                if late.is_err() {
                    tracing::debug!("the port is full, and a connection beyond it took too long");
                }
            }
            () = task.displaced() => {
                tracing::debug!("the port is full, and a connection beyond it ended for another");
            }
        }
    }

    async fn answer_probe<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) {
        let service = service_fn(|request: Request<Incoming>| {
            let answered = routes::answer_full(self.door.clone(), self.router.clone(), request);
            async move { Ok::<Response<Body>, Infallible>(answered.await) }
        });
        let served = http1::Builder::new()
            .keep_alive(false)
            .header_read_timeout(None)
            .max_headers(HTTP_HEADERS_MAX)
            .max_header_size(HTTP_HEAD_BYTES_MAX)
            .max_buf_size(HTTP_BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut self, stream: S) {
        let activity = Activity::new();
        let _connected = self.door.metrics.track_connection();
        let service = service_fn(|mut request: Request<Incoming>| {
            let busy = Activity::start_serving(&activity);
            request.extensions_mut().insert(busy.clone());
            let answered = routes::answer(self.door.clone(), self.router.clone(), request);
            async move { Ok::<Response<Body>, Infallible>(pace_response(answered.await, busy)) }
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
