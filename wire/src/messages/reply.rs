//! What a site says to a client.
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

/// The key is good; this is who you talk to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Welcome {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// The site's name.
    pub site: Text<NAME_BYTES_MAX>,
    /// The primary, where this node knows one: talk to it to save a hop.
    pub primary: Option<NodeId>,
    /// The node's data folder is on a file system in memory: nothing it acknowledges survives a power cut.
    pub volatile: bool,
}

/// The outcomes of a SUBMIT, one for each command, in order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Outcomes {
    /// The request's.
    pub number: u64,
    /// The entry that the request was decided in.
    pub stamp: Stamp,
    /// One for each command.
    pub answers: Vec<Answer>,
}

/// Why a request got no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    /// The bytes aren't a request; the detail names what is wrong.
    Malformed,
    /// A command's id isn't a UUID of version 7.
    IdNotUuidV7,
    /// The key is unknown.
    Unauthorized,
    /// The key may not do this.
    Forbidden,
    /// What was asked for isn't there.
    NotFound,
    /// Over a limit of size.
    TooLarge,
    /// Too many requests with this key.
    RateLimited,
    /// No site can decide at the moment. Nothing was done.
    NoPrimary,
    /// The queues are full. Nothing was done.
    Overloaded,
    /// The node is shutting down. Nothing was done.
    Stopping,
    /// The node is still reading its journal. Nothing was done.
    Recovering,
    /// The command was proposed and its fate isn't known: it may yet commit. Ask again with the same id.
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
    /// Whether the same request may succeed later. With the same id it's always safe to ask again.
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
    /// Whether the request has certainly had no effect and may be tried elsewhere at once.
    #[must_use]
    pub fn says_nothing_was_done(self) -> bool {
        matches!(self, Self::NoPrimary | Self::Overloaded | Self::Stopping | Self::Recovering)
    }
}

/// A request got no outcome.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Refused {
    /// The request's.
    pub number: u64,
    /// Why.
    pub refusal: Refusal,
}

/// Why a request got no outcome, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people: what is wrong, by name.
    pub detail: Text<DETAIL_BYTES_MAX>,
}

impl Refusal {
    /// With a detail, shortened to what fits.
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
    /// The request's.
    pub number: u64,
    /// For a local read: how old it may be.
    pub as_of: Option<AsOf>,
    /// The answer.
    pub view: View,
}

/// How old a local read may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AsOf {
    /// The newest entry that the answer contains.
    pub position: u64,
    /// Milliseconds since this node last knew itself current with a majority.
    pub age_ms: u64,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum View {
    /// One account.
    Account(AccountView),
    /// One transfer.
    Transfer(Box<TransferView>),
    /// A page of a history.
    History(HistoryPage),
    /// The sums.
    Totals(Totals),
    /// One hold.
    Hold(Box<HoldView>),
    /// A closed business day.
    Day(Box<DayView>),
    /// Keys: all of them, or the one that was asked for.
    Keys(Vec<KeyView>),
    /// The newest position that the answering site has applied.
    Position(u64),
}

/// An account as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AccountView {
    /// Its id.
    pub id: AccountId,
    /// What it is.
    pub kind: AccountKind,
    /// What it holds.
    pub asset: Asset,
    /// For people.
    pub label: Text<LABEL_BYTES_MAX>,
    /// What can be done with it.
    pub status: AccountStatus,
    /// The settled balance.
    pub posted: i64,
    /// What its own open holds have set aside; never below 0. What is available is `posted - held`.
    pub held: i64,
    /// The most that it may hold, where there's a limit.
    pub max_balance: Option<u64>,
    /// The most that one debit may take, where there's a limit.
    pub per_transfer: Option<u64>,
    /// The most that a day's debits may take, where there's a limit.
    pub daily_debit: Option<u64>,
    /// What the debits that count have taken in the current business day.
    pub debited_today: u64,
    /// When it was opened, microseconds since the Unix epoch.
    pub opened_at: u64,
    /// The newest entry that the answer contains.
    pub position: u64,
}

/// A transfer that was committed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TransferView {
    /// What moved. A capture shows as a payment; a refund and a reversal as movements of those kinds, with the amount that
    /// moved, and a reversal's reason as its memo.
    pub transfer: Transfer,
    /// For a payment: what its refunds have paid back so far.
    pub refunded: Option<u64>,
    /// The reversal that undid it.
    pub reversed_by: Option<CommandId>,
    /// Where and when it was decided.
    pub stamp: Stamp,
    /// Its number among the outcomes of its entry.
    pub index: u16,
}

/// A hold that was taken up, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HoldView {
    /// What was asked for.
    pub hold: Hold,
    /// What became of it.
    pub status: HoldStatus,
    /// When its time is up, microseconds since the Unix epoch.
    pub expires_at: u64,
    /// The capture or void that closed it; `None` while it's open, and when its time was up.
    pub closed_by: Option<CommandId>,
    /// What was taken of it; 0 unless it was captured.
    pub captured: u64,
    /// Where and when it was decided.
    pub stamp: Stamp,
    /// Its number among the outcomes of its entry.
    pub index: u16,
}

/// A closed business day.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DayView {
    /// Which day.
    pub date: BusinessDate,
    /// One row for each asset, in the order of genesis.
    pub assets: Vec<DayAsset>,
    /// The first entry that counts for it.
    pub first_position: u64,
    /// Its marker's entry.
    pub last_position: u64,
    /// That entry's link.
    pub link: [u8; 32],
}

/// One asset's day. For each kind of account, opening and movements make closing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DayAsset {
    /// The sums when the day began.
    pub opening: AssetTotals,
    /// The sums when it ended.
    pub closing: AssetTotals,
    /// What moved, one row for each kind that did, in the order of the kinds' numbers.
    pub movements: Vec<DayMovements>,
}

/// The movements of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DayMovements {
    /// Which kind. A capture counts as a payment.
    pub kind: TransferKind,
    /// How many.
    pub count: u64,
    /// How much in all, minor units. A sum that no u64 holds shows as the nearest.
    pub sum: u64,
}

/// A key, without anything that could be used as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyView {
    /// Its number.
    pub key: KeyId,
    /// What it may do.
    pub role: Role,
    /// Whose it is.
    pub account: Option<AccountId>,
    /// It's refused since.
    pub revoked: bool,
}

/// A part of an account's history, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HistoryPage {
    /// The transfers.
    pub items: Vec<TransferView>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Cursor>,
}

/// The sums of all accounts.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Totals {
    /// The newest entry that they contain.
    pub position: u64,
    /// One row for each asset, in the order of genesis.
    pub assets: Vec<AssetTotals>,
}

/// One asset's sums. They always add up to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AssetTotals {
    /// Which asset.
    pub asset: Asset,
    /// All wallets.
    pub wallet: i64,
    /// All merchants.
    pub merchant: i64,
    /// All banks.
    pub bank: i64,
    /// All fee accounts.
    pub fee: i64,
    /// All issuers.
    pub issuer: i64,
}
