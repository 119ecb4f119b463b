//! Opens a journal, after a crash or a clean stop.
//!
//! Sealed segments are checked by header, footer and the link from one to the next. Rolled segments
//! and the open one are walked whole. The open one is then copied up to its last good record into a
//! new file that is synced and renamed over it, so that all records this node acknowledges are on
//! the disk and not only in the page cache. Where the rules in `ending` refuse, the open fails and
//! leaves the segments as they are, except that an unfinished seal may have been undone.
//!
//! - `layout`: the segment files and their order.
//! - `walk`: one segment, frame by frame.
//! - `ending`: the recovery table for the end of a segment.
//! - `rewrite`: cuts a torn tail, and makes the newest segment durable again.

pub(crate) mod ending;
pub(crate) mod layout;
pub(crate) mod rewrite;
pub(crate) mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::ending::{Ending, SegmentContent};
use self::layout::{CUT_FOLDER, FOLDER, SegmentFile};
use self::walk::FrameWalk;
use super::damage::{Damage, Fault};
use super::format::mark::Mark;
use super::format::record::Tip;
use super::format::segment::{FRAMES_AT, Segment, SegmentHeader, SegmentState, Suffix, file_name};
use super::reading::tail::Tail;
use super::shared::{Memory, Shared};
use super::writing::active::ActiveSegment;
use super::writing::writer::{SPARE, Writer};
use super::{Journal, JournalOptions, format::chain, reading::reader};
use crate::disk::{Disk, File};
use crate::memory::{CopyMemory, MemoryError, MemoryFiles};
use crate::vote::{self, StoredVote, VoteError, VoteFiles};
use crate::{Link, Position};

/// The result of opening a journal, for the log and for consensus.
#[derive(Clone, Debug)]
pub struct JournalRecovery {
    /// The newest vote.
    pub vote: Option<StoredVote>,
    /// What this node remembers of itself and of the other members.
    pub memory: CopyMemory,
    /// The newest record.
    pub last: Option<Tip>,
    /// The newest position known to be committed; later ones may be committed too.
    pub committed: Option<Position>,
    /// The number of torn bytes cut off the end. None of them was acknowledged.
    pub cut_bytes: u64,
    /// The file that keeps them.
    pub cut_file: Option<PathBuf>,
    /// Number of segments.
    pub segments: usize,
    /// Number of sealed segments.
    pub sealed: usize,
}

/// Why a journal wasn't opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A rule of the recovery table is broken: acknowledged records may be lost. The segments were
    /// left as they are, except that an unfinished seal may have been undone.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The vote can't be loaded.
    #[error(transparent)]
    Vote(#[from] VoteError),
    /// What this node remembers can't be loaded.
    #[error(
        "{0}; delete both, put an empty file `joining` in their place, and start again: the copy \
         counts again when it has caught up"
    )]
    Memory(#[from] MemoryError),
    /// The vote notes a segment, but there is none.
    #[error("{}: there was a journal here, and all its segments are missing", folder.display())]
    SegmentsMissing {
        /// The journal's folder.
        folder: PathBuf,
    },
    /// A disk operation failed, or the disk is full.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The error of the disk.
        source: io::Error,
    },
}

impl OpenError {
    /// Whether the data is damaged, as opposed to a failed disk operation.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::SegmentsMissing { .. } => true,
            Self::Vote(error) => matches!(error, VoteError::BothBad { .. }),
            Self::Memory(error) => matches!(error, MemoryError::BothBad { .. }),
            Self::Io { .. } => false,
        }
    }
}

