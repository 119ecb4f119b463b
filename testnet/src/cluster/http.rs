//! What the testnet asks a node's HTTP door: one keep-alive connection, one exchange at a time,
//! nothing interpreted.
//!
//! It never tries again by itself: whoever asks wants to see what the door says.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

/// How long a door may take for an answer, its own deadline included.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A door's answer.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl HttpAnswer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it's none.
    pub fn json(&self) -> anyhow::Result<Value> {
        let text = || String::from_utf8_lossy(&self.body).into_owned();
        serde_json::from_slice(&self.body).with_context(text)
    }

    /// A problem's code; empty where the body isn't a problem.
    #[must_use]
    pub fn code(&self) -> String {
        let code = self.json().ok().and_then(|body| body.get("code")?.as_str().map(str::to_owned));
        code.unwrap_or_default()
    }
}

/// A connection. It's opened again by the next exchange when the door has closed it.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    key: Option<String>,
    open: Option<OpenConnection>,
}

#[derive(Debug)]
struct OpenConnection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Door {
    /// To a node's HTTP port, with a key or without.
    #[must_use]
    pub fn new(address: SocketAddr, key: Option<&str>) -> Self {
        Self { address, key: key.map(str::to_owned), open: None }
    }

    /// `GET`.
    ///
    /// # Errors
    /// When there's no answer.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<HttpAnswer> {
        self.fetch_answer(Method::GET, path, &[], Bytes::new()).await
    }

    /// `POST` of JSON.
    ///
    /// # Errors
    /// When there's no answer.
    pub async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<HttpAnswer> {
        self.fetch_answer(Method::POST, path, &[], body.to_string().into()).await
    }

    /// Anything. A body is said to be JSON unless the headers say something else.
    ///
    /// # Errors
    /// When there's no answer within [`PATIENCE`].
    pub async fn fetch_answer(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<HttpAnswer> {
        let what = format!("{method} {path} at {}", self.address);
        let exchange = async {
            let response = self.send(method, path, headers, body).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(HttpAnswer { status: head.status.as_u16(), headers: head.headers, body })
        };
        match timeout(PATIENCE, exchange).await {
            Ok(answer) => answer.with_context(|| what),
            Err(_) => bail!("{what}: no answer within {PATIENCE:?}"),
        }
    }

    /// The head of an answer whose body is still to be read: for streams.
    ///
    /// # Errors
    /// When there's no head.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<hyper::Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", self.address.to_string());
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        Ok(self.ready().await?.send_request(request).await?)
    }

    async fn ready(&mut self) -> anyhow::Result<&mut http1::SendRequest<Full<Bytes>>> {
        let usable = match &mut self.open {
            Some(open) => open.sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let driver = tokio::spawn(async move {
                // Its end shows at the sender.
                let _ = connection.await;
            });
            self.open = Some(OpenConnection { sender, driver });
        }
        Ok(&mut self.open.as_mut().context("just opened")?.sender)
    }
}
