//! Verifies what is on disk: walks the chain from its first record, rebuilds the balances and
//! compares them. It never repairs and never writes.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use evenkeel_storage::{
    ClusterId,
    balances::{self, Checkpoints, Row},
    disk::{Disk, RealDisk},
    journal::{self, Journal, Record, Verified, WalkError},
    superblock,
};

use evenkeel_wire::{id::CommandId, outcome::Outcome};

use super::recovery::{SETTING_MEMBERSHIP, balances_folder};
use super::verify_report::{DamageReport, VerifyReport};
use crate::{
    history::record_kind,
    history::{decode_commands, stamp},
    state::{
        checkpoint_rows::{from_stored_marker, from_stored_row},
        memory::HUGE_PAGES,
    },
};
use evenkeel_ledger::{
    CheckpointLoader, EntryHead, JournalLookup, Ledger, LedgerFault, RecordedCommand,
};

/// Why a folder can't be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("{0}")]
    Folder(String),
}

/// Walks a running node's journal up to the position that was durable when the walk began.
///
/// # Errors
/// When a file can't be read, which proves no damage.
pub fn verify_online(journal: &Journal) -> Result<VerifyReport, VerifyError> {
    build_report(journal.verify(&mut |_| Ok(())))
}

/// Verifies a data folder whose node is stopped, or a copy of one.
///
/// # Errors
/// When the folder isn't a node's data folder, or a node is running on it.
pub fn verify_offline(data: &Path) -> Result<VerifyReport, VerifyError> {
    let superblock =
        superblock::read(data).map_err(|error| VerifyError::Folder(error.to_string()))?;
    let _claim = superblock::claim(data, superblock.cluster, superblock.node)
        .map_err(|error| VerifyError::Folder(error.to_string()))?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut replay = Replay::new(checkpoint_marker(data), data.to_owned(), superblock.cluster);
    let walked = journal::verify(&*disk, data, Some(superblock.cluster), &mut |record| {
        replay.replay_record(record)
    });
    let intact = walked.is_ok();
    let mut report = build_report(walked)?;
    if intact {
        report.digest = Some(evenkeel_storage::Link(replay.ledger.digest()).to_string());
        if let Err(what) = replay.compare_checkpoint(data) {
            report.ok = false;
            report.damage = Some(DamageReport {
                file: balances_folder(data).display().to_string(),
                offset: None,
                position: replay.marker.as_ref().ok().and_then(|m| m.as_ref().map(|m| m.position)),
                what,
            });
        }
    }
    Ok(report)
}

fn build_report(walked: Result<Verified, WalkError>) -> Result<VerifyReport, VerifyError> {
    Ok(match walked {
        Ok(verified) => VerifyReport {
            first: verified.last.map(|_| 0),
            last: verified.last.map(|tip| tip.position),
            entries: verified.records,
            head: Some(verified.head.to_string()),
            ok: true,
            damage: None,
            digest: None,
        },
        Err(WalkError::Damaged(damage)) => VerifyReport {
            first: None,
            last: None,
            entries: 0,
            head: None,
            ok: false,
            damage: Some(DamageReport {
                file: damage.file,
                offset: Some(damage.offset),
                position: Some(damage.position),
                what: damage.what,
            }),
            digest: None,
        },
        Err(error) => return Err(VerifyError::Folder(error.to_string())),
    })
}

type MarkerOrNone = Result<Option<balances::Marker>, String>;

/// The checkpoint's marker; its rows are compared later.
fn checkpoint_marker(data: &Path) -> MarkerOrNone {
    let folder = balances_folder(data);
    if !folder.exists() {
        return Ok(None);
    }
    let mut open = balances::open(&folder).map_err(|error| error.to_string())?;
    open.load(&mut |_| Ok(())).map_err(|error| error.to_string())
}

/// A ledger rebuilt from the journal alone. It keeps every id in memory, so nothing that wasn't
/// replayed is trusted.
struct Replay {
    ledger: Ledger,
    marker: MarkerOrNone,
    digest_at_marker: Option<[u8; 32]>,
    seen: ReplayedRecords,
}

/// Bytes of replayed records that a replay keeps.
const REMEMBERED_BYTES_MAX: usize = 256 << 20;

impl Replay {
    fn new(marker: MarkerOrNone, folder: PathBuf, cluster: ClusterId) -> Self {
        let seen = ReplayedRecords { folder, cluster, records: VecDeque::new(), bytes: 0 };
        Self { ledger: Ledger::new(HUGE_PAGES), marker, digest_at_marker: None, seen }
    }

