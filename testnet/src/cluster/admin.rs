//! The testnet's client of a node's admin socket. The shapes of answers are the node's own.

use std::{path::Path, time::Duration};

use anyhow::Context;
use evenkeel_http::{Dialler, HttpClient, HttpRequest, Method};
use evenkeel_node::operator::status::{ClosedDay, CreatedKey, Status, Switchover};
use serde::de::DeserializeOwned;

use super::testnet::Testnet;

/// The longest time to a healthy node's status.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// The longest time to the end of an act.
const ACT_PATIENCE: Duration = Duration::from_secs(15);

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

/// Fetches a node's status.
///
/// # Errors
/// When it doesn't answer in time or as documented.
pub async fn status(socket: &Path) -> Result<Status, AdminCallError> {
    request_json(socket, Method::GET, "/status", None, PATIENCE).await
}

/// Hands the primary role to another site.
///
/// # Errors
/// When it doesn't answer in time or refuses.
pub async fn switchover(socket: &Path, to: &str) -> Result<Switchover, AdminCallError> {
    let body = serde_json::json!({ "to": to }).to_string();
    request_json(socket, Method::POST, "/switchover", Some(body), ACT_PATIENCE).await
}

/// Closes the business day now.
///
/// # Errors
/// When it doesn't answer in time or refuses.
pub async fn close_day(socket: &Path) -> Result<ClosedDay, AdminCallError> {
    request_json(socket, Method::POST, "/day/close", None, ACT_PATIENCE).await
}

/// The newest business date that any site reports.
///
/// # Errors
/// When no site reports one.
pub async fn business_date(testnet: &Testnet) -> anyhow::Result<String> {
    let statuses = testnet.statuses().await;
    let dates = statuses.into_iter().filter_map(|status| status.ok()?.business_date);
    dates.max().context("no site reports a business date")
}

/// Makes a key; a merchant's key names its account.
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
    request_json(socket, Method::POST, "/keys", Some(body.to_string()), ACT_PATIENCE).await
}

/// Revokes a key.
///
/// # Errors
/// When it doesn't answer in time or refuses.
pub async fn revoke_key(socket: &Path, id: u32) -> Result<(), AdminCallError> {
    let route = format!("/keys/{id}");
    request_text(socket, Method::DELETE, &route, None, ACT_PATIENCE).await.map(|_| ())
}

async fn request_json<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    route: &str,
    body: Option<String>,
    patience: Duration,
) -> Result<T, AdminCallError> {
    let body = request_text(socket, method, route, body, patience).await?;
    serde_json::from_str(&body).map_err(|error| AdminCallError::Malformed(error, body))
}

/// The body of a successful answer.
async fn request_text(
    socket: &Path,
    method: Method,
    route: &str,
    body: Option<String>,
    patience: Duration,
) -> Result<String, AdminCallError> {
    let client = HttpClient::new(Dialler::to_socket(socket).with_timeout(patience));
    let request = HttpRequest::new(method, route).json(body.unwrap_or_default());
    let answer = client
        .exchange(request, patience)
        .await
        .map_err(|error| AdminCallError::Silent(format!("{}: {error}", socket.display())))?;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.is_success() {
        return Ok(body);
    }
    Err(AdminCallError::Refused { status: answer.status, body })
}
