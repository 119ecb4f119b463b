//! Events: every outcome in the order of the journal, from any cursor on, the same on every node.
//!
//! An event shows what was decided, never the current state: a payment's event has no later
//! refunds. Replayed answers, failed atomic batches, releases that came too late, genesis and
//! changes of keys aren't events. Only committed and applied entries have events.

use evenkeel_storage::journal::Record;
use evenkeel_wire::{
    account::{AccountKind, AccountStatus, Limits},
    amount::Asset,
    command::Command,
    day::CloseDay,
    id::AccountId,
    limits::LABEL_BYTES_MAX,
    outcome::{Outcome, Stamp},
    reply::{HoldView, TransferView},
    transfer::Text,
};

use super::record_kind;
use super::{
    HistoryError,
    history_reader::{DecidedCommand, HistoryReader},
    holds::open_hold_view,
    walk::{decode_commands, stamp},
};
use evenkeel_ledger::DecidedOutcome;

/// How much of the journal is read for one page.
const WALK_BYTES: usize = 1 << 20;

/// A cursor between outcomes: events come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventCursor {
    /// The start of the journal.
    Start,
    /// After one outcome of an entry: position and index.
    Outcome(u64, u16),
    /// After all outcomes of an entry.
    Entry(u64),
}

/// A page of events, and the cursor behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// In order. May be empty if this stretch of the journal has no events.
    pub events: Vec<Event>,
    /// The cursor of the next page.
    pub next: EventCursor,
    /// Whether more can be read now; otherwise wait until an entry after `next` is applied.
    pub more: bool,
}

/// An outcome as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where and when it was decided.
    pub stamp: Stamp,
    /// The kind of the command.
    pub kind: EventKind,
    /// The UUID of the subject: the command's own, an opened account's, an expired hold's; `None`
    /// for a day.
    pub id: Option<u128>,
    /// The outcome, with its index.
    pub outcome: Outcome,
    /// The subject of a committed outcome.
    pub subject: Subject,
}

/// The subject of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Rejected: there's no subject.
    Nothing,
    /// A movement.
    Transfer(Box<TransferView>),
    /// A hold in the state after this outcome.
    Hold(Box<HoldView>),
    /// The changes of an account.
    Account(Box<AccountChange>),
    /// A closed day.
    Day(CloseDay),
}

/// An account's permanent fields, and the changes of this outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    pub id: AccountId,
    pub kind: AccountKind,
    pub asset: Asset,
    pub label: Text<LABEL_BYTES_MAX>,
    /// The new status; `None`: unchanged.
    pub status: Option<AccountStatus>,
    /// The limits that were set.
    pub limits: Limits,
}

macro_rules! event_kinds {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// The kind of an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventKind {
            $(#[doc = concat!("`", $text, "`")] $name),+
        }

        impl EventKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name in the API.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}
event_kinds! {
    Transfer = "transfer",
    Refund = "refund",
    Reversal = "reversal",
    Hold = "hold",
    Capture = "capture",
    Void = "void",
    HoldExpired = "hold_expired",
    OpenAccount = "open_account",
    Freeze = "freeze",
    Unfreeze = "unfreeze",
    Close = "close",
    Limits = "limits",
    DayClosed = "day_closed",
}

/// The kind and id of an outcome's event. `None`: the outcome isn't an event.
fn event_kind_and_id(
    command: &Command,
    decided: &DecidedOutcome,
) -> Option<(EventKind, Option<u128>)> {
    if decided.replayed || decided.outcome.index == Outcome::NO_INDEX {
        return None;
    }
    let own = command.id().map(|id| id.number());
    Some(match command {
        Command::Transfer(_) => (EventKind::Transfer, own),
        Command::Refund(_) => (EventKind::Refund, own),
        Command::Reversal(_) => (EventKind::Reversal, own),
        Command::Hold(_) => (EventKind::Hold, own),
        Command::Capture(_) => (EventKind::Capture, own),
        Command::Void(_) => (EventKind::Void, own),
        Command::SetStatus(change) => match change.status {
            AccountStatus::Frozen => (EventKind::Freeze, own),
            AccountStatus::Open => (EventKind::Unfreeze, own),
            AccountStatus::Closed => (EventKind::Close, own),
        },
        Command::SetLimits(_) => (EventKind::Limits, own),
        Command::ExpireHold(expire) => (EventKind::HoldExpired, Some(expire.hold.number())),
        Command::OpenAccount(open) => (EventKind::OpenAccount, Some(open.id.number())),
        Command::CloseDay(_) if decided.outcome.rejection.is_none() => (EventKind::DayClosed, None),
        Command::CloseDay(_)
        | Command::Genesis(_)
        | Command::CreateKey(_)
        | Command::RevokeKey(_) => return None,
    })
}

