//! The marker: written last in a generation, and what makes it count.
//!
//! ```text
//! key    0 u8 1   1 u8 slot: generation modulo 2, so the marker before is never overwritten
//! value  framed as a row (`rows`), fields little-endian
//!        0 u16 format   2 u64 position   10 u64 term   18 u64 time   26 [32] link
//!       58 u64 accounts   66 [32] digest
//!       98 u64 settings  106 u64 entries   114 [32] digest of the live rows (`totals`)
//!      146 u16 count of sums   then per asset: u64 asset, i128 sum
//! ```

use super::KIND_MARKER;
use super::fields::{Fields, LayoutError};
use super::totals::{RowsDigest, Totals};
use crate::Link;
use crate::balances::rows;
use crate::balances::{CheckpointError, SUMS_MAX};

/// The description of a finished generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The generation's number, from `begin`.
    pub generation: u64,
    /// The position of the last journal record that the rows include.
    pub position: u64,
    /// That record's term.
    pub term: u64,
    /// That record's time, microseconds since 1970.
    pub time: u64,
    /// That record's link, which ties the rows to one history.
    pub link: Link,
    /// The number of accounts.
    pub accounts: u64,
    /// The caller's digest of its state. Only the caller compares it.
    pub digest: [u8; 32],
    /// The sum of posted balances per asset. Assets whose sum is zero may be left out.
    pub sums: Vec<(u64, i128)>,
    /// The caller's format of settings and digest; not interpreted here.
    pub format: u16,
}

/// The marker with the totals that storage itself checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MarkerRow {
    pub(crate) marker: Marker,
    pub(crate) settings: u64,
    pub(crate) entries: u64,
    pub(crate) rows_digest: RowsDigest,
}

impl MarkerRow {
    pub(crate) fn key(generation: u64) -> [u8; 2] {
        [KIND_MARKER, u8::from(!generation.is_multiple_of(2))]
    }

    pub(crate) fn new(marker: Marker, totals: &Totals) -> Result<Self, CheckpointError> {
        if marker.sums.len() > SUMS_MAX {
            return Err(CheckpointError::TooLarge {
                what: "the marker's list of sums",
                bytes: marker.sums.len(),
                max: SUMS_MAX,
            });
        }
        totals.check_marker(&marker).map_err(CheckpointError::Disagrees)?;
        let Totals { settings, entries, digest: rows_digest, .. } = *totals;
        Ok(Self { marker, settings, entries, rows_digest })
    }

    pub(crate) fn encode_value(&self) -> Vec<u8> {
        let marker = &self.marker;
        let sums = u16::try_from(marker.sums.len()).expect("at most SUMS_MAX");
        let mut fields = Vec::with_capacity(148 + 24 * marker.sums.len());
        fields.extend_from_slice(&marker.format.to_le_bytes());
        fields.extend_from_slice(&marker.position.to_le_bytes());
        fields.extend_from_slice(&marker.term.to_le_bytes());
        fields.extend_from_slice(&marker.time.to_le_bytes());
        fields.extend_from_slice(&marker.link.0);
        fields.extend_from_slice(&marker.accounts.to_le_bytes());
        fields.extend_from_slice(&marker.digest);
        fields.extend_from_slice(&self.settings.to_le_bytes());
        fields.extend_from_slice(&self.entries.to_le_bytes());
        fields.extend_from_slice(&self.rows_digest.to_bytes());
        fields.extend_from_slice(&sums.to_le_bytes());
        for (asset, sum) in &marker.sums {
            fields.extend_from_slice(&asset.to_le_bytes());
            fields.extend_from_slice(&sum.to_le_bytes());
        }
        rows::seal(&Self::key(marker.generation), marker.generation, &fields).0
    }

    pub(crate) fn read(key: &[u8], value: &[u8]) -> Result<Self, LayoutError> {
        let rows::Unsealed { generation, fields, .. } = rows::unseal(key, value)?;
        if generation == 0 || *key != Self::key(generation) {
            return Err(LayoutError::Field("generation"));
        }
        let mut fields = Fields(fields);
        let format = fields.u16()?;
        let position = fields.u64()?;
        let term = fields.u64()?;
        let time = fields.u64()?;
        let link = Link(fields.read_array()?);
        let accounts = fields.u64()?;
        let digest = fields.read_array()?;
        let settings = fields.u64()?;
        let entries = fields.u64()?;
        let rows_digest = RowsDigest::from_bytes(&fields.read_array()?);
        let mut sums = Vec::new();
        for _ in 0..fields.u16()? {
            sums.push((fields.u64()?, fields.i128()?));
        }
        fields.end()?;
        let marker =
            Marker { generation, position, term, time, link, accounts, digest, sums, format };
        Ok(Self { marker, settings, entries, rows_digest })
    }

    /// Checks that the rows found are the ones for which this marker was written.
    pub(crate) fn verify(&self, found: &Totals) -> Result<(), CheckpointError> {
        found.check_marker(&self.marker).map_err(CheckpointError::Damaged)?;
        let counts =
            [("settings", self.settings, found.settings), ("entries", self.entries, found.entries)];
        for (what, marked, found) in counts {
            if marked != found {
                return Err(CheckpointError::Damaged(format!(
                    "the marker counts {marked} {what}, the rows are {found}"
                )));
            }
        }
        if found.digest != self.rows_digest {
            return Err(CheckpointError::Damaged(
                "the rows aren't those the marker was written for: some are lost or old".into(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
