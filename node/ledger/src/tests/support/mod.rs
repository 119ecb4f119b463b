//! Ledgers, commands and histories for the tests.

pub(crate) mod commands;
pub(crate) mod history;
pub(crate) mod shop;
pub(crate) mod world;
