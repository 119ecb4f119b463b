//! This node's copy, if it began empty: it may have promised more than it remembers, so it counts
//! for nothing until it has caught up.
//!
//! A node whose disk was lost may have acknowledged records and given votes that are gone with the
//! disk. So an empty data folder gets the file `joining` with a number drawn for this copy. While
//! the file exists, the copy takes records only from a primary that has proved itself to it
//! (`admittance`), and its vote counts only where every copy began empty (`votes`): in a cluster's
//! first election, when no site has promised anything yet.
//!
//! The winner of that election keeps the numbers of all that took part in the file `founders`, and
//! sends them with every admittance, so that all sites know them: a copy that still shows its
//! number has forgotten nothing since. docs/decisions/0004 has the details.
//!
//! A copy with records that has forgotten something (docs/decisions/0015) goes the same road. Only
//! one that never took a record may take part in a first election: the marker says so.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use evenkeel_storage::disk::Disk;
use evenkeel_wire::{id::NodeId, introduction::CopyStanding, peer::FounderCopy};
use tokio::time::Instant;

const MARKER: &str = "joining";
const FOUNDERS: &str = "founders";
const UNFINISHED: &str = "joining.new";
/// The number of a copy that has caught up.
const NO_NUMBER: u64 = 0;

/// Why a copy doesn't count, as the marker says it after the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UncountedKind {
    /// It began empty and never took a record from a primary.
    Empty = 0,
    /// It began empty and is being filled, or its marker was made by hand.
    Filling = 1,
    /// It has forgotten something that others remember.
    Forgot = 2,
}

impl UncountedKind {
    const ALL: [(Self, &str); 3] =
        [(Self::Empty, "empty"), (Self::Filling, "filling"), (Self::Forgot, "forgot")];

    fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// The kind of this node's copy.
pub struct EmptyCopy {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    copy: AtomicU64,
    kind: AtomicU8,
    /// Whether its journal had no record at the start.
    began_empty: bool,
    founders: Mutex<BTreeMap<NodeId, u64>>,
    /// A copy that began in this life is silent until then: its predecessor's messages may still be
    /// on their way.
    silent_until: Option<Instant>,
}

impl EmptyCopy {
    /// Reads the data folder. `empty`: its journal has no record. `drawn`: a random number, for a
    /// copy that has none. `silence`: longer than any candidacy.
    ///
    /// # Errors
    /// When the files can't be read or written.
    pub fn open(
        disk: Arc<dyn Disk>,
        data: &Path,
        empty: bool,
        drawn: u64,
        silence: Duration,
    ) -> io::Result<Self> {
        let held = disk.list(data)?;
        let is_there = |name: &str| held.iter().any(|held| held == name);
        let founders = match is_there(FOUNDERS) {
            true => founders_of(&read(&*disk, &data.join(FOUNDERS))?),
            false => BTreeMap::new(),
        };
        let known = match is_there(MARKER) {
            // A marker made by hand is empty: its number is drawn below.
            true => marker_of(&read(&*disk, &data.join(MARKER))?),
            false => None,
        };
        let kind = match known {
            Some((_, kind)) => kind,
            // A marker made by hand means that there was a copy before this one.
            None if is_there(MARKER) => UncountedKind::Filling,
            None => UncountedKind::Empty,
        };
        let joining = Self {
            disk,
            data: data.to_path_buf(),
            copy: AtomicU64::new(known.map_or(NO_NUMBER, |(copy, _)| copy)),
            kind: AtomicU8::new(kind as u8),
            began_empty: empty,
            founders: Mutex::new(founders),
            silent_until: empty.then(|| Instant::now() + silence),
        };
        if known.is_none() && (empty || is_there(MARKER)) {
            // Never NO_NUMBER.
            let copy = drawn.max(NO_NUMBER + 1);
            joining.write_marker(copy, kind)?;
        }
        Ok(joining)
    }

    /// The number of a copy that still has to catch up.
    pub fn copy_number(&self) -> Option<u64> {
        Some(self.copy.load(Ordering::Acquire)).filter(|copy| *copy != NO_NUMBER)
    }

    /// Whether the copy still has to catch up.
    pub fn is_joining(&self) -> bool {
        self.copy_number().is_some()
    }

    fn kind(&self) -> UncountedKind {
        UncountedKind::ALL[usize::from(self.kind.load(Ordering::Acquire))].0
    }

    /// The kind of the copy, for peers.
    pub fn standing(&self) -> CopyStanding {
        match (self.is_joining(), self.kind()) {
            (false, _) => CopyStanding::Counts,
            (true, UncountedKind::Forgot) => CopyStanding::Forgot,
            (true, _) => CopyStanding::BeganEmpty,
        }
    }

    /// Whether the copy may take part in a cluster's first election: it never took a record.
    pub fn may_bootstrap(&self) -> bool {
        self.is_joining() && self.kind() == UncountedKind::Empty
    }

