//! A second ledger, as simple as can be: what the journal's commands must have come to. It shares no code with the one it judges,
//! but for the vocabulary.

use std::collections::BTreeMap;

use evenkeel_node::history::commands;
use evenkeel_wire::{
    account::{AccountKind, OpenAccount},
    amount::Asset,
    codec,
    command::Command,
    genesis::Genesis,
    id::{AccountId, CommandId},
    limits::AMOUNT_MAX,
    outcome::Rejection,
    transfer::{Transfer, TransferKind},
};

/// What a command came to, where it was decided first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub position: u64,
    pub rejection: Option<Rejection>,
    pub debit_after: i64,
    pub credit_after: i64,
}

struct Account {
    opened: OpenAccount,
    opened_at: u64,
    /// Each balance, with the position of the entry that made it.
    balances: Vec<(u64, i64)>,
}

impl Account {
    fn posted(&self) -> i64 {
        self.balances.last().map_or(0, |(_, balance)| *balance)
    }
}

/// The model.
#[derive(Default)]
pub struct Model {
    genesis: Option<Genesis>,
    accounts: BTreeMap<AccountId, Account>,
    firsts: BTreeMap<CommandId, (Vec<u8>, Verdict)>,
}

impl Model {
    /// Applies an entry's commands.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn apply(&mut self, position: u64, time: u64, body: &[u8]) -> Result<(), String> {
        for next in commands(body) {
            let (_, _, command, bytes) = next?;
            match command {
                Command::Genesis(genesis) => {
                    self.genesis.get_or_insert(*genesis);
                }
                Command::OpenAccount(open) => self.open(position, open),
                Command::Transfer(transfer) => self.transfer(position, time, &transfer, bytes),
            }
        }
        Ok(())
    }

    fn open(&mut self, position: u64, open: OpenAccount) {
        let known = self.genesis.as_ref().is_some_and(|g| g.assets.contains(&open.asset));
        if known {
            self.accounts.entry(open.id).or_insert(Account {
                opened: open,
                opened_at: position,
                balances: Vec::new(),
            });
        }
    }

    fn transfer(&mut self, position: u64, time: u64, transfer: &Transfer, bytes: &[u8]) {
        if self.firsts.contains_key(&transfer.id) {
            return;
        }
        let mut verdict = Verdict { position, rejection: None, debit_after: 0, credit_after: 0 };
        match self.judge(time, transfer) {
            Err(rejection) if !rejection.is_recorded() => return,
            Err(rejection) => verdict.rejection = Some(rejection),
            Ok((debit_after, credit_after)) => {
                (verdict.debit_after, verdict.credit_after) = (debit_after, credit_after);
                self.settle(transfer.debit, position, debit_after);
                self.settle(transfer.credit, position, credit_after);
            }
        }
        self.firsts.insert(transfer.id, (bytes.to_vec(), verdict));
    }

    fn settle(&mut self, account: AccountId, position: u64, balance: i64) {
        let account = self.accounts.get_mut(&account).expect("judged above");
        account.balances.push((position, balance));
    }

    fn judge(&self, time: u64, transfer: &Transfer) -> Result<(i64, i64), Rejection> {
        let genesis = self.genesis.as_ref().expect("genesis is the first command");
        let (time_ms, id_ms) = (time / 1_000, transfer.id.milliseconds());
        if id_ms > time_ms + genesis.id_tolerance_ms {
            return Err(Rejection::IdInFuture);
        }
        if id_ms + genesis.id_horizon_ms < time_ms {
            return Err(Rejection::IdExpired);
        }
        let amount = match i64::try_from(transfer.amount.0) {
            Ok(amount) if amount > 0 && transfer.amount.0 <= AMOUNT_MAX => amount,
            _ => return Err(Rejection::AmountInvalid),
        };
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
        let (debit_after, credit_after) = (payer.posted() - amount, payee.posted() + amount);
        if debit_after < 0 && payer.opened.kind != AccountKind::Bank {
            return Err(Rejection::InsufficientFunds);
        }
        let limit = i64::try_from(genesis.wallet_max_balance).unwrap_or(i64::MAX);
        if payee.opened.kind == AccountKind::Wallet && credit_after > limit {
            return Err(Rejection::MaxBalanceExceeded);
        }
        Ok((debit_after, credit_after))
    }

    /// What a transfer's id was first decided as, and the command's bytes.
    pub fn first(&self, id: CommandId) -> Option<(&[u8], Verdict)> {
        self.firsts.get(&id).map(|(bytes, verdict)| (&**bytes, *verdict))
    }

    /// Whether an account was opened with just this content, and where.
    pub fn opened(&self, open: &OpenAccount) -> Option<(u64, bool)> {
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
        of_asset.map(Account::posted).sum()
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
