//! A second ledger, as simple as can be: what the journal's commands must have come to. It shares no code with the one it judges,
//! but for the vocabulary.

mod groups;
mod refunds;

use std::collections::BTreeMap;

use evenkeel_wire::{
    account::{AccountKind, OpenAccount},
    amount::Asset,
    codec,
    command::Command,
    day::BusinessDate,
    genesis::Genesis,
    hold::{Capture, Hold},
    id::{AccountId, CommandId},
    limits::AMOUNT_MAX,
    outcome::Rejection,
    transfer::{Transfer, TransferKind},
};

/// What a command came to, where it was decided first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandVerdict {
    pub position: u64,
    pub rejection: Option<Rejection>,
    pub debit_after: i64,
    pub credit_after: i64,
}

#[derive(Clone)]
struct AccountHistory {
    opened: OpenAccount,
    opened_at: u64,
    /// Each balance, with the position of the entry that made it.
    balances: Vec<(u64, i64)>,
    /// What its open holds have set aside.
    held: i64,
}

impl AccountHistory {
    fn posted(&self) -> i64 {
        self.balances.last().map_or(0, |(_, balance)| *balance)
    }

    fn available(&self) -> i64 {
        self.posted() - self.held
    }
}

/// A hold that was taken up.
#[derive(Clone)]
struct HoldState {
    hold: Hold,
    expires_at: u64,
    is_open: bool,
}

/// Money that moved, and what of it went back.
#[derive(Clone)]
struct Movement {
    kind: TransferKind,
    debit: AccountId,
    credit: AccountId,
    amount: i64,
    refunded: i64,
    is_reversed: bool,
}

/// The model.
#[derive(Clone, Default)]
pub struct LedgerModel {
    genesis: Option<Genesis>,
    accounts: BTreeMap<AccountId, AccountHistory>,
    firsts: BTreeMap<CommandId, (Vec<u8>, CommandVerdict)>,
    holds: BTreeMap<CommandId, HoldState>,
    movements: BTreeMap<CommandId, Movement>,
    /// What each command of an atomic group that failed was answered, by the group's entry.
    failed: BTreeMap<(u64, CommandId), Vec<Rejection>>,
    date: Option<BusinessDate>,
    /// Holds that were captured, given back, and released because their time was up.
    pub resolved: [u64; 3],
    /// Refunds and reversals that were committed, and atomic groups that were, and that failed.
    pub gone_back: u64,
    pub together: [u64; 2],
}

/// The accounts' balances after a command; `None`: none of them changed.
type BalancesAfter = Option<(i64, i64)>;

impl LedgerModel {
    /// Judges a command with an id, and gives why it was rejected, if it was.
    fn decide(
        &mut self,
        position: u64,
        time: u64,
        id: CommandId,
        command: &Command,
        bytes: &[u8],
    ) -> Option<Rejection> {
        if let Some((known, verdict)) = self.firsts.get(&id) {
            return if known == bytes { verdict.rejection } else { Some(Rejection::IdReused) };
        }
        let judged = self.judge_id(time, id).and_then(|()| match command {
            Command::Transfer(transfer) => self.transfer(position, transfer),
            Command::Hold(hold) => self.hold(time, hold),
            Command::Capture(capture) => self.capture(position, time, capture),
            Command::Void(void) => self.void(time, void.hold),
            Command::Refund(refund) => self.refund(position, refund),
            Command::Reversal(reversal) => self.reverse(position, reversal),
            _ => Ok(None),
        });
        let mut verdict =
            CommandVerdict { position, rejection: None, debit_after: 0, credit_after: 0 };
        match judged {
            Err(rejection) if !rejection.is_recorded() => return Some(rejection),
            Err(rejection) => verdict.rejection = Some(rejection),
            Ok(after) => (verdict.debit_after, verdict.credit_after) = after.unwrap_or_default(),
        }
        self.firsts.insert(id, (bytes.to_vec(), verdict));
        verdict.rejection
    }

    fn open(&mut self, position: u64, open: OpenAccount) {
        let known = self.genesis.as_ref().is_some_and(|g| g.assets.contains(&open.asset));
        if known {
            self.accounts.entry(open.id).or_insert(AccountHistory {
                opened: open,
                opened_at: position,
                balances: Vec::new(),
                held: 0,
            });
        }
    }

    fn set_balance(&mut self, account: AccountId, position: u64, balance: i64) {
        self.account_mut(account).balances.push((position, balance));
    }

