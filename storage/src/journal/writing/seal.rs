//! Seals a full segment: adds a footer, cuts the file to its exact length, and renames it.
//!
//! Before the footer is written the file is durably renamed to `.sealing`, so that an unfinished
//! footer is recognized after a crash; the next start cuts it off and the segment is sealed again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::poison::Poisoned;
use crate::Position;
use crate::disk::{File, bytes_u64, is_full, is_transient};
use crate::journal::Journal;
use crate::journal::format::footer::Footer;
use crate::journal::format::segment::{SegmentState, Suffix, file_name};
use crate::journal::reading::reader::{self, ReadError};
use crate::journal::shared::SpaceNeed;

/// Why a segment wasn't sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Only a rolled segment can be sealed.
    #[error("no rolled segment begins at {0}")]
    NotRolled(Position),
    /// Some of its records aren't committed and may still be truncated.
    #[error("the segment that begins at {0} isn't committed to its end")]
    NotCommitted(Position),
    /// Its records can't be read back.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The disk has no space for the footer; sealing can be retried.
    #[error("no space to seal the segment that begins at {0}")]
    DiskFull(Position),
    /// No descriptor or memory is free at the moment; sealing can be retried.
    #[error("the segment that begins at {first} can't be sealed now: {source}")]
    TryAgain {
        /// The segment's first position.
        first: Position,
        /// The error of the disk.
        source: io::Error,
    },
    /// The disk failed and the journal has stopped.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

struct Rolled {
    path: PathBuf,
    file: Arc<dyn File>,
    offsets: Vec<u32>,
    end: u64,
}

impl Journal {
    /// Seals the rolled segment that begins at `first`; durable on return. The caller must have
    /// applied all its records. Blocks, and runs beside the writer, which never touches a rolled
    /// segment.
    pub fn seal(&self, first: Position) -> Result<(), SealError> {
        let rolled = self.rolled_segment(first)?;
        let tip_of = |offset: Option<&u32>| {
            let offset = u64::from(*offset.expect("a rolled segment has records"));
            reader::read_tip(&*rolled.file, &rolled.path, offset)
        };
        let last = tip_of(rolled.offsets.last())?;
        let footer = Footer::new(rolled.end, &tip_of(rolled.offsets.first())?, &last);
        let bytes = footer.encode(&rolled.offsets);
        if let Err(error) = self.write_footer(&rolled, first, &bytes) {
            if is_full(&error) {
                self.shared.set_space(SpaceNeed::Footer, false);
                return Err(SealError::DiskFull(first));
            }
            if is_transient(&error) {
                return Err(SealError::TryAgain { first, source: error });
            }
            let reason = format!("sealing the segment that begins at {first}: {error}");
            return Err(self.shared.poison(&reason).into());
        }
        self.shared.set_space(SpaceNeed::Footer, true);
        let mut memory = self.shared.lock_memory();
        // The oldest rolled segment is sealed first: this one is the newest.
        memory.sealed_tip = Some(last);
        let segment = memory.segments.iter_mut().find(|segment| segment.first == first);
        let segment = segment.expect("a rolled and committed segment is never removed");
        segment.state = SegmentState::Sealed;
        segment.is_sealing = false;
        segment.file = None;
        segment.offsets = Vec::new();
        segment.bytes = rolled.end + bytes_u64(bytes.len());
        Ok(())
    }

    fn rolled_segment(&self, first: Position) -> Result<Rolled, SealError> {
        let memory = self.shared.lock_memory();
        if let Some(poisoned) = &memory.poisoned {
            return Err(poisoned.clone().into());
        }
        let segment = memory.segments.iter().find(|segment| segment.first == first);
        let segment = segment.filter(|segment| segment.state == SegmentState::Rolled);
        let segment = segment.ok_or(SealError::NotRolled(first))?;
        if segment.last() > memory.committed {
            return Err(SealError::NotCommitted(first));
        }
        let file = segment.file.as_ref().map(Arc::clone).ok_or(SealError::NotRolled(first))?;
        let path = segment.path(&self.shared.folder);
        Ok(Rolled { path, file, offsets: segment.offsets.clone(), end: segment.end })
    }

    fn write_footer(&self, rolled: &Rolled, first: Position, bytes: &[u8]) -> io::Result<()> {
        let folder: &Path = &self.shared.folder;
        let sealing = folder.join(file_name(first, Suffix::Sealing));
        if rolled.path != sealing {
            self.shared.disk.rename(&rolled.path, &sealing)?;
            let mut memory = self.shared.lock_memory();
            let segment = memory.segments.iter_mut().find(|segment| segment.first == first);
            segment.expect("a rolled and committed segment is never removed").is_sealing = true;
        }
        self.shared.names.sync()?;
        rolled.file.write_at(bytes, rolled.end)?;
        rolled.file.set_len(rolled.end + bytes_u64(bytes.len()))?;
        rolled.file.sync_data()?;
        self.shared.disk.rename(&sealing, &folder.join(file_name(first, Suffix::Sealed)))?;
        self.shared.names.sync()
    }
}
