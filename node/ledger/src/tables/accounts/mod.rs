//! All accounts: rows that are never moved or removed, found by id. Accounts change only here,
//! together with everything that depends on them: sums, digest, a running checkpoint or audit, and
//! the undo log of an atomic group.

pub(crate) mod account_state;
mod audit;
mod changes;
pub(crate) mod digest;
pub(crate) mod extra;
mod opening_limits;
pub(crate) mod totals;
mod undo;

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, OpenAccount},
    amount::Asset,
    id::AccountId,
    limits::{AMOUNT_MAX, LABEL_BYTES_MAX},
    reply::AccountView,
    transfer::Text,
};

use self::{
    account_state::AccountState, audit::AccountsAudit, changes::AccountChanges, extra::Extra,
    opening_limits::OpeningLimits, totals::KindTotals, undo::AccountsUndo,
};
use super::reserved::Reserved;
use crate::{
    containers::{
        ids::{HashSeed, IdHash, IdTable},
        memory::MemoryAdvice,
        prefetch,
        rows::Rows,
    },
    fault::LedgerFault,
};

/// The table of ids is split into small ones that grow one at a time, so that growing is quick.
const SHARDS: usize = 256;
const SHARD_BITS: u32 = 4;

/// The fields of an account that transfers use: one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct BalanceRow {
    pub(crate) id: AccountId,
    pub(crate) posted: i64,
    /// The newest entry that changed it.
    pub(crate) changed_position: u64,
    /// The sum of the debits that count on [`Self::debited_date`]; [`AMOUNT_MAX`] stands for
    /// larger sums too.
    pub(crate) debited_today: u64,
    /// The digest of the fields that never change.
    pub(crate) fixed: u64,
    /// See [`AccountChanges`].
    pub(crate) epoch: u32,
    /// The number of its limits and holds, from 1; 0: it has the default ones.
    pub(crate) extra: u32,
    /// The newest business date on which a debit counted, as a number; 0: there was none.
    pub(crate) debited_date: u32,
    pub(crate) asset_index: u8,
    pub(crate) kind: AccountKind,
    pub(crate) status: AccountStatus,
}

const _: () = assert!(size_of::<BalanceRow>() == 64, "a row is one cache line");

impl BalanceRow {
    /// The sum of the debits that count on a date.
    #[inline]
    pub(crate) fn debited_on(&self, date: u32) -> u64 {
        if self.debited_date == date { self.debited_today } else { 0 }
    }
}

/// The fields of an account that transfers don't use.
#[derive(Clone, Debug)]
pub(crate) struct AccountOpening {
    pub(crate) at: u64,
    pub(crate) position: u64,
    pub(crate) index: u16,
    /// See [`OpeningLimits`].
    pub(crate) limits: u32,
    pub(crate) label: Text<LABEL_BYTES_MAX>,
}

/// The sum of an account's debits on a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DailyDebits {
    pub(crate) today: u64,
    pub(crate) date: u32,
}

/// All accounts.
pub(crate) struct Accounts {
    seed: HashSeed,
    advice: MemoryAdvice,
    shards: Vec<IdTable>,
    pub(crate) rows: Rows<BalanceRow>,
    pub(crate) opened: Vec<AccountOpening>,
    pub(crate) opening_limits: OpeningLimits,
    /// Limits and holds by their numbers, from 1.
    pub(crate) extras: Rows<Extra>,
    /// The assets of genesis, by the index in the rows.
    pub(crate) assets: Vec<Asset>,
    /// The limit of wallets without one of their own.
    pub(crate) wallet_max_balance: u64,
    pub(crate) totals: KindTotals,
    /// The held amounts and incoming holds of all accounts.
    pub(crate) reserved: Reserved,
    /// The sum of all rows' digests.
    pub(crate) digest: u64,
    changes: AccountChanges,
    audit: Option<AccountsAudit>,
    undo: Option<AccountsUndo>,
}

impl Accounts {
    pub(crate) fn new(seed: HashSeed, advice: MemoryAdvice) -> Self {
        Self {
            seed,
            advice,
            shards: (0..SHARDS).map(|_| IdTable::new(SHARD_BITS, advice)).collect(),
            rows: Rows::new(advice),
            opened: Vec::new(),
            opening_limits: OpeningLimits::default(),
            extras: Rows::new(advice),
            assets: Vec::new(),
            wallet_max_balance: extra::NO_LIMIT,
            totals: KindTotals::default(),
            reserved: Reserved::default(),
            digest: 0,
            changes: AccountChanges::new(),
            audit: None,
            undo: None,
        }
    }

    /// Sets the assets and limits of genesis.
    pub(crate) fn bootstrap(&mut self, assets: &[Asset], wallet_max_balance: u64) {
        self.totals = KindTotals::new(assets.len());
        self.assets = assets.to_vec();
        self.wallet_max_balance = wallet_max_balance;
    }