    fn account_mut(&mut self, account: AccountId) -> &mut AccountHistory {
        self.accounts.get_mut(&account).expect("judged before")
    }

    fn judge_id(&self, time: u64, id: CommandId) -> Result<(), Rejection> {
        let genesis = self.genesis.as_ref().expect("genesis is the first command");
        let (time_ms, id_ms) = (time / 1_000, id.timestamp_ms());
        if id_ms > time_ms + genesis.id_tolerance_ms {
            return Err(Rejection::IdInFuture);
        }
        if id_ms + genesis.id_horizon_ms < time_ms {
            return Err(Rejection::IdExpired);
        }
        Ok(())
    }

    fn transfer(&mut self, position: u64, transfer: &Transfer) -> Result<BalancesAfter, Rejection> {
        let amount = self.judge(transfer)?;
        let Transfer { id, kind, debit, credit, .. } = *transfer;
        Ok(self.move_money(position, id, (kind, debit, credit, amount)))
    }

    fn hold(&mut self, time: u64, hold: &Hold) -> Result<BalancesAfter, Rejection> {
        let amount = valid_amount(hold.amount.0)?;
        if hold.debit == hold.credit {
            return Err(Rejection::SameAccount);
        }
        let account = |id| self.accounts.get(&id).ok_or(Rejection::AccountNotFound);
        let (payer, payee) = (account(hold.debit)?, account(hold.credit)?);
        let kinds = (payer.opened.kind, payee.opened.kind);
        if kinds != (AccountKind::Wallet, AccountKind::Merchant) {
            return Err(Rejection::KindNotAllowed);
        }
        if payer.opened.asset != hold.asset || payee.opened.asset != hold.asset {
            return Err(Rejection::AssetMismatch);
        }
        if payer.available() < amount {
            return Err(Rejection::InsufficientFunds);
        }
        self.account_mut(hold.debit).held += amount;
        let expires_at = time + hold.expires_in_ms * 1_000;
        self.holds.insert(hold.id, HoldState { hold: hold.clone(), expires_at, is_open: true });
        Ok(None)
    }

    fn capture(
        &mut self,
        position: u64,
        time: u64,
        capture: &Capture,
    ) -> Result<BalancesAfter, Rejection> {
        let asked = capture.amount.map(|asked| valid_amount(asked.0)).transpose()?;
        let held = self.holds.get(&capture.hold).ok_or(Rejection::HoldNotFound)?;
        if !held.is_open || held.expires_at <= time {
            return Err(Rejection::HoldNotOpen);
        }
        let all = i64::try_from(held.hold.amount.0).expect("judged before");
        let taken = asked.unwrap_or(all);
        if taken > all {
            return Err(Rejection::CaptureExceedsHold);
        }
        let (debit, credit) = (held.hold.debit, held.hold.credit);
        self.close_hold(capture.hold, 0);
        Ok(self.move_money(position, capture.id, (TransferKind::Payment, debit, credit, taken)))
    }

    fn void(&mut self, time: u64, id: CommandId) -> Result<BalancesAfter, Rejection> {
        let held = self.holds.get(&id).ok_or(Rejection::HoldNotFound)?;
        if !held.is_open || held.expires_at <= time {
            return Err(Rejection::HoldNotOpen);
        }
        self.close_hold(id, 1);
        Ok(None)
    }

    fn expire(&mut self, time: u64, id: CommandId) {
        if self.holds.get(&id).is_some_and(|held| held.is_open && held.expires_at <= time) {
            self.close_hold(id, 2);
        }
    }

    fn close_hold(&mut self, id: CommandId, how: usize) {
        let held = self.holds.get_mut(&id).expect("judged before");
        held.is_open = false;
        let (debit, amount) = (held.hold.debit, held.hold.amount.0);
        self.account_mut(debit).held -= i64::try_from(amount).expect("judged before");
        self.resolved[how] += 1;
    }

    fn judge(&self, transfer: &Transfer) -> Result<i64, Rejection> {
        let amount = valid_amount(transfer.amount.0)?;
        if transfer.debit == transfer.credit {
            return Err(Rejection::SameAccount);
        }
        let account = |id| self.accounts.get(&id).ok_or(Rejection::AccountNotFound);
        let (payer, payee) = (account(transfer.debit)?, account(transfer.credit)?);
        if !may_pay(transfer.kind, payer.opened.kind, payee.opened.kind) {
            return Err(Rejection::KindNotAllowed);
        }
        if payer.opened.asset != transfer.asset || payee.opened.asset != transfer.asset {
            return Err(Rejection::AssetMismatch);
        }
        self.judge_balances(transfer.debit, transfer.credit, amount)?;
        Ok(amount)
    }

