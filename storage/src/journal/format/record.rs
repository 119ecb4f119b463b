//! One record: the layout of a journal entry in a segment.
//!
//! ```text
//!  0 magic "EKR\x01"
//!  4 u32   crc32 of bytes 8.. to the end of the payload
//!  8 u32   payload length       ┐
//! 12 u8    kind                 │
//! 13 [3]   zero                 │ hashed into the link, with the payload
//! 16 u64   position             │
//! 24 u64   term                 │
//! 32 u64   time, µs since 1970  ┘
//! 40 [32]  link
//! 72       payload, then zeros up to the next multiple of 8
//! ```
//! Numbers are little-endian. The payload isn't interpreted here.

use bytes::Bytes;

use super::chain;
use crate::bytes_at::{read_array, read_u32, read_u64, write_array, write_u32, write_u64};
use crate::disk::bytes_u64;
use crate::{ClusterId, Link, Position, Term};

pub(crate) const MAGIC: [u8; 4] = *b"EKR\x01";
pub(crate) const HEADER_BYTES: usize = 72;
const HASHED: std::ops::Range<usize> = 8..40;
const LINK_AT: usize = 40;

/// The largest payload of a record, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// A record to append. The journal computes its link.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The newest record's position + 1.
    pub position: Position,
    /// The primary's term.
    pub term: Term,
    /// Microseconds since 1970, stamped by the primary.
    pub time: u64,
    /// The kind of payload, defined by the caller.
    pub kind: u8,
    /// At most [`PAYLOAD_BYTES_MAX`] bytes.
    pub payload: Bytes,
}

/// A record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its position.
    pub position: Position,
    /// The primary's term.
    pub term: Term,
    /// Microseconds since 1970, stamped by the primary.
    pub time: u64,
    /// The kind of payload, defined by the caller.
    pub kind: u8,
    /// The payload as it was appended.
    pub payload: Bytes,
    /// The hash that links it to all records before it.
    pub link: Link,
}

/// A record without its payload; the newest one is the end of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The record's position.
    pub position: Position,
    /// The record's term.
    pub term: Term,
    /// The record's time, microseconds since 1970.
    pub time: u64,
    /// The record's link.
    pub link: Link,
}

impl Record {
    /// The record without its payload.
    pub fn tip(&self) -> Tip {
        Tip { position: self.position, term: self.term, time: self.time, link: self.link }
    }

    pub(crate) fn new(record: NewRecord, previous: &Link, cluster: &ClusterId) -> Self {
        let NewRecord { position, term, time, kind, payload } = record;
        let header =
            RecordHeader { payload_bytes: payload_length(&payload), kind, position, term, time };
        let link = chain::compute_link(previous, cluster, &header.hashed_bytes(), &payload);
        Self { position, term, time, kind, payload, link }
    }

    /// The 72 bytes before the payload.
    pub(crate) fn encode_header(&self) -> [u8; HEADER_BYTES] {
        let Self { position, term, time, kind, .. } = *self;
        let payload_bytes = payload_length(&self.payload);
        let header = RecordHeader { payload_bytes, kind, position, term, time };
        let mut bytes = [0; HEADER_BYTES];
        write_array(&mut bytes, 0, &MAGIC);
        write_array(&mut bytes, HASHED.start, &header.hashed_bytes());
        write_array(&mut bytes, LINK_AT, &self.link.0);
        let checksum = checksum(&bytes, &self.payload);
        write_u32(&mut bytes, 4, checksum);
        bytes
    }

    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.payload.len())
    }
}

/// The hashed part of a record's header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordHeader {
    pub(crate) payload_bytes: u32,
    pub(crate) kind: u8,
    pub(crate) position: Position,
    pub(crate) term: Term,
    pub(crate) time: u64,
}

