//! What follows from a peer's memory for this node's own copy. It reads the journal and decides
//! nothing about the peer's.

use std::io;

use evenkeel_storage::{
    journal::{Journal, Tip},
    memory::Life,
};
use evenkeel_wire::{
    introduction::{CommittedTip, PeerLife, Remembered},
    peer::PeerLogId,
};

/// What a peer's memory says of this copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It has everything that the peer remembers.
    Whole,
    /// The peer was introduced to a later life: this folder was started from an older state.
    NotAbove(PeerLife),
    /// It lacks a record that it acknowledged.
    Lacks(PeerLogId),
}

/// How two committed histories relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TipComparison {
    /// As far as this node can tell they're one.
    One,
    /// This node has this record where the other committed another one.
    Differ(PeerLogId),
}

/// This node's own records, for a judgement.
pub(super) struct OwnRecords<'a> {
    pub(super) journal: &'a Journal,
    /// The term of this node's vote.
    pub(super) vote_term: u64,
}

impl OwnRecords<'_> {
    fn has(&self, id: PeerLogId) -> io::Result<bool> {
        Ok(self.journal.tip_at(id.position)?.is_some_and(|tip| tip.term == id.term))
    }

    /// The newest record that this node knows to be committed.
    pub(super) fn committed(&self) -> io::Result<Option<Tip>> {
        let newest = self.journal.newest_tip().map(|tip| tip.position);
        match self.journal.committed_position().min(newest) {
            Some(position) => self.journal.tip_at(position),
            None => Ok(None),
        }
    }

    /// Judges this copy by what a peer remembers of it.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub(super) fn judge(&self, own: Life, remembered: &Remembered) -> io::Result<Judgement> {
        if let Some(known) = remembered.life
            && known.nonce != own.nonce
            && known.start >= own.start
        {
            return Ok(Judgement::NotAbove(known));
        }
        let committed = self.committed()?;
        if let Some(had) = remembered.had
            && !self.has(had)?
            // A later term's commit contradicts it: two histories, which the tips decide.
            && committed.is_none_or(|tip| tip.term <= had.term)
        {
            return Ok(Judgement::Lacks(had));
        }
        if let Some((term, expected)) = remembered.counted_on
            && term >= self.vote_term
            && !self.has(expected)?
        {
            return Ok(Judgement::Lacks(expected));
        }
        Ok(Judgement::Whole)
    }

    /// Compares a peer's committed tip with this node's committed records.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub(super) fn compare(&self, theirs: Option<&CommittedTip>) -> io::Result<TipComparison> {
        let (Some(theirs), Some(own)) = (theirs, self.committed()?) else {
            return Ok(TipComparison::One);
        };
        if theirs.id.position > own.position {
            return Ok(TipComparison::One);
        }
        let tip = self.journal.tip_at(theirs.id.position)?;
        Ok(match tip {
            Some(tip) if tip.term != theirs.id.term || tip.link.0 != theirs.link => {
                TipComparison::Differ(PeerLogId { term: tip.term, position: tip.position })
            }
            _ => TipComparison::One,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use evenkeel_storage::{
        disk::{Disk, MemoryDisk},
        journal::{self, JournalOptions, NewRecord},
    };

    use super::*;

    const OWN: Life = Life { start: 5, nonce: 50 };

    /// Records 0 to 9 of term 1 and 10 to 14 of term 3; committed to 12.
    fn journal() -> Journal {
        let disk = MemoryDisk::new(1);
        disk.create_folder(Path::new("/data")).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let options = JournalOptions::new([7; 16]);
        let (journal, mut writer, _) = journal::open(disk, Path::new("/data"), options).unwrap();
        let record = |position| NewRecord {
            position,
            term: if position < 10 { 1 } else { 3 },
            time: 0,
            kind: 0,
            payload: bytes::Bytes::new(),
        };
        journal.append((0..15).map(record).collect(), Box::new(|_| ())).unwrap();
        writer.step(1);
        journal.set_committed(12);
        journal
    }

    fn id(term: u64, position: u64) -> PeerLogId {
        PeerLogId { term, position }
    }

    fn life(start: u64, nonce: u64) -> Option<PeerLife> {
        Some(PeerLife { start, nonce })
    }

    #[test]
    fn a_copy_is_behind_if_a_peer_remembers_more() {
        let journal = journal();
        let own = OwnRecords { journal: &journal, vote_term: 3 };
        let whole = Remembered::default();
        for (remembered, expected) in [
            (whole, Judgement::Whole),
            (Remembered { life: life(4, 40), ..whole }, Judgement::Whole),
            (Remembered { life: life(5, 50), ..whole }, Judgement::Whole),
            (Remembered { life: life(9, 50), ..whole }, Judgement::Whole),
            (Remembered { life: life(5, 51), ..whole }, Judgement::NotAbove(life(5, 51).unwrap())),
            (Remembered { life: life(6, 60), ..whole }, Judgement::NotAbove(life(6, 60).unwrap())),
            (Remembered { had: Some(id(3, 12)), ..whole }, Judgement::Whole),
            (Remembered { had: Some(id(3, 14)), ..whole }, Judgement::Whole),
            (Remembered { had: Some(id(3, 15)), ..whole }, Judgement::Lacks(id(3, 15))),
            (Remembered { had: Some(id(4, 13)), ..whole }, Judgement::Lacks(id(4, 13))),
            // The others committed term 3 without it: two histories, and this one is the newer.
            (Remembered { had: Some(id(2, 20)), ..whole }, Judgement::Whole),
            (Remembered { counted_on: Some((3, id(3, 14))), ..whole }, Judgement::Whole),
            (Remembered { counted_on: Some((3, id(3, 15))), ..whole }, Judgement::Lacks(id(3, 15))),
            // A deposed primary's belief: a newer one may have cut it.
            (Remembered { counted_on: Some((2, id(2, 15))), ..whole }, Judgement::Whole),
        ] {
            assert_eq!(own.judge(OWN, &remembered).unwrap(), expected, "{remembered:?}");
        }
    }

    #[test]
    fn the_one_that_reaches_further_finds_that_two_histories_were_committed() {
        let journal = journal();
        let own = OwnRecords { journal: &journal, vote_term: 3 };
        let link = |position| journal.tip_at(position).unwrap().map_or([0; 32], |tip| tip.link.0);
        let tip = |term, position| CommittedTip { id: id(term, position), link: link(position) };
        let other = CommittedTip { link: [9; 32], ..tip(3, 12) };
        for (theirs, expected) in [
            (None, TipComparison::One),
            (Some(tip(3, 12)), TipComparison::One),
            (Some(tip(1, 9)), TipComparison::One),
            (Some(tip(9, 13)), TipComparison::One),
            // Two primaries of one term, because a majority had forgotten that term.
            (Some(other), TipComparison::Differ(id(3, 12))),
            (Some(tip(5, 9)), TipComparison::Differ(id(1, 9))),
            (Some(tip(2, 12)), TipComparison::Differ(id(3, 12))),
        ] {
            assert_eq!(own.compare(theirs.as_ref()).unwrap(), expected, "{theirs:?}");
        }
    }
}
