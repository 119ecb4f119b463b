//! The rules of money once more, written apart from the ledger, from docs/API.md alone: every outcome, in the order of
//! the journal, must be what the rules say, to the last won. It knows nothing of ids' ages, and holds in it never run out.

mod account_state;
mod captures_and_refunds;
use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use evenkeel_wire::{
    account::{AccountKind, AccountStatus, OpenAccount},
    amount::{Amount, Asset},
    command::Command,
    id::{AccountId, CommandId},
    outcome::{Outcome, Rejection},
    transfer::TransferKind,
};

use super::AnsweredCommand;
pub use account_state::AccountState;
use account_state::change_limits;

const AMOUNT_MAX: u64 = (1 << 53) - 1;
/// What genesis gives a wallet as its limit.
const WALLET_MAX_BALANCE: u64 = 2_000_000;

#[derive(Clone, Debug)]
struct Account {
    kind: AccountKind,
    asset: Asset,
    standing: AccountState,
    incoming_holds: u32,
}

#[derive(Clone, Debug)]
struct MovementRecord {
    kind: TransferKind,
    debit: AccountId,
    credit: AccountId,
    amount: u64,
    refunded: u64,
    reversed: bool,
}

#[derive(Clone, Debug)]
struct HoldRecord {
    debit: AccountId,
    credit: AccountId,
    amount: u64,
    open: bool,
}

/// All accounts, movements and holds, as far as the records go.
#[derive(Debug, Default)]
pub struct OutcomeModel {
    accounts: BTreeMap<AccountId, Account>,
    movements: BTreeMap<CommandId, MovementRecord>,
    holds: BTreeMap<CommandId, HoldRecord>,
    /// How often each verdict was met.
    pub verdicts: BTreeMap<&'static str, u64>,
}

/// Money on its way from one account to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    kind: TransferKind,
    debit: AccountId,
    credit: AccountId,
    amount: u64,
}

type Judgement<T> = Result<T, Rejection>;

impl OutcomeModel {
    /// Follows all records.
    ///
    /// # Errors
    /// Names the first outcome that contradicts the rules, or two that claim one place.
    pub fn follow(records: &[AnsweredCommand]) -> anyhow::Result<Self> {
        let mut ordered = BTreeMap::new();
        for record in records {
            let place = (record.answered.stamp.position, record.answered.outcome.index);
            if let Some(other) = ordered.insert(place, record) {
                bail!("{:?} and {:?} are both at {place:?}", other.command, record.command);
            }
        }
        let mut model = Self::default();
        for (place, record) in ordered {
            model.step(record).map_err(|what| what.context(format!("at {place:?}")))?;
        }
        Ok(model)
    }

