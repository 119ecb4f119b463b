//! Compares the journals of two data folders: what one has and the other hasn't. Links chain, so
//! from the first record whose link differs on, nothing is the same. It never writes.

use std::path::Path;

use evenkeel_storage::{
    disk::RealDisk,
    journal::{self, Record},
    superblock,
};
use serde::{Deserialize, Serialize};

use super::verify::VerifyError;
use crate::history::{decode_commands, record_kind};

/// What two journals have in common, and what only one of them has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalComparison {
    /// The last position at which both have the same record.
    pub common: Option<u64>,
    /// The records that only the first folder has.
    pub only_here: Vec<UnsharedRecord>,
    /// The records that only the second folder has.
    pub only_there: Vec<UnsharedRecord>,
}

/// A record that one of two journals has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsharedRecord {
    pub position: u64,
    pub term: u64,
    /// Microseconds since 1970; 0 for a record without commands.
    pub recorded_at: u64,
    /// The commands' ids; a command without an id is named by its kind.
    pub commands: Vec<String>,
}

impl JournalComparison {
    /// Whether each has records that the other hasn't: two histories.
    #[must_use]
    pub fn differs(&self) -> bool {
        !self.only_here.is_empty() && !self.only_there.is_empty()
    }
}

/// Compares the folders of two stopped nodes of one cluster, or copies of them.
///
/// # Errors
/// When a folder isn't a node's, is damaged, belongs to another cluster, or a node runs on it.
pub fn compare_journals(here: &Path, there: &Path) -> Result<JournalComparison, VerifyError> {
    let (here, there) = (Folder::claim(here)?, Folder::claim(there)?);
    if here.cluster != there.cluster {
        let what = "the two folders belong to different clusters";
        return Err(VerifyError::Folder(what.into()));
    }
    let mut links = Vec::new();
    here.walk(&mut |record| links.push(record.link))?;
    let mut common = 0_u64;
    there.walk(&mut |record| {
        let at = usize::try_from(record.position).ok();
        if record.position == common
            && at.and_then(|at| links.get(at)).is_some_and(|link| *link == record.link)
        {
            common += 1;
        }
    })?;
    Ok(JournalComparison {
        common: common.checked_sub(1),
        only_here: here.records_from(common)?,
        only_there: there.records_from(common)?,
    })
}

struct Folder<'a> {
    path: &'a Path,
    cluster: evenkeel_storage::ClusterId,
    _claim: superblock::Claim,
}

impl<'a> Folder<'a> {
    fn claim(path: &'a Path) -> Result<Self, VerifyError> {
        let unfit = |error: superblock::ClaimError| VerifyError::Folder(error.to_string());
        let owner = superblock::read(path).map_err(unfit)?;
        let claim = superblock::claim(path, owner.cluster, owner.node).map_err(unfit)?;
        Ok(Self { path, cluster: owner.cluster, _claim: claim })
    }

    fn walk(&self, visit: &mut dyn FnMut(&Record)) -> Result<(), VerifyError> {
        let walked = journal::verify(&RealDisk, self.path, Some(self.cluster), &mut |record| {
            visit(record);
            Ok(())
        });
        let damaged = |damage| VerifyError::Folder(format!("{}: {damage}", self.path.display()));
        walked.map(drop).map_err(damaged)
    }

    fn records_from(&self, first: u64) -> Result<Vec<UnsharedRecord>, VerifyError> {
        let mut records = Vec::new();
        self.walk(&mut |record| {
            if record.position >= first {
                records.push(describe(record));
            }
        })?;
        Ok(records)
    }
}

fn describe(record: &Record) -> UnsharedRecord {
    let mut commands = Vec::new();
    if record.kind == record_kind::COMMANDS {
        for command in decode_commands(&record.payload) {
            commands.push(match command {
                Ok((_, command, _)) => command
                    .id()
                    .map_or_else(|| "a command without an id".to_owned(), |id| id.to_string()),
                Err(why) => why,
            });
        }
    }
    let Record { position, term, time, .. } = *record;
    UnsharedRecord { position, term, recorded_at: time, commands }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use evenkeel_storage::{
        disk::Disk,
        journal::{JournalOptions, NewRecord},
    };

    use super::*;

    fn folder(node: u64, terms: &[u64]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(superblock::FOUNDING), "").unwrap();
        drop(superblock::claim(folder.path(), [7; 16], node).unwrap());
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let options = JournalOptions::new([7; 16]);
        let (journal, mut writer, _) = journal::open(disk, folder.path(), options).unwrap();
        let record = |(position, term): (u64, &u64)| NewRecord {
            position,
            term: *term,
            time: 0,
            kind: record_kind::BLANK,
            payload: bytes::Bytes::new(),
        };
        let records = (0..).zip(terms).map(record).collect();
        journal.append(records, Box::new(|_| ())).unwrap();
        writer.step(1);
        folder
    }

    #[test]
    fn what_one_has_and_the_other_has_not_is_listed() {
        let positions = |records: &[UnsharedRecord]| -> Vec<(u64, u64)> {
            records.iter().map(|record| (record.position, record.term)).collect()
        };
        let old = folder(1, &[1, 1, 3, 3, 3]);
        let new = folder(2, &[1, 1, 5]);
        let found = compare_journals(old.path(), new.path()).unwrap();
        assert_eq!(found.common, Some(1));
        assert_eq!(positions(&found.only_here), [(2, 3), (3, 3), (4, 3)]);
        assert_eq!(positions(&found.only_there), [(2, 5)]);
        assert!(found.differs());
        let behind = folder(3, &[1, 1, 3]);
        let found = compare_journals(old.path(), behind.path()).unwrap();
        assert_eq!((found.common, found.differs()), (Some(2), false));
        assert_eq!(positions(&found.only_here), [(3, 3), (4, 3)]);
        assert!(found.only_there.is_empty());
    }
}
