//! Exchanges with one server over pooled connections.

use std::{
    error::Error as _,
    io,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Response, body::Incoming, header::HeaderValue};
use hyper_util::{
    client::legacy::{
        Client, Error as PoolError,
        connect::{CaptureConnection, capture_connection},
    },
    rt::TokioExecutor,
};
use tokio::time::timeout;

use crate::{
    message::{HttpRequest, HttpResponse},
    stream::Dialler,
};

/// The results of the largest batch have about 6 MiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// There is no connection, so nothing was sent.
    #[error("{0}")]
    Connect(#[source] io::Error),
    /// The request was never sent.
    #[error("{0}")]
    NotSent(String),
    /// The request was sent, or a part of it.
    #[error("{0}")]
    MayHaveArrived(String),
}

impl ExchangeError {
    /// Whether the server certainly has nothing of the request.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        !matches!(self, Self::MayHaveArrived(_))
    }
}

/// A client of one server. Clones share the connections; dropping the last clone closes the idle
/// ones.
#[derive(Clone, Debug)]
pub struct HttpClient {
    pool: Client<Dialler, Full<Bytes>>,
    /// Scheme and authority.
    base: String,
    host: HeaderValue,
}

impl HttpClient {
    /// A client of the dialler's server. Connects when it's first used; needs tokio's runtime then.
    #[must_use]
    pub fn new(dialler: Dialler) -> Self {
        let authority = dialler.authority();
        let host =
            HeaderValue::try_from(authority.as_str()).expect("an authority is visible ASCII");
        // The pool has one server, and the dialler decides about TLS: the scheme has no effect.
        let base = format!("http://{authority}");
        let pool = Client::builder(TokioExecutor::new()).set_host(false).build(dialler);
        Self { pool, base, host }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When there is no whole answer of at most 64 MiB within `patience`; says whether the request
    /// was sent.
    pub async fn exchange(
        &self,
        request: HttpRequest,
        patience: Duration,
    ) -> Result<HttpResponse, ExchangeError> {
        self.exchange_watched(request, patience, &AtomicBool::new(false)).await
    }

    /// The same; sets `sent` once the server may have the request.
    ///
    /// # Errors
    /// See [`Self::exchange`].
    pub async fn exchange_watched(
        &self,
        request: HttpRequest,
        patience: Duration,
        sent: &AtomicBool,
    ) -> Result<HttpResponse, ExchangeError> {
        let whole = async {
            let (head, body) = self.send(request, sent).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| ExchangeError::MayHaveArrived(error.to_string()))?;
            let (status, headers) = (head.status.as_u16(), head.headers);
            Ok(HttpResponse { status, headers, body: body.to_bytes() })
        };
        timeout(patience, whole).await.unwrap_or_else(|_| {
            let why = format!("no answer within {patience:?}");
            Err(match sent.load(Ordering::Relaxed) {
                true => ExchangeError::MayHaveArrived(why),
                false => ExchangeError::NotSent(why),
            })
        })
    }

    /// Sends a request and returns the answer's head; the caller reads the body, which isn't
    /// bounded. For streams.
    ///
    /// # Errors
    /// When there is no head within `patience`.
    pub async fn open_stream(
        &self,
        request: HttpRequest,
        patience: Duration,
    ) -> Result<Response<Incoming>, ExchangeError> {
        let sent = AtomicBool::new(false);
        timeout(patience, self.send(request, &sent)).await.unwrap_or_else(|_| {
            let why = format!("no answer within {patience:?}");
            Err(ExchangeError::MayHaveArrived(why))
        })
    }

    async fn send(
        &self,
        request: HttpRequest,
        sent: &AtomicBool,
    ) -> Result<Response<Incoming>, ExchangeError> {
        let mut request = request
            .build(&self.base, &self.host)
            .map_err(|error| ExchangeError::NotSent(error.to_string()))?;
        let mut connection = capture_connection(&mut request);
        let mut answer = pin!(self.pool.request(request));
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            // The pool gives the request to a connection as soon as it has one.
            true = is_connected(&mut connection) => {
                sent.store(true, Ordering::Relaxed);
                answer.await
            }
        };
        let began = connection.connection_metadata().is_some();
        answered.map_err(|error| classify_error(&error, began))
    }
}

/// Waits for the request's connection; `false`: there will be none.
async fn is_connected(connection: &mut CaptureConnection) -> bool {
    connection.wait_for_connection_metadata().await.is_some()
}

/// `began`: a connection was chosen for the request.
fn classify_error(error: &PoolError, began: bool) -> ExchangeError {
    let Some(source) = error.source() else { return ExchangeError::NotSent(error.to_string()) };
    if error.is_connect() {
        return ExchangeError::Connect(match source.downcast_ref::<io::Error>() {
            // An error can't be copied; its kind and its text can.
            Some(error) => io::Error::new(error.kind(), error.to_string()),
            None => io::Error::other(source.to_string()),
        });
    }
    // Cancelled: the connection ended before it took the request.
    let unsent = source.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled);
    if unsent || !began {
        return ExchangeError::NotSent(source.to_string());
    }
    ExchangeError::MayHaveArrived(source.to_string())
}
