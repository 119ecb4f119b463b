//! The other sites: what they report, the lanes to and from them, and the gate that silences a
//! primary without a majority.
//!
//! It never accepts a vote that isn't the sender's own.

pub mod book;
pub mod clock_rounds;
pub mod clocks;
pub mod lane_client;
pub mod majority;
pub(crate) mod message_check;
pub mod mute_gate;
pub mod network;
pub mod quic;
pub mod transport;
