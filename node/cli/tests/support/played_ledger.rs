//! The ledger of a played site: the oracle decides, and this keeps what views show besides.

use std::collections::HashMap;

use evenkeel_oracle::model::{Model, Moment, Rules};
use evenkeel_wire::{
    amount::Amount,
    command::Command,
    hold::HoldStatus,
    id::{AccountId, CommandId},
    outcome::{Answer, Outcome, Rejection, Stamp},
    reply::{AccountView, HistoryPage, HoldView, Totals, TransferView, View},
    request::{Cursor, Query},
    transfer::{Text, Transfer, TransferKind},
};

/// How a played site behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    Answers,
    /// Decides, and hides one unit of every balance that it shows.
    HidesMoney,
    /// As a node without a majority; local reads go on.
    NoPrimary,
    /// Takes requests and says nothing.
    Mute,
    /// Every third request is refused for now.
    Overloaded,
    /// Closes the connection at every hundredth request, after deciding it.
    Dies,
    /// Decides, and answers that the outcome is unknown.
    Forgets,
    /// Rejects every third transfer.
    RejectsSome,
    /// Sends every client elsewhere (HTTP alone).
    Redirects,
}

/// Of every entry, microseconds since the Unix epoch: a played site's time stands still.
const TIME: u64 = 1;

pub(crate) struct Ledger {
    pub(crate) position: u64,
    pub(crate) requests: u64,
    pub(crate) rejects_some: bool,
    model: Model,
    /// First answers that the mood gave without the model.
    refused: HashMap<CommandId, (Stamp, Outcome)>,
    /// Where holds and movements were decided: the entry and the index.
    decided_at: HashMap<CommandId, (Stamp, u16)>,
    /// In the order of the journal.
    movements: Vec<Transfer>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            position: 0,
            requests: 0,
            rejects_some: false,
            model: Model::new(Rules::of_new_cluster()),
            refused: HashMap::new(),
            decided_at: HashMap::new(),
            movements: Vec::new(),
        }
    }
}

fn stamp(position: u64) -> Stamp {
    Stamp { position, term: 1, recorded_at: TIME, link: [7; 32] }
}

impl Ledger {
    /// Decides commands in one entry.
    pub(crate) fn decide(&mut self, commands: Vec<Command>) -> (Stamp, Vec<Answer>) {
        self.position += 1;
        let position = self.position;
        let answers = commands.iter().zip(0..).map(|(command, index)| self.answer(command, index));
        (stamp(position), answers.collect())
    }

    fn answer(&mut self, command: &Command, index: u16) -> Answer {
        let now = stamp(self.position);
        if let Some(id) = command.id() {
            if let Some((first, outcome)) = self.refused.get(&id) {
                return Answer { outcome: *outcome, first: Some(*first) };
            }
            if self.rejects(command, index) && self.model.first_decision(id).is_none() {
                let rejection = Some(Rejection::InsufficientFunds);
                let (amount, debit_after, credit_after) = (0, 0, 0);
                let outcome = Outcome { index, rejection, amount, debit_after, credit_after };
                self.refused.insert(id, (now, outcome));
                return Answer { outcome, first: None };
            }
        }
        let moment = Moment { position: self.position, index, time: TIME };
        let decision = self.model.apply(moment, command).expect("the tests send what it knows");
        let first = decision.first.map(stamp);
        if first.is_none() && decision.outcome.rejection.is_none() {
            self.record(command, index, decision.outcome.amount);
        }
        Answer { outcome: decision.outcome, first }
    }

    fn rejects(&self, command: &Command, index: u16) -> bool {
        let turn = self.position + u64::from(index);
        self.rejects_some
            && turn.is_multiple_of(3)
            && matches!(command, Command::Transfer(one) if one.kind == TransferKind::Transfer)
    }

