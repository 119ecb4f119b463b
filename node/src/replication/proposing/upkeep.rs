//! The ledger's scheduled upkeep: the business day ends at midnight, and expired holds are
//! released. The primary proposes it in entries of their own, between those of clients.
//!
//! It only proposes. The ledger judges each of these commands again, by the entry's time: a primary
//! with a wrong list releases nothing, and a day that is over isn't ended twice. It never moves
//! money and never stops a command.

use std::{sync::Arc, time::Duration};

use evenkeel_storage::journal::Journal;
use evenkeel_wire::{
    codec,
    command::Command,
    day::{BusinessDate, CloseDay},
    entry::EntryBuilder,
    hold::ExpireHold,
    id::{CommandId, NODES},
    limits::EXPIRIES_MAX,
};
use tokio::time::Instant;

use crate::{clock::calendar, state::AppliedState};

/// How often the ledger is read: several times within the second that a hold may outlive its time.
const READ_EVERY: Duration = Duration::from_millis(100);
/// How long after a failed end-of-day marker it's proposed again.
const MARKER_RETRY_AFTER: Duration = Duration::from_millis(20);

/// The upkeep of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chore {
    /// End the business day.
    EndDay(CloseDay),
    /// Release these holds.
    Release(Vec<CommandId>),
}

impl Chore {
    /// The entry for this chore alone.
    pub fn entry(&self) -> EntryBuilder {
        let commands: Vec<Command> = match self {
            Self::EndDay(marker) => vec![Command::CloseDay(*marker)],
            Self::Release(holds) => {
                holds.iter().map(|hold| Command::ExpireHold(ExpireHold { hold: *hold })).collect()
            }
        };
        let mut bytes = Vec::new();
        for command in &commands {
            codec::encode_into(command, &mut bytes);
        }
        let count = u32::try_from(commands.len()).expect("at most EXPIRIES_MAX");
        let mut entry = EntryBuilder::new();
        entry.push(NODES, false, count, &bytes);
        entry
    }
}

/// The kinds of chores that may be proposed: none of that kind is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedChores {
    pub day: bool,
    pub holds: bool,
}

/// Finds the chores that are due.
pub struct Upkeep {
    state: Arc<AppliedState>,
    journal: Journal,
    next_read: Instant,
    /// The ledger's business day and when it ends, by its calendar. `None`: read it.
    day: Option<(BusinessDate, u64)>,
    /// The ledger rejected the end of a day: it isn't proposed again before this time.
    day_patience: Option<Instant>,
    /// A marker failed: before it's proposed again, at this time, nothing else is.
    owed: Option<Instant>,
    time_zone: Option<String>,
    holds: Vec<CommandId>,
}

impl Upkeep {
    pub fn new(state: Arc<AppliedState>, journal: Journal) -> Self {
        Self {
            state,
            journal,
            next_read: Instant::now(),
            day: None,
            day_patience: None,
            owed: None,
            time_zone: None,
            holds: Vec::new(),
        }
    }

    /// This node became primary: forgets what was read in an earlier term.
    pub fn start_term(&mut self, now: Instant) {
        self.day = None;
        self.day_patience = None;
        self.owed = None;
        self.holds.clear();
        self.next_read = now;
    }

    /// A release has an outcome. `worked`: it released holds, so more may be due at once.
    pub fn holds_released(&mut self, worked: bool, now: Instant) {
        self.holds.clear();
        self.next_read = if worked { now } else { now + READ_EVERY };
    }

    /// A command that may have ended a day has an outcome. `worked`: it was committed.
    pub fn day_changed(&mut self, worked: bool, now: Instant) {
        self.day = None;
        self.day_patience = (!worked).then_some(now + READ_EVERY);
        self.next_read = now;
    }

    /// A marker has no outcome. Commands of the next day wait until it's proposed again.
    pub fn marker_failed(&mut self, now: Instant) {
        self.day = None;
        self.owed = Some(now + MARKER_RETRY_AFTER);
        self.next_read = now;
    }

    /// Whether a failed marker must come before anything else.
    pub fn owes_marker(&self, now: Instant) -> bool {
        self.owed.is_some_and(|again| now < again)
    }

    /// Whether the ledger must be read. On a full disk upkeep waits, as new commands do.
    pub fn is_read_due(&self, now: Instant) -> bool {
        self.next_read <= now && !self.journal.is_disk_full()
    }

    /// The chore for an entry of this time (microseconds since the Unix epoch), if one is due. A
    /// day ends before anything else happens in the next one.
    pub fn next_chore(&mut self, time: u64, now: Instant, free: AllowedChores) -> Option<Chore> {
        if self.is_read_due(now) {
            self.read_ledger(time, free);
            self.next_read = now + READ_EVERY;
        }
        if self.journal.is_disk_full() {
            return None;
        }
        if free.day
            && let Some(marker) = self.due_day_end(time, now)
        {
            return Some(Chore::EndDay(marker));
        }
        let holds = std::mem::take(&mut self.holds);
        (free.holds && !holds.is_empty()).then_some(Chore::Release(holds))
    }

    /// The marker, if the day is over. It also closes the days on which there was no primary.
    fn due_day_end(&self, time: u64, now: Instant) -> Option<CloseDay> {
        let (closed, over) = self.day?;
        let waits = self.day_patience.is_some_and(|patience| now < patience);
        if time < over || waits || self.owes_marker(now) {
            return None;
        }
        let next = calendar::date_at(time, self.time_zone.as_deref()?);
        (next > closed).then_some(CloseDay { closed, next })
    }

    fn read_ledger(&mut self, time: u64, free: AllowedChores) {
        let (date, holds) = self.state.with_ledger(|ledger| {
            if self.time_zone.is_none() {
                let genesis = ledger.genesis();
                self.time_zone = genesis.map(|genesis| genesis.time_zone.as_str().to_owned());
            }
            let most = if free.holds { EXPIRIES_MAX } else { 0 };
            (ledger.business_date(), ledger.due_holds(time, most))
        });
        self.holds = holds;
        if self.day.is_none_or(|(known, _)| Some(known) != date) {
            let zone = self.time_zone.as_deref().unwrap_or_default();
            self.day = date.map(|date| (date, calendar::start_of_day(date.next(), zone)));
        }
    }
}