    /// The copy has forgotten something: it must catch up under this number. `false`: it already
    /// had to, and claims nothing else.
    ///
    /// # Errors
    /// When the marker can't be written.
    pub fn doubt(&self, copy: u64) -> io::Result<bool> {
        let counted = !self.is_joining();
        if !counted && self.kind() != UncountedKind::Empty {
            return Ok(false);
        }
        let kind = if self.began_empty { UncountedKind::Filling } else { UncountedKind::Forgot };
        self.write_marker(copy.max(NO_NUMBER + 1), kind)?;
        Ok(counted)
    }

    /// The copy takes its first records from a primary.
    ///
    /// # Errors
    /// When the marker can't be written.
    pub fn begin_filling(&self) -> io::Result<()> {
        match self.copy_number() {
            Some(copy) if self.may_bootstrap() => self.write_marker(copy, UncountedKind::Filling),
            _ => Ok(()),
        }
    }

    fn write_marker(&self, copy: u64, kind: UncountedKind) -> io::Result<()> {
        self.write(MARKER, &format!("{copy:016x} {}\n", kind.name()))?;
        self.kind.store(kind as u8, Ordering::Release);
        self.copy.store(copy, Ordering::Release);
        Ok(())
    }

    /// The copies that took part in the first election, as far as this node knows them.
    pub fn founder_copies(&self) -> Vec<FounderCopy> {
        let founders = self.founders();
        founders.iter().map(|(node, copy)| FounderCopy { node: *node, copy: *copy }).collect()
    }

    /// Keeps the founders that a primary names.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn keep_founders(&self, named: &[FounderCopy]) -> io::Result<()> {
        let named: BTreeMap<NodeId, u64> = named.iter().map(|one| (one.node, one.copy)).collect();
        if named.is_empty() || *self.founders() == named {
            return Ok(());
        }
        self.write_founders(named)
    }

    fn write_founders(&self, founders: BTreeMap<NodeId, u64>) -> io::Result<()> {
        let lines: String =
            founders.iter().map(|(node, copy)| format!("{node} {copy:016x}\n")).collect();
        self.write(FOUNDERS, &lines)?;
        *self.founders() = founders;
        Ok(())
    }

