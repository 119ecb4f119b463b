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
    atomic::Group,
    execute::Verdict,
    reader::{Read, Reader, Turn},
};
use crate::{
    EntryHead, Ledger, Unwell,
    containers::ids::Hash,
    genesis::IdWindow,
    known_ids::{Current, FirstAnswers},
    tables::recent::Decided,
};

/// How many commands are decoded ahead.
const AHEAD_COMMANDS: usize = 16;

/// What became of an entry's commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
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
pub(crate) struct Prepared<'a> {
    pub(crate) command: Command,
    pub(crate) bytes: &'a [u8],
    pub(crate) key: KeyId,
    pub(crate) turn: Turn,
    pub(crate) hash: Hash,
    pub(crate) debit_hash: Hash,
    pub(crate) credit_hash: Hash,
}

/// An entry under way.
pub(crate) struct Entry<'a> {
    pub(crate) head: EntryHead,
    pub(crate) window: Option<IdWindow>,
    pub(crate) commands: Vec<&'a [u8]>,
    pub(crate) next_index: u16,
    pub(crate) applied: Applied,
    /// The atomic group under way.
    pub(crate) group: Option<Group>,
    /// Nothing comes before its first command, or after.
    pub(crate) is_of_one_command: bool,
    /// Whose key asks for the command under way, when it's a merchant's.
    pub(crate) merchant: Option<AccountId>,
}

impl<'a> Entry<'a> {
    /// As far as it goes.
    #[inline]
    pub(crate) fn current(&self) -> Current<'a, '_> {
        Current { head: &self.head, commands: &self.commands }
    }

    /// The number of the command under way.
    pub(crate) fn number(&self) -> u16 {
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
        firsts: &mut dyn FirstAnswers,
        answers: &mut Vec<Answer>,
    ) -> Result<Applied, Unwell> {
        let before = answers.len();
        let result = self.apply_entry(head, body, firsts, answers);
        if let Err(unwell) = &result {
            answers.truncate(before);
            self.unwell = Some(unwell.clone());
        }
        result
    }

    /// An entry without commands: only the position moves on.
    ///
    /// # Errors
    /// When it isn't the next one, or the ledger was unwell before.
    pub fn pass(&mut self, head: &EntryHead) -> Result<(), Unwell> {
        let followed = self.follow(head);
        if let Err(unwell) = &followed {
            self.unwell = Some(unwell.clone());
        }
        followed
    }

    /// Moves on to the next entry.
    fn follow(&mut self, head: &EntryHead) -> Result<(), Unwell> {
        if let Some(unwell) = &self.unwell {
            return Err(unwell.clone());
        }
        let expected = self.last.map_or(0, |last| last.position.saturating_add(1));
        if head.position != expected {
            return Err(Unwell(format!(
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
        firsts: &mut dyn FirstAnswers,
        answers: &mut Vec<Answer>,
    ) -> Result<Applied, Unwell> {
        self.follow(head)?;
        let mut reader = Reader::open(head.position, body)?;
        let mut entry = Entry {
            head: *head,
            window: self.founded().map(|genesis| IdWindow::at(self.time, genesis)),
            commands: Vec::new(),
            next_index: 0,
            applied: Applied::default(),
            group: None,
            is_of_one_command: false,
            merchant: None,
        };
        self.recent.begin(head);
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
                self.decide(&prepared, &mut entry, firsts, answers)?;
            }
        }
        self.check_sums(head.position)?;
        Ok(entry.applied)
    }

    /// Asks for the memory that looking up its ids begins with.
    #[inline]
    fn prepare<'a>(&self, read: Read<'a>) -> Prepared<'a> {
        let Read { command, bytes, key, turn } = read;
        let mut hashes = [Hash::default(); 3];
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
        Prepared { command, bytes, key, turn, hash, debit_hash, credit_hash }
    }

    /// Asks for the rows of the accounts that come next.
    fn prefetch_rows(&self, ahead: &[Prepared<'_>]) {
        for prepared in ahead {
            if parties(&prepared.command).is_some() {
                self.accounts.prefetch_row(prepared.debit_hash);
                self.accounts.prefetch_row(prepared.credit_hash);
            }
        }
    }

    /// Judges one command, changes what follows from it, and keeps the answer.
    #[inline]
    fn decide<'a>(
        &mut self,
        prepared: &Prepared<'a>,
        entry: &mut Entry<'a>,
        firsts: &mut dyn FirstAnswers,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Unwell> {
        if let Turn::Atomic { first, last } = prepared.turn {
            return self.decide_together(prepared, (first, last), entry, firsts, answers);
        }
        entry.commands.push(prepared.bytes);
        let verdict = self.judge(prepared, entry, firsts)?;
        self.answer(prepared, &verdict, entry, answers);
        Ok(())
    }

    /// Keeps what was said to a command.
    #[inline]
    pub(crate) fn answer(
        &mut self,
        prepared: &Prepared<'_>,
        verdict: &Verdict,
        entry: &mut Entry<'_>,
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
            Verdict::Passed => {
                let index = Outcome::NO_INDEX;
                let outcome =
                    Outcome { index, rejection, amount: 0, debit_after: 0, credit_after: 0 };
                self.recent.keep(None, Decided { outcome, replayed: false });
                answers.push(Answer { outcome, first: None });
                return;
            }
            Verdict::Again(answer) => {
                self.recent.keep(None, Decided { outcome: answer.outcome, replayed: true });
                count(&mut entry.applied.replayed);
                answers.push(answer);
                return;
            }
        };
        entry.next_index = entry.next_index.wrapping_add(1);
        let own_id = prepared.command.id().map(|id| (id, prepared.hash));
        self.recent.keep(own_id, Decided { outcome, replayed: false });
        self.outcomes.add(subject(&prepared.command), entry.head.position, &outcome);
        answers.push(Answer { outcome, first: None });
    }

    /// No entry makes money or loses any, and what accounts hold is what open holds say.
    fn check_sums(&mut self, position: u64) -> Result<(), Unwell> {
        if self.accounts.reserved != self.holds.reserved() {
            return Err(Unwell(format!(
                "position {position}: accounts and open holds disagree about what is held"
            )));
        }
        let Some((asset, sum)) = self.accounts.totals.leak() else { return Ok(()) };
        let asset = self.founded().map_or("?", |genesis| genesis.assets[asset].name());
        Err(Unwell(format!("position {position}: {asset} sums to {sum} instead of 0")))
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
