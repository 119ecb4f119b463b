//! The segment that is being written, and the batch on its way into it.
//!
//! Small payloads are gathered into one buffer, large ones go to the file from where they are.
//! Nothing is durable before `sync`, and any error is final for the whole journal.

use std::io;
use std::sync::Arc;

use crate::disk::{File, bytes_u64};
use crate::journal::format::mark::{MARK_BYTES, Mark, MarkLocation};
use crate::journal::format::record::{Record, padding_bytes};
use crate::journal::format::segment::{FRAMES_AT, SegmentHeader};
use crate::{ClusterId, Position};

/// Payloads from this size on are not copied.
const LARGE_PAYLOAD_BYTES: usize = 64 << 10;
/// What is gathered before it is handed to the file.
const GATHER_BYTES: usize = 1 << 20;
/// Room kept in a segment for the marks written when nothing else is.
const MARKS_ROOM: u64 = 2 * 24;
const _: () = assert!(MARK_BYTES == 24, "the room for marks is counted in marks");

pub(crate) struct ActiveSegment {
    pub(crate) file: Arc<dyn File>,
    pub(crate) first: Position,
    /// Records written, synced or not.
    pub(crate) count: u64,
    /// Where the next frame begins, what is gathered included.
    pub(crate) end: u64,
    /// Offsets of records written since they were last taken.
    pub(crate) offsets: Vec<u32>,
    /// A mark was written while idle, and nothing was synced since.
    pub(crate) has_unsynced_mark: bool,
    gathered: Vec<u8>,
    cluster: ClusterId,
}

impl ActiveSegment {
    /// A segment that is on disk with `count` records and frames up to `end`.
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

    /// A new segment in a blank file. Its header goes out with the first batch.
    pub(crate) fn begin(file: Arc<dyn File>, header: &SegmentHeader) -> Self {
        let mut active = Self::from_existing(file, header.cluster, header.first, 0, FRAMES_AT);
        active.gathered.extend_from_slice(&header.encode());
        active
    }

    /// Whether a record still belongs in this segment. The first one always does.
    pub(crate) fn fits(&self, record: &Record, segment_bytes: u64) -> bool {
        self.count == 0 || self.end + MARKS_ROOM + record.frame_bytes() <= segment_bytes
    }

    pub(crate) fn has_room_for_a_mark(&self, segment_bytes: u64) -> bool {
        self.end + MARKS_ROOM <= segment_bytes
    }

    /// The position due next.
    pub(crate) fn next_position(&self) -> Position {
        self.first + self.count
    }

    pub(crate) fn push_mark(&mut self, mark: Mark) {
        let place = MarkLocation { cluster: self.cluster, first: self.first, offset: self.end };
        self.gather(&mark.encode(&place));
    }

    pub(crate) fn push_record(&mut self, record: &Record) -> io::Result<()> {
        assert_eq!(record.position, self.next_position(), "records reach the disk without gaps");
        let offset = u32::try_from(self.end).map_err(|_| {
            io::Error::new(io::ErrorKind::FileTooLarge, "a segment is larger than 4 GiB")
        })?;
        self.offsets.push(offset);
        self.count += 1;
        self.gather(&record.encode_header());
        if record.payload.len() < LARGE_PAYLOAD_BYTES {
            self.gather(&record.payload);
        } else {
            self.flush()?;
            self.file.write_at(&record.payload, self.end)?;
            self.end += bytes_u64(record.payload.len());
        }
        self.gather(&[0; 8][..padding_bytes(record.payload.len())]);
        if self.gathered.len() >= GATHER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands what is gathered to the file, without waiting for the disk.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        // A header is gathered before `end` counts anything, so the start is found from the end.
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
