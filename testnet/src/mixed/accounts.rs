//! The accounts of the mixed load: few, so that callers compete for them; some with limits of their
//! own.

use anyhow::{Context, ensure};
use evenkeel_wire::{
    account::{AccountKind, LimitChange, Limits, OpenAccount},
    amount::{Amount, Asset},
    client::Client,
    command::Command,
    id::{AccountId, CommandId},
    transfer::{Text, Transfer, TransferKind},
};
use uuid::Uuid;

use super::AnsweredCommand;
use crate::relay::rules::Chance;

const WALLETS: usize = 24;
const MERCHANTS: usize = 4;
/// What every wallet begins with.
const STARTING_AMOUNT: u64 = 400_000;

/// All of them, by asset.
#[derive(Debug)]
pub struct MixedAccounts {
    pub won: AssetAccounts,
    pub points: AssetAccounts,
}

/// The accounts of one asset.
#[derive(Debug)]
pub struct AssetAccounts {
    pub asset: Asset,
    /// A bank, or an issuer.
    pub source: AccountId,
    pub fee: AccountId,
    pub wallets: Vec<AccountId>,
    pub merchants: Vec<AccountId>,
}

impl AssetAccounts {
    fn draw(asset: &str) -> Self {
        let new = || AccountId::new(Uuid::now_v7().as_u128());
        Self {
            asset: Asset::parse(asset).expect("a name of capital letters"),
            source: new(),
            fee: new(),
            wallets: (0..WALLETS).map(|_| new()).collect(),
            merchants: (0..MERCHANTS).map(|_| new()).collect(),
        }
    }

    #[must_use]
    pub fn wallet(&self, chance: &mut Chance) -> AccountId {
        *pick_one(&self.wallets, chance)
    }

    #[must_use]
    pub fn merchant(&self, chance: &mut Chance) -> AccountId {
        *pick_one(&self.merchants, chance)
    }
}

/// One of several.
///
/// # Panics
/// When there is none.
pub fn pick_one<'a, T>(all: &'a [T], chance: &mut Chance) -> &'a T {
    let bound = u64::try_from(all.len()).expect("a length");
    &all[usize::try_from(chance.below(bound)).expect("below a length")]
}

/// A new command id.
#[must_use]
pub fn new_id() -> CommandId {
    CommandId::new(Uuid::now_v7().as_u128()).expect("it is of version 7")
}

impl MixedAccounts {
    /// New ones, under new ids.
    #[must_use]
    pub fn draw() -> Self {
        Self { won: AssetAccounts::draw("KRW"), points: AssetAccounts::draw("POINT") }
    }

    /// Opens them and funds every wallet. Two of three wallets have limits of their own.
    ///
    /// # Errors
    /// When a command isn't committed.
    pub async fn open(&self, client: &Client) -> anyhow::Result<Vec<AnsweredCommand>> {
        let mut commands = Vec::new();
        for (row, source) in [(&self.won, AccountKind::Bank), (&self.points, AccountKind::Issuer)] {
            commands.push(open_command(row, row.source, source, Limits::default()));
            commands.push(open_command(row, row.fee, AccountKind::Fee, Limits::default()));
            for merchant in &row.merchants {
                commands.push(open_command(
                    row,
                    *merchant,
                    AccountKind::Merchant,
                    Limits::default(),
                ));
            }
            for (number, wallet) in row.wallets.iter().enumerate() {
                commands.push(open_command(row, *wallet, AccountKind::Wallet, limits(number)));
                commands.push(fund(row, *wallet));
            }
        }
        let answers = client.submit(&commands).await.context("opening the accounts")?;
        let records: Vec<AnsweredCommand> = commands
            .into_iter()
            .zip(answers)
            .map(|(command, answered)| AnsweredCommand { command, answered })
            .collect();
        for record in &records {
            let rejection = record.answered.outcome.rejection;
            ensure!(rejection.is_none(), "{:?}: {rejection:?}", record.command);
        }
        Ok(records)
    }
}

fn limits(number: usize) -> Limits {
    let set = |amount| LimitChange::Set(Amount(amount));
    match number % 3 {
        0 => Limits { per_transfer: set(30_000), daily_debit: set(4_000_000), ..Limits::default() },
        1 => Limits { max_balance: set(900_000), ..Limits::default() },
        _ => Limits::default(),
    }
}

pub(crate) fn open_command(
    row: &AssetAccounts,
    id: AccountId,
    kind: AccountKind,
    limits: Limits,
) -> Command {
    Command::OpenAccount(OpenAccount { id, kind, asset: row.asset, label: Text::default(), limits })
}

pub(crate) fn fund(row: &AssetAccounts, wallet: AccountId) -> Command {
    let kind = if row.asset.name() == "KRW" { TransferKind::TopUp } else { TransferKind::Grant };
    Command::Transfer(Transfer {
        id: new_id(),
        debit: row.source,
        credit: wallet,
        amount: Amount(STARTING_AMOUNT),
        asset: row.asset,
        kind,
        reference: Text::default(),
        memo: Text::default(),
    })
}
