//! The accounts that the load moves money between. Nothing else moves their money, so that the
//! oracle can compute every balance.

use anyhow::{Context, bail};
use evenkeel_wire::{
    account::{AccountKind, Limits, OpenAccount},
    amount::Asset,
    client::Client,
    command::Command,
    id::AccountId,
    transfer::{Text, TransferKind},
};
use uuid::Uuid;

use super::history::{CompactTransfer, History};
use crate::relay::rules::Chance;

/// What every wallet begins with: half of what it may hold.
const STARTING_AMOUNT: u32 = 1_000_000;
/// More than any wallet holds: some transfers ask for it, so that there are rejections.
const TOO_MUCH: u32 = 1_900_000_000;
const MERCHANTS: u16 = 4;

/// One of them.
#[derive(Clone, Debug)]
pub struct LoadAccount {
    pub id: AccountId,
    pub kind: AccountKind,
    pub asset: Asset,
}

/// All of them. For each asset: its source, its merchants, its wallets, in one row.
#[derive(Clone, Debug)]
pub struct LoadAccounts {
    pub all: Vec<LoadAccount>,
    wallets: u16,
}

impl LoadAccounts {
    /// New ones, under new ids; at least two wallets of each asset.
    #[must_use]
    pub fn draw(wallets: u16) -> Self {
        let wallets = wallets.max(2);
        let mut all = Vec::new();
        for (asset, source) in [("KRW", AccountKind::Bank), ("POINT", AccountKind::Issuer)] {
            let asset = Asset::parse(asset).expect("a name of capital letters");
            let mut add = |kind| {
                let id = AccountId::new(Uuid::now_v7().as_u128());
                all.push(LoadAccount { id, kind, asset });
            };
            add(source);
            (0..MERCHANTS).for_each(|_| add(AccountKind::Merchant));
            (0..wallets).for_each(|_| add(AccountKind::Wallet));
        }
        Self { all, wallets }
    }

    #[must_use]
    pub fn get(&self, place: u16) -> &LoadAccount {
        &self.all[usize::from(place)]
    }

    /// The commands that open them.
    pub(crate) fn openings(&self) -> impl Iterator<Item = Command> + '_ {
        self.all.iter().map(|account| {
            let LoadAccount { id, kind, asset } = account.clone();
            Command::OpenAccount(OpenAccount {
                id,
                kind,
                asset,
                label: Text::default(),
                limits: Limits::default(),
            })
        })
    }

    /// The next transfer.
    pub(crate) fn random_transfer(&self, chance: &mut Chance) -> CompactTransfer {
        // One in five moves points.
        let first = if chance.below(5) == 0 { self.accounts_per_asset() } else { 0 };
        let debit = self.wallet(first, chance);
        let amount = 1 + to_u32(chance.below(100));
        let (kind, credit, amount) = match chance.below(100) {
            0..60 => (TransferKind::Transfer, self.wallet(first, chance), amount),
            60..90 => {
                let merchant = 1 + u16::try_from(chance.below(MERCHANTS.into())).expect("few");
                (TransferKind::Payment, first + merchant, amount)
            }
            90..95 if first == 0 => (TransferKind::CashOut, 0, amount),
            _ => (TransferKind::Transfer, self.wallet(first, chance), TOO_MUCH),
        };
        CompactTransfer::new(kind, debit, credit, amount)
    }

    fn accounts_per_asset(&self) -> u16 {
        1 + MERCHANTS + self.wallets
    }

    fn wallet(&self, first: u16, chance: &mut Chance) -> u16 {
        let number = chance.below(self.wallets.into());
        first + 1 + MERCHANTS + u16::try_from(number).expect("below a u16")
    }

    fn funding_transfers(&self) -> Vec<CompactTransfer> {
        let mut asked = Vec::new();
        for (first, kind) in
            [(0, TransferKind::TopUp), (self.accounts_per_asset(), TransferKind::Grant)]
        {
            for wallet in 0..self.wallets {
                let credit = first + 1 + MERCHANTS + wallet;
                asked.push(CompactTransfer::new(kind, first, credit, STARTING_AMOUNT));
            }
        }
        asked
    }
}

fn to_u32(number: u64) -> u32 {
    u32::try_from(number).expect("bounded by its maker")
}

/// Opens them and funds every wallet.
///
/// # Errors
/// When a command is rejected or isn't answered.
pub async fn open(
    client: &Client,
    accounts: &LoadAccounts,
    history: &mut History,
) -> anyhow::Result<()> {
    let commands: Vec<Command> = accounts.openings().collect();
    for answered in client.submit(&commands).await.context("opening accounts")? {
        if let Some(rejection) = answered.outcome.rejection {
            bail!("opening an account was rejected: {rejection}");
        }
    }
    let starting = accounts.funding_transfers();
    let commands: Vec<Command> = starting.iter().map(|asked| asked.to_command(accounts)).collect();
    let answers = client.submit(&commands).await.context("topping up")?;
    for (asked, answered) in starting.into_iter().zip(answers) {
        if let Some(rejection) = answered.outcome.rejection {
            bail!("a top-up was rejected: {rejection}");
        }
        history.acknowledge(asked, &answered);
    }
    Ok(())
}
