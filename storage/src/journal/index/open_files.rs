//! The index files held open: the few asked last, not one for every segment ever sealed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Position, aside_path_of, path_of};
use crate::disk::{Disk, File};

pub(crate) struct OpenFiles {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    files_max: usize,
    kept: Mutex<KeptFiles>,
}

#[derive(Default)]
struct KeptFiles {
    files: BTreeMap<ReaderId, KeptFile>,
    readers: u64,
    uses: u64,
}

struct KeptFile {
    file: Arc<dyn File>,
    at: u64,
}

/// Who keeps a file open. A rebuilt index is a new reader, so it never meets the file it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReaderId(u64);

impl OpenFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: &Path, files_max: usize) -> Self {
        Self { disk, folder: folder.to_path_buf(), files_max, kept: Mutex::default() }
    }

    pub(crate) fn new_reader(&self) -> ReaderId {
        let mut kept = self.lock();
        kept.readers += 1;
        ReaderId(kept.readers)
    }

    /// Opens the index of the segment at `first`; keeping it is the caller's choice.
    pub(crate) fn open(&self, first: Position) -> io::Result<Arc<dyn File>> {
        self.disk.open(&path_of(&self.folder, first))
    }

    /// Takes the name from an index that cannot be read, durably: the next start finds none and builds it anew.
    /// `None`: there was none any more.
    pub(crate) fn set_aside(&self, first: Position) -> io::Result<Option<PathBuf>> {
        let aside = aside_path_of(&self.folder, first);
        match self.disk.rename(&path_of(&self.folder, first), &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            renamed => renamed?,
        }
        self.disk.sync_folder(&self.folder)?;
        Ok(Some(aside))
    }

    pub(crate) fn kept_file(&self, reader: ReaderId) -> Option<Arc<dyn File>> {
        let mut kept = self.lock();
        kept.uses += 1;
        let at = kept.uses;
        let used = kept.files.get_mut(&reader)?;
        used.at = at;
        Some(Arc::clone(&used.file))
    }

    pub(crate) fn keep_file(&self, reader: ReaderId, file: Arc<dyn File>) {
        let mut kept = self.lock();
        if kept.files.len() >= self.files_max {
            let longest_unused = kept.files.iter().min_by_key(|(_, used)| used.at);
            if let Some(unused) = longest_unused.map(|(reader, _)| *reader) {
                kept.files.remove(&unused);
            }
        }
        kept.uses += 1;
        let at = kept.uses;
        kept.files.insert(reader, KeptFile { file, at });
    }

    pub(crate) fn forget(&self, reader: ReaderId) {
        self.lock().files.remove(&reader);
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.lock().files.len()
    }

    /// A panic elsewhere leaves nothing half done: every change is a single step.
    fn lock(&self) -> MutexGuard<'_, KeptFiles> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
