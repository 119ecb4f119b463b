//! Every asset sums to zero at every site, every balance is what a second ledger makes of the same entries, and equal positions have
//! equal digests.

use std::collections::BTreeMap;

use evenkeel_wire::{
    id::{AccountId, NodeId},
    reply::Totals,
};

use super::CheckResult;
use crate::simulation::checks::model::LedgerModel;

#[derive(Default)]
pub struct Money {
    digests: BTreeMap<u64, (NodeId, [u8; 32])>,
}

impl Money {
    /// A site's digest at a position.
    ///
    /// # Errors
    /// When another one was seen there.
    pub fn check_digest(&mut self, node: NodeId, position: u64, digest: [u8; 32]) -> CheckResult {
        let (first, known) = *self.digests.entry(position).or_insert((node, digest));
        if known == digest {
            return Ok(());
        }
        Err(format!("digests: nodes {first} and {node} differ at position {position}"))
    }

    /// A site's sums.
    ///
    /// # Errors
    /// When one isn't zero.
    pub fn check_totals(&self, node: NodeId, totals: &Totals) -> CheckResult {
        for of in &totals.assets {
            let sum = of.wallet + of.merchant + of.bank + of.fee + of.issuer;
            if sum != 0 {
                return Err(format!(
                    "sums: {} at node {node}, position {}, adds up to {sum}",
                    of.asset, totals.position
                ));
            }
        }
        Ok(())
    }

    /// A site's balance of an account.
    ///
    /// # Errors
    /// When it isn't the model's.
    pub fn check_balance(
        &self,
        model: &LedgerModel,
        node: NodeId,
        position: u64,
        account: AccountId,
        posted: Option<i64>,
    ) -> CheckResult {
        let expected = model.balance_at(account, position);
        if posted == expected {
            return Ok(());
        }
        Err(format!(
            "balances: node {node} has {posted:?} on account {account} at position {position}, it should be {expected:?}"
        ))
    }

    /// What a site that has applied all there is holds back of an account.
    ///
    /// # Errors
    /// When it isn't the model's.
    pub fn check_held(
        &self,
        model: &LedgerModel,
        node: NodeId,
        account: AccountId,
        held: i64,
    ) -> CheckResult {
        let expected = model.held_amount(account);
        if held == expected {
            return Ok(());
        }
        Err(format!(
            "holds: node {node} holds {held} of account {account}, it should be {expected}"
        ))
    }
}
