//! What a client says to a site. One bi-directional stream carries all of a client's requests, each with its own number.
//!
//! ```text
//! HELLO   bincode of Hello; the first frame of the stream
//! SUBMIT  0 u64 number   8 u32 deadline ms   12 u32 commands   16 the commands, one behind the other
//! READ    bincode of ReadRequest
//! ```
//! The commands of a SUBMIT go into the journal as they stand here: nothing re-encodes them.

use bincode::{Decode, Encode};
use bytes::{Buf, Bytes};

use crate::{
    codec, frame,
    id::{AccountId, CommandId},
    transfer::Text,
};

/// Frame type: [`Hello`].
pub const HELLO: u8 = 1;
/// Frame type: [`Submit`].
pub const SUBMIT: u8 = 2;
/// Frame type: [`ReadRequest`].
pub const READ: u8 = 3;

/// Opens a client's stream: the key that every request on it comes with.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// The key's text, as `operator.key` holds it.
    pub key: Text<128>,
}

/// Commands to decide, in order, in one entry; each is decided for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Chosen by the client; the reply carries it.
    pub number: u64,
    /// How long the client waits, milliseconds.
    pub deadline_ms: u32,
    /// How many commands follow.
    pub count: u32,
    /// The commands, encoded one behind the other.
    pub commands: Bytes,
}

impl Submit {
    const HEAD_BYTES: usize = 16;

    /// Puts the frame behind what `buffer` holds.
    pub fn write(number: u64, deadline_ms: u32, count: u32, commands: &[u8], buffer: &mut Vec<u8>) {
        let at = Self::start(number, deadline_ms, count, buffer);
        buffer.extend_from_slice(commands);
        frame::finish(buffer, at);
    }

    /// Starts the frame; commands are encoded straight behind it, then [`frame::finish`] completes it. Gives the place
    /// where it starts.
    pub fn start(number: u64, deadline_ms: u32, count: u32, buffer: &mut Vec<u8>) -> usize {
        let at = frame::start(buffer, SUBMIT);
        buffer.extend_from_slice(&number.to_le_bytes());
        buffer.extend_from_slice(&deadline_ms.to_le_bytes());
        buffer.extend_from_slice(&count.to_le_bytes());
        at
    }

    /// Reads a frame's body; the commands are judged later.
    ///
    /// # Errors
    /// When it's shorter than its head.
    pub fn read(mut body: Bytes) -> Result<Self, codec::Error> {
        if body.len() < Self::HEAD_BYTES {
            return Err(codec::Error::Malformed("a submit shorter than its head".into()));
        }
        let number = body.get_u64_le();
        let deadline_ms = body.get_u32_le();
        let count = body.get_u32_le();
        Ok(Self { number, deadline_ms, count, commands: body })
    }
}

/// Asks for what the ledger holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReadRequest {
    /// Chosen by the client; the reply carries it.
    pub number: u64,
    /// How long the client waits, milliseconds.
    pub deadline_ms: u32,
    /// How fresh the answer has to be.
    pub consistency: Consistency,
    /// What is asked.
    pub query: Query,
}

/// How fresh a read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Consistency {
    /// Sees everything that was acknowledged before the read began.
    Linearizable,
    /// What the asked site knows, labelled with position and age.
    Local,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Query {
    /// One account.
    Account(AccountId),
    /// One transfer.
    Transfer(CommandId),
    /// An account's transfers, newest first.
    History {
        /// Whose.
        account: AccountId,
        /// The most that one page holds.
        limit: u32,
        /// Only older ones than this.
        before: Option<Cursor>,
    },
    /// The sums by kind of account.
    Totals,
}

/// A place in an account's history: an entry and a command in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Cursor {
    /// The entry's position.
    pub position: u64,
    /// The command's number within the entry, from 0.
    pub command: u16,
}
