//! Connections to one site, kept alive between requests: one is made when none is idle.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request as HttpRequest, Response as HttpResponse,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;

use super::{SiteRequest, SiteResponse, address::HttpAddress, stream::Dialler};

/// The results of the largest batch have about 6 MiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const DEADLINE_MS: &str = "deadline-ms";
const REPLAYED: &str = "idempotent-replayed";

pub(crate) struct ConnectionPool {
    address: HttpAddress,
    dialler: Dialler,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// How one try ended without an answer.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// It never left.
    NotSent(String),
    /// It left, or a part of it.
    MayHaveArrived(String),
}

impl ConnectionPool {
    pub(crate) fn new(address: HttpAddress, dialler: Dialler) -> Self {
        Self { address, dialler, idle: Mutex::default() }
    }

    /// Sends a request and takes in its answer.
    pub(crate) async fn exchange(
        &self,
        request: &SiteRequest,
        key: &HeaderValue,
        deadline_ms: u32,
    ) -> Result<SiteResponse, ExchangeError> {
        // A connection that was idle may have ended unseen: that alone is tried again here.
        while let Some(mut sender) = self.take_idle() {
            match sender.send_request(self.message(request, key, deadline_ms)?).await {
                Ok(response) => return self.receive_response(response, sender).await,
                Err(error) if error.is_canceled() => {}
                Err(error) => return Err(may_have_arrived(&error)),
            }
        }
        let mut sender = self.connect().await?;
        match sender.send_request(self.message(request, key, deadline_ms)?).await {
            Ok(response) => self.receive_response(response, sender).await,
            Err(error) if error.is_canceled() => Err(not_sent(&error)),
            Err(error) => Err(may_have_arrived(&error)),
        }
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ExchangeError> {
        let stream = self.dialler.dial(&self.address).await.map_err(|error| not_sent(&error))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| not_sent(&error))?;
        // It ends when its sender is dropped; what goes wrong on it is told to the sender.
        tokio::spawn(async move {
            let _told_to_the_sender = connection.await;
        });
        Ok(sender)
    }

    fn message(
        &self,
        request: &SiteRequest,
        key: &HeaderValue,
        deadline_ms: u32,
    ) -> Result<HttpRequest<Full<Bytes>>, ExchangeError> {
        let mut message = HttpRequest::builder()
            .method(&request.method)
            .uri(&request.path)
            .header(header::HOST, &self.address.authority)
            .header(header::AUTHORIZATION, key)
            .header(DEADLINE_MS, deadline_ms);
        if !request.body.is_empty() {
            message = message.header(header::CONTENT_TYPE, "application/json");
        }
        message.body(Full::new(request.body.clone())).map_err(|error| not_sent(&error))
    }

    async fn receive_response(
        &self,
        response: HttpResponse<Incoming>,
        sender: SendRequest<Full<Bytes>>,
    ) -> Result<SiteResponse, ExchangeError> {
        let status = response.status().as_u16();
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let replayed = text(REPLAYED) == Some("true");
        let retry_after = text(header::RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| may_have_arrived(&error))?
            .to_bytes();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(SiteResponse { status, replayed, retry_after, body })
    }
}

fn not_sent(error: &impl fmt::Display) -> ExchangeError {
    ExchangeError::NotSent(error.to_string())
}

fn may_have_arrived(error: &impl fmt::Display) -> ExchangeError {
    ExchangeError::MayHaveArrived(error.to_string())
}
