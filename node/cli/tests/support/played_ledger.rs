//! A ledger that is played: balances in memory, decided as simply as the tests of clients need.

use std::collections::HashMap;

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, OpenAccount},
    amount::{Amount, Asset},
    command::Command,
    hold::{Capture, Hold, HoldStatus, Void},
    id::{AccountId, CommandId},
    outcome::{Answer, Outcome, Rejection, Stamp},
    refund::Refund,
    reply::{AccountView, AssetTotals, HistoryPage, HoldView, Totals, TransferView, View},
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
    /// Decides, and says that it doesn't know.
    Forgets,
    /// Rejects every third transfer.
    RejectsSome,
    /// Sends everybody elsewhere (HTTP alone).
    Redirects,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) position: u64,
    pub(crate) requests: u64,
    pub(crate) rejects_some: bool,
    decided: HashMap<u128, (Stamp, Outcome)>,
    accounts: HashMap<u128, AccountView>,
    transfers: Vec<TransferView>,
    holds: HashMap<u128, HoldView>,
}

/// What a movement did: the amount, and both balances after it.
type Moved = (Amount, i64, i64);

impl Ledger {
    /// Decides commands in one entry.
    pub(crate) fn decide(&mut self, commands: Vec<Command>) -> (Stamp, Vec<Answer>) {
        self.position += 1;
        let stamp = Stamp { position: self.position, term: 1, recorded_at: 1, link: [7; 32] };
        let answers = commands.into_iter().zip(0..).map(|(command, index)| {
            let id = match &command {
                Command::OpenAccount(open) => open.id.number(),
                other => other.id().expect("a client's command has an id").number(),
            };
            if let Some((first, outcome)) = self.decided.get(&id) {
                return Answer { outcome: *outcome, first: Some(*first) };
            }
            let (rejection, (amount, debit_after, credit_after)) =
                match self.judge(command, stamp, index) {
                    Ok(moved) => (None, moved),
                    Err(rejection) => (Some(rejection), (Amount(0), 0, 0)),
                };
            let outcome = Outcome { index, rejection, amount: amount.0, debit_after, credit_after };
            self.decided.insert(id, (stamp, outcome));
            Answer { outcome, first: None }
        });
        let answers = answers.collect();
        (stamp, answers)
    }

    fn judge(&mut self, command: Command, stamp: Stamp, index: u16) -> Result<Moved, Rejection> {
        match command {
            Command::OpenAccount(open) => self.open(open, stamp),
            Command::Transfer(transfer) => self.transfer(transfer, stamp, index),
            Command::Hold(hold) => self.hold(hold, stamp, index),
            Command::Capture(capture) => self.capture(capture, stamp, index),
            Command::Void(void) => self.void(void),
            Command::Refund(refund) => self.refund(refund, stamp, index),
            other => panic!("the tests ask for no {other:?}"),
        }
    }

    fn open(&mut self, open: OpenAccount, stamp: Stamp) -> Result<Moved, Rejection> {
        let view = AccountView {
            id: open.id,
            kind: open.kind,
            asset: open.asset,
            label: open.label,
            status: AccountStatus::Open,
            posted: 0,
            held: 0,
            max_balance: Some(2_000_000),
            per_transfer: None,
            daily_debit: None,
            debited_today: 0,
            opened_at: stamp.recorded_at,
            position: stamp.position,
        };
        self.accounts.insert(open.id.number(), view);
        Ok((Amount(0), 0, 0))
    }

    fn transfer(
        &mut self,
        transfer: Transfer,
        stamp: Stamp,
        index: u16,
    ) -> Result<Moved, Rejection> {
        let amount = transfer.amount.to_balance_change().ok_or(Rejection::AmountInvalid)?;
        let (debit, credit) = (transfer.debit, transfer.credit);
        let from = self.account(debit)?;
        if from.kind != AccountKind::Bank && from.posted - from.held < amount {
            return Err(Rejection::InsufficientFunds);
        }
        self.account(credit)?;
        let turn = self.position + u64::from(index);
        if self.rejects_some && transfer.kind == TransferKind::Transfer && turn.is_multiple_of(3) {
            return Err(Rejection::InsufficientFunds);
        }
        let moved = (
            transfer.amount,
            self.change(debit, -amount).posted,
            self.change(credit, amount).posted,
        );
        let refunded = (transfer.kind == TransferKind::Payment).then_some(0);
        self.transfers.push(TransferView { transfer, refunded, reversed_by: None, stamp, index });
        Ok(moved)
    }

    fn hold(&mut self, hold: Hold, stamp: Stamp, index: u16) -> Result<Moved, Rejection> {
        let amount = hold.amount.to_balance_change().ok_or(Rejection::AmountInvalid)?;
        self.account(hold.credit)?;
        let from = self.account(hold.debit)?;
        if from.posted - from.held < amount {
            return Err(Rejection::InsufficientFunds);
        }
        from.held += amount;
        let amount = hold.amount;
        let view = HoldView {
            status: HoldStatus::Open,
            expires_at: stamp.recorded_at + hold.expires_in_ms * 1_000,
            closed_by: None,
            captured: 0,
            stamp,
            index,
            hold,
        };
        self.holds.insert(view.hold.id.number(), view);
        Ok((amount, 0, 0))
    }

