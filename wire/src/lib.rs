//! The network protocol of evenkeel: its vocabulary, codec and limits, the QUIC endpoints and the
//! client. docs/PROTOCOL.md draws the bytes.
//!
//! In reading order:
//!
//! - the vocabulary: commands, their parts, and the ledger's outcomes; [`entry`] is the body of a
//!   journal entry.
//! - the messages: [`request`] and [`reply`] between clients and sites, [`peer`] and
//!   [`introduction`] between sites.
//! - [`codec`], [`frame`], [`limits`], [`version`]: how messages become bytes, and their bounds.
//! - [`identity`]: certificates, keys and TLS settings.
//! - [`endpoint`]: the two QUIC ports of a node.
//! - [`client`]: a client of the cluster, with retries.
//!
//! It never depends on `storage`: the wire format and the disk format change independently.
#![warn(missing_docs)]

mod vocabulary;

pub use vocabulary::{
    account, amount, command, day, entry, genesis, hold, id, key, outcome, refund, reversal,
    transfer,
};

mod messages;

pub use messages::{introduction, peer, reply, request};

// How messages become bytes.
pub mod codec;
pub mod frame;
pub mod limits;
pub mod version;

// Certificates and TLS, the two ports, and a client of the cluster.
pub mod identity;

pub mod endpoint;

pub mod client;
