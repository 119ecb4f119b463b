//! A site's disk as one life of its process sees it: it can be slow, hang, and lose power during
//! any operation.
//!
//! The memory disk below decides what survives a power loss; this file decides when the loss
//! happens, and stops all operations of a dead process.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use evenkeel_storage::{
    balances::MemoryCheckpoints,
    disk::{Disk, File, Folder, MemoryDisk},
};
use tokio::sync::Notify;

/// Whether a life is still running. Shared by all parts of a life.
pub struct LifePulse {
    alive: AtomicBool,
    armed: Mutex<Option<ArmedCrash>>,
    disk: MemoryDisk,
    checkpoints: MemoryCheckpoints,
    ended: Notify,
}

/// A crash armed for a later operation.
#[derive(Clone, Copy, Debug)]
pub struct ArmedCrash {
    /// Counting starts with the first operation on a vote file; otherwise with the next operation.
    pub from_vote: bool,
    /// The number of operations that still succeed.
    pub operations: u64,
    /// Whether unsynced data is lost, too.
    pub power: bool,
}

impl LifePulse {
    #[must_use]
    pub fn new(disk: MemoryDisk, checkpoints: MemoryCheckpoints) -> Self {
        Self {
            alive: AtomicBool::new(true),
            armed: Mutex::default(),
            disk,
            checkpoints,
            ended: Notify::new(),
        }
    }

    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// Ends the life. With `power`, unsynced data may be lost, torn or scrambled.
    pub fn end(&self, power: bool) {
        if self.alive.swap(false, Ordering::Relaxed) {
            if power {
                self.disk.crash();
                self.checkpoints.crash();
            }
            self.ended.notify_waiters();
        }
    }

    /// Arms a crash during a later operation.
    pub fn arm(&self, armed: ArmedCrash) {
        *self.lock_armed() = Some(armed);
    }

    /// Disarms the crash.
    pub fn disarm(&self) {
        *self.lock_armed() = None;
    }

    /// Returns when the life is over.
    pub async fn await_end(&self) {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if self.is_alive() {
            ended.await;
        }
    }

    fn lock_armed(&self) -> MutexGuard<'_, Option<ArmedCrash>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called before every disk operation.
    fn before_operation(&self, is_vote: bool) -> io::Result<()> {
        let mut now = None;
        if let Some(armed) = &mut *self.lock_armed() {
            armed.from_vote &= !is_vote;
            if !armed.from_vote {
                match armed.operations.checked_sub(1) {
                    Some(left) => armed.operations = left,
                    None => now = Some(armed.power),
                }
            }
        }
        if let Some(power) = now {
            self.end(power);
        }
        if self.is_alive() { Ok(()) } else { Err(io::Error::other("this machine is down")) }
    }
}

/// The disk of one life.
pub struct LifeDisk {
    inner: MemoryDisk,
    pulse: Arc<LifePulse>,
}

impl LifeDisk {
    #[must_use]
    pub fn new(inner: MemoryDisk, pulse: Arc<LifePulse>) -> Self {
        Self { inner, pulse }
    }

    fn file(&self, path: &Path, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(LifeFile { inner, pulse: self.pulse.clone(), is_vote: is_vote(path) })
    }
}

fn is_vote(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("vote."))
}

impl Disk for LifeDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.pulse.before_operation(is_vote(path))?;
        Ok(self.file(path, self.inner.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(path, self.inner.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pulse.before_operation(is_vote(to))?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.pulse.before_operation(false)?;
        self.inner.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.inner.list(folder)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.inner.create_folder(folder)
    }

    fn open_folder(&self, folder: &Path) -> io::Result<Arc<dyn Folder>> {
        let inner = self.inner.open_folder(folder)?;
        Ok(Arc::new(LifeFolder { inner, pulse: self.pulse.clone() }))
    }

    fn wait(&self, pause: Duration) {
        self.inner.wait(pause);
    }
}

struct LifeFolder {
    inner: Arc<dyn Folder>,
    pulse: Arc<LifePulse>,
}

impl Folder for LifeFolder {
    fn sync(&self) -> io::Result<()> {
        self.pulse.before_operation(false)?;
        self.inner.sync()
    }
}

struct LifeFile {
    inner: Arc<dyn File>,
    pulse: Arc<LifePulse>,
    is_vote: bool,
}

impl File for LifeFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.pulse.before_operation(self.is_vote)?;
        self.inner.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.pulse.before_operation(self.is_vote)?;
        self.inner.sync_data()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.pulse.before_operation(self.is_vote)?;
        self.inner.allocate(bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.pulse.before_operation(self.is_vote)?;
        self.inner.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}
