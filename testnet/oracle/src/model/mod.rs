//! The rules of the money, one command at a time: judge it and, when it passes, do it.
//!
//! The checks come in the order of docs/LEDGER.md; nothing changes before the last one.

mod account;
mod hold;
mod known_ids;
mod movement;
mod returns;
mod rules;

use std::{collections::BTreeMap, sync::Arc};

use evenkeel_wire::{
    codec,
    command::Command,
    day::{BusinessDate, CloseDay},
    genesis::Genesis,
    id::{AccountId, CommandId},
    limits::AMOUNT_MAX,
    outcome::{Outcome, Rejection},
};

pub use account::AccountState;
pub use hold::HoldState;
pub use known_ids::FirstDecision;
pub use movement::Movement;
pub use rules::Rules;

use crate::mismatch::Mismatch;
use account::Account;

/// Where and when a command is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The entry's position.
    pub position: u64,
    /// The command's number among the new outcomes of its entry.
    pub index: u16,
    /// The entry's time, microseconds since the Unix epoch.
    pub time: u64,
}

/// What a command must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub outcome: Outcome,
    /// For a replay: the position of the first decision.
    pub first: Option<u64>,
}

impl Decision {
    pub(crate) fn first(outcome: Outcome) -> Self {
        Self { outcome, first: None }
    }

    pub(crate) fn replay(position: u64, outcome: Outcome) -> Self {
        Self { outcome, first: Some(position) }
    }

    /// Whether it takes an index of its entry: replays and commands that do nothing take none.
    pub(crate) fn takes_index(&self) -> bool {
        self.first.is_none() && self.outcome.index != Outcome::NO_INDEX
    }
}

/// What a committed command moved or held, and both balances after a movement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effect {
    pub(crate) amount: i64,
    pub(crate) debit_after: i64,
    pub(crate) credit_after: i64,
}

pub(crate) type Judgement<T> = Result<T, Rejection>;

/// How often holds ended and money went back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EffectCounts {
    pub captured: u64,
    pub voided: u64,
    pub expired: u64,
    /// Refunds and reversals.
    pub returned: u64,
}

/// The state that commands led to, and the rules that judge the next one.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// `None` before genesis.
    rules: Option<Rules>,
    genesis: Option<Arc<(Genesis, Moment)>>,
    accounts: BTreeMap<AccountId, Account>,
    firsts: BTreeMap<CommandId, Arc<FirstDecision>>,
    holds: BTreeMap<CommandId, HoldState>,
    movements: BTreeMap<CommandId, Movement>,
    date: Option<BusinessDate>,
    counts: EffectCounts,
}

impl Model {
    /// A model without a genesis entry: the rules are given.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules: Some(rules), ..Self::default() }
    }

    /// Judges a command and, when it passes, does it.
    ///
    /// # Errors
    /// When no rule exists for the command: it concerns keys, or comes before genesis.
    pub fn apply(&mut self, at: Moment, command: &Command) -> Result<Decision, Mismatch> {
        self.apply_encoded(at, command, &codec::encode(command).into())
    }

    /// The same, with the command's bytes at hand.
    pub(crate) fn apply_encoded(
        &mut self,
        at: Moment,
        command: &Command,
        content: &Arc<[u8]>,
    ) -> Result<Decision, Mismatch> {
        if self.rules.is_none() && !matches!(command, Command::Genesis(_)) {
            return Err(Mismatch::new(format!("{command:?} comes before genesis")));
        }
        match command {
            Command::Genesis(genesis) => Ok(self.set_genesis(at, genesis)),
            Command::OpenAccount(open) => Ok(self.open_account(at, open)),
            Command::ExpireHold(expire) => Ok(self.expire(at, expire.hold)),
            Command::CloseDay(close) => Ok(self.close_day(at, *close)),
            other => match other.id() {
                Some(id) => Ok(self.decide(at, id, other, content)),
                None => Err(Mismatch::new(format!("the model has no rule for {other:?}"))),
            },
        }
    }

    fn rules(&self) -> &Rules {
        self.rules.as_ref().expect("`apply` refuses what comes before genesis")
    }

    /// The first genesis sets the rules; the same again is a replay, another one is `id_reused`.
    fn set_genesis(&mut self, at: Moment, genesis: &Genesis) -> Decision {
        if let Some(known) = &self.genesis {
            let (first, moment) = &**known;
            if first == genesis {
                return Decision::replay(
                    moment.position,
                    committed_outcome(moment.index, Effect::default()),
                );
            }
            return Decision::first(rejected_outcome(at.index, Rejection::IdReused));
        }
        self.rules = Some(Rules::of_genesis(genesis));
        self.date = Some(genesis.first_date);
        self.genesis = Some(Arc::new((genesis.clone(), at)));
        Decision::first(committed_outcome(at.index, Effect::default()))
    }

    /// The date moves on when the marker names the current day and a later one.
    fn close_day(&mut self, at: Moment, close: CloseDay) -> Decision {
        if self.date != Some(close.closed) || close.next <= close.closed {
            return Decision::first(rejected_outcome(at.index, Rejection::DayNotOpen));
        }
        self.date = Some(close.next);
        for account in self.accounts.values_mut() {
            account.state.debited_today = 0;
        }
        Decision::first(committed_outcome(at.index, Effect::default()))
    }

    /// The business date; `None`: no genesis was applied.
    #[must_use]
    pub fn date(&self) -> Option<BusinessDate> {
        self.date
    }

    /// How often holds ended and money went back.
    #[must_use]
    pub fn counts(&self) -> EffectCounts {
        self.counts
    }
}

pub(crate) fn committed_outcome(index: u16, effect: Effect) -> Outcome {
    let Effect { amount, debit_after, credit_after } = effect;
    let amount = u64::try_from(amount).expect("amounts are above zero");
    Outcome { index, rejection: None, amount, debit_after, credit_after }
}

pub(crate) fn rejected_outcome(index: u16, rejection: Rejection) -> Outcome {
    Outcome { index, rejection: Some(rejection), amount: 0, debit_after: 0, credit_after: 0 }
}

pub(crate) fn valid_amount(number: u64) -> Judgement<i64> {
    match i64::try_from(number) {
        Ok(amount) if amount > 0 && number <= AMOUNT_MAX => Ok(amount),
        _ => Err(Rejection::AmountInvalid),
    }
}
