//! Disks that fail while the journal runs: the first failure is final, and a full disk is detected
//! ahead of need. A lack of descriptors is no failure: the journal waits.

use std::sync::{Arc, Mutex};

use evenkeel_storage::disk::{Disk, DiskTrouble};
use evenkeel_storage::journal::{JournalOptions, SealError, SyncWatch, WriterStep};
use evenkeel_storage::vote::StoredVote;

use crate::rig::{Rig, folder, ignore, options, record};

#[test]
fn a_failed_sync_poisons_for_ever_and_everyone_who_waits_is_told_in_order() {
    let mut rig = Rig::new(1);
    rig.write(1, &[10]);
    let told: Arc<Mutex<Vec<(u64, bool)>>> = Arc::default();
    for position in 1..4 {
        let told = Arc::clone(&told);
        let done = Box::new(move |result: Result<(), _>| {
            told.lock().unwrap().push((position, result.is_ok()));
        });
        rig.journal.append(vec![record(position, 1, 10)], done).unwrap();
    }
    rig.disk.fail_next_sync();
    assert_eq!(rig.writer.step(2), WriterStep::Poisoned);
    assert_eq!(*told.lock().unwrap(), [(1, false), (2, false), (3, false)]);
    assert!(rig.journal.poison_reason().unwrap().contains("appending: sync failed"));
    assert!(rig.journal.append(vec![record(4, 1, 1)], ignore()).is_err());
    assert!(rig.journal.truncate_after(Some(0), ignore()).is_err());
    let vote = StoredVote { term: 1, node: 1, committed: false };
    assert!(rig.journal.save_vote(vote, ignore()).is_err());
    assert_eq!(rig.writer.step(2), WriterStep::Poisoned);
    assert_eq!(rig.journal.durable_position(), Some(0));
    // Killed and started again without a power cut, the page cache still shows the unsynced
    // records.
    let disk = rig.disk.clone();
    let again = rig.reopen().unwrap();
    assert_eq!(again.journal.durable_position(), Some(2), "the third was never written");
    disk.crash();
    assert_eq!(again.reopen().unwrap().terms().len(), 3, "all recovered records are durable");
}

#[test]
fn a_vote_that_cannot_be_synced_poisons() {
    let mut rig = Rig::new(2);
    let vote = StoredVote { term: 1, node: 1, committed: false };
    rig.journal.save_vote(vote, ignore()).unwrap();
    rig.disk.fail_next_sync();
    assert_eq!(rig.writer.step(1), WriterStep::Poisoned);
    assert!(rig.journal.poison_reason().unwrap().contains("saving the vote"));
}

#[test]
fn a_full_disk_is_noticed_ahead_of_need_and_votes_still_go_through() {
    let mut rig = Rig::new(3);
    while rig.journal.segments().len() < 2 {
        rig.write(1, &[300]);
    }
    rig.write(1, &[300]);
    rig.disk.set_full(true);
    while !rig.journal.is_disk_full() {
        assert_eq!(rig.journal.segments().len(), 2, "reported before the open segment is full");
        rig.write(1, &[300]);
        rig.writer.handle_idle();
    }
    rig.journal.save_vote(StoredVote { term: 9, node: 1, committed: true }, ignore()).unwrap();
    rig.settle();
    rig.write(1, &[100]);
    let count = rig.terms().len();

    let mut rig = rig.reopen().unwrap();
    assert_eq!(rig.terms().len(), count, "opens on a full disk");
    rig.journal.save_vote(StoredVote { term: 10, node: 1, committed: true }, ignore()).unwrap();
    rig.settle();
    rig.disk.set_full(false);
    rig.writer.handle_idle();
    assert!(!rig.journal.is_disk_full());
    for _ in 0..40 {
        rig.write(1, &[300]);
    }
    assert!(rig.journal.segments().len() > 3);
}

#[test]
fn a_disk_that_stays_full_stops_the_journal_without_losing_anything() {
    let mut rig = Rig::new(4);
    rig.write(1, &[3000]);
    rig.disk.set_full(true);
    let mut written = 1;
    loop {
        rig.append(1, &[700]);
        if rig.writer.step(1) == WriterStep::Poisoned {
            break;
        }
        written += 1;
    }
    assert!(written > 2, "the reserved segment was used");
    assert_eq!(rig.acknowledged(), written);
    rig.disk.set_full(false);
    rig.disk.crash();
    assert_eq!(rig.reopen().unwrap().terms().len(), usize::try_from(written).unwrap());
}

