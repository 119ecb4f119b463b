//! One entry: its commands decoded in groups, each judged for itself, in order; then the sums.
//!
//! A group's ids and accounts are asked for from memory before its first command is judged, so that waiting for them
//! overlaps.

use evenkeel_wire::{
    command::Command,
    id::{AccountId, CommandId, KeyId},
    outcome::{Answer, Outcome},
};

use super::{
    atomic::AtomicGroup,
    execute::Verdict,
    reader::{EntryReader, Grouping, ReadCommand},
};
use crate::{
    EntryHead, Ledger, LedgerFault,
    containers::ids::IdHash,
    genesis::IdWindow,
    known_ids::{CurrentEntry, JournalLookup},
    tables::recent::DecidedOutcome,
};

/// How many commands are decoded ahead.
const AHEAD_COMMANDS: usize = 16;

/// What became of an entry's commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppliedCounts {
    /// All of them.
    pub commands: u32,
    /// Those that changed something.
    pub committed: u32,
    /// Those that changed nothing.
    pub rejected: u32,
    /// Those that got an earlier answer again.
    pub replayed: u32,
}

/// A command that is about to be judged.
pub(crate) struct PreparedCommand<'a> {
    pub(crate) command: Command,
    pub(crate) bytes: &'a [u8],
    pub(crate) key: KeyId,
    pub(crate) turn: Grouping,
    pub(crate) hash: IdHash,
    pub(crate) debit_hash: IdHash,
    pub(crate) credit_hash: IdHash,
}

/// An entry under way.
pub(crate) struct EntryContext<'a> {
    pub(crate) head: EntryHead,
    pub(crate) window: Option<IdWindow>,
    pub(crate) commands: Vec<&'a [u8]>,
    pub(crate) next_index: u16,
    pub(crate) applied: AppliedCounts,
    /// The atomic group under way.
    pub(crate) group: Option<AtomicGroup>,
    /// Nothing comes before its first command, or after.
    pub(crate) is_of_one_command: bool,
    /// Whose key asks for the command under way, when it's a merchant's.
    pub(crate) merchant: Option<AccountId>,
}

impl<'a> EntryContext<'a> {
    /// As far as it goes.
    #[inline]
    pub(crate) fn current(&self) -> CurrentEntry<'a, '_> {
        CurrentEntry { head: &self.head, commands: &self.commands }
    }

    /// The number of the command under way.
    pub(crate) fn command_number(&self) -> u16 {
        let number = self.commands.len().checked_sub(1).and_then(|at| u16::try_from(at).ok());
        number.expect("at most COMMANDS_MAX, and one is under way")
    }

    /// A merchant's key has to do with nothing but what pays its own account. Its door asks, too, but can't know of what is decided
    /// between there and here.
    pub(crate) fn may_touch(&self, paid: AccountId) -> bool {
        self.merchant.is_none_or(|own| own == paid)
    }

    pub(crate) fn in_atomic_group(&self) -> bool {
        self.group.is_some()
    }
}

impl Ledger {
    /// Applies one entry; puts one answer for each command behind what `answers` holds.
    ///
    /// # Errors
    /// When a belief is broken. The entry may be half applied then: the ledger takes no more, and the node must stop.
    pub fn apply(
        &mut self,
        head: &EntryHead,
        body: &[u8],
        firsts: &mut dyn JournalLookup,
        answers: &mut Vec<Answer>,
    ) -> Result<AppliedCounts, LedgerFault> {
        let before = answers.len();
        let result = self.apply_entry(head, body, firsts, answers);
        if let Err(unwell) = &result {
            answers.truncate(before);
            self.fault = Some(unwell.clone());
        }
        result
    }

    /// An entry without commands: only the position moves on.
    ///
    /// # Errors
    /// When it isn't the next one, or the ledger was unwell before.
    pub fn skip_entry(&mut self, head: &EntryHead) -> Result<(), LedgerFault> {
        let followed = self.advance_to(head);
        if let Err(unwell) = &followed {
            self.fault = Some(unwell.clone());
        }
        followed
    }

    /// Moves on to the next entry.
    fn advance_to(&mut self, head: &EntryHead) -> Result<(), LedgerFault> {
        if let Some(unwell) = &self.fault {
            return Err(unwell.clone());
        }
        let expected = self.last.map_or(0, |last| last.position.saturating_add(1));
        if head.position != expected {
            return Err(LedgerFault(format!(
                "position {}: the ledger expected position {expected}",
                head.position
            )));
        }
        self.last = Some(*head);
        self.time = self.time.max(head.time);
        Ok(())
    }

    fn apply_entry(
        &mut self,
        head: &EntryHead,
        body: &[u8],
        firsts: &mut dyn JournalLookup,
        answers: &mut Vec<Answer>,
    ) -> Result<AppliedCounts, LedgerFault> {
        self.advance_to(head)?;
        let mut reader = EntryReader::open(head.position, body)?;
        let mut entry = EntryContext {
            head: *head,
            window: self.genesis().map(|genesis| IdWindow::at_time(self.time, genesis)),
            commands: Vec::new(),
            next_index: 0,
            applied: AppliedCounts::default(),
            group: None,
            is_of_one_command: false,
            merchant: None,
        };
        self.recent.begin_entry(head);
        let mut ahead = Vec::with_capacity(AHEAD_COMMANDS);
        loop {
            while ahead.len() < AHEAD_COMMANDS
                && let Some(read) = reader.next_command()?
            {
                ahead.push(self.prepare(read));
            }
            if ahead.is_empty() {
                break;
            }
            entry.is_of_one_command = entry.commands.is_empty() && ahead.len() == 1;
            self.prefetch_rows(&ahead);
            for prepared in ahead.drain(..) {
                self.decide_command(&prepared, &mut entry, firsts, answers)?;
            }
        }
        self.check_sums(head.position)?;
        Ok(entry.applied)
    }

