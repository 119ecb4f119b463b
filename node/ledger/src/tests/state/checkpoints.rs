//! A checkpoint and the rest of the journal give the same state as the whole journal.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_wire::{account::AccountKind, outcome::Answer, transfer::TransferKind};
use proptest::prelude::*;

use crate::tests::support::{history::*, world::*};
use crate::{
    CheckpointAccount, CheckpointLoader, CheckpointMarker, CheckpointRow, Ledger, MemoryAdvice,
};

/// The content of a checkpoint store after its last finished checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stored {
    pub(crate) accounts: BTreeMap<u128, CheckpointAccount>,
    pub(crate) settings: BTreeMap<String, Vec<u8>>,
    pub(crate) entries: BTreeMap<(u8, u128), Vec<u8>>,
    pub(crate) marker: Option<CheckpointMarker>,
}

impl Stored {
    fn put(&mut self, rows: Vec<CheckpointRow>) {
        for row in rows {
            match row {
                CheckpointRow::Account(account) => drop(self.accounts.insert(account.id, account)),
                CheckpointRow::Setting { name, value } => drop(self.settings.insert(name, value)),
                CheckpointRow::Table { table, key, value } if value.is_empty() => {
                    self.entries.remove(&(table, key));
                }
                CheckpointRow::Table { table, key, value } => {
                    drop(self.entries.insert((table, key), value))
                }
            }
        }
    }

    pub(crate) fn rows(&self) -> Vec<CheckpointRow> {
        let settings = self.settings.iter();
        let settings = settings.map(|(name, value)| CheckpointRow::Setting {
            name: name.clone(),
            value: value.clone(),
        });
        let entry = |(&(table, key), value): (&(u8, u128), &Vec<u8>)| {
            let value = value.clone();
            CheckpointRow::Table { table, key, value }
        };
        let rest = settings.chain(self.entries.iter().map(entry));
        self.accounts.values().cloned().map(CheckpointRow::Account).chain(rest).collect()
    }

    pub(crate) fn load(&self) -> Result<Ledger, String> {
        load(self.rows(), self.marker.as_ref().unwrap())
    }
}

pub(crate) fn load(rows: Vec<CheckpointRow>, marker: &CheckpointMarker) -> Result<Ledger, String> {
    let mut loader = CheckpointLoader::new(MemoryAdvice::NONE);
    for row in rows {
        loader.put(row)?;
    }
    loader.finish(marker)
}

/// Writes a checkpoint.
pub(crate) fn checkpoint(ledger: &mut Ledger, stored: &mut Stored, all: bool) {
    let head = ledger.checkpoint_begin(all).unwrap();
    let mut rows = Vec::new();
    while ledger.checkpoint_next(3, &mut rows) {}
    ledger.checkpoint_end(true);
    stored.put(rows);
    stored.marker = Some(head.marker);
}

/// Continues from a checkpoint and compares with a ledger that never stopped.
fn check_continues(stored: &Stored, whole: &World, digests: &[[u8; 32]], answers: &[Vec<Answer>]) {
    let mut world = World { ledger: stored.load().unwrap(), journal: whole.journal.clone() };
    let cut = world.ledger.position().unwrap();
    world.journal.sealed_through = Some(cut);
    let at = |world: &World| usize::try_from(world.ledger.position().unwrap()).unwrap();
    assert_eq!(world.ledger.digest(), digests[at(&world)], "as loaded, at {cut}");
    while let Some(found) = world.step(&whole.journal) {
        assert_eq!(found, answers[at(&world)], "from {cut}");
        assert_eq!(world.ledger.digest(), digests[at(&world)], "from {cut}");
    }
}

/// The content of a checkpoint of all rows.
pub(crate) fn rows_of(ledger: &mut Ledger) -> Stored {
    let mut stored = Stored::default();
    ledger.checkpoint_begin(true).unwrap();
    let mut rows = Vec::new();
    while ledger.checkpoint_next(100, &mut rows) {}
    ledger.checkpoint_end(false);
    stored.put(rows);
    stored
}

type HistoryRun = (World, Vec<[u8; 32]>, Vec<Vec<Answer>>);

