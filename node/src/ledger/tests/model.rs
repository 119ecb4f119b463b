//! The ledger against a slow one that anybody can check by reading: sorted maps, big numbers, every rule looked at.

use std::collections::BTreeMap;

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, LimitChange, Limits, OpenAccount},
    command::Command,
    genesis::Genesis,
    hold::Hold,
    id::{AccountId, CommandId},
    outcome::{Answer, Outcome, Rejection, Stamp},
    transfer::{Transfer, TransferKind},
};
use proptest::prelude::*;

use super::{super::first::stamp, history::*, world::*};

const BOUND: i128 = (1 << 53) - 1;

#[derive(Clone, Default)]
struct Model {
    now: i128,
    genesis: Option<(Genesis, Answer)>,
    accounts: BTreeMap<AccountId, Account>,
    ids: BTreeMap<CommandId, (Command, Answer)>,
    /// All that were taken up: the hold, when it's due, whether it's neither taken nor given back.
    holds: BTreeMap<CommandId, (Hold, i128, bool)>,
}

#[derive(Clone)]
struct Account {
    opening: OpenAccount,
    opened: Answer,
    posted: i128,
    status: AccountStatus,
    max_balance: Option<i128>,
    per_transfer: Option<i128>,
    daily_debit: Option<i128>,
    debited: i128,
}

/// What a command would do.
#[derive(Default)]
struct Effect {
    amount: i128,
    moves: Option<(AccountId, AccountId)>,
}

impl Model {
    fn entry(&mut self, stamp: Stamp, groups: &[(bool, Vec<Command>)]) -> Vec<Answer> {
        self.now = self.now.max(stamp.recorded_at.into());
        let mut index = 0;
        let mut answers = Vec::new();
        for (atomic, commands) in groups {
            let before = (self.clone(), index);
            let mut group = Vec::new();
            for command in commands {
                let answer = self.command(command, stamp, index);
                let is_new = answer.first.is_none() && answer.outcome.index != Outcome::NO_INDEX;
                index += u16::from(is_new);
                group.push(answer);
                if *atomic && answer.outcome.rejection.is_some() {
                    break;
                }
            }
            let failing = group.last().and_then(|last| last.outcome.rejection);
            if let (true, Some(why)) = (*atomic, failing) {
                (*self, index) = before;
                let failed = group.len() - 1;
                group = vec![no_outcome(Some(Rejection::BatchFailed)); commands.len()];
                group[failed] = no_outcome(Some(why));
            }
            answers.extend(group);
        }
        answers
    }

    fn command(&mut self, command: &Command, stamp: Stamp, index: u16) -> Answer {
        match command {
            Command::Genesis(genesis) => return self.found(genesis, stamp, index),
            Command::OpenAccount(open) => return self.open(open, stamp, index),
            Command::ExpireHold(expire) => return self.expire(expire.hold, index),
            _ => {}
        }
        let id = command.id().unwrap();
        match self.ids.get(&id) {
            Some((first, answer)) if first == command => return *answer,
            Some(_) => return rejected(index, Rejection::IdReused),
            None => {}
        }
        let mut broken = self.out_of_time(id);
        let answer = match self.broken(command, &mut broken) {
            Some(effect) if broken.is_empty() => self.commit(command, effect, stamp, index),
            _ => rejected(index, *broken.iter().min().expect("something is broken")),
        };
        if answer.outcome.rejection.is_none_or(Rejection::is_recorded) {
            self.ids.insert(id, (command.clone(), again(answer, stamp)));
        }
        answer
    }

    fn found(&mut self, genesis: &Genesis, stamp: Stamp, index: u16) -> Answer {
        match &self.genesis {
            Some((first, answer)) if first == genesis => *answer,
            Some(_) => rejected(index, Rejection::IdReused),
            None => {
                let answer = committed(index, 0, (0, 0));
                self.genesis = Some((genesis.clone(), again(answer, stamp)));
                answer
            }
        }
    }

    fn open(&mut self, open: &OpenAccount, stamp: Stamp, index: u16) -> Answer {
        if !are_valid(&open.limits) {
            return rejected(index, Rejection::AmountInvalid);
        }
        match self.accounts.get(&open.id) {
            Some(account) if account.opening == *open => return account.opened,
            Some(_) => return rejected(index, Rejection::AccountExists),
            None => {}
        }
        let genesis = &self.genesis.as_ref().unwrap().0;
        if !genesis.assets.contains(&open.asset) {
            return rejected(index, Rejection::AssetMismatch);
        }
        let is_wallet = open.kind == AccountKind::Wallet;
        let answer = committed(index, 0, (0, 0));
        let mut account = Account {
            opening: open.clone(),
            opened: again(answer, stamp),
            posted: 0,
            status: AccountStatus::Open,
            max_balance: is_wallet.then_some(genesis.wallet_max_balance.into()),
            per_transfer: None,
            daily_debit: None,
            debited: 0,
        };
        account.limit(&open.limits);
        self.accounts.insert(open.id, account);
        answer
    }

