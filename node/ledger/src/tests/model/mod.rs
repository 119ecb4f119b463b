//! The ledger compared with a slow model that is easy to check by reading: sorted maps, large
//! numbers, every rule checked.

mod answers;
mod compare;
mod effects;
mod rules;

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

use super::support::{history::*, world::*};
use answers::{again, committed, no_outcome, rejected};
use compare::compare;
use effects::are_valid;
use rules::counts;

const BOUND: i128 = (1 << 53) - 1;

#[derive(Clone, Default)]
struct Model {
    now: i128,
    genesis: Option<(Genesis, Answer)>,
    accounts: BTreeMap<AccountId, Account>,
    ids: BTreeMap<CommandId, (Command, Answer)>,
    movements: BTreeMap<CommandId, Movement>,
    /// By number: the command, the first answer, whether it's revoked.
    keys: Vec<(CreateKey, Answer, bool)>,
    days: Vec<Day>,
    /// All holds that were placed: the hold, when it's due, whether it's open.
    holds: BTreeMap<CommandId, (Hold, i128, bool)>,
}

/// A movement, and how much of it was returned.
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
    /// The position, link and sums at its end.
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
    /// Of the day under way.
    debited: i128,
}

/// The effect of a command.
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
            Command::Genesis(genesis) => return self.bootstrap(genesis, stamp, index),
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

    fn bootstrap(&mut self, genesis: &Genesis, stamp: Stamp, index: u16) -> Answer {
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
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_ledger_agrees_with_the_model(history in histories()) {
        let mut model = Model::default();
        let mut world = World::empty();
        for event in history.0.iter() {
            let answers = world.apply_event(event);
            let (head, _) = world.journal.entries.last().unwrap();
            let expected = match event {
                Event::Entry { groups, .. } => model.entry(head.stamp(), groups),
                Event::Pass { time } => {
                    model.now = model.now.max(i128::from(*time));
                    Vec::new()
                }
            };
            prop_assert_eq!(answers, expected);
            compare(&model, &world)?;
        }
        while let crate::AuditProgress::Underway { .. } = world.ledger.audit_next(5).unwrap() {}
    }
}
