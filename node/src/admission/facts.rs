//! Whose the targets of commands are: what a merchant's key is judged by. Parties never change, so what is known of them
//! stays true.
//!
//! What nobody knows yet is let in: the ledger, behind the log, answers `hold_not_found` or `payment_not_found`, and says the
//! same of a target that was decided meanwhile and is another merchant's.

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
    /// Those of what an answer tells of, if it has some.
    pub fn from_view(view: &View) -> Option<Self> {
        match view {
            View::Transfer(view) => {
                Some(Self { debit: view.transfer.debit, credit: view.transfer.credit })
            }
            View::Hold(view) => Some(Self { debit: view.hold.debit, credit: view.hold.credit }),
            _ => None,
        }
    }

    /// Whether an account is one of them.
    pub fn include(self, account: Option<AccountId>) -> bool {
        account == Some(self.debit) || account == Some(self.credit)
    }
}

/// What is known of targets.
pub trait TargetLookup {
    /// The parties of a hold, whatever became of it; `None`: nobody knows it.
    ///
    /// # Errors
    /// When it can't be looked up.
    fn hold_parties(&self, id: CommandId) -> Result<Option<Parties>, Refusal>;

    /// The parties of a movement; `None`: nobody knows it.
    ///
    /// # Errors
    /// When it can't be looked up.
    fn movement_parties(&self, id: CommandId) -> Result<Option<Parties>, Refusal>;
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

/// Whether a command's target pays the caller's own account, or isn't known.
///
/// # Errors
/// When it can't be looked up.
pub(crate) fn targets_own_account(
    caller: &Caller,
    facts: &dyn TargetLookup,
    command: &Command,
) -> Result<bool, Refusal> {
    let parties = match command {
        Command::Capture(capture) => facts.hold_parties(capture.hold)?,
        Command::Void(void) => facts.hold_parties(void.hold)?,
        Command::Refund(refund) => facts.movement_parties(refund.payment)?,
        _ => return Ok(false),
    };
    Ok(parties.is_none_or(|parties| Some(parties.credit) == caller.account))
}