    fn expire(&mut self, hold: CommandId, index: u16) -> Answer {
        match self.holds.get_mut(&hold) {
            Some((hold, due, open)) if *open && *due <= self.now => {
                *open = false;
                committed(index, hold.amount.0.into(), (0, 0))
            }
            _ => no_outcome(None),
        }
    }

    fn out_of_time(&self, id: CommandId) -> Vec<Rejection> {
        let genesis = &self.genesis.as_ref().unwrap().0;
        let made = i128::from(id.milliseconds()) * 1_000;
        let mut broken = Vec::new();
        if made - self.now > i128::from(genesis.id_tolerance_ms) * 1_000 {
            broken.push(Rejection::IdInFuture);
        }
        if self.now - made > i128::from(genesis.id_horizon_ms) * 1_000 {
            broken.push(Rejection::IdExpired);
        }
        broken
    }

    /// Every rule that a command breaks; what it does, where that can be told.
    fn broken(&self, command: &Command, broken: &mut Vec<Rejection>) -> Option<Effect> {
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
            other => unreachable!("{other:?}"),
        }
    }

    fn changeable(&self, id: AccountId, broken: &mut Vec<Rejection>) -> Option<&Account> {
        let Some(account) = self.accounts.get(&id) else {
            broken.push(Rejection::AccountNotFound);
            return None;
        };
        if account.status == AccountStatus::Closed {
            broken.push(Rejection::AccountClosed);
        }
        Some(account)
    }

    fn broken_by_transfer(
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
        let outside = [AccountKind::Bank, AccountKind::Issuer].contains(&payer.opening.kind);
        let available = payer.posted - self.held(*debit);
        rule(!outside && available < amount, InsufficientFunds);
        if counts(*kind) {
            payer.over_limits(amount, broken);
        }
        self.broken_by_moving((payer, payee), amount, broken);
        Some(Effect { amount, moves: Some((*debit, *credit)) })
    }

    fn broken_by_hold(&self, hold: &Hold, broken: &mut Vec<Rejection>) -> Option<Effect> {
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

    /// `capture`: what it names; `None`: a void.
    fn broken_by_closing(
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
        Some(Effect { amount, moves: Some((hold.debit, hold.credit)) })
    }

    /// What every movement may break, wherever it comes from.
    fn broken_by_moving(
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

    fn commit(&mut self, command: &Command, effect: Effect, stamp: Stamp, index: u16) -> Answer {
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
            _ => {}
        }
        let Some((debit, credit)) = effect.moves else {
            return committed(index, effect.amount, (0, 0));
        };
        self.account(debit).posted -= effect.amount;
        self.account(credit).posted += effect.amount;
        let after = (self.account(debit).posted, self.account(credit).posted);
        committed(index, effect.amount, after)
    }

    fn account(&mut self, id: AccountId) -> &mut Account {
        self.accounts.get_mut(&id).unwrap()
    }

    fn held(&self, account: AccountId) -> i128 {
        let open = self.holds.values().filter(|(hold, _, open)| *open && hold.debit == account);
        open.map(|(hold, ..)| i128::from(hold.amount.0)).sum()
    }

    fn sum(&self, asset_name: &str, kinds: &[AccountKind]) -> i128 {
        let of_asset = self.accounts.values().filter(|account| {
            account.opening.asset == asset(asset_name) && kinds.contains(&account.opening.kind)
        });
        of_asset.map(|account| account.posted).sum()
    }
}

impl Account {
    fn is_closed(&self) -> bool {
        self.status == AccountStatus::Closed
    }

