//! Every asset sums to zero at every site, every account is what the oracle makes of the same
//! entries, and equal positions have equal digests.

use std::collections::BTreeMap;

use evenkeel_oracle::{model::Model, sums};
use evenkeel_wire::{
    id::{AccountId, NodeId},
    reply::{AccountView, Totals},
};

use super::CheckResult;

#[derive(Default)]
pub struct Money {
    digests: BTreeMap<u64, (NodeId, [u8; 32])>,
}

impl Money {
    /// Checks a site's digest at a position.
    ///
    /// # Errors
    /// When a site had another one there.
    pub fn check_digest(&mut self, node: NodeId, position: u64, digest: [u8; 32]) -> CheckResult {
        let (first, known) = *self.digests.entry(position).or_insert((node, digest));
        if known == digest {
            return Ok(());
        }
        Err(format!("digests: nodes {first} and {node} differ at position {position}"))
    }

    /// Checks a site's sums.
    ///
    /// # Errors
    /// When one isn't zero.
    pub fn check_totals(&self, node: NodeId, totals: &Totals) -> CheckResult {
        sums::check_totals(totals).map_err(|why| format!("sums: node {node}: {why}"))
    }

    /// Checks a site's balance of an account.
    ///
    /// # Errors
    /// When it isn't the model's.
    pub fn check_balance(
        &self,
        model: &Model,
        node: NodeId,
        position: u64,
        account: AccountId,
        posted: Option<i64>,
    ) -> CheckResult {
        model
            .check_balance(account, position, posted)
            .map_err(|why| format!("balances: node {node}: {why}"))
    }

    /// Checks all of an account, at a site that has applied the newest entry.
    ///
    /// # Errors
    /// When any of it isn't the model's.
    pub fn check_account(
        &self,
        model: &Model,
        node: NodeId,
        account: AccountId,
        view: Option<&AccountView>,
    ) -> CheckResult {
        model.check_account(account, view).map_err(|why| format!("accounts: node {node}: {why}"))
    }
}
