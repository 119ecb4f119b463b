//! Reversals: an error is corrected without editing history. The whole amount moves back, once, as
//! a movement of its own.

use evenkeel_wire::{
    id::CommandId, outcome::Rejection, reversal::Reversal, transfer::TransferKind,
};

use super::{ReturnChange, apply_return, find_parties, judge_return};
use crate::{
    fault::LedgerFault,
    rules::{
        checks,
        context::CommandContext,
        facts,
        verdict::{Committed, Stop},
    },
    tables::Tables,
};

/// A reversal that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReversalChange {
    movement: CommandId,
    by: CommandId,
    back: ReturnChange,
}

/// Judges a reversal.
pub(crate) fn judge(
    tables: &Tables,
    reversal: &Reversal,
    context: &mut CommandContext<'_>,
) -> Result<ReversalChange, Stop> {
    let id = reversal.transfer;
    let movement = facts::find_reversible(id, &mut context.committed_lookup(tables))?;
    let (debit, credit) = find_parties(tables, &movement)?;
    checks::check_statuses(tables.accounts.row(debit), tables.accounts.row(credit))?;
    if tables.reversals.reversed_by(id).is_some() {
        return Err(Rejection::AlreadyReversed.into());
    }
    let (kind, amount) = (TransferKind::Reversal, movement.amount);
    let back = judge_return(tables, kind, (debit, credit), amount, context.position())?;
    Ok(ReversalChange { movement: id, by: reversal.id, back })
}

/// Moves the money and records the reversal.
pub(crate) fn apply(
    tables: &mut Tables,
    change: &ReversalChange,
) -> Result<Committed, LedgerFault> {
    tables.add_reversal(change.movement, change.by)?;
    apply_return(tables, &change.back)
}
