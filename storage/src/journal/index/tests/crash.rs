//! Power cuts, full disks and failed syncs while an index is written: either the old index stays,
//! or the new one is there whole.

use std::path::Path;
use std::sync::Arc;

use super::{FOLDER, Segment, disk, segment};
use crate::disk::{Disk, MemoryDisk};
use crate::journal::index::{IndexError, SegmentIndex, partial_path_of};

fn codes(model: &Segment) -> Vec<Option<u8>> {
    model.located().map(|(command, _)| Some(command.outcome.code)).collect()
}

/// The codes in the index on disk, or `None` if there is no index; any other result is wrong.
fn codes_on(disk: &MemoryDisk, model: &Segment) -> Option<Vec<Option<u8>>> {
    match SegmentIndex::open(Arc::new(disk.clone()), Path::new(FOLDER), model.first) {
        Err(IndexError::Missing { .. }) => None,
        Err(error) => panic!("{error}"),
        Ok(index) => {
            index.verify().unwrap();
            let code = |at: super::LocatedCommand| index.command(at.position, at.command).unwrap();
            Some(model.located().map(|(_, at)| code(at).map(|found| found.outcome.code)).collect())
        }
    }
}

#[test]
fn a_power_cut_leaves_the_old_index_or_none() {
    let new = segment(50, 2_000, 5, 9);
    let mut old = new.clone();
    old.records.iter_mut().flatten().for_each(|command| command.outcome.code ^= 0xff);
    let mut chunks = 0;
    new.build_at_pace(&disk(0), &mut |_| chunks += 1).unwrap();
    assert!(chunks > 4);

    for seed in 0..2 * chunks {
        for had_one in [false, true] {
            let disk = disk(seed);
            if had_one {
                old.build(&disk).unwrap();
            }
            let mut written = 0;
            let failed = new.build_at_pace(&disk, &mut |_| {
                written += 1;
                if written == 1 + seed % chunks {
                    disk.crash();
                }
            });
            assert!(failed.is_err());
            assert_eq!(codes_on(&disk, &new), had_one.then(|| codes(&old)));
            new.build(&disk).unwrap();
            disk.crash();
            assert_eq!(codes_on(&disk, &new), Some(codes(&new)), "a finished index is durable");
        }
    }
}

#[test]
fn a_full_disk_and_a_failed_sync_are_errors_and_leave_nothing_behind() {
    let model = segment(0, 100, 5, 9);
    let disk = disk(1);
    disk.fail_next_sync();
    assert!(model.build(&disk).is_err());
    assert_eq!(codes_on(&disk, &model), None);
    let folder = Path::new(FOLDER);
    assert!(disk.list(folder).unwrap().is_empty());

    disk.set_full(true);
    assert!(model.build(&disk).is_err());
    disk.set_full(false);
    assert!(disk.list(folder).unwrap().is_empty());

    disk.create(&partial_path_of(folder, 0)).unwrap().write_at(b"left behind", 0).unwrap();
    model.build(&disk).unwrap();
    assert_eq!(codes_on(&disk, &model), Some(codes(&model)));
    assert_eq!(disk.list(folder).unwrap().len(), 1);
}

#[test]
fn pace_is_told_of_all_bytes_in_small_steps() {
    let model = segment(0, 6_000, 5, 9);
    let disk = disk(1);
    let (mut steps, mut bytes) = (Vec::new(), 0);
    model
        .build_at_pace(&disk, &mut |step| {
            steps.push(step);
            bytes += step;
        })
        .unwrap();
    let folder = Path::new(FOLDER);
    let file = disk.open(&crate::journal::index::path_of(folder, 0)).unwrap();
    assert!(steps.iter().all(|step| *step <= 64 << 10));
    // The header is written last and separately.
    assert_eq!(u64::try_from(bytes).unwrap() + 4096, file.len().unwrap());
}
