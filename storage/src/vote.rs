//! The vote of this node in its newest term (Raft's `currentTerm` and `votedFor`). Losing it could
//! elect two primaries in one term.
//!
//! Two files, `vote.a` and `vote.b`, hold the same content. Every save overwrites and syncs one
//! after the other, so that one copy is whole after a crash or after damage to the other. They are
//! overwritten in place and need no new space on a full disk. They also hold the first position of
//! the newest journal segment: without it, a journal whose newest file is missing would pass for a
//! shorter one.
//!
//! ```text
//!  0 magic "EKV\x01"
//!  4 u32   crc32 of bytes 8..48
//!  8 u64   sequence: the higher one is newer
//! 16 u64   term
//! 24 u64   node voted for
//! 32 u8    1 if a quorum granted it
//! 33 u8    1 if there is a vote, 0 before the first
//! 34 [6]   zero
//! 40 u64   first position of the newest segment + 1; 0 before the first
//! ```
//! If neither copy can be read, the vote is damaged and loading fails: the node never guesses a
//! vote.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Position;
use crate::bytes_at::{read_u32, read_u64, write_array, write_u32, write_u64};
use crate::disk::{Disk, File};

const MAGIC: [u8; 4] = *b"EKV\x01";
const BYTES: usize = 48;
const NAMES: [&str; 2] = ["vote.a", "vote.b"];
const UNFINISHED: &str = "vote.new";

/// A vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredVote {
    /// The election's term.
    pub term: u64,
    /// The candidate's node number.
    pub node: u64,
    /// Whether a quorum granted it.
    pub committed: bool,
}

/// Why the vote can't be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoteError {
    /// Neither copy passes its checks.
    #[error("both copies of the vote are unusable: {}: {a}; {}: {b}", NAMES[0], NAMES[1])]
    BothBad {
        /// What is wrong with `vote.a`.
        a: String,
        /// What is wrong with `vote.b`.
        b: String,
    },
    /// A disk operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the disk.
        source: io::Error,
    },
}

/// Both files, open, and the newest content.
pub(crate) struct VoteFiles {
    files: [Arc<dyn File>; 2],
    newest: VoteContent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct VoteContent {
    sequence: u64,
    vote: Option<StoredVote>,
    newest_segment: Option<Position>,
}

/// Whether a data folder has at least one copy of the vote.
pub(crate) fn exists(disk: &dyn Disk, folder: &Path) -> io::Result<bool> {
    Ok(disk.list(folder)?.iter().any(|name| NAMES.contains(&name.as_str())))
}

/// Loads the newest vote of a data folder from either copy. `None` before the first vote. Never
/// writes.
pub fn load(disk: &dyn Disk, folder: &Path) -> Result<Option<StoredVote>, VoteError> {
    Ok(read_newest(disk, folder)?.vote)
}

fn read_newest(disk: &dyn Disk, folder: &Path) -> Result<VoteContent, VoteError> {
    let [a, b] = NAMES.map(|name| read(disk, &folder.join(name)));
    match (a?, b?) {
        (Ok(a), Ok(b)) => Ok(if a.sequence >= b.sequence { a } else { b }),
        (Ok(content), Err(_)) | (Err(_), Ok(content)) => Ok(content),
        (Err(a), Err(b)) => Err(VoteError::BothBad { a, b }),
    }
}

/// Checks both copies. Returns the noted first position of the newest segment, or the path of the
/// first bad copy and the reason. Never writes.
pub(crate) fn check_copies(
    disk: &dyn Disk,
    folder: &Path,
) -> Result<Option<Position>, (PathBuf, CopyFault)> {
    let [a, b] = NAMES.map(|name| {
        let path = folder.join(name);
        match read(disk, &path) {
            Ok(Ok(content)) => Ok(content),
            Ok(Err(what)) => Err((path, CopyFault::Bad(what))),
            Err(VoteError::Io { path, source }) => Err((path, CopyFault::Io(source))),
            Err(error) => Err((path, CopyFault::Bad(error.to_string()))),
        }
    });
    let (a, b) = (a?, b?);
    Ok(if a.sequence >= b.sequence { a } else { b }.newest_segment)
}

/// What is wrong with one copy of the vote.
pub(crate) enum CopyFault {
    /// It isn't what was written.
    Bad(String),
    /// It can't be read.
    Io(io::Error),
}

impl VoteFiles {
    /// Creates both copies without a vote. Each is renamed to its name only after it was synced.
    pub(crate) fn create(disk: &dyn Disk, folder: &Path) -> Result<Self, VoteError> {
        let content = VoteContent { sequence: 0, vote: None, newest_segment: None };
        for name in NAMES {
            replace(disk, folder, name, content)?;
        }
        Self::open(disk, folder)
    }

