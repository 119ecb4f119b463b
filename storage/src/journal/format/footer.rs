//! The footer of a sealed segment: the offset of each record, and a summary that a start reads
//! instead of the records.
//!
//! ```text
//!  0 magic "EKF\x01"
//!  4 u32   zero
//!  8 u32…  offset of each record, then zeros up to the next multiple of 8
//!    trailer, the last 128 bytes of the file:
//!    0 u64  first position        8 u64  last position
//!   16 [32] first link           48 [32] last link
//!   80 u64  first time           88 u64  last time
//!   96 u64  number of records   104 u64  where the footer begins
//!  112 u32  crc32 of footer bytes 0.. up to the trailer
//!  116 u32  zero
//!  120 u32  crc32 of trailer bytes 0..120
//!  124 magic "EKE\x01"
//! ```

use std::io;

use crate::bytes_at::{read_array, read_u32, read_u64, write_array, write_u32, write_u64};
use crate::disk::{File, bytes_u64, read_exact_at};
use crate::{Link, Position};

pub(crate) const MAGIC: [u8; 4] = *b"EKF\x01";
/// The magic and four zeros.
const HEAD_BYTES: usize = 8;
const TRAILER_BYTES: usize = 128;
const TRAILER_MAGIC: [u8; 4] = *b"EKE\x01";
const ENTRY_BYTES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) first: Position,
    pub(crate) last: Position,
    pub(crate) first_link: Link,
    pub(crate) last_link: Link,
    pub(crate) first_time: u64,
    pub(crate) last_time: u64,
    /// The offset at which the frames end and the footer begins.
    pub(crate) begins_at: u64,
    table_checksum: u32,
}

impl Footer {
    pub(crate) fn count(&self) -> u64 {
        self.last - self.first + 1
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        footer_bytes(self.count())
    }

    /// Encodes the whole footer: head, table and trailer.
    pub(crate) fn encode(mut self, offsets: &[u32]) -> Vec<u8> {
        assert_eq!(bytes_u64(offsets.len()), self.count(), "one offset for each record");
        let table_bytes = (offsets.len() * ENTRY_BYTES).next_multiple_of(8);
        let mut bytes = vec![0; HEAD_BYTES + table_bytes];
        write_array(&mut bytes, 0, &MAGIC);
        for (index, offset) in offsets.iter().enumerate() {
            write_u32(&mut bytes, HEAD_BYTES + index * ENTRY_BYTES, *offset);
        }
        self.table_checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&self.encode_trailer());
        bytes
    }

    fn encode_trailer(&self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        write_u64(&mut bytes, 0, self.first);
        write_u64(&mut bytes, 8, self.last);
        write_array(&mut bytes, 16, &self.first_link.0);
        write_array(&mut bytes, 48, &self.last_link.0);
        write_u64(&mut bytes, 80, self.first_time);
        write_u64(&mut bytes, 88, self.last_time);
        write_u64(&mut bytes, 96, self.count());
        write_u64(&mut bytes, 104, self.begins_at);
        write_u32(&mut bytes, 112, self.table_checksum);
        let checksum = crc32fast::hash(&bytes[..120]);
        write_u32(&mut bytes, 120, checksum);
        write_array(&mut bytes, 124, &TRAILER_MAGIC);
        bytes
    }

    pub(crate) fn new(
        begins_at: u64,
        first: &crate::journal::Tip,
        last: &crate::journal::Tip,
    ) -> Self {
        Self {
            first: first.position,
            last: last.position,
            first_link: first.link,
            last_link: last.link,
            first_time: first.time,
            last_time: last.time,
            begins_at,
            table_checksum: 0,
        }
    }

    /// Reads and checks the trailer of a file. The table is read by [`Footer::read_table`].
    pub(crate) fn read_trailer(file: &dyn File) -> io::Result<Result<Self, String>> {
        let length = file.len()?;
        let Some(at) = length.checked_sub(bytes_u64(TRAILER_BYTES)) else {
            return Ok(Err(format!("sealed segment of {length} bytes has no space for a footer")));
        };
        let mut bytes = [0; TRAILER_BYTES];
        read_exact_at(file, &mut bytes, at)?;
        Ok(Self::decode_trailer(&bytes, length))
    }

    fn decode_trailer(bytes: &[u8; TRAILER_BYTES], length: u64) -> Result<Self, String> {
        if bytes[124..] != TRAILER_MAGIC {
            return Err("footer has the wrong magic".to_owned());
        }
        if crc32fast::hash(&bytes[..120]) != read_u32(bytes, 120) {
            return Err("footer checksum doesn't match".to_owned());
        }
        let footer = Self {
            first: read_u64(bytes, 0),
            last: read_u64(bytes, 8),
            first_link: Link(read_array(bytes, 16)),
            last_link: Link(read_array(bytes, 48)),
            first_time: read_u64(bytes, 80),
            last_time: read_u64(bytes, 88),
            begins_at: read_u64(bytes, 104),
            table_checksum: read_u32(bytes, 112),
        };
        let count = read_u64(bytes, 96);
        let counts_match = footer.last.checked_sub(footer.first).is_some_and(|n| n + 1 == count);
        if !counts_match || read_u32(bytes, 116) != 0 {
            return Err("footer doesn't match its own count".to_owned());
        }
        if footer.begins_at.checked_add(footer_bytes(count)) != Some(length) {
            return Err(format!("file of {length} bytes doesn't end where its footer says"));
        }
        Ok(footer)
    }

    /// Reads the offsets of all records and checks the table's checksum.
    pub(crate) fn read_table(&self, file: &dyn File) -> io::Result<Result<Vec<u32>, String>> {
        let length = self.size_bytes() - bytes_u64(TRAILER_BYTES);
        let mut bytes = vec![0; usize::try_from(length).expect("a footer fits in memory")];
        read_exact_at(file, &mut bytes, self.begins_at)?;
        if crc32fast::hash(&bytes) != self.table_checksum {
            return Ok(Err("checksum of the footer's table doesn't match".to_owned()));
        }
        let count = usize::try_from(self.count()).expect("a footer fits in memory");
        let entries = bytes[HEAD_BYTES..].chunks_exact(ENTRY_BYTES).take(count);
        Ok(Ok(entries.map(|entry| read_u32(entry, 0)).collect()))
    }
}

/// Reads `count` entries from entry `index` on of the table of a footer that begins at `begins_at`.
/// Doesn't check the table's checksum.
pub(crate) fn read_offsets(
    file: &dyn File,
    begins_at: u64,
    index: u64,
    count: usize,
) -> io::Result<Vec<u32>> {
    let mut bytes = vec![0; count * ENTRY_BYTES];
    let at = begins_at + bytes_u64(HEAD_BYTES) + index * bytes_u64(ENTRY_BYTES);
    read_exact_at(file, &mut bytes, at)?;
    Ok(bytes.chunks_exact(ENTRY_BYTES).map(|entry| read_u32(entry, 0)).collect())
}

fn footer_bytes(count: u64) -> u64 {
    let table = count.saturating_mul(bytes_u64(ENTRY_BYTES)).next_multiple_of(8);
    table.saturating_add(bytes_u64(HEAD_BYTES + TRAILER_BYTES))
}
