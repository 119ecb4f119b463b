//! The vote: what this node promised in the current term. Losing it could elect two primaries.
//!
//! Two files, `vote.a` and `vote.b`, each written and synced in turn at every save, so that one of them
//! is whole whatever a crash or rot does to the other. They are overwritten in place and need no room
//! on a full disk. Beside the vote they remember the newest segment of the journal: without that, a
//! journal whose newest file went missing would look like a shorter one.
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
//! Both unreadable is damage: the node must not vote on a guess.

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

/// Whom this node voted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredVote {
    /// The election.
    pub term: u64,
    /// The candidate.
    pub node: u64,
    /// Whether a quorum granted it.
    pub committed: bool,
}

/// Why the vote could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoteError {
    /// Neither copy can be trusted.
    #[error("both copies of the vote are unusable: {}: {a}; {}: {b}", NAMES[0], NAMES[1])]
    BothBad {
        /// What is wrong with the first.
        a: String,
        /// What is wrong with the second.
        b: String,
    },
    /// The disk does not answer.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

/// The two open files.
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

/// Whether a data folder has a copy of the vote.
pub(crate) fn exists(disk: &dyn Disk, folder: &Path) -> io::Result<bool> {
    Ok(disk.list(folder)?.iter().any(|name| NAMES.contains(&name.as_str())))
}

/// The newest vote of a data folder, whichever copy holds it. Writes nothing.
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

/// The first position of the newest segment that was noted, if both copies are in order; else the copy
/// that is not, and why. Writes nothing.
pub(crate) fn check_copies(
    disk: &dyn Disk,
    folder: &Path,
) -> Result<Option<Position>, (PathBuf, String)> {
    for path in NAMES.map(|name| folder.join(name)) {
        match read(disk, &path) {
            Ok(Ok(_)) => {}
            Ok(Err(what)) => return Err((path, what)),
            Err(error) => return Err((path, error.to_string())),
        }
    }
    let newest =
        read_newest(disk, folder).map_err(|error| (folder.to_path_buf(), error.to_string()))?;
    Ok(newest.newest_segment)
}

impl VoteFiles {
    /// Makes both copies, with no vote in them. Each gets its name only when it is whole.
    pub(crate) fn create(disk: &dyn Disk, folder: &Path) -> Result<Self, VoteError> {
        let content = VoteContent { sequence: 0, vote: None, newest_segment: None };
        for name in NAMES {
            replace(disk, folder, name, content)?;
        }
        Self::open(disk, folder)
    }

    /// Loads the newest vote and makes both copies say it, durably.
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
            // What was read may be in the page cache only.
            file.sync_data().map_err(|source| VoteError::Io { path: folder.join(name), source })?;
        }
        Ok(files)
    }

    pub(crate) fn vote(&self) -> Option<StoredVote> {
        self.newest.vote
    }

    /// First position of the newest segment that was noted.
    pub(crate) fn newest_segment(&self) -> Option<Position> {
        self.newest.newest_segment
    }

    /// Durable in both copies on return. After an error nothing is known, and nothing is to be saved.
    pub(crate) fn save(&mut self, vote: StoredVote) -> io::Result<()> {
        self.write(VoteContent { vote: Some(vote), ..self.newest })
    }

    /// Notes the newest segment: after it was made, and before it is removed.
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

/// Writes a copy under another name, and gives it its own when it is durable.
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
            return Err(format!("{} bytes where {BYTES} were expected", bytes.len()));
        }
        if bytes[..4] != MAGIC {
            return Err("another magic".to_owned());
        }
        if crc32fast::hash(&bytes[8..]) != read_u32(bytes, 4) {
            return Err("checksum does not match".to_owned());
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
