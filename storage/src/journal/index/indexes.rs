//! The indexes of all sealed segments of one node.
//!
//! An index that is missing, or found damaged while being read, is *recovering* until `add` brings
//! the new one. A damaged one loses its name at once, so that a start cannot take it for a whole one.
//! Answers that may need it are refused as `Recovering`; all others go on: which seconds its ids are
//! from is known still, from a header that was whole. It never rebuilds by itself: that takes the
//! commands, which storage cannot decode.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::open_files::OpenFiles;
use super::segments_by_second::SegmentsBySecond;
use super::{IndexError, LocatedCommand, OutcomeRow, Position, SegmentIndex, id_second};
use crate::disk::Disk;

/// Files held open at a time; more segments than that are opened when asked.
const OPEN_FILES_MAX: usize = 256;

/// A sealed segment, as the journal knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its first position.
    pub first: Position,
    /// Its last position.
    pub last: Position,
    /// The seconds that its ids can be of, from what was accepted when it was written. Only asked
    /// while there is no index: an id of another second is known not to be there. `0..=u64::MAX`
    /// when nothing is known.
    pub id_seconds: RangeInclusive<u64>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// The answer may be in a segment whose index is being rebuilt.
    #[error("the index of the segment at {first} is being rebuilt")]
    Recovering {
        /// The segment's first position.
        first: Position,
    },
}

/// An index that has to be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveringIndex {
    /// The first position of its segment.
    pub first: Position,
    /// What is wrong with it.
    pub why: String,
}

/// The indexes of all sealed segments. Shared between threads; nobody waits for a disk while holding
/// the lock, but for the moment in which a damaged index loses its name.
pub struct Indexes {
    files: Arc<OpenFiles>,
    all: RwLock<IndexTable>,
}

#[derive(Default)]
struct IndexTable {
    segments: BTreeMap<Position, IndexedSegment>,
    /// Of segments whose index was opened once, whatever became of it.
    known_seconds: SegmentsBySecond,
    /// Of all others.
    possible_seconds: BTreeMap<Position, RangeInclusive<u64>>,
}

struct IndexedSegment {
    sealed: SealedSegment,
    index: Result<Arc<SegmentIndex>, String>,
    /// Whether its seconds are among the known ones.
    is_known: bool,
}

/// What a segment has to say: its index, or that it is recovering.
type IndexOrRecovering = (Position, Option<Arc<SegmentIndex>>);

impl Indexes {
    /// Opens the indexes of these segments. Those that cannot be opened are recovering.
    pub fn open_all(disk: Arc<dyn Disk>, folder: &Path, sealed: &[SealedSegment]) -> Self {
        let files = Arc::new(OpenFiles::new(disk, folder, OPEN_FILES_MAX));
        let indexes = Self { files, all: RwLock::default() };
        for segment in sealed {
            // The error is kept with the segment: `recovering` tells it.
            let _ = indexes.add(segment.clone());
        }
        indexes
    }

    /// Opens the index of a segment just sealed, or one just rebuilt. On an error the segment is
    /// recovering.
    pub fn add(&self, sealed: SealedSegment) -> Result<(), IndexError> {
        match self.open_checked(&sealed) {
            Ok(index) => {
                self.lock_for_write().put(sealed, Ok(Arc::new(index)));
                Ok(())
            }
            Err(error) => {
                self.lock_for_write().put(sealed, Err(error.to_string()));
                Err(error)
            }
        }
    }

    /// The indexes to be rebuilt, oldest first.
    pub fn recovering_indexes(&self) -> Vec<RecoveringIndex> {
        let all = self.lock_for_read();
        let broken = all.segments.iter().filter_map(|(first, segment)| {
            let why = segment.index.as_ref().err()?.clone();
            Some(RecoveringIndex { first: *first, why })
        });
        broken.collect()
    }

    /// The last position under a sealed segment; what comes after is not indexed here.
    pub fn last_position(&self) -> Option<Position> {
        self.lock_for_read().segments.values().next_back().map(|segment| segment.sealed.last)
    }

