//! The end of a business day, and what counts for the day under way.

use evenkeel_wire::{
    day::{BusinessDate, CloseDay},
    outcome::Rejection,
    reply::DayView,
    transfer::TransferKind,
};

use super::flows::Flow;
use crate::{
    Ledger, LedgerFault,
    entry::{apply::EntryContext, execute::Verdict, undo::UndoStep},
};

impl Ledger {
    /// The report of a closed day. A day that was passed over was empty: its first position lies behind its last one.
    #[must_use]
    pub fn closed_day(&self, date: BusinessDate) -> Option<DayView> {
        self.days.report(date)
    }

    /// Counts a movement between the accounts of these rows.
    #[inline]
    pub(crate) fn count_movement(
        &mut self,
        kind: TransferKind,
        (debit, credit): (u32, u32),
        amount: u64,
    ) -> Result<(), LedgerFault> {
        let (payer, payee) = (self.accounts.row(debit), self.accounts.row(credit));
        let Some(flow) = Flow::of_movement(kind, payer.kind, payee.kind) else {
            return Err(LedgerFault(format!(
                "a {kind} from {} {} to {} {}",
                payer.kind, payer.id, payee.kind, payee.id
            )));
        };
        let asset_index = payer.asset_index;
        self.days.count_movement(flow, asset_index, amount);
        self.undo.push(|| UndoStep::Moved(flow, asset_index, amount));
        Ok(())
    }

    /// Ends the day. A marker that isn't alone in its entry, or of another day, changes nothing.
    pub(crate) fn close_day(
        &mut self,
        close: &CloseDay,
        entry: &EntryContext<'_>,
    ) -> Result<Verdict, LedgerFault> {
        if !entry.is_of_one_command {
            return Ok(Verdict::Rejected(Rejection::DayNotOpen));
        }
        match self.days.close(close, self.accounts.totals().rows(), &entry.head)? {
            Ok(closed) => {
                self.undo.push(|| UndoStep::DayClosed(closed));
                Ok(Verdict::DONE)
            }
            Err(rejection) => Ok(Verdict::Rejected(rejection)),
        }
    }
}
