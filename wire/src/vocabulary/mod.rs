//! The vocabulary: commands, their parts, and the ledger's outcomes.
//!
//! It never judges: a transfer of 0 is a valid command, and the ledger rejects it.
//!
//! - `command`: the list of all commands; `entry`: the body of a journal entry.
//! - `transfer`, `hold`, `refund`, `reversal`: commands that move or hold money.
//! - `account`, `day`, `key`, `genesis`: the other commands.
//! - `id`, `amount`: the types of ids, amounts and assets.
//! - `outcome`: outcomes and rejections.

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
