//! A caller's next command: of every kind, most of them valid.

use evenkeel_wire::{
    account::{AccountStatus, LimitChange, Limits, SetLimits, SetStatus},
    amount::Amount,
    command::Command,
    hold::{Capture, Hold, Void},
    id::{AccountId, CommandId},
    refund::Refund,
    reversal::Reversal,
    transfer::{Text, Transfer, TransferKind},
};

use super::accounts::{AssetAccounts, MixedAccounts, new_id, pick_one};
use crate::relay::rules::Chance;

/// Longer than the load runs, so that no hold expires: expiry is tested elsewhere.
const HOLD_MS: u64 = 3_600_000;
/// How many targets of each sort a caller remembers.
const TARGETS_MAX: usize = 64;

/// Committed commands that a caller's next commands can refer to.
#[derive(Debug, Default)]
pub struct KnownTargets {
    pub payments: Vec<CommandId>,
    pub holds: Vec<CommandId>,
    pub movements: Vec<CommandId>,
}

impl KnownTargets {
    /// Remembers a committed command as a target. A full list drops a random one.
    pub fn add_committed(&mut self, command: &Command, chance: &mut Chance) {
        let (list, id) = match command {
            Command::Transfer(transfer) if transfer.kind == TransferKind::Payment => {
                (&mut self.payments, transfer.id)
            }
            Command::Transfer(transfer) if transfer.kind != TransferKind::Transfer => {
                (&mut self.movements, transfer.id)
            }
            Command::Capture(capture) => (&mut self.payments, capture.id),
            Command::Hold(hold) => (&mut self.holds, hold.id),
            _ => return,
        };
        if list.len() == TARGETS_MAX {
            let bound = u64::try_from(TARGETS_MAX).expect("a small number");
            list.swap_remove(usize::try_from(chance.below(bound)).expect("below a small number"));
        }
        list.push(id);
    }
}

/// The next command, under a new id.
#[must_use]
pub fn random_command(
    accounts: &MixedAccounts,
    targets: &KnownTargets,
    chance: &mut Chance,
) -> Command {
    let row = if chance.below(4) == 0 { &accounts.points } else { &accounts.won };
    match chance.below(100) {
        0..30 => random_transfer(row, chance),
        30..48 => Command::Hold(random_hold(row, chance)),
        48..60 => Command::Capture(Capture {
            id: new_id(),
            hold: target(&targets.holds, chance),
            amount: partial_amount(chance),
        }),
        60..68 => Command::Void(Void { id: new_id(), hold: target(&targets.holds, chance) }),
        68..84 => Command::Refund(Refund {
            id: new_id(),
            payment: target(&targets.payments, chance),
            amount: partial_amount(chance),
            memo: Text::default(),
        }),
        84..90 => Command::Reversal(Reversal {
            id: new_id(),
            transfer: target(&targets.movements, chance),
            reason: Text::new("typed twice").expect("short"),
        }),
        90..95 => random_status_change(row, chance),
        _ => random_limits_change(row, chance),
    }
}

/// Mostly a known target; sometimes an unknown id.
fn target(list: &[CommandId], chance: &mut Chance) -> CommandId {
    if list.is_empty() || chance.below(40) == 0 { new_id() } else { *pick_one(list, chance) }
}

fn partial_amount(chance: &mut Chance) -> Option<Amount> {
    (chance.below(3) != 0).then(|| Amount(chance.below(12_000)))
}

fn random_transfer(row: &AssetAccounts, chance: &mut Chance) -> Command {
    use TransferKind as Kind;
    let wallet = row.wallet(chance);
    let won = row.asset.name() == "KRW";
    let (kind, debit, credit) = match chance.below(10) {
        0 => (if won { Kind::TopUp } else { Kind::Grant }, row.source, wallet),
        1 if won => (Kind::CashOut, wallet, row.source),
        2 if won => (Kind::CashOut, row.merchant(chance), row.source),
        3 => (Kind::Fee, row.merchant(chance), row.fee),
        4 | 5 => (Kind::Transfer, wallet, row.wallet(chance)),
        6 => (Kind::Payment, row.merchant(chance), wallet),
        _ => (Kind::Payment, wallet, row.merchant(chance)),
    };
    Command::Transfer(Transfer {
        id: new_id(),
        debit,
        credit,
        amount: random_amount(chance),
        asset: row.asset,
        kind,
        reference: Text::default(),
        memo: Text::default(),
    })
}

fn random_amount(chance: &mut Chance) -> Amount {
    match chance.below(50) {
        0 => Amount(0),
        1 => Amount(u64::MAX),
        2 => Amount(3_000_000),
        _ => Amount(1 + chance.below(40_000)),
    }
}

fn random_hold(row: &AssetAccounts, chance: &mut Chance) -> Hold {
    let (debit, credit): (AccountId, AccountId) = match chance.below(30) {
        0 => (row.merchant(chance), row.wallet(chance)),
        _ => (row.wallet(chance), row.merchant(chance)),
    };
    let amount = random_amount(chance);
    Hold {
        id: new_id(),
        debit,
        credit,
        amount,
        asset: row.asset,
        expires_in_ms: HOLD_MS,
        memo: Text::default(),
    }
}

/// Unfreezes more often than it freezes, so that most commands pass; closing never finds an account
/// empty.
fn random_status_change(row: &AssetAccounts, chance: &mut Chance) -> Command {
    let account = match chance.below(8) {
        0 => row.merchant(chance),
        _ => row.wallet(chance),
    };
    let status = match chance.below(8) {
        0..2 => AccountStatus::Frozen,
        2 => AccountStatus::Closed,
        _ => AccountStatus::Open,
    };
    Command::SetStatus(SetStatus { id: new_id(), account, status })
}

fn random_limits_change(row: &AssetAccounts, chance: &mut Chance) -> Command {
    let mut change = |least: u64, span: u64| match chance.below(4) {
        0 => LimitChange::Clear,
        1 => LimitChange::Set(Amount(least + chance.below(span))),
        _ => LimitChange::Keep,
    };
    let limits = Limits {
        max_balance: change(300_000, 2_000_000),
        per_transfer: change(10_000, 40_000),
        daily_debit: change(1_000_000, 9_000_000),
    };
    Command::SetLimits(SetLimits { id: new_id(), account: row.wallet(chance), limits })
}