    /// Asks for the memory that looking up its ids begins with.
    #[inline]
    fn prepare<'a>(&self, read: ReadCommand<'a>) -> PreparedCommand<'a> {
        let ReadCommand { command, bytes, key, turn } = read;
        let mut hashes = [IdHash::default(); 3];
        if let Some(id) = command.id() {
            hashes[0] = self.seed.hash(id.number());
            self.recent.prefetch(id, hashes[0]);
        }
        if let Some((debit, credit)) = parties(&command) {
            hashes[1] = self.seed.hash(debit.number());
            hashes[2] = self.seed.hash(credit.number());
            self.accounts.prefetch_find(hashes[1]);
            self.accounts.prefetch_find(hashes[2]);
        }
        let [hash, debit_hash, credit_hash] = hashes;
        PreparedCommand { command, bytes, key, turn, hash, debit_hash, credit_hash }
    }

    /// Asks for the rows of the accounts that come next.
    fn prefetch_rows(&self, ahead: &[PreparedCommand<'_>]) {
        for prepared in ahead {
            if parties(&prepared.command).is_some() {
                self.accounts.prefetch_row(prepared.debit_hash);
                self.accounts.prefetch_row(prepared.credit_hash);
            }
        }
    }

    /// Judges one command, changes what follows from it, and keeps the answer.
    #[inline]
    fn decide_command<'a>(
        &mut self,
        prepared: &PreparedCommand<'a>,
        entry: &mut EntryContext<'a>,
        firsts: &mut dyn JournalLookup,
        answers: &mut Vec<Answer>,
    ) -> Result<(), LedgerFault> {
        if let Grouping::Atomic { first, last } = prepared.turn {
            return self.decide_in_group(prepared, (first, last), entry, firsts, answers);
        }
        entry.commands.push(prepared.bytes);
        let verdict = self.execute_command(prepared, entry, firsts)?;
        self.record_answer(prepared, &verdict, entry, answers);
        Ok(())
    }

    /// Keeps what was said to a command.
    #[inline]
    pub(crate) fn record_answer(
        &mut self,
        prepared: &PreparedCommand<'_>,
        verdict: &Verdict,
        entry: &mut EntryContext<'_>,
        answers: &mut Vec<Answer>,
    ) {
        count(&mut entry.applied.commands);
        let (index, rejection) = (entry.next_index, None);
        let outcome = match *verdict {
            Verdict::Committed { amount, debit_after, credit_after } => {
                count(&mut entry.applied.committed);
                Outcome { index, rejection, amount, debit_after, credit_after }
            }
            Verdict::Rejected(rejection) => {
                count(&mut entry.applied.rejected);
                let rejection = Some(rejection);
                Outcome { index, rejection, amount: 0, debit_after: 0, credit_after: 0 }
            }
            Verdict::Ignored => {
                let index = Outcome::NO_INDEX;
                let outcome =
                    Outcome { index, rejection, amount: 0, debit_after: 0, credit_after: 0 };
                self.recent.keep_outcome(None, DecidedOutcome { outcome, replayed: false });
                answers.push(Answer { outcome, first: None });
                return;
            }
            Verdict::Replayed(answer) => {
                self.recent
                    .keep_outcome(None, DecidedOutcome { outcome: answer.outcome, replayed: true });
                count(&mut entry.applied.replayed);
                answers.push(answer);
                return;
            }
        };
        entry.next_index = entry.next_index.wrapping_add(1);
        let own_id = prepared.command.id().map(|id| (id, prepared.hash));
        self.recent.keep_outcome(own_id, DecidedOutcome { outcome, replayed: false });
        self.outcomes.add(subject(&prepared.command), entry.head.position, &outcome);
        answers.push(Answer { outcome, first: None });
    }

    /// No entry makes money or loses any, and what accounts hold is what open holds say.
    fn check_sums(&mut self, position: u64) -> Result<(), LedgerFault> {
        if self.accounts.reserved != self.holds.reserved() {
            return Err(LedgerFault(format!(
                "position {position}: accounts and open holds disagree about what is held"
            )));
        }
        let Some((asset, sum)) = self.accounts.totals.find_leak() else { return Ok(()) };
        let asset = self.genesis().map_or("?", |genesis| genesis.assets[asset].name());
        Err(LedgerFault(format!("position {position}: {asset} sums to {sum} instead of 0")))
    }
}

/// The accounts that a command names and that are worth asking memory for.
#[inline]
fn parties(command: &Command) -> Option<(AccountId, AccountId)> {
    match command {
        Command::Transfer(transfer) => Some((transfer.debit, transfer.credit)),
        Command::Hold(hold) => Some((hold.debit, hold.credit)),
        _ => None,
    }
}

/// What an outcome is about, for the digest.
#[inline]
fn subject(command: &Command) -> u128 {
    match command {
        Command::Transfer(transfer) => transfer.id.number(),
        Command::OpenAccount(open) => open.id.number(),
        Command::ExpireHold(expire) => expire.hold.number(),
        Command::CloseDay(close) => close.closed.number().into(),
        Command::CreateKey(create) => create.account.map_or(0, AccountId::number),
        Command::RevokeKey(revoke) => revoke.key.0.into(),
        other => other.id().map_or(0, CommandId::number),
    }
}

#[inline]
fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}
