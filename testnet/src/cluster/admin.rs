//! What the testnet asks a node's admin socket. The answers' shapes are the node's own.

use std::{path::Path, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use evenkeel_node::operator::status::{ClosedDay, CreatedKey, Status, Switchover};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, task::JoinSet, time::timeout};

use super::testnet::Testnet;

/// How long a healthy node may take for its status.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminCallError {
    #[error("no answer: {0}")]
    Silent(String),
    #[error("{status}: {body}")]
    Refused { status: u16, body: String },
    #[error("not what docs/OPERATIONS.md says: {0}: {1}")]
    Malformed(serde_json::Error, String),
}

/// Asks a node how it is.
///
/// # Errors
/// When it doesn't answer in time or not as documented.
pub async fn status(socket: &Path) -> Result<Status, AdminCallError> {
    request_json(socket, "GET", "/status", None, PATIENCE).await
}

/// Asks for a planned hand-over.
///
/// # Errors
/// When it doesn't answer in time or refuses.
pub async fn switchover(socket: &Path, to: &str) -> Result<Switchover, AdminCallError> {
    let body = serde_json::json!({ "to": to }).to_string();
    request_json(socket, "POST", "/switchover", Some(body), Duration::from_secs(15)).await
}

/// Closes the business day now.
///
/// # Errors
/// When it doesn't answer in time or refuses.
pub async fn close_day(socket: &Path) -> Result<ClosedDay, AdminCallError> {
    request_json(socket, "POST", "/day/close", None, Duration::from_secs(15)).await
}

/// The business date, as some site knows it.
///
/// # Errors
/// When no site knows one.
pub async fn business_date(testnet: &Testnet) -> anyhow::Result<String> {
    let statuses = testnet.statuses().await;
    let dates = statuses.into_iter().filter_map(|status| status.ok()?.business_date);
    dates.max().context("no site knows a business date")
}

/// Makes a key; a merchant's names its account.
///
/// # Errors
/// When it doesn't answer in time or refuses.
pub async fn create_key(
    socket: &Path,
    role: &str,
    account: Option<&str>,
) -> Result<CreatedKey, AdminCallError> {
    let mut body = serde_json::json!({ "role": role });
    if let Some(account) = account {
        body["account"] = account.into();
    }
    request_json(socket, "POST", "/keys", Some(body.to_string()), Duration::from_secs(15)).await
}

/// Ends a key.
///
/// # Errors
/// When it doesn't answer in time or refuses.
pub async fn revoke_key(socket: &Path, id: u32) -> Result<(), AdminCallError> {
    let route = format!("/keys/{id}");
    request_text(socket, "DELETE", &route, None, Duration::from_secs(15)).await.map(|_| ())
}

async fn request_json<T: DeserializeOwned>(
    socket: &Path,
    method: &str,
    route: &str,
    body: Option<String>,
    patience: Duration,
) -> Result<T, AdminCallError> {
    let body = request_text(socket, method, route, body, patience).await?;
    serde_json::from_str(&body).map_err(|error| AdminCallError::Malformed(error, body))
}

/// The body of an answer that says yes.
async fn request_text(
    socket: &Path,
    method: &str,
    route: &str,
    body: Option<String>,
    patience: Duration,
) -> Result<String, AdminCallError> {
    let exchange = timeout(patience, exchange(socket, method, route, body));
    let (status, body) = match exchange.await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => {
            return Err(AdminCallError::Silent(format!("{}: {error}", socket.display())));
        }
        Err(_) => return Err(AdminCallError::Silent(format!("{}: not in time", socket.display()))),
    };
    if !(200..300).contains(&status) {
        return Err(AdminCallError::Refused { status, body });
    }
    Ok(body)
}

async fn exchange(
    socket: &Path,
    method: &str,
    route: &str,
    body: Option<String>,
) -> anyhow::Result<(u16, String)> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(route)
        .header("host", "admin")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))?;
    // Ends with this function, however that ends: a paused node may never answer.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
