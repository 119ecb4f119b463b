//! One file of the journal: its name, its header, and its description in memory.
//!
//! ```text
//!   0 magic "EKJ\x01"
//!   4 u16   format version: 1
//!   6 u16   zero
//!   8 [16]  cluster
//!  24 u64   first position
//!  32 [32]  link of the record before the first
//!  64 u32   crc32 of bytes 0..64
//!  68 [60]  zero
//! 128       frames (records and marks), each a multiple of 8 long, then zeros or the footer
//! ```
//! Version 1 is the first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes_at::{read_array, read_u16, read_u32, read_u64};
use crate::bytes_at::{write_array, write_u16, write_u32, write_u64};
use crate::disk::File;
use crate::{ClusterId, Link, Position};

pub(crate) const HEADER_BYTES: usize = 128;
/// The offset of the first frame.
pub(crate) const FRAMES_AT: u64 = 128;
const MAGIC: [u8; 4] = *b"EKJ\x01";
const VERSION: u16 = 1;
const CHECKSUM_AT: usize = 64;

/// The state of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// The newest segment, being written.
    Open,
    /// Full, but not sealed: its records may not all be committed and applied.
    Rolled,
    /// Closed, with a footer. It never changes again.
    Sealed,
}

/// A description of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Position of the first record; the file's name has it too.
    pub first: Position,
    /// Position of the last record; `None` if there is no record yet.
    pub last: Option<Position>,
    /// The file's path.
    pub path: PathBuf,
    /// Bytes in use: header, frames and footer.
    pub bytes: u64,
    /// The segment's state.
    pub state: SegmentState,
}

/// An entry in the table of all segments, which locates each durable record.
pub(crate) struct Segment {
    pub(crate) first: Position,
    /// Number of records on disk.
    pub(crate) count: u64,
    /// The offset of the next frame or of the footer.
    pub(crate) end: u64,
    pub(crate) bytes: u64,
    pub(crate) state: SegmentState,
    /// Rolled, and already renamed to `.sealing`.
    pub(crate) is_sealing: bool,
    /// The offset of each record; empty for a sealed segment, whose footer has the table.
    pub(crate) offsets: Vec<u32>,
    /// `None` for a sealed segment, whose file is opened when it is read.
    pub(crate) file: Option<Arc<dyn File>>,
}

impl Segment {
    pub(crate) fn last(&self) -> Option<Position> {
        (self.count > 0).then(|| self.first + self.count - 1)
    }

    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        let suffix = match self.state {
            SegmentState::Sealed => Suffix::Sealed,
            _ if self.is_sealing => Suffix::Sealing,
            SegmentState::Open | SegmentState::Rolled => Suffix::Open,
        };
        folder.join(file_name(self.first, suffix))
    }

    pub(crate) fn info(&self, folder: &Path) -> SegmentInfo {
        SegmentInfo {
            first: self.first,
            last: self.last(),
            path: self.path(folder),
            bytes: self.bytes,
            state: self.state,
        }
    }
}

/// The suffix of a segment's file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suffix {
    /// Open or rolled: nothing but zeros after the last frame.
    Open,
    /// Rolled; the bytes after the last frame may be an unfinished footer.
    Sealing,
    /// Whole, with its footer.
    Sealed,
}

/// The name of a segment's file.
pub(crate) fn file_name(first: Position, suffix: Suffix) -> String {
    let suffix = match suffix {
        Suffix::Open => "open",
        Suffix::Sealing => "sealing",
        Suffix::Sealed => "sealed",
    };
    format!("{first:020}.{suffix}")
}

/// Parses a file name; `None` if it isn't a segment's.
pub(crate) fn parse_name(name: &str) -> Option<(Position, Suffix)> {
    let (digits, suffix) = match name.split_once('.')? {
        (digits, "open") => (digits, Suffix::Open),
        (digits, "sealing") => (digits, Suffix::Sealing),
        (digits, "sealed") => (digits, Suffix::Sealed),
        _ => return None,
    };
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits {
        return None;
    }
    Some((digits.parse().ok()?, suffix))
}

/// The header of a segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) cluster: ClusterId,
    pub(crate) first: Position,
    pub(crate) previous: Link,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        write_array(&mut bytes, 0, &MAGIC);
        write_u16(&mut bytes, 4, VERSION);
        write_array(&mut bytes, 8, &self.cluster);
        write_u64(&mut bytes, 24, self.first);
        write_array(&mut bytes, 32, &self.previous.0);
        let checksum = crc32fast::hash(&bytes[..CHECKSUM_AT]);
        write_u32(&mut bytes, CHECKSUM_AT, checksum);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err("segment header is all zero".to_owned());
        }
        if bytes.len() < HEADER_BYTES {
            return Err(format!("segment of {} bytes is shorter than its header", bytes.len()));
        }
        if bytes[..4] != MAGIC {
            return Err("segment header has the wrong magic".to_owned());
        }
        if crc32fast::hash(&bytes[..CHECKSUM_AT]) != read_u32(bytes, CHECKSUM_AT) {
            return Err("segment header checksum doesn't match".to_owned());
        }
        let version = read_u16(bytes, 4);
        if version != VERSION {
            return Err(format!("segment has format version {version}, known is {VERSION}"));
        }
        let reserved = [&bytes[6..8], &bytes[CHECKSUM_AT + 4..HEADER_BYTES]].concat();
        if reserved.iter().any(|byte| *byte != 0) {
            return Err("reserved bytes of the segment header aren't zero".to_owned());
        }
        Ok(Self {
            cluster: read_array(bytes, 8),
            first: read_u64(bytes, 24),
            previous: Link(read_array(bytes, 32)),
        })
    }

    /// Checks that this is the expected segment; `Err` says what differs. Without `previous` the
    /// link isn't compared.
    pub(crate) fn check(
        &self,
        cluster: &ClusterId,
        first: Position,
        previous: Option<&Link>,
    ) -> Result<(), String> {
        if self.cluster != *cluster {
            let (found, due) = (hex(&self.cluster), hex(cluster));
            return Err(format!("segment belongs to cluster {found}, this node to {due}"));
        }
        if self.first != first {
            return Err(format!("segment named {first} says it begins at {}", self.first));
        }
        match previous {
            Some(previous) if self.previous != *previous => Err(format!(
                "segment continues link {}, the record before it has {previous}",
                self.previous
            )),
            _ => Ok(()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
