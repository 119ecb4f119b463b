//! The testnet's client of a node's HTTP door: one exchange at a time over a kept connection;
//! answers aren't interpreted.
//!
//! It never repeats a request: its callers want to see what the door answers.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use evenkeel_http::{
    Dialler, HeaderMap, HttpClient, HttpRequest, HttpResponse, Incoming, Method, Response,
};
use serde_json::Value;

/// The longest time to a door's answer, its own deadline included.
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
    /// When it isn't JSON.
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

/// A client of one door. The next exchange reconnects when the door has closed the connection.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    key: Option<String>,
    client: HttpClient,
}

impl Door {
    /// A client of a node's HTTP port, with a key or without.
    #[must_use]
    pub fn new(address: SocketAddr, key: Option<&str>) -> Self {
        let client = HttpClient::new(Dialler::to_port(address).with_timeout(PATIENCE));
        Self { address, key: key.map(str::to_owned), client }
    }

    /// Sends a `GET`.
    ///
    /// # Errors
    /// When there's no answer.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<HttpAnswer> {
        self.fetch_answer(Method::GET, path, &[], Bytes::new()).await
    }

    /// Sends a `POST` of JSON.
    ///
    /// # Errors
    /// When there's no answer.
    pub async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<HttpAnswer> {
        self.fetch_answer(Method::POST, path, &[], body.to_string().into()).await
    }

    /// Sends any request. A body is declared as JSON unless the headers declare another type.
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
        let request = self.prepare_request(method, path, headers, body)?;
        let answer = self.client.exchange(request, PATIENCE).await.context(what)?;
        let HttpResponse { status, headers, body } = answer;
        Ok(HttpAnswer { status, headers, body })
    }

    /// Sends a request and returns the answer's head; the caller reads the body. For streams.
    ///
    /// # Errors
    /// When there's no head within [`PATIENCE`].
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let request = self.prepare_request(method, path, headers, body)?;
        Ok(self.client.open_stream(request, PATIENCE).await?)
    }

    fn prepare_request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<HttpRequest> {
        let mut request = HttpRequest::new(method, path);
        if let Some(key) = &self.key {
            request = request.header("authorization", &format!("Bearer {key}"))?;
        }
        for (name, value) in headers {
            request = request.header(name, value)?;
        }
        Ok(if body.is_empty() { request } else { request.json(body) })
    }
}
