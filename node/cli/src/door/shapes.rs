//! Answers in the shapes of the HTTP API, for both doors: parsed from HTTP bodies, made from QUIC's
//! views, printed as `--json`.
//!
//! Unknown fields are ignored: a newer node may send more.

use evenkeel_wire::{
    client::CommandAnswer,
    outcome::{Outcome, Stamp},
    reply::{self, AccountView, AssetTotals, HoldView, TransferView},
    transfer::Transfer,
};
use serde::{Deserialize, Serialize};

use evenkeel_node::clock::format_time;

/// A command's result: the ledger's answer, with its subject if known.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CommandResult {
    pub(crate) outcome: OutcomeKind,
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) place: Option<StampJson>,
    /// This is the first answer again.
    pub(crate) replayed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transfer: Option<Movement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hold: Option<Hold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) debit_after: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credit_after: Option<i64>,
    /// The amount that was moved, held or released.
    #[serde(skip)]
    pub(crate) amount: u64,
}

/// The two answers of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutcomeKind {
    Committed,
    Rejected,
}

impl CommandResult {
    /// A result without its subject.
    pub(crate) fn new(id: String, answered: &CommandAnswer) -> Self {
        let CommandAnswer { stamp, outcome, replayed } = answered;
        Self {
            outcome: if outcome.rejection.is_some() {
                OutcomeKind::Rejected
            } else {
                OutcomeKind::Committed
            },
            id,
            place: Some(StampJson::new(stamp, outcome.index)),
            replayed: *replayed,
            code: outcome.rejection.map(|code| code.name().to_owned()),
            transfer: None,
            hold: None,
            account: None,
            debit_after: None,
            credit_after: None,
            amount: outcome.amount,
        }
    }
}

/// Position and time of a decision.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StampJson {
    pub(crate) position: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u16>,
    term: u64,
    pub(crate) recorded_at: String,
    link: String,
}

impl StampJson {
    fn new(stamp: &Stamp, index: u16) -> Self {
        Self {
            position: stamp.position,
            index: (index != Outcome::NO_INDEX).then_some(index),
            term: stamp.term,
            recorded_at: format_time(stamp.recorded_at),
            link: blake3::Hash::from_bytes(stamp.link).to_hex().as_str().to_owned(),
        }
    }
}

/// A committed movement of money: the API's `transfer`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Movement {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) debit: String,
    pub(crate) credit: String,
    pub(crate) amount: u64,
    pub(crate) asset: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memo: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refunded: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reversed_by: Option<String>,
    #[serde(flatten)]
    pub(crate) place: StampJson,
}

impl Movement {
    /// The movement that a transfer command made.
    pub(crate) fn from_transfer(transfer: &Transfer, stamp: &Stamp, index: u16) -> Self {
        Self {
            id: transfer.id.to_string(),
            kind: transfer.kind.name().to_owned(),
            debit: transfer.debit.to_string(),
            credit: transfer.credit.to_string(),
            amount: transfer.amount.0,
            asset: transfer.asset.name().to_owned(),
            reference: present(transfer.reference.as_str()),
            memo: present(transfer.memo.as_str()),
            refunded: None,
            reversed_by: None,
            place: StampJson::new(stamp, index),
        }
    }
}

impl From<TransferView> for Movement {
    fn from(view: TransferView) -> Self {
        Self {
            refunded: view.refunded,
            reversed_by: view.reversed_by.map(|id| id.to_string()),
            ..Self::from_transfer(&view.transfer, &view.stamp, view.index)
        }
    }
}

/// Money that is held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hold {
    id: String,
    debit: String,
    credit: String,
    pub(crate) amount: u64,
    asset: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memo: Option<String>,
    status: String,
    pub(crate) expires_at: String,
    #[serde(default)]
    captured: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_by: Option<String>,
    #[serde(flatten)]
    place: StampJson,
}

impl From<HoldView> for Hold {
    fn from(view: HoldView) -> Self {
        let hold = view.hold;
        Self {
            id: hold.id.to_string(),
            debit: hold.debit.to_string(),
            credit: hold.credit.to_string(),
            amount: hold.amount.0,
            asset: hold.asset.name().to_owned(),
            memo: present(hold.memo.as_str()),
            status: view.status.name().to_owned(),
            expires_at: format_time(view.expires_at),
            captured: view.captured,
            closed_by: view.closed_by.map(|id| id.to_string()),
            place: StampJson::new(&view.stamp, view.index),
        }
    }
}

/// An account's current state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) asset: String,
    #[serde(default)]
    pub(crate) label: String,
    pub(crate) status: String,
    pub(crate) posted: i64,
    pub(crate) held: i64,
    pub(crate) available: i64,
    pub(crate) limits: Limits,
    pub(crate) debited_today: u64,
    opened_at: String,
    pub(crate) position: u64,
    /// Only in a local read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) as_of: Option<AsOfJson>,
}

impl Account {
    pub(crate) fn new(view: AccountView, as_of: Option<reply::AsOf>) -> Self {
        Self {
            id: view.id.to_string(),
            kind: view.kind.name().to_owned(),
            asset: view.asset.name().to_owned(),
            label: view.label.as_str().to_owned(),
            status: view.status.name().to_owned(),
            posted: view.posted,
            held: view.held,
            available: view.posted.saturating_sub(view.held),
            limits: Limits {
                max_balance: view.max_balance,
                per_transfer: view.per_transfer,
                daily_debit: view.daily_debit,
            },
            debited_today: view.debited_today,
            opened_at: format_time(view.opened_at),
            position: view.position,
            as_of: as_of.map(|as_of| AsOfJson { position: as_of.position, age_ms: as_of.age_ms }),
        }
    }
}

/// An account's limits; absent where there's none.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) max_balance: Option<u64>,
    pub(crate) per_transfer: Option<u64>,
    pub(crate) daily_debit: Option<u64>,
}

/// The age of a local read.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct AsOfJson {
    pub(crate) position: u64,
    pub(crate) age_ms: u64,
}

/// A part of a history.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct HistoryPart {
    pub(crate) items: Vec<Movement>,
    /// The start of the next part; `None` after the last one.
    pub(crate) next_cursor: Option<String>,
}

/// The sums of all accounts.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    /// The position of the newest entry in the sums.
    pub(crate) position: u64,
    /// Each asset with the sum over all of its accounts.
    pub(crate) sums: Vec<(String, i128)>,
}

/// One asset's sums by kind of account.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Sums {
    wallet: i64,
    merchant: i64,
    bank: i64,
    fee: i64,
    issuer: i64,
}

impl Sums {
    /// Added up here instead of trusting the site's own sum.
    pub(crate) fn sum(self) -> i128 {
        [self.wallet, self.merchant, self.bank, self.fee, self.issuer]
            .into_iter()
            .map(i128::from)
            .sum()
    }
}

impl From<&AssetTotals> for Sums {
    fn from(totals: &AssetTotals) -> Self {
        let AssetTotals { wallet, merchant, bank, fee, issuer, .. } = *totals;
        Self { wallet, merchant, bank, fee, issuer }
    }
}

fn present(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