    fn replay_record(&mut self, record: &Record) -> Result<(), String> {
        let head = EntryHead {
            position: record.position,
            term: record.term,
            time: record.time,
            link: record.link.0,
        };
        if record.kind == record_kind::COMMANDS {
            self.seen.remember(record);
            let mut answers = Vec::new();
            self.ledger
                .apply(&head, &record.payload, &mut self.seen, &mut answers)
                .map_err(|unwell| unwell.to_string())?;
        } else {
            self.ledger.skip_entry(&head).map_err(|unwell| unwell.to_string())?;
        }
        if let Ok(Some(marker)) = &self.marker
            && marker.position == record.position
        {
            self.digest_at_marker = Some(self.ledger.digest());
        }
        Ok(())
    }

    /// Compares the checkpoint's rows with the replayed ledger.
    fn compare_checkpoint(&self, data: &Path) -> Result<(), String> {
        let Some(marker) = self.marker.clone()? else { return Ok(()) };
        let position = marker.position;
        let digest = self
            .digest_at_marker
            .ok_or_else(|| format!("the checkpoint is at {position}, beyond the journal's end"))?;
        if digest != marker.digest {
            return Err(format!("the checkpoint at {position} doesn't match the journal"));
        }
        let mut loader = CheckpointLoader::new(HUGE_PAGES);
        let mut open = balances::open(&balances_folder(data)).map_err(|e| e.to_string())?;
        open.load(&mut |row| match row {
            Row::Setting { name, .. } if name == SETTING_MEMBERSHIP => Ok(()),
            row => loader.put(from_stored_row(row)),
        })
        .map_err(|error| error.to_string())?;
        loader.finish(&from_stored_marker(marker)).map(drop)
    }
}

/// Looks up the first answers that a replay needs: nearly always recent ones.
struct ReplayedRecords {
    folder: PathBuf,
    cluster: ClusterId,
    records: VecDeque<Record>,
    bytes: usize,
}

impl ReplayedRecords {
    fn remember(&mut self, record: &Record) {
        self.bytes += record.payload.len();
        self.records.push_back(record.clone());
        while self.bytes > REMEMBERED_BYTES_MAX
            && let Some(oldest) = self.records.pop_front()
        {
            self.bytes -= oldest.payload.len();
        }
    }

    fn find_record(&self, position: u64) -> Result<Record, String> {
        // Not every position is here: a new primary's blank record has no commands.
        if let Ok(at) = self.records.binary_search_by_key(&position, |record| record.position) {
            return Ok(self.records[at].clone());
        }
        // Dropped from memory: read it again from the journal.
        let mut found = None;
        let _stopped_there =
            journal::verify(&RealDisk, &self.folder, Some(self.cluster), &mut |record| {
                if record.position < position {
                    return Ok(());
                }
                found = Some(record.clone());
                Err("found".into())
            });
        found.ok_or_else(|| format!("the record at {position} is missing"))
    }
}

impl JournalLookup for ReplayedRecords {
    fn read_command(
        &mut self,
        position: u64,
        command: u16,
    ) -> Result<RecordedCommand, LedgerFault> {
        let record = self.find_record(position).map_err(LedgerFault::new)?;
        let found = decode_commands(&record.payload).nth(usize::from(command));
        let found = found.ok_or_else(|| {
            LedgerFault::new(format!("entry {position} has no command {command}"))
        })?;
        let (_, _, bytes) = found.map_err(LedgerFault::new)?;
        Ok(RecordedCommand { stamp: stamp(&record), bytes: bytes.to_vec() })
    }

    fn find_sealed(&mut self, _id: CommandId) -> Result<Option<(u64, u16, Outcome)>, LedgerFault> {
        // Nothing is ever dropped: every id is in the ledger's memory.
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_storage::Link;

    use super::*;

    /// Every election leaves a position without commands. Once, the records behind such a position
    /// were confused with each other, and a good folder was reported as damaged.
    #[test]
    fn records_are_found_behind_positions_without_commands() {
        let nowhere = PathBuf::from("/nowhere");
        let mut seen = ReplayedRecords {
            folder: nowhere,
            cluster: [7; 16],
            records: VecDeque::new(),
            bytes: 0,
        };
        for position in [2, 3, 6, 7, 10] {
            seen.remember(&Record {
                position,
                term: 1,
                time: 1,
                kind: record_kind::COMMANDS,
                payload: position.to_le_bytes().to_vec().into(),
                link: Link([0; 32]),
            });
        }
        for position in [2, 3, 6, 7, 10] {
            assert_eq!(seen.find_record(position).map(|record| record.position), Ok(position));
        }
        for position in [0, 4, 8, 11] {
            assert!(seen.find_record(position).is_err(), "{position}");
        }
    }
}
