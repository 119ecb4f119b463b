//! The ledger's time never runs backwards, whatever the clocks do.

use evenkeel_node::history::record_kind;
use evenkeel_storage::journal::Record;

use super::CheckResult;

#[derive(Default)]
pub struct LedgerTime {
    newest: u64,
}

impl LedgerTime {
    /// Checks the next record of the chain.
    ///
    /// # Errors
    /// When it's older than the one before.
    pub fn check_next(&mut self, record: &Record) -> CheckResult {
        if record.kind != record_kind::COMMANDS {
            return Ok(());
        }
        if record.time < self.newest {
            return Err(format!(
                "time: position {} was stamped {}, after {} had been given",
                record.position, record.time, self.newest
            ));
        }
        self.newest = record.time;
        Ok(())
    }
}
