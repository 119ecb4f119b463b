//! The indexes of all sealed segments of one node.
//!
//! An index that can't be read for the moment (no descriptor is free) stays in use: the lookup
//! fails, and the next one may not. One that is missing, or found damaged, is *recovering* until
//! `add` supplies a new one. A damaged file is renamed at once, so that a start can't take it for a
//! whole one. Lookups that may need the index fail with `Recovering`; all others continue, since
//! the seconds of its ids stay known from a header that was whole. This module never rebuilds an
//! index: that requires decoded commands, and storage doesn't decode them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::open_files::OpenFiles;
use super::segments_by_second::SegmentsBySecond;
use super::{IndexError, LocatedCommand, OutcomeRow, Position, SegmentIndex, id_second};
use crate::disk::Disk;

/// The most files held open; further ones are opened when read.
const OPEN_FILES_MAX: usize = 256;

/// A sealed segment, as described by the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its first position.
    pub first: Position,
    /// Its last position.
    pub last: Position,
    /// The seconds that its ids can have, according to the ids accepted when it was written. Used
    /// only while there is no index: an id of another second isn't in the segment. `0..=u64::MAX`
    /// if unknown.
    pub id_seconds: RangeInclusive<u64>,
}

/// Why a lookup has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// The answer may be in a segment whose index is being rebuilt.
    #[error("the index of the segment at {first} is being rebuilt")]
    Recovering {
        /// The segment's first position.
        first: Position,
    },
    /// The answer may be in a segment whose index can't be read for the moment.
    #[error("the index of the segment at {first} can't be read at the moment: {why}")]
    Unreadable {
        /// The segment's first position.
        first: Position,
        /// The error of the disk.
        why: Arc<str>,
    },
}

/// An index that has to be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveringIndex {
    /// The first position of its segment.
    pub first: Position,
    /// Why it can't be read.
    pub why: String,
}

/// The indexes of all sealed segments, shared between threads. The lock isn't held during disk
/// access, except while a damaged index is renamed.
pub struct Indexes {
    files: Arc<OpenFiles>,
    all: RwLock<IndexTable>,
}

#[derive(Default)]
struct IndexTable {
    segments: BTreeMap<Position, IndexedSegment>,
    /// Ranges of segments whose index was opened once, even if it is damaged now.
    known_seconds: SegmentsBySecond,
    /// The ranges of the same segments' alias ids.
    known_alias_seconds: SegmentsBySecond,
    /// Ranges of all other segments.
    possible_seconds: BTreeMap<Position, RangeInclusive<u64>>,
}

/// An index that is open and not used yet.
pub struct OpenedIndex(Arc<SegmentIndex>);

struct IndexedSegment {
    sealed: SealedSegment,
    index: Result<Arc<SegmentIndex>, String>,
    /// Whether its seconds are in `known_seconds`.
    is_known: bool,
}

/// A segment's index, `None` if it is recovering, and the numbers of ids to find in it.
type IndexAndNumbers = (Option<Arc<SegmentIndex>>, Vec<usize>);

/// A segment's first position and its index; `None` if it is recovering.
type IndexOrRecovering = (Position, Option<Arc<SegmentIndex>>);

impl Indexes {
    /// Opens the indexes of these segments. Those that can't be opened are recovering.
    pub fn open_all(disk: Arc<dyn Disk>, folder: &Path, sealed: &[SealedSegment]) -> Self {
        let files = Arc::new(OpenFiles::new(disk, folder, OPEN_FILES_MAX));
        let indexes = Self { files, all: RwLock::default() };
        for segment in sealed {
            // The error is kept with the segment: `recovering_indexes` returns it.
            let _ = indexes.add(segment.clone());
        }
        indexes
    }

    /// Opens the index of a segment just sealed, or one just rebuilt. On an error the segment is
    /// recovering.
    pub fn add(&self, sealed: SealedSegment) -> Result<(), IndexError> {
        match self.open_index(&sealed) {
            Ok(opened) => {
                self.put(sealed, opened);
                Ok(())
            }
            Err(error) => {
                self.lock_for_write().put(sealed, Err(error.to_string()));
                Err(error)
            }
        }
    }

    /// Opens the index of a segment that is about to be sealed, without using it yet: afterwards
    /// nothing can fail any more ([`Self::put`]).
    pub fn open_index(&self, sealed: &SealedSegment) -> Result<OpenedIndex, IndexError> {
        Ok(OpenedIndex(Arc::new(self.open_checked(sealed)?)))
    }

