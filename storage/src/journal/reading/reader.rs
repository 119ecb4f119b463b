//! Reads records from the tail in memory, else from the segments, checked.
//!
//! Records that aren't durable are in the tail, so the disk is read only for synced ones. A
//! truncation may remove a record between locating and reading it: then the truncation count has
//! changed and the read is repeated.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{File, bytes_u64, open_patiently, read_exact_at};
use crate::journal::damage::Damage;
use crate::journal::format::record::{self, Record, RecordHeader, Tip};
use crate::journal::format::segment::{self, Segment};
use crate::journal::shared::{Memory, Shared};
use crate::journal::{Journal, format::footer};
use crate::{Link, Position};

/// The most bytes read from the disk at once, unless a record is larger.
const READ_BYTES_MAX: u64 = 4 << 20;
/// The most record offsets read at once.
const OFFSETS_MAX: usize = 4096;

/// Why records can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes aren't the ones written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A disk operation failed.
    #[error("{} can't be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the disk.
        source: io::Error,
    },
}

/// The location of consecutive records in one segment. The first offset is the predecessor's,
/// unless the records begin their segment.
pub(crate) struct RecordLocation {
    pub(crate) file: Option<Arc<dyn File>>,
    pub(crate) path: PathBuf,
    pub(crate) segment_first: Position,
    pub(crate) from: Position,
    /// Records from `from` to the end of the segment.
    count: u64,
    /// The number of wanted records, at least one.
    limit: u64,
    pub(crate) offsets: Vec<u32>,
    /// The offset at which the segment's frames end.
    end: u64,
}

