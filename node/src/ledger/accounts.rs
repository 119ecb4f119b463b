//! All accounts: rows that are never moved or removed, found by id. The one place where a balance changes, together
//! with everything that must change with it: sums, digest, and what a running checkpoint or audit has to know.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, OpenAccount},
    amount::Asset,
    id::AccountId,
    limits::{AMOUNT_MAX, LABEL_BYTES_MAX},
    reply::AccountView,
    transfer::Text,
};

use super::{
    Unwell,
    audit::Audit,
    checkpoint::Changes,
    digest,
    ids::{Hash, IdTable, Seed},
    memory,
    rows::Rows,
    totals::KindTotals,
};

/// Tables are small and grow one at a time, so that growing never takes long.
const SHARDS: usize = 256;
const SHARD_BITS: u32 = 4;

/// What transfers look at: one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Row {
    pub(super) id: AccountId,
    pub(super) posted: i64,
    /// The newest entry that changed it.
    pub(super) changed_position: u64,
    /// [`NO_LIMIT`]: none.
    pub(super) max_balance: u64,
    pub(super) asset: Asset,
    /// Digest of everything that balances don't touch.
    pub(super) fixed: u64,
    /// See [`Changes`].
    pub(super) epoch: u32,
    pub(super) asset_index: u8,
    pub(super) kind: AccountKind,
}

const _: () = assert!(size_of::<Row>() == 64, "a row is one cache line");

/// As a balance limit: none.
pub(super) const NO_LIMIT: u64 = u64::MAX;

/// What only questions about the account look at.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) at: u64,
    pub(super) position: u64,
    pub(super) index: u16,
    pub(super) label: Text<LABEL_BYTES_MAX>,
}

/// Rows by number, found by id.
pub(super) struct Accounts {
    seed: Seed,
    shards: Vec<IdTable>,
    pub(super) rows: Rows,
    pub(super) opened: Vec<Opened>,
    pub(super) totals: KindTotals,
    /// The sum of all rows' digests.
    pub(super) digest: u64,
    pub(super) changes: Changes,
    pub(super) audit: Option<Audit>,
}

impl Accounts {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            seed,
            shards: (0..SHARDS).map(|_| IdTable::new(SHARD_BITS)).collect(),
            rows: Rows::default(),
            opened: Vec::new(),
            totals: KindTotals::default(),
            digest: 0,
            changes: Changes::new(),
            audit: None,
        }
    }

    /// The assets are known now.
    pub(super) fn found(&mut self, assets: usize) {
        self.totals = KindTotals::new(assets);
    }

    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn totals(&self) -> &KindTotals {
        &self.totals
    }

    /// The number of an account's row.
    #[inline]
    pub(super) fn find(&self, id: AccountId) -> Option<u32> {
        self.find_hashed(id, self.seed.hash(id.number()))
    }

    #[inline]
    pub(super) fn find_hashed(&self, id: AccountId, hash: Hash) -> Option<u32> {
        self.shards[hash.shard()].find(hash, |slot| self.row(slot).id == id)
    }

    #[inline]
    pub(super) fn row(&self, slot: u32) -> &Row {
        &self.rows[index(slot)]
    }

    #[inline]
    pub(super) fn prefetch_find(&self, hash: Hash) {
        self.shards[hash.shard()].prefetch(hash);
    }

    #[inline]
    pub(super) fn prefetch_row(&self, hash: Hash) {
        if let Some(slot) = self.shards[hash.shard()].guess(hash) {
            memory::prefetch(self.row(slot));
        }
    }

    /// Opens an account that isn't there yet, with balance 0.
    pub(super) fn open(
        &mut self,
        open: &OpenAccount,
        asset_index: u8,
        max_balance: u64,
        opened: Opened,
    ) {
        let mut row = Row {
            id: open.id,
            posted: 0,
            changed_position: opened.position,
            max_balance,
            asset: open.asset,
            fixed: 0,
            epoch: 0,
            asset_index,
            kind: open.kind,
        };
        row.fixed = digest::fixed(&row, &opened);
        self.digest = self.digest.wrapping_add(digest::row(&row));
        let slot = self.add(row, opened);
        self.changes.before_change(slot, &mut self.rows[index(slot)]);
    }

    /// Adds a row as it is; neither sums nor digest know of it yet.
    pub(super) fn add(&mut self, row: Row, opened: Opened) -> u32 {
        let slot = u32::try_from(self.rows.len()).expect("2^32 rows don't fit in memory");
        let hash = self.seed.hash(row.id.number());
        let shard = &mut self.shards[hash.shard()];
        if shard.is_crowded() {
            shard.grow();
        }
        shard.insert(hash, slot);
        self.rows.push(row);
        self.opened.push(opened);
        slot
    }

    /// Sets a balance.
    #[inline]
    pub(super) fn set_posted(
        &mut self,
        slot: u32,
        posted: i64,
        position: u64,
    ) -> Result<(), Unwell> {
        let row = &mut self.rows[index(slot)];
        if posted.unsigned_abs() > AMOUNT_MAX {
            return Err(out_of_bounds(row, posted, position));
        }
        self.changes.before_change(slot, row);
        let change = posted.checked_sub(row.posted).expect("both are within 2^53");
        let digest_before = digest::row(row);
        row.posted = posted;
        row.changed_position = position;
        let digest_change = digest::row(row).wrapping_sub(digest_before);
        self.digest = self.digest.wrapping_add(digest_change);
        self.totals.change(row.asset_index, row.kind, change);
        if let Some(audit) = &mut self.audit {
            audit.changed(slot, row, change, digest_change);
        }
        Ok(())
    }

    pub(super) fn view(&self, slot: u32, position: u64) -> AccountView {
        let row = self.row(slot);
        let opened = &self.opened[index(slot)];
        AccountView {
            id: row.id,
            kind: row.kind,
            asset: row.asset,
            label: opened.label.clone(),
            status: AccountStatus::Open,
            posted: row.posted,
            held: 0,
            max_balance: limit(row.max_balance),
            per_transfer: None,
            daily_debit: None,
            debited_today: 0,
            opened_at: opened.at,
            position,
        }
    }
}

/// A balance limit as the world sees it.
pub(super) fn limit(max_balance: u64) -> Option<u64> {
    (max_balance != NO_LIMIT).then_some(max_balance)
}

/// Whether accounts of this kind are the outside world, which may owe.
pub(super) fn may_go_below_zero(kind: AccountKind) -> bool {
    matches!(kind, AccountKind::Bank | AccountKind::Issuer)
}

#[inline]
pub(super) fn index(slot: u32) -> usize {
    usize::try_from(slot).expect("a u32 fits in usize")
}

#[cold]
fn out_of_bounds(row: &Row, posted: i64, position: u64) -> Unwell {
    Unwell(format!(
        "position {position}: account {} would hold {posted} {}, outside of 2^53-1 either way",
        row.id, row.asset
    ))
}
