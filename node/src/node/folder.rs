//! Opens a data folder: claims it, recovers journal and ledger, and sets damaged balances aside.
//!
//! It never deletes what is damaged.

use std::{path::Path, sync::Arc};

use evenkeel_storage::{
    balances::{self, Checkpoints},
    disk::{Disk, RealDisk},
    journal::{self, Journal, JournalOptions, JournalRecovery, SegmentState, WalkError, Writer},
    superblock::{self, Claim},
};

use tokio::time::Instant;

use super::{RunError, io_error};
use crate::{
    clock::format_span,
    config::Config,
    keeper::{ReopenCheckpoints, Reopening},
    limits::START_SCRUB_BYTES,
    replay::recovery::{Recovered, Recovery, RecoveryError, balances_folder},
};

/// Everything that a data folder holds, open and recovered.
pub(crate) struct DataFolder {
    pub(crate) claim: Claim,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) journal: Journal,
    pub(crate) writer: Writer,
    pub(crate) recovery: JournalRecovery,
    pub(crate) recovered: Recovered,
    pub(crate) checkpoints: Box<dyn Checkpoints>,
    pub(crate) reopen: ReopenCheckpoints,
    pub(crate) volatile: bool,
}

pub(crate) fn open(config: &Config) -> Result<DataFolder, RunError> {
    let begun = Instant::now();
    let claim = superblock::claim(&config.data, config.cluster.0, config.node)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let opened = journal::open(disk.clone(), &config.data, JournalOptions::new(config.cluster.0));
    let (journal, writer, recovery) = opened.map_err(|error| {
        if error.is_damage() {
            RunError::Damaged(error.to_string())
        } else {
            RunError::Journal(error)
        }
    })?;
    if recovery.cut_bytes > 0 {
        let kept = recovery.cut_file.as_ref().map(|path| path.display().to_string());
        tracing::warn!(
            bytes = recovery.cut_bytes,
            kept,
            "cut bytes off the journal's end that were never acknowledged: the last write was torn"
        );
    }
    scrub_newest(&journal)?;
    let volatile = is_volatile(&config.data)?;
    if volatile {
        tracing::warn!(
            "the data folder is on a file system in memory: nothing survives a power cut"
        );
    }
    let (recovered, checkpoints) = recover(config, &disk, &journal, begun)?;
    let folder = balances_folder(&config.data);
    let reopen: ReopenCheckpoints = Box::new(move |reopening| {
        if reopening == Reopening::Anew {
            // A checkpoint whose writes failed isn't trusted either.
            quarantine_balances(&folder)?;
        }
        match balances::open(&folder) {
            Err(error) if error.is_damage() => {
                quarantine_balances(&folder)?;
                Ok(Box::new(balances::open(&folder)?))
            }
            opened => Ok(Box::new(opened?)),
        }
    });
    Ok(DataFolder {
        claim,
        disk,
        journal,
        writer,
        recovery,
        recovered,
        checkpoints,
        reopen,
        volatile,
    })
}

/// Checks the newest sealed segments: damage there must be found before this node votes.
fn scrub_newest(journal: &Journal) -> Result<(), RunError> {
    let mut walked = 0;
    let segments = journal.segments();
    for segment in segments.iter().rev().filter(|segment| segment.state == SegmentState::Sealed) {
        if walked >= START_SCRUB_BYTES {
            break;
        }
        journal.scrub(segment.first).map_err(|error| match error {
            WalkError::Damaged(damage) => RunError::Damaged(damage.to_string()),
            error => RunError::Unread(error.to_string()),
        })?;
        walked += segment.bytes;
    }
    Ok(())
}

fn recover(
    config: &Config,
    disk: &Arc<dyn Disk>,
    journal: &Journal,
    begun: Instant,
) -> Result<(Recovered, Box<dyn Checkpoints>), RunError> {
    let folder = balances_folder(&config.data);
    let mut checkpoints: Box<dyn Checkpoints> = match balances::open(&folder) {
        Ok(open) => Box::new(open),
        Err(error) if error.is_damage() => {
            quarantine_damaged(&folder, &error.to_string())?;
            Box::new(balances::open(&folder)?)
        }
        Err(error) => return Err(error.into()),
    };
    let mut logged = 0;
    let mut progress = |done: u64, all: u64| {
        if done / 100_000 > logged {
            logged = done / 100_000;
            tracing::info!(done, all, "replaying the journal");
        }
    };
    let recovered = Recovery {
        disk: disk.clone(),
        journal: journal.clone(),
        checkpoints: &mut *checkpoints,
        progress: &mut progress,
    }
    .run()
    .map_err(|error| match error {
        RecoveryError::Journal { .. } if journal.damage_found() => {
            RunError::Damaged(error.to_string())
        }
        RecoveryError::Replay { .. } => RunError::Broken(error.to_string()),
        error => error.into(),
    })?;
    let report = &recovered.report;
    if let Some(why) = &report.checkpoint_unread {
        tracing::warn!(why, "the balances' checkpoint wasn't read; replayed the whole journal");
    }
    if let Some(why) = &report.checkpoint_refused {
        drop(checkpoints);
        quarantine_damaged(&folder, why)?;
        checkpoints = Box::new(balances::open(&folder)?);
    }
    tracing::info!(
        took = format_span(begun.elapsed()),
        checkpoint = report.checkpoint,
        replayed = report.replayed,
        indexes_rebuilt = report.indexes_rebuilt,
        position = recovered.state.position(),
        accounts = recovered.state.with_ledger(|ledger| ledger.account_count()),
        "recovered the ledger"
    );
    Ok((recovered, checkpoints))
}

fn quarantine_damaged(folder: &Path, why: &str) -> Result<(), RunError> {
    quarantine_balances(folder).map_err(io_error("setting damaged balances aside"))?;
    tracing::error!(
        why,
        "the balances' checkpoint can't be trusted: set aside, and rebuilt from the journal"
    );
    Ok(())
}

fn quarantine_balances(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        let kept = balances::quarantine(folder)?;
        tracing::warn!(kept = %kept.display(), "kept the damaged balances");
    }
    Ok(())
}

/// Whether the folder is on a file system in memory.
fn is_volatile(data: &Path) -> Result<bool, RunError> {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    let found =
        rustix::fs::statfs(data).map_err(|e| io_error("asking for the file system")(e.into()))?;
    let kind = u64::try_from(found.f_type).unwrap_or(0) & 0xffff_ffff;
    Ok(kind == TMPFS || kind == RAMFS)
}