    pub(crate) fn count(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn totals(&self) -> &KindTotals {
        &self.totals
    }

    /// The slot of an account: the number of its row.
    #[inline]
    pub(crate) fn find(&self, id: AccountId) -> Option<u32> {
        self.find_hashed(id, self.seed.hash(id.number()))
    }

    #[inline]
    pub(crate) fn find_hashed(&self, id: AccountId, hash: IdHash) -> Option<u32> {
        self.shards[hash.shard()].find(hash, |slot| self.row(slot).id == id)
    }

    #[inline]
    pub(crate) fn row(&self, slot: u32) -> &BalanceRow {
        &self.rows[row_index(slot)]
    }

    #[inline]
    pub(crate) fn asset(&self, row: &BalanceRow) -> Asset {
        self.assets[usize::from(row.asset_index)]
    }

    /// An account's limits and holds.
    pub(crate) fn extra(&self, row: &BalanceRow) -> Extra {
        match row.extra {
            0 => self.default_extra(row.kind),
            number => self.extras[row_index(number.wrapping_sub(1))],
        }
    }

    /// The limits and holds of an account without any of its own.
    pub(crate) fn default_extra(&self, kind: AccountKind) -> Extra {
        Extra::default_for(kind, self.wallet_max_balance)
    }

    /// The most that may be posted to an account.
    #[inline]
    pub(crate) fn max_balance(&self, row: &BalanceRow) -> u64 {
        match (row.extra, row.kind) {
            (0, AccountKind::Wallet) => self.wallet_max_balance,
            (0, _) => extra::NO_LIMIT,
            _ => self.extra(row).max_balance,
        }
    }

    #[inline]
    pub(crate) fn prefetch_find(&self, hash: IdHash) {
        self.shards[hash.shard()].prefetch(hash);
    }

    #[inline]
    pub(crate) fn prefetch_row(&self, hash: IdHash) {
        if let Some(slot) = self.shards[hash.shard()].first_candidate(hash) {
            prefetch::prefetch(self.row(slot));
        }
    }

    /// Opens a new account with balance 0.
    pub(crate) fn open(&mut self, open: &OpenAccount, asset_index: u8, opened: AccountOpening) {
        let mut row = BalanceRow {
            id: open.id,
            posted: 0,
            changed_position: opened.position,
            debited_today: 0,
            fixed: 0,
            epoch: 0,
            extra: 0,
            debited_date: 0,
            asset_index,
            kind: open.kind,
            status: AccountStatus::Open,
        };
        row.fixed = digest::fixed(&row, open.asset, &opened, &open.limits);
        self.digest = self.digest.wrapping_add(digest::row(&row));
        let slot = self.add_row(row, opened);
        self.before_change(slot);
        self.set_extra(slot, self.default_extra(open.kind).with_limits(&open.limits));
    }

    /// Adds a row, but not yet to the sums and the digest.
    pub(crate) fn add_row(&mut self, row: BalanceRow, opened: AccountOpening) -> u32 {
        let slot = u32::try_from(self.rows.len()).expect("2^32 rows don't fit in memory");
        let hash = self.seed.hash(row.id.number());
        let shard = &mut self.shards[hash.shard()];
        if shard.is_crowded() {
            shard.grow(self.advice);
        }
        shard.insert(hash, slot);
        self.rows.push(row);
        self.opened.push(opened);
        slot
    }

    /// Sets a balance, and the day's debits if they change too.
    #[inline]
    pub(crate) fn set_posted(
        &mut self,
        slot: u32,
        posted: i64,
        debited: Option<DailyDebits>,
        position: u64,
    ) -> Result<(), LedgerFault> {
        if posted.unsigned_abs() > AMOUNT_MAX {
            return Err(self.out_of_bounds(slot, posted, position));
        }
        self.before_change(slot);
        self.change(slot, |row| {
            row.posted = posted;
            row.changed_position = position;
            if let Some(debited) = debited {
                row.debited_today = debited.today;
                row.debited_date = debited.date;
            }
        });
        Ok(())
    }

    /// Sets the state of an account.
    pub(crate) fn set_state(&mut self, slot: u32, state: &AccountState) -> Result<(), LedgerFault> {
        let AccountState { posted, changed_position, extra, .. } = *state;
        let holds = u64::try_from(extra.held).is_ok_and(|held| held <= AMOUNT_MAX);
        if posted.unsigned_abs() > AMOUNT_MAX || !holds {
            return Err(self.out_of_bounds(slot, posted, changed_position));
        }
        self.before_change(slot);
        self.put_state(slot, state);
        Ok(())
    }

    /// The state of an account.
    pub(crate) fn account_state(&self, slot: u32) -> AccountState {
        let row = self.row(slot);
        AccountState::from_row(row, self.extra(row))
    }

    fn put_state(&mut self, slot: u32, state: &AccountState) {
        self.change(slot, |row| {
            row.posted = state.posted;
            row.changed_position = state.changed_position;
            row.debited_today = state.debited_today;
            row.debited_date = state.debited_date;
            row.status = state.status;
        });
        self.set_extra(slot, state.extra);
    }

    /// Must be called before every change: saves the state for the undo log and a running
    /// checkpoint.
    #[inline]
    fn before_change(&mut self, slot: u32) {
        if self.undo.is_some() || self.changes.is_first_change(self.row(slot)) {
            self.save_state(slot);
        }
    }

    #[inline(never)]
    fn save_state(&mut self, slot: u32) {
        let state = self.account_state(slot);
        if let Some(undo) = &mut self.undo {
            undo.push(slot, state);
        }
        self.changes.before_change(slot, &mut self.rows[row_index(slot)], state);
    }

    /// Changes a row, the sums and the digest.
    #[inline]
    fn change(&mut self, slot: u32, change: impl FnOnce(&mut BalanceRow)) {
        let row = &mut self.rows[row_index(slot)];
        let (posted_before, digest_before) = (row.posted, digest::row(row));
        change(row);
        let change = row.posted.checked_sub(posted_before).expect("both are within 2^53");
        let digest_change = digest::row(row).wrapping_sub(digest_before);
        self.digest = self.digest.wrapping_add(digest_change);
        self.totals.change(row.asset_index, row.kind, change);
        if let Some(audit) = &mut self.audit {
            audit.add_row_change(slot, row, change, digest_change);
        }
    }

    /// Sets limits and holds, and changes the sums and the digest.
    fn set_extra(&mut self, slot: u32, extra: Extra) {
        let row = self.row(slot);
        let before = self.extra(row);
        if before == extra {
            return;
        }
        let default = self.default_extra(row.kind);
        let digest_change = digest::extra(row, &extra, &default)
            .wrapping_sub(digest::extra(row, &before, &default));
        let reserved =
            Reserved::of_account(row.id, &extra).minus(Reserved::of_account(row.id, &before));
        self.digest = self.digest.wrapping_add(digest_change);
        self.reserved = self.reserved.plus(reserved);
        if let Some(audit) = &mut self.audit {
            audit.add_extra_change(slot, digest_change, reserved);
        }
        self.put_extra(slot, extra);
    }

    /// Sets limits and holds, but changes neither the sums nor the digest.
    pub(crate) fn put_extra(&mut self, slot: u32, extra: Extra) {
        let row = &mut self.rows[row_index(slot)];
        if row.extra == 0 {
            self.extras.push(extra);
            row.extra = u32::try_from(self.extras.len()).expect("at most one for each row");
        } else {
            self.extras[row_index(row.extra.wrapping_sub(1))] = extra;
        }
    }

    /// Adds a loaded row to the sums and the digest.
    pub(crate) fn add_to_sums(&mut self, slot: usize) {
        let row = &self.rows[slot];
        let extra = self.extra(row);
        let of_extra = digest::extra(row, &extra, &self.default_extra(row.kind));
        let digest = digest::row(row).wrapping_add(of_extra);
        self.totals.change(row.asset_index, row.kind, row.posted);
        self.reserved = self.reserved.plus(Reserved::of_account(row.id, &extra));
        self.digest = self.digest.wrapping_add(digest);
    }

    pub(crate) fn view(&self, slot: u32, position: u64, date: u32) -> AccountView {
        let row = self.row(slot);
        let opened = &self.opened[row_index(slot)];
        let extra = self.extra(row);
        AccountView {
            id: row.id,
            kind: row.kind,
            asset: self.asset(row),
            label: opened.label.clone(),
            status: row.status,
            posted: row.posted,
            held: extra.held,
            max_balance: extra::visible_limit(extra.max_balance),
            per_transfer: extra::visible_limit(extra.per_transfer),
            daily_debit: extra::visible_limit(extra.daily_debit),
            debited_today: row.debited_on(date),
            opened_at: opened.at,
            position,
        }
    }

    #[cold]
    fn out_of_bounds(&self, slot: u32, posted: i64, position: u64) -> LedgerFault {
        let row = self.row(slot);
        LedgerFault::new(format!(
            "position {position}: account {} would have {posted} {}, which exceeds 2^53-1",
            row.id,
            self.asset(row)
        ))
    }
}

/// Whether balances of this kind of account may be negative.
#[inline]
pub(crate) fn may_go_below_zero(kind: AccountKind) -> bool {
    matches!(kind, AccountKind::Bank | AccountKind::Issuer)
}

#[inline]
pub(crate) fn row_index(slot: u32) -> usize {
    usize::try_from(slot).expect("a u32 fits in usize")
}
