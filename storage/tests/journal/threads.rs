//! Readers, a sealer and an online verify beside the writer's thread, on real files, while the tail
//! is truncated and rewritten.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use evenkeel_storage::disk::RealDisk;
use evenkeel_storage::journal::{self, Journal, JournalOptions, verify};

use crate::random::Random;
use crate::rig::{CLUSTER, ignore, record};

fn options() -> JournalOptions {
    JournalOptions { segment_bytes: 16 << 10, tail_bytes_max: 2000, ..JournalOptions::new(CLUSTER) }
}

/// Reads at random positions. Reads never report damage, and within one result the terms never
/// decrease.
fn read_about(journal: &Journal, seed: u64, stop: &AtomicBool) -> u64 {
    let mut random = Random(seed);
    let mut records = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(last) = journal.newest_tip() else { continue };
        // Mostly near the end, where truncations happen.
        let back = [last.position + 1, 40, 25, 15][usize::try_from(random.below(4)).unwrap()];
        let from = last.position - random.below(back.min(last.position + 1));
        let found = journal.read(from, from + 1 + random.below(200), 8000).unwrap();
        for (held, due) in found.iter().zip(from..) {
            assert_eq!(held.position, due);
        }
        assert!(found.is_sorted_by_key(|held| held.term), "a mixture of two histories");
        records += u64::try_from(found.len()).unwrap();
        journal.tip_at(from).unwrap();
    }
    records
}

fn verify_and_seal(journal: &Journal, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        journal.verify(&mut |_| Ok(())).unwrap();
        if let Some(rolled) = journal.oldest_rolled()
            && rolled.last <= journal.committed_position()
        {
            journal.seal(rolled.first).unwrap();
            journal.scrub(rolled.first).unwrap();
        }
    }
}

/// Appends, commits up to a position some way back, and sometimes truncates uncommitted records.
fn write_and_rewind(journal: &Journal) -> u64 {
    let mut random = Random(5);
    let durable = Arc::new(AtomicU64::new(0));
    let (mut term, mut next) = (1, 0);
    for round in 0..600 {
        let count = 1 + random.below(8);
        let sizes = (0..count).map(|_| usize::try_from(random.below(900)).unwrap());
        let records = (next..).zip(sizes).map(|(at, size)| record(at, term, size)).collect();
        next += count;
        let (end, told) = (next, Arc::clone(&durable));
        let done = Box::new(move |result: Result<(), _>| {
            result.unwrap();
            told.store(end, Ordering::SeqCst);
        });
        journal.append(records, done).unwrap();
        if round % 3 == 0 {
            let committed = durable.load(Ordering::SeqCst).saturating_sub(20).min(next);
            if let Some(position) = committed.checked_sub(1) {
                journal.set_committed(position);
            }
        }
        if round % 10 == 9 {
            let committed = journal.committed_position().map_or(0, |position| position + 1);
            next = committed + random.below(next - committed + 1);
            term += 1;
            let (end, told) = (next, Arc::clone(&durable));
            let done = Box::new(move |_| told.store(end, Ordering::SeqCst));
            durable.store(durable.load(Ordering::SeqCst).min(next), Ordering::SeqCst);
            journal.truncate_after(next.checked_sub(1), done).unwrap();
            // Earlier completions may be of records truncated since: wait for the truncation's
            // completion too.
            let (tell, told) = mpsc::channel();
            journal.append(Vec::new(), Box::new(move |_| tell.send(()).unwrap())).unwrap();
            told.recv().unwrap();
        }
    }
    next
}

#[test]
fn readers_never_see_a_mixture_nor_mistake_a_cut_for_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, writer, _) = journal::open(Arc::new(RealDisk), folder.path(), options()).unwrap();
    let stop = AtomicBool::new(false);
    let next = std::thread::scope(|scope| {
        let writing = scope.spawn(|| writer.run());
        let readers = [1, 2].map(|seed| {
            scope.spawn({
                let (journal, stop) = (&journal, &stop);
                move || read_about(journal, seed, stop)
            })
        });
        let verifying = scope.spawn(|| verify_and_seal(&journal, &stop));
        let next = write_and_rewind(&journal);
        stop.store(true, Ordering::Relaxed);
        journal.close();
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
        verifying.join().unwrap();
        writing.join().unwrap();
        next
    });
    assert_eq!(journal.durable_position().map_or(0, |position| position + 1), next);
    let verified = verify(&RealDisk, folder.path(), Some(CLUSTER), &mut |_| Ok(())).unwrap();
    assert_eq!((verified.records, verified.last), (next, journal.newest_tip()));
    assert!(journal.append(Vec::new(), ignore()).is_err(), "closed");
    check_opens_again(folder.path(), &journal);
}

fn check_opens_again(folder: &Path, before: &Journal) {
    let (again, _, recovery) = journal::open(Arc::new(RealDisk), folder, options()).unwrap();
    assert_eq!((again.newest_tip(), recovery.cut_bytes), (before.newest_tip(), 0));
    assert_eq!(again.segments().len(), before.segments().len());
}
