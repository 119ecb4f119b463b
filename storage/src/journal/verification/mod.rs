//! Reads everything back and checks it. It never writes.
//!
//! Every byte before the end of the newest record is part of a checked structure: headers, marks,
//! records with padding and links, footers with tables, the zeros of full segments, and both copies
//! of the vote. Torn bytes after the newest record of a stopped node are counted and aren't damage,
//! by the rules of `recovery::ending`. While the node runs, the walk ends at the position that was
//! durable when it began.

mod scrub;

use std::path::Path;

use super::damage::{Damage, Fault, WalkError};
use super::format::chain;
use super::format::footer::Footer;
use super::format::record::{Record, Tip};
use super::format::segment::{SegmentHeader, Suffix};
use super::recovery::ending::{self, Ending};
use super::recovery::layout::{self, FOLDER, SegmentFile};
use super::recovery::walk::{FoundFrame, FrameWalk, StopReason};
use crate::disk::{Disk, File};
use crate::vote::{self, CopyFault};
use crate::{ClusterId, Link, Position};

/// The summary of a verified journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Number of segments.
    pub segments: usize,
    /// Number of records.
    pub records: u64,
    /// The newest record.
    pub last: Option<Tip>,
    /// The chain head: the link of the newest record, or the genesis link.
    pub head: Link,
    /// The number of torn bytes after the newest record; the next start cuts them off.
    pub torn_bytes: u64,
}

pub(crate) type RecordVisitor<'a> = &'a mut dyn FnMut(&Record) -> Result<(), String>;

/// Verifies the journal of a stopped node's data folder, or of a copy. `each` gets every record in
/// order; an `Err` of it is damage at that record. Without `cluster` the id in the first segment's
/// header is used. Never writes.
pub fn verify(
    disk: &dyn Disk,
    data_folder: &Path,
    cluster: Option<ClusterId>,
    each: RecordVisitor<'_>,
) -> Result<Verified, WalkError> {
    let folder = data_folder.join(FOLDER);
    let named =
        layout::list_segments(disk, &folder).map_err(|fault| fault.into_walk_error(&folder, 0))?;
    let Some((newest, older)) = named.split_last() else {
        return Err(Damage::new(&folder, 0, 0, "there is no segment").into());
    };
    let noted = vote::check_copies(disk, data_folder).map_err(|(path, fault)| match fault {
        CopyFault::Bad(what) => Damage::new(&path, 0, newest.first, what).into(),
        CopyFault::Io(source) => Fault::Io(source).into_walk_error(&path, newest.first),
    })?;
    layout::check_newest(newest, noted)?;
    let cluster = match cluster {
        Some(cluster) => cluster,
        None => read_cluster(disk, &named[0])?,
    };
    let mut chain = ChainVerifier::new(cluster, each);
    for (one, next) in older.iter().zip(&named[1..]) {
        let result = match one.suffix {
            Suffix::Sealed => chain.verify_sealed(disk, one),
            Suffix::Open | Suffix::Sealing => chain.verify_rolled(disk, one, next.first),
        };
        result.map_err(|fault| fault.into_walk_error(&one.path, chain.due))?;
    }
    let torn_bytes = chain
        .verify_newest(disk, newest)
        .map_err(|fault| fault.into_walk_error(&newest.path, chain.due))?;
    Ok(chain.build_summary(named.len(), torn_bytes))
}

fn read_cluster(disk: &dyn Disk, first: &SegmentFile) -> Result<ClusterId, WalkError> {
    let header = disk
        .open(&first.path)
        .map_err(Fault::Io)
        .and_then(|file| layout::read_header(&*file, &first.path, first.first));
    Ok(header.map_err(|fault| fault.into_walk_error(&first.path, first.first))?.cluster)
}

/// The state of a walk from segment to segment.
pub(crate) struct ChainVerifier<'a> {
    cluster: ClusterId,
    pub(crate) due: Position,
    pub(crate) previous: Link,
    last: Option<Tip>,
    each: RecordVisitor<'a>,
}

impl<'a> ChainVerifier<'a> {
    pub(crate) fn new(cluster: ClusterId, each: RecordVisitor<'a>) -> Self {
        Self { cluster, due: 0, previous: chain::genesis_link(&cluster), last: None, each }
    }

    pub(crate) fn build_summary(&self, segments: usize, torn_bytes: u64) -> Verified {
        let (records, last, head) = (self.due, self.last, self.previous);
        Verified { segments, records, last, head, torn_bytes }
    }

    fn check_header(&self, file: &dyn File, named: &SegmentFile) -> Result<SegmentHeader, Fault> {
        layout::check_follows(named, self.due)?;
        let header = layout::read_header(file, &named.path, named.first)?;
        header
            .check(&self.cluster, named.first, Some(&self.previous))
            .map_err(|what| Damage::new(&named.path, 0, named.first, what))?;
        Ok(header)
    }

