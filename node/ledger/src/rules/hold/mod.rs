//! Holds: an amount set aside for a merchant, then captured, voided, or released when due.
//!
//! A held amount stays posted and isn't available. A hold counts for the day on which it's placed,
//! and that isn't given back.

pub(crate) mod capture;
pub(crate) mod expire;
pub(crate) mod place;
pub(crate) mod release;
pub(crate) mod void;

use evenkeel_wire::{
    id::{AccountId, CommandId},
    outcome::Rejection,
};

use super::{context::CommandContext, facts, verdict::Stop};
use crate::{
    fault::LedgerFault,
    tables::{
        Tables,
        accounts::{Accounts, account_state::AccountState},
        holds::OpenHold,
    },
};

/// The accounts of a hold and their states after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HoldParties {
    debit: (u32, AccountState),
    credit: (u32, AccountState),
}

/// The end of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HoldClosing {
    hold: CommandId,
    parties: HoldParties,
    /// The command that closes it.
    position: u64,
    command: u16,
}

/// A hold that was placed, open or not.
#[derive(Clone, Copy, Debug)]
struct FoundHold {
    hold: OpenHold,
    /// Neither closed nor due.
    is_open: bool,
}

impl HoldParties {
    fn apply(&self, accounts: &mut Accounts) -> Result<(), LedgerFault> {
        accounts.set_state(self.debit.0, &self.debit.1)?;
        accounts.set_state(self.credit.0, &self.credit.1)
    }
}

impl HoldClosing {
    /// Both accounts without the hold. Impossible sums are found when they are set.
    fn plan(
        tables: &Tables,
        (id, hold): (CommandId, &OpenHold),
        (debit, credit): (u32, u32),
        context: &CommandContext<'_>,
    ) -> Self {
        let accounts = &tables.accounts;
        let (mut payer, mut payee) =
            (accounts.account_state(debit), accounts.account_state(credit));
        payer.extra.held = payer.extra.held.saturating_sub_unsigned(hold.amount);
        payee.extra.incoming_holds = payee.extra.incoming_holds.saturating_sub(1);
        let position = context.position();
        payer.changed_position = position;
        payee.changed_position = position;
        let parties = HoldParties { debit: (debit, payer), credit: (credit, payee) };
        Self { hold: id, parties, position, command: context.command_number() }
    }

    fn apply(&self, tables: &mut Tables) -> Result<(), LedgerFault> {
        self.parties.apply(&mut tables.accounts)?;
        tables.close_hold(self.hold, self.position, self.command);
        Ok(())
    }
}

/// A hold by its id, open or not, that the caller may use.
fn find_hold(
    tables: &Tables,
    id: CommandId,
    context: &mut CommandContext<'_>,
) -> Result<FoundHold, Stop> {
    let found = match tables.holds.get(id) {
        Some(hold) => FoundHold { hold: *hold, is_open: hold.expires_at > tables.time },
        None => find_closed_hold(tables, id, context)?,
    };
    if !context.may_touch(found.hold.credit) {
        return Err(Rejection::HoldNotFound.into());
    }
    Ok(found)
}

fn find_closed_hold(
    tables: &Tables,
    id: CommandId,
    context: &mut CommandContext<'_>,
) -> Result<FoundHold, Stop> {
    let hold = facts::find_hold(id, &mut context.committed_lookup(tables))?;
    let hold = hold.ok_or(Rejection::HoldNotFound)?;
    let amount = hold.amount.0;
    let hold = OpenHold { debit: hold.debit, credit: hold.credit, amount, expires_at: 0 };
    Ok(FoundHold { hold, is_open: false })
}

/// The slots of a hold's accounts.
fn find_parties(tables: &Tables, hold: &OpenHold) -> Result<(u32, u32), LedgerFault> {
    let find = |account: AccountId| {
        let missing = || LedgerFault::new(format!("account {account} of a hold is missing"));
        tables.accounts.find(account).ok_or_else(missing)
    };
    Ok((find(hold.debit)?, find(hold.credit)?))
}
