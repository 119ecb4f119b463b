//! Accounts: opened once, and changed in status and limits without moving money.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, LimitChange, Limits, OpenAccount},
    amount::{Amount, Asset},
    id::AccountId,
    limits::AMOUNT_MAX,
    outcome::Rejection,
    reply::{AccountView, AssetTotals},
};

use super::{Decision, Effect, Judgement, Model, Moment, committed_outcome, rejected_outcome};
use crate::mismatch::Mismatch;

/// What changes in an account and can be read.
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
        Self {
            status: view.status,
            posted: view.posted,
            held: view.held,
            max_balance: view.max_balance,
            per_transfer: view.per_transfer,
            daily_debit: view.daily_debit,
            debited_today: view.debited_today,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) opening: OpenAccount,
    opened: Moment,
    pub(crate) state: AccountState,
    /// Open holds in its favour.
    pub(crate) incoming_holds: u32,
    /// Each balance, with the position of the entry that made it.
    balances: Vec<(u64, i64)>,
}

impl Account {
    /// Bank and issuer may owe.
    pub(crate) fn may_owe(&self) -> bool {
        matches!(self.opening.kind, AccountKind::Bank | AccountKind::Issuer)
    }

    pub(crate) fn available(&self) -> i64 {
        self.state.posted - self.state.held
    }

    pub(crate) fn change_posted(&mut self, position: u64, change: i64) -> i64 {
        self.state.posted += change;
        self.balances.push((position, self.state.posted));
        self.state.posted
    }

    /// A day's debits count up to the largest amount; more counts as that much.
    pub(crate) fn count_debit(&mut self, amount: i64) {
        let after = self.state.debited_today + u64::try_from(amount).expect("above zero");
        self.state.debited_today = after.min(AMOUNT_MAX);
    }
}

impl Model {
    /// Opens an account. Its key is the account: the same opening is a replay.
    pub(crate) fn open_account(&mut self, at: Moment, open: &OpenAccount) -> Decision {
        if !are_limits_valid(&open.limits) {
            return Decision::first(rejected_outcome(at.index, Rejection::AmountInvalid));
        }
        if let Some(known) = self.accounts.get(&open.id) {
            return if known.opening == *open {
                Decision::replay(
                    known.opened.position,
                    committed_outcome(known.opened.index, Effect::default()),
                )
            } else {
                Decision::first(rejected_outcome(at.index, Rejection::AccountExists))
            };
        }
        if !self.rules().assets.contains(&open.asset) {
            return Decision::first(rejected_outcome(at.index, Rejection::AssetMismatch));
        }
        let is_wallet = open.kind == AccountKind::Wallet;
        let mut state = AccountState {
            status: AccountStatus::Open,
            posted: 0,
            held: 0,
            max_balance: is_wallet.then_some(self.rules().wallet_max_balance),
            per_transfer: None,
            daily_debit: None,
            debited_today: 0,
        };
        change_limits(&mut state, &open.limits);
        let (opening, balances) = (open.clone(), Vec::new());
        let account = Account { opening, opened: at, state, incoming_holds: 0, balances };
        self.accounts.insert(open.id, account);
        Decision::first(committed_outcome(at.index, Effect::default()))
    }

    pub(crate) fn set_status(&mut self, id: AccountId, status: AccountStatus) -> Judgement<Effect> {
        let account = self.account(id)?;
        if account.state.status == AccountStatus::Closed {
            return Err(Rejection::AccountClosed);
        }
        let AccountState { posted, held, .. } = account.state;
        let is_empty = posted == 0 && held == 0 && account.incoming_holds == 0;
        if status == AccountStatus::Closed && !is_empty {
            return Err(Rejection::AccountNotEmpty);
        }
        self.account_mut(id).state.status = status;
        Ok(Effect::default())
    }

