//! The ledger against a slow one that anybody can check by reading: sorted maps, big numbers, every rule looked at.

use std::collections::BTreeMap;

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, LimitChange, Limits, OpenAccount},
    amount::Asset,
    command::Command,
    day::{BusinessDate, CloseDay},
    genesis::Genesis,
    hold::Hold,
    id::{AccountId, CommandId, KeyId},
    key::{CreateKey, Role},
    outcome::{Answer, Outcome, Rejection, Stamp},
    refund::Refund,
    reply::AssetTotals,
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
    movements: BTreeMap<CommandId, Movement>,
    /// In the order of their numbers: what was asked for, the first answer, whether it's revoked.
    keys: Vec<(CreateKey, Answer, bool)>,
    days: Vec<Day>,
    /// All that were taken up: the hold, when it's due, whether it's neither taken nor given back.
    holds: BTreeMap<CommandId, (Hold, i128, bool)>,
}

/// Money that moved, and how much of it went back.
#[derive(Clone)]
struct Movement {
    kind: TransferKind,
    debit: AccountId,
    credit: AccountId,
    amount: i128,
    refunded: i128,
    reversed_by: Option<CommandId>,
}

/// A business day; the last one is under way.
#[derive(Clone)]
struct Day {
    date: BusinessDate,
    first_position: u64,
    opening: Vec<AssetTotals>,
    movements: BTreeMap<(Asset, TransferKind), (u64, i128)>,
    /// Position, link and sums at its end.
    closed: Option<(u64, [u8; 32], Vec<AssetTotals>)>,
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
    /// In the day under way.
    debited: i128,
}

/// What a command would do.
#[derive(Default)]
struct Effect {
    amount: i128,
    moves: Option<(TransferKind, AccountId, AccountId)>,
}

