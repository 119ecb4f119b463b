//! Queries to the state: the ledger, and the history of decided commands. They never change the
//! ledger.

use evenkeel_wire::{
    day::BusinessDate,
    id::{AccountId, CommandId},
    outcome::Outcome,
    reply::{AccountView, DayView, Refusal, RefusalCode, View},
    request::Query,
};

use super::AppliedState;
use crate::history::{EventCursor, EventPage, HistoryError, HistoryReader, ReadLedger, Settlement};
use evenkeel_ledger::{DecidedOutcome, OpenHold};

impl AppliedState {
    /// A reader of everything that was decided, for one query.
    pub fn history_reader(&self) -> HistoryReader<'_> {
        HistoryReader::new(&self.history, self)
    }

    /// Adds about `bytes_max` bytes of recent entries to the index of accounts' histories. Returns
    /// whether more are left.
    ///
    /// # Errors
    /// When an entry can't be read at the moment.
    pub fn update_recent_index(&self, bytes_max: usize) -> Result<bool, HistoryError> {
        self.history_reader().update_recent_index(bytes_max)
    }

    /// At most `max` applied events after a cursor. Reads files.
    ///
    /// # Errors
    /// When they can't be read at the moment.
    pub fn events_after(&self, after: EventCursor, max: usize) -> Result<EventPage, Refusal> {
        Ok(self.history_reader().events_after(after, max)?)
    }

    /// The settlement of a closed business day. Reads its part of the journal: seconds for millions
    /// of movements.
    ///
    /// # Errors
    /// When the day isn't closed, or a record can't be read at the moment.
    pub fn compute_settlement(&self, date: BusinessDate) -> Result<Settlement, Refusal> {
        self.history_reader()
            .compute_settlement(date)?
            .ok_or_else(|| not_found(&format!("no closed day {date}")))
    }

    /// Answers a query from the applied state. Reads files.
    ///
    /// # Errors
    /// When the subject doesn't exist or can't be read.
    pub fn answer_query(&self, query: &Query) -> Result<View, Refusal> {
        match query {
            Query::Account(id) => ReadLedger::account(self, *id)
                .map(View::Account)
                .ok_or_else(|| not_found(&format!("no account {id}"))),
            Query::Totals => Ok(View::Totals(self.with_ledger(|ledger| ledger.totals()))),
            Query::Transfer(id) => self
                .history_reader()
                .find_transfer(*id)?
                .map(|view| View::Transfer(Box::new(view)))
                .ok_or_else(|| not_found(&format!("no transfer {id}"))),
            Query::Hold(id) => self
                .history_reader()
                .find_hold(*id)?
                .map(|view| View::Hold(Box::new(view)))
                .ok_or_else(|| not_found(&format!("no hold {id}"))),
            Query::History { account, limit, before } => {
                if ReadLedger::account(self, *account).is_none() {
                    return Err(not_found(&format!("no account {account}")));
                }
                Ok(View::History(self.history_reader().read_page(*account, *limit, *before)?))
            }
            Query::Day(date) => ReadLedger::closed_day(self, *date)
                .map(|view| View::Day(Box::new(view)))
                .ok_or_else(|| not_found(&format!("no closed day {date}"))),
            Query::Keys => Ok(View::Keys(self.with_ledger(|ledger| ledger.keys()))),
            Query::Key(hash) => {
                let found = self.with_ledger(|ledger| ledger.key(hash));
                Ok(View::Keys(found.into_iter().collect()))
            }
            Query::Position => self
                .position()
                .map(View::Position)
                .ok_or_else(|| Refusal::new(RefusalCode::Recovering, "nothing is applied yet")),
        }
    }
}

impl ReadLedger for AppliedState {
    fn position(&self) -> Option<u64> {
        Self::position(self)
    }

    fn first_answer(&self, id: CommandId) -> Option<(u64, u16, Outcome)> {
        self.with_ledger(|ledger| ledger.find_recent(id))
    }

    fn outcomes_of(&self, position: u64) -> Option<Vec<DecidedOutcome>> {
        self.with_ledger(|ledger| ledger.outcomes_of(position).map(<[_]>::to_vec))
    }

    fn outcome_of(&self, position: u64, command: u16) -> Option<DecidedOutcome> {
        self.with_ledger(|ledger| ledger.outcomes_of(position)?.get(usize::from(command)).copied())
    }

    fn hold_resolution(&self, hold: CommandId) -> Option<(u64, u16)> {
        self.with_ledger(|ledger| ledger.find_recent_resolution(hold))
    }

    fn open_hold(&self, id: CommandId) -> (Option<OpenHold>, u64) {
        self.with_ledger(|ledger| (ledger.open_hold(id), ledger.time()))
    }

    fn account(&self, id: AccountId) -> Option<AccountView> {
        self.with_ledger(|ledger| ledger.account(id))
    }

    fn closed_day(&self, date: BusinessDate) -> Option<DayView> {
        self.with_ledger(|ledger| ledger.closed_day(date))
    }

    fn paid_back(&self, movements: &[CommandId]) -> Vec<(u64, Option<CommandId>)> {
        self.with_ledger(|ledger| {
            let of = |id: &CommandId| (ledger.refunded_total(*id), ledger.reversed_by(*id));
            movements.iter().map(of).collect()
        })
    }
}

fn not_found(what: &str) -> Refusal {
    Refusal::new(RefusalCode::NotFound, what)
}