/// Opens the journal of a data folder, or creates it. All its records are durable on return.
pub fn open(
    disk: Arc<dyn Disk>,
    data_folder: &Path,
    options: JournalOptions,
) -> Result<(Journal, Writer, JournalRecovery), OpenError> {
    let folder = data_folder.join(FOLDER);
    let at_folder = |source| OpenError::Io { path: folder.clone(), source };
    let opening = JournalOpening { disk: &*disk, folder: &folder, options: &options };
    opening.make_folders(data_folder).map_err(at_folder)?;
    let in_journal = |fault| match fault {
        Fault::Damaged(damage) => OpenError::Damaged(damage),
        Fault::Io(source) => OpenError::Io { path: folder.clone(), source },
    };
    let named = layout::list_segments(&*disk, &folder).map_err(in_journal)?;
    let mut votes = opening.open_votes(data_folder, named.is_empty())?;
    if let Some(newest) = named.last() {
        layout::check_newest(newest, votes.newest_segment())?;
    }
    let found = match named.is_empty() {
        true => opening.create_first_segment().map_err(at_folder)?,
        false => opening.recover_segments(&named).map_err(in_journal)?,
    };
    votes
        .save_newest_segment(found.active.first)
        .map_err(|source| OpenError::Io { path: data_folder.to_path_buf(), source })?;
    let memories = MemoryFiles::open(&*disk, data_folder)?;
    let recovery = JournalRecovery {
        vote: votes.vote(),
        memory: memories.newest().clone(),
        last: found.last,
        committed: found.committed,
        cut_bytes: found.cut_bytes,
        cut_file: found.cut_file,
        segments: found.segments.len(),
        sealed: found.segments.iter().filter(|one| one.state == SegmentState::Sealed).count(),
    };
    let memory = Memory {
        tail: Tail::new(options.tail_bytes_max),
        last: found.last,
        durable: found.last.map(|tip| tip.position),
        committed: found.committed,
        truncations: 0,
        cut: None,
        rolling: None,
        jobs: Default::default(),
        sealed_tip: found.sealed_tip,
        segments: found.segments,
        poisoned: None,
        closed: false,
    };
    let names = disk.open_folder(&folder).map_err(at_folder)?;
    let shared = Arc::new(Shared::new(Arc::clone(&disk), folder.clone(), names, options, memory));
    let mut writer = Writer::new(Arc::clone(&shared), found.active, votes, memories);
    writer.reserve().map_err(|source| OpenError::Io { path: folder.join(SPARE), source })?;
    Ok((Journal { shared }, writer, recovery))
}

pub(crate) struct JournalOpening<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) folder: &'a Path,
    pub(crate) options: &'a JournalOptions,
}

struct RecoveredJournal {
    segments: Vec<Segment>,
    active: ActiveSegment,
    last: Option<Tip>,
    /// The last record of the newest sealed segment.
    sealed_tip: Option<Tip>,
    committed: Option<Position>,
    cut_bytes: u64,
    cut_file: Option<PathBuf>,
}

