//! A disk in memory with simulated power cuts, reproducible from a seed.
//!
//! A crash keeps all synced data. Of unsynced data it keeps, loses or scrambles single sectors; of
//! the name changes since the last sync of a folder it keeps a prefix. Handles opened before a
//! crash return an error afterwards. After a failed sync the next sync succeeds but doesn't make
//! the earlier writes durable, as real kernels behave. Other troubles last until they are set back
//! ([`DiskTrouble`]).

mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::io::Errno;

use super::{Disk, File, Folder, failed_sync};
use content::{FileContent, Random};

/// A simulated disk. Clones share the content.
#[derive(Clone)]
pub struct MemoryDisk {
    machine: Arc<Mutex<Machine>>,
}

/// What is wrong with a disk, or with the process that uses it, until it is set back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskTrouble {
    /// Operations that need new space fail (ENOSPC). Written or allocated bytes can still be
    /// overwritten.
    pub full: bool,
    /// Nothing can be opened or created (EMFILE). Open files work.
    pub no_descriptors: bool,
    /// The same for half of the attempts.
    pub few_descriptors: bool,
    /// Reads of file content fail (EIO).
    pub unreadable: bool,
    /// Writes and reservations fail (EIO).
    pub unwritable: bool,
}

struct Machine {
    random: Random,
    crashes: u64,
    trouble: DiskTrouble,
    sync_failures: u32,
    syncs: u64,
    files: Vec<FileContent>,
    folders: BTreeMap<PathBuf, FolderNames>,
}

/// The names of one folder: visible now, durable, and the changes between the two.
#[derive(Default)]
struct FolderNames {
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<NameChange>,
}

enum NameChange {
    Put(String, usize),
    Rename(String, String),
    Remove(String),
}

struct MemoryFolder {
    machine: Arc<Mutex<Machine>>,
    crashes: u64,
    path: PathBuf,
}

/// Everything on a disk at one moment.
pub struct DiskSnapshot(BTreeMap<PathBuf, BTreeMap<String, Vec<u8>>>);

struct MemoryFile {
    machine: Arc<Mutex<Machine>>,
    crashes: u64,
    file: usize,
}

impl MemoryDisk {
    /// An empty disk. The seed determines what each crash keeps.
    pub fn new(seed: u64) -> Self {
        let machine = Machine {
            random: Random(seed),
            crashes: 0,
            trouble: DiskTrouble::default(),
            sync_failures: 0,
            syncs: 0,
            files: Vec::new(),
            folders: BTreeMap::new(),
        };
        Self { machine: Arc::new(Mutex::new(machine)) }
    }

    /// Simulates a power cut: unsynced data may be lost, torn or scrambled. Open handles become
    /// invalid.
    pub fn crash(&self) {
        self.lock_machine().crash();
    }

    /// Replaces the disk with an empty one. Open handles become invalid.
    pub fn replace_with_empty(&self) {
        let mut machine = self.lock_machine();
        machine.crashes += 1;
        machine.folders.clear();
        machine.files.iter_mut().for_each(|content| *content = FileContent::default());
    }

    /// What the disk holds now, unsynced writes included: a snapshot of the running machine.
    pub fn snapshot(&self) -> DiskSnapshot {
        let machine = self.lock_machine();
        let folders = machine.folders.iter().map(|(path, folder)| {
            let files = folder.live.iter();
            let file = |(name, at): (&String, &usize)| (name.clone(), machine.files[*at].bytes());
            (path.clone(), files.map(file).collect())
        });
        DiskSnapshot(folders.collect())
    }

    /// Puts a snapshot in place of everything on the disk. Open handles become invalid.
    pub fn restore(&self, snapshot: &DiskSnapshot) {
        self.replace_with_empty();
        let mut machine = self.lock_machine();
        for (path, files) in &snapshot.0 {
            let mut folder = FolderNames::default();
            for (name, bytes) in files {
                let mut content = FileContent::default();
                content.restore(bytes);
                machine.files.push(content);
                let at = machine.files.len() - 1;
                folder.live.insert(name.clone(), at);
                folder.durable.insert(name.clone(), at);
            }
            machine.folders.insert(path.clone(), folder);
        }
    }

    /// Makes the next `sync_data` of any file fail. Its writes may never reach the disk.
    pub fn fail_next_sync(&self) {
        self.lock_machine().sync_failures += 1;
    }

    /// Sets whether the disk is full. While it is, operations that need new space fail; written or
    /// allocated bytes can still be overwritten.
    pub fn set_full(&self, full: bool) {
        self.lock_machine().trouble.full = full;
    }

    /// Sets what is wrong with the disk from now on.
    pub fn set_trouble(&self, trouble: DiskTrouble) {
        self.lock_machine().trouble = trouble;
    }

    /// What is wrong with the disk at the moment.
    pub fn trouble(&self) -> DiskTrouble {
        self.lock_machine().trouble
    }

    /// Whether a file has this name now, whatever is wrong with the disk.
    pub fn holds_file(&self, path: &Path) -> bool {
        let mut machine = self.lock_machine();
        machine.folder_of(path).is_ok_and(|(folder, name)| folder.live.contains_key(&name))
    }

    /// The number of successful file syncs so far.
    pub fn sync_count(&self) -> u64 {
        self.lock_machine().syncs
    }

    fn lock_machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().expect("no method of the memory disk panics")
    }

    fn handle(&self, crashes: u64, file: usize) -> Arc<dyn File> {
        Arc::new(MemoryFile { machine: Arc::clone(&self.machine), crashes, file })
    }
}