    fn advance_past(&mut self, walk: &FrameWalk<'_>, content: &ending::SegmentContent) {
        self.due = walk.due;
        self.previous = walk.previous;
        self.last = content.last.or(self.last);
    }

    pub(crate) fn verify_sealed(
        &mut self,
        disk: &dyn Disk,
        named: &SegmentFile,
    ) -> Result<(), Fault> {
        let file = disk.open(&named.path)?;
        let header = self.check_header(&*file, named)?;
        let footer = layout::read_footer(&*file, named)?;
        let at_footer =
            |what: String| Damage::new(&named.path, footer.begins_at, footer.last, what);
        let table = footer.read_table(&*file)?.map_err(at_footer)?;
        let mut walk = FrameWalk::new(&*file, header)?;
        let each = &mut self.each;
        let (content, stop) =
            ending::walk_through(&mut walk, &mut |record, _| each(record), &named.path)?;
        match stop {
            StopReason::Footer if walk.offset == footer.begins_at => {}
            StopReason::Broken(what) | StopReason::Altered(what) => {
                return Err(Damage::new(&named.path, walk.offset, walk.due, what).into());
            }
            StopReason::Footer | StopReason::Blank => {
                let what = "the frames don't end where the footer says";
                return Err(Damage::new(&named.path, walk.offset, walk.due, what).into());
            }
        }
        if content.offsets != table || !matches_footer(&header, &walk, &content, &footer) {
            return Err(at_footer("the footer doesn't describe the records".to_owned()).into());
        }
        self.advance_past(&walk, &content);
        Ok(())
    }

    fn verify_rolled(
        &mut self,
        disk: &dyn Disk,
        named: &SegmentFile,
        next: Position,
    ) -> Result<(), Fault> {
        let file = disk.open(&named.path)?;
        let mut walk = FrameWalk::new(&*file, self.check_header(&*file, named)?)?;
        let each = &mut self.each;
        let (content, stop) =
            ending::walk_through(&mut walk, &mut |record, _| each(record), &named.path)?;
        ending::check_rolled(&walk, stop, next, named)?;
        self.advance_past(&walk, &content);
        Ok(())
    }

    /// Returns the number of torn bytes after the newest record.
    fn verify_newest(&mut self, disk: &dyn Disk, named: &SegmentFile) -> Result<u64, Fault> {
        let file = disk.open(&named.path)?;
        let mut walk = FrameWalk::new(&*file, self.check_header(&*file, named)?)?;
        let each = &mut self.each;
        let (content, stop) =
            ending::walk_through(&mut walk, &mut |record, _| each(record), &named.path)?;
        let ending = ending::judge_newest(&mut walk, &content, stop, &named.path)?;
        self.advance_past(&walk, &content);
        Ok(match ending {
            Ending::Clean { .. } => 0,
            Ending::Torn { from, until } => until - from,
        })
    }

    /// Walks a segment that is still in use up to `end` (exclusive) and reads no frame beyond it.
    pub(crate) fn verify_up_to(
        &mut self,
        file: &dyn File,
        named: &SegmentFile,
        end: Position,
    ) -> Result<(), Fault> {
        let mut walk = FrameWalk::new(file, self.check_header(file, named)?)?;
        while walk.due < end {
            let (offset, due) = (walk.offset, walk.due);
            match walk.next()? {
                FoundFrame::Record(record) => {
                    (self.each)(&record)
                        .map_err(|what| Damage::new(&named.path, offset, due, what))?;
                    self.last = Some(record.tip());
                    self.due = walk.due;
                    self.previous = walk.previous;
                }
                FoundFrame::Mark(_) => {}
                FoundFrame::Stop(StopReason::Broken(what) | StopReason::Altered(what)) => {
                    return Err(Damage::new(&named.path, offset, due, what).into());
                }
                FoundFrame::Stop(StopReason::Blank | StopReason::Footer) => {
                    let what = "nothing where a durable record is expected";
                    return Err(Damage::new(&named.path, offset, due, what).into());
                }
            }
        }
        Ok(())
    }
}

fn matches_footer(
    header: &SegmentHeader,
    walk: &FrameWalk<'_>,
    content: &ending::SegmentContent,
    footer: &Footer,
) -> bool {
    let Some(last) = content.last else { return false };
    header.first == footer.first
        && walk.due == footer.last + 1
        && last.link == footer.last_link
        && last.time == footer.last_time
        && content
            .first
            .is_some_and(|first| first.link == footer.first_link && first.time == footer.first_time)
}
