//! Bodies in, answers out: JSON, and problems for failed requests. It never performs an act.

use bytes::Bytes;
use evenkeel_wire::outcome::Rejection;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{BODY_BYTES_MAX, REQUEST_TIMEOUT};
use crate::operator::{operations::AdminError, status::AdminProblem};

/// Why a request failed, before it becomes bytes.
#[derive(Debug)]
pub(crate) enum AdminRefusal {
    Malformed(String),
    NotFound,
    MethodNotAllowed(&'static str),
    TooLarge,
    TooSlow,
    Admin(AdminError),
}

impl From<AdminError> for AdminRefusal {
    fn from(error: AdminError) -> Self {
        Self::Admin(error)
    }
}

pub(crate) type AdminResult = Result<Response<Full<Bytes>>, AdminRefusal>;

pub(crate) async fn read_body<T: DeserializeOwned>(
    request: Request<Incoming>,
) -> Result<T, AdminRefusal> {
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX);
    let bytes = timeout(REQUEST_TIMEOUT, body.collect())
        .await
        .map_err(|_| AdminRefusal::TooSlow)?
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                AdminRefusal::TooLarge
            } else {
                AdminRefusal::Malformed(error.to_string())
            }
        })?
        .to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| AdminRefusal::Malformed(error.to_string()))
}

pub(crate) fn json_response(value: &impl Serialize) -> AdminResult {
    json_with_status(StatusCode::OK, value)
}

/// An answer of 201: something was created.
pub(crate) fn created(value: &impl Serialize) -> AdminResult {
    json_with_status(StatusCode::CREATED, value)
}

/// An answer without a body.
pub(crate) fn empty() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn json_with_status(status: StatusCode, value: &impl Serialize) -> AdminResult {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| AdminError::Failed(format!("the answer can't be written: {error}")))?;
    Ok(response(status, "application/json", bytes))
}

pub(crate) fn problem_response(refusal: AdminRefusal) -> Response<Full<Bytes>> {
    let (status, code, detail) = match &refusal {
        AdminRefusal::Malformed(detail) => (StatusCode::BAD_REQUEST, "malformed", detail.clone()),
        AdminRefusal::NotFound => (StatusCode::NOT_FOUND, "not_found", "no such route".to_owned()),
        AdminRefusal::MethodNotAllowed(allowed) => (
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("this route takes {allowed}"),
        ),
        AdminRefusal::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body is over {BODY_BYTES_MAX} bytes"),
        ),
        AdminRefusal::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            format!("the body took over {} s", REQUEST_TIMEOUT.as_secs()),
        ),
        AdminRefusal::Admin(error) => {
            let (status, code) = match error {
                AdminError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
                AdminError::Rejected { rejection: rejection @ Rejection::KeyNotFound, .. } => {
                    (StatusCode::NOT_FOUND, rejection.name())
                }
                AdminError::Rejected { rejection, .. } => {
                    (StatusCode::UNPROCESSABLE_ENTITY, rejection.name())
                }
                AdminError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
                AdminError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
                AdminError::Unknown(_) => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
                AdminError::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
            };
            (status, code, error.to_string())
        }
    };
    let problem = AdminProblem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or(code).to_owned(),
        status: status.as_u16(),
        detail,
        code: code.to_owned(),
        retryable: matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT),
    };
    let bytes = serde_json::to_vec(&problem).expect("texts and numbers only");
    let mut response = response(status, "application/problem+json", bytes);
    if let AdminRefusal::MethodNotAllowed(allowed) = refusal {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

fn response(status: StatusCode, kind: &'static str, mut bytes: Vec<u8>) -> Response<Full<Bytes>> {
    bytes.push(b'\n');
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
