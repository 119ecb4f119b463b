//! Every byte of an index is covered: a changed one is detected when it is read, and never changes
//! an answer.

use std::path::Path;
use std::sync::Arc;

use super::{FOLDER, Segment, disk, open, segment};
use crate::disk::{Disk, MemoryDisk};
use crate::journal::index::{IndexError, SegmentIndex, path_of};

/// Looks everything up and compares the answers. Returns the number of errors.
fn errors_but_no_wrong_answer(model: &Segment, index: &SegmentIndex) -> usize {
    let mut errors = 0;
    for (command, at) in model.located() {
        match index.find(command.id) {
            Ok(found) => assert_eq!(found, model.find(command.id)),
            Err(_) => errors += 1,
        }
        match index.command(at.position, at.command) {
            Ok(found) => assert_eq!(found, Some(at)),
            Err(_) => errors += 1,
        }
    }
    let sides = model.located().flat_map(|(command, _)| [command.debit, command.credit]);
    let mut accounts: Vec<_> = sides.flatten().collect();
    accounts.sort_unstable();
    accounts.dedup();
    for account in accounts {
        match index.history(account, None, 50) {
            Ok(page) => assert_eq!(page, model.history(account, None, 50)),
            Err(_) => errors += 1,
        }
    }
    errors
}

fn reopen(disk: &MemoryDisk, first: u64) -> Result<SegmentIndex, IndexError> {
    SegmentIndex::open(Arc::new(disk.clone()), Path::new(FOLDER), first)
}

#[test]
fn a_flipped_bit_anywhere_is_an_error_and_never_a_wrong_answer() {
    let model = segment(900, 60, 8, 11);
    let disk = disk(1);
    model.build(&disk).unwrap();
    let file = disk.open(&path_of(Path::new(FOLDER), model.first)).unwrap();
    let bytes = file.len().unwrap();
    assert_eq!(errors_but_no_wrong_answer(&model, &open(&disk, model.first)), 0);

    let mut blocks_with_errors = 0;
    for block in 0..bytes / 4096 {
        let mut errors = 0;
        // The start of a block, its middle, a few odd places and its checksum.
        for within in [0, 1, 7, 64, 517, 2_040, 3_111, 4_091, 4_092, 4_095] {
            let offset = block * 4096 + within;
            let mut byte = [0];
            file.read_at(&mut byte, offset).unwrap();
            file.write_at(&[byte[0] ^ (1 << (offset % 8))], offset).unwrap();
            match reopen(&disk, model.first) {
                Ok(index) => {
                    assert!(block > 0, "a damaged header at byte {offset} was opened");
                    assert!(index.verify().is_err(), "verify missed byte {offset}");
                    errors += errors_but_no_wrong_answer(&model, &index);
                }
                Err(error) => {
                    assert!(block == 0 && matches!(error, IndexError::Damaged { .. }));
                    errors += 1;
                }
            }
            file.write_at(&byte, offset).unwrap();
        }
        blocks_with_errors += u64::from(errors > 0);
    }
    assert_eq!(blocks_with_errors, bytes / 4096, "every block is read for some answer");
    open(&disk, model.first).verify().unwrap();
}

#[test]
fn every_single_byte_is_covered_by_verify() {
    let model = segment(3, 4, 4, 2);
    let disk = disk(1);
    model.build(&disk).unwrap();
    let file = disk.open(&path_of(Path::new(FOLDER), model.first)).unwrap();
    for offset in (0..file.len().unwrap()).step_by(13) {
        let mut byte = [0];
        file.read_at(&mut byte, offset).unwrap();
        file.write_at(&[!byte[0]], offset).unwrap();
        assert!(reopen(&disk, 3).and_then(|index| index.verify()).is_err(), "byte {offset}");
        file.write_at(&byte, offset).unwrap();
    }
}

#[test]
fn swapped_blocks_and_other_lengths_are_refused() {
    let model = segment(0, 2_000, 8, 8);
    let disk = disk(1);
    model.build(&disk).unwrap();
    let file = disk.open(&path_of(Path::new(FOLDER), 0)).unwrap();
    let bytes = file.len().unwrap();
    let (mut one, mut two) = ([0; 4096], [0; 4096]);
    file.read_at(&mut one, 4096).unwrap();
    file.read_at(&mut two, 2 * 4096).unwrap();
    file.write_at(&two, 4096).unwrap();
    file.write_at(&one, 2 * 4096).unwrap();
    let index = reopen(&disk, 0).unwrap();
    assert!(index.verify().is_err());
    assert!(index.command(0, 0).is_err() || model.command(0, 0).is_none());
    file.write_at(&one, 4096).unwrap();
    file.write_at(&two, 2 * 4096).unwrap();
    index.verify().unwrap();

    for length in [0, 100, 4096, bytes - 4096, bytes - 1, bytes + 1, bytes + 4096] {
        file.set_len(length).unwrap();
        assert!(matches!(reopen(&disk, 0), Err(IndexError::Damaged { .. })), "{length} bytes");
        assert!(index.verify().is_err(), "{length} bytes");
    }
}

#[test]
fn the_index_of_another_segment_is_refused() {
    let disk = disk(1);
    segment(10, 5, 5, 1).build(&disk).unwrap();
    let folder = Path::new(FOLDER);
    disk.rename(&path_of(folder, 10), &path_of(folder, 20)).unwrap();
    assert!(matches!(reopen(&disk, 20), Err(IndexError::Damaged { .. })));
    assert!(matches!(reopen(&disk, 10), Err(IndexError::Missing { first: 10 })));
}
