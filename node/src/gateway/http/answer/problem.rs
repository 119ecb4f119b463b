//! Problems: `application/problem+json` (RFC 9457) with a code for programs.
//!
//! A problem is an extension of its response and is written where the request's id is known. One
//! table maps codes to statuses; nothing here decides whether something was done.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use evenkeel_wire::{
    outcome::{Outcome, Rejection, Stamp},
    reply::Refusal,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

pub(crate) use super::code::Code;
use super::{
    code::detail_of,
    describe::{Decision, StampShape},
};
use crate::gateway::http::request::head::RequestId;

/// The longest detail, without its path in a batch.
const DETAIL_BYTES_MAX: usize = 400;

/// The media type of every problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// Marks an outcome as a repeated first answer.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Seconds before a retry: as long as a door waits for a primary.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A request that failed, or that the ledger rejected.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: String,
    /// Where it was decided, if it's an outcome.
    place: Option<Box<StampShape>>,
    batch: Option<FailedBatch>,
    replayed: bool,
    retry_after: Option<HeaderValue>,
    /// The connection must close: the rest of the body isn't read.
    closes: bool,
}

/// An atomic batch that failed and changed nothing.
#[derive(Clone, Debug)]
pub(crate) struct FailedBatch {
    pub(crate) failed_index: usize,
    /// The results, as JSON.
    pub(crate) results: Box<RawValue>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: shortened(detail.into()),
            place: None,
            batch: None,
            replayed: false,
            retry_after: None,
            closes: false,
        }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::Malformed, detail)
    }

    /// An outcome that is a rejection.
    pub(crate) fn rejected(rejection: Rejection, decision: &Decision) -> Self {
        let mut problem = Self::new(Code::Rejected(rejection), detail_of(rejection));
        problem.replayed = decision.replayed;
        problem.place = Some(Box::new(decision.stamp_shape()));
        problem
    }

    /// An amount that doesn't fit 64 bits: no ledger has seen it.
    pub(crate) fn amount_invalid(field: &str) -> Self {
        Self::new(
            Code::Rejected(Rejection::AmountInvalid),
            format!("{field}: not within 1 and 9007199254740991"),
        )
    }

    /// An atomic batch with a rejected command.
    pub(crate) fn batch_failed(stamp: Option<Stamp>, batch: FailedBatch) -> Self {
        let detail = format!("commands[{}] was rejected; nothing was done", batch.failed_index);
        let mut problem = Self::new(Code::Rejected(Rejection::BatchFailed), detail);
        problem.place = stamp.map(|stamp| Box::new(StampShape::new(&stamp, Outcome::NO_INDEX)));
        problem.batch = Some(batch);
        problem
    }

    /// Whether it's the ledger's answer rather than a refusal.
    pub(crate) fn is_outcome(&self) -> bool {
        matches!(self.code, Code::Rejected(_))
    }

    /// Sets the seconds before a retry.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(HeaderValue::from(seconds));
        self
    }

    /// Closes the connection: the rest of the request isn't read.
    pub(crate) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The problem of a single command, without the number that admission puts in front.
    pub(crate) fn of_one_command(mut self) -> Self {
        if let Some(detail) = self.detail.strip_prefix("command 0: ") {
            self.detail = detail.to_owned();
        }
        self
    }

    /// The problem of a command in a batch, which the detail names by its number.
    pub(crate) fn of_numbered_item(mut self) -> Self {
        let named = self.detail.strip_prefix("command ").and_then(|rest| rest.split_once(": "));
        let found = named.and_then(|(number, detail)| Some((number.parse().ok()?, detail)));
        let Some((number, detail)) = found.map(|(number, detail)| (number, detail.to_owned()))
        else {
            return self;
        };
        self.detail = detail;
        self.of_item(number)
    }

    /// The problem of a command in a batch.
    pub(crate) fn of_item(self, number: usize) -> Self {
        // A field's path follows the item's path; a message without a field stands alone.
        let path = self.detail.split(':').next().unwrap_or_default();
        let named = !path.is_empty()
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._[]".contains(&byte));
        self.with_prefix(&format!("commands[{number}]{}", if named { "." } else { ": " }))
    }

    /// The problem of an unsent command in an atomic batch, caused by another command.
    pub(crate) fn not_done() -> Self {
        Self::new(Code::Rejected(Rejection::BatchFailed), detail_of(Rejection::BatchFailed))
    }

    /// Puts a location in the request in front of the detail.
    pub(crate) fn with_prefix(mut self, place: &str) -> Self {
        self.detail = format!("{place}{}", self.detail);
        self
    }

    /// Writes the problem into its response.
    pub(crate) fn write(&self, request_id: &RequestId, response: &mut Response<Body>) {
        let status = self.code.status();
        let written = ProblemJson { request_id: Some(request_id.as_str()), ..self.to_json() };
        let bytes = serde_json::to_vec(&written).expect("texts and numbers only");
        *response.status_mut() = status;
        let headers = response.headers_mut();
        // This was the length of the empty placeholder body.
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                let after = self.retry_after.clone().unwrap_or(RETRY_AFTER);
                headers.insert(header::RETRY_AFTER, after);
            }
            _ => {}
        }
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        if self.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        *response.body_mut() = Body::from(bytes);
    }

    /// The problem as a result of a batch, without a request id of its own.
    pub(crate) fn to_json(&self) -> ProblemJson<'_> {
        ProblemJson {
            kind: format!("urn:evenkeel:problem:{}", self.code.name()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code: self.code.name(),
            retryable: self.code.is_retryable(),
            request_id: None,
            outcome: self.place.as_ref().map(|_| "rejected"),
            place: self.place.as_deref().copied(),
            failed_index: self.batch.as_ref().map(|batch| batch.failed_index),
            results: self.batch.as_ref().map(|batch| &*batch.results),
        }
    }
}

/// Shortens a detail: it may quote megabytes of a client's text.
fn shortened(mut detail: String) -> String {
    if detail.len() > DETAIL_BYTES_MAX {
        let mut end = DETAIL_BYTES_MAX;
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        detail.truncate(end);
        detail.push('…');
    }
    detail
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(Code::from_refusal(refusal.code), refusal.detail.as_str())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.code.status();
        response.extensions_mut().insert(self);
        response
    }
}

/// A problem in JSON.
#[derive(Serialize)]
pub(crate) struct ProblemJson<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(flatten)]
    place: Option<StampShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<&'a RawValue>,
}

/// Why a request failed (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "a schema; the problem itself is written by hand")]
pub(crate) struct ProblemSchema {
    /// `urn:evenkeel:problem:` and the code.
    r#type: String,
    /// The kind of problem, for people.
    title: String,
    /// The status of the response.
    status: u16,
    /// What is wrong with this request, for people.
    detail: String,
    /// The kind of problem, for programs.
    code: String,
    /// Whether the same request may succeed later. Retrying with the same id is always safe.
    retryable: bool,
    /// The request's id, as in the log; also in the header `x-request-id`.
    request_id: String,
}