    pub(crate) fn set_limits(&mut self, id: AccountId, limits: &Limits) -> Judgement<Effect> {
        if !are_limits_valid(limits) {
            return Err(Rejection::AmountInvalid);
        }
        if self.account(id)?.state.status == AccountStatus::Closed {
            return Err(Rejection::AccountClosed);
        }
        change_limits(&mut self.account_mut(id).state, limits);
        Ok(Effect::default())
    }

    pub(crate) fn account(&self, id: AccountId) -> Judgement<&Account> {
        self.accounts.get(&id).ok_or(Rejection::AccountNotFound)
    }

    pub(crate) fn account_mut(&mut self, id: AccountId) -> &mut Account {
        self.accounts.get_mut(&id).expect("judged before")
    }

    /// Every account as it must stand.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, AccountState)> + '_ {
        self.accounts.iter().map(|(id, account)| (*id, account.state))
    }

    /// An account's opening and state; `None`: it isn't there.
    #[must_use]
    pub fn find_account(&self, id: AccountId) -> Option<(&OpenAccount, AccountState)> {
        self.accounts.get(&id).map(|account| (&account.opening, account.state))
    }

    /// An account's balance after everything up to a position; `None`: it wasn't there.
    #[must_use]
    pub fn balance_at(&self, id: AccountId, position: u64) -> Option<i64> {
        let account = self.accounts.get(&id)?;
        if account.opened.position > position {
            return None;
        }
        let after = account.balances.partition_point(|(at, _)| *at <= position);
        Some(after.checked_sub(1).map_or(0, |last| account.balances[last].1))
    }

    /// Compares a balance that was read after the entries up to a position.
    ///
    /// # Errors
    /// When it isn't the model's.
    pub fn check_balance(
        &self,
        id: AccountId,
        position: u64,
        posted: Option<i64>,
    ) -> Result<(), Mismatch> {
        let expected = self.balance_at(id, position);
        if posted == expected {
            return Ok(());
        }
        Err(Mismatch::new(format!(
            "account {id} has {posted:?} at position {position}, the model has {expected:?}"
        )))
    }

    /// Compares all of an account that can be read, as of the newest command.
    ///
    /// # Errors
    /// When any of it isn't the model's.
    pub fn check_account(&self, id: AccountId, view: Option<&AccountView>) -> Result<(), Mismatch> {
        let expected = self.accounts.get(&id).map(|account| account.state);
        let seen = view.map(AccountState::from_view);
        if seen == expected {
            return Ok(());
        }
        Err(Mismatch::new(format!("account {id} is {seen:?}, the model has {expected:?}")))
    }

    /// The sums of an asset's accounts, by kind.
    #[must_use]
    pub fn totals(&self, asset: Asset) -> AssetTotals {
        let sum = |kind| {
            let of_kind = self
                .accounts
                .values()
                .filter(|account| account.opening.asset == asset && account.opening.kind == kind);
            of_kind.map(|account| account.state.posted).sum()
        };
        AssetTotals {
            asset,
            wallet: sum(AccountKind::Wallet),
            merchant: sum(AccountKind::Merchant),
            bank: sum(AccountKind::Bank),
            fee: sum(AccountKind::Fee),
            issuer: sum(AccountKind::Issuer),
        }
    }
}

fn are_limits_valid(limits: &Limits) -> bool {
    let is_valid =
        |change| !matches!(change, LimitChange::Set(Amount(amount)) if amount > AMOUNT_MAX);
    is_valid(limits.max_balance) && is_valid(limits.per_transfer) && is_valid(limits.daily_debit)
}

fn change_limits(state: &mut AccountState, limits: &Limits) {
    for (limit, change) in [
        (&mut state.max_balance, limits.max_balance),
        (&mut state.per_transfer, limits.per_transfer),
        (&mut state.daily_debit, limits.daily_debit),
    ] {
        match change {
            LimitChange::Keep => {}
            LimitChange::Clear => *limit = None,
            LimitChange::Set(amount) => *limit = Some(amount.0),
        }
    }
}
