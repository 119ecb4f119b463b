//! Recent ids and outcomes: those of entries that no sealed segment's index covers yet.
//!
//! They are kept in generations, oldest first. A full generation isn't changed any more and a new
//! one begins, so rows are never moved; when all its entries are sealed, it's dropped as a whole.

use std::collections::BTreeMap;

use evenkeel_wire::{
    id::CommandId,
    limits::COMMANDS_MAX,
    outcome::{Outcome, Rejection},
};

use crate::{
    containers::{
        ids::{HashSeed, IdHash, IdTable},
        memory::MemoryAdvice,
    },
    journal::EntryHead,
};

/// The size of the first generation in commands; each next one is four times larger, up to 2^20.
const FIRST_COMMANDS_BITS: u32 = 14;
const COMMANDS_BITS_MAX: u32 = 20;

const _: () = assert!(COMMANDS_MAX <= 1 << FIRST_COMMANDS_BITS, "an entry fits in a generation");

/// The answer to a command of a recent entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecidedOutcome {
    /// The answer; for a replay, the first answer.
    pub outcome: Outcome,
    /// Whether the command was decided before, in an earlier entry or in this one.
    pub replayed: bool,
}

impl DecidedOutcome {
    /// Whether this is the first answer to the command's id, which is kept forever. (An opening has
    /// no id except the account's. An answer without an index is no outcome, so it's no first
    /// answer.)
    #[must_use]
    #[inline]
    pub fn is_recorded(&self) -> bool {
        !self.replayed
            && self.outcome.index != Outcome::NO_INDEX
            && self.outcome.rejection.is_none_or(Rejection::is_recorded)
    }
}

/// Forgotten generations. Dropping them frees their memory.
#[derive(Debug)]
pub struct ForgottenOutcomes {
    _generations: Vec<Generation>,
}

#[derive(Debug)]
struct Generation {
    /// Commands by id, numbered in the order of entries.
    table: IdTable,
    commands_max: usize,
    ids: Vec<u128>,
    decided: Vec<DecidedOutcome>,
    entries: Vec<RecentEntry>,
    /// The position and the number of the command that closed a hold.
    resolutions: BTreeMap<u128, (u64, u16)>,
    /// The times of the recorded ids. Most ids are out of the range of most generations.
    oldest_ms: u64,
    newest_ms: u64,
}

#[derive(Debug)]
struct RecentEntry {
    position: u64,
    /// The number of its first command.
    first: u32,
}

/// The state of the newest generation, for a rollback.
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
    /// The latest time of a forgotten id; `None`: nothing was forgotten.
    forgotten_newest_ms: Option<u64>,
}

impl RecentOutcomes {
    pub(crate) fn new(advice: MemoryAdvice) -> Self {
        let first = Generation::new(FIRST_COMMANDS_BITS, advice);
        Self { advice, generations: vec![first], forgotten_newest_ms: None }
    }

    /// After a start from a checkpoint: all earlier ids are forgotten, the latest with this time.
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

    /// Keeps the answer to the next command of the entry under way, under its id if it has one.
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

    /// The state for [`Self::roll_back_to`], within the same entry.
    pub(crate) fn take_savepoint(&mut self) -> Savepoint {
        let newest = self.newest();
        Savepoint {
            commands: newest.ids.len(),
            oldest_ms: newest.oldest_ms,
            newest_ms: newest.newest_ms,
        }
    }

    /// Forgets the answers that were kept since the savepoint.
    pub(crate) fn roll_back_to(&mut self, savepoint: Savepoint, seed: HashSeed) {
        let newest = self.newest();
        while newest.ids.len() > savepoint.commands {
            let Some(id) = newest.ids.pop() else { break };
            if id != 0 {
                let number = newest.next_number();
                newest.table.remove(seed.hash(id), number);
            }
        }
        newest.decided.truncate(savepoint.commands);
        newest.oldest_ms = savepoint.oldest_ms;
        newest.newest_ms = savepoint.newest_ms;
    }

    /// Records the command that closed a hold.
    pub(crate) fn record_resolution(&mut self, hold: CommandId, position: u64, command: u16) {
        self.newest().resolutions.insert(hold.number(), (position, command));
    }

    /// Undoes a [`Self::record_resolution`] of the same entry.
    pub(crate) fn remove_resolution(&mut self, hold: CommandId) {
        self.newest().resolutions.remove(&hold.number());
    }

    /// The position and the number of the command that closed a hold.
    pub(crate) fn find_resolution(&self, hold: CommandId) -> Option<(u64, u16)> {
        let mut generations = self.generations.iter().rev();
        generations.find_map(|generation| generation.resolutions.get(&hold.number()).copied())
    }

    /// The position, the number of the command and the outcome of the first answer to an id.
    #[inline]
    pub(crate) fn find(&self, id: CommandId, hash: IdHash) -> Option<(u64, u16, Outcome)> {
        self.generations.iter().rev().find_map(|generation| generation.find(id, hash))
    }

    pub(crate) fn forgotten_newest_ms(&self) -> Option<u64> {
        self.forgotten_newest_ms
    }

    /// Whether the id may be a forgotten one.
    #[inline]
    pub(crate) fn may_be_forgotten(&self, id: CommandId) -> bool {
        self.forgotten_newest_ms.is_some_and(|newest| id.timestamp_ms() <= newest)
    }

    /// Whether the id may have an answer, in memory or forgotten. `false` is certain.
    #[inline]
    pub(crate) fn may_be_known(&self, id: CommandId) -> bool {
        self.may_be_forgotten(id) || self.generations.iter().rev().any(|held| held.may_hold(id))
    }

    /// Prefetches the memory where [`Self::find`] and [`Self::keep_outcome`] begin.
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
