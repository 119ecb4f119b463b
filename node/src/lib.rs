//! The evenkeel node: a replicated wallet ledger, one binary per site.
//!
//! A request takes one road: door ([`gateway`]) → [`admission`] → [`road`] → [`replication`] → [`ledger`] → reply. What a node
//! is made of and in which order it starts and stops is in [`node`]; docs/ARCHITECTURE.md draws it.

pub mod admission;
pub mod calendar;
pub mod cli;
pub mod clock;
pub mod config;
pub mod gateway;
pub mod health;
pub mod history;
pub mod keeper;
pub mod ledger;
pub mod limits;
pub mod metrics;
pub mod node;
pub mod operations;
pub mod rebuild;
pub mod recovery;
pub mod replication;
pub mod road;
pub mod sealing;
pub mod state;
pub mod status;
pub mod telemetry;
pub mod timeline;
pub mod verify;
