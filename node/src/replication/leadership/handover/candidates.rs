//! Which followers can take over the primary role, and which one is the best.
//!
//! It never asks a follower: it judges what the primary already has of each.

use std::time::Duration;

use evenkeel_wire::id::NodeId;
use tokio::time::Instant;

use crate::replication::peers::book::PeerReport;

/// A successor that isn't named must have answered within this time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// A follower, as the primary sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) node: NodeId,
    /// The newest position that it has durable.
    pub(super) matched: Option<u64>,
    /// Its last answer.
    pub(super) report: Option<PeerReport>,
}

/// Why a follower can't take over. The text follows the site's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ineligibility {
    #[error("doesn't answer")]
    Silent,
    /// Its vote for itself wouldn't count.
    #[error("began empty and hasn't caught up, so it can't be elected")]
    EmptyCopy,
    #[error("has a full disk")]
    DiskFull,
    #[error("hasn't caught up")]
    Behind,
    /// It would hand the role over again at once.
    #[error("has a clock that differs from a majority's")]
    WrongClock,
}

impl Candidate {
    /// Whether this follower can take over: its last answer is `recent`, and it has the journal up
    /// to `goal`.
    pub(super) fn judge(
        &self,
        recent: impl Fn(Instant) -> bool,
        goal: Option<u64>,
    ) -> Result<(), Ineligibility> {
        let report = self.report.filter(|report| recent(report.at)).ok_or(Ineligibility::Silent)?;
        if report.joining {
            return Err(Ineligibility::EmptyCopy);
        }
        if report.disk_full {
            return Err(Ineligibility::DiskFull);
        }
        if self.matched < goal {
            return Err(Ineligibility::Behind);
        }
        Ok(())
    }
}

/// The eligible follower with the newest durable position.
pub(super) fn choose(candidates: &[Candidate], now: Instant) -> Option<NodeId> {
    let recent = |at| now.saturating_duration_since(at) < ANSWERED_WITHIN;
    let eligible = candidates.iter().filter(|candidate| candidate.judge(recent, None).is_ok());
    eligible.max_by_key(|candidate| candidate.matched).map(|candidate| candidate.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 10_000;

    /// A row of a table: the node, its durable position, the age of its last answer in
    /// milliseconds, and whether its disk is full or its copy began empty.
    struct Row(NodeId, Option<u64>, Option<u64>, Flag);

    #[derive(Clone, Copy, PartialEq)]
    enum Flag {
        Healthy,
        Full,
        Empty,
        FullAndEmpty,
    }

    use Flag::{Empty, Full, FullAndEmpty, Healthy};

    fn candidate(row: &Row, start: Instant) -> Candidate {
        let Row(node, matched, age, flag) = *row;
        let report = age.map(|age| PeerReport {
            at: start + Duration::from_millis(NOW_MS - age),
            disk_full: matches!(flag, Full | FullAndEmpty),
            joining: matches!(flag, Empty | FullAndEmpty),
        });
        Candidate { node, matched, report }
    }

    #[tokio::test(start_paused = true)]
    async fn the_eligible_follower_with_the_newest_records_is_chosen() {
        let start = Instant::now();
        let now = start + Duration::from_millis(NOW_MS);
        let table: &[(&str, &[Row], Option<NodeId>)] = &[
            ("a cluster of one", &[], None),
            ("the only follower", &[Row(2, Some(9), Some(50), Healthy)], Some(2)),
            (
                "the newest records",
                &[Row(2, Some(9), Some(50), Healthy), Row(3, Some(8), Some(50), Healthy)],
                Some(2),
            ),
            (
                "the newest records, not the first in the list",
                &[Row(2, Some(8), Some(50), Healthy), Row(3, Some(9), Some(50), Healthy)],
                Some(3),
            ),
            (
                "equal records: the last in the list",
                &[Row(2, Some(9), Some(50), Healthy), Row(3, Some(9), Some(50), Healthy)],
                Some(3),
            ),
            (
                "no records lose against some, and are better than nothing",
                &[Row(2, Some(0), Some(50), Healthy), Row(3, None, Some(50), Healthy)],
                Some(2),
            ),
            ("no records", &[Row(2, None, Some(50), Healthy)], Some(2)),
            (
                "newest, but it never answered",
                &[Row(2, Some(9), None, Healthy), Row(3, Some(8), Some(50), Healthy)],
                Some(3),
            ),
            (
                "newest, but its last answer is a second old",
                &[Row(2, Some(9), Some(1_000), Healthy), Row(3, Some(1), Some(999), Healthy)],
                Some(3),
            ),
            (
                "newest, but its disk is full",
                &[Row(2, Some(9), Some(50), Full), Row(3, Some(8), Some(50), Healthy)],
                Some(3),
            ),
            (
                "newest, but its copy began empty",
                &[Row(2, Some(9), Some(50), Empty), Row(3, Some(8), Some(50), Healthy)],
                Some(3),
            ),
            (
                "five sites, one of them fit",
                &[
                    Row(2, Some(9), Some(50), Full),
                    Row(3, Some(9), Some(50), Empty),
                    Row(4, Some(3), Some(50), Healthy),
                    Row(5, Some(9), Some(5_000), Healthy),
                ],
                Some(4),
            ),
            (
                "no follower is fit",
                &[Row(2, Some(9), Some(50), FullAndEmpty), Row(3, Some(9), None, Healthy)],
                None,
            ),
        ];
        for (case, rows, expected) in table {
            let candidates: Vec<_> = rows.iter().map(|row| candidate(row, start)).collect();
            assert_eq!(choose(&candidates, now), *expected, "{case}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_reason_against_a_follower_is_reported() {
        let start = Instant::now();
        let since = start + Duration::from_millis(NOW_MS - 100);
        let table = [
            (Row(2, Some(9), None, Healthy), Err(Ineligibility::Silent)),
            (Row(2, Some(9), Some(101), FullAndEmpty), Err(Ineligibility::Silent)),
            (Row(2, Some(9), Some(100), FullAndEmpty), Err(Ineligibility::EmptyCopy)),
            (Row(2, Some(8), Some(100), Full), Err(Ineligibility::DiskFull)),
            (Row(2, Some(8), Some(100), Healthy), Err(Ineligibility::Behind)),
            (Row(2, None, Some(100), Healthy), Err(Ineligibility::Behind)),
            (Row(2, Some(9), Some(100), Healthy), Ok(())),
            (Row(2, Some(10), Some(0), Healthy), Ok(())),
        ];
        for (row, expected) in table {
            let candidate = candidate(&row, start);
            assert_eq!(candidate.judge(|at| at >= since, Some(9)), expected, "{candidate:?}");
        }
    }
}
