//! Transfers: money from one account to another.

use std::fmt;

use bincode::{
    BorrowDecode, Decode, Encode,
    de::{BorrowDecoder, Decoder, read::Reader},
    enc::{Encoder, write::Writer},
    error::{DecodeError, EncodeError},
};

use crate::{
    amount::{Amount, Asset},
    codec::byte_enum,
    id::{AccountId, CommandId},
    limits::{MEMO_BYTES_MAX, REFERENCE_BYTES_MAX},
};

/// Why money moves, which decides who may pay whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransferKind {
    /// Bank to wallet.
    TopUp,
    /// Wallet to wallet.
    Transfer,
    /// Wallet to merchant.
    Payment,
    /// Wallet or merchant to bank.
    CashOut,
    /// Wallet or merchant to fee account.
    Fee,
    /// Issuer to wallet.
    Grant,
    /// Merchant to wallet: comes about only by refunding a payment; asked for as a transfer it's `kind_not_allowed`.
    Refund,
    /// The other way of a wrong movement: comes about only by reversing it; asked for as a transfer it's `kind_not_allowed`.
    Reversal,
}
byte_enum!(TransferKind {
    TopUp = 1 "top_up",
    Transfer = 2 "transfer",
    Payment = 3 "payment",
    CashOut = 4 "cash_out",
    Fee = 5 "fee",
    Grant = 6 "grant",
    Refund = 7 "refund",
    Reversal = 8 "reversal",
});

/// Moves an amount from `debit` to `credit`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Transfer {
    /// The idempotency key.
    pub id: CommandId,
    /// The account that pays.
    pub debit: AccountId,
    /// The account that is paid.
    pub credit: AccountId,
    /// In the asset's minor unit.
    pub amount: Amount,
    /// Must be the asset of both accounts.
    pub asset: Asset,
    /// Why the money moves.
    pub kind: TransferKind,
    /// The client's own reference; at most 64 bytes.
    pub reference: Text<REFERENCE_BYTES_MAX>,
    /// For people; at most 140 bytes.
    pub memo: Text<MEMO_BYTES_MAX>,
}

/// A short text of at most `MAX` bytes of UTF-8; empty means absent. One length byte, then the text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text<const MAX: usize>(Box<str>);

/// Why a text can't be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("longer than {0} bytes")]
pub struct TextTooLong(pub usize);

impl<const MAX: usize> Text<MAX> {
    const FITS: () = assert!(MAX <= 255, "the length is one byte");

    /// Takes a text.
    ///
    /// # Errors
    /// When it's longer than `MAX` bytes.
    pub fn new(text: &str) -> Result<Self, TextTooLong> {
        if text.len() <= MAX { Ok(Self(text.into())) } else { Err(TextTooLong(MAX)) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Encode for Text<MAX> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let () = Self::FITS;
        u8::try_from(self.0.len()).expect("at most MAX, which fits in a byte").encode(encoder)?;
        encoder.writer().write(self.0.as_bytes())
    }
}

impl<C, const MAX: usize> Decode<C> for Text<MAX> {
    #[inline]
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let length = usize::from(u8::decode(decoder)?);
        if length == 0 {
            return Ok(Self::default());
        }
        if length > MAX {
            return Err(DecodeError::OtherString(format!(
                "a text of {length} bytes, {MAX} at most"
            )));
        }
        decoder.claim_bytes_read(length)?;
        let mut bytes = vec![0; length];
        decoder.reader().read(&mut bytes)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self(text.into())),
            Err(_) => Err(DecodeError::Other("a text isn't UTF-8")),
        }
    }
}

impl<'de, C, const MAX: usize> BorrowDecode<'de, C> for Text<MAX> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
