//! The owner of a data folder (cluster and node), and the lock against a second process.
//!
//! ```text
//!  0 magic "EKS\x01"
//!  4 u16   format version of the data folder: 1
//!  6 u16   zero
//!  8 [16]  cluster
//! 24 u64   node
//! 32 u32   crc32 of bytes 0..32
//! 36 [28]  zero
//! ```
//! Version 1 is the first. This module uses real files only: a lock has no meaning on a simulated
//! disk.
//!
//! A folder without a superblock is claimed only if somebody says why it's empty: where a disk
//! isn't mounted, its mount point is an empty folder too. The file `founding` says that the cluster
//! is new (`evenkeel cluster new` writes it); it's removed once the superblock stands. The file
//! `joining` says that the disk was lost (an operator makes it); it stays until the copy has caught
//! up. After a crash between any two steps the next claim goes on: the superblock is written before
//! `founding` is removed, and a `founding` beside a superblock is removed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::ClusterId;
use crate::bytes_at::{read_array, read_u16, read_u32, read_u64};
use crate::bytes_at::{write_array, write_u16, write_u32, write_u64};
use crate::disk::{Disk, RealDisk};

const NAME: &str = "superblock";
const UNFINISHED: &str = "superblock.new";
const LOCK: &str = "lock";
/// The file that makes an empty folder a new cluster's.
pub const FOUNDING: &str = "founding";
/// The file that makes a copy count for nothing until the other sites have filled it.
pub const JOINING: &str = "joining";
const MAGIC: [u8; 4] = *b"EKS\x01";
const VERSION: u16 = 1;
const BYTES: usize = 64;

/// The owner of a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's number in the cluster.
    pub node: u64,
}

/// Why a data folder wasn't claimed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The folder belongs to another cluster or node.
    #[error(
        "{} belongs to node {} of cluster {}, not to node {} of cluster {}; \
         name this node's own folder (node.data)",
        folder.display(), found.node, uuid_text(&found.cluster), wanted.node, uuid_text(&wanted.cluster)
    )]
    Foreign {
        /// The data folder.
        folder: PathBuf,
        /// The owner in the superblock.
        found: Superblock,
        /// The owner in the call.
        wanted: Superblock,
    },
    /// Another process holds the lock.
    #[error(
        "{} is in use: another process holds the lock; is this node running already?",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The superblock is damaged or has an unknown version.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The superblock's file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The folder holds a journal or a vote, but no superblock.
    #[error("{} holds a journal or a vote but no superblock", folder.display())]
    Missing {
        /// The data folder.
        folder: PathBuf,
    },
    /// The folder has no superblock, and nothing says that it may be empty.
    #[error(
        "{} has no superblock, so it's empty, missing, or not the folder that this node wrote. If its disk isn't \
         mounted: mount it, and start again. If the disk was lost: make the folder and the empty file {} in it, and \
         start again; the other sites then fill it (*Lost disk* in docs/OPERATIONS.md). A new cluster's folders \
         have the file {}, from `evenkeel cluster new`",
        folder.display(), JOINING, FOUNDING
    )]
    Unmarked {
        /// The data folder.
        folder: PathBuf,
    },
    /// A disk operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the disk.
        source: io::Error,
    },
}

/// A claimed data folder. The lock is released on drop.
#[derive(Debug)]
pub struct Claim {
    /// Whose data the folder holds.
    pub superblock: Superblock,
    watch: FolderWatch,
    _lock: fs::File,
}

impl Claim {
    /// Tells later whether the folder is still the claimed one.
    #[must_use]
    pub fn folder_watch(&self) -> FolderWatch {
        self.watch.clone()
    }
}

/// Recognizes a claimed folder by its superblock's file.
#[derive(Clone, Debug)]
pub struct FolderWatch {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl FolderWatch {
    fn new(data_folder: &Path) -> io::Result<Self> {
        let path = data_folder.join(NAME);
        let found = fs::metadata(&path)?;
        Ok(Self { path, device: found.dev(), inode: found.ino() })
    }

    /// Whether the folder is gone, or another one is in its place: it was removed, renamed or
    /// unmounted. An error that proves neither counts as no. Asks the disk, so it may block.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match fs::metadata(&self.path) {
            Ok(found) => (found.dev(), found.ino()) != (self.device, self.inode),
            Err(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
        }
    }
}

