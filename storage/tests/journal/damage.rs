//! Files that were cut, damaged, swapped, lost or taken from another cluster: either refused with
//! the exact reason, or torn and cut, and never confused.

use std::path::Path;

use evenkeel_storage::disk::{Disk, DiskTrouble, MemoryDisk};
use evenkeel_storage::journal::{Damage, JournalOptions, OpenError, WalkError, WriterStep, verify};
use evenkeel_storage::vote::StoredVote;

use crate::rig::{CLUSTER, Rig, contents, folder, ignore, options, put, segment_path};

const FIRST: &str = "00000000000000000000.open";

/// The message of a failed open, which must report damage.
fn refusal(disk: &MemoryDisk) -> String {
    match Rig::open(disk.clone()) {
        Ok(rig) => panic!("opened with {} records", rig.next()),
        Err(error) => {
            assert!(error.is_damage(), "{error}");
            error.to_string()
        }
    }
}

fn check_refused(disk: &MemoryDisk, reason: &str) {
    let message = refusal(disk);
    assert!(message.contains(reason), "{message:?} doesn't say {reason:?}");
    let damage = verify(disk, folder(), None, &mut |_| Ok(())).unwrap_err().to_string();
    assert!(damage.contains(reason), "verify: {damage:?} doesn't say {reason:?}");
}

/// About ten segments: the older ones sealed, one rolled, one open.
fn long_journal(seed: u64) -> MemoryDisk {
    let mut rig = Rig::new(seed);
    for _ in 0..60 {
        rig.write(1, &[150, 201]);
    }
    let rolled = rig.journal.segments().into_iter().rev().nth(1).unwrap();
    rig.journal.set_committed(rolled.first - 1);
    while let Some(oldest) = rig.journal.oldest_rolled()
        && oldest.first < rolled.first
    {
        rig.journal.seal(oldest.first).unwrap();
    }
    rig.write(1, &[10]);
    rig.writer.handle_idle();
    rig.disk
}

fn sealed(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list(&folder().join("journal")).unwrap();
    names.into_iter().filter(|name| name.ends_with(".sealed")).collect()
}

#[test]
fn the_newest_segment_cut_at_every_byte_of_its_last_batch_keeps_what_is_whole() {
    let mut rig = Rig::new(1);
    rig.write(1, &[100, 30]);
    rig.write(1, &[50]);
    let begin = usize::try_from(rig.journal.segments()[0].bytes).unwrap();
    rig.write(1, &[70, 0, 90]);
    let end = usize::try_from(rig.journal.segments()[0].bytes).unwrap();
    let whole = contents(&rig.disk, &segment_path(FIRST));
    let frame = |payload: usize| 72 + payload.next_multiple_of(8);
    let ends = [begin + 24 + frame(70), begin + 24 + frame(70) + frame(0), end];
    for length in begin..=end {
        put(&rig.disk, &segment_path(FIRST), &whole[..length]);
        let expected = 3 + ends.iter().filter(|end| **end <= length).count();
        let torn = verify(&rig.disk, folder(), None, &mut |_| Ok(())).unwrap();
        assert_eq!(torn.records, u64::try_from(expected).unwrap());
        let mut again = Rig::open(rig.disk.clone()).unwrap();
        assert_eq!(again.terms().len(), expected, "cut at {length}");
        assert_eq!(again.recovery.cut_bytes, torn.torn_bytes);
        assert_eq!(again.recovery.cut_file.is_some(), torn.torn_bytes > 0);
        again.write(2, &[33]);
        assert_eq!(again.reopen().unwrap().terms().len(), expected + 1);
    }
}

#[test]
fn cut_bytes_are_kept_aside() {
    let mut rig = Rig::new(2);
    rig.write(1, &[100]);
    let begin = usize::try_from(rig.journal.segments()[0].bytes).unwrap();
    rig.write(1, &[200]);
    let mut bytes = contents(&rig.disk, &segment_path(FIRST));
    bytes[begin + 24 + 72 + 5] ^= 1;
    put(&rig.disk, &segment_path(FIRST), &bytes);
    let rig = rig.reopen().unwrap();
    assert_eq!(rig.terms(), [1]);
    let kept = contents(&rig.disk, &rig.recovery.cut_file.unwrap());
    assert!(bytes[begin + 24..].starts_with(&kept));
    assert_eq!(rig.recovery.cut_bytes, u64::try_from(kept.len()).unwrap());
}

