//! Commands: requests to change the ledger. The same bytes go from the client to the journal, to
//! the peers and to apply.
//!
//! The first byte is the command's number. Numbers are never reused.

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

/// The number of a transfer.
const TRANSFER: u8 = 2;

/// Defines the list of commands once: the enum, its numbers, and both directions of the codec. The
/// first one is matched first when decoding: it is the most frequent.
macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident($body:ty) = $number:literal),+ $(,)?) => {
        /// A request to change the ledger.
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
                    other => {
                        Err(DecodeError::OtherString(format!("{other} isn't a valid command")))
                    }
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
    /// Bootstraps the ledger: the first command, created by the first primary. Clients' doors
    /// reject it.
    Genesis(Box<Genesis>) = 0,
    /// Pays a payment back.
    Refund(Refund) = 3,
    /// Reverses a wrong movement.
    Reversal(Reversal) = 4,
    /// Reserves money for a merchant.
    Hold(Hold) = 5,
    /// Captures a hold.
    Capture(Capture) = 6,
    /// Releases a hold.
    Void(Void) = 7,
    /// Freezes, unfreezes or closes an account.
    SetStatus(SetStatus) = 8,
    /// Changes an account's limits.
    SetLimits(SetLimits) = 9,
    /// Releases an expired hold. Created by the primary.
    ExpireHold(ExpireHold) = 10,
    /// Ends a business day. Created by the primary.
    CloseDay(CloseDay) = 11,
    /// Creates a key. Created by the admin socket.
    CreateKey(CreateKey) = 12,
    /// Revokes a key. Created by the admin socket.
    RevokeKey(RevokeKey) = 13,
}

impl Command {
    /// The command's own idempotency key. `None` for `OpenAccount`, whose key is the account's id,
    /// which may be any UUID, and for commands that nodes create, which have none.
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

    /// The id of the earlier command that a client's command is about: a refund's payment, a
    /// reversal's movement, the hold of a capture or a void.
    #[must_use]
    pub fn target(&self) -> Option<CommandId> {
        match self {
            Self::Refund(refund) => Some(refund.payment),
            Self::Reversal(reversal) => Some(reversal.transfer),
            Self::Capture(capture) => Some(capture.hold),
            Self::Void(void) => Some(void.hold),
            _ => None,
        }
    }

    /// Whether only nodes create it, for the ledger's upkeep or for the admin socket. Clients'
    /// doors reject it.
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

/// An iterator over concatenated commands; yields each command with its bytes. Ends after the first
/// error.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    bytes: &'a [u8],
}

impl<'a> Commands<'a> {
    /// Iterates over these bytes.
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

/// A command without what its ids don't need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkimmedCommand {
    /// A transfer with this id.
    Transfer(CommandId),
    /// Any other command, as a whole.
    Other(Command),
}

/// An iterator over the same bytes as [`Commands`] that decodes of a transfer its id alone: a
/// fraction of the time. It checks nothing else of a transfer but where it ends.
#[derive(Clone, Debug)]
pub struct SkimmedCommands<'a> {
    bytes: &'a [u8],
}

impl<'a> SkimmedCommands<'a> {
    /// Iterates over these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl<'a> Iterator for SkimmedCommands<'a> {
    type Item = Result<(SkimmedCommand, &'a [u8]), codec::CodecError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        if let Some((id, length)) = skim_transfer(self.bytes) {
            let (own, rest) = self.bytes.split_at(length);
            self.bytes = rest;
            return Some(Ok((SkimmedCommand::Transfer(id), own)));
        }
        let mut whole = Commands::new(self.bytes);
        let next = whole.next();
        self.bytes = whole.bytes;
        next.map(|next| next.map(|(command, own)| (SkimmedCommand::Other(command), own)))
    }
}

/// The id and the length of a transfer; `None`: the bytes begin with something else.
#[inline]
fn skim_transfer(bytes: &[u8]) -> Option<(CommandId, usize)> {
    let (number, body) = bytes.split_first()?;
    if *number != TRANSFER {
        return None;
    }
    let id = CommandId::new(u128::from_le_bytes(*body.first_chunk()?)).ok()?;
    let reference = usize::from(*body.get(Transfer::HEAD_BYTES)?);
    let memo_at = Transfer::HEAD_BYTES + 1 + reference;
    let memo = usize::from(*body.get(memo_at)?);
    let length = 1 + memo_at + 1 + memo;
    (length <= bytes.len()).then_some((id, length))
}
