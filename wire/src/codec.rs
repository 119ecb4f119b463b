//! The one place that knows bincode: one pinned configuration, bounds before allocation, nothing left over.
//!
//! Little-endian, integers of fixed width, so that every value has exactly one encoding.
//! Decoding never allocates more than the bytes given can justify and never accepts trailing bytes.

use bincode::{
    Decode, Encode,
    config::{self, Configuration, Fixint, Limit, LittleEndian},
    error::DecodeError,
};

use crate::limits::FRAME_BYTES_MAX;

type Codec = Configuration<LittleEndian, Fixint, Limit<FRAME_BYTES_MAX>>;

const CODEC: Codec = config::standard()
    .with_little_endian()
    .with_fixed_int_encoding()
    .with_limit::<FRAME_BYTES_MAX>();

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CodecError {
    /// The bytes don't follow the format; the text names what was found.
    #[error("{0}")]
    Malformed(String),
    /// The id of a command isn't a UUID of version 7.
    #[error("the id isn't a UUID of version 7")]
    IdNotUuidV7,
    /// The message is whole but bytes follow it.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

/// What can be decoded from bytes: other packages name it without knowing bincode.
pub trait WireDecode: Decode<()> {}

impl<T: Decode<()>> WireDecode for T {}

/// What can be encoded: other packages name it without knowing bincode.
pub trait WireEncode: Encode {}

impl<T: Encode> WireEncode for T {}

/// What a decoder says of a command id that isn't a UUIDv7: [`decode`] tells it apart by this text.
pub(crate) const ID_NOT_UUID_V7: &str = "id_not_uuid_v7";

/// Encodes a value.
///
/// # Panics
/// When the value is larger than a frame: its maker has to keep to `limits`.
#[must_use]
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes);
    bytes
}

/// Encodes a value behind what `bytes` holds already.
///
/// # Panics
/// See [`encode`].
pub fn encode_into<T: Encode>(value: &T, bytes: &mut Vec<u8>) {
    bincode::encode_into_std_write(value, bytes, CODEC)
        .expect("values are made within limits.rs, and writing to memory can't fail");
}

/// Decodes one value that takes up all of `bytes`.
///
/// # Errors
/// When the bytes aren't exactly one value.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = decode_prefix(bytes)?;
    if used == bytes.len() { Ok(value) } else { Err(CodecError::Trailing(bytes.len() - used)) }
}

/// Decodes one value from the start of `bytes`; gives its length too.
///
/// # Errors
/// When the bytes don't begin with a value.
#[inline]
pub fn decode_prefix<T: Decode<()>>(bytes: &[u8]) -> Result<(T, usize), CodecError> {
    bincode::decode_from_slice(bytes, CODEC).map_err(explain)
}

#[cold]
fn explain(error: DecodeError) -> CodecError {
    match error {
        DecodeError::Other(text) if text == ID_NOT_UUID_V7 => CodecError::IdNotUuidV7,
        DecodeError::UnexpectedEnd { additional } => {
            CodecError::Malformed(format!("{additional} bytes are missing"))
        }
        DecodeError::LimitExceeded => CodecError::Malformed("a length is over the limit".into()),
        DecodeError::Other(text) => CodecError::Malformed(text.into()),
        DecodeError::OtherString(text) => CodecError::Malformed(text),
        DecodeError::UnexpectedVariant { type_name, found, .. } => {
            CodecError::Malformed(format!("{found} is no {type_name}"))
        }
        other => CodecError::Malformed(other.to_string()),
    }
}

/// Implements bincode for an enum of unit variants as one byte, unknown bytes refused.
macro_rules! byte_enum {
    ($name:ident { $($variant:ident = $byte:literal $text:literal),+ $(,)? }) => {
        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The public name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The number that stands for it in bytes; never given to another.
            #[must_use]
            pub fn byte(self) -> u8 {
                match self { $(Self::$variant => $byte),+ }
            }

            /// The one that a number stands for.
            #[must_use]
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$variant),)+ _ => None }
            }

            /// The one with this public name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl bincode::Encode for $name {
            fn encode<E: bincode::enc::Encoder>(
                &self,
                encoder: &mut E,
            ) -> Result<(), bincode::error::EncodeError> {
                self.byte().encode(encoder)
            }
        }

        bincode::impl_borrow_decode!($name);

        impl<C> bincode::Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                let byte = u8::decode(decoder)?;
                Self::from_byte(byte).ok_or_else(|| {
                    bincode::error::DecodeError::OtherString(format!(
                        concat!("{} is no ", stringify!($name)),
                        byte
                    ))
                })
            }
        }
    };
}
pub(crate) use byte_enum;
