//! What a client says to a site. One bi-directional stream carries all of a client's requests, each with its own number.
//!
//! ```text
//! HELLO   bincode of Hello; the first frame of the stream
//! SUBMIT  0 u64 number   8 u32 deadline ms   12 u16 commands   14 u16 flags: 1 atomic   16 the commands
//! READ    bincode of ReadRequest
//! ```
//! The commands of a SUBMIT go into the journal as they stand here: nothing re-encodes them.

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

/// Opens a client's stream: the key that every request on it comes with.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// The key's text, as `operator.key` holds it.
    pub key: Text<128>,
}

/// Commands to decide, in order, in one entry; each for itself, or all of them or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Chosen by the client; the reply carries it.
    pub number: u64,
    /// How long the client waits, milliseconds.
    pub deadline_ms: u32,
    /// How many commands follow; at most 65,535 can be said.
    pub count: u32,
    /// All of them are committed, or none.
    pub atomic: bool,
    /// The commands, encoded one behind the other.
    pub commands: Bytes,
}

impl Submit {
    const HEAD_BYTES: usize = 16;
    const ATOMIC: u16 = 1;

    /// Puts the frame behind what `buffer` holds.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        let at = Self::start(self.number, self.deadline_ms, self.count, self.atomic, buffer);
        buffer.extend_from_slice(&self.commands);
        frame::finish(buffer, at);
    }

    /// Starts the frame; commands are encoded straight behind it, then [`frame::finish`] completes it. Gives the place
    /// where it starts.
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

    /// Puts a submit's head behind what `buffer` holds; the commands follow it.
    pub(crate) fn put_head(
        number: u64,
        deadline_ms: u32,
        count: u32,
        atomic: bool,
        buffer: &mut Vec<u8>,
    ) {
        // More than can be said is more than is allowed: whoever reads it refuses the largest number too.
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        buffer.extend_from_slice(&number.to_le_bytes());
        buffer.extend_from_slice(&deadline_ms.to_le_bytes());
        buffer.extend_from_slice(&count.to_le_bytes());
        buffer.extend_from_slice(&(if atomic { Self::ATOMIC } else { 0 }).to_le_bytes());
    }

    /// Reads a frame's body; the commands are judged later.
    ///
    /// # Errors
    /// When it's shorter than its head, or has flags that this program doesn't know.
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
    /// One hold.
    Hold(CommandId),
    /// A closed business day.
    Day(BusinessDate),
    /// All keys; only nodes ask, for their operators at the admin socket.
    Keys,
    /// Whether a key is known, by the blake3 of its text; only nodes ask, for keys that are new to them.
    Key([u8; 32]),
    /// Nothing but the newest position: whoever has seen it can read what is older for itself.
    Position,
}

/// A place in an account's history: an entry and a command in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Cursor {
    /// The entry's position.
    pub position: u64,
    /// The command's number within the entry, from 0.
    pub command: u16,
}
