//! Parts of records: one command of an entry, read without the rest of the record.
//!
//! A record's checksum and link cover its whole payload and can't verify a part of it. So the
//! location of a part is noted while the whole record is at hand, with a checksum over the part,
//! position, term, time and link ([`Part::of_record`]). The indexes of sealed segments store such
//! notes.
//!
//! It never vouches for the whole record: it only verifies that these bytes are the noted ones.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reader::{RecordLocation, read_header};
use crate::Position;
use crate::disk::{File, bytes_u64, read_exact_at};
use crate::journal::damage::Damage;
use crate::journal::format::record::{HEADER_BYTES, Record, RecordHeader, Tip};
use crate::journal::{Journal, ReadError};

/// The location of a part of a record's payload, and its checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Offset in the payload, in bytes.
    pub offset: u32,
    /// Length in bytes.
    pub bytes: u32,
    /// crc32 of the record's position, term, time and link, and of the part.
    pub checksum: u32,
}

impl Part {
    /// Describes a part of a whole record. Panics if `range` isn't inside the payload.
    pub fn of_record(record: &Record, range: Range<usize>) -> Self {
        let fits = |number| u32::try_from(number).expect("the largest payload fits 32 bits");
        let checksum = checksum(&record.tip(), &record.payload[range.clone()]);
        Self { offset: fits(range.start), bytes: fits(range.len()), checksum }
    }

    fn range(self) -> Range<usize> {
        let in_memory = |number| usize::try_from(number).expect("32 bits fit a length in memory");
        let start: usize = in_memory(self.offset);
        start..start + in_memory(self.bytes)
    }
}

fn checksum(tip: &Tip, part: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&tip.position.to_le_bytes());
    hasher.update(&tip.term.to_le_bytes());
    hasher.update(&tip.time.to_le_bytes());
    hasher.update(&tip.link.0);
    hasher.update(part);
    hasher.finalize()
}

/// A reader of parts. It keeps one segment's file open and one record's header, so reading parts in
/// the order of their positions is fastest.
pub struct PartReader {
    journal: Journal,
    opened: Option<(Position, Arc<dyn File>)>,
    last: Option<LocatedHeader>,
}

/// The header of the record whose part was read last.
struct LocatedHeader {
    /// The number of truncations when it was read: a later one may have replaced the record.
    truncations: u64,
    file: Arc<dyn File>,
    path: PathBuf,
    /// Where the record begins.
    begin: u64,
    header: RecordHeader,
    tip: Tip,
}

impl Journal {
    /// Creates a reader of parts.
    pub fn part_reader(&self) -> PartReader {
        PartReader { journal: self.clone(), opened: None, last: None }
    }
}

impl PartReader {
    /// Reads the record at a position with this part alone as its payload. Fails with damage if the
    /// bytes or the header aren't the noted ones.
    pub fn read(&mut self, position: Position, part: &Part) -> Result<Record, ReadError> {
        loop {
            let (before, place) = {
                let memory = self.journal.shared.lock_memory();
                if memory.last.is_none_or(|last| last.position < position) {
                    return Err(noted_of_another(position));
                }
                if let Some(record) = memory.tail.get(position) {
                    return part_of(record, part);
                }
                let kept = self.last.as_ref().is_some_and(|last| {
                    last.truncations == memory.truncations && last.tip.position == position
                });
                let locate = || self.journal.shared.locate_record(&memory, position);
                (memory.truncations, if kept { None } else { Some(locate()) })
            };
            let result = self.read_part_at(before, place, part);
            if result.is_ok() || self.journal.shared.lock_memory().truncations == before {
                return result;
            }
        }
    }

    fn read_part_at(
        &mut self,
        truncations: u64,
        place: Option<RecordLocation>,
        part: &Part,
    ) -> Result<Record, ReadError> {
        if let Some(place) = place {
            self.last = None;
            self.last = Some(self.read_header_at(truncations, place)?);
        }
        let located = self.last.as_ref().expect("it was kept, or read just now");
        let LocatedHeader { file, path, begin, header, tip, .. } = located;
        let at_disk = |source| ReadError::Io { path: path.clone(), source };
        let damaged = |what: &str| Damage::new(path, *begin, tip.position, what);
        let range = part.range();
        if range.end > header.payload_length() {
            return Err(damaged("record isn't the one that a part was noted of").into());
        }
        let mut bytes = vec![0; range.len()];
        read_exact_at(&**file, &mut bytes, begin + bytes_u64(HEADER_BYTES + range.start))
            .map_err(at_disk)?;
        if checksum(tip, &bytes) != part.checksum {
            return Err(damaged("checksum of a part doesn't match").into());
        }
        let Tip { position, term, time, link } = *tip;
        Ok(Record { position, term, time, kind: header.kind, payload: bytes.into(), link })
    }

    fn read_header_at(
        &mut self,
        truncations: u64,
        mut place: RecordLocation,
    ) -> Result<LocatedHeader, ReadError> {
        if place.file.is_none()
            && let Some((first, file)) = &self.opened
            && *first == place.segment_first
        {
            place.file = Some(Arc::clone(file));
        }
        let file = self.journal.shared.open_location(&mut place)?;
        self.opened = Some((place.segment_first, Arc::clone(&file)));
        let begin = u64::from(place.offsets[usize::from(place.from > place.segment_first)]);
        let (header, tip) = read_header(&*file, &place.path, begin)?;
        if tip.position != place.from {
            let what = "record isn't the one that a part was noted of";
            return Err(Damage::new(&place.path, begin, place.from, what).into());
        }
        Ok(LocatedHeader { truncations, file, path: place.path, begin, header, tip })
    }
}

/// A record in memory was checked when it was appended, but the note may be of another record.
fn part_of(record: &Record, part: &Part) -> Result<Record, ReadError> {
    let range = part.range();
    let bytes = record.payload.get(range.clone());
    if bytes.is_some_and(|bytes| checksum(&record.tip(), bytes) == part.checksum) {
        return Ok(Record { payload: record.payload.slice(range), ..record.clone() });
    }
    Err(noted_of_another(record.position))
}

fn noted_of_another(position: Position) -> ReadError {
    let what = "record isn't the one that a part was noted of";
    Damage::new(Path::new("memory"), 0, position, what).into()
}