    fn limit(&mut self, limits: &Limits) {
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

    fn over_limits(&self, amount: i128, broken: &mut Vec<Rejection>) {
        if self.per_transfer.is_some_and(|limit| amount > limit) {
            broken.push(Rejection::PerTransferLimitExceeded);
        }
        if self.daily_debit.is_some_and(|limit| self.debited + amount > limit) {
            broken.push(Rejection::DailyLimitExceeded);
        }
    }
}

fn are_valid(limits: &Limits) -> bool {
    let Limits { max_balance, per_transfer, daily_debit } = limits;
    let is_valid = |change: &LimitChange| match change {
        LimitChange::Set(amount) => i128::from(amount.0) <= BOUND,
        _ => true,
    };
    [max_balance, per_transfer, daily_debit].into_iter().all(is_valid)
}

fn counts(kind: TransferKind) -> bool {
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

fn committed(index: u16, amount: i128, (debit, credit): (i128, i128)) -> Answer {
    let outcome = Outcome {
        index,
        rejection: None,
        amount: u64::try_from(amount).unwrap(),
        debit_after: i64::try_from(debit).unwrap(),
        credit_after: i64::try_from(credit).unwrap(),
    };
    Answer { outcome, first: None }
}

fn rejected(index: u16, rejection: Rejection) -> Answer {
    let rejection = Some(rejection);
    let outcome = Outcome { index, rejection, amount: 0, debit_after: 0, credit_after: 0 };
    Answer { outcome, first: None }
}

fn no_outcome(rejection: Option<Rejection>) -> Answer {
    let index = Outcome::NO_INDEX;
    let outcome = Outcome { index, rejection, amount: 0, debit_after: 0, credit_after: 0 };
    Answer { outcome, first: None }
}

fn again(answer: Answer, stamp: Stamp) -> Answer {
    Answer { first: Some(stamp), ..answer }
}

/// Whether the ledger shows what the model has.
fn compare(model: &Model, world: &World) -> Result<(), TestCaseError> {
    for totals in world.ledger.totals().assets {
        use AccountKind::{Bank, Fee, Issuer, Merchant, Wallet};
        for (kind, shown) in [
            (Wallet, totals.wallet),
            (Merchant, totals.merchant),
            (Bank, totals.bank),
            (Fee, totals.fee),
            (Issuer, totals.issuer),
        ] {
            prop_assert_eq!(i128::from(shown), model.sum(totals.asset.name(), &[kind]));
        }
        prop_assert_eq!(model.sum(totals.asset.name(), AccountKind::ALL), 0);
    }
    prop_assert_eq!(world.ledger.account_count(), model.accounts.len());
    let limit = |limit: Option<u64>| limit.map(i128::from);
    for (id, account) in &model.accounts {
        let view = world.ledger.account(*id).unwrap();
        let opening = &account.opening;
        let opened = (opening.kind, opening.asset, &opening.label);
        prop_assert_eq!((view.kind, view.asset, &view.label), opened);
        prop_assert_eq!(view.opened_at, account.opened.first.unwrap().recorded_at);
        prop_assert_eq!(Some(view.position), world.ledger.position());
        prop_assert_eq!((view.posted.into(), view.status), (account.posted, account.status));
        prop_assert_eq!(i128::from(view.held), model.held(*id));
        prop_assert_eq!(i128::from(view.debited_today), account.debited);
        let limits = [view.max_balance, view.per_transfer, view.daily_debit].map(limit);
        let expected = [account.max_balance, account.per_transfer, account.daily_debit];
        prop_assert_eq!(limits, expected);
    }
    let mut due = Vec::new();
    for (id, (hold, expires_at, open)) in &model.holds {
        let found = world.ledger.hold(*id);
        prop_assert_eq!(found.is_some(), *open);
        prop_assert_eq!(world.ledger.resolution_recent(*id).is_some(), !open);
        if let Some(found) = found {
            let parties = (found.debit, found.credit, found.amount);
            prop_assert_eq!(parties, (hold.debit, hold.credit, hold.amount.0));
            prop_assert_eq!(i128::from(found.expires_at), *expires_at);
            due.push((*expires_at, *id));
        }
    }
    due.sort_unstable();
    let next = due.first().map(|(expires_at, _)| *expires_at);
    prop_assert_eq!(world.ledger.next_due().map(i128::from), next);
    let now = model.now;
    let due: Vec<_> = due.iter().filter(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
    prop_assert_eq!(world.ledger.due_holds(world.ledger.time(), 99), due);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_ledger_says_what_the_model_says(history in histories()) {
        let mut model = Model::default();
        let mut world = World::empty();
        for happening in history.0.iter() {
            let answers = world.live(happening);
            let (head, _) = world.journal.entries.last().unwrap();
            let expected = match happening {
                Happening::Entry { groups, .. } => model.entry(stamp(head), groups),
                Happening::Pass { time } => {
                    model.now = model.now.max(i128::from(*time));
                    Vec::new()
                }
            };
            prop_assert_eq!(answers, expected);
            compare(&model, &world)?;
        }
        while let super::super::AuditProgress::Underway { .. } = world.ledger.audit_next(5).unwrap() {}
    }
}
