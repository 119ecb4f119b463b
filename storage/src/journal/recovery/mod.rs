//! Opening a journal, after a crash or not.
//!
//! Sealed segments are checked by header and footer, their links from one to the next; rolled ones and
//! the open one are walked whole. The open one is then copied up to its last good record into a new
//! file that is synced and renamed over it, so that what is answered for from now on is on the disk and
//! not only in the page cache. Refuses, and changes nothing, where the rules of `ending` say so.

pub(crate) mod ending;
pub(crate) mod layout;
pub(crate) mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::ending::{Content, Ending};
use self::layout::{CUT_FOLDER, FOLDER, Named};
use self::walk::Walk;
use super::damage::{Damage, Fault};
use super::format::mark::Mark;
use super::format::record::Tip;
use super::format::segment::{FRAMES_AT, Header, Segment, State, Suffix, file_name};
use super::reading::tail::Tail;
use super::shared::{Memory, Shared};
use super::writing::active::Active;
use super::writing::writer::{SPARE, Writer};
use super::{Journal, Options, format::chain, reading::reader};
use crate::disk::{Disk, File};
use crate::vote::{self, Vote, VoteError, VoteFiles};
use crate::{Link, Position};

/// What opening found, for the log and for consensus.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The newest vote.
    pub vote: Option<Vote>,
    /// The newest record.
    pub last: Option<Tip>,
    /// A position known to be committed; more may be.
    pub committed: Option<Position>,
    /// Torn bytes cut off the end, none of them acknowledged.
    pub cut_bytes: u64,
    /// Where they are kept.
    pub cut_file: Option<PathBuf>,
    /// Number of segments.
    pub segments: usize,
    /// How many of them are sealed.
    pub sealed: usize,
}

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A rule is broken: what was acknowledged may be lost. Nothing was changed.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The vote cannot be loaded.
    #[error(transparent)]
    Vote(#[from] VoteError),
    /// There was a journal here, and no segment is left.
    #[error("{}: there was a journal here, and all its segments are missing", folder.display())]
    SegmentsMissing {
        /// The journal's folder.
        folder: PathBuf,
    },
    /// The disk does not answer, or is full.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

impl OpenError {
    /// Whether the data is damaged, rather than the disk out of order.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::SegmentsMissing { .. } => true,
            Self::Vote(error) => matches!(error, VoteError::BothBad { .. }),
            Self::Io { .. } => false,
        }
    }
}

/// Opens the journal of a data folder, or makes it. On return all of it is durable.
pub fn open(
    disk: Arc<dyn Disk>,
    data_folder: &Path,
    options: Options,
) -> Result<(Journal, Writer, Recovery), OpenError> {
    let folder = data_folder.join(FOLDER);
    let at_folder = |source| OpenError::Io { path: folder.clone(), source };
    let opening = Opening { disk: &*disk, folder: &folder, options: &options };
    opening.make_folders(data_folder).map_err(at_folder)?;
    let in_journal = |fault| match fault {
        Fault::Damaged(damage) => OpenError::Damaged(damage),
        Fault::Io(source) => OpenError::Io { path: folder.clone(), source },
    };
    let named = layout::list(&*disk, &folder).map_err(in_journal)?;
    let mut votes = opening.votes(data_folder, named.is_empty())?;
    if let Some(newest) = named.last() {
        layout::check_newest(newest, votes.newest_segment())?;
    }
    let found = match named.is_empty() {
        true => opening.first_segment().map_err(at_folder)?,
        false => opening.segments(&named).map_err(in_journal)?,
    };
    votes
        .note_segment(found.active.first)
        .map_err(|source| OpenError::Io { path: data_folder.to_path_buf(), source })?;
    let recovery = Recovery {
        vote: votes.vote(),
        last: found.last,
        committed: found.committed,
        cut_bytes: found.cut_bytes,
        cut_file: found.cut_file,
        segments: found.segments.len(),
        sealed: found.segments.iter().filter(|one| one.state == State::Sealed).count(),
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
        segments: found.segments,
        poisoned: None,
        closed: false,
    };
    let shared = Arc::new(Shared::new(Arc::clone(&disk), folder.clone(), options, memory));
    let mut writer = Writer::new(Arc::clone(&shared), found.active, votes);
    writer.reserve().map_err(|source| OpenError::Io { path: folder.join(SPARE), source })?;
    Ok((Journal { shared }, writer, recovery))
}

pub(crate) struct Opening<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) folder: &'a Path,
    pub(crate) options: &'a Options,
}

struct FoundJournal {
    segments: Vec<Segment>,
    active: Active,
    last: Option<Tip>,
    committed: Option<Position>,
    cut_bytes: u64,
    cut_file: Option<PathBuf>,
}

