//! Removes records that lost an election, so that no crash restores one.
//!
//! Segments after the cut are removed first, newest first. Then the segment with the cut is
//! shortened and synced, and only then may anything be written where the removed records were.
//! After a crash at any point the journal on disk is a whole prefix of the old one. Sealed segments
//! are never touched. A rolled segment is reopened only if it holds uncommitted records, so
//! truncation never races with sealing.

use std::io;
use std::sync::Arc;

use super::active::ActiveSegment;
use super::writer::Writer;
use crate::Position;
use crate::disk::{is_full, is_transient, read_exact_at};
use crate::journal::format::record::{HEADER_BYTES, RecordHeader, Tip};
use crate::journal::format::segment::{FRAMES_AT, SegmentState, Suffix, file_name};
use crate::journal::shared::SpaceNeed;

impl Writer {
    /// Durably removes everything after `last` from the disk.
    pub(crate) fn truncate(&mut self, last: Option<Tip>) -> io::Result<()> {
        let due = last.map_or(0, |tip| tip.position + 1);
        while self.active.first > due {
            self.drop_active()?;
        }
        if self.active.next_position() > due {
            self.cut_active(due)?;
        }
        Ok(())
    }

    /// Removes the newest segment after the one before it was noted as the newest.
    fn drop_active(&mut self) -> io::Result<()> {
        let dropped = self.active.first;
        self.active = self.reopen_previous();
        self.votes.save_newest_segment(self.active.first)?;
        let path = self.shared.folder.join(file_name(dropped, Suffix::Open));
        self.shared.disk.remove(&path)?;
        self.shared.names.sync()
    }

    fn reopen_previous(&self) -> ActiveSegment {
        let mut memory = self.shared.lock_memory();
        memory.segments.pop();
        let segment = memory.segments.last_mut().expect("the first segment is never dropped");
        assert_eq!(segment.state, SegmentState::Rolled, "a sealed segment is never truncated");
        segment.state = SegmentState::Open;
        let file = segment.file.as_ref().expect("a rolled segment is kept open");
        let cluster = self.shared.options.cluster;
        ActiveSegment::from_existing(
            Arc::clone(file),
            cluster,
            segment.first,
            segment.count,
            segment.end,
        )
    }

    /// Cuts the active segment so that it ends before `due`.
    fn cut_active(&mut self, due: Position) -> io::Result<()> {
        let count = due - self.active.first;
        let end = self.end_of(count)?;
        self.shrink_table(count, end);
        self.active.count = count;
        self.active.end = end;
        let file = &self.active.file;
        file.set_len(end)?;
        match file.allocate(self.shared.options.segment_bytes) {
            Err(error) if is_full(&error) || is_transient(&error) => {
                self.shared.set_space(SpaceNeed::Rest, false);
            }
            result => result?,
        }
        file.sync_data()
    }

    /// The offset at which the first `count` records of the active segment end.
    fn end_of(&self, count: u64) -> io::Result<u64> {
        let Some(newest) = count.checked_sub(1) else { return Ok(FRAMES_AT) };
        let offset = {
            let memory = self.shared.lock_memory();
            let segment = memory.segments.last().expect("there is always an open segment");
            let index = usize::try_from(newest).expect("records are counted in memory");
            u64::from(segment.offsets[index])
        };
        let mut bytes = [0; HEADER_BYTES];
        read_exact_at(&*self.active.file, &mut bytes, offset)?;
        let header = RecordHeader::decode(&bytes)
            .filter(|header| header.position == self.active.first + newest);
        match header {
            Some(header) => Ok(offset + header.frame_bytes()),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("no record {} at offset {offset}", self.active.first + newest),
            )),
        }
    }

    fn shrink_table(&self, count: u64, end: u64) {
        let mut memory = self.shared.lock_memory();
        let segment = memory.segments.last_mut().expect("there is always an open segment");
        segment.offsets.truncate(usize::try_from(count).expect("records are counted in memory"));
        segment.count = count;
        segment.end = end;
        segment.bytes = end;
    }
}