impl RecordHeader {
    fn hashed_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        write_u32(&mut bytes, 0, self.payload_bytes);
        bytes[4] = self.kind;
        write_u64(&mut bytes, 8, self.position);
        write_u64(&mut bytes, 16, self.term);
        write_u64(&mut bytes, 24, self.time);
        bytes
    }

    /// Decodes the header of a frame without checking it; `None` if the magic isn't a record's.
    pub(crate) fn decode(frame: &[u8]) -> Option<Self> {
        if frame.len() < HEADER_BYTES || frame[..4] != MAGIC {
            return None;
        }
        Some(Self {
            payload_bytes: read_u32(frame, 8),
            kind: frame[12],
            position: read_u64(frame, 16),
            term: read_u64(frame, 24),
            time: read_u64(frame, 32),
        })
    }

    pub(crate) fn payload_length(&self) -> usize {
        usize::try_from(self.payload_bytes).expect("32 bits fit a length in memory")
    }

    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.payload_length())
    }

    pub(crate) fn tip(&self, frame: &[u8]) -> Tip {
        let Self { position, term, time, .. } = *self;
        Tip { position, term, time, link: link_in(frame) }
    }
}

/// Why bytes aren't the expected record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordRefusal {
    /// Not a whole record: torn by a crash, or damaged later.
    Broken(&'static str),
    /// A whole record, but not the one that continues the chain.
    Altered(&'static str),
}

impl RecordRefusal {
    pub(crate) fn reason_text(self) -> &'static str {
        match self {
            Self::Broken(what) | Self::Altered(what) => what,
        }
    }
}

/// Checks `frame`, which is exactly as long as its header says, and returns its record if it
/// continues the chain. `payload_of` extracts the payload, so that the caller decides whether bytes
/// are copied.
pub(crate) fn check(
    frame: &[u8],
    cluster: &ClusterId,
    expected: Position,
    previous: &Link,
    payload_of: impl FnOnce(std::ops::Range<usize>) -> Bytes,
) -> Result<Record, RecordRefusal> {
    let header = RecordHeader::decode(frame).ok_or(RecordRefusal::Broken("no record's magic"))?;
    let payload_end = HEADER_BYTES + header.payload_length();
    if !is_whole(frame) {
        return Err(RecordRefusal::Broken("record checksum doesn't match"));
    }
    if frame[payload_end..].iter().any(|byte| *byte != 0) {
        return Err(RecordRefusal::Broken("record padding isn't zero"));
    }
    if frame[13..16] != [0; 3] {
        return Err(RecordRefusal::Altered("reserved bytes of a record aren't zero"));
    }
    if header.position != expected {
        return Err(RecordRefusal::Altered("record has another position than the expected one"));
    }
    let payload = &frame[HEADER_BYTES..payload_end];
    if chain::compute_link(previous, cluster, &read_array(frame, HASHED.start), payload)
        != link_in(frame)
    {
        return Err(RecordRefusal::Altered("link doesn't match: history was altered"));
    }
    let RecordHeader { kind, position, term, time, .. } = header;
    let payload = payload_of(HEADER_BYTES..payload_end);
    Ok(Record { position, term, time, kind, payload, link: link_in(frame) })
}

/// Whether magic and checksum of a frame match; the chain isn't checked. `frame` may be longer than
/// the record.
pub(crate) fn is_whole(frame: &[u8]) -> bool {
    let Some(header) = RecordHeader::decode(frame) else { return false };
    match frame.get(HEADER_BYTES..HEADER_BYTES + header.payload_length()) {
        Some(payload) => checksum(&read_array(frame, 0), payload) == read_u32(frame, 4),
        None => false,
    }
}

pub(crate) fn link_in(frame: &[u8]) -> Link {
    Link(read_array(frame, LINK_AT))
}

pub(crate) fn padding_bytes(payload_bytes: usize) -> usize {
    payload_bytes.next_multiple_of(8) - payload_bytes
}

fn frame_bytes(payload_bytes: usize) -> u64 {
    bytes_u64(HEADER_BYTES + payload_bytes.next_multiple_of(8))
}

fn checksum(header: &[u8; HEADER_BYTES], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[8..]);
    hasher.update(payload);
    hasher.finalize()
}

fn payload_length(payload: &Bytes) -> u32 {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "a payload of {} bytes", payload.len());
    u32::try_from(payload.len()).expect("the largest payload fits 32 bits")
}
