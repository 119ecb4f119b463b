//! Rows that the tests put into checkpoints and expect back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::Link;
use crate::balances::{AccountRow, CheckpointError, Checkpoints, Marker, Row};

/// SplitMix64, so that a failing test can be repeated.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

pub(crate) fn account(id: u128, asset: u64, posted: i64) -> AccountRow {
    AccountRow {
        id,
        kind: 1,
        status: 0,
        asset,
        posted,
        held: 3,
        incoming_holds: 1,
        debited_today: 700,
        debited_date: 20_777,
        max_balance: Some(1_000_000),
        per_transfer: None,
        daily_debit: Some(5_000),
        opened_at: 1_790_000_000_000_000,
        opened_position: 12,
        opened_index: 3,
        changed_position: 99,
        label: format!("account {id}"),
    }
}

/// All rows of a generation, as they must be loaded.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Book {
    accounts: BTreeMap<u128, AccountRow>,
    settings: BTreeMap<String, Vec<u8>>,
    pub(crate) entries: BTreeMap<(u8, u128), Vec<u8>>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { accounts, settings, entries } = self;
        let (accounts, settings, entries) = (accounts.len(), settings.len(), entries.len());
        write!(formatter, "{accounts} accounts, {settings} settings, {entries} entries")
    }
}

impl Book {
    pub(crate) fn note(&mut self, row: Row) {
        match row {
            Row::Account(row) => drop(self.accounts.insert(row.id, row)),
            Row::Setting { name, value } => drop(self.settings.insert(name, value)),
            Row::Entry { table, key, value } if value.is_empty() => {
                self.entries.remove(&(table, key));
            }
            Row::Entry { table, key, value } => drop(self.entries.insert((table, key), value)),
        }
    }

    /// Opens accounts, moves money, writes settings and entries; returns the changed rows. The sums
    /// per asset stay the same, so that sums alone can't tell an old row from a new one.
    pub(crate) fn change(&mut self, random: &mut Random, rows: u64) -> Vec<Row> {
        let mut changed = Vec::new();
        for _ in 0..rows.div_ceil(2) {
            if random.below(20) == 0 {
                let name = ["a", "a\0", "b", "keys", ""][usize::try_from(random.below(5)).unwrap()];
                let value = random.next().to_le_bytes().repeat(2);
                changed.push(Row::Setting { name: name.into(), value });
                continue;
            }
            if random.below(3) == 0 {
                changed.push(some_entry(random, rows));
            }
            let amount = i64::try_from(random.below(1000)).unwrap();
            for amount in [amount, -amount] {
                let id = u128::from(random.below(rows)) << 64 | 7;
                let asset = 978;
                let mut row = self.accounts.get(&id).cloned().unwrap_or(account(id, asset, 0));
                row.posted += amount;
                row.changed_position = random.next();
                self.note(Row::Account(row.clone()));
                changed.push(Row::Account(row));
            }
        }
        changed.iter().cloned().for_each(|row| self.note(row));
        changed
    }

    pub(crate) fn marker(&self, generation: u64) -> Marker {
        let mut sums = BTreeMap::new();
        for row in self.accounts.values() {
            *sums.entry(row.asset).or_insert(0) += i128::from(row.posted);
        }
        Marker {
            generation,
            position: generation * 1000,
            term: 4,
            time: 1_790_000_000_000_000,
            link: Link([7; 32]),
            accounts: u64::try_from(self.accounts.len()).unwrap(),
            digest: [9; 32],
            sums: sums.into_iter().collect(),
            format: 1,
        }
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        let accounts = self.accounts.values().cloned().map(Row::Account);
        let setting = |(name, value): (&String, &Vec<u8>)| Row::Setting {
            name: name.clone(),
            value: value.clone(),
        };
        let entry = |(&(table, key), value): (&(u8, u128), &Vec<u8>)| Row::Entry {
            table,
            key,
            value: value.clone(),
        };
        let settings = self.settings.iter().map(setting);
        accounts.chain(settings).chain(self.entries.iter().map(entry)).collect()
    }
}

/// Half of them are removals, of entries that exist, existed, or never did.
fn some_entry(random: &mut Random, rows: u64) -> Row {
    let (table, key) = (1 + u8::from(random.below(2) == 0), u128::from(random.below(rows)));
    let length = usize::try_from(random.below(2) * (1 + random.below(40))).unwrap();
    Row::Entry { table, key, value: vec![table; length] }
}

/// Writes one generation with the changed rows.
pub(crate) fn write(
    checkpoints: &mut dyn Checkpoints,
    book: &Book,
    changed: &[Row],
) -> Result<u64, CheckpointError> {
    let generation = checkpoints.begin(false)?;
    for rows in changed.chunks(100) {
        checkpoints.put(rows)?;
    }
    checkpoints.finish(book.marker(generation))?;
    Ok(generation)
}

pub(crate) fn read(
    checkpoints: &mut dyn Checkpoints,
) -> Result<(Option<Marker>, Book), CheckpointError> {
    let mut book = Book::default();
    let mut rows = 0;
    let marker = checkpoints.load(&mut |row| {
        rows += 1;
        book.note(row);
        Ok(())
    })?;
    assert_eq!(rows, book.rows().len(), "no row is loaded twice");
    Ok((marker, book))
}

/// Copies the files as they are while sled has them open, as after a kill -9.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
