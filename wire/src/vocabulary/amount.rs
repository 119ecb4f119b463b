//! Money: amounts in an asset's minor unit, and names of assets.

use std::fmt;

use bincode::{Decode, Encode, de::Decoder, error::DecodeError};

use crate::limits::AMOUNT_MAX;

/// An amount in the asset's minor unit, as sent by the client. Any 64-bit number is decoded: the
/// ledger judges it, so that the rejection is journaled and replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Amount(pub u64);

impl Amount {
    /// The amount as a change of balance; `None` unless it lies between 1 and 2^53−1.
    #[must_use]
    #[inline]
    pub fn to_balance_change(self) -> Option<i64> {
        if self.0 == 0 || self.0 > AMOUNT_MAX { None } else { i64::try_from(self.0).ok() }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An asset's name: 1 to 8 capital letters and digits, such as `KRW` or `POINT`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Asset([u8; 8]);

/// The text or bytes aren't an asset's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an asset is 1 to 8 capital letters and digits")]
pub struct AssetError;

impl Asset {
    /// Parses a name.
    ///
    /// # Errors
    /// If the name isn't 1 to 8 capital letters and digits.
    pub fn parse(text: &str) -> Result<Self, AssetError> {
        let mut bytes = [0; 8];
        let name = bytes.get_mut(..text.len()).ok_or(AssetError)?;
        name.copy_from_slice(text.as_bytes());
        Self::from_bytes(bytes)
    }

    /// Decodes eight bytes: the name, padded with zeros.
    ///
    /// # Errors
    /// If they aren't a name and its padding.
    pub fn from_bytes(bytes: [u8; 8]) -> Result<Self, AssetError> {
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let (name, padding) = bytes.split_at(length);
        let named = name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if length > 0 && named && padding.iter().all(|byte| *byte == 0) {
            Ok(Self(bytes))
        } else {
            Err(AssetError)
        }
    }

    /// Its eight bytes as a number, the first letter in the lowest byte, as in rows on disk.
    #[must_use]
    pub const fn number(self) -> u64 {
        u64::from_le_bytes(self.0)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..length]).expect("letters and digits only")
    }
}

bincode::impl_borrow_decode!(Asset);

impl<C> Decode<C> for Asset {
    #[inline]
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::from_bytes(<[u8; 8]>::decode(decoder)?)
            .map_err(|_| DecodeError::Other("an asset is 1 to 8 capital letters and digits"))
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
