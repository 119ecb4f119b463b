//! One model of the money, for the simulation, the mixed load, the audit and played sites: what
//! each command must come to, and whether clients' answers agree with it.
//!
//! ```text
//! model        one command at a time: the rules, balances, holds, refunds, reversals, days
//! journal      whole entries: the model, and what each entry decided
//! acknowledged clients' answers against whole entries: acknowledged, certainly not done
//! in_order     clients' first answers in journal order, where only their own commands are known
//! sums         each asset sums to zero
//! ```
//! It depends on `evenkeel-wire` alone and shares no rule with the ledger: the rules are written
//! from docs/LEDGER.md. It has no keys: no user of it sends commands that concern keys, and none
//! sends as a merchant.

pub mod acknowledged;
pub mod in_order;
pub mod journal;
pub mod mismatch;
pub mod model;
pub mod sums;

#[cfg(test)]
mod tests;
