//! One command: its id looked up, then judged by what it asks for, and changed what follows from it.

use evenkeel_wire::{
    command::Command,
    genesis::Genesis,
    id::CommandId,
    outcome::{Answer, Rejection},
    transfer::Transfer,
};

use super::apply::{Entry, Prepared};
use crate::{
    Ledger, Unwell,
    genesis::{self, Founded, IdWindow},
    known_ids::{self, FirstAnswers, Known},
    rules::{account, checks, limits, status, transfer},
    tables::accounts::account_state::Standing,
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
    Again(Answer),
    /// It came too early or too late, which is nobody's fault: no outcome.
    Passed,
}

impl Verdict {
    /// Committed, and about no money.
    pub(crate) const DONE: Self = Self::Committed { amount: 0, debit_after: 0, credit_after: 0 };
}

impl Ledger {
    /// Judges one command and changes what follows from it.
    #[inline]
    pub(crate) fn judge(
        &mut self,
        prepared: &Prepared<'_>,
        entry: &mut Entry<'_>,
        firsts: &mut dyn FirstAnswers,
    ) -> Result<Verdict, Unwell> {
        if let Some(id) = prepared.command.id()
            && let Some(verdict) = self.judge_id(id, prepared, entry, firsts)?
        {
            return Ok(verdict);
        }
        match &prepared.command {
            Command::Transfer(transfer) => self.transfer(transfer, prepared, entry),
            _ => self.judge_other(prepared, entry, firsts),
        }
    }

    /// A known id is answered by what is known of it; one that is out of its time never becomes known.
    #[inline]
    fn judge_id(
        &self,
        id: CommandId,
        prepared: &Prepared<'_>,
        entry: &Entry<'_>,
        firsts: &mut dyn FirstAnswers,
    ) -> Result<Option<Verdict>, Unwell> {
        let Some(window) = entry.window else { return Err(unfounded(entry)) };
        let key = (id, prepared.hash);
        match known_ids::known(&self.recent, entry.current(), key, prepared.bytes, firsts)? {
            Known::Fresh => Ok(checks::fresh(id, window).err().map(Verdict::Rejected)),
            Known::Replay(answer) => Ok(Some(Verdict::Again(answer))),
            Known::Reused => Ok(Some(Verdict::Rejected(Rejection::IdReused))),
        }
    }

    #[inline]
    fn transfer(
        &mut self,
        transfer: &Transfer,
        prepared: &Prepared<'_>,
        entry: &Entry<'_>,
    ) -> Result<Verdict, Unwell> {
        let debit = self.accounts.find_hashed(transfer.debit, prepared.debit_hash);
        let credit = self.accounts.find_hashed(transfer.credit, prepared.credit_hash);
        let date = self.date_number();
        let movement = match transfer::judge(&self.accounts, date, transfer, debit, credit) {
            Ok(movement) => movement,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };
        let transfer::Movement { debit, credit, debit_after, credit_after, debited } = movement;
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
    fn judge_other(
        &mut self,
        prepared: &Prepared<'_>,
        entry: &mut Entry<'_>,
        firsts: &mut dyn FirstAnswers,
    ) -> Result<Verdict, Unwell> {
        let command = &prepared.command;
        if let Command::Genesis(genesis) = command {
            return self.found(genesis, entry);
        }
        if self.founded.is_none() {
            return Err(unfounded(entry));
        }
        entry.merchant = self.keys.merchant(prepared.key);
        let position = entry.head.position;
        match command {
            Command::OpenAccount(open) => {
                account::open(&mut self.accounts, &entry.head, entry.next_index, open, firsts)
            }
            Command::SetStatus(change) => {
                self.set_standing(status::judge(&self.accounts, change, position))
            }
            Command::SetLimits(change) => {
                self.set_standing(limits::judge(&self.accounts, change, position))
            }
            Command::Hold(hold) => self.take_up(hold, entry),
            Command::Capture(capture) => self.capture(capture, entry, firsts),
            Command::Void(void) => self.void(void.hold, entry, firsts),
            Command::ExpireHold(expire) => self.expire(expire.hold, entry),
            Command::Refund(refund) => self.refund(refund, entry, firsts),
            Command::Reversal(reversal) => self.reverse(reversal, entry, firsts),
            Command::CloseDay(close) => self.close_day(close, entry),
            Command::CreateKey(create) => self.create_key(create, entry, firsts),
            Command::RevokeKey(revoke) => Ok(self.revoke_key(*revoke)),
            Command::Transfer(_) | Command::Genesis(_) => {
                Err(Unwell(format!("position {position}: judged elsewhere")))
            }
        }
    }

    fn set_standing(
        &mut self,
        judged: Result<(u32, Standing), Rejection>,
    ) -> Result<Verdict, Unwell> {
        match judged {
            Ok((slot, standing)) => {
                self.accounts.set(slot, &standing)?;
                Ok(Verdict::DONE)
            }
            Err(rejection) => Ok(Verdict::Rejected(rejection)),
        }
    }

    /// The first genesis founds the ledger; it again replays; another one is `id_reused`, whatever it says.
    fn found(&mut self, genesis: &Genesis, entry: &mut Entry<'_>) -> Result<Verdict, Unwell> {
        if let Some(founded) = &self.founded {
            return Ok(if founded.genesis == *genesis {
                Verdict::Again(founded.answer())
            } else {
                Verdict::Rejected(Rejection::IdReused)
            });
        }
        if entry.in_atomic_group() {
            return Err(Unwell(format!(
                "position {}: genesis in an atomic group",
                entry.head.position
            )));
        }
        genesis::check(genesis)
            .map_err(|what| Unwell(format!("position {}: {what}", entry.head.position)))?;
        self.accounts.found(&genesis.assets, genesis.wallet_max_balance);
        self.days.found(&genesis.assets, genesis.first_date);
        self.keys.found(genesis.operator_key, entry.head.position, entry.next_index);
        entry.window = Some(IdWindow::at(self.time, genesis));
        let stamp = known_ids::stamp(&entry.head);
        self.founded = Some(Founded::new(genesis.clone(), stamp, entry.next_index));
        Ok(Verdict::DONE)
    }
}

#[cold]
fn unfounded(entry: &Entry<'_>) -> Unwell {
    Unwell(format!("position {}: a command before genesis", entry.head.position))
}
