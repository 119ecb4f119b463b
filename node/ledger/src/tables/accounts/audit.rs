//! The audit of accounts: every row is checked again, in slices, while entries are applied.
//!
//! Sums and digest are updated with every change; the audit computes them anew from the rows. A
//! change of a row that was checked already is added to the audit's own sums as well, so both must
//! be equal when the last row is checked.

use super::{
    Accounts, BalanceRow, digest, extra::Extra, may_go_below_zero, row_index, totals::KindTotals,
};
use crate::tables::reserved::Reserved;

/// A running audit.
#[derive(Debug)]
pub(crate) struct AccountsAudit {
    next: usize,
    totals: KindTotals,
    reserved: Reserved,
    digest: u64,
}

impl AccountsAudit {
    fn new(assets: usize) -> Self {
        let (totals, reserved) = (KindTotals::new(assets), Reserved::default());
        Self { next: 0, totals, reserved, digest: 0 }
    }

    /// The balance of a row changed.
    #[inline]
    pub(crate) fn add_row_change(
        &mut self,
        slot: u32,
        row: &BalanceRow,
        change: i64,
        digest_change: u64,
    ) {
        if row_index(slot) < self.next {
            self.totals.change(row.asset_index, row.kind, change);
            self.digest = self.digest.wrapping_add(digest_change);
        }
    }

    /// Limits or holds of a row changed.
    pub(crate) fn add_extra_change(&mut self, slot: u32, digest_change: u64, reserved: Reserved) {
        if row_index(slot) < self.next {
            self.digest = self.digest.wrapping_add(digest_change);
            self.reserved = self.reserved.plus(reserved);
        }
    }

    fn add_row(&mut self, row: &BalanceRow, extra: &Extra, default: &Extra) {
        self.totals.change(row.asset_index, row.kind, row.posted);
        self.reserved = self.reserved.plus(Reserved::of_account(row.id, extra));
        let digest = digest::row(row).wrapping_add(digest::extra(row, extra, default));
        self.digest = self.digest.wrapping_add(digest);
    }
}

impl Accounts {
    /// Checks the next accounts, at most `left` of them, and counts `left` down. Returns how many
    /// are checked; after the last one, sums and digest are compared.
    ///
    /// # Errors
    /// Names the account, or the sum that isn't that of the rows.
    pub(crate) fn audit_next(&mut self, left: &mut usize) -> Result<usize, String> {
        let assets = self.totals.rows().len();
        let mut audit = self.audit.take().unwrap_or_else(|| AccountsAudit::new(assets));
        let count = self.count();
        let end = audit.next.saturating_add(*left).min(count);
        *left = left.saturating_sub(end.saturating_sub(audit.next));
        for slot in audit.next..end {
            let row = &self.rows[slot];
            self.check_row(slot, row)?;
            audit.add_row(row, &self.extra(row), &self.default_extra(row.kind));
        }
        audit.next = end;
        if end < count {
            self.audit = Some(audit);
            return Ok(end);
        }
        self.compare_sums(&audit)?;
        Ok(end)
    }

    /// Checks one row by itself.
    fn check_row(&self, slot: usize, row: &BalanceRow) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("account {}: {what}", row.id));
        let Some(asset) = self.assets.get(usize::from(row.asset_index)) else {
            return wrong("its asset is unknown");
        };
        let opened = &self.opened[slot];
        let limits = self.opening_limits.get(opened.limits);
        let fixed = limits.map(|limits| digest::fixed(row, *asset, opened, &limits));
        if fixed != Some(row.fixed) {
            return wrong("a field that it was opened with has changed");
        }
        if self.find(row.id).map(row_index) != Some(slot) {
            return wrong("it isn't found by its id");
        }
        let held = self.extra(row).held;
        if !may_go_below_zero(row.kind) && (held < 0 || row.posted < held) {
            return wrong("its posted balance is less than its held amount");
        }
        Ok(())
    }

    fn compare_sums(&self, audit: &AccountsAudit) -> Result<(), String> {
        for (asset, name) in self.assets.iter().enumerate() {
            let (rows, kept) = (audit.totals.sum(asset), self.totals.sum(asset));
            if rows != kept {
                let name = name.name();
                return Err(format!("the rows of {name} sum to {rows}, the running sum is {kept}"));
            }
        }
        if audit.totals.rows() != self.totals.rows() {
            return Err("the rows' sums by kind aren't the running sums".into());
        }
        if audit.reserved != self.reserved {
            return Err("the rows' held amounts aren't the running sum".into());
        }
        if audit.digest != self.digest {
            return Err("the rows' digest isn't the running digest".into());
        }
        Ok(())
    }
}
