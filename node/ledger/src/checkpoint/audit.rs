//! The audit: every row looked at again, in slices, while entries are applied in between.
//!
//! Sums and digest are kept along with every change; the audit computes them anew from the rows. A row behind the
//! cursor that changes is carried over into the audit's own sums, so both must be equal when the cursor arrives.

use super::digest;
use crate::{
    Ledger, Unwell,
    tables::{
        accounts::{
            Accounts, Row, index, may_go_below_zero, reserved::Reserved, totals::KindTotals,
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
pub(crate) struct Audit {
    next: usize,
    totals: KindTotals,
    reserved: Reserved,
    digest: u64,
}

impl Audit {
    fn new(assets: usize) -> Self {
        let (totals, reserved) = (KindTotals::new(assets), Reserved::default());
        Self { next: 0, totals, reserved, digest: 0 }
    }

    /// A row got another balance.
    #[inline]
    pub(crate) fn changed(&mut self, slot: u32, row: &Row, change: i64, digest_change: u64) {
        if index(slot) < self.next {
            self.totals.change(row.asset_index, row.kind, change);
            self.digest = self.digest.wrapping_add(digest_change);
        }
    }

    /// A row got other limits or holds.
    pub(crate) fn changed_extra(&mut self, slot: u32, digest_change: u64, reserved: Reserved) {
        if index(slot) < self.next {
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
    pub fn audit_next(&mut self, rows_max: usize) -> Result<AuditProgress, Unwell> {
        if let Some(unwell) = &self.unwell {
            return Err(unwell.clone());
        }
        let progress = self.audit_step(rows_max.max(1));
        let position = self.last.map_or(0, |last| last.position);
        progress.map_err(|what| {
            let what = match &self.founded {
                Some(founded) => {
                    what.naming(position, |asset| founded.genesis.assets[asset].name().to_owned())
                }
                None => what.naming(position, |asset| asset.to_string()),
            };
            self.unwell = Some(what.clone());
            what
        })
    }
}

impl Ledger {
    /// Accounts first, then the tables besides them.
    fn audit_step(&mut self, mut left: usize) -> Result<AuditProgress, Disagreement> {
        let accounts = self.accounts.count();
        if self.audits_table.is_none() {
            let checked = audit(&mut self.accounts, &mut left)?;
            if checked < accounts {
                return Ok(AuditProgress::Underway { checked, accounts });
            }
        }
        let mut table = self.audits_table.take().unwrap_or(0);
        if kept_rows::audit_next(self, &mut table, &mut left).map_err(Disagreement::Table)? {
            return Ok(AuditProgress::Agreed { accounts });
        }
        self.audits_table = Some(table);
        Ok(AuditProgress::Underway { checked: accounts, accounts })
    }
}

/// What an audit found.
enum Disagreement {
    Account(String),
    Sum { asset: usize, rows: i128, kept: i128 },
    Kinds,
    Reserved,
    Digest,
    Table(&'static str),
}

impl Disagreement {
    fn naming(&self, position: u64, name: impl Fn(usize) -> String) -> Unwell {
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
        Unwell(format!("audit at position {position}: {what}"))
    }
}

/// Looks at the next accounts; gives how many are looked at.
fn audit(accounts: &mut Accounts, left: &mut usize) -> Result<usize, Disagreement> {
    let assets = accounts.totals.rows().len();
    let mut audit = accounts.audit.take().unwrap_or_else(|| Audit::new(assets));
    let count = accounts.count();
    let end = audit.next.saturating_add(*left).min(count);
    *left = left.saturating_sub(end.saturating_sub(audit.next));
    for slot in audit.next..end {
        let row = &accounts.rows[slot];
        check(accounts, slot, row)?;
        audit.totals.change(row.asset_index, row.kind, row.posted);
        let extra = accounts.extra(row);
        let of_extra = digest::extra(row, &extra, &accounts.plain(row.kind));
        audit.reserved = audit.reserved.plus(Reserved::of(row.id, &extra));
        audit.digest = audit.digest.wrapping_add(digest::row(row)).wrapping_add(of_extra);
    }
    audit.next = end;
    if end < count {
        accounts.audit = Some(audit);
        return Ok(end);
    }
    compare(accounts, &audit)?;
    Ok(end)
}

/// What can be said of one row alone.
fn check(accounts: &Accounts, slot: usize, row: &Row) -> Result<(), Disagreement> {
    let wrong = |what: &str| Err(Disagreement::Account(format!("account {}: {what}", row.id)));
    let Some(asset) = accounts.assets.get(usize::from(row.asset_index)) else {
        return wrong("its asset is unknown");
    };
    let opened = &accounts.opened[slot];
    let limits = accounts.opening_limits.get(opened.limits);
    let fixed = limits.map(|limits| digest::fixed(row, *asset, opened, &limits));
    if fixed != Some(row.fixed) {
        return wrong("what it was opened with has changed");
    }
    if accounts.find(row.id).map(index) != Some(slot) {
        return wrong("it isn't found by its id");
    }
    let held = accounts.extra(row).held;
    if !may_go_below_zero(row.kind) && (held < 0 || row.posted < held) {
        return wrong("it has less than what is held");
    }
    Ok(())
}

fn compare(accounts: &Accounts, audit: &Audit) -> Result<(), Disagreement> {
    for asset in 0..accounts.totals.rows().len() {
        let (rows, kept) = (audit.totals.sum(asset), accounts.totals.sum(asset));
        if rows != kept {
            return Err(Disagreement::Sum { asset, rows, kept });
        }
    }
    if audit.totals.rows() != accounts.totals.rows() {
        return Err(Disagreement::Kinds);
    }
    if audit.reserved != accounts.reserved {
        return Err(Disagreement::Reserved);
    }
    if audit.digest != accounts.digest {
        return Err(Disagreement::Digest);
    }
    Ok(())
}
