//! The audit: every row looked at again, in slices, while entries are applied in between.
//!
//! Sums and digest are kept along with every change; the audit computes them anew from the rows. A row behind the
//! cursor that changes is carried over into the audit's own sums, so both must be equal when the cursor arrives.

use super::digest;
use crate::{
    Ledger, LedgerFault,
    tables::{
        accounts::{
            Accounts, BalanceRow, may_go_below_zero, reserved::Reserved, row_index,
            totals::KindTotals,
        },
        kept_rows,
    },
};

/// How far an audit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditProgress {
    /// So many of the rows are looked at.
    Underway {
        /// Looked at so far.
        checked: usize,
        /// Accounts in all.
        accounts: usize,
    },
    /// All of them: sums and digest agree with the rows. The next call begins anew.
    Agreed {
        /// Accounts in all.
        accounts: usize,
    },
}

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

    /// A row got another balance.
    #[inline]
    pub(crate) fn carry_row_change(
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

    /// A row got other limits or holds.
    pub(crate) fn carry_extra_change(&mut self, slot: u32, digest_change: u64, reserved: Reserved) {
        if row_index(slot) < self.next {
            self.digest = self.digest.wrapping_add(digest_change);
            self.reserved = self.reserved.plus(reserved);
        }
    }
}

impl Ledger {
    /// Looks at the next rows; begins anew after the last.
    ///
    /// # Errors
    /// When the rows don't amount to what was kept along: names the account, or the asset and its sum.
    pub fn audit_next(&mut self, rows_max: usize) -> Result<AuditProgress, LedgerFault> {
        if let Some(unwell) = &self.fault {
            return Err(unwell.clone());
        }
        let progress = self.audit_step(rows_max.max(1));
        let position = self.last.map_or(0, |last| last.position);
        progress.map_err(|what| {
            let what = match &self.genesis {
                Some(founded) => {
                    what.to_fault(position, |asset| founded.genesis.assets[asset].name().to_owned())
                }
                None => what.to_fault(position, |asset| asset.to_string()),
            };
            self.fault = Some(what.clone());
            what
        })
    }
}

impl Ledger {
    /// Accounts first, then the tables besides them.
    fn audit_step(&mut self, mut left: usize) -> Result<AuditProgress, AuditMismatch> {
        let accounts = self.accounts.count();
        if self.audits_table.is_none() {
            let checked = audit_accounts(&mut self.accounts, &mut left)?;
            if checked < accounts {
                return Ok(AuditProgress::Underway { checked, accounts });
            }
        }
        let mut table = self.audits_table.take().unwrap_or(0);
        if kept_rows::audit_next(self, &mut table, &mut left).map_err(AuditMismatch::Table)? {
            return Ok(AuditProgress::Agreed { accounts });
        }
        self.audits_table = Some(table);
        Ok(AuditProgress::Underway { checked: accounts, accounts })
    }
}

/// What an audit found.
enum AuditMismatch {
    Account(String),
    Sum { asset: usize, rows: i128, kept: i128 },
    Kinds,
    Reserved,
    Digest,
    Table(&'static str),
}

impl AuditMismatch {
    fn to_fault(&self, position: u64, name: impl Fn(usize) -> String) -> LedgerFault {
        let what = match self {
            Self::Account(what) => what.clone(),
            Self::Sum { asset, rows, kept } => {
                format!("the rows of {} sum to {rows}, {kept} was kept along", name(*asset))
            }
            Self::Kinds => "the rows' sums by kind aren't what was kept along".into(),
            Self::Reserved => "what the rows hold isn't what was kept along".into(),
            Self::Digest => "the rows' digest isn't what was kept along".into(),
            Self::Table(name) => format!("the rows of {name} aren't what was kept along"),
        };
        LedgerFault(format!("audit at position {position}: {what}"))
    }
}

/// Looks at the next accounts; gives how many are looked at.
fn audit_accounts(accounts: &mut Accounts, left: &mut usize) -> Result<usize, AuditMismatch> {
    let assets = accounts.totals.rows().len();
    let mut audit = accounts.audit.take().unwrap_or_else(|| AccountsAudit::new(assets));
    let count = accounts.count();
    let end = audit.next.saturating_add(*left).min(count);
    *left = left.saturating_sub(end.saturating_sub(audit.next));
    for slot in audit.next..end {
        let row = &accounts.rows[slot];
        check_row(accounts, slot, row)?;
        audit.totals.change(row.asset_index, row.kind, row.posted);
        let extra = accounts.extra(row);
        let of_extra = digest::extra(row, &extra, &accounts.default_extra(row.kind));
        audit.reserved = audit.reserved.plus(Reserved::of_account(row.id, &extra));
        audit.digest = audit.digest.wrapping_add(digest::row(row)).wrapping_add(of_extra);
    }
    audit.next = end;
    if end < count {
        accounts.audit = Some(audit);
        return Ok(end);
    }
    compare_sums(accounts, &audit)?;
    Ok(end)
}

/// What can be said of one row alone.
fn check_row(accounts: &Accounts, slot: usize, row: &BalanceRow) -> Result<(), AuditMismatch> {
    let wrong = |what: &str| Err(AuditMismatch::Account(format!("account {}: {what}", row.id)));
    let Some(asset) = accounts.assets.get(usize::from(row.asset_index)) else {
        return wrong("its asset is unknown");
    };
    let opened = &accounts.opened[slot];
    let limits = accounts.opening_limits.get(opened.limits);
    let fixed = limits.map(|limits| digest::fixed(row, *asset, opened, &limits));
    if fixed != Some(row.fixed) {
        return wrong("what it was opened with has changed");
    }
    if accounts.find(row.id).map(row_index) != Some(slot) {
        return wrong("it isn't found by its id");
    }
    let held = accounts.extra(row).held;
    if !may_go_below_zero(row.kind) && (held < 0 || row.posted < held) {
        return wrong("it has less than what is held");
    }
    Ok(())
}

fn compare_sums(accounts: &Accounts, audit: &AccountsAudit) -> Result<(), AuditMismatch> {
    for asset in 0..accounts.totals.rows().len() {
        let (rows, kept) = (audit.totals.sum(asset), accounts.totals.sum(asset));
        if rows != kept {
            return Err(AuditMismatch::Sum { asset, rows, kept });
        }
    }
    if audit.totals.rows() != accounts.totals.rows() {
        return Err(AuditMismatch::Kinds);
    }
    if audit.reserved != accounts.reserved {
        return Err(AuditMismatch::Reserved);
    }
    if audit.digest != accounts.digest {
        return Err(AuditMismatch::Digest);
    }
    Ok(())
}