impl Model {
    fn entry(&mut self, stamp: Stamp, groups: &[(bool, Vec<Command>)]) -> Vec<Answer> {
        self.now = self.now.max(stamp.recorded_at.into());
        if let [(_, commands)] = groups
            && let [Command::CloseDay(close)] = &commands[..]
        {
            return vec![self.close_day(close, stamp)];
        }
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
            Command::CreateKey(create) => return self.create_key(create, stamp, index),
            Command::RevokeKey(revoke) => return self.revoke_key(revoke.key, index),
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
                let hash = genesis.operator_key;
                let operator = CreateKey { hash, role: Role::Operator, account: None };
                self.keys.push((operator, again(committed(index, 1, (0, 0)), stamp), false));
                let opening = self.totals();
                self.days.push(Day {
                    date: genesis.first_date,
                    first_position: 0,
                    opening,
                    movements: BTreeMap::new(),
                    closed: None,
                });
                answer
            }
        }
    }

    fn close_day(&mut self, close: &CloseDay, stamp: Stamp) -> Answer {
        let totals = self.totals();
        let today = self.days.last_mut().unwrap();
        if today.date != close.closed || close.next <= close.closed {
            return rejected(0, Rejection::DayNotOpen);
        }
        today.closed = Some((stamp.position, stamp.link, totals.clone()));
        self.days.push(Day {
            date: close.next,
            first_position: stamp.position + 1,
            opening: totals,
            movements: BTreeMap::new(),
            closed: None,
        });
        self.accounts.values_mut().for_each(|account| account.debited = 0);
        committed(0, 0, (0, 0))
    }

    fn create_key(&mut self, create: &CreateKey, stamp: Stamp, index: u16) -> Answer {
        match self.keys.iter().find(|(key, ..)| key.hash == create.hash) {
            Some((key, first, _)) if key == create => return *first,
            Some(_) => return rejected(index, Rejection::IdReused),
            None => {}
        }
        let kind = create.account.map(|id| self.accounts.get(&id).map(|found| found.opening.kind));
        let fits = match create.role {
            Role::Merchant => kind == Some(Some(AccountKind::Merchant)),
            _ => kind.is_none(),
        };
        if !fits {
            return rejected(index, Rejection::KeyAccountInvalid);
        }
        let number = i128::try_from(self.keys.len() + 1).unwrap();
        let answer = committed(index, number, (0, 0));
        self.keys.push((*create, again(answer, stamp), false));
        answer
    }

    fn revoke_key(&mut self, key: KeyId, index: u16) -> Answer {
        let at = usize::try_from(key.0).unwrap().checked_sub(1);
        match at.and_then(|at| self.keys.get_mut(at)) {
            Some((.., revoked)) => {
                *revoked = true;
                committed(index, 0, (0, 0))
            }
            None => rejected(index, Rejection::KeyNotFound),
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
            Command::Refund(refund) => self.broken_by_refund(refund, broken),
            Command::Reversal(reversal) => self.broken_by_reversal(reversal.transfer, broken),
            other => unreachable!("{other:?}"),
        }
    }

    fn broken_by_refund(&self, refund: &Refund, broken: &mut Vec<Rejection>) -> Option<Effect> {
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

    fn broken_by_reversal(&self, id: CommandId, broken: &mut Vec<Rejection>) -> Option<Effect> {
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

    fn broken_by_moving_back(
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
        let available = payer.posted - self.held(*debit);
        rule(!payer.is_outside() && available < amount, InsufficientFunds);
        if counts(*kind) {
            payer.over_limits(amount, broken);
        }
        self.broken_by_moving((payer, payee), amount, broken);
        Some(Effect { amount, moves: Some((*kind, *debit, *credit)) })
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
        Some(Effect { amount, moves: Some((TransferKind::Payment, hold.debit, hold.credit)) })
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

    fn account(&mut self, id: AccountId) -> &mut Account {
        self.accounts.get_mut(&id).unwrap()
    }

    fn held(&self, account: AccountId) -> i128 {
        let open = self.holds.values().filter(|(hold, _, open)| *open && hold.debit == account);
        open.map(|(hold, ..)| i128::from(hold.amount.0)).sum()
    }

    fn totals(&self) -> Vec<AssetTotals> {
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

    fn sum(&self, asset_name: &str, kinds: &[AccountKind]) -> i128 {
        let of_asset = self.accounts.values().filter(|account| {
            account.opening.asset == asset(asset_name) && kinds.contains(&account.opening.kind)
        });
        of_asset.map(|account| account.posted).sum()
    }
}

impl Account {
    /// Bank and issuer may owe.
    fn is_outside(&self) -> bool {
        [AccountKind::Bank, AccountKind::Issuer].contains(&self.opening.kind)
    }

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
    if model.genesis.is_none() {
        return Ok(());
    }
    prop_assert_eq!(world.ledger.totals().assets, model.totals());
    for asset in ["KRW", "POINT"] {
        prop_assert_eq!(model.sum(asset, AccountKind::ALL), 0);
    }
    for (id, movement) in &model.movements {
        prop_assert_eq!(i128::from(world.ledger.refunded(*id)), movement.refunded);
        prop_assert_eq!(world.ledger.reversed_by(*id), movement.reversed_by);
    }
    compare_keys(model, world)?;
    compare_days(model, world)?;
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

fn compare_keys(model: &Model, world: &World) -> Result<(), TestCaseError> {
    let views = world.ledger.keys();
    prop_assert_eq!(views.len(), model.keys.len());
    for ((number, (create, _, revoked)), view) in (1..).zip(&model.keys).zip(views) {
        prop_assert_eq!(view.key, KeyId(number));
        let found = (view.role, view.account, view.revoked);
        prop_assert_eq!(found, (create.role, create.account, *revoked));
        prop_assert_eq!(world.ledger.key(&create.hash), Some(view));
    }
    prop_assert_eq!(world.ledger.key(&[0xee; 32]), None);
    Ok(())
}

fn compare_days(model: &Model, world: &World) -> Result<(), TestCaseError> {
    let today = model.days.last().unwrap();
    prop_assert_eq!(world.ledger.business_date(), Some(today.date));
    prop_assert_eq!(world.ledger.day(today.date), None);
    for day in &model.days {
        let Some((last_position, link, closing)) = &day.closed else { continue };
        let report = world.ledger.day(day.date).unwrap();
        prop_assert_eq!(report.date, day.date);
        let positions = (report.first_position, report.last_position);
        prop_assert_eq!(positions, (day.first_position, *last_position));
        prop_assert_eq!(report.link, *link);
        for (row, (opening, closing)) in report.assets.iter().zip(day.opening.iter().zip(closing)) {
            prop_assert_eq!((&row.opening, &row.closing), (opening, closing));
            let moved = row.movements.iter().map(|row| (row.kind, row.count, i128::from(row.sum)));
            let of_asset = day.movements.iter().filter(|((asset, _), _)| *asset == opening.asset);
            let expected = of_asset.map(|((_, kind), (count, sum))| (*kind, *count, *sum));
            prop_assert!(moved.eq(expected));
        }
    }
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
