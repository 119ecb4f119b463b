//! Outcomes and their subjects as JSON: the shapes of docs/API.md, each with its schema.
//!
//! A transfer is described from its command and its outcome alone. Nothing here reads the ledger.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use evenkeel_wire::{
    outcome::{Answer, Outcome, Stamp},
    reply::{self, AccountView, HoldView, TransferView},
    transfer::Transfer,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Problem, REPLAYED};
use crate::gateway::http::request::fields::{
    AccountIdText, AccountKindName, AccountStatusName, AssetName, CommandIdText, HoldStatusName,
    Link, Time, TransferKindName,
};
use crate::{limits::AMOUNT_MAX, road::DecidedEntry};

/// The ledger's answer to one command, and where it was decided.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) stamp: Stamp,
    pub(crate) outcome: Outcome,
    /// The first answer is repeated.
    pub(crate) replayed: bool,
}

impl Decision {
    /// The answer to one of an entry's commands.
    pub(crate) fn from_answer(decided: &DecidedEntry, answer: &Answer) -> Self {
        Self {
            stamp: answer.first.unwrap_or(decided.stamp),
            outcome: answer.outcome,
            replayed: answer.first.is_some(),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self.outcome.rejection {
            Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
            None if self.replayed => StatusCode::OK,
            None => StatusCode::CREATED,
        }
    }

    pub(crate) fn stamp_shape(&self) -> StampShape {
        StampShape::new(&self.stamp, self.outcome.index)
    }

    /// The rejection as a problem, if it's one.
    pub(crate) fn require_committed(self) -> Result<Self, Problem> {
        match self.outcome.rejection {
            Some(rejection) => Err(Problem::rejected(rejection, &self)),
            None => Ok(self),
        }
    }

    /// The response to its command.
    pub(crate) fn respond_with(&self, committed: &impl Serialize) -> Response<Body> {
        let mut response = json(self.status(), committed);
        if self.replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// A response in JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut bytes = Vec::with_capacity(1024);
    serde_json::to_writer(&mut bytes, value).expect("the shapes hold nothing that JSON can't");
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, kind, bytes).into_response()
}

/// Where and when an outcome was decided.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Place)]
pub(crate) struct StampShape {
    /// The entry's number in the journal.
    position: u64,
    /// The outcome's number among the new outcomes of its entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = true, nullable = false)]
    index: Option<u16>,
    /// The election number of the primary that made the entry.
    term: u64,
    /// The entry's time.
    recorded_at: Time,
    link: Link,
}

impl StampShape {
    pub(crate) fn new(stamp: &Stamp, index: u16) -> Self {
        Self {
            position: stamp.position,
            index: (index != Outcome::NO_INDEX).then_some(index),
            term: stamp.term,
            recorded_at: Time(stamp.recorded_at),
            link: Link(stamp.link),
        }
    }
}

/// The constant `outcome` field of a committed outcome.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Committed {
    Committed,
}

/// A movement of money that was committed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CommittedTransfer {
    outcome: Committed,
    #[serde(flatten)]
    place: StampShape,
    transfer: TransferShape,
    /// The debit account's posted balance after the movement.
    debit_after: i64,
    /// The credit account's posted balance after the movement.
    credit_after: i64,
}

impl CommittedTransfer {
    pub(crate) fn new(decision: &Decision, transfer: TransferShape) -> Self {
        Self {
            outcome: Committed::Committed,
            place: decision.stamp_shape(),
            transfer,
            debit_after: decision.outcome.debit_after,
            credit_after: decision.outcome.credit_after,
        }
    }
}

/// A command about an account that was committed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CommittedAccount {
    outcome: Committed,
    #[serde(flatten)]
    place: StampShape,
    account: AccountShape,
}

impl CommittedAccount {
    pub(crate) fn new(decision: &Decision, account: AccountShape) -> Self {
        Self { outcome: Committed::Committed, place: decision.stamp_shape(), account }
    }
}

/// A command about a hold that was committed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CommittedHold {
    outcome: Committed,
    #[serde(flatten)]
    place: StampShape,
    hold: HoldShape,
}

impl CommittedHold {
    pub(crate) fn new(decision: &Decision, hold: HoldShape) -> Self {
        Self { outcome: Committed::Committed, place: decision.stamp_shape(), hold }
    }
}

/// A committed movement.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Transfer)]
pub(crate) struct TransferShape {
    id: CommandIdText,
    kind: TransferKindName,
    debit: AccountIdText,
    credit: AccountIdText,
    /// In the asset's minor unit.
    amount: u64,
    asset: AssetName,
    /// The client's own reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reference: Option<String>,
    /// For people; the reason of a reversal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    memo: Option<String>,
    /// Of a payment: the sum of its refunds so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refunded: Option<u64>,
    /// The reversal that undid this movement.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reversed_by: Option<CommandIdText>,
    #[serde(flatten)]
    place: StampShape,
}

