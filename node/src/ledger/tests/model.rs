//! The ledger against a slow one that anybody can check by reading: sorted maps, big numbers, every rule looked at.

use std::collections::BTreeMap;

use evenkeel_wire::{
    account::{AccountKind, OpenAccount},
    command::Command,
    genesis::Genesis,
    id::{AccountId, CommandId},
    outcome::{Answer, Outcome, Rejection, Stamp},
    transfer::{Transfer, TransferKind},
};
use proptest::prelude::*;

use super::{super::first::stamp, history::*, world::*};

const BOUND: i128 = (1 << 53) - 1;

#[derive(Default)]
struct Model {
    now: u64,
    genesis: Option<(Genesis, Answer)>,
    accounts: BTreeMap<AccountId, (OpenAccount, i128, Answer)>,
    ids: BTreeMap<CommandId, (Transfer, Answer)>,
}

impl Model {
    fn entry(&mut self, stamp: Stamp, commands: &[Command]) -> Vec<Answer> {
        self.now = self.now.max(stamp.recorded_at);
        let mut index = 0;
        let mut answers = Vec::new();
        for command in commands {
            let answer = match command {
                Command::Genesis(genesis) => self.found(genesis, stamp, index),
                Command::OpenAccount(open) => self.open(open, stamp, index),
                Command::Transfer(transfer) => self.transfer(transfer, stamp, index),
                other => unreachable!("{other:?}"),
            };
            index += u16::from(answer.first.is_none());
            answers.push(answer);
        }
        answers
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
        match self.accounts.get(&open.id) {
            Some((first, _, answer)) if first == open => return *answer,
            Some(_) => return rejected(index, Rejection::AccountExists),
            None => {}
        }
        if !self.genesis.as_ref().unwrap().0.assets.contains(&open.asset) {
            return rejected(index, Rejection::AssetMismatch);
        }
        let answer = committed(index, 0, (0, 0));
        self.accounts.insert(open.id, (open.clone(), 0, again(answer, stamp)));
        answer
    }

    fn transfer(&mut self, transfer: &Transfer, stamp: Stamp, index: u16) -> Answer {
        match self.ids.get(&transfer.id) {
            Some((first, answer)) if first == transfer => return *answer,
            Some(_) => return rejected(index, Rejection::IdReused),
            None => {}
        }
        let answer = match self.broken(transfer).into_iter().min() {
            Some(rejection) => rejected(index, rejection),
            None => {
                let amount = i128::from(transfer.amount.0);
                let debit_after = self.add(transfer.debit, -amount);
                let credit_after = self.add(transfer.credit, amount);
                committed(index, transfer.amount.0, (debit_after, credit_after))
            }
        };
        if answer.outcome.rejection.is_none_or(Rejection::is_recorded) {
            self.ids.insert(transfer.id, (transfer.clone(), again(answer, stamp)));
        }
        answer
    }

    /// Every rule that a transfer breaks.
    fn broken(&self, transfer: &Transfer) -> Vec<Rejection> {
        use Rejection::*;
        let genesis = &self.genesis.as_ref().unwrap().0;
        let made = i128::from(transfer.id.milliseconds()) * 1_000;
        let now = i128::from(self.now);
        let amount = i128::from(transfer.amount.0);
        let mut broken = Vec::new();
        let mut rule = |is_broken: bool, code| broken.extend(is_broken.then_some(code));
        rule(made - now > i128::from(genesis.id_tolerance_ms) * 1_000, IdInFuture);
        rule(now - made > i128::from(genesis.id_horizon_ms) * 1_000, IdExpired);
        rule(!(1..=BOUND).contains(&amount), AmountInvalid);
        rule(transfer.debit == transfer.credit, SameAccount);
        let parties = (self.accounts.get(&transfer.debit), self.accounts.get(&transfer.credit));
        let (Some((payer, owned, _)), Some((payee, held, _))) = parties else {
            rule(true, AccountNotFound);
            return broken;
        };
        rule(!allowed(transfer.kind, payer.kind, payee.kind), KindNotAllowed);
        rule(payer.asset != transfer.asset || payee.asset != transfer.asset, AssetMismatch);
        let outside = [AccountKind::Bank, AccountKind::Issuer].contains(&payer.kind);
        rule(!outside && owned - amount < 0, InsufficientFunds);
        let limit = i128::from(genesis.wallet_max_balance);
        rule(payee.kind == AccountKind::Wallet && held + amount > limit, MaxBalanceExceeded);
        rule(owned - amount < -BOUND || held + amount > BOUND, Overflow);
        broken
    }

    fn add(&mut self, account: AccountId, amount: i128) -> i64 {
        let posted = &mut self.accounts.get_mut(&account).unwrap().1;
        *posted += amount;
        i64::try_from(*posted).unwrap()
    }

    fn sum(&self, asset_name: &str, kinds: &[AccountKind]) -> i128 {
        let of_asset = self
            .accounts
            .values()
            .filter(|(open, ..)| open.asset == asset(asset_name) && kinds.contains(&open.kind));
        of_asset.map(|(_, posted, _)| posted).sum()
    }
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

fn committed(index: u16, amount: u64, (debit_after, credit_after): (i64, i64)) -> Answer {
    Answer {
        outcome: Outcome { index, rejection: None, amount, debit_after, credit_after },
        first: None,
    }
}

fn rejected(index: u16, rejection: Rejection) -> Answer {
    let rejection = Some(rejection);
    Answer {
        outcome: Outcome { index, rejection, amount: 0, debit_after: 0, credit_after: 0 },
        first: None,
    }
}

fn again(answer: Answer, stamp: Stamp) -> Answer {
    Answer { first: Some(stamp), ..answer }
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
                Happening::Entry { commands, .. } => model.entry(stamp(head), commands),
                Happening::Pass { time } => { model.now = model.now.max(*time); Vec::new() }
            };
            prop_assert_eq!(answers, expected);
            for totals in world.ledger.totals().assets {
                use AccountKind::{Bank, Fee, Issuer, Merchant, Wallet};
                for (kind, shown) in [
                    (Wallet, totals.wallet), (Merchant, totals.merchant), (Bank, totals.bank),
                    (Fee, totals.fee), (Issuer, totals.issuer),
                ] {
                    prop_assert_eq!(i128::from(shown), model.sum(totals.asset.name(), &[kind]));
                }
                prop_assert_eq!(model.sum(totals.asset.name(), AccountKind::ALL), 0);
            }
        }
        prop_assert_eq!(world.ledger.account_count(), model.accounts.len());
        for (id, (open, posted, opened)) in &model.accounts {
            let view = world.ledger.account(*id).unwrap();
            prop_assert_eq!(i128::from(view.posted), *posted);
            prop_assert_eq!((view.kind, view.asset, &view.label), (open.kind, open.asset, &open.label));
            prop_assert_eq!(view.opened_at, opened.first.unwrap().recorded_at);
            prop_assert_eq!(Some(view.position), world.ledger.position());
        }
        while let super::super::AuditProgress::Underway { .. } = world.ledger.audit_next(5).unwrap() {}
    }
}
