//! Recent ids and outcomes: those of the entries that no sealed segment's index covers yet.
//!
//! Kept in generations, oldest first. One that is full stays as it is and a new one begins, so nothing is ever moved;
//! one whose entries are all sealed is dropped whole.

use std::collections::BTreeMap;

use evenkeel_wire::{
    id::CommandId,
    limits::COMMANDS_MAX,
    outcome::{Outcome, Rejection},
};

use crate::{
    EntryHead,
    containers::{
        ids::{HashSeed, IdHash, IdTable},
        memory::MemoryAdvice,
    },
};

/// The commands of the first generation; each further one takes four times as many, up to 2^20.
const FIRST_COMMANDS_BITS: u32 = 14;
const COMMANDS_BITS_MAX: u32 = 20;

const _: () = assert!(COMMANDS_MAX <= 1 << FIRST_COMMANDS_BITS, "an entry fits in a generation");

/// The ledger's answer to one command of a recent entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecidedOutcome {
    /// The answer: for a replay the first one.
    pub outcome: Outcome,
    /// Whether it was decided in an earlier entry, or earlier in this one.
    pub replayed: bool,
}

impl DecidedOutcome {
    /// Whether this is the first answer to the command's id, which the id keeps forever. (Opening an account has no id
    /// but the account's. What has no index is no outcome, so it's nobody's first answer.)
    #[must_use]
    #[inline]
    pub fn is_recorded(&self) -> bool {
        !self.replayed
            && self.outcome.index != Outcome::NO_INDEX
            && self.outcome.rejection.is_none_or(Rejection::is_recorded)
    }
}

/// Generations that were forgotten; dropping them gives back their memory.
#[derive(Debug)]
pub struct ForgottenOutcomes {
    _generations: Vec<Generation>,
}

#[derive(Debug)]
struct Generation {
    /// Commands by id, numbered in order of their coming.
    table: IdTable,
    commands_max: usize,
    ids: Vec<u128>,
    decided: Vec<DecidedOutcome>,
    entries: Vec<RecentEntry>,
    /// Entry and command's number that closed a hold.
    resolutions: BTreeMap<u128, (u64, u16)>,
    /// The time that the recorded ids carry: most ids can't be in most generations.
    oldest_ms: u64,
    newest_ms: u64,
}

#[derive(Debug)]
struct RecentEntry {
    position: u64,
    /// The number of its first command.
    first: u32,
}

/// How far the newest generation was, to go back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Savepoint {
    commands: usize,
    oldest_ms: u64,
    newest_ms: u64,
}

/// All generations.
#[derive(Debug)]
pub(crate) struct RecentOutcomes {
    advice: MemoryAdvice,
    generations: Vec<Generation>,
    /// No id that was forgotten carries a later time; `None`: nothing was forgotten.
    forgotten_newest_ms: Option<u64>,
}

impl RecentOutcomes {
    pub(crate) fn new(advice: MemoryAdvice) -> Self {
        let first = Generation::new(FIRST_COMMANDS_BITS, advice);
        Self { advice, generations: vec![first], forgotten_newest_ms: None }
    }

    /// After a start from a checkpoint: all earlier ids are forgotten, and none of them carries a later time.
    pub(crate) fn forget_before_checkpoint(&mut self, newest_ms: u64) {
        *self = Self { forgotten_newest_ms: Some(newest_ms), ..Self::new(self.advice) };
    }

    /// Begins an entry.
    pub(crate) fn begin_entry(&mut self, head: &EntryHead) {
        let newest = self.newest();
        if newest.commands_max.saturating_sub(newest.ids.len()) < COMMANDS_MAX {
            let bits = newest.commands_max.ilog2().saturating_add(2).min(COMMANDS_BITS_MAX);
            let next = Generation::new(bits, self.advice);
            self.generations.push(next);
        }
        let newest = self.newest();
        let first = newest.next_number();
        newest.entries.push(RecentEntry { position: head.position, first });
    }

    /// Keeps the answer to the next command of the entry that was begun, under its id where it has one.
    #[inline]
    pub(crate) fn keep_outcome(
        &mut self,
        id: Option<(CommandId, IdHash)>,
        decided: DecidedOutcome,
    ) {
        let newest = self.newest();
        let number = newest.next_number();
        newest.decided.push(decided);
        match id {
            Some((id, hash)) if decided.is_recorded() => {
                newest.ids.push(id.number());
                newest.table.insert(hash, number);
                newest.oldest_ms = newest.oldest_ms.min(id.timestamp_ms());
                newest.newest_ms = newest.newest_ms.max(id.timestamp_ms());
            }
            _ => newest.ids.push(0),
        }
    }

    /// Where [`Self::roll_back_to`] goes back to, within the same entry.
    pub(crate) fn take_savepoint(&mut self) -> Savepoint {
        let newest = self.newest();
        Savepoint {
            commands: newest.ids.len(),
            oldest_ms: newest.oldest_ms,
            newest_ms: newest.newest_ms,
        }
    }

