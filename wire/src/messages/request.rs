//! Messages from a client to a site. One bi-directional stream carries all requests of a client,
//! each with its own number.
//!
//! ```text
//! HELLO   bincode of Hello; the first frame of the stream
//! SUBMIT  0 u64 number   8 u32 deadline ms   12 u16 commands   14 u16 flags: 1 atomic
//!         16 the commands
//! READ    bincode of ReadRequest
//! ```
//! The commands of a SUBMIT go into the journal unchanged: nothing re-encodes them.

use bincode::{Decode, Encode};
use bytes::{Buf, Bytes};

use crate::{
    codec,
    day::BusinessDate,
    frame,
    id::{AccountId, CommandId},
    transfer::Text,
};

/// Frame type: [`Hello`].
pub const HELLO: u8 = 1;
/// Frame type: [`Submit`].
pub const SUBMIT: u8 = 2;
/// Frame type: [`ReadRequest`].
pub const READ: u8 = 3;

/// The first message of a client's stream: the key for all its requests.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// The key's text, as in `operator.key`.
    pub key: Text<128>,
}

/// Commands to decide in order in one entry, each independently, or all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// The request's number, chosen by the client and repeated in the reply.
    pub number: u64,
    /// How long the client waits for the reply, milliseconds.
    pub deadline_ms: u32,
    /// The number of commands; at most 65,535 can be encoded.
    pub count: u32,
    /// Whether all of them are committed or none.
    pub atomic: bool,
    /// The encoded commands, concatenated.
    pub commands: Bytes,
}

impl Submit {
    const HEAD_BYTES: usize = 16;
    const ATOMIC: u16 = 1;

    /// Appends the frame to `buffer`.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        let at = Self::start(self.number, self.deadline_ms, self.count, self.atomic, buffer);
        buffer.extend_from_slice(&self.commands);
        frame::finish(buffer, at);
    }

    /// Starts the frame and returns its offset; commands are encoded directly after it, then
    /// [`frame::finish`] completes it.
    pub fn start(
        number: u64,
        deadline_ms: u32,
        count: u32,
        atomic: bool,
        buffer: &mut Vec<u8>,
    ) -> usize {
        let at = frame::start(buffer, SUBMIT);
        Self::put_head(number, deadline_ms, count, atomic, buffer);
        at
    }

    /// Appends a submit's head to `buffer`; the commands follow it.
    pub(crate) fn put_head(
        number: u64,
        deadline_ms: u32,
        count: u32,
        atomic: bool,
        buffer: &mut Vec<u8>,
    ) {
        // A count that doesn't fit is over the limit anyway: the receiver rejects the largest
        // number too.
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        buffer.extend_from_slice(&number.to_le_bytes());
        buffer.extend_from_slice(&deadline_ms.to_le_bytes());
        buffer.extend_from_slice(&count.to_le_bytes());
        buffer.extend_from_slice(&(if atomic { Self::ATOMIC } else { 0 }).to_le_bytes());
    }

    /// Decodes a frame's body; the commands are decoded later.
    ///
    /// # Errors
    /// If it's shorter than its head, or has flags that this program doesn't know.
    pub fn read(mut body: Bytes) -> Result<Self, codec::CodecError> {
        if body.len() < Self::HEAD_BYTES {
            return Err(codec::CodecError::Malformed("a submit shorter than its head".into()));
        }
        let number = body.get_u64_le();
        let deadline_ms = body.get_u32_le();
        let count = u32::from(body.get_u16_le());
        let atomic = match body.get_u16_le() {
            0 => false,
            Self::ATOMIC => true,
            flags => {
                return Err(codec::CodecError::Malformed(format!(
                    "a submit with flags {flags:#x}"
                )));
            }
        };
        Ok(Self { number, deadline_ms, count, atomic, commands: body })
    }
}

/// A read of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReadRequest {
    /// The request's number, chosen by the client and repeated in the reply.
    pub number: u64,
    /// How long the client waits for the reply, milliseconds.
    pub deadline_ms: u32,
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// The query.
    pub query: Query,
}

/// The consistency of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Consistency {
    /// Includes everything that was acknowledged before the read began.
    Linearizable,
    /// The state of the answering site, labelled with position and age.
    Local,
}

/// The query of a read.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Query {
    /// One account.
    Account(AccountId),
    /// One transfer.
    Transfer(CommandId),
    /// An account's transfers, newest first.
    History {
        /// The account's id.
        account: AccountId,
        /// The most transfers on the page.
        limit: u32,
        /// Only transfers before this one.
        before: Option<Cursor>,
    },
    /// The sums by kind of account.
    Totals,
    /// One hold.
    Hold(CommandId),
    /// A closed business day.
    Day(BusinessDate),
    /// All keys. Only nodes send it, for the admin socket.
    Keys,
    /// One key, by the blake3 of its text. Only nodes send it, for keys that they don't know.
    Key([u8; 32]),
    /// Only the newest applied position: a site that has applied up to it can answer by itself.
    Position,
}

/// A location in an account's history: an entry and a command in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Cursor {
    /// The entry's position.
    pub position: u64,
    /// The command's number within the entry, from 0.
    pub command: u16,
}
