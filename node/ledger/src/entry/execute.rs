//! One command: its id is looked up, its rule judges it, and the change is applied.

use evenkeel_wire::{command::Command, genesis::Genesis, id::CommandId};

use super::apply::{EntryApplier, PreparedCommand};
use crate::{
    fault::LedgerFault,
    rules::{
        account,
        context::CommandContext,
        day, genesis, hold, key,
        known_ids::{self, CurrentEntry},
        returns, transfer,
        verdict::{Stop, Verdict},
    },
    tables::{Tables, genesis::IdWindow},
};

impl EntryApplier<'_, '_> {
    /// Judges one command and applies its change.
    #[inline]
    pub(super) fn execute_command(&mut self, prepared: &PreparedCommand<'_>) -> Verdict {
        if let Some(id) = prepared.command.id() {
            self.check_id(id, prepared)?;
        }
        match &prepared.command {
            Command::Transfer(transfer) => {
                let hashes = (prepared.debit_hash, prepared.credit_hash);
                let change = transfer::judge(self.tables, transfer, hashes, self.head.position)?;
                Ok(transfer::apply(self.tables, &change)?)
            }
            Command::Genesis(genesis) => self.execute_genesis(genesis),
            command => self.execute_other(command, prepared),
        }
    }

    #[inline]
    fn check_id(&mut self, id: CommandId, prepared: &PreparedCommand<'_>) -> Result<(), Stop> {
        let Some(window) = self.window else { return Err(no_genesis_fault(self.head.position)) };
        let current = CurrentEntry { head: &self.head, commands: &self.commands };
        let (recent, journal) = (&self.tables.recent, &mut *self.journal);
        known_ids::check_id(recent, current, (id, prepared.hash), prepared.bytes, window, journal)
    }

    #[inline(never)]
    fn execute_genesis(&mut self, genesis: &Genesis) -> Verdict {
        let (tables, context) = self.split();
        let record = genesis::judge(tables, genesis, &context)?;
        let committed = genesis::apply(self.tables, record);
        self.window = Some(IdWindow::at_time(self.tables.time, genesis));
        Ok(committed)
    }

    /// Everything but transfers and genesis.
    #[inline(never)]
    fn execute_other(&mut self, command: &Command, prepared: &PreparedCommand<'_>) -> Verdict {
        if self.tables.genesis.is_none() {
            return Err(no_genesis_fault(self.head.position));
        }
        let (tables, mut context) = self.split();
        context.merchant = tables.keys.merchant_account(prepared.key);
        execute_with(tables, command, &mut context)
    }

    /// The tables, and the circumstances of the command under way.
    fn split(&mut self) -> (&mut Tables, CommandContext<'_>) {
        let context = CommandContext {
            entry: CurrentEntry { head: &self.head, commands: &self.commands },
            next_index: self.next_index,
            is_alone: self.is_of_one_command,
            in_group: self.group.is_some(),
            merchant: None,
            journal: self.journal,
        };
        (self.tables, context)
    }
}

fn execute_with(
    tables: &mut Tables,
    command: &Command,
    context: &mut CommandContext<'_>,
) -> Verdict {
    Ok(match command {
        Command::OpenAccount(open) => {
            let change = account::open::judge(tables, open, context)?;
            account::open::apply(tables, &change)
        }
        Command::SetStatus(set) => {
            let change = account::status::judge(tables, set, context)?;
            account::apply(tables, &change)?
        }
        Command::SetLimits(set) => {
            let change = account::limits::judge(tables, set, context)?;
            account::apply(tables, &change)?
        }
        Command::Hold(hold) => {
            let change = hold::place::judge(tables, hold, context)?;
            hold::place::apply(tables, &change)?
        }
        Command::Capture(capture) => {
            let change = hold::capture::judge(tables, capture, context)?;
            hold::capture::apply(tables, &change)?
        }
        Command::Void(void) => {
            let change = hold::void::judge(tables, void, context)?;
            hold::release::apply(tables, &change)?
        }
        Command::ExpireHold(expire) => {
            let change = hold::expire::judge(tables, expire, context)?;
            hold::release::apply(tables, &change)?
        }
        Command::Refund(refund) => {
            let change = returns::refund::judge(tables, refund, context)?;
            returns::refund::apply(tables, &change)?
        }
        Command::Reversal(reversal) => {
            let change = returns::reversal::judge(tables, reversal, context)?;
            returns::reversal::apply(tables, &change)?
        }
        Command::CloseDay(close) => {
            let change = day::judge(tables, close, context)?;
            day::apply(tables, &change)
        }
        Command::CreateKey(create) => {
            let change = key::create::judge(tables, create, context)?;
            key::create::apply(tables, change)
        }
        Command::RevokeKey(revoke) => {
            let change = key::revoke::judge(tables, *revoke)?;
            key::revoke::apply(tables, change)
        }
        Command::Transfer(_) | Command::Genesis(_) => {
            let fault = format!("position {}: judged elsewhere", context.position());
            return Err(LedgerFault::new(fault).into());
        }
    })
}

#[cold]
fn no_genesis_fault(position: u64) -> Stop {
    LedgerFault::new(format!("position {position}: a command before genesis")).into()
}