impl Journal {
    /// Reads records from `from` up to `until` (exclusive) while their payloads fit in `bytes_max`,
    /// but at least one if there is one. Records from the disk are checked by checksum and link.
    pub fn read(
        &self,
        from: Position,
        until: Position,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Record>>, ReadError> {
        loop {
            let before = self.shared.lock_memory().truncations;
            let result = self.shared.read(from, until, bytes_max);
            if self.shared.lock_memory().truncations == before {
                if matches!(result, Err(ReadError::Damaged(_))) {
                    self.shared.mark_damaged();
                }
                return result;
            }
        }
    }

    /// Whether the record at `from` is in memory, so that [`Self::read`] from there on reads no
    /// file; or there is none. It may leave memory at any time once it's durable.
    #[must_use]
    pub fn is_in_memory(&self, from: Position) -> bool {
        let memory = self.shared.lock_memory();
        memory.last.is_none_or(|last| last.position < from)
            || memory.tail.first().is_some_and(|first| first <= from)
    }

    /// Whether a read or a walk by [`Self::scrub`] has found damage since the start. If so, a
    /// restart can't fix the fault that ends the node.
    #[must_use]
    pub fn damage_found(&self) -> bool {
        self.shared.damage_found()
    }

    /// The record at a position without its payload; `None` if the journal ends before it. From the
    /// disk only the magic and the position are checked.
    pub fn tip_at(&self, position: Position) -> io::Result<Option<Tip>> {
        let (before, place) = {
            let memory = self.shared.lock_memory();
            if memory.last.is_none_or(|last| last.position < position) {
                return Ok(None);
            }
            if let Some(record) = memory.tail.get(position) {
                return Ok(Some(record.tip()));
            }
            let known = [memory.last, memory.sealed_tip].into_iter().flatten();
            if let Some(tip) = known.into_iter().find(|tip| tip.position == position) {
                return Ok(Some(tip));
            }
            (memory.truncations, self.shared.locate_record(&memory, position))
        };
        match self.shared.tip_from(place, position) {
            Ok(tip) => Ok(Some(tip)),
            Err(_) if self.shared.lock_memory().truncations != before => self.tip_at(position),
            Err(ReadError::Io { source, .. }) => Err(source),
            Err(ReadError::Damaged(damage)) => {
                self.shared.mark_damaged();
                Err(io::Error::new(io::ErrorKind::InvalidData, damage))
            }
        }
    }
}

impl Shared {
    fn read(
        &self,
        from: Position,
        until: Position,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Record>>, ReadError> {
        let mut found: Vec<Arc<Record>> = Vec::new();
        let mut room = bytes_max;
        let mut next = from;
        loop {
            let place = {
                let memory = self.lock_memory();
                let end = memory.last.map_or(0, |last| last.position + 1).min(until);
                if next >= end {
                    return Ok(found);
                }
                if memory.tail.first().is_some_and(|first| first <= next) {
                    found.append(&mut memory.tail.records_between(
                        next,
                        end,
                        room,
                        found.is_empty(),
                    ));
                    return Ok(found);
                }
                // From the tail's first position on, the disk may still hold records that a
                // truncation removed.
                let end_on_disk = memory.tail.first().map_or(end, |first| end.min(first));
                let mut place = self.locate_record(&memory, next);
                place.limit = place.count.min(end_on_disk - next);
                place
            };
            let records = self.read_records_at(place, room, found.is_empty())?;
            if records.is_empty() {
                return Ok(found);
            }
            for record in records {
                next = record.position + 1;
                room = room.saturating_sub(record.payload.len());
                found.push(Arc::new(record));
            }
        }
    }

    pub(crate) fn locate_record(&self, memory: &Memory, position: Position) -> RecordLocation {
        let segment = memory.segment_of(position).expect("what isn't in the tail is on disk");
        let index = position - segment.first;
        let count = segment.count - index;
        RecordLocation {
            file: segment.file.clone(),
            path: segment.path(&self.folder),
            segment_first: segment.first,
            from: position,
            count,
            limit: 1,
            offsets: offsets_around(segment, index),
            end: segment.end,
        }
    }

    /// Opens the file, and reads the offsets from the footer if memory doesn't have them.
    pub(crate) fn open_location(
        &self,
        place: &mut RecordLocation,
    ) -> Result<Arc<dyn File>, ReadError> {
        let at_disk = |source| ReadError::Io { path: place.path.clone(), source };
        let file = match &place.file {
            Some(file) if !place.offsets.is_empty() => return Ok(Arc::clone(file)),
            Some(file) => Arc::clone(file),
            // A read that fails here may end the node: apply and replication can't go on.
            None => open_patiently(&*self.disk, &place.path).map_err(at_disk)?,
        };
        let index = (place.from - place.segment_first).saturating_sub(1);
        let before = place.from - place.segment_first - index;
        let wanted = (place.limit + 1).min(place.count) + before;
        let wanted = in_memory(wanted.min(bytes_u64(OFFSETS_MAX)));
        let offsets = footer::read_offsets(&*file, place.end, index, wanted).map_err(at_disk)?;
        place.offsets = offsets;
        Ok(file)
    }

    fn tip_from(&self, mut place: RecordLocation, position: Position) -> Result<Tip, ReadError> {
        let file = self.open_location(&mut place)?;
        let at = usize::from(position > place.segment_first);
        let tip = read_tip(&*file, &place.path, u64::from(place.offsets[at]))?;
        if tip.position == position {
            return Ok(tip);
        }
        let what = format!("record has position {} where {position} is due", tip.position);
        Err(Damage::new(&place.path, u64::from(place.offsets[at]), position, what).into())
    }

    fn read_records_at(
        &self,
        mut place: RecordLocation,
        room: usize,
        force: bool,
    ) -> Result<Vec<Record>, ReadError> {
        let file = self.open_location(&mut place)?;
        let mut previous = previous_link(&*file, &place)?;
        let offsets = &place.offsets[usize::from(place.from > place.segment_first)..];
        let (start, end) = read_range(offsets, &place, room);
        let mut buffer = vec![0; in_memory(end.saturating_sub(start))];
        let read = file
            .read_at(&mut buffer, start)
            .map_err(|source| ReadError::Io { path: place.path.clone(), source })?;
        // The read is short if a truncation queued earlier was performed just now: a mark stood
        // after the last record that stays. An incomplete record is detected below.
        buffer.truncate(read);
        let buffer = Bytes::from(buffer);
        let mut found: Vec<Record> = Vec::new();
        let mut left = room;
        let within = offsets.iter().map(|offset| u64::from(*offset)).take_while(|at| *at < end);
        for (offset, due) in within.zip(place.from..place.from + place.limit) {
            let record = self
                .record_in(&buffer, offset.wrapping_sub(start), due, &previous)
                .map_err(|what| Damage::new(&place.path, offset, due, what))?;
            if record.payload.len() > left && !(force && found.is_empty()) {
                break;
            }
            left = left.saturating_sub(record.payload.len());
            previous = record.link;
            found.push(record);
        }
        Ok(found)
    }

    /// Checks the record that begins at `begin` of the buffer; its payload is a slice of the
    /// buffer.
    fn record_in(
        &self,
        buffer: &Bytes,
        begin: u64,
        due: Position,
        previous: &Link,
    ) -> Result<Record, &'static str> {
        let begin = usize::try_from(begin).map_err(|_| "record lies outside its segment")?;
        let frame = buffer.get(begin..).ok_or("record lies outside its segment")?;
        let header =
            RecordHeader::decode(frame).ok_or("no record's magic where a record is expected")?;
        let frame = frame.get(..in_memory(header.frame_bytes()));
        let frame = frame.ok_or("record is longer than its slot")?;
        let payload_of =
            |range: std::ops::Range<usize>| buffer.slice(begin + range.start..begin + range.end);
        record::check(frame, &self.options.cluster, due, previous, payload_of)
            .map_err(record::RecordRefusal::reason_text)
    }
}

/// Offsets of the record before `index` (if any) and of those from `index` on; empty for a sealed
/// segment.
fn offsets_around(segment: &Segment, index: u64) -> Vec<u32> {
    let index = usize::try_from(index).expect("a segment's records are counted in memory");
    let from = index.saturating_sub(1).min(segment.offsets.len());
    segment.offsets[from..].iter().take(OFFSETS_MAX).copied().collect()
}

/// The link of the record before the first one of a location.
fn previous_link(file: &dyn File, place: &RecordLocation) -> Result<Link, ReadError> {
    if place.from > place.segment_first {
        return Ok(read_tip(file, &place.path, u64::from(place.offsets[0]))?.link);
    }
    let mut bytes = [0; segment::HEADER_BYTES];
    read_exact_at(file, &mut bytes, 0)
        .map_err(|source| ReadError::Io { path: place.path.clone(), source })?;
    let header = segment::SegmentHeader::decode(&bytes)
        .map_err(|what| Damage::new(&place.path, 0, place.segment_first, what))?;
    Ok(header.previous)
}

/// The byte range to read for the records at `offsets`: about `room` bytes, and at least the whole
/// first record.
fn read_range(offsets: &[u32], place: &RecordLocation, room: usize) -> (u64, u64) {
    let start = u64::from(offsets[0]);
    let enough = start + READ_BYTES_MAX.min(bytes_u64(room).saturating_add(READ_BYTES_MAX / 16));
    let mut ends = offsets.iter().skip(1).map(|offset| u64::from(*offset)).zip(1..);
    let reached = ends.find(|(end, records)| *end >= enough || *records >= place.limit);
    if let Some((end, _)) = reached {
        return (start, end);
    }
    if bytes_u64(offsets.len()) < place.count {
        return (start, offsets.last().map_or(start, |offset| u64::from(*offset)));
    }
    (start, place.end)
}

/// The header of the record at `offset`. Only its magic is checked.
pub(crate) fn read_tip(file: &dyn File, path: &Path, offset: u64) -> Result<Tip, ReadError> {
    read_header(file, path, offset).map(|(_, tip)| tip)
}

/// Like [`read_tip`], with the whole header.
pub(crate) fn read_header(
    file: &dyn File,
    path: &Path,
    offset: u64,
) -> Result<(RecordHeader, Tip), ReadError> {
    let mut bytes = [0; record::HEADER_BYTES];
    read_exact_at(file, &mut bytes, offset)
        .map_err(|source| ReadError::Io { path: path.to_path_buf(), source })?;
    let header = RecordHeader::decode(&bytes).ok_or_else(|| {
        Damage::new(path, offset, 0, "no record's magic where a record is expected")
    })?;
    Ok((header, header.tip(&bytes)))
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a record fits in memory")
}