fn run_history(history: &History) -> HistoryRun {
    let mut whole = World::empty();
    let (mut digests, mut answers) = (Vec::new(), Vec::new());
    for event in history.0.iter() {
        answers.push(whole.apply_event(event));
        digests.push(whole.ledger.digest());
    }
    (whole, digests, answers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_start_from_any_checkpoint_ends_in_the_state_of_the_whole_journal(history in histories()) {
        let (whole, digests, answers) = run_history(&history);
        let mut cutting = World::empty();
        let mut kept = Stored::default();
        for event in history.0.iter() {
            cutting.apply_event(event);
            let mut fresh = Stored::default();
            checkpoint(&mut cutting.ledger, &mut fresh, true);
            check_continues(&fresh, &whole, &digests, &answers);
        }
        let mut cutting = World::empty();
        for event in history.0.iter() {
            cutting.apply_event(event);
            checkpoint(&mut cutting.ledger, &mut kept, false);
            check_continues(&kept, &whole, &digests, &answers);
        }
    }

    #[test]
    fn slices_taken_while_entries_are_applied_are_of_one_position(
        history in histories(),
        choices in proptest::collection::vec((1..4_usize, 0..8_u8), 30),
    ) {
        let (whole, digests, answers) = run_history(&history);
        let mut world = World::empty();
        let mut stored = Stored::default();
        let mut under_way: Option<(Stored, CheckpointMarker)> = None;
        let mut copied = BTreeSet::new();
        let mut choices = choices.into_iter().cycle();
        for event in history.0.iter() {
            world.apply_event(event);
            let (rows_max, chance) = choices.next().unwrap();
            let (mut copy, marker) = under_way.take().unwrap_or_else(|| {
                let head = world.ledger.checkpoint_begin(chance == 7).unwrap();
                (stored.clone(), head.marker)
            });
            let mut rows = Vec::new();
            let more = world.ledger.checkpoint_next(rows_max, &mut rows);
            for row in &rows {
                if let CheckpointRow::Account(account) = row {
                    prop_assert!(copied.insert(account.id), "each row once");
                    prop_assert!(account.changed_position <= marker.position);
                }
            }
            copy.put(rows);
            if more {
                under_way = Some((copy, marker));
                continue;
            }
            copied.clear();
            let written = chance != 0;
            world.ledger.checkpoint_end(written);
            if written {
                stored = copy;
                stored.marker = Some(marker);
                check_continues(&stored, &whole, &digests, &answers);
            }
        }
    }
}

#[test]
fn only_rows_that_changed_are_copied_again() {
    let mut world = World::bootstrapped();
    for number in 1..=20 {
        world.open(account(number), AccountKind::Bank, "KRW");
    }
    let (bank, wallet) = (account(1), account(50));
    world.open(wallet, AccountKind::Wallet, "KRW");
    let mut stored = Stored::default();
    checkpoint(&mut world.ledger, &mut stored, false);
    assert_eq!(stored.accounts.len(), 21, "the first one is of all rows");

    let top_up = |number| {
        let kind = TransferKind::TopUp;
        transfer(id(0, number), kind, (bank, wallet), 1, "KRW")
    };
    world.entry(T0, &[top_up(1), top_up(2)]);
    assert!(!world.ledger.checkpoint_begin(false).unwrap().all);
    world.entry(T0, &[top_up(3)]);
    let mut rows = Vec::new();
    while world.ledger.checkpoint_next(1, &mut rows) {}
    let posted = |rows: &[CheckpointRow]| -> BTreeMap<u128, i64> {
        let accounts = rows.iter().filter_map(|row| match row {
            CheckpointRow::Account(account) => Some((account.id, account.posted)),
            CheckpointRow::Setting { .. } | CheckpointRow::Table { .. } => None,
        });
        accounts.collect()
    };
    assert_eq!(posted(&rows), BTreeMap::from([(1, -2), (50, 2)]), "the state when it began");
    assert_eq!(rows.len(), 5, "two accounts, two settings and the day under way");
    for row in &rows {
        if let CheckpointRow::Account(account) = row {
            assert_eq!(account.changed_position, 22);
        }
    }

    // It wasn't written: the next one is of all rows again.
    world.ledger.checkpoint_end(false);
    let head = world.ledger.checkpoint_begin(false).unwrap();
    assert!(head.all);
    let mut rows = Vec::new();
    while world.ledger.checkpoint_next(100, &mut rows) {}
    assert_eq!(posted(&rows).len(), 21);
    // A checkpoint that ends before all rows are copied isn't written, and neither is one that is
    // replaced by another.
    world.ledger.checkpoint_end(true);
    assert!(!world.ledger.checkpoint_begin(false).unwrap().all);
    world.entry(T0, &[top_up(4)]);
    assert!(world.ledger.checkpoint_begin(false).unwrap().all);
    world.ledger.checkpoint_end(true);
    assert!(world.ledger.checkpoint_begin(false).unwrap().all);
}

#[test]
fn a_ledger_without_entries_has_no_checkpoint() {
    let mut world = World::empty();
    assert_eq!(world.ledger.checkpoint_begin(true), None);
    assert!(!world.ledger.checkpoint_next(1, &mut Vec::new()));
    world.pass(0);
    let mut stored = Stored::default();
    checkpoint(&mut world.ledger, &mut stored, false);
    let digest = world.ledger.digest();
    assert_eq!(stored.load().unwrap().digest(), digest, "before genesis");
}