    /// Keeps what a view shows of a committed command and the model doesn't have.
    fn record(&mut self, command: &Command, index: u16, amount: u64) {
        if let Some(id) = command.id() {
            self.decided_at.insert(id, (stamp(self.position), index));
        }
        let amount = Amount(amount);
        let movement = match command {
            Command::Transfer(transfer) => transfer.clone(),
            Command::Capture(capture) => {
                let hold =
                    self.model.find_hold(capture.hold).expect("it was captured").hold.clone();
                Transfer {
                    id: capture.id,
                    debit: hold.debit,
                    credit: hold.credit,
                    amount,
                    asset: hold.asset,
                    kind: TransferKind::Payment,
                    reference: Text::default(),
                    memo: hold.memo,
                }
            }
            Command::Refund(refund) => {
                let paid = self.movements.iter().find(|paid| paid.id == refund.payment);
                let paid = paid.expect("it was refunded").clone();
                Transfer {
                    id: refund.id,
                    debit: paid.credit,
                    credit: paid.debit,
                    amount,
                    kind: TransferKind::Refund,
                    reference: Text::default(),
                    memo: refund.memo.clone(),
                    ..paid
                }
            }
            Command::OpenAccount(_) | Command::Hold(_) | Command::Void(_) => return,
            other => panic!("the tests ask for no {other:?}"),
        };
        self.movements.push(movement);
    }

    pub(crate) fn look(&self, query: &Query) -> Option<View> {
        match query {
            Query::Account(id) => self.account(*id).map(View::Account),
            Query::Transfer(id) => {
                let found = self.movements.iter().find(|movement| movement.id == *id);
                found.map(|movement| View::Transfer(Box::new(self.transfer_view(movement))))
            }
            Query::Hold(id) => self.hold(*id).map(|view| View::Hold(Box::new(view))),
            Query::History { account, limit, before } => self.history(*account, *limit, *before),
            Query::Totals => self.totals(),
            other => panic!("the tests ask for no {other:?}"),
        }
    }

    fn account(&self, id: AccountId) -> Option<AccountView> {
        let (open, state) = self.model.find_account(id)?;
        Some(AccountView {
            id,
            kind: open.kind,
            asset: open.asset,
            label: open.label.clone(),
            status: state.status,
            posted: state.posted,
            held: state.held,
            max_balance: state.max_balance,
            per_transfer: state.per_transfer,
            daily_debit: state.daily_debit,
            debited_today: state.debited_today,
            opened_at: TIME,
            position: self.position,
        })
    }

    fn transfer_view(&self, movement: &Transfer) -> TransferView {
        let moved = self.model.movement(movement.id).expect("it was committed");
        let (stamp, index) = self.decided_at[&movement.id];
        let refunded = u64::try_from(moved.refunded).expect("never below 0");
        TransferView {
            transfer: movement.clone(),
            refunded: (moved.kind == TransferKind::Payment).then_some(refunded),
            reversed_by: moved.reversed_by,
            stamp,
            index,
        }
    }

    fn hold(&self, id: CommandId) -> Option<HoldView> {
        let state = self.model.find_hold(id)?;
        let (stamp, index) = self.decided_at[&id];
        assert_ne!(state.status, HoldStatus::Expired, "time stands still");
        Some(HoldView {
            hold: state.hold.clone(),
            status: state.status,
            expires_at: state.expires_at,
            closed_by: state.closed_by,
            captured: u64::try_from(state.captured).expect("never below 0"),
            stamp,
            index,
        })
    }

    /// A cursor here is how many items came before it.
    fn history(&self, account: AccountId, limit: u32, before: Option<Cursor>) -> Option<View> {
        self.model.find_account(account)?;
        let to_usize = |number: u64| usize::try_from(number).expect("a small number");
        let (skipped, limit) = (before.map_or(0, |cursor| cursor.position), u64::from(limit));
        let mine = |item: &&Transfer| [item.debit, item.credit].contains(&account);
        let mut rest = self.movements.iter().rev().filter(mine).skip(to_usize(skipped));
        let items = rest.by_ref().take(to_usize(limit));
        let items = items.map(|movement| self.transfer_view(movement)).collect();
        let next = rest.next().map(|_| Cursor { position: skipped + limit, command: 0 });
        Some(View::History(HistoryPage { items, next }))
    }

    /// Of the asset of one account: the tests use one asset.
    fn totals(&self) -> Option<View> {
        let (id, _) = self.model.accounts().next()?;
        let (open, _) = self.model.find_account(id)?;
        let assets = vec![self.model.totals(open.asset)];
        Some(View::Totals(Totals { position: self.position, assets }))
    }
}
