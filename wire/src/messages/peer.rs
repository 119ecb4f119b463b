//! What sites say to each other. Each lane is a stream of its own, so that a heartbeat never waits behind a megabyte.
//!
//! ```text
//! APPEND         bincode of AppendHead, then each record: 0 u64 position  8 u64 term  16 u64 time  24 u8 kind
//!                25 [u8; 3] zero  28 u32 bytes  32 the payload
//! APPENDED       bincode of AppendReply
//! VOTE, VOTED    bincode of VoteRequest, VoteReply (pre-votes too)
//! TRANSFER …     bincode of TransferLeader, TransferReply
//! FORWARD_…      what a client sent to a follower, with the hash of its key: answered like the client's own request
//! ```

use bincode::{Decode, Encode};
use bytes::{Buf, Bytes};

use crate::{codec, frame, id::NodeId, request::ReadRequest};

/// Frame type: [`AppendHead`] and records.
pub const APPEND: u8 = 129;
/// Frame type: [`AppendReply`].
pub const APPENDED: u8 = 130;
/// Frame type: [`VoteRequest`].
pub const VOTE: u8 = 131;
/// Frame type: [`VoteReply`].
pub const VOTED: u8 = 132;
/// Frame type: [`HandoverRequest`].
pub const TRANSFER: u8 = 133;
/// Frame type: [`HandoverReply`].
pub const TRANSFERRED: u8 = 134;
/// Frame type: [`ForwardSubmit`].
pub const FORWARD_SUBMIT: u8 = 135;
/// Frame type: [`ForwardRead`].
pub const FORWARD_READ: u8 = 136;
/// Frame type: [`LaneHello`]: the first frame of every lane.
pub const LANE: u8 = 137;
/// Frame type: [`DigestNotice`]; answered with the receiver's own.
pub const DIGEST: u8 = 138;
/// Frame type: [`DigestNotice`] that a majority agrees with: a receiver that differs is broken.
pub const DIGEST_AGREED: u8 = 139;

/// What a stream between sites is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Lane {
    /// Heartbeats, votes, hand-overs: small, answered one by one, before everything else.
    Control,
    /// The live tail of the journal, pipelined.
    Append,
    /// Commands and reads that clients gave to a follower.
    Forward,
}

/// Opens a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LaneHello {
    /// What it's for.
    pub lane: Lane,
}

/// A record's name: its position and the term of the primary that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PeerLogId {
    /// The primary's election number.
    pub term: u64,
    /// The record's number.
    pub position: u64,
}

/// Whom a node follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PeerVote {
    /// The election number.
    pub term: u64,
    /// The candidate or primary.
    pub node: NodeId,
    /// Whether a majority has elected it.
    pub committed: bool,
}

/// Records to append, or a heartbeat when none follow.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AppendHead {
    /// The sender's leadership.
    pub vote: PeerVote,
    /// The record in front of the first one; `None` at the journal's start.
    pub previous: Option<PeerLogId>,
    /// That record's link: a diverged or damaged copy is found here, not at the next audit.
    pub previous_link: Option<[u8; 32]>,
    /// What the primary knows to be committed; `None` also while no majority has answered it within its lease, because then
    /// others may have elected another and committed more.
    pub committed: Option<PeerLogId>,
    /// The receiver is a copy that began empty, and the sender has proved itself to it.
    pub admittance: Option<Admittance>,
    /// How many records follow.
    pub records: u32,
}

/// A primary's word to a copy that began empty: its records may be taken and count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Admittance {
    /// The number that the copy drew when it began: a word to an earlier copy of the same site isn't meant for this one.
    pub copy: u64,
    /// The copy took part in the cluster's first election, and has forgotten nothing since.
    pub founder: bool,
}

/// One record as it crosses the network. The link isn't sent: the receiver computes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// Its number.
    pub position: u64,
    /// Its primary's election number.
    pub term: u64,
    /// Its time, microseconds since the Unix epoch; 0 where it carries no commands.
    pub time: u64,
    /// What its payload is; see the node's journal kinds.
    pub kind: u8,
    /// The payload, as it's hashed and stored.
    pub payload: Bytes,
}

const RECORD_HEAD_BYTES: usize = 32;

/// Puts an APPEND frame behind what `buffer` holds.
///
/// # Panics
/// When it's larger than a frame: the caller bounds the records by bytes.
pub fn write_append<'a>(
    head: &AppendHead,
    records: impl Iterator<Item = &'a PeerRecord>,
    buffer: &mut Vec<u8>,
) {
    let at = frame::start(buffer, APPEND);
    codec::encode_into(head, buffer);
    for record in records {
        buffer.extend_from_slice(&record.position.to_le_bytes());
        buffer.extend_from_slice(&record.term.to_le_bytes());
        buffer.extend_from_slice(&record.time.to_le_bytes());
        buffer.extend_from_slice(&[record.kind, 0, 0, 0]);
        let length = u32::try_from(record.payload.len()).expect("a payload fits in a frame");
        buffer.extend_from_slice(&length.to_le_bytes());
        buffer.extend_from_slice(&record.payload);
    }
    frame::finish(buffer, at);
}

/// How many bytes a record takes up in an APPEND frame.
#[must_use]
pub fn record_bytes(payload: usize) -> usize {
    RECORD_HEAD_BYTES + payload
}

