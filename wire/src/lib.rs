//! What crosses the network: the vocabulary of evenkeel, its codec and limits, QUIC endpoints and the client.
//!
//! Read in this order: the vocabulary (what a wallet can be asked, and what it answers), who says what to whom,
//! how that becomes bytes, who is at the other end, and the client.
//!
//! It never knows `storage`: what is on the wire and what is on disk age apart.
#![warn(missing_docs)]

mod vocabulary;

pub use vocabulary::{
    account, amount, command, day, entry, genesis, hold, id, key, outcome, refund, reversal,
    transfer,
};

mod messages;

pub use messages::{peer, reply, request};

// How messages become bytes.
pub mod codec;
pub mod frame;
pub mod limits;
pub mod version;

// Who is at the other end, the two ports, and a client of the cluster.
pub mod identity;

pub mod endpoint;

pub mod client;
