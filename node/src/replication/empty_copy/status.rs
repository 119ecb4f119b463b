//! This node's copy, if it began empty: it may have promised more than it remembers, so it counts
//! for nothing until it has caught up.
//!
//! A node whose disk was lost may have acknowledged records and given votes that are gone with the
//! disk. So an empty data folder gets the file `joining` with a number drawn for this copy. While
//! the file exists, the copy takes records only from a primary that has proved itself to it
//! (`admittance`), and its vote counts only where every copy began empty (`votes`): in a cluster's
//! first election, when no site has promised anything yet.
//!
//! The winner of that election keeps the numbers of all that took part in the file `founders`: a
//! copy that still shows its number has forgotten nothing since. docs/decisions/0004 has the
//! details.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use evenkeel_storage::disk::Disk;
use evenkeel_wire::id::NodeId;
use tokio::time::Instant;

const MARKER: &str = "joining";
const FOUNDERS: &str = "founders";
const UNFINISHED: &str = "joining.new";
/// The number of a copy that has caught up.
const NO_NUMBER: u64 = 0;

/// The kind of this node's copy.
pub struct EmptyCopy {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    copy: AtomicU64,
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
            true => number_of(&read(&*disk, &data.join(MARKER))?),
            false => None,
        };
        let joining = Self {
            disk,
            data: data.to_path_buf(),
            copy: AtomicU64::new(known.unwrap_or(NO_NUMBER)),
            founders: Mutex::new(founders),
            silent_until: empty.then(|| Instant::now() + silence),
        };
        if known.is_none() && (empty || is_there(MARKER)) {
            // Never NO_NUMBER.
            let copy = drawn.max(NO_NUMBER + 1);
            joining.write(MARKER, &format!("{copy:016x}\n"))?;
            joining.copy.store(copy, Ordering::Release);
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

    /// Whether the copy began so recently that it must stay silent.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.is_joining() && self.silent_until.is_some_and(|until| now < until)
    }

    /// Whether a site's copy took part in the first election. Only its winner can tell.
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
        let lines: String =
            others.iter().map(|(node, copy)| format!("{node} {copy:016x}\n")).collect();
        self.write(FOUNDERS, &lines)?;
        *self.founders() = others;
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
        for text in ["", "0", "0000000000000000\n", "what?\n"] {
            let path = Path::new(DATA).join(MARKER);
            let _there_was_none = disk.remove(&path);
            disk.create(&path).unwrap().write_at(text.as_bytes(), 0).unwrap();
            disk.open(&path).unwrap().sync_data().unwrap();
            disk.sync_folder(Path::new(DATA)).unwrap();
            assert_eq!(open(&disk, false, 5).copy_number(), Some(5), "{text:?}");
            assert_eq!(open(&disk, false, 6).copy_number(), Some(5), "{text:?}");
        }
        assert_eq!(open(&MemoryDisk::clone(&tests::disk()), true, 0).copy_number(), Some(1));
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
