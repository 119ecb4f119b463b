//! What crosses the network: the vocabulary of evenkeel, its codec and limits, QUIC endpoints and the client.
//!
//! Read in this order: the vocabulary (what a wallet can be asked, and what it answers), who says what to whom,
//! how that becomes bytes, who is at the other end, and the client.
//!
//! It never knows `storage`: what is on the wire and what is on disk age apart.
#![warn(missing_docs)]

// The vocabulary.
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

// Who says what to whom.
pub mod peer;
pub mod reply;
pub mod request;

// How it becomes bytes.
pub mod codec;
pub mod frame;
pub mod limits;
pub mod version;

// Who is at the other end.
pub mod identity;
// The ports.
pub mod endpoint;
// The other side of the client port.
pub mod client;