impl Opening<'_> {
    fn make_folders(&self, data_folder: &Path) -> io::Result<()> {
        self.disk.create_folder(self.folder)?;
        self.disk.create_folder(&self.folder.join(CUT_FOLDER))?;
        self.disk.sync_folder(self.folder)?;
        self.disk.sync_folder(data_folder)
    }

    fn votes(&self, data_folder: &Path, is_new: bool) -> Result<VoteFiles, OpenError> {
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

    fn first_segment(&self) -> io::Result<FoundJournal> {
        let cluster = self.options.cluster;
        let header = Header { cluster, first: 0, previous: chain::genesis(&cluster) };
        let file = self.blank_file()?;
        file.write_at(&header.encode(), 0)?;
        self.name(&*file, 0)?;
        let active = Active::existing(Arc::clone(&file), cluster, 0, 0, FRAMES_AT);
        let segments = vec![segment(&active, State::Open, Vec::new())];
        let (last, committed, cut_bytes, cut_file) = (None, None, 0, None);
        Ok(FoundJournal { segments, active, last, committed, cut_bytes, cut_file })
    }

    fn segments(&self, named: &[Named]) -> Result<FoundJournal, Fault> {
        let mut segments = Vec::with_capacity(named.len());
        let mut due = 0;
        let mut previous = chain::genesis(&self.options.cluster);
        let mut last = None;
        let mut committed = 0;
        let (newest, older) = named.split_last().expect("there is a segment");
        for (one, next) in older.iter().zip(&named[1..]) {
            layout::check_follows(one, due)?;
            let found = match one.suffix {
                Suffix::Sealed => self.sealed(one, &previous)?,
                Suffix::Open | Suffix::Sealing => self.rolled(one, &previous, next.first)?,
            };
            due = found.last.position + 1;
            previous = found.last.link;
            last = Some(found.last);
            committed = committed.max(found.committed);
            segments.push(found.segment);
        }
        layout::check_follows(newest, due)?;
        let (file, content, ending) = self.newest(newest, &previous)?;
        let (cut_bytes, cut_file) = match ending {
            Ending::Clean { .. } => (0, None),
            Ending::Torn { from, until } => {
                (until - from, self.keep_aside(newest, from, until, &*file)?)
            }
        };
        let last = content.last.or(last);
        let durable = last.map_or(0, |tip| tip.position + 1);
        let mark = Mark { durable, committed: committed.max(content.committed).min(durable) };
        let active = self
            .rewrite(newest, &file, &content, ending, mark)
            .map_err(|error| layout::at(&newest.path, error))?;
        let committed = mark.committed.checked_sub(1);
        segments.push(segment(&active, State::Open, content.offsets));
        Ok(FoundJournal { segments, active, last, committed, cut_bytes, cut_file })
    }

    fn sealed(&self, named: &Named, previous: &Link) -> Result<FoundSegment, Fault> {
        let (file, _) = layout::open(self.disk, named, &self.options.cluster, Some(previous))?;
        let footer = layout::read_footer(&*file, named)?;
        let newest =
            super::format::footer::read_offsets(&*file, footer.begins_at, footer.count() - 1, 1)?;
        let at = u64::from(newest[0]);
        let last = reader::read_tip(&*file, &named.path, at).map_err(|error| match error {
            reader::ReadError::Damaged(damage) => Fault::Damaged(damage),
            reader::ReadError::Io { source, .. } => Fault::Io(source),
        })?;
        if last.position != footer.last || last.link != footer.last_link {
            let what = "the last record is not the one its footer names";
            return Err(Damage::new(&named.path, at, footer.last, what).into());
        }
        let segment = Segment {
            first: footer.first,
            count: footer.count(),
            end: footer.begins_at,
            bytes: footer.begins_at + footer.bytes(),
            state: State::Sealed,
            is_sealing: false,
            offsets: Vec::new(),
            file: None,
        };
        Ok(FoundSegment { segment, last, committed: footer.last + 1 })
    }

    fn rolled(
        &self,
        named: &Named,
        previous: &Link,
        next_first: Position,
    ) -> Result<FoundSegment, Fault> {
        let (file, header) = layout::open(self.disk, named, &self.options.cluster, Some(previous))?;
        let mut walk = Walk::new(&*file, header)?;
        let (content, stop) = ending::walk_through(&mut walk, &mut |_, _| Ok(()), &named.path)?;
        ending::check_rolled(&walk, stop, next_first, named)?;
        let (end, count) = (walk.offset, walk.due - named.first);
        if named.suffix == Suffix::Sealing {
            self.undo_sealing(named, &*file, end)
                .map_err(|error| layout::at(&named.path, error))?;
        }
        let last = content.last.ok_or_else(|| {
            Damage::new(&named.path, end, named.first, "a full segment without records")
        })?;
        let active = Active::existing(Arc::clone(&file), header.cluster, named.first, count, end);
        let segment = segment(&active, State::Rolled, content.offsets);
        Ok(FoundSegment { segment, last, committed: content.committed })
    }

    /// Cuts an unfinished footer off, and gives the segment the name of one that has none.
    fn undo_sealing(&self, named: &Named, file: &dyn File, end: u64) -> io::Result<()> {
        file.set_len(end)?;
        file.sync_data()?;
        let open = self.folder.join(file_name(named.first, Suffix::Open));
        self.disk.rename(&named.path, &open)?;
        self.disk.sync_folder(self.folder)
    }

    fn newest(
        &self,
        named: &Named,
        previous: &Link,
    ) -> Result<(Arc<dyn File>, Content, Ending), Fault> {
        let (file, header) = layout::open(self.disk, named, &self.options.cluster, Some(previous))?;
        let mut walk = Walk::new(&*file, header)?;
        let (content, stop) = ending::walk_through(&mut walk, &mut |_, _| Ok(()), &named.path)?;
        let ending = ending::judge_newest(&mut walk, &content, stop, &named.path)?;
        Ok((Arc::clone(&file), content, ending))
    }
}

struct FoundSegment {
    segment: Segment,
    last: Tip,
    /// Records known to be committed.
    committed: u64,
}

fn segment(active: &Active, state: State, offsets: Vec<u32>) -> Segment {
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
