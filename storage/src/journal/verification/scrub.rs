//! Verifies a journal while it is being written: all of it, or one sealed segment.

use std::sync::Arc;

use super::{ChainVerifier, RecordVisitor, Verified};
use crate::disk::File;
use crate::journal::Journal;
use crate::journal::damage::{Damage, Fault, WalkError};
use crate::journal::format::record::Record;
use crate::journal::format::segment::{Segment, SegmentState, Suffix, file_name};
use crate::journal::recovery::layout::{self, SegmentFile};
use crate::{Link, Position};

impl Journal {
    /// Verifies this journal beside the writer, up to the position that is durable now. If
    /// uncommitted records are truncated meanwhile, the walk ends at them. `each` gets every record
    /// in order; an `Err` of it is damage at that record.
    pub fn verify(&self, each: RecordVisitor<'_>) -> Result<Verified, WalkError> {
        let (durable, committed, truncations, places) = {
            let memory = self.shared.lock_memory();
            let durable = memory.durable.map_or(0, |position| position + 1);
            let places: Vec<SegmentSnapshot> =
                memory.segments.iter().map(|one| self.snapshot_segment(one)).collect();
            (durable, memory.committed, memory.truncations, places)
        };
        let disk = &*self.shared.disk;
        let mut chain = ChainVerifier::new(self.shared.options.cluster, each);
        let mut walked = 0;
        for place in &places {
            if chain.due >= durable && walked > 0 {
                break;
            }
            let result = match &place.file {
                None => chain.verify_sealed(disk, &place.named),
                Some(file) => chain.verify_up_to(&**file, &place.named, place.end.min(durable)),
            };
            if let Err(fault) = result {
                let error = fault.into_walk_error(&place.named.path, chain.due);
                // Records that weren't committed when the walk began may have been truncated since,
                // even if their positions are committed now.
                let may_be_cut = match &error {
                    WalkError::Damaged(damage) => Some(damage.position) > committed,
                    WalkError::Unreadable { .. } => false,
                };
                if may_be_cut && self.shared.lock_memory().truncations != truncations {
                    break;
                }
                return Err(error);
            }
            walked += 1;
        }
        Ok(chain.build_summary(walked, 0))
    }

    /// Verifies one whole sealed segment, including its link to the segment before it. Damage also
    /// sets [`Journal::damage_found`].
    pub fn scrub(&self, first: Position) -> Result<(), WalkError> {
        self.walk_sealed(first).inspect_err(|error| {
            if matches!(error, WalkError::Damaged(_)) {
                self.shared.mark_damaged();
            }
        })
    }

    fn walk_sealed(&self, first: Position) -> Result<(), WalkError> {
        let (named, previous) = {
            let memory = self.shared.lock_memory();
            let index = memory.segments.iter().position(|one| one.first == first);
            let sealed =
                index.filter(|index| memory.segments[*index].state == SegmentState::Sealed);
            let Some(index) = sealed else {
                let path = self.shared.folder.join(file_name(first, Suffix::Sealed));
                return Err(Damage::new(&path, 0, first, "no sealed segment begins here").into());
            };
            let before =
                index.checked_sub(1).map(|before| self.snapshot_segment(&memory.segments[before]));
            (self.snapshot_segment(&memory.segments[index]).named, before)
        };
        let disk = &*self.shared.disk;
        let in_file = |fault: Fault| fault.into_walk_error(&named.path, first);
        let previous = match previous {
            Some(SegmentSnapshot { named, file: None, .. }) => {
                let file = disk.open(&named.path).map_err(|error| in_file(error.into()))?;
                layout::read_footer(&*file, &named).map_err(in_file)?.last_link
            }
            Some(_) => self.link_before(&named)?,
            None => self.shared.genesis_link(),
        };
        let mut ignore = |_: &Record| Ok(());
        let mut chain = ChainVerifier::new(self.shared.options.cluster, &mut ignore);
        chain.due = first;
        chain.previous = previous;
        chain.verify_sealed(disk, &named).map_err(in_file)
    }

    fn link_before(&self, named: &SegmentFile) -> Result<Link, WalkError> {
        match self.tip_at(named.first - 1) {
            Ok(Some(tip)) => Ok(tip.link),
            Ok(None) => {
                Err(Damage::new(&named.path, 0, named.first, "nothing comes before it").into())
            }
            Err(error) => Err(Fault::Io(error).into_walk_error(&named.path, named.first)),
        }
    }

    fn snapshot_segment(&self, segment: &Segment) -> SegmentSnapshot {
        let suffix = match segment.state {
            SegmentState::Sealed => Suffix::Sealed,
            SegmentState::Open | SegmentState::Rolled => Suffix::Open,
        };
        SegmentSnapshot {
            named: SegmentFile {
                first: segment.first,
                suffix,
                path: segment.path(&self.shared.folder),
            },
            file: segment.file.as_ref().map(Arc::clone),
            end: segment.first + segment.count,
        }
    }
}

/// A segment's description when the walk began.
struct SegmentSnapshot {
    named: SegmentFile,
    /// `None` for a sealed one.
    file: Option<Arc<dyn File>>,
    /// One more than its last position.
    end: Position,
}
