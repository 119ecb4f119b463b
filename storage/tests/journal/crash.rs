//! Crashes at any moment, many times: acknowledged records survive, truncated ones never come back,
//! the chain holds, and nothing is taken for damage.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel_storage::disk::Disk;
use evenkeel_storage::journal::{WriterStep, verify};
use evenkeel_storage::vote::StoredVote;

use crate::random::Random;
use crate::rig::{Rig, contents, folder, record, segment_path};

/// A record as the model has it: term and size.
type Told = (u64, usize);

#[derive(Clone)]
enum Change {
    Append,
    Truncate,
    Vote(StoredVote),
}

struct Story {
    rig: Rig,
    random: Random,
    term: u64,
    /// The expected journal after each change since the last start, beginning with that start's.
    states: Vec<Vec<Told>>,
    changes: Vec<Change>,
    /// The number of acknowledged changes.
    acknowledged: Arc<AtomicUsize>,
    vote: Option<StoredVote>,
    committed: u64,
}

impl Story {
    fn new(seed: u64) -> Self {
        Self {
            rig: Rig::new(seed),
            random: Random(seed),
            term: 1,
            states: vec![Vec::new()],
            changes: Vec::new(),
            acknowledged: Arc::default(),
            vote: None,
            committed: 0,
        }
    }

    fn done(&mut self, change: Change) -> evenkeel_storage::journal::Completion {
        self.changes.push(change);
        let number = self.changes.len();
        let acknowledged = Arc::clone(&self.acknowledged);
        Box::new(move |result| {
            if result.is_ok() {
                assert_eq!(acknowledged.swap(number, Ordering::SeqCst) + 1, number, "in order");
            }
        })
    }

    fn state(&self) -> Vec<Told> {
        self.states.last().unwrap().clone()
    }

    fn append(&mut self) {
        let mut state = self.state();
        let first = u64::try_from(state.len()).unwrap();
        let count = 1 + self.random.below(4);
        let sizes: Vec<usize> = (0..count).map(|_| self.random.size()).collect();
        state.extend(sizes.iter().map(|size| (self.term, *size)));
        let term = self.term;
        let records = (first..).zip(&sizes).map(|(at, size)| record(at, term, *size));
        let done = self.done(Change::Append);
        if self.rig.journal.append(records.collect(), done).is_err() {
            self.changes.pop();
            return;
        }
        self.states.push(state);
    }

    fn truncate(&mut self) {
        let mut state = self.state();
        let length = u64::try_from(state.len()).unwrap();
        let keep = self.committed + self.random.below(length - self.committed + 1);
        state.truncate(usize::try_from(keep).unwrap());
        self.term += 1;
        let done = self.done(Change::Truncate);
        if self.rig.journal.truncate_after(keep.checked_sub(1), done).is_err() {
            self.changes.pop();
            return;
        }
        self.states.push(state);
    }

    fn vote(&mut self) {
        self.term += 1;
        let vote = StoredVote { term: self.term, node: self.random.below(3), committed: false };
        let done = self.done(Change::Vote(vote));
        if self.rig.journal.save_vote(vote, done).is_err() {
            self.changes.pop();
            return;
        }
        self.states.push(self.state());
    }

    fn commit(&mut self) {
        let durable = self.rig.journal.durable_position().map_or(0, |position| position + 1);
        if durable > self.committed {
            self.committed += self.random.below(durable - self.committed + 1);
        }
        if let Some(position) = self.committed.checked_sub(1) {
            self.rig.journal.set_committed(position);
        }
    }

    fn seal(&mut self) {
        if let Some(rolled) = self.rig.journal.oldest_rolled()
            && rolled.last < Some(self.committed)
        {
            let _ = self.rig.journal.seal(rolled.first);
        }
    }

    fn live(&mut self) {
        match self.random.below(40) {
            0..18 => self.append(),
            18..20 => self.truncate(),
            20..22 => self.vote(),
            22..30 => {
                let jobs = 1 + usize::try_from(self.random.below(5)).unwrap();
                if self.rig.writer.step(jobs) == WriterStep::Poisoned {
                    self.restart();
                }
            }
            30..33 => self.commit(),
            33..35 => self.seal(),
            35 => self.rig.writer.handle_idle(),
            36 => self.rig.disk.fail_next_sync(),
            37 => self.restart(),
            _ => {
                self.rig.disk.crash();
                self.restart();
            }
        }
    }

    /// Whether a crash may leave this: the last acknowledged state, or any step towards a later
    /// one.
    fn may_be(&self, found: &[Told]) -> bool {
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        if found == self.states[acknowledged] {
            return true;
        }
        (acknowledged..self.changes.len()).any(|index| {
            let (before, after) = (&self.states[index], &self.states[index + 1]);
            match self.changes[index] {
                Change::Append => found.len() >= before.len() && after.starts_with(found),
                Change::Truncate => found.len() >= after.len() && before.starts_with(found),
                Change::Vote(_) => false,
            }
        })
    }