    /// Loads the newest vote and rewrites and syncs the copies until both hold it durably.
    pub(crate) fn open(disk: &dyn Disk, folder: &Path) -> Result<Self, VoteError> {
        let newest = read_newest(disk, folder)?;
        for name in NAMES {
            let held = read(disk, &folder.join(name))?;
            if held != Ok(newest) {
                replace(disk, folder, name, newest)?;
            }
        }
        let open = |name: &str| {
            let path = folder.join(name);
            let file = disk.open(&path).map_err(|source| VoteError::Io { path, source })?;
            Ok(file)
        };
        let files = Self { files: [open(NAMES[0])?, open(NAMES[1])?], newest };
        for (file, name) in files.files.iter().zip(NAMES) {
            // The bytes read may exist only in the page cache.
            file.sync_data().map_err(|source| VoteError::Io { path: folder.join(name), source })?;
        }
        Ok(files)
    }

    pub(crate) fn vote(&self) -> Option<StoredVote> {
        self.newest.vote
    }

    /// The noted first position of the newest segment.
    pub(crate) fn newest_segment(&self) -> Option<Position> {
        self.newest.newest_segment
    }

    /// Saves a vote, durable in both copies on return. After an error the state on disk is unknown,
    /// and nothing more may be saved.
    pub(crate) fn save(&mut self, vote: StoredVote) -> io::Result<()> {
        self.write(VoteContent { vote: Some(vote), ..self.newest })
    }

    /// Notes the first position of the newest segment: after that segment was created, and before
    /// it is removed.
    pub(crate) fn save_newest_segment(&mut self, first: Position) -> io::Result<()> {
        if self.newest.newest_segment == Some(first) {
            return Ok(());
        }
        self.write(VoteContent { newest_segment: Some(first), ..self.newest })
    }

    fn write(&mut self, content: VoteContent) -> io::Result<()> {
        let content = VoteContent { sequence: self.newest.sequence + 1, ..content };
        for file in &self.files {
            file.write_at(&content.encode(), 0)?;
            file.sync_data()?;
        }
        self.newest = content;
        Ok(())
    }
}

/// Writes a copy under a temporary name, syncs it, and renames it.
fn replace(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    content: VoteContent,
) -> Result<(), VoteError> {
    let path = folder.join(UNFINISHED);
    let write = || {
        match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&path)?;
        file.write_at(&content.encode(), 0)?;
        file.sync_data()?;
        disk.rename(&path, &folder.join(name))?;
        disk.sync_folder(folder)
    };
    write().map_err(|source| VoteError::Io { path: folder.join(name), source })
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Result<VoteContent, String>, VoteError> {
    let at_disk = |source| VoteError::Io { path: path.to_path_buf(), source };
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Err("missing".to_owned()));
        }
        Err(error) => return Err(at_disk(error)),
    };
    let mut bytes = [0; BYTES + 1];
    let count = file.read_at(&mut bytes, 0).map_err(at_disk)?;
    Ok(VoteContent::decode(&bytes[..count]))
}

impl VoteContent {
    fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        write_array(&mut bytes, 0, &MAGIC);
        write_u64(&mut bytes, 8, self.sequence);
        if let Some(vote) = self.vote {
            write_u64(&mut bytes, 16, vote.term);
            write_u64(&mut bytes, 24, vote.node);
            bytes[32] = u8::from(vote.committed);
            bytes[33] = 1;
        }
        write_u64(&mut bytes, 40, self.newest_segment.map_or(0, |first| first + 1));
        let checksum = crc32fast::hash(&bytes[8..]);
        write_u32(&mut bytes, 4, checksum);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() != BYTES {
            return Err(format!("{} bytes, expected {BYTES}", bytes.len()));
        }
        if bytes[..4] != MAGIC {
            return Err("wrong magic".to_owned());
        }
        if crc32fast::hash(&bytes[8..]) != read_u32(bytes, 4) {
            return Err("checksum doesn't match".to_owned());
        }
        let vote = StoredVote {
            term: read_u64(bytes, 16),
            node: read_u64(bytes, 24),
            committed: bytes[32] != 0,
        };
        Ok(Self {
            sequence: read_u64(bytes, 8),
            vote: (bytes[33] != 0).then_some(vote),
            newest_segment: read_u64(bytes, 40).checked_sub(1),
        })
    }
}