    /// Closes an open hold and gives back what it held.
    fn close(
        &mut self,
        id: CommandId,
        by: CommandId,
        status: HoldStatus,
    ) -> Result<Hold, Rejection> {
        let view = self.holds.get_mut(&id.number()).ok_or(Rejection::HoldNotFound)?;
        if view.status != HoldStatus::Open {
            return Err(Rejection::HoldNotOpen);
        }
        (view.status, view.closed_by) = (status, Some(by));
        let hold = view.hold.clone();
        self.account(hold.debit)?.held -= hold.amount.to_balance_change().expect("it was held");
        Ok(hold)
    }

    fn capture(&mut self, capture: Capture, stamp: Stamp, index: u16) -> Result<Moved, Rejection> {
        let view = self.holds.get(&capture.hold.number()).ok_or(Rejection::HoldNotFound)?;
        let amount = capture.amount.unwrap_or(view.hold.amount);
        if view.status == HoldStatus::Open && amount > view.hold.amount {
            return Err(Rejection::CaptureExceedsHold);
        }
        let hold = self.close(capture.hold, capture.id, HoldStatus::Captured)?;
        self.holds.get_mut(&capture.hold.number()).expect("just closed").captured = amount.0;
        let payment = Transfer {
            id: capture.id,
            debit: hold.debit,
            credit: hold.credit,
            amount,
            asset: hold.asset,
            kind: TransferKind::Payment,
            reference: Text::default(),
            memo: hold.memo,
        };
        self.transfer(payment, stamp, index)
    }

    fn void(&mut self, void: Void) -> Result<Moved, Rejection> {
        let hold = self.close(void.hold, void.id, HoldStatus::Voided)?;
        Ok((hold.amount, 0, 0))
    }

    fn refund(&mut self, refund: Refund, stamp: Stamp, index: u16) -> Result<Moved, Rejection> {
        let found = self.transfers.iter_mut().find(|view| view.transfer.id == refund.payment);
        let payment = found.ok_or(Rejection::PaymentNotFound)?;
        let refunded = payment.refunded.as_mut().ok_or(Rejection::PaymentNotFound)?;
        let left = payment.transfer.amount.0 - *refunded;
        let amount = refund.amount.unwrap_or(Amount(left));
        if amount.0 > left || left == 0 {
            return Err(Rejection::RefundExceedsPayment);
        }
        *refunded += amount.0;
        let back = Transfer {
            id: refund.id,
            debit: payment.transfer.credit,
            credit: payment.transfer.debit,
            amount,
            kind: TransferKind::Refund,
            reference: Text::default(),
            memo: refund.memo,
            ..payment.transfer.clone()
        };
        self.transfer(back, stamp, index)
    }

    fn account(&mut self, id: AccountId) -> Result<&mut AccountView, Rejection> {
        self.accounts.get_mut(&id.number()).ok_or(Rejection::AccountNotFound)
    }

    fn change(&mut self, id: AccountId, by: i64) -> &AccountView {
        let account = self.accounts.get_mut(&id.number()).expect("looked at before");
        account.posted += by;
        account
    }

    pub(crate) fn look(&self, query: &Query) -> Option<View> {
        match query {
            Query::Account(id) => {
                let mut view = self.accounts.get(&id.number())?.clone();
                view.position = self.position;
                Some(View::Account(view))
            }
            Query::Transfer(id) => {
                let found = self.transfers.iter().find(|view| view.transfer.id == *id);
                found.map(|view| View::Transfer(Box::new(view.clone())))
            }
            Query::Hold(id) => {
                self.holds.get(&id.number()).map(|view| View::Hold(Box::new(view.clone())))
            }
            Query::History { account, limit, before } => self.history(*account, *limit, *before),
            Query::Totals => self.totals(),
            other => panic!("the tests ask for no {other:?}"),
        }
    }

    /// A cursor here is how many items came before it.
    fn history(&self, account: AccountId, limit: u32, before: Option<Cursor>) -> Option<View> {
        self.accounts.get(&account.number())?;
        let index = |number: u64| usize::try_from(number).expect("a small number");
        let (skipped, limit) = (before.map_or(0, |cursor| cursor.position), u64::from(limit));
        let mine =
            |item: &&TransferView| [item.transfer.debit, item.transfer.credit].contains(&account);
        let mut rest = self.transfers.iter().rev().filter(mine).skip(index(skipped));
        let items = rest.by_ref().take(index(limit)).cloned().collect();
        let next = rest.next().map(|_| Cursor { position: skipped + limit, command: 0 });
        Some(View::History(HistoryPage { items, next }))
    }

    fn totals(&self) -> Option<View> {
        let asset: Asset = self.accounts.values().next()?.asset;
        let sum = |kind| {
            let accounts = self.accounts.values().filter(|account| account.kind == kind);
            accounts.map(|account| account.posted).sum()
        };
        let totals = AssetTotals {
            asset,
            wallet: sum(AccountKind::Wallet),
            merchant: sum(AccountKind::Merchant),
            bank: sum(AccountKind::Bank),
            fee: sum(AccountKind::Fee),
            issuer: sum(AccountKind::Issuer),
        };
        Some(View::Totals(Totals { position: self.position, assets: vec![totals] }))
    }
}