impl Disk for MemoryDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut machine = self.lock_machine();
        machine.check_descriptors()?;
        if machine.trouble.full {
            return Err(no_space());
        }
        let file = machine.files.len();
        let (folder, name) = machine.folder_of(path)?;
        if folder.live.contains_key(&name) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, path_text(path)));
        }
        folder.change(NameChange::Put(name, file));
        machine.files.push(FileContent::default());
        Ok(self.handle(machine.crashes, file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut machine = self.lock_machine();
        machine.check_descriptors()?;
        let (folder, name) = machine.folder_of(path)?;
        let file = *folder.live.get(&name).ok_or_else(|| not_found(path))?;
        Ok(self.handle(machine.crashes, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.lock_machine();
        if from.parent() != to.parent() {
            let text = format!("{} is in another folder than {}", path_text(to), path_text(from));
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let (_, to) = machine.folder_of(to)?;
        let (folder, name) = machine.folder_of(from)?;
        if !folder.live.contains_key(&name) {
            return Err(not_found(from));
        }
        folder.change(NameChange::Rename(name, to));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.lock_machine();
        let (folder, name) = machine.folder_of(path)?;
        if !folder.live.contains_key(&name) {
            return Err(not_found(path));
        }
        folder.change(NameChange::Remove(name));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut machine = self.lock_machine();
        machine.check_descriptors()?;
        let folder = machine.folders.get(folder).ok_or_else(|| not_found(folder))?;
        Ok(folder.live.keys().cloned().collect())
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        let mut machine = self.lock_machine();
        for folder in folder.ancestors() {
            machine.folders.entry(folder.to_path_buf()).or_default();
        }
        Ok(())
    }

    fn open_folder(&self, folder: &Path) -> io::Result<Arc<dyn Folder>> {
        let mut machine = self.lock_machine();
        machine.check_descriptors()?;
        if !machine.folders.contains_key(folder) {
            return Err(not_found(folder));
        }
        let (path, crashes) = (folder.to_path_buf(), machine.crashes);
        Ok(Arc::new(MemoryFolder { machine: Arc::clone(&self.machine), crashes, path }))
    }

    fn wait(&self, _pause: Duration) {}
}

impl Folder for MemoryFolder {
    fn sync(&self) -> io::Result<()> {
        let mut machine = self.machine.lock().expect("no method of the memory disk panics");
        if machine.crashes != self.crashes {
            return Err(stale_handle());
        }
        let folder = machine.folders.get_mut(&self.path).ok_or_else(|| not_found(&self.path))?;
        folder.durable = folder.live.clone();
        folder.pending.clear();
        Ok(())
    }
}

impl Machine {
    fn check_descriptors(&mut self) -> io::Result<()> {
        let trouble = self.trouble;
        let fails =
            trouble.no_descriptors || (trouble.few_descriptors && self.random.below(2) == 0);
        if fails { Err(Errno::MFILE.into()) } else { Ok(()) }
    }

    fn folder_of(&mut self, path: &Path) -> io::Result<(&mut FolderNames, String)> {
        let parent = path.parent().ok_or_else(|| not_found(path))?;
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or_else(|| not_found(path))?;
        let folder = self.folders.get_mut(parent).ok_or_else(|| not_found(path))?;
        Ok((folder, name.to_owned()))
    }

    fn crash(&mut self) {
        self.crashes += 1;
        for folder in self.folders.values_mut() {
            let kept = self.random.below(folder.pending.len() + 1);
            for change in folder.pending.drain(..).take(kept) {
                change.apply(&mut folder.durable);
            }
            folder.live = folder.durable.clone();
        }
        let named: BTreeSet<usize> =
            self.folders.values().flat_map(|folder| folder.live.values().copied()).collect();
        for (file, content) in self.files.iter_mut().enumerate() {
            match named.contains(&file) {
                true => content.crash(&mut self.random),
                false => *content = FileContent::default(),
            }
        }
    }
}

impl FolderNames {
    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Put(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl MemoryFile {
    fn with_content<R>(
        &self,
        act: impl FnOnce(&mut FileContent, &mut Faults) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut machine = self.machine.lock().expect("no method of the memory disk panics");
        if machine.crashes != self.crashes {
            return Err(stale_handle());
        }
        let mut faults = Faults { trouble: machine.trouble, sync_failures: machine.sync_failures };
        let result = act(&mut machine.files[self.file], &mut faults);
        machine.sync_failures = faults.sync_failures;
        result
    }
}

struct Faults {
    trouble: DiskTrouble,
    sync_failures: u32,
}

impl Faults {
    fn check_readable(&self) -> io::Result<()> {
        if self.trouble.unreadable { Err(Errno::IO.into()) } else { Ok(()) }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.trouble.unwritable { Err(Errno::IO.into()) } else { Ok(()) }
    }
}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with_content(|content, faults| {
            faults.check_readable()?;
            Ok(content.read(buffer, offset))
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with_content(|content, faults| {
            faults.check_writable()?;
            content.write(bytes, offset, faults.trouble.full)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with_content(|content, faults| {
            if faults.sync_failures > 0 {
                faults.sync_failures -= 1;
                content.fail_sync();
                return Err(failed_sync(io::Error::other("sync failed as asked")));
            }
            content.sync();
            Ok(())
        })?;
        self.machine.lock().expect("no method of the memory disk panics").syncs += 1;
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.with_content(|content, faults| {
            faults.check_writable()?;
            if faults.trouble.full && bytes > content.reserved_bytes() {
                return Err(no_space());
            }
            content.allocate(bytes);
            Ok(())
        })
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.with_content(|content, _| {
            content.set_len(bytes);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with_content(|content, _| Ok(content.length()))
    }
}

fn stale_handle() -> io::Error {
    io::Error::other("the machine has crashed since this file was opened")
}

fn no_space() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "the disk is full")
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path_text(path))
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}
