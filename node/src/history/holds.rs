//! The current state of a hold: its command from history, its status from the ledger, and its
//! closing command by the id derived from the hold's. It never writes.

use evenkeel_wire::{
    command::Command,
    hold::{Hold, HoldStatus},
    id::CommandId,
    outcome::Stamp,
    reply::HoldView,
};

use super::{
    HistoryError,
    history_reader::{DecidedCommand, HistoryReader},
};

impl HistoryReader<'_> {
    /// The current state of a hold. `None`: no hold has this id. A hold past its time is shown as
    /// expired, even if its release isn't written yet.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn find_hold(&self, id: CommandId) -> Result<Option<HoldView>, HistoryError> {
        let Some(told) = self.find_committed(id)? else { return Ok(None) };
        let Some(view) = hold_view_of(told) else { return Ok(None) };
        // The hold exists in history, so a hold that isn't open was closed before this read.
        let (open, now) = self.ledger.open_hold(id);
        if let Some(open) = open {
            let status =
                if open.expires_at <= now { HoldStatus::Expired } else { HoldStatus::Open };
            return Ok(Some(HoldView { status, ..view }));
        }
        let closed = self.find_resolution(id, view.stamp.position)?;
        let closed = closed.ok_or_else(|| {
            HistoryError::new(format!("the command that closed the hold {id} is missing"))
        })?;
        Ok(Some(closed_hold_view(view, &closed.command, closed.outcome.amount)))
    }

    /// The state of a hold after a void or an expiry.
    pub(crate) fn hold_ended_by(
        &self,
        id: CommandId,
        by: &Command,
    ) -> Result<HoldView, HistoryError> {
        let view = self.find_committed(id)?.and_then(hold_view_of);
        let view = view.ok_or_else(|| HistoryError::new(format!("the hold {id} is missing")))?;
        Ok(closed_hold_view(view, by, 0))
    }
}

/// The state of a decided hold when it was opened.
fn hold_view_of(told: DecidedCommand) -> Option<HoldView> {
    let DecidedCommand { stamp, outcome, command: Command::Hold(hold), .. } = told else {
        return None;
    };
    Some(open_hold_view(hold, stamp, outcome.index))
}

/// The state of a hold when it was opened.
pub(crate) fn open_hold_view(hold: Hold, stamp: Stamp, index: u16) -> HoldView {
    let expires_at = stamp.recorded_at.saturating_add(hold.expires_in_ms.saturating_mul(1_000));
    let status = HoldStatus::Open;
    HoldView { hold, status, expires_at, closed_by: None, captured: 0, stamp, index }
}

fn closed_hold_view(view: HoldView, by: &Command, amount: u64) -> HoldView {
    match by {
        Command::Capture(capture) => HoldView {
            status: HoldStatus::Captured,
            closed_by: Some(capture.id),
            captured: amount,
            ..view
        },
        Command::Void(void) => {
            HoldView { status: HoldStatus::Voided, closed_by: Some(void.id), ..view }
        }
        _ => HoldView { status: HoldStatus::Expired, ..view },
    }
}