    /// Every account as it must stand.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, AccountState)> + '_ {
        self.accounts.iter().map(|(id, account)| (*id, account.standing))
    }

    fn step(&mut self, record: &AnsweredCommand) -> anyhow::Result<()> {
        let AnsweredCommand { command, answered } = record;
        let outcome = &answered.outcome;
        let judged = self.apply_command(command);
        let name = judged.as_ref().map_or_else(|rejection| rejection.name(), |_| "committed");
        *self.verdicts.entry(name).or_default() += 1;
        match (judged, outcome.rejection) {
            (Ok(moved), None) => self.demand_figures(command, moved, outcome),
            (Err(expected), Some(rejection)) if expected == rejection => {
                ensure!(outcome.amount == 0, "{command:?} was rejected and names an amount");
                Ok(())
            }
            (judged, _) => bail!("{command:?}: answered {outcome:?}, the rules say {judged:?}"),
        }
    }

    /// What an outcome says of the money must be what the model has after it.
    fn demand_figures(
        &self,
        command: &Command,
        moved: Option<Flow>,
        outcome: &Outcome,
    ) -> anyhow::Result<()> {
        let Some(flow) = moved else { return Ok(()) };
        let after = (self.posted(flow.debit), self.posted(flow.credit));
        let said = (outcome.debit_after, outcome.credit_after);
        ensure!(
            outcome.amount == flow.amount && said == after,
            "{command:?}: answered {outcome:?}, the model has {flow:?} and {after:?} after it"
        );
        Ok(())
    }

    fn posted(&self, id: AccountId) -> i64 {
        self.accounts.get(&id).map_or(0, |account| account.standing.posted)
    }

    /// Judges a command and, when it passes, does it. What moved, where something did.
    fn apply_command(&mut self, command: &Command) -> Judgement<Option<Flow>> {
        match command {
            Command::OpenAccount(open) => self.open(open).map(|()| None),
            Command::Transfer(transfer) => {
                let (debit, credit) = (transfer.debit, transfer.credit);
                let amount = valid_amount(transfer.amount)?;
                let flow = Flow { kind: transfer.kind, debit, credit, amount };
                self.may_pay(flow, transfer.asset)?;
                self.may_debit(flow)?;
                self.may_credit(flow)?;
                self.count_daily_debit(flow);
                Ok(Some(self.move_money(transfer.id, flow)))
            }
            Command::Hold(hold) => {
                let amount = valid_amount(hold.amount)?;
                let (debit, credit) = (hold.debit, hold.credit);
                let flow = Flow { kind: TransferKind::Payment, debit, credit, amount };
                self.may_pay(flow, hold.asset)?;
                self.may_debit(flow)?;
                self.count_daily_debit(flow);
                self.change_held(debit, credit, to_i64(amount), true);
                self.holds.insert(hold.id, HoldRecord { debit, credit, amount, open: true });
                Ok(None)
            }
            Command::Capture(capture) => self.capture(capture.id, capture.hold, capture.amount),
            Command::Void(void) => {
                let held = self.holds.get(&void.hold).ok_or(Rejection::HoldNotFound)?;
                held.open.then_some(()).ok_or(Rejection::HoldNotOpen)?;
                self.release(void.hold);
                Ok(None)
            }
            Command::Refund(refund) => self.refund(refund.id, refund.payment, refund.amount),
            Command::Reversal(reversal) => self.reverse(reversal.id, reversal.transfer),
            Command::SetStatus(change) => self.set_status(change.account, change.status),
            Command::SetLimits(change) => self.set_limits(change.account, &change.limits),
            other => unreachable!("the load never asks {other:?}"),
        }
    }

    fn open(&mut self, open: &OpenAccount) -> Judgement<()> {
        let wallet = open.kind == AccountKind::Wallet;
        let mut standing = AccountState {
            status: AccountStatus::Open,
            posted: 0,
            held: 0,
            max_balance: wallet.then_some(WALLET_MAX_BALANCE),
            per_transfer: None,
            daily_debit: None,
            debited_today: 0,
        };
        change_limits(&mut standing, &open.limits)?;
        let account = Account { kind: open.kind, asset: open.asset, standing, incoming_holds: 0 };
        match self.accounts.insert(open.id, account) {
            None => Ok(()),
            Some(_) => Err(Rejection::AccountExists),
        }
    }

    /// Who the two are, whether this kind of movement joins them, and whether both take part in anything.
    fn may_pay(&self, flow: Flow, asset: Asset) -> Judgement<()> {
        use AccountKind::{Bank, Fee, Issuer, Merchant, Wallet};
        if flow.debit == flow.credit {
            return Err(Rejection::SameAccount);
        }
        let (debit, credit) = (self.account(flow.debit)?, self.account(flow.credit)?);
        let allowed: &[(AccountKind, AccountKind)] = match flow.kind {
            TransferKind::TopUp => &[(Bank, Wallet)],
            TransferKind::Transfer => &[(Wallet, Wallet)],
            TransferKind::Payment => &[(Wallet, Merchant)],
            TransferKind::CashOut => &[(Wallet, Bank), (Merchant, Bank)],
            TransferKind::Fee => &[(Wallet, Fee), (Merchant, Fee)],
            TransferKind::Grant => &[(Issuer, Wallet)],
            TransferKind::Refund | TransferKind::Reversal => &[],
        };
        if !allowed.contains(&(debit.kind, credit.kind)) {
            return Err(Rejection::KindNotAllowed);
        }
        if debit.asset != asset || credit.asset != asset {
            return Err(Rejection::AssetMismatch);
        }
        self.check_status(flow)
    }

    fn account(&self, id: AccountId) -> Judgement<&Account> {
        self.accounts.get(&id).ok_or(Rejection::AccountNotFound)
    }

    fn check_status(&self, flow: Flow) -> Judgement<()> {
        let (debit, credit) = (self.account(flow.debit)?, self.account(flow.credit)?);
        let closed = |account: &Account| account.standing.status == AccountStatus::Closed;
        if closed(debit) || closed(credit) {
            return Err(Rejection::AccountClosed);
        }
        if debit.standing.status == AccountStatus::Frozen {
            return Err(Rejection::AccountFrozen);
        }
        Ok(())
    }

    /// Limits of the payer, then its funds.
    fn may_debit(&self, flow: Flow) -> Judgement<()> {
        let standing = &self.account(flow.debit)?.standing;
        if counts_as_debit(flow.kind) {
            if standing.per_transfer.is_some_and(|limit| flow.amount > limit) {
                return Err(Rejection::PerTransferLimitExceeded);
            }
            let today = standing.debited_today + flow.amount;
            if standing.daily_debit.is_some_and(|limit| today > limit) {
                return Err(Rejection::DailyLimitExceeded);
            }
        }
        self.check_funds(flow)
    }

    fn check_funds(&self, flow: Flow) -> Judgement<()> {
        let debit = self.account(flow.debit)?;
        let owes = matches!(debit.kind, AccountKind::Bank | AccountKind::Issuer);
        let available = debit.standing.posted - debit.standing.held;
        if owes || available >= to_i64(flow.amount) {
            Ok(())
        } else {
            Err(Rejection::InsufficientFunds)
        }
    }

    fn may_credit(&self, flow: Flow) -> Judgement<()> {
        let standing = &self.account(flow.credit)?.standing;
        let after = standing.posted + to_i64(flow.amount);
        let over = |limit| after > i64::try_from(limit).unwrap_or(i64::MAX);
        if standing.max_balance.is_some_and(over) {
            return Err(Rejection::MaxBalanceExceeded);
        }
        Ok(())
    }

    fn count_daily_debit(&mut self, flow: Flow) {
        if counts_as_debit(flow.kind) {
            self.state_mut(flow.debit).debited_today += flow.amount;
        }
    }

    fn state_mut(&mut self, id: AccountId) -> &mut AccountState {
        &mut self.accounts.get_mut(&id).expect("it was judged before").standing
    }

    /// Moves the money and remembers the movement.
    fn move_money(&mut self, id: CommandId, flow: Flow) -> Flow {
        self.state_mut(flow.debit).posted -= to_i64(flow.amount);
        self.state_mut(flow.credit).posted += to_i64(flow.amount);
        let Flow { kind, debit, credit, amount } = flow;
        let movement = MovementRecord { kind, debit, credit, amount, refunded: 0, reversed: false };
        self.movements.insert(id, movement);
        flow
    }

    fn change_held(&mut self, debit: AccountId, credit: AccountId, change: i64, more: bool) {
        self.state_mut(debit).held += change;
        let merchant = self.accounts.get_mut(&credit).expect("it was judged before");
        merchant.incoming_holds =
            if more { merchant.incoming_holds + 1 } else { merchant.incoming_holds - 1 };
    }
}

fn valid_amount(amount: Amount) -> Judgement<u64> {
    if (1..=AMOUNT_MAX).contains(&amount.0) { Ok(amount.0) } else { Err(Rejection::AmountInvalid) }
}

fn to_i64(amount: u64) -> i64 {
    i64::try_from(amount).expect("at most 2^53")
}

/// Whether a movement counts for what an account may pay.
fn counts_as_debit(kind: TransferKind) -> bool {
    use TransferKind::{CashOut, Fee, Payment, Transfer};
    matches!(kind, Transfer | Payment | CashOut | Fee)
}
