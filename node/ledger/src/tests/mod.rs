//! The promises of the ledger, one file each.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows panics, as it should")]

mod entries;
mod model;
mod rules;
mod speed;
mod state;
pub(crate) mod support;
mod tables;