    /// Whether the copy began so recently that it must stay silent.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.is_joining() && self.silent_until.is_some_and(|until| now < until)
    }

    /// Whether a site's copy took part in the first election and has forgotten nothing since.
    pub fn is_founder(&self, node: NodeId, copy: u64) -> bool {
        self.founders().get(&node) == Some(&copy)
    }

    /// This copy won the first election, in which all copies began empty: keeps the others'
    /// numbers, and counts from now on. They must be on disk before anything is announced: a
    /// cluster that is killed here recovers by these numbers.
    ///
    /// # Errors
    /// When the files can't be written.
    pub fn bootstrap(&self, others: BTreeMap<NodeId, u64>) -> io::Result<()> {
        self.write_founders(others)?;
        self.mark_caught_up()
    }

    /// The copy holds durably everything that was committed: it counts from now on.
    ///
    /// # Errors
    /// When the marker can't be removed durably.
    pub fn mark_caught_up(&self) -> io::Result<()> {
        if self.is_joining() {
            self.disk.remove(&self.data.join(MARKER))?;
            self.disk.sync_folder(&self.data)?;
            self.copy.store(NO_NUMBER, Ordering::Release);
        }
        Ok(())
    }

    /// Writes a whole file or none.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let unfinished = self.data.join(UNFINISHED);
        match self.disk.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(&unfinished)?;
        file.write_at(text.as_bytes(), 0)?;
        file.sync_data()?;
        self.disk.rename(&unfinished, &self.data.join(name))?;
        self.disk.sync_folder(&self.data)
    }

    fn founders(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, u64>> {
        self.founders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<String> {
    /// Nine members need less.
    const BYTES_MAX: usize = 4_096;
    let mut bytes = vec![0; BYTES_MAX];
    let count = disk.open(path)?.read_at(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn marker_of(text: &str) -> Option<(u64, UncountedKind)> {
    let (copy, kind) = text.trim_end().split_once(' ')?;
    let kind = UncountedKind::ALL.into_iter().find(|(_, name)| *name == kind)?.0;
    Some((number_of(copy)?, kind))
}

fn number_of(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim_end(), 16).ok().filter(|copy| *copy != NO_NUMBER)
}

/// A damaged line is skipped: that site's copy then counts as one that has forgotten.
fn founders_of(text: &str) -> BTreeMap<NodeId, u64> {
    let founder = |line: &str| {
        let (node, copy) = line.split_once(' ')?;
        Some((node.parse().ok()?, number_of(copy)?))
    };
    text.lines().filter_map(founder).collect()
}

#[cfg(test)]
mod tests {
    use evenkeel_storage::disk::MemoryDisk;

    use super::*;

    const DATA: &str = "/data";
    const SILENCE: Duration = Duration::from_millis(600);

    fn disk() -> MemoryDisk {
        let disk = MemoryDisk::new(1);
        disk.create_folder(Path::new(DATA)).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        disk
    }

    fn open(disk: &MemoryDisk, empty: bool, drawn: u64) -> EmptyCopy {
        disk.crash();
        EmptyCopy::open(Arc::new(disk.clone()), Path::new(DATA), empty, drawn, SILENCE).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_keeps_its_number_until_it_has_caught_up() {
        let disk = disk();
        let copy = open(&disk, true, 7);
        assert_eq!(copy.copy_number(), Some(7));
        assert!(copy.is_silent(Instant::now()));
        tokio::time::advance(SILENCE).await;
        assert!(!copy.is_silent(Instant::now()));
        let copy = open(&disk, false, 8);
        assert_eq!(copy.copy_number(), Some(7));
        assert!(!copy.is_silent(Instant::now()), "it didn't begin in this life");
        copy.mark_caught_up().unwrap();
        assert_eq!(open(&disk, false, 9).copy_number(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_marker_made_by_hand_gets_a_number() {
        let disk = disk();
        for text in
            ["", "0", "0000000000000000\n", "what?\n", "0000000000000007\n", "0000000000000007 x\n"]
        {
            let path = Path::new(DATA).join(MARKER);
            let _there_was_none = disk.remove(&path);
            disk.create(&path).unwrap().write_at(text.as_bytes(), 0).unwrap();
            disk.open(&path).unwrap().sync_data().unwrap();
            disk.sync_folder(Path::new(DATA)).unwrap();
            assert_eq!(open(&disk, false, 5).copy_number(), Some(5), "{text:?}");
            let again = open(&disk, false, 6);
            assert_eq!(again.copy_number(), Some(5), "{text:?}");
            assert!(!again.may_bootstrap(), "there was a copy before it");
        }
        assert_eq!(open(&MemoryDisk::clone(&tests::disk()), true, 0).copy_number(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_copy_that_never_took_a_record_may_bootstrap() {
        let disk = disk();
        let copy = open(&disk, true, 7);
        assert!(copy.may_bootstrap());
        assert_eq!(copy.standing(), CopyStanding::BeganEmpty);
        copy.begin_filling().unwrap();
        assert!(!copy.may_bootstrap());
        let copy = open(&disk, false, 8);
        assert!(!copy.may_bootstrap() && copy.copy_number() == Some(7));
        assert!(!copy.doubt(9).unwrap(), "it had to catch up already");
        assert_eq!((copy.standing(), copy.copy_number()), (CopyStanding::BeganEmpty, Some(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_that_forgot_something_must_catch_up_under_a_new_number() {
        let disk = disk();
        open(&disk, true, 7).mark_caught_up().unwrap();
        let copy = open(&disk, false, 8);
        assert!(copy.doubt(9).unwrap());
        assert!(!copy.doubt(10).unwrap(), "once");
        for copy in [copy, open(&disk, false, 11)] {
            assert_eq!((copy.standing(), copy.copy_number()), (CopyStanding::Forgot, Some(9)));
            assert!(!copy.may_bootstrap());
        }
        // A founding moment's snapshot still shows the founder's number.
        let disk = tests::disk();
        let copy = open(&disk, true, 7);
        assert!(!copy.doubt(9).unwrap());
        assert_eq!((copy.standing(), copy.copy_number()), (CopyStanding::BeganEmpty, Some(9)));
        assert!(!copy.may_bootstrap());
    }

    #[tokio::test(start_paused = true)]
    async fn every_site_keeps_the_founders() {
        let disk = disk();
        let founders = [FounderCopy { node: 2, copy: 5 }, FounderCopy { node: 3, copy: 6 }];
        open(&disk, true, 5).keep_founders(&founders).unwrap();
        let copy = open(&disk, false, 8);
        assert!(copy.is_founder(3, 6) && !copy.is_founder(3, 7));
        assert_eq!(copy.founder_copies(), founders);
        copy.keep_founders(&[]).unwrap();
        assert!(copy.is_founder(3, 6), "a primary that knows none takes nothing away");
    }

    #[tokio::test(start_paused = true)]
    async fn the_winner_of_the_first_election_recognises_the_others() {
        let disk = disk();
        let first = open(&disk, true, 7);
        first.bootstrap(BTreeMap::from([(2, 0xabc), (3, u64::MAX)])).unwrap();
        let again = open(&disk, false, 8);
        for copy in [first, again] {
            assert!(!copy.is_joining());
            assert!(copy.is_founder(2, 0xabc) && copy.is_founder(3, u64::MAX));
            assert!(!copy.is_founder(2, 0xabd) && !copy.is_founder(1, 7));
        }
        assert!(!open(&tests::disk(), true, 7).is_founder(2, 0xabc));
    }
}
