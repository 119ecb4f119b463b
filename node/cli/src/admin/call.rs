//! One question over the admin socket: HTTP/1.1 on a unix stream.

use std::{fmt::Write, io, path::Path, time::Duration};

use bytes::Bytes;
use evenkeel_wire::outcome::Rejection;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, time::timeout};

use super::{AdminRequest, exit_for};
use crate::{Exit, Failure};
use evenkeel_node::operator::status::AdminProblem;

/// A node that answers nothing for so long hangs. Walking a large journal takes its time, so this is generous.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 64 << 20;

pub(crate) fn send_request(socket: &Path, question: AdminRequest) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    runtime.block_on(send_over_socket(socket, question))
}

async fn send_over_socket(socket: &Path, question: AdminRequest) -> Result<String, Failure> {
    let name = socket.display();
    let stream = timeout(CONNECT_TIMEOUT, UnixStream::connect(socket))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| unreachable_node(socket, &error))?;
    let broken = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Unavailable, format!("admin socket {name}: {error}"))
    };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(question.method)
        .uri(question.route)
        .header(header::HOST, "admin")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(
            question.body.map(|body| body.to_string()).unwrap_or_default(),
        )))
        .map_err(Failure::usage)?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|error| broken(&error))?.to_bytes()))
    };
    let (status, body) = timeout(ANSWER_TIMEOUT, answered)
        .await
        .map_err(|_| broken(&format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())))??;
    let body = String::from_utf8_lossy(&body).into_owned();
    if (200..300).contains(&status) {
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
            (Exit::Unavailable, format!("nobody answers at admin socket {name}: the node is down"))
        }
        io::ErrorKind::PermissionDenied => (
            Exit::Failed,
            format!("admin socket {name} is for root and the node's own user: {error}"),
        ),
        io::ErrorKind::InvalidInput => {
            (Exit::Usage, format!("admin socket {name} is no socket path: {error}"))
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

/// Percent-encoding for a query's value.
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
