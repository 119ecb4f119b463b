//! Rewrites the newest segment at a start, before anything depends on it.
//!
//! After a kill the end of a file may exist only in the page cache, and after a failed sync the
//! cache may consider it clean and never write it. So every start writes the good prefix again and
//! syncs it: to a new file that replaces the old one, or in place if the disk is full.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::JournalOpening;
use super::ending::{Ending, SegmentContent};
use super::layout::{self, CUT_FOLDER, SegmentFile};
use crate::Position;
use crate::disk::{File, bytes_u64, is_full, read_exact_at};
use crate::journal::format::mark::Mark;
use crate::journal::format::segment::{Suffix, file_name};
use crate::journal::writing::active::ActiveSegment;
use crate::journal::writing::writer::SPARE;

impl JournalOpening<'_> {
    /// Copies torn bytes to `cut/` and returns the path. On a full disk they are dropped (`None`):
    /// none of them was acknowledged.
    pub(crate) fn keep_cut_bytes(
        &self,
        named: &SegmentFile,
        from: u64,
        until: u64,
        file: &dyn File,
    ) -> io::Result<Option<PathBuf>> {
        let folder = self.folder.join(CUT_FOLDER);
        let held = self.disk.list(&folder)?;
        let stem = format!("{:020}-{from}", named.first);
        let name = (0..).map(|number| format!("{stem}-{number}"));
        let name = name.into_iter().find(|name| !held.contains(name)).expect("some name is free");
        let path = folder.join(name);
        let keep = || {
            let kept = self.disk.create(&path)?;
            copy(file, from, until, &*kept, 0)?;
            kept.sync_data()?;
            self.disk.sync_folder(&folder)
        };
        match keep() {
            Ok(()) => Ok(Some(path)),
            Err(error) if is_full(&error) => Ok(None),
            Err(error) => Err(layout::error_with_path(&path, error)),
        }
    }

    /// Makes the good prefix durable, followed by a mark that claims it: in a new file that
    /// replaces the old one, or, without space for one, by writing the same bytes in place.
    pub(crate) fn rewrite(
        &self,
        named: &SegmentFile,
        old: &Arc<dyn File>,
        content: &SegmentContent,
        ending: Ending,
        mark: Mark,
    ) -> io::Result<ActiveSegment> {
        let file = match self.blank_file() {
            Ok(file) => file,
            Err(error) if is_full(&error) => {
                return self.rewrite_in_place(named, old, content, ending, mark);
            }
            Err(error) => return Err(error),
        };
        copy(&**old, 0, content.records_end, &*file, 0)?;
        let active = self.write_mark(named, &file, content, mark)?;
        self.name_spare(&*file, named.first)?;
        Ok(active)
    }

    fn rewrite_in_place(
        &self,
        named: &SegmentFile,
        file: &Arc<dyn File>,
        content: &SegmentContent,
        ending: Ending,
        mark: Mark,
    ) -> io::Result<ActiveSegment> {
        copy(&**file, 0, content.records_end, &**file, 0)?;
        let until = match ending {
            Ending::Clean { at } => at,
            Ending::Torn { until, .. } => until,
        };
        write_zeros(&**file, content.records_end, until)?;
        let active = self.write_mark(named, file, content, mark)?;
        file.sync_data()?;
        Ok(active)
    }

    fn write_mark(
        &self,
        named: &SegmentFile,
        file: &Arc<dyn File>,
        content: &SegmentContent,
        mark: Mark,
    ) -> io::Result<ActiveSegment> {
        let count = bytes_u64(content.offsets.len());
        let (cluster, end) = (self.options.cluster, content.records_end);
        let mut active =
            ActiveSegment::from_existing(Arc::clone(file), cluster, named.first, count, end);
        if count > 0 {
            active.push_mark(mark);
            active.flush()?;
        }
        Ok(active)
    }

    /// An allocated file of zeros named `spare`; an existing spare is reused.
    pub(crate) fn blank_file(&self) -> io::Result<Arc<dyn File>> {
        let path = self.folder.join(SPARE);
        let file = match self.disk.open(&path) {
            Ok(file) => {
                file.set_len(0)?;
                file
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.create(&path)?,
            Err(error) => return Err(error),
        };
        match file.allocate(self.options.segment_bytes) {
            Ok(()) => Ok(file),
            Err(error) => {
                self.disk.remove(&path)?;
                Err(error)
            }
        }
    }

    pub(crate) fn name_spare(&self, file: &dyn File, first: Position) -> io::Result<()> {
        file.sync_data()?;
        let path = self.folder.join(file_name(first, Suffix::Open));
        self.disk.rename(&self.folder.join(SPARE), &path)?;
        self.disk.sync_folder(self.folder)
    }
}

fn copy(from: &dyn File, begin: u64, end: u64, to: &dyn File, at: u64) -> io::Result<()> {
    const CHUNK_BYTES: u64 = 1 << 20;
    let mut offset = begin;
    while offset < end {
        let length = (end - offset).min(CHUNK_BYTES);
        let mut chunk = vec![0; usize::try_from(length).expect("a chunk fits in memory")];
        read_exact_at(from, &mut chunk, offset)?;
        to.write_at(&chunk, at + (offset - begin))?;
        offset += length;
    }
    Ok(())
}

fn write_zeros(file: &dyn File, begin: u64, end: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 16];
    let mut offset = begin;
    while offset < end {
        let length = usize::try_from((end - offset).min(1 << 16)).expect("a chunk fits in memory");
        file.write_at(&zeros[..length], offset)?;
        offset += bytes_u64(length);
    }
    Ok(())
}
