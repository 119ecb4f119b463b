//! Movements: money from one account to another, by a transfer, a capture, a refund or a reversal.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    amount::Asset,
    id::{AccountId, CommandId},
    limits::AMOUNT_MAX,
    outcome::Rejection,
    transfer::{Transfer, TransferKind},
};

use super::{Effect, Judgement, Model, Moment, account::Account, valid_amount};

/// Money that moved, and how much of it went back.
#[derive(Clone, Copy, Debug)]
pub struct Movement {
    pub kind: TransferKind,
    pub debit: AccountId,
    pub credit: AccountId,
    pub amount: i64,
    /// What the refunds of a payment have paid back.
    pub refunded: i64,
    /// The reversal that undid it.
    pub reversed_by: Option<CommandId>,
}

/// A movement to judge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) kind: TransferKind,
    pub(crate) debit: AccountId,
    pub(crate) credit: AccountId,
    pub(crate) amount: i64,
}

impl Model {
    pub(crate) fn transfer(&mut self, at: Moment, transfer: &Transfer) -> Judgement<Effect> {
        let amount = valid_amount(transfer.amount.0)?;
        let Transfer { id, kind, debit, credit, .. } = *transfer;
        let flow = Flow { kind, debit, credit, amount };
        self.check_parties(flow, transfer.asset)?;
        self.check_status(flow)?;
        self.check_debit_limits(flow)?;
        self.check_funds(flow)?;
        self.check_room(flow)?;
        if is_limited(kind) {
            self.account_mut(debit).count_debit(amount);
        }
        Ok(self.move_money(at.position, id, flow))
    }

    /// Both accounts exist, this kind of movement joins them, and both hold the asset.
    pub(crate) fn check_parties(&self, flow: Flow, asset: Asset) -> Judgement<()> {
        use AccountKind::{Bank, Fee, Issuer, Merchant, Wallet};
        if flow.debit == flow.credit {
            return Err(Rejection::SameAccount);
        }
        let (payer, payee) = self.parties(flow)?;
        let joined: &[(AccountKind, AccountKind)] = match flow.kind {
            TransferKind::TopUp => &[(Bank, Wallet)],
            TransferKind::Transfer => &[(Wallet, Wallet)],
            TransferKind::Payment => &[(Wallet, Merchant)],
            TransferKind::CashOut => &[(Wallet, Bank), (Merchant, Bank)],
            TransferKind::Fee => &[(Wallet, Fee), (Merchant, Fee)],
            TransferKind::Grant => &[(Issuer, Wallet)],
            TransferKind::Refund | TransferKind::Reversal => &[],
        };
        if !joined.contains(&(payer.opening.kind, payee.opening.kind)) {
            return Err(Rejection::KindNotAllowed);
        }
        if payer.opening.asset != asset || payee.opening.asset != asset {
            return Err(Rejection::AssetMismatch);
        }
        Ok(())
    }

    fn parties(&self, flow: Flow) -> Judgement<(&Account, &Account)> {
        Ok((self.account(flow.debit)?, self.account(flow.credit)?))
    }

    /// Nothing goes to or from a closed account; nothing goes out of a frozen one.
    pub(crate) fn check_status(&self, flow: Flow) -> Judgement<()> {
        let (payer, payee) = self.parties(flow)?;
        if [payer, payee].iter().any(|party| party.state.status == AccountStatus::Closed) {
            return Err(Rejection::AccountClosed);
        }
        if payer.state.status == AccountStatus::Frozen {
            return Err(Rejection::AccountFrozen);
        }
        Ok(())
    }

    /// The payer's limits for one debit and for a day's.
    pub(crate) fn check_debit_limits(&self, flow: Flow) -> Judgement<()> {
        if !is_limited(flow.kind) {
            return Ok(());
        }
        let payer = self.account(flow.debit)?.state;
        let amount = u64::try_from(flow.amount).expect("above zero");
        if payer.per_transfer.is_some_and(|limit| amount > limit) {
            return Err(Rejection::PerTransferLimitExceeded);
        }
        if payer.daily_debit.is_some_and(|limit| payer.debited_today + amount > limit) {
            return Err(Rejection::DailyLimitExceeded);
        }
        Ok(())
    }

    pub(crate) fn check_funds(&self, flow: Flow) -> Judgement<()> {
        let payer = self.account(flow.debit)?;
        if payer.may_owe() || payer.available() >= flow.amount {
            Ok(())
        } else {
            Err(Rejection::InsufficientFunds)
        }
    }

    /// The payee's limit, and the largest balance either side of zero.
    pub(crate) fn check_room(&self, flow: Flow) -> Judgement<()> {
        let (payer, payee) = self.parties(flow)?;
        let (left, there) = (payer.state.posted - flow.amount, payee.state.posted + flow.amount);
        if payee.state.max_balance.is_some_and(|limit| i128::from(there) > i128::from(limit)) {
            return Err(Rejection::MaxBalanceExceeded);
        }
        if left.unsigned_abs() > AMOUNT_MAX || there.unsigned_abs() > AMOUNT_MAX {
            return Err(Rejection::Overflow);
        }
        Ok(())
    }

    /// Moves the money and remembers the movement.
    pub(crate) fn move_money(&mut self, position: u64, id: CommandId, flow: Flow) -> Effect {
        let Flow { kind, debit, credit, amount } = flow;
        let debit_after = self.account_mut(debit).change_posted(position, -amount);
        let credit_after = self.account_mut(credit).change_posted(position, amount);
        let (refunded, reversed_by) = (0, None);
        self.movements.insert(id, Movement { kind, debit, credit, amount, refunded, reversed_by });
        Effect { amount, debit_after, credit_after }
    }

    /// A movement, under the id of the command that made it.
    #[must_use]
    pub fn movement(&self, id: CommandId) -> Option<&Movement> {
        self.movements.get(&id)
    }
}

/// Whether the limits of debits count this kind. Holds count as payments do.
fn is_limited(kind: TransferKind) -> bool {
    use TransferKind::{CashOut, Fee, Payment, Transfer};
    [Transfer, Payment, CashOut, Fee].contains(&kind)
}
