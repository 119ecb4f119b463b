//! Commands: what a client can ask of the ledger. The same bytes go from the client to the journal, to the peers and to apply.
//!
//! One byte says which command follows; numbers are never used again.

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

use crate::{
    account::{OpenAccount, SetLimits, SetStatus},
    codec,
    day::CloseDay,
    genesis::Genesis,
    hold::{Capture, ExpireHold, Hold, Void},
    id::CommandId,
    key::{CreateKey, RevokeKey},
    refund::Refund,
    reversal::Reversal,
    transfer::Transfer,
};

/// Writes down the list of commands once: the enum, its numbers, and both directions of the codec. The first is decoded
/// first: it's the hot one.
macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident($body:ty) = $number:literal),+ $(,)?) => {
        /// What the ledger is asked.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Command {
            $($(#[$doc])* $name($body)),+
        }

        impl Encode for Command {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                match self {
                    $(Self::$name(body) => {
                        let number: u8 = $number;
                        number.encode(encoder)?;
                        body.encode(encoder)
                    })+
                }
            }
        }

        impl<C> Decode<C> for Command {
            #[inline]
            fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
                match u8::decode(decoder)? {
                    $($number => Decode::decode(decoder).map(Self::$name),)+
                    other => Err(DecodeError::OtherString(format!("{other} is no command"))),
                }
            }
        }
    };
}

commands! {
    /// Moves money.
    Transfer(Transfer) = 2,
    /// Opens an account.
    OpenAccount(OpenAccount) = 1,
    /// Founds the ledger: the first command, made by the first primary. No door takes it.
    Genesis(Box<Genesis>) = 0,
    /// Pays a payment back.
    Refund(Refund) = 3,
    /// Undoes a wrong movement.
    Reversal(Reversal) = 4,
    /// Sets money aside.
    Hold(Hold) = 5,
    /// Takes what was set aside.
    Capture(Capture) = 6,
    /// Gives back what was set aside.
    Void(Void) = 7,
    /// Freezes, unfreezes or closes an account.
    SetStatus(SetStatus) = 8,
    /// Changes an account's limits.
    SetLimits(SetLimits) = 9,
    /// Releases a hold whose time is up. The primary makes it.
    ExpireHold(ExpireHold) = 10,
    /// Ends a business day. The primary makes it.
    CloseDay(CloseDay) = 11,
    /// Makes a key known. The admin socket makes it.
    CreateKey(CreateKey) = 12,
    /// Ends a key. The admin socket makes it.
    RevokeKey(RevokeKey) = 13,
}

impl Command {
    /// The idempotency key, for those that have one of their own. An account's opening has the account's id, which may be
    /// any UUID; what nodes make for themselves has none.
    #[must_use]
    #[inline]
    pub fn id(&self) -> Option<CommandId> {
        match self {
            Self::Transfer(transfer) => Some(transfer.id),
            Self::Refund(refund) => Some(refund.id),
            Self::Reversal(reversal) => Some(reversal.id),
            Self::Hold(hold) => Some(hold.id),
            Self::Capture(capture) => Some(capture.id),
            Self::Void(void) => Some(void.id),
            Self::SetStatus(change) => Some(change.id),
            Self::SetLimits(change) => Some(change.id),
            Self::OpenAccount(_)
            | Self::Genesis(_)
            | Self::ExpireHold(_)
            | Self::CloseDay(_)
            | Self::CreateKey(_)
            | Self::RevokeKey(_) => None,
        }
    }

    /// Whether only nodes make it: for the ledger's own upkeep or for the admin socket. Clients' doors refuse it.
    #[must_use]
    pub fn is_made_by_nodes(&self) -> bool {
        matches!(
            self,
            Self::Genesis(_)
                | Self::ExpireHold(_)
                | Self::CloseDay(_)
                | Self::CreateKey(_)
                | Self::RevokeKey(_)
        )
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
    type Item = Result<(Command, &'a [u8]), codec::CodecError>;

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
