//! All rules that a command breaks, and its effect.

use super::*;

impl Model {
    pub(crate) fn out_of_time(&self, id: CommandId) -> Vec<Rejection> {
        let genesis = &self.genesis.as_ref().unwrap().0;
        let made = i128::from(id.timestamp_ms()) * 1_000;
        let mut broken = Vec::new();
        if made - self.now > i128::from(genesis.id_tolerance_ms) * 1_000 {
            broken.push(Rejection::IdInFuture);
        }
        if self.now - made > i128::from(genesis.id_horizon_ms) * 1_000 {
            broken.push(Rejection::IdExpired);
        }
        broken
    }

    /// Every rule that a command breaks; its effect, if it has one.
    pub(crate) fn broken(&self, command: &Command, broken: &mut Vec<Rejection>) -> Option<Effect> {
        match command {
            Command::Transfer(transfer) => self.broken_by_transfer(transfer, broken),
            Command::Hold(hold) => self.broken_by_hold(hold, broken),
            Command::Capture(capture) => {
                let amount = capture.amount.map(|amount| i128::from(amount.0));
                self.broken_by_closing(capture.hold, Some(amount), broken)
            }
            Command::Void(void) => self.broken_by_closing(void.hold, None, broken),
            Command::SetStatus(change) => {
                let account = self.changeable(change.account, broken)?;
                let incoming = self.holds.values().any(|(hold, _, open)| {
                    *open && (hold.credit == change.account || hold.debit == change.account)
                });
                if change.status == AccountStatus::Closed && (account.posted != 0 || incoming) {
                    broken.push(Rejection::AccountNotEmpty);
                }
                Some(Effect::default())
            }
            Command::SetLimits(change) => {
                if !are_valid(&change.limits) {
                    broken.push(Rejection::AmountInvalid);
                }
                self.changeable(change.account, broken)?;
                Some(Effect::default())
            }
            Command::Refund(refund) => self.broken_by_refund(refund, broken),
            Command::Reversal(reversal) => self.broken_by_reversal(reversal.transfer, broken),
            other => unreachable!("{other:?}"),
        }
    }

    pub(crate) fn broken_by_refund(
        &self,
        refund: &Refund,
        broken: &mut Vec<Rejection>,
    ) -> Option<Effect> {
        let named = refund.amount.map(|amount| i128::from(amount.0));
        if named.is_some_and(|amount| !(1..=BOUND).contains(&amount)) {
            broken.push(Rejection::AmountInvalid);
        }
        let payment = self.movements.get(&refund.payment);
        let Some(payment) = payment.filter(|found| found.kind == TransferKind::Payment) else {
            broken.push(Rejection::PaymentNotFound);
            return None;
        };
        let left = payment.amount - payment.refunded;
        let amount = named.unwrap_or(left);
        if left == 0 || amount > left {
            broken.push(Rejection::RefundExceedsPayment);
        }
        Some(self.broken_by_moving_back(TransferKind::Refund, payment, amount, broken))
    }

    pub(crate) fn broken_by_reversal(
        &self,
        id: CommandId,
        broken: &mut Vec<Rejection>,
    ) -> Option<Effect> {
        let Some(movement) = self.movements.get(&id) else {
            broken.push(Rejection::TransferNotFound);
            return None;
        };
        if !"top_up cash_out fee grant".split(' ').any(|name| name == movement.kind.name()) {
            broken.push(Rejection::ReversalNotAllowed);
            return None;
        }
        if movement.reversed_by.is_some() {
            broken.push(Rejection::AlreadyReversed);
        }
        let amount = movement.amount;
        Some(self.broken_by_moving_back(TransferKind::Reversal, movement, amount, broken))
    }

    pub(crate) fn broken_by_moving_back(
        &self,
        kind: TransferKind,
        movement: &Movement,
        amount: i128,
        broken: &mut Vec<Rejection>,
    ) -> Effect {
        let (debit, credit) = (movement.credit, movement.debit);
        let (payer, payee) = (&self.accounts[&debit], &self.accounts[&credit]);
        if !payer.is_outside() && payer.posted - self.held(debit) < amount {
            broken.push(Rejection::InsufficientFunds);
        }
        self.broken_by_moving((payer, payee), amount, broken);
        Effect { amount, moves: Some((kind, debit, credit)) }
    }

    pub(crate) fn changeable(
        &self,
        id: AccountId,
        broken: &mut Vec<Rejection>,
    ) -> Option<&Account> {
        let Some(account) = self.accounts.get(&id) else {
            broken.push(Rejection::AccountNotFound);
            return None;
        };
        if account.status == AccountStatus::Closed {
            broken.push(Rejection::AccountClosed);
        }
        Some(account)
    }

