//! The keeper's checks of what it has: the ledger's rows against its sums, and sealed segments and
//! indexes against their checksums. Bit rot must be found while peers still have a good copy.
//!
//! They have a budget: a small part of one core, however busy the node is. A pass over the rows
//! used to begin again as soon as anything was applied, and held the ledger's lock all the time;
//! and while it did, no segment was ever read back.

use std::time::Duration;

use evenkeel_ledger::AuditProgress;
use evenkeel_storage::journal::{Journal, WalkError, index::Indexes};
use tokio::time::Instant;

use super::Rest;
use crate::{
    limits::CHECKPOINT_SLICE_ROWS,
    metrics::{KeeperTimes, KeeperWork},
    replay::sealing::sealed_segment,
    state::AppliedState,
};

/// A check rests this many times as long as it has worked: the checks take at most 4 % of a core.
const REST_FACTOR: u32 = 24;
/// The rest between two slices of rows.
const AUDIT_REST: Duration = Duration::from_millis(20);
/// The rest between two passes over all rows.
const AUDIT_PASS_REST: Duration = Duration::from_secs(10);
/// The rest between two segments.
const SCRUB_REST: Duration = Duration::from_secs(5);

/// Where the checks are, and when each goes on.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// The position at the end of the last pass over the rows.
    audited: Option<u64>,
    audit_at: Option<Instant>,
    /// The first position of the sealed segment that is read next.
    scrub_next: u64,
    scrub_at: Option<Instant>,
}

impl Checks {
    /// Does what is due, at most one piece of each kind.
    ///
    /// # Errors
    /// When the sums are wrong or a segment is damaged: the node must stop.
    pub(super) fn run(
        &mut self,
        state: &AppliedState,
        journal: &Journal,
        indexes: &Indexes,
        times: &KeeperTimes,
    ) -> Result<Rest, String> {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        if is_due(self.scrub_at) {
            let (scrubbed, took) =
                times.measure(KeeperWork::Scrub, || self.scrub_segment(journal, indexes));
            scrubbed?;
            self.scrub_at = Some(now + SCRUB_REST.max(took * REST_FACTOR));
        }
        if state.position() != self.audited && is_due(self.audit_at) {
            let (passed, took) = times.measure(KeeperWork::Audit, || self.audit_rows(state));
            let rest = if passed? { AUDIT_PASS_REST } else { AUDIT_REST };
            let rest = rest.max(took * REST_FACTOR);
            self.audit_at = Some(now + rest);
            if rest < AUDIT_PASS_REST {
                return Ok(Rest::For(rest.min(SHORT_REST)));
            }
        }
        Ok(Rest::Idle)
    }

    /// Audits the next rows: sums and digest must match the ledger's running ones. Returns whether
    /// all rows have been audited.
    fn audit_rows(&mut self, state: &AppliedState) -> Result<bool, String> {
        let position = state.position();
        let progress = state.with_ledger(|ledger| ledger.audit_next(CHECKPOINT_SLICE_ROWS));
        let progress = progress.map_err(|unwell| {
            state.fail_as_broken(&unwell.to_string());
            unwell.to_string()
        });
        let agreed = match progress? {
            AuditProgress::Underway { .. } => false,
            AuditProgress::Agreed { .. } => true,
        };
        if agreed {
            self.audited = position;
        }
        Ok(agreed)
    }

    /// Verifies one sealed segment, oldest first, and starts over after the newest.
    fn scrub_segment(&mut self, journal: &Journal, indexes: &Indexes) -> Result<(), String> {
        let segments = journal.segments();
        let mut sealed = segments.iter().filter_map(sealed_segment);
        let Some(segment) = sealed.find(|segment| segment.first >= self.scrub_next) else {
            self.scrub_next = 0;
            return Ok(());
        };
        match journal.scrub(segment.first) {
            Ok(()) => {}
            Err(WalkError::Damaged(damage)) => return Err(damage.to_string()),
            // The same segment is read again after the rest.
            Err(error) => {
                log_unread(segment.first, &error);
                return Ok(());
            }
        }
        if let Some(index) = indexes.segment_index(segment.first)
            && let Err(error) = index.verify()
        {
            if !error.proves_damage() {
                log_unread(segment.first, &error);
                return Ok(());
            }
            indexes.mark_damaged(segment.first, &error);
        }
        self.scrub_next = segment.last + 1;
        Ok(())
    }
}

/// The longest rest while other work of the keeper may come up.
const SHORT_REST: Duration = Duration::from_millis(200);

fn log_unread(first: u64, error: &dyn std::fmt::Display) {
    tracing::warn!(first, %error, "a sealed segment or its index can't be read back now; trying again");
}
