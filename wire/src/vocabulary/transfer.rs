//! Transfers: movements of money from one account to another.

use std::fmt;

use bincode::{
    BorrowDecode, Decode, Encode,
    de::{BorrowDecoder, Decoder, read::Reader},
    enc::{Encoder, write::Writer},
    error::{DecodeError, EncodeError},
};

use crate::{
    amount::{Amount, Asset},
    codec::{ID_NOT_UUID_V7, byte_enum},
    id::{AccountId, CommandId},
    limits::{MEMO_BYTES_MAX, REFERENCE_BYTES_MAX},
};

/// The kind of a movement, which determines the allowed kinds of accounts.
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
    /// Merchant to wallet. Created only by a [`Refund`](crate::refund::Refund); requested as a
    /// transfer it is rejected with `kind_not_allowed`.
    Refund,
    /// The opposite of a wrong movement. Created only by a [`Reversal`](crate::reversal::Reversal);
    /// requested as a transfer it is rejected with `kind_not_allowed`.
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
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Transfer {
    /// The idempotency key.
    pub id: CommandId,
    /// The account that pays.
    pub debit: AccountId,
    /// The account that is paid.
    pub credit: AccountId,
    /// The amount, in the asset's minor unit.
    pub amount: Amount,
    /// The asset, which must be that of both accounts.
    pub asset: Asset,
    /// The kind of movement.
    pub kind: TransferKind,
    /// The client's own reference, at most 64 bytes.
    pub reference: Text<REFERENCE_BYTES_MAX>,
    /// A text for people, at most 140 bytes.
    pub memo: Text<MEMO_BYTES_MAX>,
}

bincode::impl_borrow_decode!(Transfer);

impl Transfer {
    /// The bytes before the texts in a transfer's encoding.
    pub(crate) const HEAD_BYTES: usize = 65;
}

/// Written by hand, because decoding transfers is the hot path of apply: all fixed-width fields are
/// read at once.
///
/// ```text
/// 0 u128 id   16 u128 debit   32 u128 credit   48 u64 amount   56 [8] asset   64 u8 kind
/// 65 reference, memo
/// ```
impl<C> Decode<C> for Transfer {
    #[inline]
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        decoder.claim_bytes_read(Self::HEAD_BYTES)?;
        let mut head = [0; Self::HEAD_BYTES];
        decoder.reader().read(&mut head)?;
        let (numbers, rest) = head.split_at(48);
        let (numbers, _) = numbers.as_chunks::<16>();
        let (words, kind) = rest.split_at(16);
        let (words, _) = words.as_chunks::<8>();
        let kind = kind[0];
        Ok(Self {
            id: CommandId::new(u128::from_le_bytes(numbers[0]))
                .map_err(|_| DecodeError::Other(ID_NOT_UUID_V7))?,
            debit: AccountId::new(u128::from_le_bytes(numbers[1])),
            credit: AccountId::new(u128::from_le_bytes(numbers[2])),
            amount: Amount(u64::from_le_bytes(words[0])),
            asset: Asset::from_bytes(words[1])
                .map_err(|_| DecodeError::Other("an asset is 1 to 8 capital letters and digits"))?,
            kind: TransferKind::from_byte(kind).ok_or_else(|| {
                DecodeError::OtherString(format!("{kind} isn't a valid TransferKind"))
            })?,
            reference: Text::decode(decoder)?,
            memo: Text::decode(decoder)?,
        })
    }
}

/// A short text of at most `MAX` bytes of UTF-8; the empty text stands for absence. Encoded as one
/// length byte, then the text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text<const MAX: usize>(Box<str>);

/// The text is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("longer than {0} bytes")]
pub struct TextTooLong(pub usize);

impl<const MAX: usize> Text<MAX> {
    const FITS: () = assert!(MAX <= 255, "the length is one byte");

    /// Creates a text.
    ///
    /// # Errors
    /// If it's longer than `MAX` bytes.
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
                "a text of {length} bytes; at most {MAX} are allowed"
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

#[cfg(test)]
mod tests {
    use crate::codec;
    use crate::transfer::*;

    /// The same fields in the same order, with a derived decoder.
    #[derive(Debug, PartialEq, Decode)]
    struct Fields {
        id: CommandId,
        debit: AccountId,
        credit: AccountId,
        amount: Amount,
        asset: Asset,
        kind: TransferKind,
        reference: Text<REFERENCE_BYTES_MAX>,
        memo: Text<MEMO_BYTES_MAX>,
    }

    #[test]
    fn the_decoder_by_hand_reads_what_the_derived_one_reads() {
        let transfer = Transfer {
            id: CommandId::from_parts(1_700_000_000_000, 3),
            debit: AccountId::new(u128::MAX - 5),
            credit: AccountId::new(7),
            amount: Amount(u64::MAX - 9),
            asset: Asset::parse("KRW").unwrap(),
            kind: TransferKind::CashOut,
            reference: Text::new("A-1").unwrap(),
            memo: Text::new("thanks").unwrap(),
        };
        let good = codec::encode(&transfer);
        assert_eq!(codec::decode::<Transfer>(&good), Ok(transfer));
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                let (one, other) =
                    (codec::decode::<Transfer>(&bytes), codec::decode::<Fields>(&bytes));
                match (one, other) {
                    (Ok(one), Ok(other)) => {
                        let Transfer { id, debit, credit, amount, asset, kind, reference, memo } =
                            one;
                        let one =
                            Fields { id, debit, credit, amount, asset, kind, reference, memo };
                        assert_eq!(one, other);
                        assert_ne!(bytes, good);
                    }
                    (one, other) => assert_eq!(one.err(), other.err(), "byte {at}, bit {bit}"),
                }
            }
            assert!(codec::decode::<Transfer>(&good[..at]).is_err());
        }
    }
}
