//! Messages between sites. Each lane is a separate stream, so that a heartbeat never waits behind a
//! megabyte.
//!
//! ```text
//! APPEND         bincode of AppendHead, then each record: 0 u64 position  8 u64 term
//!                16 u64 time  24 u8 kind  25 [u8; 3] zero  28 u32 bytes  32 the payload
//! APPENDED       bincode of AppendReply
//! VOTE, VOTED    bincode of VoteRequest, VoteReply (pre-votes too)
//! TRANSFER …     bincode of HandoverRequest, HandoverReply
//! CLOCK          bincode of ClockReading, and another one as the answer
//! ABOUT          bincode of PeerAbout, both ways
//! FORWARD_…      a client's request to a follower, with the hash of its key; answered like the
//!                client's own request
//! ```

use bincode::{Decode, Encode};
use bytes::{Buf, Bytes};

use crate::{
    codec, frame, id::NodeId, limits::NAME_BYTES_MAX, request::ReadRequest, transfer::Text,
};

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
/// Frame type: [`LaneHello`], the first frame of every lane.
pub const LANE: u8 = 137;
/// Frame type: [`DigestNotice`]; answered with the receiver's own notice.
pub const DIGEST: u8 = 138;
/// Frame type: [`DigestNotice`] with a majority's digest: a receiver with another digest is faulty.
pub const DIGEST_AGREED: u8 = 139;
/// Frame type: [`ClockReading`]; answered with the receiver's own.
pub const CLOCK: u8 = 144;

/// Frame type: [`PeerAbout`], the only one on its lane; answered with the receiver's own.
pub const ABOUT: u8 = 150;

/// The purpose of a stream between sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Lane {
    /// Heartbeats, votes, handovers: small, answered one by one, with the highest priority.
    Control,
    /// The live tail of the journal, pipelined.
    Append,
    /// Commands and reads that clients sent to a follower.
    Forward,
    /// One exchange of what both run with, at the beginning of a connection.
    About,
}

/// The first message of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LaneHello {
    /// The lane's purpose.
    pub lane: Lane,
}

/// A record's id: its position and the term of the primary that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PeerLogId {
    /// The primary's term.
    pub term: u64,
    /// The record's position.
    pub position: u64,
}

/// A vote, or a leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PeerVote {
    /// The term.
    pub term: u64,
    /// The candidate or primary.
    pub node: NodeId,
    /// Whether a majority granted it.
    pub committed: bool,
}

/// What a node runs with. All nodes of a cluster must have the same; the versions may differ for
/// as long as an upgrade takes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PeerAbout {
    /// The program's version.
    pub version: Text<NAME_BYTES_MAX>,
    /// The profile's name.
    pub profile: Text<NAME_BYTES_MAX>,
    /// blake3 of the ledger's genesis, encoded and with the first possible date; before the
    /// bootstrap of the configured one.
    pub genesis: [u8; 32],
    /// All members, by number.
    pub members: Vec<AboutMember>,
}

/// A member of the cluster, as a node is configured.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AboutMember {
    /// Its number.
    pub node: NodeId,
    /// The name of its site.
    pub site: Text<NAME_BYTES_MAX>,
}

/// Records to append; without records, a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AppendHead {
    /// The sender's leadership.
    pub vote: PeerVote,
    /// The record before the first one; `None` at the journal's start.
    pub previous: Option<PeerLogId>,
    /// That record's link, so that a diverged or damaged copy is detected here and not at the next
    /// audit.
    pub previous_link: Option<[u8; 32]>,
    /// The newest record that the primary knows to be committed. Also `None` while no majority has
    /// answered it within its lease, because another primary may have been elected and committed
    /// more.
    pub committed: Option<PeerLogId>,
    /// Present if the receiver is an empty copy to which the sender has proved itself.
    pub admittance: Option<Admittance>,
    /// The number of records that follow.
    pub records: u32,
}

/// A primary's admittance of an uncounted copy: the records sent may be accepted and count.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Admittance {
    /// The number drawn by the copy when it was created: an admittance of an earlier copy of the
    /// same site isn't valid for this one.
    pub copy: u64,
    /// Whether the copy took part in the cluster's first election and has lost nothing since.
    pub founder: bool,
    /// The copies that took part in that election, as far as the sender knows them: every site
    /// keeps them, so that the loss of the winner's disk stops nobody.
    pub founders: Vec<FounderCopy>,
}

/// A copy that took part in the cluster's first election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FounderCopy {
    /// Its node.
    pub node: NodeId,
    /// The number drawn by the copy when it was created.
    pub copy: u64,
}

/// One record as sent to a peer. The link isn't sent: the receiver computes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// Its position.
    pub position: u64,
    /// Its primary's term.
    pub term: u64,
    /// Its time, microseconds since the Unix epoch; 0 if it has no commands.
    pub time: u64,
    /// The kind of payload, defined by the node.
    pub kind: u8,
    /// The payload, as it is hashed and stored.
    pub payload: Bytes,
}

const RECORD_HEAD_BYTES: usize = 32;

/// Appends an APPEND frame to `buffer`.
///
/// # Panics
/// If it's larger than a frame: callers must bound the records by bytes.
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

