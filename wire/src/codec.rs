//! The only module that names bincode's configuration: one pinned configuration, bounds before
//! allocation, no trailing bytes.
//!
//! Integers are little-endian and of fixed width, so that every value has exactly one encoding.
//! Decoding never allocates more than the given bytes can justify and never accepts trailing bytes.

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

/// Why bytes aren't a message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CodecError {
    /// The bytes don't follow the format; the text names what was found.
    #[error("{0}")]
    Malformed(String),
    /// The id of a command isn't a UUID of version 7.
    #[error("the id isn't a UUID of version 7")]
    IdNotUuidV7,
    /// Bytes follow the message.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

/// Types that can be decoded. Other packages name this trait instead of bincode's.
pub trait WireDecode: Decode<()> {}

impl<T: Decode<()>> WireDecode for T {}

/// Types that can be encoded. Other packages name this trait instead of bincode's.
pub trait WireEncode: Encode {}

impl<T: Encode> WireEncode for T {}

/// The error text of a decoder for a command id that isn't a UUIDv7; [`decode`] recognizes the case
/// by it.
pub(crate) const ID_NOT_UUID_V7: &str = "id_not_uuid_v7";

/// Encodes a value.
///
/// # Panics
/// If the value is larger than a frame: callers must keep to `limits`.
#[must_use]
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes);
    bytes
}

/// Appends an encoded value to `bytes`.
///
/// # Panics
/// See [`encode`].
pub fn encode_into<T: Encode>(value: &T, bytes: &mut Vec<u8>) {
    bincode::encode_into_std_write(value, bytes, CODEC)
        .expect("values are made within limits.rs, and writing to memory can't fail");
}

/// Decodes one value that fills all of `bytes`.
///
/// # Errors
/// If the bytes aren't exactly one value.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = decode_prefix(bytes)?;
    if used == bytes.len() { Ok(value) } else { Err(CodecError::Trailing(bytes.len() - used)) }
}

/// Decodes one value from the start of `bytes`; also returns its length in bytes.
///
/// # Errors
/// If the bytes don't begin with a value.
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
            CodecError::Malformed(format!("{found} isn't a valid {type_name}"))
        }
        other => CodecError::Malformed(other.to_string()),
    }
}

/// Implements bincode for an enum of unit variants as one byte; unknown bytes are rejected.
macro_rules! byte_enum {
    ($name:ident { $($variant:ident = $byte:literal $text:literal),+ $(,)? }) => {
        impl $name {
            /// All variants, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The public name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Its number on the wire; never reused for another variant.
            #[must_use]
            pub fn byte(self) -> u8 {
                match self { $(Self::$variant => $byte),+ }
            }

            /// The variant with this number.
            #[must_use]
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$variant),)+ _ => None }
            }

            /// The variant with this public name.
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
                        concat!("{} isn't a valid ", stringify!($name)),
                        byte
                    ))
                })
            }
        }
    };
}
pub(crate) use byte_enum;