/// Reads an APPEND frame's body. Payloads are slices of it: nothing is copied.
///
/// # Errors
/// When it's malformed.
pub fn read_append(mut body: Bytes) -> Result<(AppendHead, Vec<PeerRecord>), codec::CodecError> {
    let (head, used) = codec::decode_prefix::<AppendHead>(&body)?;
    body.advance(used);
    let cut_short = || codec::CodecError::Malformed("a record is cut short".into());
    let mut records = Vec::new();
    for _ in 0..head.records {
        if body.len() < RECORD_HEAD_BYTES {
            return Err(cut_short());
        }
        let position = body.get_u64_le();
        let term = body.get_u64_le();
        let time = body.get_u64_le();
        let kind = body.get_u8();
        let spare = [body.get_u8(), body.get_u8(), body.get_u8()];
        if spare != [0; 3] {
            return Err(codec::CodecError::Malformed("a record's spare bytes aren't zero".into()));
        }
        let length = usize::try_from(body.get_u32_le()).map_err(|_| cut_short())?;
        if body.len() < length {
            return Err(cut_short());
        }
        let payload = body.split_to(length);
        records.push(PeerRecord { position, term, time, kind, payload });
    }
    if body.is_empty() { Ok((head, records)) } else { Err(codec::CodecError::Trailing(body.len())) }
}

/// What became of an APPEND.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AppendReply {
    /// The verdict.
    pub result: AppendResult,
    /// The follower's clock, microseconds since the Unix epoch: large steps of time need a majority's agreement.
    pub clock: u64,
    /// The follower has no room for its next segment: nobody to hand the primary role to.
    pub disk_full: bool,
    /// The follower began empty and hasn't caught up: it can't be elected.
    pub joining: bool,
}

/// The verdict on an APPEND.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AppendResult {
    /// Durable up to here.
    Durable(Option<PeerLogId>),
    /// The follower has another record, or none, at this position.
    Conflict(PeerLogId),
    /// The follower follows somebody newer.
    HigherVote(PeerVote),
    /// Same record at `previous`, other link: one of the two copies is damaged. The follower takes no more.
    LinkMismatch(PeerLogId),
    /// The follower is a copy that began empty, under this number, and the head didn't welcome it: nothing was taken.
    Unwelcome(u64),
}

/// Asks for a vote, or whether one would be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VoteRequest {
    /// Only asks; changes nothing at the receiver.
    pub pre_vote: bool,
    /// The candidacy.
    pub vote: PeerVote,
    /// The candidate's newest record.
    pub last: Option<PeerLogId>,
    /// The primary itself asked for the hand-over, so its lease doesn't stand in the way.
    pub is_handover: bool,
    /// The candidate began empty and hasn't caught up: only a cluster where everybody did elects it.
    pub joining: bool,
}

/// The answer to a [`VoteRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VoteReply {
    /// Whom the receiver follows now.
    pub vote: PeerVote,
    /// Whether it gave, or would give, its vote.
    pub granted: bool,
    /// The receiver's newest record.
    pub last: Option<PeerLogId>,
    /// The number of a receiver that began empty and hasn't caught up: its vote counts only where everybody's is such a one.
    pub joining: Option<u64>,
}

/// Asks a follower to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HandoverRequest {
    /// The primary's leadership.
    pub from: PeerVote,
    /// The follower that is to take over.
    pub to: NodeId,
    /// What the follower must have durable first.
    pub last: Option<PeerLogId>,
}

/// The answer to a [`HandoverRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum HandoverReply {
    /// An election is on its way.
    Accepted,
    /// The leadership has changed meanwhile.
    VoteChanged {
        /// What the request named.
        expected: PeerVote,
        /// What holds.
        actual: PeerVote,
    },
    /// The follower lacks records.
    LogNotFlushed {
        /// What the request named.
        expected: Option<PeerLogId>,
        /// What is durable.
        actual: Option<PeerLogId>,
    },
}

/// Commands that a client gave to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardSubmit {
    /// blake3 of the key's text; the primary looks it up itself. All zeros: the node asks for itself or for its operator.
    pub key: [u8; 32],
    /// As the client sent it, with the follower's own number.
    pub submit: crate::request::Submit,
}

impl ForwardSubmit {
    /// Puts the frame behind what `buffer` holds.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        let at = frame::start(buffer, FORWARD_SUBMIT);
        buffer.extend_from_slice(&self.key);
        let crate::request::Submit { number, deadline_ms, count, atomic, ref commands } =
            self.submit;
        crate::request::Submit::put_head(number, deadline_ms, count, atomic, buffer);
        buffer.extend_from_slice(commands);
        frame::finish(buffer, at);
    }

    /// Reads a frame's body.
    ///
    /// # Errors
    /// When it's shorter than its head.
    pub fn read(mut body: Bytes) -> Result<Self, codec::CodecError> {
        let Some(key) = body.first_chunk::<32>().copied() else {
            return Err(codec::CodecError::Malformed("a forward shorter than its head".into()));
        };
        body.advance(32);
        Ok(Self { key, submit: crate::request::Submit::read(body)? })
    }
}

/// A read that a client gave to a follower.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ForwardRead {
    /// See [`ForwardSubmit::key`].
    pub key: [u8; 32],
    /// As the client sent it, with the follower's own number.
    pub read: ReadRequest,
}

/// What a node's whole state hashes to at a position: nodes that name the same position must name the same digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DigestNotice {
    /// The newest entry that the state contains.
    pub position: u64,
    /// Zeros; kept for that entry's link.
    pub link: [u8; 32],
    /// The digest; zeros: the sender has none of that position.
    pub digest: [u8; 32],
}
