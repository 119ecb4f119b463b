//! Appended records can be read, at once and later, across segments, restarts and truncations.

use evenkeel_storage::disk::Disk;
use evenkeel_storage::journal::{SegmentState, genesis_link};
use evenkeel_storage::vote::StoredVote;

use crate::rig::{CLUSTER, Rig, folder, ignore, segment_path};

#[test]
fn records_are_readable_at_once_and_durable_after_a_step() {
    let mut rig = Rig::new(1);
    rig.append(1, &[10, 0, 300]);
    assert_eq!(rig.terms(), [1, 1, 1]);
    assert_eq!((rig.acknowledged(), rig.journal.durable_position()), (0, None));
    let syncs = rig.disk.sync_count();
    rig.append(1, &[20]);
    rig.settle();
    assert_eq!(rig.disk.sync_count(), syncs + 1, "one sync for all waiting appends");
    assert_eq!((rig.acknowledged(), rig.journal.durable_position()), (4, Some(3)));
    assert_eq!(rig.journal.read(1, 3, usize::MAX).unwrap().len(), 2);
    assert_eq!(rig.journal.read(2, 9, 0).unwrap().len(), 1, "at least one");
    assert!(rig.journal.read(4, 9, 0).unwrap().is_empty());
}

#[test]
fn a_long_journal_survives_a_restart_with_the_same_chain() {
    let mut rig = Rig::new(2);
    for size in 0..200 {
        rig.append(1 + size / 50, &[usize::try_from(size * 7).unwrap(), 3, 64]);
        if size % 3 == 0 {
            rig.settle();
        }
    }
    rig.append(5, &[100_000, 5]);
    rig.settle();
    let (last, terms) = (rig.journal.newest_tip(), rig.terms());
    let segments = rig.journal.segments();
    assert!(segments.len() > 20);
    assert_eq!(segments.iter().filter(|one| one.state == SegmentState::Open).count(), 1);
    rig.journal.set_committed(150);
    rig.settle();
    rig.writer.handle_idle();
    let mut rig = rig.reopen().unwrap();
    assert_eq!((rig.journal.newest_tip(), rig.terms()), (last, terms));
    assert_eq!(rig.recovery.committed, Some(150));
    assert_eq!(rig.recovery.cut_bytes, 0);
    rig.write(9, &[8]);
    assert_eq!(rig.next(), 603);
    for position in [0, 1, 77, 601, 602] {
        let tip = rig.journal.tip_at(position).unwrap().unwrap();
        let record = &rig.journal.read(position, position + 1, 0).unwrap()[0];
        assert_eq!(tip, record.tip());
    }
    assert_eq!(rig.journal.tip_at(603).unwrap(), None);
}

#[test]
fn sealed_segments_read_the_same() {
    let mut rig = Rig::new(3);
    for _ in 0..60 {
        rig.write(1, &[100, 200]);
    }
    let (last, terms) = (rig.journal.newest_tip(), rig.terms());
    assert!(rig.journal.seal(0).is_err(), "not committed");
    rig.journal.set_committed(119);
    let mut sealed = 0;
    while let Some(rolled) = rig.journal.oldest_rolled() {
        rig.journal.seal(rolled.first).unwrap();
        sealed += 1;
    }
    assert!(sealed > 3);
    assert_eq!(rig.terms(), terms);
    assert_eq!(rig.journal.tip_at(0).unwrap().unwrap().position, 0);
    let rig = rig.reopen().unwrap();
    assert_eq!((rig.terms(), rig.journal.newest_tip()), (terms, last));
    assert_eq!(rig.recovery.sealed, sealed);
    assert!(rig.recovery.committed >= rig.journal.segments()[sealed - 1].last);
}

#[test]
fn truncation_rewinds_the_chain_in_memory_at_once_and_on_disk_in_order() {
    let mut rig = Rig::new(4);
    for _ in 0..40 {
        rig.write(1, &[100, 200]);
    }
    let before = rig.journal.tip_at(20).unwrap().unwrap();
    rig.append(1, &[50, 50]);
    rig.truncate_after(Some(20));
    assert_eq!(rig.journal.newest_tip(), Some(before));
    assert_eq!(rig.journal.durable_position(), Some(20));
    rig.append(2, &[10, 10]);
    assert_eq!(rig.terms().len(), 23);
    rig.settle();
    assert_eq!(rig.acknowledged(), 23);
    let (last, terms) = (rig.journal.newest_tip(), rig.terms());
    let mut rig = rig.reopen().unwrap();
    assert_eq!((rig.journal.newest_tip(), rig.terms()), (last, terms));
    rig.truncate_after(None);
    assert_eq!(rig.journal.newest_tip(), None);
    rig.append(3, &[1]);
    rig.settle();
    assert_eq!(rig.reopen().unwrap().terms(), [3]);
}

