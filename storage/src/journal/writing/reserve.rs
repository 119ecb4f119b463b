//! Reserves the next segment on disk ahead of need, so that a full disk is detected while the open
//! segment still has space. A lack of descriptors or memory is no failure here: nothing was
//! written, and it's tried again when the open segment has grown, or when the next one is needed.

use std::io;
use std::sync::Arc;

use super::writer::{SPARE, Writer};
use crate::disk::{File, is_full, is_transient};
use crate::journal::shared::SpaceNeed;

impl Writer {
    pub(crate) fn should_reserve(&self) -> bool {
        let quarter = self.shared.options.segment_bytes / 4;
        let wanting = self.spare.is_none() || self.shared.lacks_space(SpaceNeed::Rest);
        wanting && self.active.end >= self.ask_again_at.max(quarter)
    }

    /// Reserves the rest of the open segment, if it isn't, and the next segment. A full disk is
    /// recorded and isn't an error: the active segment still has space.
    pub(crate) fn reserve(&mut self) -> io::Result<()> {
        if self.shared.lacks_space(SpaceNeed::Rest) {
            let rest = self.active.file.allocate(self.shared.options.segment_bytes);
            self.handle_reserve_result(SpaceNeed::Rest, rest)?;
        }
        if self.spare.is_none() {
            let reserved = self.reserve_file().map(|file| self.spare = Some(file));
            self.handle_reserve_result(SpaceNeed::Next, reserved)?;
        }
        Ok(())
    }

    fn handle_reserve_result(&mut self, room: SpaceNeed, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if is_full(&error) => {
                self.shared.set_space(room, false);
                self.ask_again_at = self.active.end + self.shared.options.segment_bytes / 16;
                Ok(())
            }
            Err(error) if is_transient(&error) => {
                self.ask_again_at = self.active.end + self.shared.options.segment_bytes / 16;
                self.log_waiting(&error);
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.shared.set_space(room, true);
                self.logged_waiting = false;
                Ok(())
            }
        }
    }

    pub(crate) fn reserve_file(&self) -> io::Result<Arc<dyn File>> {
        let path = self.shared.folder.join(SPARE);
        let disk = &self.shared.disk;
        let file = match disk.create(&path) {
            // An earlier reservation failed, and its file couldn't be removed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&path)?;
                disk.create(&path)?
            }
            created => created?,
        };
        let reserved =
            file.allocate(self.shared.options.segment_bytes).and_then(|()| file.sync_data());
        if reserved.is_err() {
            // The next reservation removes what is left here.
            let _removed_or_not = disk.remove(&path);
        }
        reserved.map(|()| file)
    }

    /// Says once that no new segment can be made.
    pub(crate) fn log_waiting(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.logged_waiting, true) {
            tracing::warn!(
                %error,
                "the journal's next segment can't be reserved at the moment; trying again"
            );
        }
    }
}