impl HistoryReader<'_> {
    /// At most `max` events after a cursor.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn events_after(&self, after: EventCursor, max: usize) -> Result<EventPage, HistoryError> {
        let mut told = EventPage { events: Vec::new(), next: after, more: false };
        let Some(newest) = self.ledger.position() else { return Ok(told) };
        let from = match after {
            EventCursor::Start => 0,
            EventCursor::Outcome(position, _) => position,
            EventCursor::Entry(position) => position.saturating_add(1),
        };
        if from > newest {
            return Ok(told);
        }
        let records = self.history.journal.read(from, newest + 1, WALK_BYTES)?;
        if records.is_empty() {
            return Err(HistoryError::new(format!("there is no entry {from}")));
        }
        for record in &records {
            if record.kind == record_kind::COMMANDS
                && !self.append_events(record, after, max, &mut told)?
            {
                told.more = true;
                return Ok(told);
            }
            told.next = EventCursor::Entry(record.position);
        }
        told.more = records.last().is_some_and(|last| last.position < newest);
        Ok(told)
    }

    /// Appends an entry's events. `false`: it has more than the page takes.
    fn append_events(
        &self,
        record: &Record,
        after: EventCursor,
        max: usize,
        told: &mut EventPage,
    ) -> Result<bool, HistoryError> {
        let position = record.position;
        let outcomes = self.entry_outcomes(position)?;
        for (next, decided) in decode_commands(&record.payload).zip(&outcomes) {
            let (_, command, _) = next.map_err(HistoryError::new)?;
            let Some((kind, id)) = event_kind_and_id(&command, decided) else { continue };
            let outcome = decided.outcome;
            if matches!(after, EventCursor::Outcome(at, index) if at == position && outcome.index <= index)
            {
                continue;
            }
            if told.events.len() == max {
                return Ok(false);
            }
            let stamp = stamp(record);
            let subject = self.event_subject(DecidedCommand { stamp, command, outcome })?;
            told.events.push(Event { stamp, kind, id, outcome, subject });
            told.next = EventCursor::Outcome(position, outcome.index);
        }
        Ok(true)
    }

    fn event_subject(&self, told: DecidedCommand) -> Result<Subject, HistoryError> {
        if told.outcome.rejection.is_some() {
            return Ok(Subject::Nothing);
        }
        let (stamp, index) = (told.stamp, told.outcome.index);
        Ok(match told.command {
            Command::Hold(hold) => Subject::Hold(Box::new(open_hold_view(hold, stamp, index))),
            Command::Void(void) => {
                Subject::Hold(Box::new(self.hold_ended_by(void.hold, &told.command)?))
            }
            Command::ExpireHold(expire) => {
                Subject::Hold(Box::new(self.hold_ended_by(expire.hold, &told.command)?))
            }
            Command::OpenAccount(open) => Subject::Account(Box::new(AccountChange {
                id: open.id,
                kind: open.kind,
                asset: open.asset,
                label: open.label,
                status: Some(AccountStatus::Open),
                limits: open.limits,
            })),
            Command::SetStatus(change) => {
                self.account_change(change.account, Some(change.status), Limits::default())?
            }
            Command::SetLimits(change) => {
                self.account_change(change.account, None, change.limits)?
            }
            Command::CloseDay(close) => Subject::Day(close),
            _ => match self.transfer_view(told)? {
                Some(view) => Subject::Transfer(Box::new(view)),
                None => Subject::Nothing,
            },
        })
    }

    fn account_change(
        &self,
        id: AccountId,
        status: Option<AccountStatus>,
        limits: Limits,
    ) -> Result<Subject, HistoryError> {
        let account = self.ledger.account(id);
        let account = account.ok_or_else(|| HistoryError::new(format!("account {id} is gone")))?;
        let (kind, asset, label) = (account.kind, account.asset, account.label);
        Ok(Subject::Account(Box::new(AccountChange { id, kind, asset, label, status, limits })))
    }
}
