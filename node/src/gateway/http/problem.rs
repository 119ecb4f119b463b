//! What isn't done, and why: `application/problem+json` (RFC 9457) with a code for programs.
//!
//! A problem travels as an extension of its response and is written where the request's id is known. One table says which
//! status a code has; nothing here decides whether something was done.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use evenkeel_wire::{
    outcome::{Outcome, Rejection, Stamp},
    reply::{Refusal, RefusalCode},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    describe::{Decision, Place},
    head::RequestId,
};

/// The longest detail, but for where in a batch it is.
const DETAIL_BYTES_MAX: usize = 400;

/// The media type of every problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";
/// Tells that an outcome is the first answer to its id again.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Seconds after which asking again makes sense: as long as a door waits for a primary.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Every code of the contract, with its status and title.
macro_rules! codes {
    ($($name:ident = $status:ident $text:literal $title:literal),+ $(,)?) => {
        /// Why a request wasn't done, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Code {
            $($name,)+
            /// The ledger's answer.
            Rejected(Rejection),
        }

        impl Code {
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Rejected(rejection) => rejection.name(),
                }
            }

            pub(super) fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)+
                    Self::Rejected(_) => StatusCode::UNPROCESSABLE_ENTITY,
                }
            }

            fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)+
                    Self::Rejected(rejection) => title_of(rejection),
                }
            }
        }
    };
}

codes! {
    Malformed = BAD_REQUEST "malformed" "The request isn't well formed",
    IdNotUuidV7 = BAD_REQUEST "id_not_uuid_v7" "An id isn't a UUID of version 7",
    Unauthorized = UNAUTHORIZED "unauthorized" "No key that is known",
    Forbidden = FORBIDDEN "forbidden" "The key may not do this",
    NotFound = NOT_FOUND "not_found" "Not found",
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed" "The route doesn't take this method",
    NotAcceptable = NOT_ACCEPTABLE "not_acceptable" "No answer of an acceptable type",
    TooLarge = PAYLOAD_TOO_LARGE "too_large" "Over a limit of size",
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "The body isn't JSON",
    RateLimited = TOO_MANY_REQUESTS "rate_limited" "Too many requests with this key",
    NoPrimary = SERVICE_UNAVAILABLE "no_primary" "No site can decide at the moment",
    Overloaded = SERVICE_UNAVAILABLE "overloaded" "The queues are full",
    Stopping = SERVICE_UNAVAILABLE "stopping" "The site is shutting down",
    Recovering = SERVICE_UNAVAILABLE "recovering" "The site is still reading its journal",
    OutcomeUnknown = GATEWAY_TIMEOUT "outcome_unknown" "The outcome isn't known yet",
}

impl Code {
    /// Whether the same request may succeed later.
    fn is_retryable(self) -> bool {
        matches!(
            self.status(),
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        )
    }

    fn of(refusal: RefusalCode) -> Self {
        match refusal {
            RefusalCode::Malformed => Self::Malformed,
            RefusalCode::IdNotUuidV7 => Self::IdNotUuidV7,
            RefusalCode::Unauthorized => Self::Unauthorized,
            RefusalCode::Forbidden => Self::Forbidden,
            RefusalCode::NotFound => Self::NotFound,
            RefusalCode::TooLarge => Self::TooLarge,
            RefusalCode::RateLimited => Self::RateLimited,
            RefusalCode::NoPrimary => Self::NoPrimary,
            RefusalCode::Overloaded => Self::Overloaded,
            RefusalCode::Stopping => Self::Stopping,
            RefusalCode::Recovering => Self::Recovering,
            RefusalCode::OutcomeUnknown => Self::OutcomeUnknown,
        }
    }
}

/// A request that wasn't done, or that the ledger rejected.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) code: Code,
    pub(super) detail: String,
    /// Where it was decided, when it's an outcome.
    place: Option<Box<Place>>,
    batch: Option<FailedBatch>,
    replayed: bool,
    retry_after: Option<HeaderValue>,
    /// The connection can't go on: the rest of the body isn't read.
    closes: bool,
}