/// Locks a data folder for this process. Creates its superblock if a marker says that the folder is
/// new; durable on return. Rejects a folder without a superblock and a marker, a folder of another
/// cluster or node, and one that another process holds. Never creates the folder.
pub fn claim(data_folder: &Path, cluster: ClusterId, node: u64) -> Result<Claim, ClaimError> {
    let wanted = Superblock { cluster, node };
    let at_folder = |source| ClaimError::Io { path: data_folder.to_path_buf(), source };
    // Before anything is written: a lock file on the disk below a mount point would stay there.
    check_marked(data_folder)?;
    let lock = lock(data_folder)?;
    check_marked(data_folder)?;
    if !exists(&data_folder.join(NAME))? {
        write(data_folder, wanted).map_err(at_folder)?;
    }
    let superblock = read(data_folder)?;
    if superblock != wanted {
        let folder = data_folder.to_path_buf();
        return Err(ClaimError::Foreign { folder, found: superblock, wanted });
    }
    remove_founding(data_folder).map_err(at_folder)?;
    let watch = FolderWatch::new(data_folder).map_err(at_folder)?;
    Ok(Claim { superblock, watch, _lock: lock })
}

/// Rejects a folder without a superblock, unless a marker says why.
fn check_marked(data_folder: &Path) -> Result<(), ClaimError> {
    if exists(&data_folder.join(NAME))? {
        return Ok(());
    }
    let folder = || data_folder.to_path_buf();
    for name in ["journal", "vote.a", "vote.b"] {
        if exists(&data_folder.join(name))? {
            return Err(ClaimError::Missing { folder: folder() });
        }
    }
    for marker in [FOUNDING, JOINING] {
        if exists(&data_folder.join(marker))? {
            return Ok(());
        }
    }
    Err(ClaimError::Unmarked { folder: folder() })
}

/// Whether a file exists. An error isn't an answer.
fn exists(path: &Path) -> Result<bool, ClaimError> {
    path.try_exists().map_err(|source| ClaimError::Io { path: path.to_path_buf(), source })
}

/// Durably removes the marker of a new cluster, if there is one: it says nothing about the next
/// disk in this place.
fn remove_founding(data_folder: &Path) -> io::Result<()> {
    match RealDisk.remove(&data_folder.join(FOUNDING)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => RealDisk.sync_folder(data_folder),
    }
}

/// Whose data a folder holds, without locking it.
pub fn read(data_folder: &Path) -> Result<Superblock, ClaimError> {
    let path = data_folder.join(NAME);
    let bytes = fs::read(&path).map_err(|source| ClaimError::Io { path: path.clone(), source })?;
    decode(&bytes).map_err(|what| ClaimError::Damaged { path, what })
}

fn lock(data_folder: &Path) -> Result<fs::File, ClaimError> {
    let path = data_folder.join(LOCK);
    let at_disk = |source| ClaimError::Io { path: path.clone(), source };
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(at_disk)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(ClaimError::Locked { path }),
        Err(fs::TryLockError::Error(source)) => Err(at_disk(source)),
    }
}

fn write(data_folder: &Path, superblock: Superblock) -> io::Result<()> {
    let path = data_folder.join(UNFINISHED);
    match RealDisk.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = RealDisk.create(&path)?;
    file.write_at(&encode(superblock), 0)?;
    file.sync_data()?;
    RealDisk.rename(&path, &data_folder.join(NAME))?;
    RealDisk.sync_folder(data_folder)?;
    match data_folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => RealDisk.sync_folder(parent),
        None => RealDisk.sync_folder(Path::new(".")),
    }
}

fn encode(superblock: Superblock) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    write_array(&mut bytes, 0, &MAGIC);
    write_u16(&mut bytes, 4, VERSION);
    write_array(&mut bytes, 8, &superblock.cluster);
    write_u64(&mut bytes, 24, superblock.node);
    let checksum = crc32fast::hash(&bytes[..32]);
    write_u32(&mut bytes, 32, checksum);
    bytes
}

fn decode(bytes: &[u8]) -> Result<Superblock, String> {
    if bytes.len() != BYTES {
        return Err(format!("{} bytes, expected {BYTES}", bytes.len()));
    }
    if bytes[..4] != MAGIC {
        return Err("wrong magic".to_owned());
    }
    if crc32fast::hash(&bytes[..32]) != read_u32(bytes, 32) {
        return Err("checksum doesn't match".to_owned());
    }
    let version = read_u16(bytes, 4);
    if version != VERSION {
        return Err(format!("format version {version}, known is {VERSION}"));
    }
    if bytes[6..8] != [0; 2] || bytes[36..] != [0; 28] {
        return Err("reserved bytes aren't zero".to_owned());
    }
    Ok(Superblock { cluster: read_array(bytes, 8), node: read_u64(bytes, 24) })
}

/// A cluster id in the text form of a UUID (RFC 9562 §4).
fn uuid_text(cluster: &ClusterId) -> String {
    let number = u128::from_be_bytes(*cluster);
    let part = |shift: u32, digits: usize| {
        let mask = (1_u128 << (digits * 4)) - 1;
        format!("{:0digits$x}", (number >> shift) & mask)
    };
    [part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12)].join("-")
}
