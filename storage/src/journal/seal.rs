//! Closing a full segment for ever: a footer, the exact length, and a new name.
//!
//! The footer's head is synced before the rest is written, so that after a crash an unfinished footer
//! is known for one; start-up cuts it off and the segment is sealed again.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Journal;
use super::footer::{self, Footer};
use super::poison::Poisoned;
use super::reader::{self, ReadError};
use super::segment::{State, file_name};
use crate::Position;
use crate::disk::{File, bytes_u64, is_full};

/// Why a segment was not sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Only a rolled segment can be sealed.
    #[error("no rolled segment begins at {0}")]
    NotRolled(Position),
    /// What is not committed may still be truncated.
    #[error("the segment that begins at {0} is not committed to its end")]
    NotCommitted(Position),
    /// Its records cannot be read back.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// There is no room for the footer; it can be tried again.
    #[error("no room to seal the segment that begins at {0}")]
    DiskFull(Position),
    /// The disk failed, and the journal has stopped.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

struct Rolled {
    file: Arc<dyn File>,
    offsets: Vec<u32>,
    end: u64,
}

impl Journal {
    /// Seals the rolled segment that begins at `first`. The caller has applied all of it. Blocks, and
    /// runs beside the writer, which never touches a rolled segment.
    pub fn seal(&self, first: Position) -> Result<(), SealError> {
        let rolled = self.rolled_segment(first)?;
        let tip_of = |offset: Option<&u32>| {
            let offset = u64::from(*offset.expect("a rolled segment has records"));
            let path = self.shared.folder.join(file_name(first, State::Rolled));
            reader::read_tip(&*rolled.file, &path, offset)
        };
        let footer = Footer::new(
            rolled.end,
            &tip_of(rolled.offsets.first())?,
            &tip_of(rolled.offsets.last())?,
        );
        let bytes = footer.encode(&rolled.offsets);
        if let Err(error) = self.write_footer(&rolled, first, &bytes) {
            if is_full(&error) {
                self.shared.disk_full.store(true, Ordering::Relaxed);
                return Err(SealError::DiskFull(first));
            }
            let reason = format!("sealing the segment that begins at {first}: {error}");
            return Err(self.shared.poison(&reason).into());
        }
        let mut memory = self.shared.memory();
        let segment = memory.segments.iter_mut().find(|segment| segment.first == first);
        let segment = segment.expect("a rolled and committed segment is never removed");
        segment.state = State::Sealed;
        segment.file = None;
        segment.offsets = Vec::new();
        segment.bytes = rolled.end + bytes_u64(bytes.len());
        Ok(())
    }

    fn rolled_segment(&self, first: Position) -> Result<Rolled, SealError> {
        let memory = self.shared.memory();
        memory.writable()?;
        let segment = memory.segments.iter().find(|segment| segment.first == first);
        let segment = segment.filter(|segment| segment.state == State::Rolled);
        let segment = segment.ok_or(SealError::NotRolled(first))?;
        if segment.last() > memory.committed {
            return Err(SealError::NotCommitted(first));
        }
        let file = segment.file.as_ref().map(Arc::clone).ok_or(SealError::NotRolled(first))?;
        Ok(Rolled { file, offsets: segment.offsets.clone(), end: segment.end })
    }

    fn write_footer(&self, rolled: &Rolled, first: Position, bytes: &[u8]) -> io::Result<()> {
        let folder: &Path = &self.shared.folder;
        let (head, rest) = bytes.split_at(footer::HEAD_BYTES);
        rolled.file.write_at(head, rolled.end)?;
        rolled.file.sync_data()?;
        rolled.file.write_at(rest, rolled.end + bytes_u64(head.len()))?;
        rolled.file.set_len(rolled.end + bytes_u64(bytes.len()))?;
        rolled.file.sync_data()?;
        let open = folder.join(file_name(first, State::Rolled));
        self.shared.disk.rename(&open, &folder.join(file_name(first, State::Sealed)))?;
        self.shared.disk.sync_folder(folder)
    }
}
