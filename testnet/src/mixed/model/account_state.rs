//! How accounts stand, and what changes that without moving money: states and limits.

use evenkeel_wire::{
    account::{AccountStatus, LimitChange, Limits},
    amount::Amount,
    id::AccountId,
    outcome::Rejection,
    reply::AccountView,
};

use super::{AMOUNT_MAX, Flow, Judgement, OutcomeModel};

/// What can be seen of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountState {
    pub status: AccountStatus,
    pub posted: i64,
    pub held: i64,
    pub max_balance: Option<u64>,
    pub per_transfer: Option<u64>,
    pub daily_debit: Option<u64>,
    pub debited_today: u64,
}

impl AccountState {
    #[must_use]
    pub fn from_view(view: &AccountView) -> Self {
        let AccountView { status, posted, held, max_balance, per_transfer, daily_debit, .. } =
            *view;
        let debited_today = view.debited_today;
        Self { status, posted, held, max_balance, per_transfer, daily_debit, debited_today }
    }
}

impl OutcomeModel {
    pub(crate) fn set_status(
        &mut self,
        id: AccountId,
        status: AccountStatus,
    ) -> Judgement<Option<Flow>> {
        let account = self.account(id)?;
        let AccountState { status: now, posted, held, .. } = account.standing;
        if now == AccountStatus::Closed {
            return Err(Rejection::AccountClosed);
        }
        let empty = posted == 0 && held == 0 && account.incoming_holds == 0;
        if status == AccountStatus::Closed && !empty {
            return Err(Rejection::AccountNotEmpty);
        }
        self.state_mut(id).status = status;
        Ok(None)
    }

    pub(crate) fn set_limits(&mut self, id: AccountId, limits: &Limits) -> Judgement<Option<Flow>> {
        let mut standing = match self.account(id) {
            Ok(account) => account.standing,
            Err(missing) => {
                return Err(if limits_are_valid(limits) {
                    missing
                } else {
                    Rejection::AmountInvalid
                });
            }
        };
        change_limits(&mut standing, limits)?;
        if standing.status == AccountStatus::Closed {
            return Err(Rejection::AccountClosed);
        }
        *self.state_mut(id) = standing;
        Ok(None)
    }
}

fn limits_are_valid(limits: &Limits) -> bool {
    let valid = |change| !matches!(change, LimitChange::Set(Amount(amount)) if amount > AMOUNT_MAX);
    valid(limits.max_balance) && valid(limits.per_transfer) && valid(limits.daily_debit)
}

pub(crate) fn change_limits(standing: &mut AccountState, limits: &Limits) -> Judgement<()> {
    if !limits_are_valid(limits) {
        return Err(Rejection::AmountInvalid);
    }
    for (limit, change) in [
        (&mut standing.max_balance, limits.max_balance),
        (&mut standing.per_transfer, limits.per_transfer),
        (&mut standing.daily_debit, limits.daily_debit),
    ] {
        match change {
            LimitChange::Keep => {}
            LimitChange::Clear => *limit = None,
            LimitChange::Set(amount) => *limit = Some(amount.0),
        }
    }
    Ok(())
}
