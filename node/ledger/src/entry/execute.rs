//! One command: its id looked up, then judged by what it asks for, and changed what follows from it.

use evenkeel_wire::{
    command::Command,
    genesis::Genesis,
    id::CommandId,
    outcome::{Answer, Rejection},
    transfer::Transfer,
};

use super::apply::{EntryContext, PreparedCommand};
use crate::{
    Ledger, LedgerFault,
    genesis::{self, GenesisRecord, IdWindow},
    known_ids::{self, JournalLookup, KnownId},
    rules::{account, checks, limits, status, transfer},
    tables::accounts::account_state::AccountState,
};

/// What the ledger says to one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Committed {
        amount: u64,
        debit_after: i64,
        credit_after: i64,
    },
    Rejected(Rejection),
    Replayed(Answer),
    /// It came too early or too late, which is nobody's fault: no outcome.
    Ignored,
}

impl Verdict {
    /// Committed, and about no money.
    pub(crate) const DONE: Self = Self::Committed { amount: 0, debit_after: 0, credit_after: 0 };
}

impl Ledger {
    /// Judges one command and changes what follows from it.
    #[inline]
    pub(crate) fn execute_command(
        &mut self,
        prepared: &PreparedCommand<'_>,
        entry: &mut EntryContext<'_>,
        firsts: &mut dyn JournalLookup,
    ) -> Result<Verdict, LedgerFault> {
        if let Some(id) = prepared.command.id()
            && let Some(verdict) = self.check_id(id, prepared, entry, firsts)?
        {
            return Ok(verdict);
        }
        match &prepared.command {
            Command::Transfer(transfer) => self.execute_transfer(transfer, prepared, entry),
            _ => self.execute_other(prepared, entry, firsts),
        }
    }

    /// A known id is answered by what is known of it; one that is out of its time never becomes known.
    #[inline]
    fn check_id(
        &self,
        id: CommandId,
        prepared: &PreparedCommand<'_>,
        entry: &EntryContext<'_>,
        firsts: &mut dyn JournalLookup,
    ) -> Result<Option<Verdict>, LedgerFault> {
        let Some(window) = entry.window else { return Err(no_genesis_fault(entry)) };
        let key = (id, prepared.hash);
        match known_ids::look_up_id(&self.recent, entry.current(), key, prepared.bytes, firsts)? {
            KnownId::Fresh => Ok(checks::check_freshness(id, window).err().map(Verdict::Rejected)),
            KnownId::Replay(answer) => Ok(Some(Verdict::Replayed(answer))),
            KnownId::Reused => Ok(Some(Verdict::Rejected(Rejection::IdReused))),
        }
    }

    #[inline]
    fn execute_transfer(
        &mut self,
        transfer: &Transfer,
        prepared: &PreparedCommand<'_>,
        entry: &EntryContext<'_>,
    ) -> Result<Verdict, LedgerFault> {
        let debit = self.accounts.find_hashed(transfer.debit, prepared.debit_hash);
        let credit = self.accounts.find_hashed(transfer.credit, prepared.credit_hash);
        let date = self.date_number();
        let movement = match transfer::judge(&self.accounts, date, transfer, debit, credit) {
            Ok(movement) => movement,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };
        let transfer::TransferPlan { debit, credit, debit_after, credit_after, debited } = movement;
        #[cfg(any(test, evenkeel_planted))]
        let credit_after = credit_after.saturating_add(i64::from(self.planted_leak));
        let position = entry.head.position;
        self.accounts.set_posted(debit, debit_after, debited, position)?;
        self.accounts.set_posted(credit, credit_after, None, position)?;
        self.count_movement(transfer.kind, (debit, credit), transfer.amount.0)?;
        Ok(Verdict::Committed { amount: transfer.amount.0, debit_after, credit_after })
    }

    /// Everything but transfers.
    #[inline(never)]
    fn execute_other(
        &mut self,
        prepared: &PreparedCommand<'_>,
        entry: &mut EntryContext<'_>,
        firsts: &mut dyn JournalLookup,
    ) -> Result<Verdict, LedgerFault> {
        let command = &prepared.command;
        if let Command::Genesis(genesis) = command {
            return self.bootstrap(genesis, entry);
        }
        if self.genesis.is_none() {
            return Err(no_genesis_fault(entry));
        }
        entry.merchant = self.keys.merchant_account(prepared.key);
        let position = entry.head.position;
        match command {
            Command::OpenAccount(open) => {
                account::open(&mut self.accounts, &entry.head, entry.next_index, open, firsts)
            }
            Command::SetStatus(change) => {
                self.set_judged_state(status::judge(&self.accounts, change, position))
            }
            Command::SetLimits(change) => {
                self.set_judged_state(limits::judge(&self.accounts, change, position))
            }
            Command::Hold(hold) => self.execute_hold(hold, entry),
            Command::Capture(capture) => self.execute_capture(capture, entry, firsts),
            Command::Void(void) => self.execute_void(void.hold, entry, firsts),
            Command::ExpireHold(expire) => self.execute_expiry(expire.hold, entry),
            Command::Refund(refund) => self.execute_refund(refund, entry, firsts),
            Command::Reversal(reversal) => self.execute_reversal(reversal, entry, firsts),
            Command::CloseDay(close) => self.close_day(close, entry),
            Command::CreateKey(create) => self.create_key(create, entry, firsts),
            Command::RevokeKey(revoke) => Ok(self.revoke_key(*revoke)),
            Command::Transfer(_) | Command::Genesis(_) => {
                Err(LedgerFault(format!("position {position}: judged elsewhere")))
            }
        }
    }

    fn set_judged_state(
        &mut self,
        judged: Result<(u32, AccountState), Rejection>,
    ) -> Result<Verdict, LedgerFault> {
        match judged {
            Ok((slot, standing)) => {
                self.accounts.set_state(slot, &standing)?;
                Ok(Verdict::DONE)
            }
            Err(rejection) => Ok(Verdict::Rejected(rejection)),
        }
    }

    /// The first genesis founds the ledger; it again replays; another one is `id_reused`, whatever it says.
    fn bootstrap(
        &mut self,
        genesis: &Genesis,
        entry: &mut EntryContext<'_>,
    ) -> Result<Verdict, LedgerFault> {
        if let Some(founded) = &self.genesis {
            return Ok(if founded.genesis == *genesis {
                Verdict::Replayed(founded.first_answer())
            } else {
                Verdict::Rejected(Rejection::IdReused)
            });
        }
        if entry.in_atomic_group() {
            return Err(LedgerFault(format!(
                "position {}: genesis in an atomic group",
                entry.head.position
            )));
        }
        genesis::check_genesis(genesis)
            .map_err(|what| LedgerFault(format!("position {}: {what}", entry.head.position)))?;
        self.accounts.bootstrap(&genesis.assets, genesis.wallet_max_balance);
        self.days.bootstrap(&genesis.assets, genesis.first_date);
        self.keys.bootstrap(genesis.operator_key, entry.head.position, entry.next_index);
        entry.window = Some(IdWindow::at_time(self.time, genesis));
        let stamp = known_ids::stamp(&entry.head);
        self.genesis = Some(GenesisRecord::new(genesis.clone(), stamp, entry.next_index));
        Ok(Verdict::DONE)
    }
}

#[cold]
fn no_genesis_fault(entry: &EntryContext<'_>) -> LedgerFault {
    LedgerFault(format!("position {}: a command before genesis", entry.head.position))
}
