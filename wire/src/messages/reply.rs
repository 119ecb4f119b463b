//! Messages from a site to a client.
//!
//! ```text
//! WELCOME   bincode of Welcome; answers HELLO
//! OUTCOMES  bincode of Outcomes; answers SUBMIT
//! VIEW      bincode of ViewReply; answers READ
//! REFUSED   bincode of Refused; answers any request, or HELLO with number 0
//! ```

use bincode::{Decode, Encode};

use crate::{
    account::{AccountKind, AccountStatus},
    amount::Asset,
    codec::byte_enum,
    day::BusinessDate,
    hold::{Hold, HoldStatus},
    id::{AccountId, ClusterId, CommandId, KeyId, NodeId},
    key::Role,
    limits::{DETAIL_BYTES_MAX, LABEL_BYTES_MAX, NAME_BYTES_MAX},
    outcome::{Answer, Stamp},
    request::Cursor,
    transfer::{Text, Transfer, TransferKind},
};

/// Frame type: [`Welcome`].
pub const WELCOME: u8 = 65;
/// Frame type: [`Outcomes`].
pub const OUTCOMES: u8 = 66;
/// Frame type: [`ViewReply`].
pub const VIEW: u8 = 67;
/// Frame type: [`Refused`].
pub const REFUSED: u8 = 68;

/// The key was accepted; describes the site.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Welcome {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// The site's name.
    pub site: Text<NAME_BYTES_MAX>,
    /// The primary, if this node knows it; requests sent to it save a hop.
    pub primary: Option<NodeId>,
    /// Whether the node's data folder is on a file system in memory: nothing it acknowledges
    /// survives a power cut.
    pub volatile: bool,
}

/// The outcomes of a SUBMIT, one per command, in order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Outcomes {
    /// The request's number.
    pub number: u64,
    /// The entry in which the request was decided.
    pub stamp: Stamp,
    /// One answer per command.
    pub answers: Vec<Answer>,
}

/// Why a request got no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    /// The bytes aren't a valid request; the detail names the reason.
    Malformed,
    /// A command's id isn't a UUID of version 7.
    IdNotUuidV7,
    /// The key is unknown.
    Unauthorized,
    /// The key's role doesn't allow the request.
    Forbidden,
    /// The object doesn't exist.
    NotFound,
    /// The request is over a size limit.
    TooLarge,
    /// Too many requests with this key.
    RateLimited,
    /// No site can decide now. Nothing was done.
    NoPrimary,
    /// The queues are full. Nothing was done.
    Overloaded,
    /// The node is shutting down. Nothing was done.
    Stopping,
    /// The node is still reading its journal. Nothing was done.
    Recovering,
    /// The command was proposed and its outcome isn't known: it may still commit. Repeat it with
    /// the same id.
    OutcomeUnknown,
}
byte_enum!(RefusalCode {
    Malformed = 1 "malformed",
    IdNotUuidV7 = 2 "id_not_uuid_v7",
    Unauthorized = 3 "unauthorized",
    Forbidden = 4 "forbidden",
    NotFound = 5 "not_found",
    TooLarge = 6 "too_large",
    RateLimited = 7 "rate_limited",
    NoPrimary = 8 "no_primary",
    Overloaded = 9 "overloaded",
    Stopping = 10 "stopping",
    Recovering = 11 "recovering",
    OutcomeUnknown = 12 "outcome_unknown",
});

impl RefusalCode {
    /// Whether the same request may succeed later. Repeating it with the same id is always safe.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::NoPrimary
                | Self::Overloaded
                | Self::Stopping
                | Self::Recovering
                | Self::OutcomeUnknown
        )
    }
}

impl RefusalCode {
    /// Whether the request certainly had no effect and may be sent to another site at once.
    #[must_use]
    pub fn says_nothing_was_done(self) -> bool {
        matches!(self, Self::NoPrimary | Self::Overloaded | Self::Stopping | Self::Recovering)
    }
}

/// The reply to a request without an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Refused {
    /// The request's number.
    pub number: u64,
    /// The reason.
    pub refusal: Refusal,
}

/// Why a request got no outcome, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// The code, for programs.
    pub code: RefusalCode,
    /// The reason in words, for people.
    pub detail: Text<DETAIL_BYTES_MAX>,
}

impl Refusal {
    /// Creates a refusal; a detail that is too long is cut at a character boundary.
    #[must_use]
    pub fn new(code: RefusalCode, detail: &str) -> Self {
        let mut end = detail.len().min(DETAIL_BYTES_MAX);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        let detail = Text::new(&detail[..end]).expect("shortened to the limit");
        Self { code, detail }
    }
}

/// The answer to a read.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ViewReply {
    /// The request's number.
    pub number: u64,
    /// For a local read, its age.
    pub as_of: Option<AsOf>,
    /// The answer.
    pub view: View,
}