/// The record that replaces the first record of a truncated segment may be applied before the
/// writer performs the truncation.
#[test]
fn a_segment_that_is_to_be_cut_away_begins_nowhere() {
    let mut rig = Rig::new(4);
    for _ in 0..40 {
        rig.write(1, &[100, 200]);
    }
    let first = rig.journal.segments().last().unwrap().first;
    assert!(first > 2 && rig.journal.begins_segment(first));
    rig.truncate_after(Some(first - 2));
    rig.append(2, &[10, 10]);
    assert_eq!(rig.journal.newest_tip().unwrap().position, first);
    assert!(!rig.journal.begins_segment(first), "its segment is truncated");
    rig.settle();
    assert!(!rig.journal.begins_segment(first), "it's in the segment before");
}

#[test]
fn two_truncations_in_the_queue_leave_the_right_durable_position() {
    let mut rig = Rig::new(5);
    rig.append(1, &[10; 10]);
    rig.truncate_after(Some(5));
    rig.append(2, &[10; 5]);
    rig.truncate_after(Some(3));
    rig.append(3, &[10; 2]);
    assert_eq!(rig.journal.durable_position(), None);
    rig.writer.step(1);
    assert_eq!(rig.journal.durable_position(), None, "durable records may be truncated");
    rig.settle();
    assert_eq!(rig.journal.durable_position(), Some(5));
    assert_eq!(rig.terms(), [1, 1, 1, 1, 3, 3]);
    assert_eq!(rig.reopen().unwrap().terms(), [1, 1, 1, 1, 3, 3]);
}

/// It once panicked, at every start again: the old primary of a history that was forgotten.
#[test]
fn truncation_below_the_committed_position_removes_nothing_and_is_damage() {
    let mut rig = Rig::new(6);
    rig.write(1, &[10; 10]);
    rig.journal.set_committed(4);
    let refused = rig.journal.truncate_after(Some(3), ignore()).unwrap_err();
    assert!(refused.reason.contains("positions 4 to 4"), "{refused}");
    assert!(rig.journal.damage_found());
    assert_eq!(rig.reopen().unwrap().terms(), [1; 10]);
}

#[test]
#[should_panic(expected = "without gaps")]
fn a_gap_panics() {
    let rig = Rig::new(7);
    rig.journal.append(vec![crate::rig::record(1, 1, 1)], ignore()).unwrap();
}

#[test]
fn votes_come_back_and_the_first_link_is_the_cluster_s() {
    let mut rig = Rig::new(8);
    assert_eq!(rig.recovery.vote, None);
    let vote = StoredVote { term: 3, node: 2, committed: true };
    rig.journal.save_vote(StoredVote { term: 2, node: 1, committed: false }, ignore()).unwrap();
    rig.journal.save_vote(vote, ignore()).unwrap();
    rig.settle();
    rig.disk.crash();
    let rig = rig.reopen().unwrap();
    assert_eq!(rig.recovery.vote, Some(vote));
    let bytes = crate::rig::contents(&rig.disk, &segment_path("00000000000000000000.open"));
    assert_eq!(bytes[32..64], genesis_link(&CLUSTER).0);
    assert_eq!(rig.disk.list(folder()).unwrap(), ["memory.a", "memory.b", "vote.a", "vote.b"]);
}

#[test]
fn a_writer_on_its_own_thread_finishes_and_returns_when_closed() {
    let Rig { journal, writer, acknowledged, .. } = Rig::new(9);
    let thread = std::thread::spawn(move || writer.run());
    for position in 0..100 {
        let acknowledged = std::sync::Arc::clone(&acknowledged);
        let done = Box::new(move |result: Result<(), _>| {
            result.unwrap();
            acknowledged.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        journal.append(vec![crate::rig::record(position, 1, 50)], done).unwrap();
    }
    journal.close();
    thread.join().unwrap();
    assert_eq!(acknowledged.load(std::sync::atomic::Ordering::SeqCst), 100);
    assert!(journal.append(Vec::new(), ignore()).is_err());
}

/// A node restarts with an uncommitted record at its end, and a new primary replaces that record.
/// Until the writer performs the truncation the disk still holds the old record, after a valid one
/// that is read from the disk: reading on must not return it. It once did, and a follower applied a
/// transfer that was never committed.
#[test]
fn a_truncated_record_is_never_read_again_while_the_writer_is_behind() {
    let mut rig = Rig::new(4);
    rig.write(1, &[10, 10, 10]);
    let mut rig = rig.reopen().unwrap();
    rig.truncate_after(Some(1));
    rig.append(2, &[20, 20]);
    assert_eq!(rig.terms(), [1, 1, 2, 2]);
    for from in 0..4 {
        for until in from + 1..=4 {
            let read = rig.journal.read(from, until, usize::MAX).unwrap();
            let terms: Vec<u64> = read.iter().map(|record| record.term).collect();
            let all = [1, 1, 2, 2];
            let range = usize::try_from(from).unwrap()..usize::try_from(until).unwrap();
            assert_eq!(terms, all[range], "from {from} to {until}");
        }
    }
    rig.settle();
    assert_eq!(rig.terms(), [1, 1, 2, 2]);
}
