//! The audit: every row is checked again, in slices, while entries are applied. Accounts come
//! first, then the small tables.

use super::small_tables;
use crate::{fault::LedgerFault, tables::Tables};

/// The progress of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditProgress {
    /// Some of the rows are checked.
    Underway {
        /// Accounts checked so far.
        checked: usize,
        /// Accounts in all.
        accounts: usize,
    },
    /// All rows are checked: sums and digest agree with them. The next call begins anew.
    Agreed {
        /// Accounts in all.
        accounts: usize,
    },
}

/// The running audit.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// The small table under way, after all accounts were checked.
    table: Option<usize>,
}

impl Audit {
    /// Checks the next rows; begins anew after the last.
    pub(crate) fn check_next(
        &mut self,
        tables: &mut Tables,
        rows_max: usize,
    ) -> Result<AuditProgress, LedgerFault> {
        self.check_slice(tables, rows_max.max(1)).map_err(|mismatch| {
            let position = tables.position().unwrap_or(0);
            LedgerFault::new(format!("audit at position {position}: {mismatch}"))
        })
    }

    fn check_slice(
        &mut self,
        tables: &mut Tables,
        mut left: usize,
    ) -> Result<AuditProgress, String> {
        let accounts = tables.accounts.count();
        if self.table.is_none() {
            let checked = tables.accounts.audit_next(&mut left)?;
            if checked < accounts {
                return Ok(AuditProgress::Underway { checked, accounts });
            }
        }
        let mut table = self.table.take().unwrap_or(0);
        if small_tables::audit_next(tables, &mut table, &mut left)? {
            return Ok(AuditProgress::Agreed { accounts });
        }
        self.table = Some(table);
        Ok(AuditProgress::Underway { checked: accounts, accounts })
    }
}
