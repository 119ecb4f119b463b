//! The other sites: who they are, the lanes to and from them, and the gate that keeps a primary silent.
//!
//! It never believes a vote that is not the sender's own.

pub mod book;
pub mod mute_gate;
pub mod network;
pub mod quic;
pub mod transport;