    /// Forgets the answers that were kept since.
    pub(crate) fn roll_back_to(&mut self, mark: Savepoint, seed: HashSeed) {
        let newest = self.newest();
        while newest.ids.len() > mark.commands {
            let Some(id) = newest.ids.pop() else { break };
            if id != 0 {
                let number = newest.next_number();
                newest.table.remove(seed.hash(id), number);
            }
        }
        newest.decided.truncate(mark.commands);
        newest.oldest_ms = mark.oldest_ms;
        newest.newest_ms = mark.newest_ms;
    }

    /// Keeps what closed a hold.
    pub(crate) fn record_resolution(&mut self, hold: CommandId, position: u64, command: u16) {
        self.newest().resolutions.insert(hold.number(), (position, command));
    }

    /// Undoes a [`Self::record_resolution`] of the same entry.
    pub(crate) fn remove_resolution(&mut self, hold: CommandId) {
        self.newest().resolutions.remove(&hold.number());
    }

    /// Position and command's number of what closed a hold.
    pub(crate) fn find_resolution(&self, hold: CommandId) -> Option<(u64, u16)> {
        let mut generations = self.generations.iter().rev();
        generations.find_map(|generation| generation.resolutions.get(&hold.number()).copied())
    }

    /// Position, command's number and outcome of the first answer to an id.
    #[inline]
    pub(crate) fn find(&self, id: CommandId, hash: IdHash) -> Option<(u64, u16, Outcome)> {
        self.generations.iter().rev().find_map(|generation| generation.find(id, hash))
    }

    /// Whether the id could be one of those that left memory.
    #[inline]
    pub(crate) fn may_be_forgotten(&self, id: CommandId) -> bool {
        self.forgotten_newest_ms.is_some_and(|newest| id.timestamp_ms() <= newest)
    }

    /// Asks for the memory that [`Self::find`] and [`Self::keep_outcome`] begin with.
    #[inline]
    pub(crate) fn prefetch(&self, id: CommandId, hash: IdHash) {
        if let Some((newest, older)) = self.generations.split_last() {
            newest.table.prefetch(hash);
            for generation in older.iter().filter(|older| older.may_hold(id)) {
                generation.table.prefetch(hash);
            }
        }
    }

    pub(crate) fn outcomes_of(&self, position: u64) -> Option<&[DecidedOutcome]> {
        self.generations.iter().rev().find_map(|generation| {
            let at =
                generation.entries.binary_search_by_key(&position, |entry| entry.position).ok()?;
            let end = generation
                .entries
                .get(at.saturating_add(1))
                .map_or(generation.decided.len(), |next| index(next.first));
            generation.decided.get(index(generation.entries[at].first)..end)
        })
    }

    pub(crate) fn forget_through(&mut self, position: u64) -> ForgottenOutcomes {
        let keep_one = self.generations.len().saturating_sub(1);
        let sealed = self.generations[..keep_one]
            .iter()
            .take_while(|generation| generation.last_position().is_none_or(|last| last <= position))
            .count();
        let forgotten: Vec<_> = self.generations.drain(..sealed).collect();
        let newest = forgotten.iter().map(|generation| generation.newest_ms).max();
        self.forgotten_newest_ms = self.forgotten_newest_ms.max(newest);
        ForgottenOutcomes { _generations: forgotten }
    }

    #[inline]
    fn newest(&mut self) -> &mut Generation {
        self.generations.last_mut().expect("there is always one")
    }
}

impl Generation {
    fn new(commands_bits: u32, advice: MemoryAdvice) -> Self {
        let commands_max = 1 << commands_bits;
        let mut ids = Vec::with_capacity(commands_max);
        let mut decided = Vec::with_capacity(commands_max);
        advice.prefer_huge_pages(ids.spare_capacity_mut());
        advice.prefer_huge_pages(decided.spare_capacity_mut());
        Self {
            table: IdTable::new(commands_bits.saturating_add(1), advice),
            commands_max,
            ids,
            decided,
            entries: Vec::new(),
            resolutions: BTreeMap::new(),
            oldest_ms: u64::MAX,
            newest_ms: 0,
        }
    }

    #[inline]
    fn next_number(&self) -> u32 {
        u32::try_from(self.ids.len()).expect("at most 2^20")
    }

    #[inline]
    fn may_hold(&self, id: CommandId) -> bool {
        (self.oldest_ms..=self.newest_ms).contains(&id.timestamp_ms())
    }

    #[inline]
    fn find(&self, id: CommandId, hash: IdHash) -> Option<(u64, u16, Outcome)> {
        if !self.may_hold(id) {
            return None;
        }
        let number = self.table.find(hash, |number| self.ids[index(number)] == id.number())?;
        Some(self.outcome_at(number))
    }

    #[cold]
    fn outcome_at(&self, number: u32) -> (u64, u16, Outcome) {
        let after = self.entries.partition_point(|entry| entry.first <= number);
        let entry = &self.entries[after.checked_sub(1).expect("the first entry begins at 0")];
        let command = number.checked_sub(entry.first).and_then(|n| u16::try_from(n).ok());
        let command = command.expect("an entry has at most COMMANDS_MAX commands");
        (entry.position, command, self.decided[index(number)].outcome)
    }

    fn last_position(&self) -> Option<u64> {
        self.entries.last().map(|entry| entry.position)
    }
}

#[inline]
fn index(number: u32) -> usize {
    usize::try_from(number).expect("a u32 fits in usize")
}
