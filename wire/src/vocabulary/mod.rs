//! The vocabulary: commands, what they are about, and what the ledger answers.
//!
//! It never judges: a transfer of 0 is a valid command, and the ledger rejects it.

pub mod account;
pub mod amount;
pub mod command;
pub mod day;
pub mod entry;
pub mod genesis;
pub mod hold;
pub mod id;
pub mod key;
pub mod outcome;
pub mod refund;
pub mod reversal;
pub mod transfer;
