//! Judges how a segment that was being written ends. The recovery table:
//!
//! | the frame after the last good one | claimed by a mark before or after it | action |
//! |---|---|---|
//! | zeros to the end | no further record | keep |
//! | broken | no | **cut**, and keep the bytes in `cut/`: torn by the crash |
//! | broken or missing | yes | **refuse**: it was acknowledged |
//! | whole, but position or link doesn't match | – | **refuse**: history was altered |
//!
//! A batch is written at once and synced once, and the disk may keep its sectors in any order:
//! whole records after a broken one may belong to the same torn batch and prove nothing. The next
//! batch does: it begins with a mark that is written only after the previous batch was synced. So a
//! broken record followed by anything of a later batch is refused. So is one in the newest batch,
//! once the mark that covers the batch was written while idle or at a clean stop. Before that,
//! damage in the newest batch looks like a torn write: this case stays open.

use std::path::Path;

use super::layout::SegmentFile;
use super::walk::{FoundFrame, FrameWalk, StopReason};
use crate::Position;
use crate::journal::damage::{Damage, Fault};
use crate::journal::format::record::{Record, Tip};
use crate::journal::format::segment::{FRAMES_AT, Suffix};

/// The content of a segment, as found by a walk to its end.
#[derive(Debug, Default)]
pub(crate) struct SegmentContent {
    pub(crate) offsets: Vec<u32>,
    pub(crate) first: Option<Tip>,
    pub(crate) last: Option<Tip>,
    /// The offset at which the last record ends.
    pub(crate) records_end: u64,
    /// The number of records that a mark claims to be synced.
    pub(crate) claimed: u64,
    /// The number of records that a mark claims to be committed.
    pub(crate) committed: u64,
}

/// The verdict on the end of the newest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Zeros follow the last frame.
    Clean { at: u64 },
    /// Bytes from `from` up to `until` (exclusive) were torn by a crash.
    Torn { from: u64, until: u64 },
}

/// Walks to the first bytes that are neither record nor mark. `each` gets every record and its
/// offset; an `Err` of it is damage at that record.
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
                "it was being sealed, and the segment that begins at {} is missing",
                walk.due
            ));
        }
        StopReason::Broken(what) => what,
        StopReason::Blank => "nothing where a record is expected",
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

/// Checks the end of a segment that others follow: whole records, then zeros, or an unfinished
/// footer if the segment was being sealed.
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
        StopReason::Footer => refuse("a footer in a segment that isn't being sealed".to_owned()),
        StopReason::Blank if walk.due < next_first => {
            refuse(format!("records up to {} are missing", next_first - 1))
        }
        StopReason::Blank if walk.due > next_first => {
            refuse(format!("the next segment begins at {next_first} again"))
        }
        StopReason::Blank => match walk.last_nonzero_byte()? {
            Some(last) => refuse(format!("byte at offset {last} isn't zero after the last record")),
            None => Ok(()),
        },
    }
}
