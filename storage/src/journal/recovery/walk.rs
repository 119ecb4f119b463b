//! Walks one segment frame by frame. Every byte is checked before it is used.

use std::io;

use bytes::Bytes;

use crate::disk::{File, bytes_u64};
use crate::journal::format::footer;
use crate::journal::format::mark::{MARK_BYTES, Mark, MarkLocation};
use crate::journal::format::record::{self, PAYLOAD_BYTES_MAX, Record, RecordRefusal};
use crate::journal::format::segment::{FRAMES_AT, SegmentHeader};
use crate::{Link, Position};

/// The most bytes read at once, unless a frame is larger.
const WINDOW_BYTES: usize = 1 << 20;

/// The frame at the walk's offset.
#[derive(Debug)]
pub(crate) enum FoundFrame {
    Record(Record),
    Mark(Mark),
    Stop(StopReason),
}

/// Why the walk stops. Its offset is where the reason was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Zeros, or the end of the file. The caller checks whether the rest is zero.
    Blank,
    /// A footer, whole or not.
    Footer,
    /// An incomplete frame: torn or damaged.
    Broken(&'static str),
    /// A whole frame, but not the expected one.
    Altered(&'static str),
}

pub(crate) struct FrameWalk<'a> {
    window: Window<'a>,
    header: SegmentHeader,
    /// The offset of the next frame.
    pub(crate) offset: u64,
    /// The position of the next record.
    pub(crate) due: Position,
    /// The link of the record before it.
    pub(crate) previous: Link,
}

impl<'a> FrameWalk<'a> {
    /// Starts at the first frame of a segment whose header was read and checked.
    pub(crate) fn new(file: &'a dyn File, header: SegmentHeader) -> io::Result<Self> {
        let window = Window { file, length: file.len()?, start: 0, bytes: Vec::new() };
        let (due, previous) = (header.first, header.previous);
        Ok(Self { window, header, offset: FRAMES_AT, due, previous })
    }

    pub(crate) fn next(&mut self) -> io::Result<FoundFrame> {
        let head = self.window.read_bytes(self.offset, record::HEADER_BYTES)?;
        if head.is_empty() || head.starts_with(&[0; 4]) {
            return Ok(FoundFrame::Stop(StopReason::Blank));
        }
        if Mark::has_mark_magic(head) {
            return self.read_mark();
        }
        if head.starts_with(&footer::MAGIC) {
            return Ok(FoundFrame::Stop(StopReason::Footer));
        }
        let Some(header) = record::RecordHeader::decode(head) else {
            return Ok(FoundFrame::Stop(StopReason::Broken("no frame's magic")));
        };
        let frame_bytes = header.frame_bytes();
        let ends_at = self.offset.saturating_add(frame_bytes);
        if header.payload_length() > PAYLOAD_BYTES_MAX || ends_at > self.window.length {
            return Ok(FoundFrame::Stop(StopReason::Broken("record is longer than the file")));
        }
        let length = usize::try_from(frame_bytes).expect("bounded by the largest payload");
        let frame = self.window.read_bytes(self.offset, length)?;
        let payload_of = |range| Bytes::copy_from_slice(&frame[range]);
        let cluster = &self.header.cluster;
        match record::check(frame, cluster, self.due, &self.previous, payload_of) {
            Ok(record) => {
                self.offset = ends_at;
                self.due += 1;
                self.previous = record.link;
                Ok(FoundFrame::Record(record))
            }
            Err(RecordRefusal::Broken(what)) => Ok(FoundFrame::Stop(StopReason::Broken(what))),
            Err(RecordRefusal::Altered(what)) => Ok(FoundFrame::Stop(StopReason::Altered(what))),
        }
    }

    fn read_mark(&mut self) -> io::Result<FoundFrame> {
        let place = self.mark_location(self.offset);
        let bytes = self.window.read_bytes(self.offset, MARK_BYTES)?;
        let Some(mark) = Mark::decode(bytes, &place) else {
            return Ok(FoundFrame::Stop(StopReason::Broken("mark checksum doesn't match")));
        };
        let is_sound = mark.durable <= self.due && mark.committed <= mark.durable;
        if !is_sound {
            return Ok(FoundFrame::Stop(StopReason::Altered(
                "mark claims records that aren't before it",
            )));
        }
        self.offset += bytes_u64(MARK_BYTES);
        Ok(FoundFrame::Mark(mark))
    }

    /// The offset of the last nonzero byte from the walk's offset on.
    pub(crate) fn last_nonzero_byte(&self) -> io::Result<Option<u64>> {
        let mut chunk = vec![0; self.window.chunk_bytes()];
        let zeros = chunk.clone();
        let mut offset = self.offset;
        let mut last = None;
        loop {
            let count = self.window.file.read_at(&mut chunk, offset)?;
            if count == 0 {
                return Ok(last);
            }
            if chunk[..count] != zeros[..count] {
                let index = chunk[..count].iter().rposition(|byte| *byte != 0);
                last = index.map(|index| offset + bytes_u64(index));
            }
            offset += bytes_u64(count);
        }
    }

    /// The largest number of synced records claimed by a mark between the walk's offset and
    /// `until`. Bytes inside whole records are payload and claim nothing.
    pub(crate) fn claimed_behind(&mut self, until: u64) -> io::Result<u64> {
        let mut claimed = 0;
        let mut offset = self.offset;
        while offset < until {
            let place = self.mark_location(offset);
            let head = self.window.read_bytes(offset, record::HEADER_BYTES)?;
            if let Some(mark) = Mark::decode(head, &place) {
                claimed = claimed.max(mark.durable);
            }
            let length = match record::RecordHeader::decode(head) {
                Some(header) if header.payload_length() <= PAYLOAD_BYTES_MAX => {
                    header.frame_bytes()
                }
                _ => 0,
            };
            let frame = self.window.read_bytes(offset, usize::try_from(length).unwrap_or(0))?;
            let is_whole = length > 0 && record::is_whole(frame);
            offset += if is_whole { length } else { 8 };
        }
        Ok(claimed)
    }

    fn mark_location(&self, offset: u64) -> MarkLocation {
        MarkLocation { cluster: self.header.cluster, first: self.header.first, offset }
    }
}

struct Window<'a> {
    file: &'a dyn File,
    length: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    fn chunk_bytes(&self) -> usize {
        usize::try_from(self.length).unwrap_or(WINDOW_BYTES).clamp(1, WINDOW_BYTES)
    }

    /// Returns `length` bytes from `offset`; fewer only at the end of the file.
    fn read_bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let begin = offset.checked_sub(self.start).and_then(|begin| usize::try_from(begin).ok());
        let held = begin.is_some_and(|begin| {
            begin.checked_add(length).is_some_and(|end| end <= self.bytes.len())
        });
        if !held {
            self.bytes.resize(length.max(self.chunk_bytes()), 0);
            let count = self.file.read_at(&mut self.bytes, offset)?;
            self.bytes.truncate(count);
            self.start = offset;
        }
        let begin = usize::try_from(offset - self.start).expect("held in memory");
        let end = (begin + length).min(self.bytes.len());
        Ok(&self.bytes[begin..end])
    }
}
