//! One entry: its commands decoded in groups, each judged for itself, in order; then the sums.
//!
//! A group's ids and accounts are asked for from memory before its first command is judged, so that waiting for them
//! overlaps.

use evenkeel_wire::{
    command::Command,
    genesis::Genesis,
    outcome::{Answer, Outcome, Rejection},
    transfer::Transfer,
};

use super::{
    EntryHead, Ledger, Unwell, account,
    first::{self, Current, FirstAnswers, Known},
    genesis::{self, Founded, IdWindow},
    ids::Hash,
    reader::Reader,
    recent::Decided,
    transfer,
};

/// How many commands are decoded ahead.
const GROUP_COMMANDS: usize = 16;

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

/// What the ledger says to one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Committed { debit_after: i64, credit_after: i64 },
    Rejected(Rejection),
    Again(Answer),
}

/// A command that is about to be judged.
struct Prepared<'a> {
    command: Command,
    bytes: &'a [u8],
    hash: Hash,
    debit_hash: Hash,
    credit_hash: Hash,
}

/// An entry under way.
struct Entry<'a> {
    head: EntryHead,
    window: Option<IdWindow>,
    commands: Vec<&'a [u8]>,
    next_index: u16,
    applied: Applied,
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
    pub fn pass(&mut self, head: &EntryHead) {
        if let Err(unwell) = self.follow(head) {
            self.unwell = Some(unwell);
        }
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
        };
        self.recent.begin(head);
        let mut group = Vec::with_capacity(GROUP_COMMANDS);
        loop {
            while group.len() < GROUP_COMMANDS
                && let Some((command, bytes)) = reader.next_command()?
            {
                group.push(self.prepare(command, bytes));
            }
            if group.is_empty() {
                break;
            }
            self.prefetch_rows(&group);
            for prepared in group.drain(..) {
                self.decide(&prepared, &mut entry, firsts, answers)?;
            }
        }
        self.check_sums(head.position)?;
        Ok(entry.applied)
    }

    /// Asks for the memory that looking up its ids begins with.
    #[inline]
    fn prepare<'a>(&self, command: Command, bytes: &'a [u8]) -> Prepared<'a> {
        let mut prepared = Prepared {
            command,
            bytes,
            hash: Hash::default(),
            debit_hash: Hash::default(),
            credit_hash: Hash::default(),
        };
        if let Command::Transfer(transfer) = &prepared.command {
            prepared.hash = self.seed.hash(transfer.id.number());
            prepared.debit_hash = self.seed.hash(transfer.debit.number());
            prepared.credit_hash = self.seed.hash(transfer.credit.number());
            self.recent.prefetch(transfer.id, prepared.hash);
            self.accounts.prefetch_find(prepared.debit_hash);
            self.accounts.prefetch_find(prepared.credit_hash);
        }
        prepared
    }

    /// Asks for the rows of a group's accounts.
    fn prefetch_rows(&self, group: &[Prepared<'_>]) {
        for prepared in group {
            if let Command::Transfer(_) = &prepared.command {
                self.accounts.prefetch_row(prepared.debit_hash);
                self.accounts.prefetch_row(prepared.credit_hash);
            }
        }
    }

    /// Judges one command, changes what follows from it, and keeps the answer.
    fn decide<'a>(
        &mut self,
        prepared: &Prepared<'a>,
        entry: &mut Entry<'a>,
        firsts: &mut dyn FirstAnswers,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Unwell> {
        entry.commands.push(prepared.bytes);
        let (id, verdict) = match &prepared.command {
            Command::Transfer(transfer) => {
                (transfer.id.number(), self.transfer(transfer, prepared, entry, firsts)?)
            }
            Command::OpenAccount(open) => {
                let Some(founded) = &self.founded else { return Err(unfounded(entry)) };
                let index = entry.next_index;
                let verdict =
                    account::open(&mut self.accounts, founded, &entry.head, index, open, firsts)?;
                (open.id.number(), verdict)
            }
            Command::Genesis(genesis) => (0, self.found(genesis, entry)?),
            _ => return Err(Unwell("not yet".into())),
        };
        let (rejection, debit_after, credit_after) = match verdict {
            Verdict::Committed { debit_after, credit_after } => (None, debit_after, credit_after),
            Verdict::Rejected(rejection) => (Some(rejection), 0, 0),
            Verdict::Again(answer) => {
                self.recent.keep(None, Decided { outcome: answer.outcome, replayed: true });
                count(&mut entry.applied.replayed);
                count(&mut entry.applied.commands);
                answers.push(answer);
                return Ok(());
            }
        };
        let outcome =
            Outcome { index: entry.next_index, rejection, amount: 0, debit_after, credit_after };
        entry.next_index = entry.next_index.wrapping_add(1);
        count(&mut entry.applied.commands);
        count(match rejection {
            None => &mut entry.applied.committed,
            Some(_) => &mut entry.applied.rejected,
        });
        let own_id = match &prepared.command {
            Command::Transfer(transfer) => Some((transfer.id, prepared.hash)),
            _ => None,
        };
        self.recent.keep(own_id, Decided { outcome, replayed: false });
        self.outcomes.add(id, entry.head.position, &outcome);
        answers.push(Answer { outcome, first: None });
        Ok(())
    }

    #[inline]
    fn transfer(
        &mut self,
        transfer: &Transfer,
        prepared: &Prepared<'_>,
        entry: &Entry<'_>,
        firsts: &mut dyn FirstAnswers,
    ) -> Result<Verdict, Unwell> {
        let Some(window) = entry.window else { return Err(unfounded(entry)) };
        let current = Current { head: &entry.head, commands: &entry.commands };
        let id = (transfer.id, prepared.hash);
        match first::known(&self.recent, &current, id, prepared.bytes, firsts)? {
            Known::Fresh => {}
            Known::Replay(answer) => return Ok(Verdict::Again(answer)),
            Known::Reused => return Ok(Verdict::Rejected(Rejection::IdReused)),
        }
        let debit = self.accounts.find_hashed(transfer.debit, prepared.debit_hash);
        let credit = self.accounts.find_hashed(transfer.credit, prepared.credit_hash);
        let movement = match transfer::judge(&self.accounts, window, transfer, debit, credit) {
            Ok(movement) => movement,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };
        let transfer::Movement { debit, credit, debit_after, credit_after } = movement;
        #[cfg(any(test, evenkeel_planted))]
        let credit_after = credit_after.saturating_add(i64::from(self.planted_leak));
        let position = entry.head.position;
        self.accounts.set_posted(debit, debit_after, position)?;
        self.accounts.set_posted(credit, credit_after, position)?;
        Ok(Verdict::Committed { debit_after, credit_after })
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
        genesis::check(genesis)
            .map_err(|what| Unwell(format!("position {}: {what}", entry.head.position)))?;
        self.accounts.found(genesis.assets.len());
        entry.window = Some(IdWindow::at(self.time, genesis));
        let stamp = first::stamp(&entry.head);
        self.founded = Some(Founded::new(genesis.clone(), stamp, entry.next_index));
        Ok(Verdict::Committed { debit_after: 0, credit_after: 0 })
    }

    /// No entry makes money or loses any.
    fn check_sums(&mut self, position: u64) -> Result<(), Unwell> {
        let Some((asset, sum)) = self.accounts.totals.leak() else { return Ok(()) };
        let asset = self.founded().map_or("?", |genesis| genesis.assets[asset].name());
        Err(Unwell(format!("position {position}: {asset} sums to {sum} instead of 0")))
    }
}

#[cold]
fn unfounded(entry: &Entry<'_>) -> Unwell {
    Unwell(format!("position {}: a command before genesis", entry.head.position))
}

#[inline]
fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}