    fn check_vote(&mut self, found: Option<StoredVote>) {
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let mut allowed = vec![self.vote];
        for (index, change) in self.changes.iter().enumerate() {
            if let Change::Vote(vote) = change {
                if index < acknowledged {
                    allowed.clear();
                }
                allowed.push(Some(*vote));
            }
        }
        assert!(allowed.contains(&found), "{found:?} isn't one of {allowed:?}");
        self.vote = found;
    }

    fn restart(&mut self) {
        let disk = self.rig.disk.clone();
        disk.set_full(false);
        let mut opened = None;
        for _ in 0..5 {
            let verified = verify(&disk, folder(), None, &mut |_| Ok(())).unwrap();
            match Rig::open(disk.clone()) {
                Ok(rig) => {
                    assert_eq!(rig.journal.newest_tip(), verified.last);
                    opened = Some(rig);
                    break;
                }
                Err(error) => assert!(!error.is_damage(), "{error}"),
            }
            if self.random.below(2) == 0 {
                disk.crash();
            }
        }
        self.rig = opened.expect("no more than a few syncs fail");
        let mut found = Vec::new();
        verify(&disk, folder(), None, &mut |held| {
            found.push((held.term, held.payload.len()));
            Ok(())
        })
        .unwrap();
        assert_eq!(self.rig.terms().len(), found.len());
        assert!(self.may_be(&found), "acknowledged records were lost or truncated ones came back");
        self.check_vote(self.rig.recovery.vote);
        let length = u64::try_from(found.len()).unwrap();
        assert!(self.rig.recovery.committed.is_none_or(|position| position < length));
        assert!(self.rig.recovery.committed < Some(self.committed) || self.committed == 0);
        self.states = vec![found];
        self.changes.clear();
        self.acknowledged = Arc::default();
        self.commit_again();
    }

    /// Sets the committed position again, as consensus would.
    fn commit_again(&mut self) {
        if let Some(position) = self.committed.checked_sub(1) {
            self.rig.journal.set_committed(position);
        }
    }
}

#[test]
fn acknowledged_records_survive_and_truncated_ones_never_come_back() {
    let seeds = std::env::var("SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    let first = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    for seed in first..first + seeds {
        println!("seed {seed}");
        let mut story = Story::new(seed);
        for _ in 0..400 {
            story.live();
        }
        story.rig.disk.crash();
        story.restart();
    }
}

/// A mark written while idle isn't synced. When its segment fills up next, a crash must not leave
/// it torn in a segment that others follow: there a torn mark and a damaged one couldn't be
/// distinguished.
#[test]
fn a_full_segment_has_no_unsynced_mark() {
    for seed in 0..300 {
        let mut rig = Rig::new(seed);
        let mut random = Random(seed);
        // So that the mark crosses the border of two sectors.
        let size = 272 + 512 * random.below(7) + 8 * random.below(2);
        rig.write(1, &[usize::try_from(size).unwrap()]);
        rig.writer.handle_idle();
        rig.write(1, &[3900]);
        assert_eq!(rig.journal.segments().len(), 2);
        rig.disk.crash();
        verify(&rig.disk, folder(), None, &mut |_| Ok(())).unwrap();
        assert_eq!(rig.reopen().unwrap().terms().len(), 2);
    }
}

/// Memory held newer records and their committed position, while the old ones were still on disk
/// and their truncation was queued. A mark written at that moment claimed the old ones as
/// committed, and a start after a kill applied them.
#[test]
fn a_mark_says_nothing_of_records_that_are_about_to_go() {
    let mut rig = Rig::new(1);
    rig.write(1, &[8; 21]);
    rig.journal.set_committed(15);
    rig.writer.handle_idle();
    rig.truncate_after(Some(15));
    rig.append(2, &[8; 3]);
    rig.journal.set_committed(18);
    rig.writer.handle_idle();
    // A kill: written bytes stay, synced or not.
    let mut rig = rig.reopen().unwrap();
    assert_eq!((rig.recovery.committed, rig.terms()), (Some(15), vec![1; 21]));
    rig.truncate_after(Some(15));
    rig.append(2, &[8; 3]);
    rig.settle();
    rig.journal.set_committed(18);
    rig.writer.handle_idle();
    assert_eq!(rig.reopen().unwrap().recovery.committed, Some(18));
}

#[test]
fn the_same_seed_crashes_the_same_way() {
    let run = || {
        let mut rig = Rig::new(77);
        for size in 0..30 {
            rig.append(1, &[size * 20, 600]);
            rig.writer.step(1);
            rig.append(1, &[size]);
        }
        rig.disk.fail_next_sync();
        rig.writer.step(usize::MAX);
        rig.disk.crash();
        let names = rig.disk.list(&folder().join("journal")).unwrap();
        let held = names.iter().map(|name| contents(&rig.disk, &segment_path(name)));
        held.collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