#[test]
fn sealing_on_a_full_disk_can_be_tried_again() {
    let mut rig = Rig::new(5);
    // A record larger than a segment: its footer lies beyond the reserved space.
    rig.write(1, &[9000]);
    rig.write(1, &[10]);
    rig.writer.handle_idle();
    rig.journal.set_committed(1);
    rig.disk.set_full(true);
    assert!(matches!(rig.journal.seal(0), Err(SealError::DiskFull(0))));
    assert_eq!(rig.journal.poison_reason(), None);
    assert!(rig.journal.is_disk_full(), "no new commands while a segment waits for its footer");
    rig.writer.handle_idle();
    assert!(
        rig.journal.is_disk_full(),
        "the next segment was reserved long ago, which doesn't help"
    );
    rig.disk.set_full(false);
    rig.journal.seal(0).unwrap();
    // It used to stay set: an existing spare wasn't reserved again, and without commands none was
    // used up.
    assert!(!rig.journal.is_disk_full());
    assert!(matches!(rig.journal.seal(0), Err(SealError::NotRolled(0))));
    assert_eq!(rig.reopen().unwrap().terms().len(), 2);
}

/// A truncation releases the space after the cut for a moment. On a full disk another writer may
/// take it. The journal used to report a full disk forever, since the next segment was reserved
/// already.
#[test]
fn room_lost_by_a_truncation_comes_back_by_itself() {
    let mut rig = Rig::new(7);
    rig.write(1, &[300, 300]);
    rig.writer.handle_idle();
    rig.disk.set_full(true);
    rig.journal.truncate_after(Some(0), ignore()).unwrap();
    rig.settle();
    assert!(rig.journal.is_disk_full());
    rig.writer.handle_idle();
    assert!(rig.journal.is_disk_full());
    assert_eq!(rig.journal.poison_reason(), None, "an idle mark must not stop the journal");
    rig.disk.set_full(false);
    rig.writer.handle_idle();
    assert!(!rig.journal.is_disk_full());
    rig.write(2, &[300]);
    assert_eq!(rig.reopen().unwrap().terms().len(), 2);
}

#[test]
fn a_seal_whose_sync_fails_poisons() {
    let mut rig = Rig::new(6);
    rig.write(1, &[3900]);
    rig.write(1, &[3900]);
    rig.journal.set_committed(1);
    rig.disk.fail_next_sync();
    assert!(matches!(rig.journal.seal(0), Err(SealError::Poisoned(_))));
    assert!(rig.journal.append(vec![record(2, 1, 1)], ignore()).is_err());
    assert_eq!(rig.writer.step(1), WriterStep::Poisoned);
    rig.disk.crash();
    assert_eq!(rig.reopen().unwrap().terms().len(), 2);
}