    pub(crate) fn broken_by_transfer(
        &self,
        transfer: &Transfer,
        broken: &mut Vec<Rejection>,
    ) -> Option<Effect> {
        use Rejection::*;
        let Transfer { debit, credit, asset, kind, .. } = transfer;
        let amount = i128::from(transfer.amount.0);
        let mut rule = |is_broken: bool, code| broken.extend(is_broken.then_some(code));
        rule(!(1..=BOUND).contains(&amount), AmountInvalid);
        rule(debit == credit, SameAccount);
        let parties = (self.accounts.get(debit), self.accounts.get(credit));
        let (Some(payer), Some(payee)) = parties else {
            rule(true, AccountNotFound);
            return None;
        };
        rule(!allowed(*kind, payer.opening.kind, payee.opening.kind), KindNotAllowed);
        rule([payer, payee].iter().any(|party| party.opening.asset != *asset), AssetMismatch);
        let available = payer.posted - self.held(*debit);
        rule(!payer.is_outside() && available < amount, InsufficientFunds);
        if counts(*kind) {
            payer.over_limits(amount, broken);
        }
        self.broken_by_moving((payer, payee), amount, broken);
        Some(Effect { amount, moves: Some((*kind, *debit, *credit)) })
    }

    pub(crate) fn broken_by_hold(
        &self,
        hold: &Hold,
        broken: &mut Vec<Rejection>,
    ) -> Option<Effect> {
        use Rejection::*;
        let Hold { debit, credit, asset, .. } = hold;
        let amount = i128::from(hold.amount.0);
        let mut rule = |is_broken: bool, code| broken.extend(is_broken.then_some(code));
        rule(!(1..=BOUND).contains(&amount), AmountInvalid);
        rule(debit == credit, SameAccount);
        let parties = (self.accounts.get(debit), self.accounts.get(credit));
        let (Some(payer), Some(payee)) = parties else {
            rule(true, AccountNotFound);
            return None;
        };
        let kinds = (payer.opening.kind, payee.opening.kind);
        rule(kinds != (AccountKind::Wallet, AccountKind::Merchant), KindNotAllowed);
        rule([payer, payee].iter().any(|party| party.opening.asset != *asset), AssetMismatch);
        rule([payer, payee].iter().any(|party| party.is_closed()), AccountClosed);
        rule(payer.status == AccountStatus::Frozen, AccountFrozen);
        rule(payer.posted - self.held(*debit) < amount, InsufficientFunds);
        payer.over_limits(amount, broken);
        Some(Effect { amount, moves: None })
    }

    /// `capture`: the amount of a capture; `None`: a void.
    pub(crate) fn broken_by_closing(
        &self,
        id: CommandId,
        capture: Option<Option<i128>>,
        broken: &mut Vec<Rejection>,
    ) -> Option<Effect> {
        use Rejection::*;
        let named = capture.flatten();
        let mut rule = |is_broken: bool, code| broken.extend(is_broken.then_some(code));
        rule(named.is_some_and(|amount| !(1..=BOUND).contains(&amount)), AmountInvalid);
        let Some((hold, due, open)) = self.holds.get(&id) else {
            rule(true, HoldNotFound);
            return None;
        };
        rule(!open || *due <= self.now, HoldNotOpen);
        let all = i128::from(hold.amount.0);
        let amount = named.unwrap_or(all);
        rule(amount > all, CaptureExceedsHold);
        if capture.is_none() {
            return Some(Effect { amount: all, moves: None });
        }
        let parties = (&self.accounts[&hold.debit], &self.accounts[&hold.credit]);
        self.broken_by_moving(parties, amount, broken);
        Some(Effect { amount, moves: Some((TransferKind::Payment, hold.debit, hold.credit)) })
    }

    /// The rules of every movement.
    pub(crate) fn broken_by_moving(
        &self,
        (payer, payee): (&Account, &Account),
        amount: i128,
        broken: &mut Vec<Rejection>,
    ) {
        use Rejection::*;
        let mut rule = |is_broken: bool, code| broken.extend(is_broken.then_some(code));
        rule(payer.is_closed() || payee.is_closed(), AccountClosed);
        rule(payer.status == AccountStatus::Frozen, AccountFrozen);
        let over = payee.max_balance.is_some_and(|max| payee.posted + amount > max);
        rule(over, MaxBalanceExceeded);
        rule(payer.posted - amount < -BOUND || payee.posted + amount > BOUND, Overflow);
    }
}

pub(crate) fn counts(kind: TransferKind) -> bool {
    "transfer payment cash_out fee".split(' ').any(|name| name == kind.name())
}

fn allowed(kind: TransferKind, payer: AccountKind, payee: AccountKind) -> bool {
    let named = match kind {
        TransferKind::TopUp => "bank wallet",
        TransferKind::Transfer => "wallet wallet",
        TransferKind::Payment => "wallet merchant",
        TransferKind::CashOut => "wallet bank, merchant bank",
        TransferKind::Fee => "wallet fee, merchant fee",
        TransferKind::Grant => "issuer wallet",
        TransferKind::Refund | TransferKind::Reversal => "",
    };
    named.split(", ").any(|pair| pair == format!("{payer} {payee}"))
}
