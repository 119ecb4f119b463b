//! A truncation between locating a record and reading it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use evenkeel_storage::disk::{Disk, File, Folder, MemoryDisk};
use evenkeel_storage::journal::{self, JournalOptions, WriterStep};

use crate::rig::{folder, ignore, options, record};

type Interruption = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A disk that runs an action before a read.
struct Interrupted {
    disk: MemoryDisk,
    before_read: Interruption,
}

struct InterruptedFile {
    file: Arc<dyn File>,
    before_read: Interruption,
}

impl Interrupted {
    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(InterruptedFile { file, before_read: Arc::clone(&self.before_read) })
    }
}

impl Disk for Interrupted {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.disk.open(path)?))
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
}

impl File for InterruptedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let interruption = self.before_read.lock().unwrap().take();
        if let Some(happen) = interruption {
            happen();
        }
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

#[test]
fn a_read_that_a_cut_overtakes_begins_again() {
    let before_read = Interruption::default();
    let disk = Interrupted { disk: MemoryDisk::new(1), before_read: Arc::clone(&before_read) };
    let options = JournalOptions { tail_bytes_max: 0, ..options() };
    let (journal, mut writer, _) = journal::open(Arc::new(disk), folder(), options).unwrap();
    journal.append((0..10).map(|at| record(at, 1, 50)).collect(), ignore()).unwrap();
    assert_eq!(writer.step(10), WriterStep::Worked);
    let writer = Arc::new(Mutex::new(writer));

    let cut_after = |last: u64, term: u64| -> Box<dyn FnOnce() + Send> {
        let (journal, writer) = (journal.clone(), Arc::clone(&writer));
        Box::new(move || {
            journal.truncate_after(Some(last), ignore()).unwrap();
            writer.lock().unwrap().step(10);
            journal.append(vec![record(last + 1, term, 20)], ignore()).unwrap();
        })
    };
    *before_read.lock().unwrap() = Some(cut_after(6, 2));
    let found = journal.read(4, 20, usize::MAX).unwrap();
    let terms: Vec<(u64, u64)> = found.iter().map(|held| (held.position, held.term)).collect();
    assert_eq!(terms, [(4, 1), (5, 1), (6, 1), (7, 2)]);

    writer.lock().unwrap().step(10);
    *before_read.lock().unwrap() = Some(cut_after(3, 3));
    assert_eq!(journal.tip_at(6).unwrap(), None);

    writer.lock().unwrap().step(10);
    *before_read.lock().unwrap() = Some(cut_after(1, 4));
    let verified = journal.verify(&mut |_| Ok(())).unwrap();
    assert_eq!((verified.records, verified.last), (2, journal.tip_at(1).unwrap()));
}
