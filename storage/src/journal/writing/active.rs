//! The segment being written, and the batch that is gathered for it.
//!
//! Small payloads are copied into one buffer; large ones are written to the file from where they
//! are. Nothing is durable before `sync`. Any error is final for the whole journal.

use std::io;
use std::sync::Arc;

use crate::disk::{File, bytes_u64};
use crate::journal::format::mark::{MARK_BYTES, Mark, MarkLocation};
use crate::journal::format::record::{Record, padding_bytes};
use crate::journal::format::segment::{FRAMES_AT, SegmentHeader};
use crate::{ClusterId, Position};

/// Payloads of at least this size aren't copied.
const LARGE_PAYLOAD_BYTES: usize = 64 << 10;
/// The buffer is written to the file when it reaches this size.
const GATHER_BYTES: usize = 1 << 20;
/// Space kept free in a segment for marks that are written while idle.
const MARKS_ROOM: u64 = 2 * 24;
const _: () = assert!(MARK_BYTES == 24, "the space for marks is a number of marks");

pub(crate) struct ActiveSegment {
    pub(crate) file: Arc<dyn File>,
    pub(crate) first: Position,
    /// Records written, synced or not.
    pub(crate) count: u64,
    /// The offset of the next frame, gathered bytes included.
    pub(crate) end: u64,
    /// Offsets of the records written since the offsets were last taken.
    pub(crate) offsets: Vec<u32>,
    /// A mark was written while idle, and nothing was synced since.
    pub(crate) has_unsynced_mark: bool,
    gathered: Vec<u8>,
    cluster: ClusterId,
}

impl ActiveSegment {
    /// A segment on disk with `count` records and frames up to `end`.
    pub(crate) fn from_existing(
        file: Arc<dyn File>,
        cluster: ClusterId,
        first: Position,
        count: u64,
        end: u64,
    ) -> Self {
        let (offsets, gathered, has_unsynced_mark) = (Vec::new(), Vec::new(), false);
        Self { file, first, count, end, offsets, has_unsynced_mark, gathered, cluster }
    }

    /// A new segment in a file of zeros. Its header is written with the first batch.
    pub(crate) fn begin(file: Arc<dyn File>, header: &SegmentHeader) -> Self {
        let mut active = Self::from_existing(file, header.cluster, header.first, 0, FRAMES_AT);
        active.gathered.extend_from_slice(&header.encode());
        active
    }

    /// Whether a record still fits in this segment. The first record always does.
    pub(crate) fn fits(&self, record: &Record, segment_bytes: u64) -> bool {
        self.count == 0 || self.end + MARKS_ROOM + record.frame_bytes() <= segment_bytes
    }

    pub(crate) fn has_room_for_a_mark(&self, segment_bytes: u64) -> bool {
        self.end + MARKS_ROOM <= segment_bytes
    }

    /// The position of the next record.
    pub(crate) fn next_position(&self) -> Position {
        self.first + self.count
    }

    pub(crate) fn push_mark(&mut self, mark: Mark) {
        let place = MarkLocation { cluster: self.cluster, first: self.first, offset: self.end };
        self.gather(&mark.encode(&place));
    }

    /// Adds a record. Returns whether anything was written to the file.
    pub(crate) fn push_record(&mut self, record: &Record) -> io::Result<bool> {
        assert_eq!(record.position, self.next_position(), "records reach the disk without gaps");
        let offset = u32::try_from(self.end).map_err(|_| {
            io::Error::new(io::ErrorKind::FileTooLarge, "a segment is larger than 4 GiB")
        })?;
        self.offsets.push(offset);
        self.count += 1;
        self.gather(&record.encode_header());
        let is_large = record.payload.len() >= LARGE_PAYLOAD_BYTES;
        if !is_large {
            self.gather(&record.payload);
        } else {
            self.flush()?;
            self.file.write_at(&record.payload, self.end)?;
            self.end += bytes_u64(record.payload.len());
        }
        self.gather(&[0; 8][..padding_bytes(record.payload.len())]);
        let is_due = self.gathered.len() >= GATHER_BYTES;
        if is_due {
            self.flush()?;
        }
        Ok(is_large || is_due)
    }

    /// Writes the gathered bytes to the file without a sync.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        // The header isn't counted by `end`, so the start is computed from the end.
        self.file.write_at(&self.gathered, self.end - bytes_u64(self.gathered.len()))?;
        self.gathered.clear();
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()?;
        self.has_unsynced_mark = false;
        Ok(())
    }

    fn gather(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
        self.end += bytes_u64(bytes.len());
    }
}