#[test]
fn a_broken_record_with_a_later_batch_behind_it_is_damage_not_a_tear() {
    let mut rig = Rig::new(3);
    for _ in 0..4 {
        rig.write(1, &[100, 100]);
    }
    let whole = contents(&rig.disk, &segment_path(FIRST));
    // Batches are a mark and two records of 72 + 104 bytes.
    let record_at = |index: usize| 128 + 24 * (1 + index / 2) + 176 * index;
    for index in 0..6 {
        let mut bytes = whole.clone();
        bytes[record_at(index) + 80] ^= 4;
        put(&rig.disk, &segment_path(FIRST), &bytes);
        check_refused(&rig.disk, &format!("position {index}: record checksum doesn't match"));
        check_refused(&rig.disk, "were durable here");
    }
    put(&rig.disk, &segment_path(FIRST), &whole);
    assert_eq!(rig.reopen().unwrap().terms().len(), 8);
}

#[test]
fn after_a_quiet_moment_the_newest_record_is_covered_too() {
    let mut rig = Rig::new(4);
    rig.write(1, &[100, 100]);
    rig.writer.handle_idle();
    let whole = contents(&rig.disk, &segment_path(FIRST));
    let mut bytes = whole.clone();
    bytes[128 + 24 + 176 + 80] ^= 4;
    put(&rig.disk, &segment_path(FIRST), &bytes);
    check_refused(&rig.disk, "position 1: record checksum doesn't match");
    bytes[128 + 24 + 176..128 + 24 + 352].fill(0);
    put(&rig.disk, &segment_path(FIRST), &bytes);
    check_refused(
        &rig.disk,
        "nothing where a record is expected, yet records up to 1 were durable",
    );
}

#[test]
fn a_whole_record_with_another_link_is_an_altered_history() {
    let mut rig = Rig::new(5);
    rig.write(1, &[100]);
    let begin = usize::try_from(rig.journal.segments()[0].bytes).unwrap() + 24;
    rig.write(1, &[100]);
    let mut other = Rig::new(5);
    other.write(2, &[100]);
    other.write(1, &[100]);
    let foreign = contents(&other.disk, &segment_path(FIRST));
    let mut bytes = contents(&rig.disk, &segment_path(FIRST));
    bytes[begin..].copy_from_slice(&foreign[begin..]);
    put(&rig.disk, &segment_path(FIRST), &bytes);
    check_refused(&rig.disk, "history was altered");
}

#[test]
fn a_mark_inside_a_payload_claims_nothing() {
    let mut rig = Rig::new(6);
    rig.write(1, &[40]);
    let bytes = contents(&rig.disk, &segment_path(FIRST));
    let begin = usize::try_from(rig.journal.segments()[0].bytes).unwrap();
    let mark = &bytes[128..152];
    let mut payload = mark.to_vec();
    payload[8..16].copy_from_slice(&99u64.to_le_bytes());
    let record = evenkeel_storage::journal::NewRecord {
        payload: payload.into(),
        ..crate::rig::record(1, 1, 0)
    };
    rig.journal.append(vec![record], ignore()).unwrap();
    rig.settle();
    let mut bytes = contents(&rig.disk, &segment_path(FIRST));
    bytes[begin + 24 + 60] ^= 1;
    put(&rig.disk, &segment_path(FIRST), &bytes);
    assert_eq!(rig.reopen().unwrap().terms(), [1], "torn, not damaged");
}