impl JournalOpening<'_> {
    fn make_folders(&self, data_folder: &Path) -> io::Result<()> {
        self.disk.create_folder(self.folder)?;
        self.disk.create_folder(&self.folder.join(CUT_FOLDER))?;
        self.disk.sync_folder(self.folder)?;
        self.disk.sync_folder(data_folder)
    }

    fn open_votes(&self, data_folder: &Path, is_new: bool) -> Result<VoteFiles, OpenError> {
        let at_folder = |source| OpenError::Io { path: data_folder.to_path_buf(), source };
        if is_new && !vote::exists(self.disk, data_folder).map_err(at_folder)? {
            return Ok(VoteFiles::create(self.disk, data_folder)?);
        }
        let votes = VoteFiles::open(self.disk, data_folder)?;
        if is_new && votes.newest_segment().is_some() {
            return Err(OpenError::SegmentsMissing { folder: self.folder.to_path_buf() });
        }
        Ok(votes)
    }

    fn create_first_segment(&self) -> io::Result<RecoveredJournal> {
        let cluster = self.options.cluster;
        let header = SegmentHeader { cluster, first: 0, previous: chain::genesis_link(&cluster) };
        let file = self.blank_file()?;
        file.write_at(&header.encode(), 0)?;
        self.name_spare(&*file, 0)?;
        let active = ActiveSegment::from_existing(Arc::clone(&file), cluster, 0, 0, FRAMES_AT);
        let segments = vec![build_segment(&active, SegmentState::Open, Vec::new())];
        Ok(RecoveredJournal {
            segments,
            active,
            last: None,
            sealed_tip: None,
            committed: None,
            cut_bytes: 0,
            cut_file: None,
        })
    }

    fn recover_segments(&self, named: &[SegmentFile]) -> Result<RecoveredJournal, Fault> {
        let mut segments = Vec::with_capacity(named.len());
        let mut due = 0;
        let mut previous = chain::genesis_link(&self.options.cluster);
        let (mut last, mut sealed_tip) = (None, None);
        let mut committed = 0;
        let (newest, older) = named.split_last().expect("there is a segment");
        for (one, next) in older.iter().zip(&named[1..]) {
            layout::check_follows(one, due)?;
            let found = match one.suffix {
                Suffix::Sealed => self.recover_sealed(one, &previous)?,
                Suffix::Open | Suffix::Sealing => {
                    self.recover_rolled(one, &previous, next.first)?
                }
            };
            due = found.last.position + 1;
            previous = found.last.link;
            last = Some(found.last);
            if found.segment.state == SegmentState::Sealed {
                sealed_tip = last;
            }
            committed = committed.max(found.committed);
            segments.push(found.segment);
        }
        layout::check_follows(newest, due)?;
        let (file, content, ending) = self.recover_newest(newest, &previous)?;
        let (cut_bytes, cut_file) = match ending {
            Ending::Clean { .. } => (0, None),
            Ending::Torn { from, until } => {
                (until - from, self.keep_cut_bytes(newest, from, until, &*file)?)
            }
        };
        let last = content.last.or(last);
        let durable = last.map_or(0, |tip| tip.position + 1);
        let mark = Mark { durable, committed: committed.max(content.committed).min(durable) };
        let active = self
            .rewrite(newest, &file, &content, ending, mark)
            .map_err(|error| layout::error_with_path(&newest.path, error))?;
        let committed = mark.committed.checked_sub(1);
        segments.push(build_segment(&active, SegmentState::Open, content.offsets));
        Ok(RecoveredJournal { segments, active, last, sealed_tip, committed, cut_bytes, cut_file })
    }

    fn recover_sealed(
        &self,
        named: &SegmentFile,
        previous: &Link,
    ) -> Result<RecoveredSegment, Fault> {
        let (file, _) =
            layout::open_segment(self.disk, named, &self.options.cluster, Some(previous))?;
        let footer = layout::read_footer(&*file, named)?;
        let newest =
            super::format::footer::read_offsets(&*file, footer.begins_at, footer.count() - 1, 1)?;
        let at = u64::from(newest[0]);
        let last = reader::read_tip(&*file, &named.path, at).map_err(|error| match error {
            reader::ReadError::Damaged(damage) => Fault::Damaged(damage),
            reader::ReadError::Io { source, .. } => Fault::Io(source),
        })?;
        if last.position != footer.last || last.link != footer.last_link {
            let what = "the last record isn't the one its footer names";
            return Err(Damage::new(&named.path, at, footer.last, what).into());
        }
        let segment = Segment {
            first: footer.first,
            count: footer.count(),
            end: footer.begins_at,
            bytes: footer.begins_at + footer.size_bytes(),
            state: SegmentState::Sealed,
            is_sealing: false,
            offsets: Vec::new(),
            file: None,
        };
        Ok(RecoveredSegment { segment, last, committed: footer.last + 1 })
    }

    fn recover_rolled(
        &self,
        named: &SegmentFile,
        previous: &Link,
        next_first: Position,
    ) -> Result<RecoveredSegment, Fault> {
        let (file, header) =
            layout::open_segment(self.disk, named, &self.options.cluster, Some(previous))?;
        let mut walk = FrameWalk::new(&*file, header)?;
        let (content, stop) = ending::walk_through(&mut walk, &mut |_, _| Ok(()), &named.path)?;
        ending::check_rolled(&walk, stop, next_first, named)?;
        let (end, count) = (walk.offset, walk.due - named.first);
        if named.suffix == Suffix::Sealing {
            self.undo_sealing(named, &*file, end)
                .map_err(|error| layout::error_with_path(&named.path, error))?;
        }
        let last = content.last.ok_or_else(|| {
            Damage::new(&named.path, end, named.first, "a full segment without records")
        })?;
        let active = ActiveSegment::from_existing(
            Arc::clone(&file),
            header.cluster,
            named.first,
            count,
            end,
        );
        let segment = build_segment(&active, SegmentState::Rolled, content.offsets);
        Ok(RecoveredSegment { segment, last, committed: content.committed })
    }

    /// Cuts off an unfinished footer and renames the segment back to `.open`.
    fn undo_sealing(&self, named: &SegmentFile, file: &dyn File, end: u64) -> io::Result<()> {
        file.set_len(end)?;
        file.sync_data()?;
        let open = self.folder.join(file_name(named.first, Suffix::Open));
        self.disk.rename(&named.path, &open)?;
        self.disk.sync_folder(self.folder)
    }

    fn recover_newest(
        &self,
        named: &SegmentFile,
        previous: &Link,
    ) -> Result<(Arc<dyn File>, SegmentContent, Ending), Fault> {
        let (file, header) =
            layout::open_segment(self.disk, named, &self.options.cluster, Some(previous))?;
        let mut walk = FrameWalk::new(&*file, header)?;
        let (content, stop) = ending::walk_through(&mut walk, &mut |_, _| Ok(()), &named.path)?;
        let ending = ending::judge_newest(&mut walk, &content, stop, &named.path)?;
        Ok((Arc::clone(&file), content, ending))
    }
}

struct RecoveredSegment {
    segment: Segment,
    last: Tip,
    /// The number of records known to be committed.
    committed: u64,
}

fn build_segment(active: &ActiveSegment, state: SegmentState, offsets: Vec<u32>) -> Segment {
    Segment {
        first: active.first,
        count: active.count,
        end: active.end,
        bytes: active.end,
        state,
        is_sealing: false,
        offsets,
        file: Some(Arc::clone(&active.file)),
    }
}
