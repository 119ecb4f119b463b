//! Ids of accounts, commands, keys and clusters. They are parsed at the door, so that later code
//! can trust them.

use std::fmt;

use bincode::{Decode, Encode, de::Decoder, error::DecodeError};
use uuid::Uuid;

use crate::codec::ID_NOT_UUID_V7;

/// Why a text or number isn't an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not the text form of a UUID.
    #[error("not a UUID")]
    NotUuid,
    /// A UUID, but not of version 7.
    #[error("a UUID, but not of version 7")]
    NotVersion7,
}

/// An account's id: any UUID, chosen by the client, permanent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct AccountId(u128);

impl AccountId {
    /// Creates an id from a UUID's number.
    #[must_use]
    pub const fn new(number: u128) -> Self {
        Self(number)
    }

    /// Parses the text form.
    ///
    /// # Errors
    /// If the text isn't a UUID.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        parse(text).map(Self)
    }

    /// The UUID as a number; its first byte is the most significant one.
    #[must_use]
    pub const fn number(self) -> u128 {
        self.0
    }
}

/// The id of a command, and its permanent idempotency key: a UUIDv7 (RFC 9562 §5.7), which contains
/// its own time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct CommandId(u128);

impl CommandId {
    /// Creates an id from a UUID's number.
    ///
    /// # Errors
    /// If the UUID isn't of version 7.
    #[inline]
    pub fn new(number: u128) -> Result<Self, IdError> {
        let version = (number >> 76) & 0xf;
        let variant = (number >> 62) & 0b11;
        if version == 7 && variant == 0b10 { Ok(Self(number)) } else { Err(IdError::NotVersion7) }
    }

    /// Parses the text form.
    ///
    /// # Errors
    /// If the text isn't a UUID of version 7.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Self::new(parse(text)?)
    }

    /// Creates an id from this time (milliseconds since the Unix epoch) and 74 bits of randomness.
    #[must_use]
    pub fn from_parts(milliseconds: u64, random: u128) -> Self {
        let time = (u128::from(milliseconds) & 0xffff_ffff_ffff) << 80;
        let high = (random >> 62) & 0xfff;
        let low = random & ((1 << 62) - 1);
        Self(time | (7 << 76) | (high << 64) | (0b10 << 62) | low)
    }

    /// The time in the id, by its creator's clock: milliseconds since the Unix epoch.
    #[must_use]
    #[inline]
    pub fn timestamp_ms(self) -> u64 {
        u64::try_from(self.0 >> 80).expect("48 bits fit in 64")
    }

    /// The UUID as a number; its first byte is the most significant one.
    #[must_use]
    #[inline]
    pub const fn number(self) -> u128 {
        self.0
    }
}

bincode::impl_borrow_decode!(CommandId);

impl<C> Decode<C> for CommandId {
    #[inline]
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::new(u128::decode(decoder)?).map_err(|_| DecodeError::Other(ID_NOT_UUID_V7))
    }
}

/// The number of a key; 1 is the operator key of genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct KeyId(pub u32);

/// Stands for no key: used for commands that nodes create for themselves and for the admin socket.
pub const NODES: KeyId = KeyId(0);

/// The operator key of genesis.
pub const OPERATOR_KEY: KeyId = KeyId(1);

/// A cluster's id: a random UUID drawn by `cluster new`, contained in every certificate, segment
/// and link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ClusterId(pub [u8; 16]);

impl ClusterId {
    /// Parses the text form.
    ///
    /// # Errors
    /// If the text isn't a UUID.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        parse(text).map(|number| Self(number.to_be_bytes()))
    }
}

/// A node's number: at least 1, never reused for another node.
pub type NodeId = u64;

fn parse(text: &str) -> Result<u128, IdError> {
    // Only the form with hyphens is accepted, in letters of either case, so that other spellings of
    // an id are rejected.
    if text.len() != 36 {
        return Err(IdError::NotUuid);
    }
    let uuid = Uuid::try_parse(text).map_err(|_| IdError::NotUuid)?;
    Ok(uuid.as_u128())
}

macro_rules! uuid_text {
    ($name:ident, $number:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let number: fn(&Self) -> u128 = $number;
                Uuid::from_u128(number(self)).hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
uuid_text!(AccountId, |id| id.0);
uuid_text!(CommandId, |id| id.0);
uuid_text!(ClusterId, |id| u128::from_be_bytes(id.0));

#[cfg(test)]
mod tests {
    use crate::id::*;

    #[test]
    fn a_command_id_is_a_uuid_of_version_7_and_carries_its_time() {
        let id = CommandId::from_parts(1_700_000_000_123, u128::MAX);
        assert_eq!(id.timestamp_ms(), 1_700_000_000_123);
        assert_eq!(CommandId::parse(&id.to_string()), Ok(id));
        let made = Uuid::now_v7();
        assert_eq!(CommandId::parse(&made.to_string()).map(CommandId::number), Ok(made.as_u128()));
    }

    #[test]
    fn other_ids_are_refused_by_name() {
        for (text, error) in [
            ("", IdError::NotUuid),
            ("018f5e2a7b3c7d4e8f901a2b3c4d5e6f", IdError::NotUuid),
            ("018f5e2a-7b3c-4d4e-8f90-1a2b3c4d5e6f", IdError::NotVersion7),
            ("018f5e2a-7b3c-7d4e-0f90-1a2b3c4d5e6f", IdError::NotVersion7),
            ("018f5e2a-7b3c-7d4e-8f90-1a2b3c4d5e6g", IdError::NotUuid),
        ] {
            assert_eq!(CommandId::parse(text), Err(error), "{text}");
        }
    }
}