    /// The index of the segment at `first`, if it is there; for a scrubber to `verify`.
    pub fn segment_index(&self, first: Position) -> Option<Arc<SegmentIndex>> {
        self.lock_for_read().segments.get(&first)?.index.as_ref().ok().cloned()
    }

    /// Gives up the index of the segment at `first` until `add` brings a new one. `why` is what
    /// `verify` said.
    pub fn mark_damaged(&self, first: Position, why: &dyn Display) {
        if let Some(index) = self.segment_index(first) {
            self.discard_index(&index, why);
        }
    }

    /// The first command with this id. An id of a second that no sealed segment knows reads
    /// nothing.
    pub fn find(&self, id: u128) -> Result<Option<LocatedCommand>, FindError> {
        let mut unknown = None;
        let asked = self.lock_for_read().segments_of_second(id_second(id));
        for (first, index) in asked {
            let Some(index) = index else {
                unknown = unknown.or(Some(first));
                continue;
            };
            match self.discard_on_error(&index, index.find_id(id)) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(_) => unknown = unknown.or(Some(first)),
            }
        }
        unknown.map_or(Ok(None), |first| Err(FindError::Recovering { first }))
    }

    /// The first command with this id, its own or another one, in the segments from the one with the
    /// position `from` on. Asks them one after the other: it is for ids that are known to be there
    /// soon.
    pub fn find_from(&self, id: u128, from: Position) -> Result<Option<LocatedCommand>, FindError> {
        let mut next = Some(from);
        while let Some(from) = next {
            let Some((first, index, last)) = self.lock_for_read().first_reaching(from) else {
                break;
            };
            let index = index.ok_or(FindError::Recovering { first })?;
            let found = self.discard_on_error(&index, index.find_id(id))?;
            if found.is_some() {
                return Ok(found);
            }
            next = last.checked_add(1);
        }
        Ok(None)
    }

    /// The commands that an account took part in, newest first: at most `limit` of those before
    /// `before`.
    pub fn history(
        &self,
        account: u128,
        before: Option<(Position, u16)>,
        limit: usize,
    ) -> Result<Vec<LocatedCommand>, FindError> {
        let mut page = Vec::new();
        // Before the first command of a record there is nothing in that record, nor need its
        // segment be asked.
        let mut segments_from = match before {
            None => Some(Position::MAX),
            Some((position, 0)) => position.checked_sub(1),
            Some((position, _)) => Some(position),
        };
        while let Some(from) = segments_from
            && page.len() < limit
        {
            let Some((first, index)) = self.lock_for_read().segment_at_or_before(from) else {
                break;
            };
            let index = index.ok_or(FindError::Recovering { first })?;
            let more = index.account_history(account, before, limit - page.len());
            page.extend(self.discard_on_error(&index, more)?);
            segments_from = first.checked_sub(1);
        }
        Ok(page)
    }

    /// The command with this number in its record; `None` if no sealed segment has it.
    pub fn command(
        &self,
        position: Position,
        command: u16,
    ) -> Result<Option<LocatedCommand>, FindError> {
        let Some((first, index)) = self.lock_for_read().segment_at_or_before(position) else {
            return Ok(None);
        };
        match index {
            Some(index) => self.discard_on_error(&index, index.command_at(position, command)),
            None => Err(FindError::Recovering { first }),
        }
    }

    /// What came of each command of a record, in order; `None` if no sealed segment has it.
    pub fn outcomes(&self, position: Position) -> Result<Option<Vec<OutcomeRow>>, FindError> {
        let Some((first, index)) = self.lock_for_read().segment_at_or_before(position) else {
            return Ok(None);
        };
        match index {
            Some(index) => self.discard_on_error(&index, index.outcomes_at(position)),
            None => Err(FindError::Recovering { first }),
        }
    }

    #[cfg(test)]
    pub(crate) fn files_open(&self) -> usize {
        self.files.count()
    }

    fn open_checked(&self, sealed: &SealedSegment) -> Result<SegmentIndex, IndexError> {
        let index = SegmentIndex::open_among(Arc::clone(&self.files), sealed.first)?;
        if index.last() == sealed.last {
            return Ok(index);
        }
        let (first, expected, found) = (sealed.first, sealed.last, index.last());
        Err(IndexError::OtherSegment { first, expected, found })
    }

    /// Gives up an index that could not be read.
    fn discard_on_error<T>(
        &self,
        index: &Arc<SegmentIndex>,
        read: Result<T, IndexError>,
    ) -> Result<T, FindError> {
        read.map_err(|error| {
            self.discard_index(index, &error);
            FindError::Recovering { first: index.first() }
        })
    }

    fn discard_index(&self, index: &Arc<SegmentIndex>, why: &dyn Display) {
        let first = index.first();
        let mut all = self.lock_for_write();
        let current = all.segments.get(&first).filter(|segment| {
            // A rebuilt one may have come while this one was read.
            segment.index.as_ref().is_ok_and(|current| Arc::ptr_eq(current, index))
        });
        let Some(sealed) = current.map(|segment| segment.sealed.clone()) else { return };
        all.put(sealed, Err(why.to_string()));
        // Under the lock, so that it cannot be the rebuilt one that loses its name.
        let aside = self.files.set_aside(first);
        drop(all);
        match aside {
            Ok(aside) => {
                let aside = aside.as_ref().map(|path| path.display().to_string());
                tracing::error!(%why, aside, "segment index is unreadable: set aside, to be rebuilt");
            }
            Err(error) => {
                tracing::error!(%why, %error, "segment index is unreadable, and can't be set aside");
            }
        }
    }

    fn lock_for_read(&self) -> RwLockReadGuard<'_, IndexTable> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_for_write(&self) -> RwLockWriteGuard<'_, IndexTable> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IndexTable {
    fn put(&mut self, sealed: SealedSegment, index: Result<Arc<SegmentIndex>, String>) {
        let first = sealed.first;
        let was_known = self.segments.remove(&first).is_some_and(|replaced| replaced.is_known);
        match &index {
            Ok(index) => {
                if was_known {
                    self.known_seconds.remove(first);
                }
                self.possible_seconds.remove(&first);
                self.known_seconds.add(first, index.second_ranges());
            }
            Err(_) if was_known => {}
            Err(_) => {
                self.possible_seconds.insert(first, sealed.id_seconds.clone());
            }
        }
        let is_known = was_known || index.is_ok();
        self.segments.insert(first, IndexedSegment { sealed, index, is_known });
    }

    /// The segments that may have an id of this second, oldest first: the first answer is the one
    /// that counts.
    fn segments_of_second(&self, second: u64) -> Vec<IndexOrRecovering> {
        let possible = self.possible_seconds.iter().filter(|(_, all)| all.contains(&second));
        let mut firsts: Vec<_> = self.known_seconds.segments_of_second(second).collect();
        firsts.extend(possible.map(|(first, _)| *first));
        firsts.sort_unstable();
        firsts.into_iter().map(|first| self.index_of(first)).collect()
    }

    fn segment_at_or_before(&self, position: Position) -> Option<IndexOrRecovering> {
        let (first, _) = self.segments.range(..=position).next_back()?;
        Some(self.index_of(*first))
    }

    /// The first segment that doesn't end before the position, and its last one.
    fn first_reaching(
        &self,
        position: Position,
    ) -> Option<(Position, Option<Arc<SegmentIndex>>, Position)> {
        let holding = self.segments.range(..=position).next_back();
        let holding = holding.filter(|(_, segment)| segment.sealed.last >= position);
        let (first, segment) = holding.or_else(|| self.segments.range(position..).next())?;
        let (first, index) = self.index_of(*first);
        Some((first, index, segment.sealed.last))
    }

    fn index_of(&self, first: Position) -> IndexOrRecovering {
        let index = self.segments[&first].index.as_ref();
        (first, index.ok().map(Arc::clone))
    }
}