    /// Uses an index from now on.
    pub fn put(&self, sealed: SealedSegment, opened: OpenedIndex) {
        self.lock_for_write().put(sealed, Ok(opened.0));
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

    /// The last position of the newest sealed segment; later positions aren't indexed here.
    pub fn last_position(&self) -> Option<Position> {
        self.lock_for_read().segments.values().next_back().map(|segment| segment.sealed.last)
    }

    /// The index of the segment at `first`, if it isn't recovering; a scrubber calls `verify` on
    /// it.
    pub fn segment_index(&self, first: Position) -> Option<Arc<SegmentIndex>> {
        self.lock_for_read().segments.get(&first)?.index.as_ref().ok().cloned()
    }

    /// Discards the index of the segment at `first` until `add` supplies a new one. `why` is the
    /// error of `verify`, which must prove damage ([`IndexError::proves_damage`]).
    pub fn mark_damaged(&self, first: Position, why: &dyn Display) {
        if let Some(index) = self.segment_index(first) {
            self.discard_index(&index, why);
        }
    }

    /// Whether [`Self::find`] may have to read a file for this id. `false` if no sealed segment has
    /// ids of its second: it isn't in any.
    pub fn may_contain(&self, id: u128) -> bool {
        let second = id_second(id);
        let all = self.lock_for_read();
        all.known_seconds.segments_of_second(second).next().is_some()
            || all.possible_seconds.values().any(|possible| possible.contains(&second))
    }

    /// Finds the first command with this id. Nothing is read from disk if no sealed segment has ids
    /// of its second. Fails if the answer may be in a recovering index.
    pub fn find(&self, id: u128) -> Result<Option<LocatedCommand>, FindError> {
        let mut unknown = None;
        let asked = self.lock_for_read().segments_of_second(id_second(id));
        for (first, index) in asked {
            let Some(index) = index else {
                unknown = unknown.or(Some(FindError::Recovering { first }));
                continue;
            };
            match self.discard_on_error(&index, index.find_id(id)) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => unknown = unknown.or(Some(error)),
            }
        }
        unknown.map_or(Ok(None), Err)
    }

    /// Finds the first command of each of these ids, as [`Self::find`] does one: the answers are in
    /// the order of `ids`. Each segment is asked once for all of its ids, in their order, so a
    /// block is read once: this costs a few microseconds an id.
    pub fn find_many(&self, ids: &[u128]) -> Vec<Result<Option<LocatedCommand>, FindError>> {
        let mut answers: Vec<Result<Option<LocatedCommand>, FindError>> = vec![Ok(None); ids.len()];
        for (first, (index, numbers)) in self.group_by_segment(ids) {
            let open = |number: &usize| !matches!(answers[*number], Ok(Some(_)));
            let numbers: Vec<usize> = numbers.into_iter().filter(open).collect();
            let wanted: Vec<u128> = numbers.iter().map(|number| ids[*number]).collect();
            let index = index.ok_or(FindError::Recovering { first });
            let found =
                index.and_then(|index| self.discard_on_error(&index, index.find_ids(&wanted)));
            for (at, number) in numbers.into_iter().enumerate() {
                match &found {
                    Ok(found) if found[at].is_some() => answers[number] = Ok(found[at]),
                    Err(error) if answers[number].is_ok() => answers[number] = Err(error.clone()),
                    _ => {}
                }
            }
        }
        answers
    }

