//! Every code of docs/API.md with its status and title, and the details of the ledger's rejections.
//! It never decides whether something was done.

use axum::http::StatusCode;
use evenkeel_wire::{outcome::Rejection, reply::RefusalCode};

/// Every code of docs/API.md, with its status and title.
macro_rules! codes {
    ($($name:ident = $status:ident $text:literal $title:literal),+ $(,)?) => {
        /// Why a request failed, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $($name,)+
            /// The ledger's answer.
            Rejected(Rejection),
        }

        impl Code {
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Rejected(rejection) => rejection.name(),
                }
            }

            pub(crate) fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)+
                    Self::Rejected(_) => StatusCode::UNPROCESSABLE_ENTITY,
                }
            }

            pub(crate) fn title(self) -> &'static str {
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
    pub(crate) fn is_retryable(self) -> bool {
        matches!(
            self.status(),
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        )
    }

    pub(crate) fn from_refusal(refusal: RefusalCode) -> Self {
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

/// The detail of a rejection, for the client's engineers.
pub(crate) fn detail_of(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::IdReused => "the id belongs to a command with other content; make a new id",
        Rejection::IdInFuture => "the id's time is more than the tolerance ahead; set the clock",
        Rejection::IdExpired => "the id is unknown and older than the horizon; make a new id",
        Rejection::AmountInvalid => {
            "an amount is 1 to 9007199254740991, a limit 0 to 9007199254740991"
        }
        Rejection::SameAccount => "money moves between two accounts",
        Rejection::AccountNotFound => "an account of the command was never opened",
        Rejection::AccountExists => "the account was opened with other content",
        Rejection::HoldNotFound => "no hold with this id was opened",
        Rejection::PaymentNotFound => "no payment with this id was committed",
        Rejection::TransferNotFound => "no transfer with this id was committed",
        Rejection::KindNotAllowed => "this kind of movement isn't allowed between these accounts",
        Rejection::ReversalNotAllowed => "only top-ups, cash-outs, fees and grants can be reversed",
        Rejection::AssetMismatch => "the asset is unknown or isn't the one of both accounts",
        Rejection::AccountClosed => "a closed account can't pay or receive",
        Rejection::AccountFrozen => "a frozen account can't pay",
        Rejection::HoldNotOpen => "the hold was captured or voided, or has expired",
        Rejection::AlreadyReversed => "a movement can be reversed once only",
        Rejection::AccountNotEmpty => {
            "the account has a balance, a hold or an incoming hold; only an empty one can be closed"
        }
        Rejection::CaptureExceedsHold => "a capture takes at most the held amount",
        Rejection::RefundExceedsPayment => "all refunds of a payment together never exceed it",
        Rejection::PerTransferLimitExceeded => {
            "the amount exceeds the debit account's limit for one transfer"
        }
        Rejection::DailyLimitExceeded => "the amount exceeds the debit account's limit for one day",
        Rejection::InsufficientFunds => "the debit account's available balance is too low",
        Rejection::MaxBalanceExceeded => "the credit account's balance would exceed its limit",
        Rejection::Overflow => "a balance would exceed ±9007199254740991",
        Rejection::BatchFailed => "the batch is atomic, and another of its commands was rejected",
        Rejection::DayNotOpen => "the ledger has another business date",
        Rejection::KeyNotFound => "no key has this number",
        Rejection::KeyAccountInvalid => {
            "only a merchant's key has an account, which must be a merchant's"
        }
        Rejection::TooManyKeys => "every key ever created counts, revoked ones included",
    }
}
