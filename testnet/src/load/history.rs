//! The callers' history: every acknowledged command with its outcome, and every command whose
//! outcome is unknown.

use std::sync::Arc;

use evenkeel_wire::{
    amount::Amount,
    client::CommandAnswer,
    command::Command,
    id::CommandId,
    outcome::Outcome,
    transfer::{Text, Transfer, TransferKind},
};
use uuid::Uuid;

use super::accounts::LoadAccounts;

/// A transfer, small enough to keep millions; accounts by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactTransfer {
    pub id: CommandId,
    pub amount: u32,
    pub debit: u16,
    pub credit: u16,
    pub kind: TransferKind,
}

impl CompactTransfer {
    /// Under a new id.
    #[must_use]
    pub fn new(kind: TransferKind, debit: u16, credit: u16, amount: u32) -> Self {
        let id = CommandId::new(Uuid::now_v7().as_u128()).expect("it is of version 7");
        Self { id, amount, debit, credit, kind }
    }

    /// The same command every time.
    #[must_use]
    pub fn to_command(&self, accounts: &LoadAccounts) -> Command {
        let (debit, credit) = (accounts.get(self.debit), accounts.get(self.credit));
        Command::Transfer(Transfer {
            id: self.id,
            debit: debit.id,
            credit: credit.id,
            amount: Amount(self.amount.into()),
            asset: debit.asset,
            kind: self.kind,
            reference: Text::default(),
            memo: Text::default(),
        })
    }
}

/// A command and the ledger's first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcknowledgedTransfer {
    pub transfer: CompactTransfer,
    pub position: u64,
    pub outcome: Outcome,
}

/// What callers sent, and how it ended.
#[derive(Clone, Debug)]
pub struct History {
    pub accounts: Arc<LoadAccounts>,
    pub acknowledged: Vec<AcknowledgedTransfer>,
    pub unknown: Vec<CompactTransfer>,
    /// Why commands were refused as invalid: there must be none.
    pub refused: Vec<String>,
}

impl History {
    #[must_use]
    pub fn new(accounts: Arc<LoadAccounts>) -> Self {
        Self { accounts, acknowledged: Vec::new(), unknown: Vec::new(), refused: Vec::new() }
    }

    /// Adds an answer.
    pub fn acknowledge(&mut self, asked: CompactTransfer, answered: &CommandAnswer) {
        let (position, outcome) = (answered.stamp.position, answered.outcome);
        self.acknowledged.push(AcknowledgedTransfer { transfer: asked, position, outcome });
    }

    /// Adds another caller's history.
    pub fn merge(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.unknown.extend(other.unknown);
        self.refused.extend(other.refused);
    }
}