/// An atomic batch that changed nothing.
#[derive(Clone, Debug)]
pub(super) struct FailedBatch {
    pub(super) failed_index: usize,
    /// The results, as JSON.
    pub(super) results: Box<RawValue>,
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
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

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::Malformed, detail)
    }

    /// An outcome that is a rejection.
    pub(super) fn rejected(rejection: Rejection, decision: &Decision) -> Self {
        let mut problem = Self::new(Code::Rejected(rejection), detail_of(rejection));
        problem.replayed = decision.replayed;
        problem.place = Some(Box::new(decision.place()));
        problem
    }

    /// An amount that fits no 64 bits: no ledger has seen it.
    pub(super) fn amount_invalid(field: &str) -> Self {
        Self::new(
            Code::Rejected(Rejection::AmountInvalid),
            format!("{field}: not within 1 and 9007199254740991"),
        )
    }

    /// An atomic batch of which one command was rejected.
    pub(super) fn batch_failed(stamp: Option<Stamp>, batch: FailedBatch) -> Self {
        let detail = format!("commands[{}] was rejected; nothing was done", batch.failed_index);
        let mut problem = Self::new(Code::Rejected(Rejection::BatchFailed), detail);
        problem.place = stamp.map(|stamp| Box::new(Place::new(&stamp, Outcome::NO_INDEX)));
        problem.batch = Some(batch);
        problem
    }

    /// Whether it's the ledger's answer, and no refusal.
    pub(super) fn is_outcome(&self) -> bool {
        matches!(self.code, Code::Rejected(_))
    }

    /// After how many seconds asking again makes sense.
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(HeaderValue::from(seconds));
        self
    }

    /// The rest of the request isn't read.
    pub(super) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Of a single command: admission counts commands, and there's only one.
    pub(super) fn of_one_command(mut self) -> Self {
        if let Some(detail) = self.detail.strip_prefix("command 0: ") {
            self.detail = detail.to_owned();
        }
        self
    }

    /// Of a command of a batch.
    pub(super) fn of_item(self, number: usize) -> Self {
        // The field is named behind the item, as a path; a message that names no field first stands for itself.
        let path = self.detail.split(':').next().unwrap_or_default();
        let named = !path.is_empty()
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._[]".contains(&byte));
        self.within(&format!("commands[{number}]{}", if named { "." } else { ": " }))
    }

    /// A command of an atomic batch that wasn't even sent, because of another one.
    pub(super) fn not_done() -> Self {
        Self::new(Code::Rejected(Rejection::BatchFailed), detail_of(Rejection::BatchFailed))
    }

    /// Says where in the request it is.
    pub(super) fn within(mut self, place: &str) -> Self {
        self.detail = format!("{place}{}", self.detail);
        self
    }

    /// Writes it into its response.
    pub(super) fn write(&self, request_id: &RequestId, response: &mut Response<Body>) {
        let status = self.code.status();
        let written = Written { request_id: Some(request_id.as_str()), ..self.written() };
        let bytes = serde_json::to_vec(&written).expect("texts and numbers only");
        *response.status_mut() = status;
        let headers = response.headers_mut();
        // It was that of the empty body which the problem travelled with.
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

    /// As it stands in the results of a batch: without a request of its own.
    pub(super) fn written(&self) -> Written<'_> {
        Written {
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

/// A detail may quote what a client wrote, and that may be megabytes.
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
        Self::new(Code::of(refusal.code), refusal.detail.as_str())
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

/// A problem, as JSON has it.
#[derive(Serialize)]
pub(super) struct Written<'a> {
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
    place: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<&'a RawValue>,
}

/// Why a request wasn't done (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "a schema; the problem itself is written by hand")]
pub(super) struct ProblemSchema {
    /// Names the kind of problem: `urn:evenkeel:problem:` and the code.
    r#type: String,
    /// The kind of problem, for people.
    title: String,
    /// The status of the response.
    status: u16,
    /// What is wrong with this request, for people.
    detail: String,
    /// The kind of problem, for programs.
    code: String,
    /// Whether the same request may succeed later. With the same id it's always safe to ask again.
    retryable: bool,
    /// The request, as the log knows it; also in the header `x-request-id`.
    request_id: String,
}

fn title_of(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::IdReused => "The id is known with other content",
        Rejection::IdInFuture => "The id is from the future",
        Rejection::IdExpired => "The id is too old to be new",
        Rejection::AmountInvalid => "Not an amount",
        Rejection::SameAccount => "Debit and credit are one account",
        Rejection::AccountNotFound => "No such account",
        Rejection::AccountExists => "The account is there already",
        Rejection::HoldNotFound => "No such hold",
        Rejection::PaymentNotFound => "No such payment",
        Rejection::TransferNotFound => "No such transfer",
        Rejection::KindNotAllowed => "Not between these kinds of accounts",
        Rejection::ReversalNotAllowed => "This movement can't be reversed",
        Rejection::AssetMismatch => "Another asset",
        Rejection::AccountClosed => "An account is closed",
        Rejection::AccountFrozen => "The account is frozen",
        Rejection::HoldNotOpen => "The hold isn't open",
        Rejection::AlreadyReversed => "The movement was reversed before",
        Rejection::AccountNotEmpty => "The account isn't empty",
        Rejection::CaptureExceedsHold => "More than the hold has",
        Rejection::RefundExceedsPayment => "More than is left of the payment",
        Rejection::PerTransferLimitExceeded => "Over the limit for one transfer",
        Rejection::DailyLimitExceeded => "Over the limit for one day",
        Rejection::InsufficientFunds => "Not enough money",
        Rejection::MaxBalanceExceeded => "More than the account may hold",
        Rejection::Overflow => "A balance would leave its bounds",
        Rejection::BatchFailed => "Another command of the batch was rejected",
        Rejection::DayNotOpen => "The business date is another one",
        Rejection::KeyNotFound => "No such key",
        Rejection::KeyAccountInvalid => "The key's account is no merchant's",
        Rejection::TooManyKeys => "The ledger takes no more keys",
    }
}

