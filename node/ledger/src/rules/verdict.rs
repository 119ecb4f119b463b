//! What the ledger answers to one command.

use evenkeel_wire::outcome::{Answer, Outcome, Rejection};

use crate::fault::LedgerFault;

/// A command's result.
pub(crate) type Verdict = Result<Committed, Stop>;

/// What a committed command reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) amount: u64,
    pub(crate) debit_after: i64,
    pub(crate) credit_after: i64,
}

impl Committed {
    /// A command that moves no money.
    pub(crate) const NOTHING: Self = Self::amount(0);

    /// A command that reports an amount and no balances.
    pub(crate) const fn amount(amount: u64) -> Self {
        Self { amount, debit_after: 0, credit_after: 0 }
    }
}

/// Why a command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The first check that it failed.
    Rejected(Rejection),
    /// It was decided before: the first answer.
    Replayed(Answer),
    /// It came too early or too late, which is no error: no outcome.
    Ignored,
    /// An invariant is broken: the node must stop.
    Fault(LedgerFault),
}

impl From<Rejection> for Stop {
    #[inline]
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<LedgerFault> for Stop {
    #[inline]
    fn from(fault: LedgerFault) -> Self {
        Self::Fault(fault)
    }
}

/// The outcome with this index of a command that was committed.
#[inline]
pub(crate) fn committed_outcome(index: u16, committed: Committed) -> Outcome {
    let Committed { amount, debit_after, credit_after } = committed;
    Outcome { index, rejection: None, amount, debit_after, credit_after }
}

/// The outcome with this index of a command that was rejected.
#[inline]
pub(crate) fn rejected_outcome(index: u16, rejection: Rejection) -> Outcome {
    let rejection = Some(rejection);
    Outcome { index, rejection, amount: 0, debit_after: 0, credit_after: 0 }
}
