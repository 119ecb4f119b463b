//! The index of a sealed segment: it's written from the ledger's memory of the segment's entries,
//! which are never forgotten before.

use std::{io, ops::RangeInclusive};

use evenkeel_storage::{
    disk::{Disk, is_full, is_transient},
    journal::{
        self, Journal, Part, SegmentInfo,
        index::{IndexBuilder, SealedSegment},
    },
};

use crate::{
    history::{HistoryError, record_kind},
    history::{HistoryReader, command_row, decode_commands, range_in_body},
    limits::READ_BYTES_MAX,
    state::AppliedState,
};
use evenkeel_ledger::DecidedOutcome;

/// The id-seconds of a segment with an index: the index itself says which ones it has.
pub const PERMANENT_SECONDS: RangeInclusive<u64> = 0..=u64::MAX;

/// A sealed segment in the form that the indexes use.
pub fn sealed_segment(segment: &SegmentInfo) -> Option<SealedSegment> {
    let last = segment.last?;
    (segment.state == journal::SegmentState::Sealed).then_some(SealedSegment {
        first: segment.first,
        last,
        id_seconds: PERMANENT_SECONDS,
    })
}

/// Writes the index of a segment whose entries are all applied and still in the ledger's memory.
///
/// # Errors
/// When the journal can't be read, the ledger has dropped an entry, or a write fails.
pub fn write_index(
    journal: &Journal,
    state: &AppliedState,
    disk: &dyn Disk,
    segment: &SealedSegment,
    pace: &mut dyn FnMut(usize),
) -> io::Result<()> {
    // The recent index locates the targets of the segment's commands.
    state.update_recent_index(usize::MAX).map_err(io::Error::other)?;
    let past = state.history_reader();
    let mut builder = IndexBuilder::new(segment.first);
    let mut next = segment.first;
    while next <= segment.last {
        let records =
            journal.read(next, segment.last + 1, READ_BYTES_MAX).map_err(io::Error::other)?;
        let Some(last) = records.last() else {
            return Err(io::Error::other(format!("the record at {next} is missing")));
        };
        next = last.position + 1;
        for record in &records {
            if record.kind == record_kind::COMMANDS {
                index_record(&mut builder, state, &past, record)?;
            } else {
                builder.begin_record(record.position, 0);
            }
            pace(record.payload.len());
        }
    }
    builder.finish(disk, &journal.folder(), pace)
}

fn index_record(
    builder: &mut IndexBuilder,
    state: &AppliedState,
    past: &HistoryReader<'_>,
    record: &journal::Record,
) -> io::Result<()> {
    let position = record.position;
    let decided: Option<Vec<DecidedOutcome>> =
        state.with_ledger(|ledger| ledger.outcomes_of(position).map(<[_]>::to_vec));
    let decided = decided.ok_or_else(|| {
        io::Error::other(format!("the outcomes of entry {position} aren't in memory any more"))
    })?;
    let count = u32::try_from(decided.len()).map_err(io::Error::other)?;
    builder.begin_record(position, count);
    for (next, decided) in decode_commands(&record.payload).zip(&decided) {
        let (_, command, bytes) = next.map_err(io::Error::other)?;
        let parties = past.parties_if_moved(&command, decided).map_err(io::Error::other)?;
        let part = Part::of_record(record, range_in_body(bytes, &record.payload));
        builder.add_command(&command_row(&command, decided, parties, part));
    }
    Ok(())
}

/// Whether an error means that the disk is full.
pub fn is_disk_full(error: &io::Error) -> bool {
    is_full(error)
}

/// Whether an error means that no descriptor or memory was free: the same may succeed later.
pub fn may_pass(error: &io::Error) -> bool {
    let history = error.get_ref().and_then(|inner| inner.downcast_ref::<HistoryError>());
    is_transient(error) || history.is_some_and(HistoryError::may_pass)
}
