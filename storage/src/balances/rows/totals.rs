//! Totals of the live rows of a generation: counts, sums, digest. They are updated while rows are
//! put and recomputed at load; the two must be equal.

use std::collections::BTreeMap;

use super::fields::LayoutError;
use super::{Row, RowHash};
use crate::balances::Marker;

/// The sum of the rows' hashes, so that the order of rows doesn't matter and a row can be
/// subtracted. It detects rows that sled lost or restored. It is no defence against deliberate
/// changes of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowsDigest([u64; 4]);

impl RowsDigest {
    fn combine(&mut self, hash: &RowHash, combine: fn(u64, u64) -> u64) {
        let (lanes, _) = hash.as_chunks::<8>();
        for (sum, lane) in self.0.iter_mut().zip(lanes) {
            *sum = combine(*sum, u64::from_le_bytes(*lane));
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (lanes, _) = bytes.as_chunks_mut::<8>();
        for (lane, sum) in lanes.iter_mut().zip(self.0) {
            *lane = sum.to_le_bytes();
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut digest = Self::default();
        digest.combine(bytes, u64::wrapping_add);
        digest
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) accounts: u64,
    pub(crate) settings: u64,
    pub(crate) entries: u64,
    pub(crate) digest: RowsDigest,
    /// The sum of posted balances per asset; assets whose sum is zero are left out.
    sums: BTreeMap<u64, i128>,
}

impl Totals {
    /// Adds a live row.
    pub(crate) fn add_row(&mut self, row: &Row, hash: &RowHash) {
        match row {
            Row::Account(account) => {
                self.accounts += 1;
                add_to(&mut self.sums, account.asset, i128::from(account.posted));
            }
            Row::Setting { .. } => self.settings += 1,
            Row::Entry { .. } => self.entries += 1,
        }
        self.digest.combine(hash, u64::wrapping_add);
    }

    /// Subtracts a row that was added before.
    pub(crate) fn remove_row(&mut self, row: &Row, hash: &RowHash) {
        match row {
            Row::Account(account) => {
                self.accounts -= 1;
                add_to(&mut self.sums, account.asset, -i128::from(account.posted));
            }
            Row::Setting { .. } => self.settings -= 1,
            Row::Entry { .. } => self.entries -= 1,
        }
        self.digest.combine(hash, u64::wrapping_sub);
    }

    /// Compares the marker's counts and sums with the rows'; `Err` names a difference.
    pub(crate) fn check_marker(&self, marker: &Marker) -> Result<(), String> {
        if marker.accounts != self.accounts {
            return Err(format!(
                "the marker counts {} accounts, the rows are {}",
                marker.accounts, self.accounts
            ));
        }
        let mut sums = BTreeMap::new();
        for (asset, sum) in &marker.sums {
            add_to(&mut sums, *asset, *sum);
        }
        if sums == self.sums {
            return Ok(());
        }
        let differs = |asset: &&u64| sums.get(asset) != self.sums.get(asset);
        let asset = sums.keys().chain(self.sums.keys()).find(differs).copied().unwrap_or(0);
        Err(format!(
            "the marker's sum of asset {asset} is {}, the rows' is {}",
            sums.get(&asset).unwrap_or(&0),
            self.sums.get(&asset).unwrap_or(&0)
        ))
    }
}

/// Sums of 2^64 rows of 64 bits fit in 128 bits. A marker's own sums may have any value, so they
/// saturate.
fn add_to(sums: &mut BTreeMap<u64, i128>, asset: u64, amount: i128) {
    let sum = sums.entry(asset).or_insert(0);
    *sum = sum.saturating_add(amount);
    if *sum == 0 {
        sums.remove(&asset);
    }
}

/// Damage that names the row by its key.
pub(crate) fn damaged_row(key: &[u8], error: LayoutError) -> crate::balances::CheckpointError {
    let key = &key[..key.len().min(64)];
    crate::balances::CheckpointError::Damaged(format!("row {}: {error}", hex(key)))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string");
        text
    })
}