fn detail_of(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::IdReused => "the id belongs to a command with other content; make a new id",
        Rejection::IdInFuture => "the id's time is more than the tolerance ahead; set the clock",
        Rejection::IdExpired => {
            "the id's time is before the horizon and the ledger doesn't know it; make a new id"
        }
        Rejection::AmountInvalid => "amounts and limits are within 1 and 9007199254740991",
        Rejection::SameAccount => "money moves between two accounts",
        Rejection::AccountNotFound => "an account that takes part was never opened",
        Rejection::AccountExists => "the account was opened with other content",
        Rejection::HoldNotFound => "no hold of this id was taken up",
        Rejection::PaymentNotFound => "no payment of this id was committed",
        Rejection::TransferNotFound => "no transfer of this id was committed",
        Rejection::KindNotAllowed => "this kind of movement isn't allowed between these accounts",
        Rejection::ReversalNotAllowed => "only top-ups, cash-outs, fees and grants are reversed",
        Rejection::AssetMismatch => "the asset isn't that of both accounts, or isn't known",
        Rejection::AccountClosed => "nothing goes into or out of a closed account",
        Rejection::AccountFrozen => "nothing goes out of a frozen account",
        Rejection::HoldNotOpen => "the hold was captured or voided, or its time is up",
        Rejection::AlreadyReversed => "a movement is reversed once",
        Rejection::AccountNotEmpty => {
            "something is posted, held, or held for the account; only an empty one is closed"
        }
        Rejection::CaptureExceedsHold => "a capture takes at most what is held",
        Rejection::RefundExceedsPayment => "all refunds of a payment together never exceed it",
        Rejection::PerTransferLimitExceeded => "the debit account may not pay so much at once",
        Rejection::DailyLimitExceeded => "the debit account may not pay so much in a day",
        Rejection::InsufficientFunds => "the debit account has less available",
        Rejection::MaxBalanceExceeded => "the credit account would hold more than its limit",
        Rejection::Overflow => "a balance would leave ±9007199254740991",
        Rejection::BatchFailed => "the batch is atomic, and another of its commands was rejected",
        Rejection::DayNotOpen => "the ledger's business date is another one",
        Rejection::KeyNotFound => "no key has this number",
        Rejection::KeyAccountInvalid => "a merchant's key names a merchant's account",
        Rejection::TooManyKeys => "every key that was ever made counts, revoked ones too",
    }
}
