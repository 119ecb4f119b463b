//! The seam between storage and the file system: real files, or files in memory with simulated
//! crashes.
//!
//! What storage requires of a disk, and no more: bytes that were written and then synced survive a
//! power cut, and so does a name (create, rename, remove) once its folder was synced. Nothing is
//! assumed about unsynced data. A short write is an error. A failed sync is final: callers stop and
//! never retry it. `errors` says which other errors may be tried again, and which prove damage.

mod errors;
mod memory;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub(crate) use errors::{add_context, failed_sync, try_patiently};
pub use errors::{is_full, is_transient, proves_damage};
pub use memory::{DiskSnapshot, DiskTrouble, MemoryDisk};

/// Operations on folders and file names. Every method blocks.
pub trait Disk: Send + Sync + 'static {
    /// Creates a file for reading and writing, mode 0600; fails with `AlreadyExists` if the name is
    /// taken.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file for reading and writing; fails with `NotFound` if there is none.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Renames a file within a folder, replacing `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names of the files (not folders) in a folder, sorted.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Creates a folder and its missing parents, mode 0700. An existing folder isn't an error.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable (fsync of the folder).
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        try_patiently(|| self.open_folder(folder), |pause| self.wait(pause))?.sync()
    }
    /// Opens a folder, so that its names can be made durable later without a free descriptor.
    fn open_folder(&self, folder: &Path) -> io::Result<Arc<dyn Folder>>;
    /// Waits before something is tried again. A disk in memory doesn't.
    fn wait(&self, pause: Duration) {
        thread::sleep(pause);
    }
}

/// One open folder.
pub trait Folder: Send + Sync {
    /// Makes the names in the folder durable (fsync).
    fn sync(&self) -> io::Result<()>;
}

/// One open file. Every read and write takes a byte offset: there is no shared cursor.
pub trait File: Send + Sync {
    /// Reads into `buffer` and returns the number of bytes; short only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`, or fails.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the content and the length durable (fdatasync).
    fn sync_data(&self) -> io::Result<()>;
    /// Reserves space from offset 0 up to `bytes` and extends the length to it; never shortens. New
    /// bytes read as zero.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Truncates the file to `bytes`, or extends it with zeros without reserving space.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile(fs::File);

struct RealFolder(fs::File);

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                continue;
            }
            let name = entry.file_name().into_string().map_err(|name| {
                let text = format!("file name {} isn't text", name.display());
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?;
            names.push(name);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    fn open_folder(&self, folder: &Path) -> io::Result<Arc<dyn Folder>> {
        Ok(Arc::new(RealFolder(fs::File::open(folder)?)))
    }
}

impl Folder for RealFolder {
    fn sync(&self) -> io::Result<()> {
        self.0.sync_all().map_err(failed_sync)
    }
}

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + bytes_u64(done)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data().map_err(failed_sync)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        let reserve = || fallocate(&self.0, FallocateFlags::empty(), 0, bytes);
        // A signal ends a long reservation; what it has reserved stays.
        match rustix::io::retry_on_intr(reserve) {
            // A file system without fallocate still gets the length. A full disk then fails a
            // write, which poisons the journal, instead of a reservation ahead of need.
            Err(rustix::io::Errno::OPNOTSUPP) if self.0.metadata()?.len() < bytes => {
                self.0.set_len(bytes)
            }
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            result => Ok(result?),
        }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// Opens an existing file; while no descriptor is free, it tries again for a quarter of a second.
pub(crate) fn open_patiently(disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn File>> {
    try_patiently(|| disk.open(path), |pause| disk.wait(pause))
}

/// Converts a length in memory to a file offset.
pub(crate) fn bytes_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length in memory fits 64 bits")
}

/// Fills `buffer` from `offset`; fails with `UnexpectedEof` if the file ends earlier.
pub(crate) fn read_exact_at(file: &dyn File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let count = file.read_at(buffer, offset)?;
    if count == buffer.len() {
        return Ok(());
    }
    let text = format!("{count} bytes at offset {offset}, expected {}", buffer.len());
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn real_files_keep_the_promises_of_the_trait() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        RealDisk.create_folder(&inner).unwrap();
        RealDisk.create_folder(&inner).unwrap();
        let path = inner.join("one");
        let file = RealDisk.create(&path).unwrap();
        let again = RealDisk.create(&path).map(|_| ()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        file.allocate(4096).unwrap();
        file.write_at(b"hello", 10).unwrap();
        file.allocate(100).unwrap();
        assert_eq!(file.len().unwrap(), 4096);
        let mut buffer = [1; 20];
        assert_eq!(file.read_at(&mut buffer, 8).unwrap(), 20);
        assert_eq!(&buffer[..8], b"\0\0hello\0");
        assert_eq!(file.read_at(&mut buffer, 4090).unwrap(), 6);
        assert!(read_exact_at(&*file, &mut buffer, 4090).is_err());
        file.set_len(15).unwrap();
        file.sync_data().unwrap();
        RealDisk.rename(&path, &inner.join("two")).unwrap();
        RealDisk.sync_folder(&inner).unwrap();
        assert_eq!(RealDisk.list(&inner).unwrap(), ["two"]);
        assert_eq!(RealDisk.list(&folder.path().join("a")).unwrap(), [""; 0]);
        assert_eq!(RealDisk.open(&inner.join("two")).unwrap().len().unwrap(), 15);
        RealDisk.remove(&inner.join("two")).unwrap();
        assert!(RealDisk.open(&inner.join("two")).is_err());
    }
}
