//! What the ledger needs done when its time has come, although nobody asks for it: a business day ended at midnight, holds
//! released whose time is up. The primary puts it into entries of their own, between those of clients.
//!
//! It only proposes. The ledger judges every one of these commands again, by the entry's time: a primary with a wrong list
//! releases nothing, and a day that is over already isn't ended twice. It never moves money and never stops a command.

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

/// How often the ledger is looked at: several times within the second that a hold may outlive its time.
const READ_EVERY: Duration = Duration::from_millis(100);
/// After what a marker that had no outcome is tried again.
const MARKER_RETRY_AFTER: Duration = Duration::from_millis(20);

/// What is to be done, in one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chore {
    /// End the business day.
    EndDay(CloseDay),
    /// Release these holds.
    Release(Vec<CommandId>),
}

impl Chore {
    /// The entry that does it, and nothing else.
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

/// What may be done: nothing of its kind is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedChores {
    pub day: bool,
    pub holds: bool,
}

/// Knows what is due.
pub struct Upkeep {
    state: Arc<AppliedState>,
    journal: Journal,
    next_read: Instant,
    /// The ledger's business day and when it's over, by its calendar. `None`: look.
    day: Option<(BusinessDate, u64)>,
    /// A day isn't ended before, because the ledger said no.
    day_patience: Option<Instant>,
    /// A marker didn't get into the journal: until it's tried again, nothing else may.
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

    /// This node became primary: nothing is known any more.
    pub fn start_term(&mut self, now: Instant) {
        self.day = None;
        self.day_patience = None;
        self.owed = None;
        self.holds.clear();
        self.next_read = now;
    }

    /// A release has landed. `worked`: it did something, so there may be more to do at once.
    pub fn holds_released(&mut self, worked: bool, now: Instant) {
        self.holds.clear();
        self.next_read = if worked { now } else { now + READ_EVERY };
    }

    /// What may have ended a day has landed. `worked`: it was committed.
    pub fn day_changed(&mut self, worked: bool, now: Instant) {
        self.day = None;
        self.day_patience = (!worked).then_some(now + READ_EVERY);
        self.next_read = now;
    }

    /// A marker had no outcome. What counts for the next day waits for another try.
    pub fn marker_failed(&mut self, now: Instant) {
        self.day = None;
        self.owed = Some(now + MARKER_RETRY_AFTER);
        self.next_read = now;
    }

    /// Whether a marker is to come before anything else.
    pub fn owes_marker(&self, now: Instant) -> bool {
        self.owed.is_some_and(|again| now < again)
    }

    /// Whether it's time to look at the ledger. On a full disk upkeep waits, as new commands do.
    pub fn is_read_due(&self, now: Instant) -> bool {
        self.next_read <= now && !self.journal.is_disk_full()
    }

    /// What an entry of this time (microseconds since the Unix epoch) has to do, if anything. A day ends before anything else
    /// happens in the next one.
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

    /// Days in between, on which there was no primary, are closed by the same marker.
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
