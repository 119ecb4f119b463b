//! The changes of committed commands.

use super::*;

impl Model {
    pub(crate) fn commit(
        &mut self,
        command: &Command,
        effect: Effect,
        stamp: Stamp,
        index: u16,
    ) -> Answer {
        match command {
            Command::Transfer(transfer) if counts(transfer.kind) => {
                self.account(transfer.debit).debited += effect.amount;
            }
            Command::Hold(hold) => {
                self.account(hold.debit).debited += effect.amount;
                let due = i128::from(stamp.recorded_at) + i128::from(hold.expires_in_ms) * 1_000;
                self.holds.insert(hold.id, (hold.clone(), due, true));
            }
            Command::Capture(capture) => self.holds.get_mut(&capture.hold).unwrap().2 = false,
            Command::Void(void) => self.holds.get_mut(&void.hold).unwrap().2 = false,
            Command::SetStatus(change) => self.account(change.account).status = change.status,
            Command::SetLimits(change) => self.account(change.account).limit(&change.limits),
            Command::Refund(refund) => {
                self.movements.get_mut(&refund.payment).unwrap().refunded += effect.amount;
            }
            Command::Reversal(reversal) => {
                let undone = self.movements.get_mut(&reversal.transfer).unwrap();
                undone.reversed_by = Some(reversal.id);
            }
            _ => {}
        }
        let Some((kind, debit, credit)) = effect.moves else {
            return committed(index, effect.amount, (0, 0));
        };
        let amount = effect.amount;
        let movement = Movement { kind, debit, credit, amount, refunded: 0, reversed_by: None };
        self.movements.insert(command.id().unwrap(), movement);
        let asset = self.account(debit).opening.asset;
        let today = self.days.last_mut().unwrap();
        let (count, sum) = today.movements.entry((asset, kind)).or_default();
        *count += 1;
        *sum += amount;
        self.account(debit).posted -= effect.amount;
        self.account(credit).posted += effect.amount;
        let after = (self.account(debit).posted, self.account(credit).posted);
        committed(index, effect.amount, after)
    }

    pub(crate) fn account(&mut self, id: AccountId) -> &mut Account {
        self.accounts.get_mut(&id).unwrap()
    }

    pub(crate) fn held(&self, account: AccountId) -> i128 {
        let open = self.holds.values().filter(|(hold, _, open)| *open && hold.debit == account);
        open.map(|(hold, ..)| i128::from(hold.amount.0)).sum()
    }

    pub(crate) fn totals(&self) -> Vec<AssetTotals> {
        let assets = &self.genesis.as_ref().unwrap().0.assets;
        let totals = |asset: &Asset| {
            let sum = |kind| i64::try_from(self.sum(asset.name(), &[kind])).unwrap();
            AssetTotals {
                asset: *asset,
                wallet: sum(AccountKind::Wallet),
                merchant: sum(AccountKind::Merchant),
                bank: sum(AccountKind::Bank),
                fee: sum(AccountKind::Fee),
                issuer: sum(AccountKind::Issuer),
            }
        };
        assets.iter().map(totals).collect()
    }

    pub(crate) fn sum(&self, asset_name: &str, kinds: &[AccountKind]) -> i128 {
        let of_asset = self.accounts.values().filter(|account| {
            account.opening.asset == asset(asset_name) && kinds.contains(&account.opening.kind)
        });
        of_asset.map(|account| account.posted).sum()
    }
}

impl Account {
    /// Balances of banks and issuers may be negative.
    pub(crate) fn is_outside(&self) -> bool {
        [AccountKind::Bank, AccountKind::Issuer].contains(&self.opening.kind)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.status == AccountStatus::Closed
    }

    pub(crate) fn limit(&mut self, limits: &Limits) {
        for (limit, change) in [
            (&mut self.max_balance, limits.max_balance),
            (&mut self.per_transfer, limits.per_transfer),
            (&mut self.daily_debit, limits.daily_debit),
        ] {
            match change {
                LimitChange::Keep => {}
                LimitChange::Clear => *limit = None,
                LimitChange::Set(amount) => *limit = Some(amount.0.into()),
            }
        }
    }

    pub(crate) fn over_limits(&self, amount: i128, broken: &mut Vec<Rejection>) {
        if self.per_transfer.is_some_and(|limit| amount > limit) {
            broken.push(Rejection::PerTransferLimitExceeded);
        }
        if self.daily_debit.is_some_and(|limit| self.debited + amount > limit) {
            broken.push(Rejection::DailyLimitExceeded);
        }
    }
}

pub(crate) fn are_valid(limits: &Limits) -> bool {
    let Limits { max_balance, per_transfer, daily_debit } = limits;
    let is_valid = |change: &LimitChange| match change {
        LimitChange::Set(amount) => i128::from(amount.0) <= BOUND,
        _ => true,
    };
    [max_balance, per_transfer, daily_debit].into_iter().all(is_valid)
}
