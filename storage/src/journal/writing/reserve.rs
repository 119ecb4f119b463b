//! Reserves the next segment on disk ahead of need, so that a full disk is detected while the open
//! segment still has space.

use std::io;
use std::sync::Arc;

use super::writer::{SPARE, Writer};
use crate::disk::{File, is_full};
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
            Err(error) => Err(error),
            Ok(()) => {
                self.shared.set_space(room, true);
                Ok(())
            }
        }
    }

    pub(crate) fn reserve_file(&self) -> io::Result<Arc<dyn File>> {
        let path = self.shared.folder.join(SPARE);
        let file = self.shared.disk.create(&path)?;
        let reserved =
            file.allocate(self.shared.options.segment_bytes).and_then(|()| file.sync_data());
        match reserved {
            Ok(()) => Ok(file),
            Err(error) => {
                self.shared.disk.remove(&path)?;
                Err(error)
            }
        }
    }
}
