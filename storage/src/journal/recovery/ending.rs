//! How a segment that was being written may end. The recovery table:
//!
//! | the last frame | claimed by a mark, here or behind it | do |
//! |---|---|---|
//! | whole, then zeros | – | keep |
//! | broken | no | **cut**, and keep the bytes aside: torn by the crash |
//! | broken or missing | yes | **refuse**: it was acknowledged |
//! | whole, link or position does not match | – | **refuse**: history was altered |
//!
//! A batch is written at once and synced once, and a disk may keep its sectors in any order: whole
//! records behind a broken one may be of the same torn batch and prove nothing. The next batch does: it
//! begins with a mark, written only after the one before was synced. So a broken record with anything
//! of a later batch behind it is refused, and so is one in the newest batch once a quiet moment, or a
//! clean stop, has written the mark that covers it. Before that, rot in the newest batch looks like a
//! tear: the one case that stays open.

use std::path::Path;

use super::layout::SegmentFile;
use super::walk::{FoundFrame, FrameWalk, StopReason};
use crate::Position;
use crate::journal::damage::{Damage, Fault};
use crate::journal::format::record::{Record, Tip};
use crate::journal::format::segment::{FRAMES_AT, Suffix};

/// What a walk found in a segment up to its end.
#[derive(Debug, Default)]
pub(crate) struct SegmentContent {
    pub(crate) offsets: Vec<u32>,
    pub(crate) first: Option<Tip>,
    pub(crate) last: Option<Tip>,
    /// Where the last record ends.
    pub(crate) records_end: u64,
    /// Records that some mark claims to be synced.
    pub(crate) claimed: u64,
    /// Records that some mark claims to be committed.
    pub(crate) committed: u64,
}

/// What to do with the end of the newest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Zeros follow the last frame.
    Clean { at: u64 },
    /// Bytes from `from` up to `until` (exclusive) were torn by a crash.
    Torn { from: u64, until: u64 },
}

/// Walks to the first thing that is neither record nor mark.
pub(crate) fn walk_through(
    walk: &mut FrameWalk<'_>,
    each: &mut dyn FnMut(&Record, u64) -> Result<(), String>,
    path: &Path,
) -> Result<(SegmentContent, StopReason), Fault> {
    let mut content = SegmentContent { records_end: FRAMES_AT, ..SegmentContent::default() };
    loop {
        let offset = walk.offset;
        match walk.next()? {
            FoundFrame::Record(record) => {
                each(&record, offset)
                    .map_err(|what| Damage::new(path, offset, record.position, what))?;
                let small = u32::try_from(offset).map_err(|_| {
                    Damage::new(path, offset, record.position, "segment is larger than 4 GiB")
                })?;
                content.offsets.push(small);
                content.last = Some(record.tip());
                content.first = content.first.or(content.last);
                content.records_end = walk.offset;
            }
            FoundFrame::Mark(mark) => {
                content.claimed = content.claimed.max(mark.durable);
                content.committed = content.committed.max(mark.committed);
            }
            FoundFrame::Stop(stop) => return Ok((content, stop)),
        }
    }
}

/// Judges the end of the newest segment by the table above.
pub(crate) fn judge_newest(
    walk: &mut FrameWalk<'_>,
    content: &SegmentContent,
    stop: StopReason,
    path: &Path,
) -> Result<Ending, Fault> {
    let (offset, due) = (walk.offset, walk.due);
    let refuse = |what: String| Err(Damage::new(path, offset, due, what).into());
    let broken = match stop {
        StopReason::Altered(what) => return refuse(what.to_owned()),
        StopReason::Footer => {
            return refuse(format!(
                "it was being sealed, the segment from {} is missing",
                walk.due
            ));
        }
        StopReason::Broken(what) => what,
        StopReason::Blank => "nothing where a record is due",
    };
    let until = walk.last_nonzero_byte()?.map_or(walk.offset, |last| last + 1);
    let claimed = content.claimed.max(walk.claimed_behind(until)?);
    if claimed > due {
        let newest = claimed - 1;
        return refuse(format!("{broken}, yet records up to {newest} were durable here"));
    }
    if until == walk.offset {
        return Ok(Ending::Clean { at: until });
    }
    Ok(Ending::Torn { from: walk.offset, until })
}

/// Checks the end of a segment that others follow: whole, then zeros, or whatever was to become its
/// footer while it was being sealed.
pub(crate) fn check_rolled(
    walk: &FrameWalk<'_>,
    stop: StopReason,
    next_first: Position,
    named: &SegmentFile,
) -> Result<(), Fault> {
    let refuse = |what: String| Err(Damage::new(&named.path, walk.offset, walk.due, what).into());
    if walk.due == next_first && named.suffix == Suffix::Sealing {
        return Ok(());
    }
    match stop {
        StopReason::Broken(what) | StopReason::Altered(what) => refuse(what.to_owned()),
        StopReason::Footer => refuse("a footer in a segment that is not being sealed".to_owned()),
        StopReason::Blank if walk.due < next_first => {
            refuse(format!("records up to {} are missing", next_first - 1))
        }
        StopReason::Blank if walk.due > next_first => {
            refuse(format!("the next segment begins at {next_first} again"))
        }
        StopReason::Blank => match walk.last_nonzero_byte()? {
            Some(last) => {
                refuse(format!("byte at offset {last} is not zero behind the last record"))
            }
            None => Ok(()),
        },
    }
}