    /// Finds the first command with this alias id in the segments from the one with position `from`
    /// on. Only segments that have alias ids of its second are asked.
    pub fn find_alias(
        &self,
        alias: u128,
        from: Position,
    ) -> Result<Option<LocatedCommand>, FindError> {
        let asked = self.lock_for_read().segments_of_alias(id_second(alias), from);
        for (first, index) in asked {
            let index = index.ok_or(FindError::Recovering { first })?;
            let found = self.discard_on_error(&index, index.find_id(alias))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The commands in which an account was debited or credited, newest first: at most `limit` of
    /// those before `before`.
    pub fn history(
        &self,
        account: u128,
        before: Option<(Position, u16)>,
        limit: usize,
    ) -> Result<Vec<LocatedCommand>, FindError> {
        let mut page = Vec::new();
        // Before the first command of a record there is nothing in that record, so its segment
        // isn't needed.
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

    /// The same for many commands, best in the order of their positions: the answers are in the
    /// order of `places`.
    pub fn commands(
        &self,
        places: &[(Position, u16)],
    ) -> Vec<Result<Option<LocatedCommand>, FindError>> {
        let mut answers = Vec::with_capacity(places.len());
        while let Some((position, _)) = places.get(answers.len()) {
            let rest = &places[answers.len()..];
            let Some((first, index)) = self.lock_for_read().segment_at_or_before(*position) else {
                answers.push(Ok(None));
                continue;
            };
            let Some(index) = index else {
                answers.push(Err(FindError::Recovering { first }));
                continue;
            };
            let of_segment =
                |(position, _): &&(Position, u16)| (first..=index.last()).contains(position);
            let count = rest.iter().take_while(of_segment).count().max(1);
            match self.discard_on_error(&index, index.commands_at(&rest[..count])) {
                Ok(found) => answers.extend(found.into_iter().map(Ok)),
                Err(error) => answers.extend(std::iter::repeat_n(Err(error), count)),
            }
        }
        answers
    }

    /// The outcome of each command of a record, in order; `None` if no sealed segment has it.
    pub fn outcomes(&self, position: Position) -> Result<Option<Vec<OutcomeRow>>, FindError> {
        let Some((first, index)) = self.lock_for_read().segment_at_or_before(position) else {
            return Ok(None);
        };
        match index {
            Some(index) => self.discard_on_error(&index, index.outcomes_at(position)),
            None => Err(FindError::Recovering { first }),
        }
    }

    /// The segments to ask for each of these ids, oldest first, with the ids' numbers in the order
    /// of the ids.
    fn group_by_segment(&self, ids: &[u128]) -> BTreeMap<Position, IndexAndNumbers> {
        let mut numbers: Vec<usize> = (0..ids.len()).collect();
        numbers.sort_unstable_by_key(|number| ids[*number]);
        let mut groups: BTreeMap<Position, IndexAndNumbers> = BTreeMap::new();
        let all = self.lock_for_read();
        for of_second in numbers.chunk_by(|a, b| id_second(ids[*a]) == id_second(ids[*b])) {
            for (first, index) in all.segments_of_second(id_second(ids[of_second[0]])) {
                let (_, numbers) = groups.entry(first).or_insert_with(|| (index, Vec::new()));
                numbers.extend_from_slice(of_second);
            }
        }
        groups
    }

    /// Holds at most this many files open from now on, instead of 256.
    pub fn limit_open_files(&self, files_max: usize) {
        self.files.set_files_max(files_max);
    }

    #[cfg(test)]
    pub(crate) fn close_files(&self) {
        while self.files.drop_longest_unused() {}
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

    /// Discards an index that is damaged.
    fn discard_on_error<T>(
        &self,
        index: &Arc<SegmentIndex>,
        read: Result<T, IndexError>,
    ) -> Result<T, FindError> {
        let first = index.first();
        read.map_err(|error| match error.proves_damage() {
            true => {
                self.discard_index(index, &error);
                FindError::Recovering { first }
            }
            false => FindError::Unreadable { first, why: error.to_string().into() },
        })
    }

    fn discard_index(&self, index: &Arc<SegmentIndex>, why: &dyn Display) {
        let first = index.first();
        let mut all = self.lock_for_write();
        let current = all.segments.get(&first).filter(|segment| {
            // A rebuilt index may have been added while this one was read.
            segment.index.as_ref().is_ok_and(|current| Arc::ptr_eq(current, index))
        });
        let Some(sealed) = current.map(|segment| segment.sealed.clone()) else { return };
        all.put(sealed, Err(why.to_string()));
        // Under the lock, so that a rebuilt index is never renamed.
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
                    self.known_alias_seconds.remove(first);
                }
                self.possible_seconds.remove(&first);
                self.known_seconds.add(first, index.second_ranges());
                self.known_alias_seconds.add(first, index.alias_second_ranges());
            }
            Err(_) if was_known => {}
            Err(_) => {
                self.possible_seconds.insert(first, sealed.id_seconds.clone());
            }
        }
        let is_known = was_known || index.is_ok();
        self.segments.insert(first, IndexedSegment { sealed, index, is_known });
    }

    /// The segments that may have an id of this second, oldest first, because the first match is
    /// the answer.
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

    /// The segments that may have an alias id of this second and that reach `from`, oldest first.
    /// Those whose index was never opened may have any.
    fn segments_of_alias(&self, second: u64, from: Position) -> Vec<IndexOrRecovering> {
        let mut firsts: Vec<_> = self.known_alias_seconds.segments_of_second(second).collect();
        firsts.extend(self.possible_seconds.keys());
        firsts.retain(|first| self.segments[first].sealed.last >= from);
        firsts.sort_unstable();
        firsts.into_iter().map(|first| self.index_of(first)).collect()
    }

    fn index_of(&self, first: Position) -> IndexOrRecovering {
        let index = self.segments[&first].index.as_ref();
        (first, index.ok().map(Arc::clone))
    }
}