impl TransferShape {
    /// The movement of a transfer command.
    pub(crate) fn from_command(transfer: &Transfer, decision: &Decision) -> Self {
        Self::new(transfer, decision.stamp_shape())
    }

    /// The fields of a movement that never change.
    pub(crate) fn immutable_part(view: &TransferView) -> Self {
        Self::new(&view.transfer, StampShape::new(&view.stamp, view.index))
    }

    fn new(transfer: &Transfer, place: StampShape) -> Self {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            id: CommandIdText(transfer.id),
            kind: TransferKindName(transfer.kind),
            debit: AccountIdText(transfer.debit),
            credit: AccountIdText(transfer.credit),
            amount: transfer.amount.0,
            asset: AssetName(transfer.asset),
            reference: text(transfer.reference.as_str()),
            memo: text(transfer.memo.as_str()),
            refunded: None,
            reversed_by: None,
            place,
        }
    }
}

impl From<TransferView> for TransferShape {
    fn from(view: TransferView) -> Self {
        let (refunded, reversed_by) = (view.refunded, view.reversed_by.map(CommandIdText));
        Self { refunded, reversed_by, ..Self::immutable_part(&view) }
    }
}

/// Reserved money.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub(crate) struct HoldShape {
    id: CommandIdText,
    debit: AccountIdText,
    credit: AccountIdText,
    /// The reserved amount, in the asset's minor unit.
    amount: u64,
    asset: AssetName,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    memo: Option<String>,
    status: HoldStatusName,
    expires_at: Time,
    /// The captured amount.
    captured: u64,
    /// The capture or void that closed the hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    closed_by: Option<CommandIdText>,
    #[serde(flatten)]
    place: StampShape,
}

impl From<HoldView> for HoldShape {
    fn from(view: HoldView) -> Self {
        let hold = view.hold;
        let memo = hold.memo.as_str();
        Self {
            id: CommandIdText(hold.id),
            debit: AccountIdText(hold.debit),
            credit: AccountIdText(hold.credit),
            amount: hold.amount.0,
            asset: AssetName(hold.asset),
            memo: (!memo.is_empty()).then(|| memo.to_owned()),
            status: HoldStatusName(view.status),
            expires_at: Time(view.expires_at),
            captured: view.captured,
            closed_by: view.closed_by.map(CommandIdText),
            place: StampShape::new(&view.stamp, view.index),
        }
    }
}

/// The current state of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountShape {
    id: AccountIdText,
    kind: AccountKindName,
    asset: AssetName,
    /// For people.
    label: String,
    status: AccountStatusName,
    /// The settled balance.
    posted: i64,
    /// The sum of its own open holds.
    held: i64,
    /// `posted` − `held`.
    available: i64,
    limits: LimitsShape,
    /// The sum of the current business day's debits that count for `daily_debit`.
    debited_today: u64,
    opened_at: Time,
    /// The newest entry that this state contains.
    position: u64,
}

impl From<AccountView> for AccountShape {
    fn from(view: AccountView) -> Self {
        Self {
            id: AccountIdText(view.id),
            kind: AccountKindName(view.kind),
            asset: AssetName(view.asset),
            label: view.label.as_str().to_owned(),
            status: AccountStatusName(view.status),
            posted: view.posted,
            held: view.held,
            available: view.posted.saturating_sub(view.held),
            limits: LimitsShape {
                max_balance: view.max_balance,
                per_transfer: view.per_transfer,
                daily_debit: view.daily_debit,
            },
            debited_today: view.debited_today,
            opened_at: Time(view.opened_at),
            position: view.position,
        }
    }
}

/// An account's limits; `null` where there's none.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
pub(crate) struct LimitsShape {
    /// The largest posted balance.
    #[schema(required = true)]
    max_balance: Option<u64>,
    /// The largest amount of one transfer, payment, cash-out, fee or hold from the account.
    #[schema(required = true)]
    per_transfer: Option<u64>,
    /// The largest sum of all of these in one business day.
    #[schema(required = true)]
    daily_debit: Option<u64>,
}

/// The age of a local read.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = AsOf)]
pub(crate) struct AsOfShape {
    /// The newest entry that the answer contains.
    position: u64,
    /// Milliseconds since the site that answered was last current with a majority.
    age_ms: u64,
}

impl From<reply::AsOf> for AsOfShape {
    fn from(as_of: reply::AsOf) -> Self {
        // A site that was never current since its start reports the largest age that a double holds
        // exactly.
        Self { position: as_of.position, age_ms: as_of.age_ms.min(AMOUNT_MAX) }
    }
}

/// An object that was read; of a local read, with its age.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Seen<T> {
    #[serde(flatten)]
    what: T,
    /// Of a local read only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    as_of: Option<AsOfShape>,
}

impl<T> Seen<T> {
    pub(crate) fn new(what: T, as_of: Option<reply::AsOf>) -> Self {
        Self { what, as_of: as_of.map(AsOfShape::from) }
    }
}
