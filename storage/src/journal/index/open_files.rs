//! The open index files: a bounded number of the most recently used ones.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Position, aside_path_of, path_of};
use crate::disk::{Disk, File, is_transient, open_patiently};

pub(crate) struct OpenFiles {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    files_max: AtomicUsize,
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

/// The reader for which a file is kept open. A rebuilt index is a new reader, so it never gets the
/// file it replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReaderId(u64);

impl OpenFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: &Path, files_max: usize) -> Self {
        let files_max = AtomicUsize::new(files_max);
        Self { disk, folder: folder.to_path_buf(), files_max, kept: Mutex::default() }
    }

    pub(crate) fn set_files_max(&self, files_max: usize) {
        self.files_max.store(files_max, Ordering::Relaxed);
        while self.lock().files.len() > files_max {
            self.drop_longest_unused();
        }
    }

    pub(crate) fn new_reader(&self) -> ReaderId {
        let mut kept = self.lock();
        kept.readers += 1;
        ReaderId(kept.readers)
    }

    /// Opens the index of the segment at `first`, without keeping the file. Where no descriptor is
    /// free, it gives one of its own back first.
    pub(crate) fn open(&self, first: Position) -> io::Result<Arc<dyn File>> {
        let path = path_of(&self.folder, first);
        match self.disk.open(&path) {
            Err(error) if is_transient(&error) => {
                self.drop_longest_unused();
                open_patiently(&*self.disk, &path)
            }
            opened => opened,
        }
    }

    /// Durably renames an unreadable index to its damaged name, so that the next start finds none
    /// and rebuilds it. Returns the new path, or `None` if the file was missing.
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
        if kept.files.len() >= self.files_max.load(Ordering::Relaxed) {
            kept.drop_longest_unused();
        }
        kept.uses += 1;
        let at = kept.uses;
        kept.files.insert(reader, KeptFile { file, at });
    }

    pub(crate) fn drop_longest_unused(&self) -> bool {
        self.lock().drop_longest_unused()
    }

    pub(crate) fn forget(&self, reader: ReaderId) {
        self.lock().files.remove(&reader);
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.lock().files.len()
    }

    /// A poisoned lock is safe to use: every change is a single step.
    fn lock(&self) -> MutexGuard<'_, KeptFiles> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptFiles {
    /// Closes the file that was used longest ago. Returns false if none is open.
    fn drop_longest_unused(&mut self) -> bool {
        let unused = self.files.iter().min_by_key(|(_, used)| used.at).map(|(reader, _)| *reader);
        unused.is_some_and(|unused| self.files.remove(&unused).is_some())
    }
}