#[test]
fn segments_that_are_missing_swapped_doubled_or_blank_are_refused() {
    let disk = long_journal(7);
    let journal = folder().join("journal");
    let names = sealed(&disk);
    let [first, second, third] = [0, 1, 2].map(|index| journal.join(&names[index]));
    let bytes = [&first, &second, &third].map(|path| contents(&disk, path));

    disk.remove(&second).unwrap();
    check_refused(&disk, "is missing");
    put(&disk, &second, &bytes[2]);
    put(&disk, &third, &bytes[1]);
    check_refused(&disk, "says it begins at");
    put(&disk, &second, &bytes[1]);
    put(&disk, &third, &vec![0; bytes[2].len()]);
    check_refused(&disk, "segment header is all zero");
    put(&disk, &third, &[]);
    check_refused(&disk, "segment header is all zero");
    put(&disk, &third, &bytes[2][..bytes[2].len() - 8]);
    check_refused(&disk, "footer has the wrong magic");
    put(&disk, &third, &bytes[2]);
    let double = segment_path(&names[1].replace("sealed", "open"));
    put(&disk, &double, &bytes[1]);
    check_refused(&disk, "a second file for one segment");
    disk.remove(&double).unwrap();
    disk.remove(&first).unwrap();
    check_refused(&disk, "the segment that begins at 0 is missing");
    put(&disk, &first, &bytes[0]);
    assert_eq!(Rig::open(disk).unwrap().terms().len(), 121);
}

#[test]
fn a_newest_segment_that_went_missing_is_noticed() {
    let disk = long_journal(8);
    let names = disk.list(&folder().join("journal")).unwrap();
    let newest = names.iter().rfind(|name| name.ends_with(".open")).unwrap();
    disk.remove(&segment_path(newest)).unwrap();
    check_refused(&disk, "is missing");
    for name in disk.list(&folder().join("journal")).unwrap() {
        disk.remove(&segment_path(&name)).unwrap();
    }
    assert!(refusal(&disk).contains("all its segments are missing"));
}

#[test]
fn another_clusters_segments_are_refused() {
    let disk = long_journal(9);
    let mut other = options();
    other.cluster = *b"another cluster.";
    let error = Rig::open_with(disk.clone(), other).map(|_| ()).unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("belongs to cluster"), "{error}");

    let stray = MemoryDisk::new(1);
    stray.create_folder(folder()).unwrap();
    let options = JournalOptions { cluster: *b"another cluster.", ..options() };
    let mut foreign = Rig::open_with(stray, options).unwrap();
    for _ in 0..60 {
        foreign.write(1, &[150, 201]);
    }
    foreign.journal.set_committed(100);
    foreign.journal.seal(0).unwrap();
    let path = segment_path("00000000000000000000.sealed");
    put(&disk, &path, &contents(&foreign.disk, &path));
    assert!(refusal(&disk).contains("belongs to cluster"));
    let damage = damage_of(verify(&disk, folder(), Some(CLUSTER), &mut |_| Ok(())));
    assert!(damage.what.contains("belongs to cluster"), "{damage}");
}

#[test]
fn one_bad_copy_of_the_vote_is_mended_and_two_are_refused() {
    let mut rig = Rig::new(10);
    let vote = StoredVote { term: 7, node: 3, committed: false };
    rig.journal.save_vote(vote, ignore()).unwrap();
    rig.settle();
    let [a, b] = ["vote.a", "vote.b"].map(|name| folder().join(name));
    let whole = contents(&rig.disk, &a);
    assert_eq!(whole, contents(&rig.disk, &b));
    for at in 0..whole.len() {
        for path in [&a, &b] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            put(&rig.disk, path, &bytes);
            let damage = damage_of(verify(&rig.disk, folder(), None, &mut |_| Ok(())));
            assert_eq!(Path::new(&damage.file), path);
            let mended = Rig::open(rig.disk.clone()).unwrap();
            assert_eq!(mended.recovery.vote, Some(vote));
            assert_eq!(contents(&rig.disk, path), whole);
        }
    }
    put(&rig.disk, &a, &[0; 48]);
    put(&rig.disk, &b, &whole[..47]);
    let message = refusal(&rig.disk);
    assert!(message.contains("vote.a: wrong magic; vote.b: 47 bytes"), "{message}");
    rig.disk.remove(&a).unwrap();
    rig.disk.remove(&b).unwrap();
    assert!(refusal(&rig.disk).contains("missing"));
}

