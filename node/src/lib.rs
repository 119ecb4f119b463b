//! The evenkeel node: where what crosses the network and what stays on disk meet.
//!
//! `main.rs` is the program `evenkeel`; everything it does is in here, so that tests can call it.

pub mod cli;
pub mod clock;
pub mod config;
pub mod gateway;
pub mod status;
pub mod telemetry;
pub mod timeline;