    /// Whether one has the amount and the other may have it; both are there.
    fn judge_balances(
        &self,
        debit: AccountId,
        credit: AccountId,
        amount: i64,
    ) -> Result<(), Rejection> {
        let (payer, payee) = (&self.accounts[&debit], &self.accounts[&credit]);
        if payer.available() < amount && payer.opened.kind != AccountKind::Bank {
            return Err(Rejection::InsufficientFunds);
        }
        let genesis = self.genesis.as_ref().expect("accounts are opened after genesis");
        let limit = i64::try_from(genesis.wallet_max_balance).unwrap_or(i64::MAX);
        if payee.opened.kind == AccountKind::Wallet && payee.posted() + amount > limit {
            return Err(Rejection::MaxBalanceExceeded);
        }
        Ok(())
    }

    /// Moves an amount, and remembers it.
    fn move_money(
        &mut self,
        position: u64,
        id: CommandId,
        (kind, debit, credit, amount): (TransferKind, AccountId, AccountId, i64),
    ) -> BalancesAfter {
        let debit_after = self.account_mut(debit).posted() - amount;
        let credit_after = self.account_mut(credit).posted() + amount;
        self.set_balance(debit, position, debit_after);
        self.set_balance(credit, position, credit_after);
        let (refunded, is_reversed) = (0, false);
        self.movements.insert(id, Movement { kind, debit, credit, amount, refunded, is_reversed });
        Some((debit_after, credit_after))
    }

    /// What there was of each kind, for people.
    pub fn describe_counts(&self) -> String {
        let ([captured, voided, expired], [done, failed]) = (self.resolved, self.together);
        format!(
            "holds: {captured} captured, {voided} given back, {expired} expired; {} refunds and reversals; \
             atomic groups: {done} committed, {failed} failed; the day is {:?}",
            self.gone_back, self.date
        )
    }

    /// The business date.
    pub fn date(&self) -> Option<BusinessDate> {
        self.date
    }

    /// An open hold whose time was up before this one, if there is one.
    pub fn overdue(&self, time: u64) -> Option<CommandId> {
        let overdue = |held: &&HoldState| held.is_open && held.expires_at < time;
        self.holds.values().find(overdue).map(|held| held.hold.id)
    }

    /// What an account's open holds have set aside, as of the newest entry.
    pub fn held_amount(&self, account: AccountId) -> i64 {
        self.accounts.get(&account).map_or(0, |account| account.held)
    }

    /// What an id was first decided as, and the command's bytes.
    pub fn first_verdict(&self, id: CommandId) -> Option<(&[u8], CommandVerdict)> {
        self.firsts.get(&id).map(|(bytes, verdict)| (&**bytes, *verdict))
    }

    /// Whether an account was opened with just this content, and where.
    pub fn find_opening(&self, open: &OpenAccount) -> Option<(u64, bool)> {
        let account = self.accounts.get(&open.id)?;
        Some((account.opened_at, codec::encode(&account.opened) == codec::encode(open)))
    }

    /// An account's balance after everything up to a position; `None`: it wasn't there.
    pub fn balance_at(&self, account: AccountId, position: u64) -> Option<i64> {
        let account = self.accounts.get(&account)?;
        if account.opened_at > position {
            return None;
        }
        let after = account.balances.partition_point(|(at, _)| *at <= position);
        Some(after.checked_sub(1).map_or(0, |last| account.balances[last].1))
    }

    /// The sum of all balances of an asset.
    pub fn sum(&self, asset: Asset) -> i64 {
        let of_asset = self.accounts.values().filter(|account| account.opened.asset == asset);
        of_asset.map(AccountHistory::posted).sum()
    }
}

fn valid_amount(number: u64) -> Result<i64, Rejection> {
    match i64::try_from(number) {
        Ok(amount) if amount > 0 && number <= AMOUNT_MAX => Ok(amount),
        _ => Err(Rejection::AmountInvalid),
    }
}

fn may_pay(kind: TransferKind, payer: AccountKind, payee: AccountKind) -> bool {
    use AccountKind::{Bank, Merchant, Wallet};
    matches!(
        (kind, payer, payee),
        (TransferKind::TopUp, Bank, Wallet)
            | (TransferKind::Transfer, Wallet, Wallet)
            | (TransferKind::Payment, Wallet, Merchant)
            | (TransferKind::CashOut, Wallet | Merchant, Bank)
    )
}