#[test]
fn every_flipped_byte_is_found_and_placed() {
    let disk = long_journal(11);
    let journal = folder().join("journal");
    let names = disk.list(&journal).unwrap();
    let open: Vec<&String> = names.iter().filter(|name| name.ends_with(".open")).collect();
    assert_eq!(open.len(), 2, "one rolled and one open");
    let rig = Rig::open(disk.clone()).unwrap();
    let segments = rig.journal.segments();
    let newest_bytes = segments.last().unwrap().bytes;
    let picked =
        [&segments[0], &segments[3], &segments[segments.len() - 2], segments.last().unwrap()];
    for segment in picked {
        let whole = contents(&disk, &segment.path);
        let is_newest = segment.path == segments.last().unwrap().path;
        // The newest segment ends with a mark and zeros, in which damage can't be detected yet.
        let end = if is_newest { usize::try_from(newest_bytes).unwrap() - 24 } else { whole.len() };
        let all = (0..end).filter(|at| *at < 160 || at + 140 > end || at % 11 == 0);
        for at in all {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            put(&disk, &segment.path, &bytes);
            let found = verify(&disk, folder(), None, &mut |_| Ok(()));
            assert!(found.is_err(), "byte {at} of {}", segment.path.display());
            let damage = damage_of(found);
            assert_eq!(Path::new(&damage.file), segment.path);
            assert!(
                damage.position >= segment.first && damage.position <= segment.last.unwrap() + 1
            );
            let is_in_body = at >= 128 && damage.offset < segment.bytes;
            assert!(!is_in_body || damage.offset <= u64::try_from(at).unwrap() || !is_newest);
        }
        put(&disk, &segment.path, &whole);
    }
    assert_eq!(verify(&disk, folder(), None, &mut |_| Ok(())).unwrap().records, 121);
}

fn damage_of<T: std::fmt::Debug>(walked: Result<T, WalkError>) -> Damage {
    match walked.unwrap_err() {
        WalkError::Damaged(damage) => damage,
        other => panic!("no damage: {other}"),
    }
}

#[test]
fn scrub_and_reads_and_online_verify_find_rot_while_running() {
    let mut rig = Rig::open(long_journal(12)).unwrap();
    let segments = rig.journal.segments();
    let online = rig.journal.verify(&mut |_| Ok(())).unwrap();
    assert_eq!((online.records, online.last), (121, rig.journal.newest_tip()));
    for segment in &segments {
        let result = rig.journal.scrub(segment.first);
        assert_eq!(result.is_ok(), segment.path.extension().unwrap() == "sealed");
    }
    let rotten = &segments[1];
    let whole = contents(&rig.disk, &rotten.path);
    let mut bytes = whole.clone();
    bytes[128 + 24 + 80] ^= 1;
    put(&rig.disk, &rotten.path, &bytes);
    let damage = damage_of(rig.journal.scrub(rotten.first));
    assert_eq!((damage.position, damage.offset), (rotten.first, 128 + 24));
    assert!(rig.journal.damage_found());
    assert_eq!(damage_of(rig.journal.verify(&mut |_| Ok(()))), damage);
    let error = rig.journal.read(rotten.first, rotten.first + 3, 4000).unwrap_err().to_string();
    assert!(error.contains("record checksum doesn't match"), "{error}");
    assert!(rig.journal.scrub(segments[2].first).is_ok());
    put(&rig.disk, &rotten.path, &whole);
    // Queued records that aren't durable aren't walked.
    rig.append(1, &[10, 10]);
    assert_eq!(rig.journal.verify(&mut |_| Ok(())).unwrap().records, 121);
    rig.settle();
    let refusing = rig.journal.verify(&mut |record| match record.position {
        122 => Err("the sum is off by one".to_owned()),
        _ => Ok(()),
    });
    let damage = damage_of(refusing);
    assert_eq!((damage.position, damage.what.as_str()), (122, "the sum is off by one"));
}

