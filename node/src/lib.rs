//! The evenkeel node.

pub mod ledger;
