//! A linearizable read includes everything that was acknowledged, or read, before it began, and its
//! answer was true at the position that it names.

use evenkeel_oracle::model::Model;
use evenkeel_wire::id::{AccountId, NodeId};

use super::CheckResult;

/// One answered read.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredRead {
    pub node: NodeId,
    pub account: AccountId,
    /// `None`: no such account.
    pub posted: Option<i64>,
    /// The newest entry that the answer contains.
    pub position: u64,
    /// The newest entry that a client knew when the read began.
    pub floor: Option<u64>,
}

#[derive(Default)]
pub struct Reads {
    newest_known: Option<u64>,
    waiting: Vec<AnsweredRead>,
    pub checked: u64,
}

impl Reads {
    /// A client has learned of this position.
    pub fn raise_floor(&mut self, position: u64) {
        self.newest_known = self.newest_known.max(Some(position));
    }

    /// The oldest state that a read that begins now may answer from.
    pub fn floor(&self) -> Option<u64> {
        self.newest_known
    }

    /// Adds an answer.
    ///
    /// # Errors
    /// When it's older than what was known before the read began.
    pub fn add_answer(&mut self, read: AnsweredRead) -> CheckResult {
        if Some(read.position) < read.floor {
            return Err(format!(
                "reads: node {} answered from position {}, although {:?} was known before the read \
                 began",
                read.node, read.position, read.floor
            ));
        }
        self.raise_floor(read.position);
        self.waiting.push(read);
        Ok(())
    }

    /// Compares the answers with the chain, as far as it's known.
    ///
    /// # Errors
    /// When an answer wasn't true at its position.
    pub fn compare(&mut self, model: &Model, known: u64) -> CheckResult {
        let (due, rest) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|r: &AnsweredRead| r.position < known);
        self.waiting = rest;
        for read in due {
            model
                .check_balance(read.account, read.position, read.posted)
                .map_err(|why| format!("reads: node {} answered: {why}", read.node))?;
            self.checked += 1;
        }
        Ok(())
    }

    /// How many answers came from positions that no site applied.
    pub fn unresolved(&self) -> usize {
        self.waiting.len()
    }
}