/// Peers and apply read records too: damage that ends the node must be distinguishable from a
/// temporary fault.
#[test]
fn a_read_that_meets_damage_is_remembered() {
    let rig = Rig::open(long_journal(12)).unwrap();
    let rotten = rig.journal.segments()[1].clone();
    rig.journal.read(rotten.first, rotten.first + 3, 4000).unwrap();
    assert!(!rig.journal.damage_found());
    let mut bytes = contents(&rig.disk, &rotten.path);
    bytes[128 + 24 + 80] ^= 1;
    put(&rig.disk, &rotten.path, &bytes);
    assert!(rig.journal.read(rotten.first, rotten.first + 3, 4000).is_err());
    assert!(rig.journal.damage_found());
}

/// A process without a free descriptor can't open a sealed segment. That once ended the node as
/// damaged, and nobody dared to restart it.
#[test]
fn a_file_that_can_not_be_opened_is_not_damage_and_one_that_can_not_be_read_is() {
    let rig = Rig::open(long_journal(12)).unwrap();
    let sealed = rig.journal.segments()[1].first;
    let unreadable = |walked: Result<(), WalkError>| {
        assert!(matches!(walked, Err(WalkError::Unreadable { .. })), "{walked:?}");
    };
    rig.disk.set_trouble(DiskTrouble { no_descriptors: true, ..DiskTrouble::default() });
    unreadable(rig.journal.scrub(sealed));
    unreadable(rig.journal.verify(&mut |_| Ok(())).map(drop));
    unreadable(verify(&rig.disk, folder(), None, &mut |_| Ok(())).map(drop));
    let opened = Rig::open(rig.disk.clone()).map(drop).unwrap_err();
    assert!(!opened.is_damage(), "{opened}");
    assert!(rig.journal.read(sealed, sealed + 1, 4000).is_err());
    assert!(!rig.journal.damage_found());
    rig.disk.set_trouble(DiskTrouble { unreadable: true, ..DiskTrouble::default() });
    let damage = damage_of(rig.journal.scrub(sealed));
    assert!(damage.what.contains("can't be read"), "{damage}");
    assert!(rig.journal.damage_found());
    rig.disk.set_trouble(DiskTrouble::default());
    rig.journal.scrub(sealed).unwrap();
}

#[test]
fn an_unfinished_footer_is_cut_off_and_sealed_again() {
    let disk = long_journal(13);
    let names = disk.list(&folder().join("journal")).unwrap();
    let rolled = segment_path(names.iter().find(|name| name.ends_with(".open")).unwrap());
    let end = {
        let rig = Rig::open(disk.clone()).unwrap();
        rig.journal.oldest_rolled().unwrap().bytes
    };
    let mut bytes = contents(&disk, &rolled);
    let end = usize::try_from(end).unwrap();
    bytes[end..end + 13].copy_from_slice(b"EKF\x01 unfinish");
    put(&disk, &rolled, &bytes);
    check_refused(&disk, "a footer in a segment that isn't being sealed");
    let sealing = rolled.with_extension("sealing");
    disk.rename(&rolled, &sealing).unwrap();
    verify(&disk, folder(), None, &mut |_| Ok(())).unwrap();
    let mut rig = Rig::open(disk).unwrap();
    rig.journal.set_committed(120);
    let first = rig.journal.oldest_rolled().unwrap().first;
    rig.journal.seal(first).unwrap();
    rig.journal.scrub(first).unwrap();
    assert_eq!(rig.writer.step(1), WriterStep::Idle);
    assert_eq!(rig.reopen().unwrap().terms().len(), 121);
}

#[test]
fn a_disk_that_does_not_answer_is_not_damage() {
    let disk = MemoryDisk::new(1);
    disk.set_full(true);
    let error = Rig::open(disk).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Vote(_) | OpenError::Io { .. }));
    assert!(!error.is_damage());
}
