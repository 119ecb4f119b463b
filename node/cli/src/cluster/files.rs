//! Files that only their owner can read, created all or none.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::Failure;

/// The files and folders created so far. Without `commit`, all of them are removed again.
#[derive(Debug, Default)]
pub(crate) struct PendingFiles {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl PendingFiles {
    /// Creates a folder of mode 0700, with its parents. An existing folder is left as it is.
    pub(crate) fn create_folder(&mut self, path: &Path) -> Result<(), Failure> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create_folder(parent)?;
        }
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(|error| creation_failed(path, &error))?;
        self.folders.push(path.to_owned());
        Ok(())
    }

    /// Creates a file of mode 0600 and syncs it before returning. Never overwrites a file.
    pub(crate) fn create_file(&mut self, path: &Path, text: &str) -> Result<(), Failure> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| creation_failed(path, &error))?;
        self.files.push(path.to_owned());
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|error| creation_failed(path, &error))
    }

    /// Keeps everything and makes the names durable.
    pub(crate) fn commit(mut self) -> Result<(), Failure> {
        let mut folders = self.folders.clone();
        folders.extend(self.files.iter().chain(&self.folders).filter_map(|path| {
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_owned)
        }));
        folders.sort();
        folders.dedup();
        for folder in folders {
            File::open(&folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| creation_failed(&folder, &error))?;
        }
        self.files.clear();
        self.folders.clear();
        Ok(())
    }
}

impl Drop for PendingFiles {
    fn drop(&mut self) {
        // The failure that led here is reported; files that can't be removed stay visible.
        for file in self.files.drain(..).rev() {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.drain(..).rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn creation_failed(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{} can't be created: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_taken_away_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let taken = folder.path().join("taken");
        fs::write(&taken, "precious").expect("writable");
        let mut making = PendingFiles::default();
        making.create_folder(&folder.path().join("a/b")).expect("made");
        making.create_file(&folder.path().join("a/b/c"), "text").expect("made");
        assert!(making.create_file(&taken, "other").is_err(), "never overwrites a file");
        drop(making);
        assert!(!folder.path().join("a").exists());
        assert_eq!(fs::read_to_string(&taken).expect("still there"), "precious");
    }
}
