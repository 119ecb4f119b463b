//! What the ledger answers about its state.

use evenkeel_wire::{
    day::BusinessDate,
    genesis::Genesis,
    id::{AccountId, CommandId},
    outcome::Outcome,
    reply::{AccountView, DayView, KeyView, Totals},
};

use crate::{
    journal::EntryHead,
    ledger::Ledger,
    tables::{holds::OpenHold, recent::DecidedOutcome},
};

impl Ledger {
    /// The genesis, once it's applied.
    #[must_use]
    pub fn genesis(&self) -> Option<&Genesis> {
        self.tables.genesis()
    }

    /// The newest entry.
    #[must_use]
    pub fn last_entry(&self) -> Option<&EntryHead> {
        self.tables.last.as_ref()
    }

    /// The newest entry's position.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.tables.position()
    }

    /// The ledger's time: the latest stamp of any entry, microseconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.tables.time
    }

    /// The number of accounts.
    #[must_use]
    pub fn account_count(&self) -> usize {
        self.tables.accounts.count()
    }

    /// The current state of an account.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<AccountView> {
        let slot = self.tables.accounts.find(id)?;
        let position = self.position().unwrap_or(0);
        Some(self.tables.accounts.view(slot, position, self.tables.date_number()))
    }

    /// A hold, while it's open. It may be due and its release not written yet.
    #[must_use]
    pub fn open_hold(&self, id: CommandId) -> Option<OpenHold> {
        self.tables.holds.get(id).copied()
    }

    /// The open holds that are due at `now` (microseconds since the Unix epoch), at most `max`,
    /// ordered by due time and id. The primary writes their releases.
    #[must_use]
    pub fn due_holds(&self, now: u64, max: usize) -> Vec<CommandId> {
        self.tables.holds.due_holds(now, max)
    }

    /// When the next open hold is due, microseconds since the Unix epoch.
    #[must_use]
    pub fn next_expiry(&self) -> Option<u64> {
        self.tables.holds.next_expiry()
    }

    /// The position and the number of the command that closed a hold, if it's still in memory.
    #[must_use]
    pub fn find_recent_resolution(&self, hold: CommandId) -> Option<(u64, u16)> {
        self.tables.recent.find_resolution(hold)
    }

    /// The position, the number of the command and the outcome of the first answer to an id, if
    /// it's still in memory.
    #[must_use]
    pub fn find_recent(&self, id: CommandId) -> Option<(u64, u16, Outcome)> {
        self.tables.recent.find(id, self.tables.seed.hash(id.number()))
    }

    /// The latest time of an id that has left memory, milliseconds since the Unix epoch; later ids
    /// are in memory or new. `None`: all ids are in memory.
    #[must_use]
    pub fn forgotten_through_ms(&self) -> Option<u64> {
        self.tables.recent.forgotten_newest_ms()
    }

    /// The outcomes of an entry whose ids are still in memory, one for each command, in order.
    /// `None`: forgotten, or an entry without commands.
    #[must_use]
    pub fn outcomes_of(&self, position: u64) -> Option<&[DecidedOutcome]> {
        self.tables.recent.outcomes_of(position)
    }

    /// What the refunds of a payment have paid back so far.
    #[must_use]
    pub fn refunded_total(&self, payment: CommandId) -> u64 {
        self.tables.refunds.total(payment)
    }

    /// The reversal of a movement.
    #[must_use]
    pub fn reversed_by(&self, movement: CommandId) -> Option<CommandId> {
        self.tables.reversals.reversed_by(movement)
    }

    /// The business date; `None` before genesis.
    #[must_use]
    pub fn business_date(&self) -> Option<BusinessDate> {
        self.genesis().map(|_| self.tables.days.date())
    }

    /// The report of a closed day. A day that was skipped is empty: its first position is greater
    /// than its last one.
    #[must_use]
    pub fn closed_day(&self, date: BusinessDate) -> Option<DayView> {
        self.tables.days.report(date)
    }

    /// The sums by asset and kind of account.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let assets = match self.genesis() {
            Some(genesis) => self.tables.accounts.totals().views(&genesis.assets),
            None => Vec::new(),
        };
        Totals { position: self.position().unwrap_or(0), assets }
    }

    /// The key with this blake3 hash of its text, also when it's revoked.
    #[must_use]
    pub fn key(&self, hash: &[u8; 32]) -> Option<KeyView> {
        self.tables.keys.find(hash)
    }

    /// All keys, by number.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyView> {
        self.tables.keys.views()
    }

    /// The digest of all keys: it changes whenever a key does.
    #[must_use]
    pub fn keys_digest(&self) -> u64 {
        self.tables.keys.rows.digest()
    }
}