/// The age of a local read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AsOf {
    /// The position of the newest entry included.
    pub position: u64,
    /// Milliseconds since this node was last confirmed current by a majority.
    pub age_ms: u64,
}

/// The result of a query.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum View {
    /// One account.
    Account(AccountView),
    /// One transfer.
    Transfer(Box<TransferView>),
    /// A page of a history.
    History(HistoryPage),
    /// The sums of all accounts.
    Totals(Totals),
    /// One hold.
    Hold(Box<HoldView>),
    /// A closed business day.
    Day(Box<DayView>),
    /// All keys, or the requested one.
    Keys(Vec<KeyView>),
    /// The newest position applied by the answering site.
    Position(u64),
}

/// The current state of an account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AccountView {
    /// Its id.
    pub id: AccountId,
    /// Its kind.
    pub kind: AccountKind,
    /// Its asset.
    pub asset: Asset,
    /// Its label, for people.
    pub label: Text<LABEL_BYTES_MAX>,
    /// Its status.
    pub status: AccountStatus,
    /// The settled balance, in minor units, like all amounts here.
    pub posted: i64,
    /// The sum of its own open holds; never below 0. The available balance is `posted - held`.
    pub held: i64,
    /// The largest posted balance, if limited.
    pub max_balance: Option<u64>,
    /// The largest amount of one debit, if limited.
    pub per_transfer: Option<u64>,
    /// The largest sum of debits per business day, if limited.
    pub daily_debit: Option<u64>,
    /// The sum of the debits that count for the daily limit in the current business day.
    pub debited_today: u64,
    /// When it was opened, microseconds since the Unix epoch.
    pub opened_at: u64,
    /// The position of the newest entry included.
    pub position: u64,
}

/// A committed transfer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TransferView {
    /// The movement. A capture is shown as a payment; refunds and reversals as movements of those
    /// kinds with the amount moved, and a reversal's reason as its memo.
    pub transfer: Transfer,
    /// For a payment, the sum of its refunds so far.
    pub refunded: Option<u64>,
    /// The reversal of this transfer, if there is one.
    pub reversed_by: Option<CommandId>,
    /// The entry in which it was decided.
    pub stamp: Stamp,
    /// Its number among the outcomes of its entry.
    pub index: u16,
}

/// The current state of a committed hold.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HoldView {
    /// The hold as requested.
    pub hold: Hold,
    /// Its status.
    pub status: HoldStatus,
    /// The time of its expiry, microseconds since the Unix epoch.
    pub expires_at: u64,
    /// The capture or void that closed it; `None` while it is open, and if it expired.
    pub closed_by: Option<CommandId>,
    /// The amount captured; 0 unless it was captured.
    pub captured: u64,
    /// The entry in which it was decided.
    pub stamp: Stamp,
    /// Its number among the outcomes of its entry.
    pub index: u16,
}

/// A closed business day.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DayView {
    /// The date.
    pub date: BusinessDate,
    /// One row per asset, in the order of genesis.
    pub assets: Vec<DayAsset>,
    /// The position of the first entry of the day.
    pub first_position: u64,
    /// The position of its marker's entry.
    pub last_position: u64,
    /// The link of the marker's entry.
    pub link: [u8; 32],
}

/// One asset's day. For each kind of account, opening plus movements equals closing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DayAsset {
    /// The sums when the day began.
    pub opening: AssetTotals,
    /// The sums when it ended.
    pub closing: AssetTotals,
    /// The movements, one row per kind that occurred, in the order of the kinds' numbers.
    pub movements: Vec<DayMovements>,
}

/// The movements of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DayMovements {
    /// The kind. A capture counts as a payment.
    pub kind: TransferKind,
    /// The number of movements.
    pub count: u64,
    /// The sum of their amounts, in minor units; saturates at the largest `u64`.
    pub sum: u64,
}

/// A key, without its text or hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyView {
    /// Its number.
    pub key: KeyId,
    /// Its role.
    pub role: Role,
    /// The merchant's account, for a merchant's key.
    pub account: Option<AccountId>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A page of an account's history, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HistoryPage {
    /// The transfers.
    pub items: Vec<TransferView>,
    /// The start of the next page; `None` on the last page.
    pub next: Option<Cursor>,
}

/// The sums of all accounts.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Totals {
    /// The position of the newest entry included.
    pub position: u64,
    /// One row per asset, in the order of genesis.
    pub assets: Vec<AssetTotals>,
}

/// One asset's sums of posted balances per kind of account, in minor units. They always add up to
/// zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AssetTotals {
    /// The asset.
    pub asset: Asset,
    /// The sum of all wallets.
    pub wallet: i64,
    /// The sum of all merchants.
    pub merchant: i64,
    /// The sum of all banks.
    pub bank: i64,
    /// The sum of all fee accounts.
    pub fee: i64,
    /// The sum of all issuers.
    pub issuer: i64,
}
