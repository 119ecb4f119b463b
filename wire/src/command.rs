//! Commands: what a client can ask of the ledger. The same bytes go from the client to the journal, to the peers and to apply.
//!
//! One byte says which command follows; numbers are never used again.

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

use crate::{account::OpenAccount, codec, genesis::Genesis, transfer::Transfer};

/// What the ledger is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Founds the ledger: the first command, made by the first primary. No door takes it.
    Genesis(Box<Genesis>),
    /// Opens an account.
    OpenAccount(OpenAccount),
    /// Moves money.
    Transfer(Transfer),
}

const GENESIS: u8 = 0;
const OPEN_ACCOUNT: u8 = 1;
const TRANSFER: u8 = 2;

impl Encode for Command {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Genesis(genesis) => {
                GENESIS.encode(encoder)?;
                genesis.encode(encoder)
            }
            Self::OpenAccount(open) => {
                OPEN_ACCOUNT.encode(encoder)?;
                open.encode(encoder)
            }
            Self::Transfer(transfer) => {
                TRANSFER.encode(encoder)?;
                transfer.encode(encoder)
            }
        }
    }
}

impl<C> Decode<C> for Command {
    #[inline]
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        match u8::decode(decoder)? {
            TRANSFER => Transfer::decode(decoder).map(Self::Transfer),
            OPEN_ACCOUNT => OpenAccount::decode(decoder).map(Self::OpenAccount),
            GENESIS => Genesis::decode(decoder).map(|genesis| Self::Genesis(Box::new(genesis))),
            other => Err(DecodeError::OtherString(format!("{other} is no command"))),
        }
    }
}

/// Walks over commands that stand one behind the other, each with its bytes.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    bytes: &'a [u8],
}

impl<'a> Commands<'a> {
    /// Over these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<(Command, &'a [u8]), codec::Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        match codec::decode_prefix(self.bytes) {
            Ok((command, used)) => {
                let (own, rest) = self.bytes.split_at(used);
                self.bytes = rest;
                Some(Ok((command, own)))
            }
            Err(error) => {
                self.bytes = &[];
                Some(Err(error))
            }
        }
    }
}
