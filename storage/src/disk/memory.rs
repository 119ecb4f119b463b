//! A disk in memory that crashes like a real one, the same way for the same seed.
//!
//! A crash keeps what was synced. Of the rest it keeps, sector by sector, some, and loses or scrambles
//! the others; of the names made since their folder was last synced it keeps the first few. Files
//! opened before a crash answer with an error ever after. After a failed sync the next one succeeds
//! and makes nothing of the old writes durable, as real kernels do.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, File, bytes_u64};

const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

type Page = Box<[u8; PAGE_BYTES]>;

/// The disk. Clones share the content.
#[derive(Clone)]
pub struct MemoryDisk {
    machine: Arc<Mutex<Machine>>,
}

struct Machine {
    random: Random,
    crashes: u64,
    full: bool,
    sync_failures: u32,
    syncs: u64,
    files: Vec<Content>,
    folders: BTreeMap<PathBuf, Folder>,
}

/// Names of one folder: as seen now, as they would be after a crash, and the steps between.
#[derive(Default)]
struct Folder {
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<NameChange>,
}

enum NameChange {
    Put(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
struct Content {
    pages: BTreeMap<u64, Page>,
    bytes: u64,
    bytes_durable: u64,
    bytes_reserved: u64,
    /// Pages written since the last sync, as they were before; `None` was all zero.
    unsynced: BTreeMap<u64, Option<Page>>,
    /// Pages whose sync failed: clean to the kernel, and not on the disk.
    forsaken: BTreeMap<u64, Option<Page>>,
}

struct MemoryFile {
    machine: Arc<Mutex<Machine>>,
    crashes: u64,
    file: usize,
}

impl MemoryDisk {
    /// An empty disk. The seed decides what every crash keeps.
    pub fn new(seed: u64) -> Self {
        let machine = Machine {
            random: Random(seed),
            crashes: 0,
            full: false,
            sync_failures: 0,
            syncs: 0,
            files: Vec::new(),
            folders: BTreeMap::new(),
        };
        Self { machine: Arc::new(Mutex::new(machine)) }
    }

    /// Cuts the power: what was not synced may be gone, torn or scrambled; open files are dead.
    pub fn crash(&self) {
        self.machine().crash();
    }

    /// The next `sync_data` of any file fails, and its writes may never reach the disk.
    pub fn fail_next_sync(&self) {
        self.machine().sync_failures += 1;
    }

    /// While full, what needs new room fails; what was written or allocated can be written again.
    pub fn full(&self, full: bool) {
        self.machine().full = full;
    }

    /// How often a file was synced so far.
    pub fn syncs(&self) -> u64 {
        self.machine().syncs
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().expect("no method of the memory disk panics")
    }

    fn handle(&self, crashes: u64, file: usize) -> Arc<dyn File> {
        Arc::new(MemoryFile { machine: Arc::clone(&self.machine), crashes, file })
    }
}

impl Disk for MemoryDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut machine = self.machine();
        if machine.full {
            return Err(no_space());
        }
        let file = machine.files.len();
        let (folder, name) = machine.folder(path)?;
        if folder.live.contains_key(&name) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, shown(path)));
        }
        folder.change(NameChange::Put(name, file));
        machine.files.push(Content::default());
        Ok(self.handle(machine.crashes, file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut machine = self.machine();
        let (folder, name) = machine.folder(path)?;
        let file = *folder.live.get(&name).ok_or_else(|| not_found(path))?;
        Ok(self.handle(machine.crashes, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        if from.parent() != to.parent() {
            let text = format!("{} is in another folder than {}", shown(to), shown(from));
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let (_, to) = machine.folder(to)?;
        let (folder, name) = machine.folder(from)?;
        if !folder.live.contains_key(&name) {
            return Err(not_found(from));
        }
        folder.change(NameChange::Rename(name, to));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let (folder, name) = machine.folder(path)?;
        if !folder.live.contains_key(&name) {
            return Err(not_found(path));
        }
        folder.change(NameChange::Remove(name));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let machine = self.machine();
        let folder = machine.folders.get(folder).ok_or_else(|| not_found(folder))?;
        Ok(folder.live.keys().cloned().collect())
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        for folder in folder.ancestors() {
            machine.folders.entry(folder.to_path_buf()).or_default();
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let folder = machine.folders.get_mut(folder).ok_or_else(|| not_found(folder))?;
        folder.durable = folder.live.clone();
        folder.pending.clear();
        Ok(())
    }
}

impl Machine {
    fn folder(&mut self, path: &Path) -> io::Result<(&mut Folder, String)> {
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
        for content in &mut self.files {
            content.crash(&mut self.random);
        }
    }
}

impl Folder {
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

impl Content {
    fn write(&mut self, bytes: &[u8], offset: u64, full: bool) -> io::Result<()> {
        let end = offset + bytes_u64(bytes.len());
        let grows = end > self.bytes_reserved.max(self.bytes);
        let hole =
            |page| page_start(page) >= self.bytes_reserved && !self.pages.contains_key(&page);
        if full && (grows || pages_of(offset, end).any(hole)) {
            return Err(no_space());
        }
        for page in pages_of(offset, end) {
            let from = page_start(page).max(offset);
            let until = page_start(page + 1).min(end);
            let target = self.page_for_writing(page);
            let within = in_memory(from - page_start(page))..in_memory(until - page_start(page));
            target[within]
                .copy_from_slice(&bytes[in_memory(from - offset)..in_memory(until - offset)]);
        }
        self.bytes = self.bytes.max(end);
        Ok(())
    }

    fn page_for_writing(&mut self, page: u64) -> &mut Page {
        if let Some(before) = self.forsaken.remove(&page) {
            self.unsynced.insert(page, before);
        }
        if !self.unsynced.contains_key(&page) {
            self.unsynced.insert(page, self.pages.get(&page).cloned());
        }
        self.pages.entry(page).or_insert_with(zero_page)
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let end = self.bytes.min(offset + bytes_u64(buffer.len()));
        if end <= offset {
            return 0;
        }
        for page in pages_of(offset, end) {
            let from = page_start(page).max(offset);
            let until = page_start(page + 1).min(end);
            let target = &mut buffer[in_memory(from - offset)..in_memory(until - offset)];
            let within = in_memory(from - page_start(page))..in_memory(until - page_start(page));
            match self.pages.get(&page) {
                Some(page) => target.copy_from_slice(&page[within]),
                None => target.fill(0),
            }
        }
        in_memory(end - offset)
    }

    fn set_len(&mut self, bytes: u64) {
        if bytes < self.bytes {
            let gone: Vec<u64> = self.pages.range(bytes / 4096..).map(|(page, _)| *page).collect();
            for page in gone {
                let keep = in_memory(bytes.saturating_sub(page_start(page))).min(PAGE_BYTES);
                self.page_for_writing(page)[keep..].fill(0);
            }
            self.bytes_reserved = self.bytes_reserved.min(bytes);
        }
        self.bytes = bytes;
    }

    fn sync(&mut self) {
        self.unsynced.clear();
        self.bytes_durable = self.bytes;
    }

    fn fail_sync(&mut self) {
        for (page, before) in std::mem::take(&mut self.unsynced) {
            self.forsaken.entry(page).or_insert(before);
        }
    }

    fn crash(&mut self, random: &mut Random) {
        let mut doubtful = std::mem::take(&mut self.forsaken);
        doubtful.append(&mut self.unsynced);
        // Per file: lose all, keep all, or decide sector by sector.
        let mood = random.below(4);
        for (page, before) in doubtful {
            let before = before.unwrap_or_else(zero_page);
            let now = self.pages.entry(page).or_insert_with(zero_page);
            for sector in (0..PAGE_BYTES).step_by(SECTOR_BYTES) {
                let sector = sector..sector + SECTOR_BYTES;
                let keep = mood == 1 || (mood >= 2 && random.below(2) == 0);
                if keep || now[sector.clone()] == before[sector.clone()] {
                    continue;
                }
                let was_blank = before[sector.clone()].iter().all(|byte| *byte == 0);
                now[sector.clone()].copy_from_slice(&before[sector.clone()]);
                if was_blank && mood == 3 && random.below(8) == 0 {
                    now[sector].fill_with(|| random.byte());
                }
            }
        }
        if random.below(2) == 0 {
            self.bytes = self.bytes_durable;
        }
        self.bytes_durable = self.bytes;
        self.bytes_reserved = self.bytes_reserved.min(self.bytes);
        self.forget_beyond_the_end();
    }

    fn forget_beyond_the_end(&mut self) {
        let bytes = self.bytes;
        self.pages.retain(|page, _| page_start(*page) < bytes);
        if let Some(page) = self.pages.get_mut(&(bytes / 4096)) {
            page[in_memory(bytes % 4096)..].fill(0);
        }
    }
}

impl MemoryFile {
    fn content<R>(
        &self,
        act: impl FnOnce(&mut Content, &mut Faults) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut machine = self.machine.lock().expect("no method of the memory disk panics");
        if machine.crashes != self.crashes {
            return Err(io::Error::other("the machine has crashed since this file was opened"));
        }
        let mut faults = Faults { full: machine.full, sync_failures: machine.sync_failures };
        let result = act(&mut machine.files[self.file], &mut faults);
        machine.sync_failures = faults.sync_failures;
        result
    }
}

struct Faults {
    full: bool,
    sync_failures: u32,
}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.content(|content, _| Ok(content.read(buffer, offset)))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.content(|content, faults| content.write(bytes, offset, faults.full))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.content(|content, faults| {
            if faults.sync_failures > 0 {
                faults.sync_failures -= 1;
                content.fail_sync();
                return Err(io::Error::other("sync failed as asked"));
            }
            content.sync();
            Ok(())
        })?;
        self.machine.lock().expect("no method of the memory disk panics").syncs += 1;
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.content(|content, faults| {
            if faults.full && bytes > content.bytes_reserved {
                return Err(no_space());
            }
            content.bytes = content.bytes.max(bytes);
            content.bytes_reserved = content.bytes_reserved.max(bytes);
            Ok(())
        })
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.content(|content, _| {
            content.set_len(bytes);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.content(|content, _| Ok(content.bytes))
    }
}

/// SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        in_memory(self.next() % bytes_u64(bound))
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

fn pages_of(from: u64, until: u64) -> std::ops::Range<u64> {
    from / 4096..until.div_ceil(4096)
}

fn page_start(page: u64) -> u64 {
    page * 4096
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a file in memory fits in memory")
}

fn zero_page() -> Page {
    Box::new([0; PAGE_BYTES])
}

fn no_space() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "the disk is full")
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, shown(path))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
