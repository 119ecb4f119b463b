//! Sets a damaged checkpoint aside. It never deletes one, so that it can be inspected.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Durably renames the folder to `<folder>.damaged.N`, where N is the first free number from 1 on,
/// and returns the new path. Drop all handles opened in the folder before.
pub fn quarantine(folder: &Path) -> io::Result<PathBuf> {
    let name = folder.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the balances' folder has no name")
    })?;
    for number in 1..=u32::MAX {
        let mut aside = OsString::from(name);
        aside.push(format!(".damaged.{number}"));
        let aside = folder.with_file_name(aside);
        if fs::symlink_metadata(&aside).is_ok() {
            continue;
        }
        fs::rename(folder, &aside)?;
        if let Some(parent) = aside.parent() {
            File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?
                .sync_all()?;
        }
        return Ok(aside);
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "no number is free for damaged balances"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_free_number_and_keeps_the_content() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("balances");
        for expected in ["balances.damaged.1", "balances.damaged.2"] {
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("db"), expected).unwrap();
            let aside = quarantine(&folder).unwrap();
            assert_eq!(aside, parent.path().join(expected));
            assert_eq!(fs::read_to_string(aside.join("db")).unwrap(), expected);
            assert!(!folder.exists());
        }
    }

    #[test]
    fn says_when_there_is_nothing_to_set_aside() {
        let parent = tempfile::tempdir().unwrap();
        let error = quarantine(&parent.path().join("balances")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