/// The size in an APPEND frame of a record with this many payload bytes.
#[must_use]
pub fn record_bytes(payload: usize) -> usize {
    RECORD_HEAD_BYTES + payload
}

/// Decodes an APPEND frame's body. Payloads are slices of it; nothing is copied.
///
/// # Errors
/// If it's malformed.
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
            return Err(codec::CodecError::Malformed(
                "a record's reserved bytes aren't zero".into(),
            ));
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

/// The reply to an APPEND.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AppendReply {
    /// The verdict.
    pub result: AppendResult,
    /// The follower's clock, microseconds since the Unix epoch: the primary compares all clocks.
    pub clock: u64,
    /// Whether the follower has no space for its next segment: then it can't take over the primary
    /// role.
    pub disk_full: bool,
    /// Whether the follower is an empty copy that hasn't caught up: then it can't be elected.
    pub joining: bool,
}

/// The verdict on an APPEND.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AppendResult {
    /// All records up to this one are durable.
    Durable(Option<PeerLogId>),
    /// The follower has another record, or none, at this position.
    Conflict(PeerLogId),
    /// The follower has a newer vote.
    HigherVote(PeerVote),
    /// The record at `previous` is the same but its link differs: one of the two copies is damaged.
    /// The follower accepts no more records.
    LinkMismatch(PeerLogId),
    /// The follower is an empty copy with this number, and the head didn't admit it: nothing was
    /// accepted.
    Unwelcome(u64),
}

/// A request for a vote, or a pre-vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VoteRequest {
    /// Whether this is a pre-vote, which changes nothing at the receiver.
    pub pre_vote: bool,
    /// The candidacy.
    pub vote: PeerVote,
    /// The candidate's newest record.
    pub last: Option<PeerLogId>,
    /// Whether the primary itself requested the handover, so that its lease doesn't block the vote.
    pub is_handover: bool,
    /// Whether the candidate is an empty copy that hasn't caught up: it is elected only in a
    /// cluster where all copies are.
    pub joining: bool,
}

/// The answer to a [`VoteRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VoteReply {
    /// The receiver's vote now.
    pub vote: PeerVote,
    /// Whether the vote is granted; in a pre-vote, whether it would be.
    pub granted: bool,
    /// The receiver's newest record.
    pub last: Option<PeerLogId>,
    /// The number of a receiver that is an empty copy and hasn't caught up: its vote counts only
    /// where all votes are of such copies.
    pub joining: Option<u64>,
}

/// A request to a follower to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HandoverRequest {
    /// The primary's leadership.
    pub from: PeerVote,
    /// The follower to take over.
    pub to: NodeId,
    /// The newest record that the follower must have durable first.
    pub last: Option<PeerLogId>,
}

/// The answer to a [`HandoverRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum HandoverReply {
    /// An election was started.
    Accepted,
    /// The leadership has changed.
    VoteChanged {
        /// The leadership in the request.
        expected: PeerVote,
        /// The current one.
        actual: PeerVote,
    },
    /// The follower lacks records.
    LogNotFlushed {
        /// The record in the request.
        expected: Option<PeerLogId>,
        /// The newest durable record.
        actual: Option<PeerLogId>,
    },
}

/// Commands that a client sent to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardSubmit {
    /// blake3 of the key's text; the primary looks it up itself. All zeros if the node sends the
    /// request for itself or for its operator.
    pub key: [u8; 32],
    /// The client's request, with the follower's own number.
    pub submit: crate::request::Submit,
}

impl ForwardSubmit {
    /// Appends the frame to `buffer`.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        let at = frame::start(buffer, FORWARD_SUBMIT);
        buffer.extend_from_slice(&self.key);
        let crate::request::Submit { number, deadline_ms, count, atomic, ref commands } =
            self.submit;
        crate::request::Submit::put_head(number, deadline_ms, count, atomic, buffer);
        buffer.extend_from_slice(commands);
        frame::finish(buffer, at);
    }

    /// Decodes a frame's body.
    ///
    /// # Errors
    /// If it's shorter than its head.
    pub fn read(mut body: Bytes) -> Result<Self, codec::CodecError> {
        let Some(key) = body.first_chunk::<32>().copied() else {
            return Err(codec::CodecError::Malformed("a forward shorter than its head".into()));
        };
        body.advance(32);
        Ok(Self { key, submit: crate::request::Submit::read(body)? })
    }
}

/// A read that a client sent to a follower.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ForwardRead {
    /// See [`ForwardSubmit::key`].
    pub key: [u8; 32],
    /// The client's request, with the follower's own number.
    pub read: ReadRequest,
}

/// The digest of a node's whole state at a position: all nodes must have the same digest at the
/// same position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DigestNotice {
    /// The position of the newest entry included in the state.
    pub position: u64,
    /// Zeros; reserved for that entry's link.
    pub link: [u8; 32],
    /// The digest; zeros if the sender has none for that position.
    pub digest: [u8; 32],
}

/// A node's clock. The receiver answers with its own, so that the sender learns it together with
/// the round trip that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClockReading {
    /// Microseconds since the Unix epoch. Never used as it is: a single clock may be wrong.
    pub clock: u64,
}
