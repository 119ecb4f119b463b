//! What both doors say, in the shapes of the HTTP API: read from its bodies, told from QUIC's views, printed as `--json`.
//!
//! Reading takes no offence at fields that it doesn't know: a newer node may say more.

use evenkeel_wire::{
    client::Answered,
    outcome::{Outcome, Stamp},
    reply::{self, AccountView, AssetTotals, HoldView, TransferView},
    transfer::Transfer,
};
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;

/// How a command ended: the ledger's answer, with what it's about where that is known.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct Done {
    pub(in crate::cli) outcome: Ended,
    pub(in crate::cli) id: String,
    #[serde(flatten)]
    pub(in crate::cli) place: Option<Place>,
    /// It's the first answer again.
    pub(in crate::cli) replayed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) transfer: Option<Movement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) hold: Option<Hold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) account: Option<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) debit_after: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) credit_after: Option<i64>,
    /// What moved, was held or was released.
    #[serde(skip)]
    pub(in crate::cli) amount: u64,
}

/// The two answers of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Ended {
    Committed,
    Rejected,
}

impl Done {
    /// Without what it's about.
    pub(super) fn new(id: String, answered: &Answered) -> Self {
        let Answered { stamp, outcome, replayed } = answered;
        Self {
            outcome: if outcome.rejection.is_some() { Ended::Rejected } else { Ended::Committed },
            id,
            place: Some(Place::new(stamp, outcome.index)),
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

/// Where and when an outcome was decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::cli) struct Place {
    pub(in crate::cli) position: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u16>,
    term: u64,
    pub(in crate::cli) recorded_at: String,
    link: String,
}

impl Place {
    fn new(stamp: &Stamp, index: u16) -> Self {
        Self {
            position: stamp.position,
            index: (index != Outcome::NO_INDEX).then_some(index),
            term: stamp.term,
            recorded_at: rfc3339(stamp.recorded_at),
            link: blake3::Hash::from_bytes(stamp.link).to_hex().as_str().to_owned(),
        }
    }
}

/// A committed movement of money: the API's `transfer`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::cli) struct Movement {
    pub(in crate::cli) id: String,
    pub(in crate::cli) kind: String,
    pub(in crate::cli) debit: String,
    pub(in crate::cli) credit: String,
    pub(in crate::cli) amount: u64,
    pub(in crate::cli) asset: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) memo: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) refunded: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) reversed_by: Option<String>,
    #[serde(flatten)]
    pub(in crate::cli) place: Place,
}

impl Movement {
    /// What a command for a transfer did.
    pub(super) fn moved(transfer: &Transfer, stamp: &Stamp, index: u16) -> Self {
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
            place: Place::new(stamp, index),
        }
    }
}

impl From<TransferView> for Movement {
    fn from(view: TransferView) -> Self {
        Self {
            refunded: view.refunded,
            reversed_by: view.reversed_by.map(|id| id.to_string()),
            ..Self::moved(&view.transfer, &view.stamp, view.index)
        }
    }
}

/// Money set aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::cli) struct Hold {
    id: String,
    debit: String,
    credit: String,
    pub(in crate::cli) amount: u64,
    asset: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memo: Option<String>,
    status: String,
    pub(in crate::cli) expires_at: String,
    #[serde(default)]
    captured: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_by: Option<String>,
    #[serde(flatten)]
    place: Place,
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
            expires_at: rfc3339(view.expires_at),
            captured: view.captured,
            closed_by: view.closed_by.map(|id| id.to_string()),
            place: Place::new(&view.stamp, view.index),
        }
    }
}

/// An account as it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::cli) struct Account {
    pub(in crate::cli) id: String,
    pub(in crate::cli) kind: String,
    pub(in crate::cli) asset: String,
    #[serde(default)]
    pub(in crate::cli) label: String,
    pub(in crate::cli) status: String,
    pub(in crate::cli) posted: i64,
    pub(in crate::cli) held: i64,
    pub(in crate::cli) available: i64,
    pub(in crate::cli) limits: Limits,
    pub(in crate::cli) debited_today: u64,
    opened_at: String,
    pub(in crate::cli) position: u64,
    /// Of a local read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) as_of: Option<AsOf>,
}

impl Account {
    pub(super) fn new(view: AccountView, as_of: Option<reply::AsOf>) -> Self {
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
            opened_at: rfc3339(view.opened_at),
            position: view.position,
            as_of: as_of.map(|as_of| AsOf { position: as_of.position, age_ms: as_of.age_ms }),
        }
    }
}

/// What an account may hold and pay; absent where there's no limit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::cli) struct Limits {
    pub(in crate::cli) max_balance: Option<u64>,
    pub(in crate::cli) per_transfer: Option<u64>,
    pub(in crate::cli) daily_debit: Option<u64>,
}

/// How old a local read may be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::cli) struct AsOf {
    pub(in crate::cli) position: u64,
    pub(in crate::cli) age_ms: u64,
}

/// A part of a history.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::cli) struct Page {
    pub(in crate::cli) items: Vec<Movement>,
    /// Where the next part begins; `None`: this was the last.
    pub(in crate::cli) next_cursor: Option<String>,
}

/// The sums of all accounts.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Totals {
    /// The newest entry that they contain.
    pub(in crate::cli) position: u64,
    /// Each asset and the sum over all of its accounts.
    pub(in crate::cli) sums: Vec<(String, i128)>,
}

/// One asset's sums by kind of account.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Sums {
    wallet: i64,
    merchant: i64,
    bank: i64,
    fee: i64,
    issuer: i64,
}

impl Sums {
    /// Added up here: whoever told them isn't believed.
    pub(super) fn sum(self) -> i128 {
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