#[derive(Default)]
struct Told(Mutex<Vec<&'static str>>);

impl SyncWatch for Told {
    fn sync_begins(&self) {
        self.0.lock().unwrap().push("begins");
    }

    fn sync_ends(&self) {
        self.0.lock().unwrap().push("ends");
    }
}

#[test]
fn every_sync_that_appends_wait_for_is_told_and_one_that_fails_never_ends() {
    let mut rig = Rig::new(2);
    let told: Arc<Told> = Arc::default();
    rig.journal.watch_syncs(told.clone());
    rig.append(1, &[10, 20]);
    rig.append(1, &[30]);
    rig.settle();
    assert_eq!(*told.0.lock().unwrap(), ["begins", "ends"], "one sync for all waiting appends");
    rig.write(1, &[40]);
    rig.append(1, &[50]);
    rig.disk.fail_next_sync();
    assert_eq!(rig.writer.step(9), WriterStep::Poisoned);
    assert_eq!(*told.0.lock().unwrap(), ["begins", "ends", "begins", "ends", "begins"]);
}

const NO_DESCRIPTORS: DiskTrouble = DiskTrouble {
    full: false,
    no_descriptors: true,
    few_descriptors: false,
    unreadable: false,
    unwritable: false,
};

/// A new segment once needed a free descriptor at that very moment: a reservation, or the sync of
/// the folder after the rename, poisoned the journal.
#[test]
fn without_descriptors_the_journal_waits_for_its_next_segment_and_goes_on() {
    let mut rig = Rig::new(8);
    rig.write(1, &[300]);
    // One segment is reserved already. The one after it can't be.
    rig.disk.set_trouble(NO_DESCRIPTORS);
    let mut written = 1;
    let step = loop {
        rig.append(1, &[300, 300]);
        match rig.writer.step(9) {
            WriterStep::Worked => written += 2,
            other => break other,
        }
        rig.writer.handle_idle();
        assert!(written < 40, "a third segment needs a descriptor");
    };
    assert_eq!((step, rig.journal.poison_reason()), (WriterStep::Waiting, None));
    assert_eq!(rig.journal.segments().len(), 2, "the reserved one was used");
    assert_eq!(rig.acknowledged(), written);
    assert_eq!(rig.journal.pending_progress(), None, "it doesn't wait for the disk");
    assert!(rig.journal.is_disk_full(), "no new commands while no segment can be made");
    let vote = StoredVote { term: 2, node: 1, committed: false };
    rig.journal.save_vote(vote, ignore()).unwrap();
    rig.append(1, &[300]);
    for _ in 0..3 {
        assert_eq!(rig.writer.step(9), WriterStep::Waiting);
    }
    rig.disk.set_trouble(DiskTrouble::default());
    rig.settle();
    assert_eq!(rig.acknowledged(), written + 3, "nothing was lost, nothing written twice");
    assert!(!rig.journal.is_disk_full());
    rig.disk.crash();
    let again = rig.reopen().unwrap();
    assert_eq!(again.recovery.vote, Some(vote));
    assert_eq!(again.terms().len(), usize::try_from(written + 3).unwrap());
}

#[test]
fn an_append_of_which_only_a_part_fits_is_durable_in_part_and_told_once() {
    let mut rig = Rig::new(9);
    rig.write(1, &[300]);
    rig.disk.set_trouble(NO_DESCRIPTORS);
    rig.append(1, &[900; 9]);
    rig.append(1, &[900; 2]);
    assert_eq!(rig.writer.step(9), WriterStep::Waiting);
    let durable = rig.journal.durable_position().unwrap();
    assert!((1..9).contains(&durable), "{durable}");
    assert_eq!(rig.acknowledged(), 1);
    rig.disk.set_trouble(DiskTrouble::default());
    rig.settle();
    assert_eq!(rig.acknowledged(), 12);
    rig.disk.crash();
    assert_eq!(rig.reopen().unwrap().terms().len(), 12);
}

/// What a failed reservation leaves behind, a remove that failed too, is no reason to stop.
#[test]
fn a_leftover_of_a_reservation_is_replaced() {
    let mut rig = Rig::new(10);
    rig.disk.set_trouble(NO_DESCRIPTORS);
    rig.write(1, &[2000]);
    rig.write(1, &[2000]);
    rig.disk.set_trouble(DiskTrouble::default());
    let spare = folder().join("journal").join("spare");
    drop(rig.disk.create(&spare));
    for _ in 0..9 {
        rig.write(1, &[900]);
    }
    assert_eq!(rig.reopen().unwrap().terms().len(), 11);
}

/// A follower that catches up on a slow disk queues tens of mebibytes. One sync of all of it took
/// longer than a hung disk may.
#[test]
fn a_step_takes_few_mebibytes_and_every_part_of_it_is_progress() {
    let disk = Rig::new(11).disk;
    let options = JournalOptions { segment_bytes: 64 << 20, ..options() };
    disk.replace_with_empty();
    let rig = {
        disk.create_folder(folder()).unwrap();
        Rig::open_with(disk, options).unwrap()
    };
    let mut writer = rig.writer;
    for position in 0..10 {
        rig.journal.append(vec![record(position, 1, 1 << 20)], ignore()).unwrap();
    }
    let mut steps = Vec::new();
    let mut progress = rig.journal.pending_progress().expect("ten appends are pending");
    while writer.step(usize::MAX) == WriterStep::Worked {
        steps.push(rig.journal.durable_position().unwrap() + 1);
        if let Some(now) = rig.journal.pending_progress() {
            assert!(now > progress + 4, "each write is progress, not only the sync");
            progress = now;
        }
    }
    assert_eq!(steps, [4, 8, 10]);
    assert_eq!(rig.journal.pending_progress(), None);
}
