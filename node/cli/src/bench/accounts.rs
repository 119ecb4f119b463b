//! The accounts of one run: a bank and funded wallets, all newly opened.

use evenkeel_wire::{
    account::{AccountKind, Limits, OpenAccount},
    amount::{Amount, Asset},
    command::Command,
    id::AccountId,
    limits::COMMANDS_MAX,
    transfer::{Text, Transfer, TransferKind},
};

use super::batch::Random;
use crate::{
    Exit, Failure,
    door::{Door, no_answer},
};
use evenkeel_node::clock::{Clock, SystemClock};

/// Opening balance of every wallet: half of the default balance limit, so that neither bound is
/// near.
pub(crate) const OPENING_BALANCE: u64 = 1_000_000;

pub(crate) struct BenchAccounts {
    pub(crate) asset: Asset,
    pub(crate) bank: AccountId,
    pub(crate) wallets: Vec<AccountId>,
}

impl BenchAccounts {
    pub(crate) async fn open(door: &Door, wallets: usize, asset: Asset) -> Result<Self, Failure> {
        let mut random = Random::new()?;
        let bank = AccountId::new(random.next_u128());
        let wallets: Vec<AccountId> =
            (0..wallets).map(|_| AccountId::new(random.next_u128())).collect();
        let opening = |id, kind| {
            let label = Text::new("bench").expect("shorter than the limit");
            Command::OpenAccount(OpenAccount { id, kind, asset, label, limits: Limits::default() })
        };
        submit(door, [bank].iter().map(|id| opening(*id, AccountKind::Bank))).await?;
        submit(door, wallets.iter().map(|id| opening(*id, AccountKind::Wallet))).await?;
        let top_up = |credit: &AccountId| {
            Command::Transfer(Transfer {
                id: random.command_id(SystemClock.wall_millis()),
                debit: bank,
                credit: *credit,
                amount: Amount(OPENING_BALANCE),
                asset,
                kind: TransferKind::TopUp,
                reference: Text::default(),
                memo: Text::default(),
            })
        };
        submit(door, wallets.iter().map(top_up)).await?;
        Ok(Self { asset, bank, wallets })
    }
}

/// Submits all commands and fails unless every one is committed.
async fn submit(door: &Door, commands: impl Iterator<Item = Command>) -> Result<(), Failure> {
    let mut commands = commands.peekable();
    while commands.peek().is_some() {
        let some: Vec<Command> = commands.by_ref().take(COMMANDS_MAX).collect();
        let rejections = door.submit_all(&some).await.map_err(|error| no_answer(&error))?;
        if let Some(code) = rejections.into_iter().flatten().next() {
            return Err(Failure::new(
                Exit::Rejected,
                format!(
                    "the accounts can't be prepared: {code}; check that the cluster has this --asset"
                ),
            ));
        }
    }
    Ok(())
}
