//! sled 0.34.7 as a table, and the workarounds it needs.
//!
//! - After a crash while sled writes `snap.N.generating` it refuses to open (spacejam/sled#1527):
//!   such files are removed first.
//! - `flush` writes with `sync_file_range`: neither the file's length nor the disk's own cache is
//!   synced, and files in `blobs/` are never synced at all. We sync all of these ourselves.
//! - sled's I/O threads may hold the file, and so its lock, for a moment longer than the database
//!   exists: [`wait_until_released`].
//! - It may panic or block forever on damaged files: callers catch panics and limit the wait
//!   (`checkpoint`).

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::CheckpointError;
use super::table::{Table, Visit};

const CACHE_BYTES: u64 = 64 << 20;
const RELEASE_TRIES: u32 = 5_000;
const RELEASE_PAUSE: Duration = Duration::from_millis(1);
/// The newest finished generation: u64 little-endian, then the first 8 bytes of its blake3.
const FINISHED_FILE: &str = "finished";
const FINISHED_FILE_NEW: &str = "finished.new";

pub(crate) struct SledTable {
    db: sled::Db,
    /// Our own handle on sled's file, opened before anything is written, so that every write error
    /// is reported to this handle too.
    file: File,
    folder: PathBuf,
}

impl SledTable {
    pub(crate) fn open(folder: &Path) -> Result<Self, CheckpointError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        remove_half_written_snapshots(folder)?;
        let db = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(None)
            .open()?;
        let file = File::open(folder.join("db"))?;
        sync_folder(folder)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
        Ok(Self { db, file, folder: folder.to_owned() })
    }
}

impl Table for SledTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CheckpointError> {
        Ok(self.db.get(key)?.map(|value| value.to_vec()))
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        self.db.insert(key, value)?;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), CheckpointError> {
        self.db.remove(key)?;
        Ok(())
    }

    fn scan(&self, from: &[u8], visit: Visit<'_>) -> Result<(), CheckpointError> {
        for row in self.db.range(from..) {
            let (key, value) = row?;
            visit(&key, &value)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), CheckpointError> {
        self.db.flush()?;
        let blobs = self.folder.join("blobs");
        for blob in fs::read_dir(&blobs)? {
            match File::open(blob?.path()) {
                Ok(blob) => blob.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        sync_folder(&blobs)?;
        self.file.sync_all()?;
        Ok(())
    }

    fn write_finished(&mut self, generation: u64) -> Result<(), CheckpointError> {
        let new = self.folder.join(FINISHED_FILE_NEW);
        let mut file = File::create(&new)?;
        file.write_all(&finished_note(generation))?;
        file.sync_all()?;
        fs::rename(new, self.folder.join(FINISHED_FILE))?;
        sync_folder(&self.folder)?;
        Ok(())
    }

    fn read_finished(&self) -> Result<Option<u64>, CheckpointError> {
        let note = match fs::read(self.folder.join(FINISHED_FILE)) {
            Ok(note) => note,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let generation = note.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        match generation {
            Some(generation) if note == finished_note(generation) => Ok(Some(generation)),
            _ => Err(CheckpointError::Damaged(format!("the file {FINISHED_FILE} is damaged"))),
        }
    }
}

/// Returns when the lock on sled's file is free, or after five seconds.
pub(crate) fn wait_until_released(folder: &Path) {
    let Ok(file) = File::open(folder.join("db")) else {
        return;
    };
    for _ in 0..RELEASE_TRIES {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                std::thread::sleep(RELEASE_PAUSE);
            }
            _ => return,
        }
    }
    tracing::warn!(folder = %folder.display(), "sled didn't release its file");
}

fn finished_note(generation: u64) -> [u8; 16] {
    let mut note = [0; 16];
    let (number, checksum) = note.split_at_mut(8);
    number.copy_from_slice(&generation.to_le_bytes());
    checksum.copy_from_slice(&blake3::hash(number).as_bytes()[..8]);
    note
}

fn remove_half_written_snapshots(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl From<sled::Error> for CheckpointError {
    /// A missing file or one that ends too early is damage; other I/O errors aren't.
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof
                        | io::ErrorKind::NotFound
                        | io::ErrorKind::InvalidData
                        | io::ErrorKind::InvalidInput
                ) =>
            {
                Self::Io(error)
            }
            error => Self::Damaged(format!("sled: {error}")),
        }
    }
}
