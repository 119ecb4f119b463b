//! A disk that counts the reads on one thread, and that can hold back all others.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use evenkeel_storage::disk::{Disk, File, Folder};

/// What is watched, and the gate.
#[derive(Default)]
pub(crate) struct ReadWatch {
    thread: Mutex<Option<ThreadId>>,
    reads: AtomicUsize,
    closed: Mutex<bool>,
    opened: Condvar,
}

impl ReadWatch {
    /// Counts the reads of files that this thread makes while `work` runs.
    pub(crate) fn reads_during<T>(&self, work: impl FnOnce() -> T) -> (usize, T) {
        self.begin();
        let result = work();
        (self.end(), result)
    }

    /// Counts from now on, on this thread.
    pub(crate) fn begin(&self) {
        self.reads.store(0, Ordering::SeqCst);
        *self.thread.lock().unwrap() = Some(thread::current().id());
    }

    pub(crate) fn end(&self) -> usize {
        *self.thread.lock().unwrap() = None;
        self.reads.load(Ordering::SeqCst)
    }

    /// Holds back the reads of other threads until [`Self::open_gate`].
    pub(crate) fn close_gate(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub(crate) fn open_gate(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass_read(&self) {
        if *self.thread.lock().unwrap() == Some(thread::current().id()) {
            self.reads.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let mut closed = self.closed.lock().unwrap();
        while *closed {
            closed = self.opened.wait(closed).unwrap();
        }
    }
}

pub(crate) struct WatchedDisk {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) watch: Arc<ReadWatch>,
}

struct WatchedFile {
    file: Arc<dyn File>,
    watch: Arc<ReadWatch>,
}

impl WatchedDisk {
    fn watched(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(WatchedFile { file, watch: self.watch.clone() })
    }
}

impl Disk for WatchedDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.disk.create(path).map(|file| self.watched(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.disk.open(path).map(|file| self.watched(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.create_folder(folder)
    }

    fn open_folder(&self, folder: &Path) -> io::Result<Arc<dyn Folder>> {
        self.disk.open_folder(folder)
    }

    fn wait(&self, pause: Duration) {
        self.disk.wait(pause);
    }
}

impl File for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.watch.pass_read();
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.file.allocate(bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
