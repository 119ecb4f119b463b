//! Limits and holds. Most accounts have the default ones; rows of the others carry a number under
//! which these are found.

use evenkeel_wire::{
    account::{AccountKind, LimitChange, Limits},
    limits::AMOUNT_MAX,
};

/// Stands for no limit.
pub(crate) const NO_LIMIT: u64 = u64::MAX;

/// Limits and holds of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extra {
    /// The most that may be posted; [`NO_LIMIT`]: any amount.
    pub(crate) max_balance: u64,
    /// The most that one debit may take; [`NO_LIMIT`]: any amount.
    pub(crate) per_transfer: u64,
    /// The most that a day's debits may take; [`NO_LIMIT`]: any amount.
    pub(crate) daily_debit: u64,
    /// The amount that its own open holds set aside.
    pub(crate) held: i64,
    /// The number of open holds for it.
    pub(crate) incoming_holds: u32,
}

impl Extra {
    /// No limit, no hold.
    pub(crate) const NONE: Self = Self {
        max_balance: NO_LIMIT,
        per_transfer: NO_LIMIT,
        daily_debit: NO_LIMIT,
        held: 0,
        incoming_holds: 0,
    };

    /// The limits and holds of an account without any of its own.
    #[inline]
    pub(crate) fn default_for(kind: AccountKind, wallet_max_balance: u64) -> Self {
        let max_balance = if kind == AccountKind::Wallet { wallet_max_balance } else { NO_LIMIT };
        Self { max_balance, ..Self::NONE }
    }

    /// With changed limits.
    pub(crate) fn with_limits(self, limits: &Limits) -> Self {
        let changed = |limit: u64, change: LimitChange| match change {
            LimitChange::Keep => limit,
            LimitChange::Clear => NO_LIMIT,
            LimitChange::Set(amount) => amount.0,
        };
        Self {
            max_balance: changed(self.max_balance, limits.max_balance),
            per_transfer: changed(self.per_transfer, limits.per_transfer),
            daily_debit: changed(self.daily_debit, limits.daily_debit),
            ..self
        }
    }
}

/// Whether every limit that is set is valid; 0 is, and blocks all amounts.
pub(crate) fn are_valid(limits: &Limits) -> bool {
    let Limits { max_balance, per_transfer, daily_debit } = limits;
    [max_balance, per_transfer, daily_debit].iter().all(|change| match change {
        LimitChange::Keep | LimitChange::Clear => true,
        LimitChange::Set(amount) => amount.0 <= AMOUNT_MAX,
    })
}

/// A limit in replies and checkpoints.
pub(crate) fn visible_limit(limit: u64) -> Option<u64> {
    (limit != NO_LIMIT).then_some(limit)
}
