//! One request over the admin socket: HTTP/1.1 on a unix stream.

use std::{fmt::Write, io, path::Path, time::Duration};

use evenkeel_http::{Dialler, ExchangeError, HttpClient, HttpRequest};
use evenkeel_wire::outcome::Rejection;
use serde::de::DeserializeOwned;

use super::{AdminRequest, exit_for};
use crate::{Exit, Failure, door::block_on};
use evenkeel_node::operator::status::AdminProblem;

/// A node that doesn't answer within this time hangs. Walking a large journal takes minutes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends one request; returns the body of an answer that isn't a problem.
pub(crate) fn send_request(socket: &Path, question: AdminRequest) -> Result<String, Failure> {
    block_on(send_over_socket(socket, question))
}

async fn send_over_socket(socket: &Path, question: AdminRequest) -> Result<String, Failure> {
    let client = HttpClient::new(Dialler::to_socket(socket).with_timeout(CONNECT_TIMEOUT));
    let body = question.body.map(|body| body.to_string()).unwrap_or_default();
    let request = HttpRequest::new(question.method, question.route).json(body);
    let answer = client.exchange(request, ANSWER_TIMEOUT).await.map_err(|error| match &error {
        ExchangeError::Connect(error) => unreachable_node(socket, error),
        _ => {
            let name = socket.display();
            Failure::new(Exit::Unavailable, format!("admin socket {name}: {error}"))
        }
    })?;
    let status = answer.status;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.is_success() {
        return Ok(body);
    }
    Err(match serde_json::from_str::<AdminProblem>(&body) {
        Ok(problem) if Rejection::from_name(&problem.code).is_some() => {
            Failure::new(Exit::Rejected, problem.detail)
        }
        Ok(problem) => Failure::new(exit_for(status), problem.detail),
        Err(_) => Failure::new(exit_for(status), format!("the node answered {status}")),
    })
}

fn unreachable_node(socket: &Path, error: &io::Error) -> Failure {
    let name = socket.display();
    let (exit, text) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            (Exit::Unavailable, format!("no node answers at admin socket {name}: the node is down"))
        }
        io::ErrorKind::PermissionDenied => (
            Exit::Failed,
            format!("admin socket {name} is for root and the node's own user: {error}"),
        ),
        io::ErrorKind::InvalidInput => {
            (Exit::Usage, format!("admin socket {name} isn't a socket path: {error}"))
        }
        _ => (Exit::Unavailable, format!("admin socket {name}: {error}")),
    };
    Failure::new(exit, text)
}

pub(crate) fn read<T: DeserializeOwned>(answer: &str) -> Result<T, Failure> {
    serde_json::from_str(answer).map_err(|error| {
        Failure::failed(format!(
            "the node's answer isn't understood ({error}); is it another version? --json shows it"
        ))
    })
}

/// Percent-encodes a query's value.
pub(crate) fn escape(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to memory can't fail");
        }
        text
    })
}
