//! The ledger's rules once more, written by somebody else: all outcomes in the order of the journal must be what the
//! rules say, to the last won.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use evenkeel_wire::{account::AccountKind, outcome::Rejection};

use crate::load::{
    accounts::LoadAccounts,
    history::{AcknowledgedTransfer, History},
};

/// What genesis gives a wallet as its limit.
const WALLET_MAX_BALANCE: i64 = 2_000_000;

/// Follows all acknowledged commands; gives every account's balance, in the order of the accounts.
///
/// # Errors
/// Names the first outcome that contradicts the rules.
pub fn follow(history: &History) -> anyhow::Result<Vec<i64>> {
    let mut ordered = BTreeMap::new();
    for record in &history.acknowledged {
        let place = (record.position, record.outcome.index);
        if let Some(other) = ordered.insert(place, record) {
            bail!(
                "{} and {} both have position and index {place:?}",
                other.transfer.id,
                record.transfer.id
            );
        }
    }
    let mut balances = vec![0; history.accounts.all.len()];
    for record in ordered.into_values() {
        step(&history.accounts, &mut balances, record)?;
    }
    Ok(balances)
}

fn step(
    accounts: &LoadAccounts,
    balances: &mut [i64],
    record: &AcknowledgedTransfer,
) -> anyhow::Result<()> {
    let AcknowledgedTransfer { transfer: asked, position, outcome } = record;
    let (debit, credit) = (usize::from(asked.debit), usize::from(asked.credit));
    let expected = expected_rejection(accounts, balances, record);
    ensure!(
        outcome.rejection == expected,
        "{} at position {position}: answered {:?}, the rules say {expected:?}",
        asked.id,
        outcome.rejection
    );
    let moved = if expected.is_none() { u64::from(asked.amount) } else { 0 };
    ensure!(
        outcome.amount == moved,
        "{} at position {position}: answered that {} moved, the rules say {moved}",
        asked.id,
        outcome.amount
    );
    if expected.is_none() {
        balances[debit] -= i64::from(asked.amount);
        balances[credit] += i64::from(asked.amount);
        let after = (outcome.debit_after, outcome.credit_after);
        ensure!(
            after == (balances[debit], balances[credit]),
            "{} at position {position}: balances after it {after:?}, the model has {:?}",
            asked.id,
            (balances[debit], balances[credit])
        );
    }
    Ok(())
}

fn expected_rejection(
    accounts: &LoadAccounts,
    balances: &[i64],
    record: &AcknowledgedTransfer,
) -> Option<Rejection> {
    let asked = &record.transfer;
    let amount = i64::from(asked.amount);
    let (debit, credit) = (accounts.get(asked.debit), accounts.get(asked.credit));
    let may_owe = matches!(debit.kind, AccountKind::Bank | AccountKind::Issuer);
    if asked.debit == asked.credit {
        Some(Rejection::SameAccount)
    } else if !may_owe && balances[usize::from(asked.debit)] < amount {
        Some(Rejection::InsufficientFunds)
    } else if credit.kind == AccountKind::Wallet
        && balances[usize::from(asked.credit)] + amount > WALLET_MAX_BALANCE
    {
        Some(Rejection::MaxBalanceExceeded)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use evenkeel_wire::{outcome::Outcome, transfer::TransferKind};

    use super::*;
    use crate::load::history::CompactTransfer;

    /// Of two wallets; place 0 is the bank, 5 and 6 are the wallets.
    fn history(outcomes: &[(u64, CompactTransfer, Outcome)]) -> History {
        let mut history = History::new(Arc::new(LoadAccounts::draw(2)));
        for (position, asked, outcome) in outcomes {
            history.acknowledged.push(AcknowledgedTransfer {
                transfer: *asked,
                position: *position,
                outcome: *outcome,
            });
        }
        history
    }

    fn committed(index: u16, amount: u64, debit_after: i64, credit_after: i64) -> Outcome {
        Outcome { index, rejection: None, amount, debit_after, credit_after }
    }

    #[test]
    fn outcomes_are_followed_in_the_order_of_the_journal() {
        let top_up = CompactTransfer::new(TransferKind::TopUp, 0, 5, 1_000);
        let transfer = CompactTransfer::new(TransferKind::Transfer, 5, 6, 300);
        let all = [
            (9, transfer, committed(0, 300, 700, 300)),
            (8, top_up, committed(3, 1_000, -1_000, 1_000)),
        ];
        let balances = follow(&history(&all)).unwrap();
        assert_eq!((balances[0], balances[5], balances[6]), (-1_000, 700, 300));
    }

    #[test]
    fn a_wrong_balance_amount_or_verdict_and_a_double_place_are_found() {
        let top_up = CompactTransfer::new(TransferKind::TopUp, 0, 5, 1_000);
        let too_much = CompactTransfer::new(TransferKind::Transfer, 5, 6, 2_000);
        let first = (8, top_up, committed(0, 1_000, -1_000, 1_000));
        for wrong in [
            vec![(8, top_up, committed(0, 1_000, -1_000, 1_001))],
            vec![(8, top_up, committed(0, 999, -1_000, 1_000))],
            vec![first, (9, too_much, committed(0, 2_000, -1_000, 2_000))],
            vec![first, first],
        ] {
            assert!(follow(&history(&wrong)).is_err(), "{wrong:?}");
        }
    }
}
