//! The parties of a command's target, which decide whether a merchant's key may send the command.
//! Parties never change, so a known answer stays true.
//!
//! A command with an unknown target is admitted: the ledger, behind the log, answers
//! `hold_not_found` or `payment_not_found`. It answers the same for a target that was decided in
//! the meantime and belongs to another merchant.

use evenkeel_wire::{
    command::Command,
    id::{AccountId, CommandId},
    reply::{Refusal, RefusalCode, View},
    request::Query,
};

use crate::{road::Caller, state::AppliedState};

/// The two accounts of a hold or a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parties {
    pub debit: AccountId,
    pub credit: AccountId,
}

impl Parties {
    /// The parties of an answer's subject, if it has any.
    pub fn from_view(view: &View) -> Option<Self> {
        match view {
            View::Transfer(view) => {
                Some(Self { debit: view.transfer.debit, credit: view.transfer.credit })
            }
            View::Hold(view) => Some(Self { debit: view.hold.debit, credit: view.hold.credit }),
            _ => None,
        }
    }

    /// Whether an account is one of the parties.
    pub fn include(self, account: Option<AccountId>) -> bool {
        account == Some(self.debit) || account == Some(self.credit)
    }
}

/// Looks up the parties of targets.
pub trait TargetLookup {
    /// The parties of a hold, open or resolved; `None`: there's no such hold.
    ///
    /// # Errors
    /// When the lookup fails.
    fn hold_parties(&self, id: CommandId) -> Result<Option<Parties>, Refusal>;

    /// The parties of a movement; `None`: there's no such movement.
    ///
    /// # Errors
    /// When the lookup fails.
    fn movement_parties(&self, id: CommandId) -> Result<Option<Parties>, Refusal>;
}

/// Knows no target, so every command is admitted: for a first check of form and role, before
/// targets are looked up.
pub struct TargetsUnchecked;

impl TargetLookup for TargetsUnchecked {
    fn hold_parties(&self, _id: CommandId) -> Result<Option<Parties>, Refusal> {
        Ok(None)
    }

    fn movement_parties(&self, _id: CommandId) -> Result<Option<Parties>, Refusal> {
        Ok(None)
    }
}

impl TargetLookup for AppliedState {
    fn hold_parties(&self, id: CommandId) -> Result<Option<Parties>, Refusal> {
        extract_parties(self.answer_query(&Query::Hold(id)))
    }

    fn movement_parties(&self, id: CommandId) -> Result<Option<Parties>, Refusal> {
        extract_parties(self.answer_query(&Query::Transfer(id)))
    }
}

fn extract_parties(answer: Result<View, Refusal>) -> Result<Option<Parties>, Refusal> {
    match answer {
        Ok(view) => Ok(Parties::from_view(&view)),
        Err(refusal) if refusal.code == RefusalCode::NotFound => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// The target by which a merchant's command is judged, and whether it's a hold.
pub(crate) fn named_target(command: &Command) -> Option<(CommandId, bool)> {
    match command {
        Command::Capture(capture) => Some((capture.hold, true)),
        Command::Void(void) => Some((void.hold, true)),
        Command::Refund(refund) => Some((refund.payment, false)),
        _ => None,
    }
}

/// Whether a command's target pays the caller's own account, or is unknown.
///
/// # Errors
/// When the lookup fails.
pub(crate) fn targets_own_account(
    caller: &Caller,
    facts: &dyn TargetLookup,
    command: &Command,
) -> Result<bool, Refusal> {
    let parties = match named_target(command) {
        Some((hold, true)) => facts.hold_parties(hold)?,
        Some((movement, false)) => facts.movement_parties(movement)?,
        None => return Ok(false),
    };
    Ok(parties.is_none_or(|parties| Some(parties.credit) == caller.account))
}
