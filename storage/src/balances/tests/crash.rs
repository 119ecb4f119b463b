//! A crash anywhere leaves the last finished generation, exactly.

use super::samples::{Book, Random, copy_folder, read, write};
use crate::balances::{CheckpointError, Checkpoints, MemoryCheckpoints, Row, open};

/// Every write and flush of four generations (the third is begun twice) fails once, then the power
/// fails, and any subset of the unflushed changes stays.
#[test]
fn a_crash_at_every_single_write_leaves_a_finished_generation() {
    let mut crashes = 0;
    for seed in 0..4 {
        for fail_after in 0.. {
            match crash_after(seed, fail_after) {
                Crashed::Yes => crashes += 1,
                Crashed::EverythingWasWritten => break,
            }
        }
    }
    assert!(crashes > 300, "only {crashes} crashes were tried");
}

enum Crashed {
    Yes,
    EverythingWasWritten,
}

fn crash_after(seed: u64, fail_after: u64) -> Crashed {
    let mut random = Random(seed);
    let mut books = vec![Book::default()];
    let mut checkpoints = MemoryCheckpoints::new(seed ^ fail_after.rotate_left(32));
    checkpoints.fail_after(fail_after);

    let story = write_four_generations(&mut checkpoints, &mut books, &mut random);
    if story.is_ok() {
        return Crashed::EverythingWasWritten;
    }
    checkpoints.crash();
    assert!(matches!(checkpoints.begin(false), Err(CheckpointError::Closed(_))));

    // The power fails again while the leftovers are being removed.
    let mut checkpoints = checkpoints.reopen();
    checkpoints.fail_after(fail_after % 5);
    let _ = read(&mut checkpoints);
    checkpoints.crash();

    let mut checkpoints = checkpoints.reopen();
    let (marker, found) = read(&mut checkpoints).unwrap();
    let generation = marker.as_ref().map_or(0, |marker| marker.generation);
    let begun = books.len() - 1;
    let place = usize::try_from(generation).unwrap();
    assert!(place == begun || place + 1 == begun, "{place} of {begun}, after {fail_after}");
    assert_eq!(found, books[place], "seed {seed}, after {fail_after}");
    assert_eq!(marker, (place > 0).then(|| found.marker(generation)));

    // The next generations are written over whatever the crash left.
    let mut book = found;
    let changed = book.change(&mut random, 12);
    write(&mut checkpoints, &book, &changed).unwrap();
    assert_eq!(read(&mut checkpoints.reopen()).unwrap().1, book);
    Crashed::Yes
}

fn write_four_generations(
    checkpoints: &mut MemoryCheckpoints,
    books: &mut Vec<Book>,
    random: &mut Random,
) -> Result<(), CheckpointError> {
    for generation in 1..=4 {
        let mut book = books.last().unwrap().clone();
        if generation == 3 {
            let abandoned = book.clone().change(random, 12);
            checkpoints.begin(false)?;
            checkpoints.put(&abandoned)?;
        }
        let changed = book.change(random, 12);
        books.push(book.clone());
        assert_eq!(write(checkpoints, &book, &changed)?, generation);
    }
    Ok(())
}

#[test]
fn over_sled_too_between_any_two_puts() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("balances");
    let mut random = Random(11);
    let mut book = Book::default();
    let mut checkpoints = open(&live).unwrap();
    for _ in 0..2 {
        let changed = book.change(&mut random, 300);
        write(&mut checkpoints, &book, &changed).unwrap();
    }

    let finished = book.clone();
    let changed = book.change(&mut random, 300);
    let generation = checkpoints.begin(false).unwrap();
    for (put, rows) in changed.chunks(20).enumerate() {
        checkpoints.put(rows).unwrap();
        let killed = folder.path().join(format!("killed.{put}"));
        copy_folder(&live, &killed);
        let (marker, found) = read(&mut open(&killed).unwrap()).unwrap();
        assert_eq!(marker, Some(finished.marker(2)), "killed after put {put}");
        assert_eq!(found, finished, "killed after put {put}");
    }

    // A clean stop: sled flushes its changes, but the generation doesn't count.
    drop(checkpoints);
    let mut checkpoints = open(&live).unwrap();
    assert_eq!(read(&mut checkpoints).unwrap(), (Some(finished.marker(2)), finished));
    assert_eq!(write(&mut checkpoints, &book, &changed).unwrap(), generation);
    drop(checkpoints);
    assert_eq!(read(&mut open(&live).unwrap()).unwrap(), (Some(book.marker(generation)), book));
}

#[test]
fn a_generation_that_disagrees_with_its_marker_is_refused_and_forgotten() {
    let mut checkpoints = MemoryCheckpoints::new(1);
    let mut random = Random(5);
    let mut book = Book::default();
    let changed = book.change(&mut random, 40);
    write(&mut checkpoints, &book, &changed).unwrap();

    let generation = checkpoints.begin(false).unwrap();
    let mut other = book.clone();
    other.note(Row::Account(super::samples::account(1, 840, 5)));
    let error = checkpoints.finish(other.marker(generation)).unwrap_err();
    assert!(matches!(error, CheckpointError::Disagrees(_)), "{error}");

    let mut marker = book.marker(generation);
    marker.sums.push((840, 1));
    let error = checkpoints.finish(marker).unwrap_err();
    assert!(error.to_string().contains("sum of asset 840 is 1, the rows' is 0"), "{error}");

    let mut marker = book.marker(generation);
    marker.generation += 1;
    assert!(matches!(checkpoints.finish(marker), Err(CheckpointError::OutOfOrder(_))));
    assert_eq!(read(&mut checkpoints.reopen()).unwrap(), (Some(book.marker(1)), book));
}

#[test]
fn out_of_order_and_too_large_are_refused_before_anything_is_written() {
    let mut checkpoints = MemoryCheckpoints::new(1);
    let book = Book::default();
    assert!(matches!(checkpoints.put(&[]), Err(CheckpointError::OutOfOrder(_))));
    assert!(matches!(checkpoints.finish(book.marker(1)), Err(CheckpointError::OutOfOrder(_))));

    let small = Row::Setting { name: "small".into(), value: vec![1] };
    let large = Row::Setting { name: "large".into(), value: vec![1; (1 << 20) + 1] };
    let generation = checkpoints.begin(false).unwrap();
    let error = checkpoints.put(&[small, large]).unwrap_err();
    assert!(matches!(error, CheckpointError::TooLarge { max: 1_048_576, .. }), "{error}");
    checkpoints.finish(book.marker(generation)).unwrap();
    assert_eq!(read(&mut checkpoints).unwrap().1, book);
}

#[test]
fn the_caller_can_refuse_a_row_and_load_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(&folder.path().join("balances")).unwrap();
    let mut book = Book::default();
    let changed = book.change(&mut Random(3), 6000);
    write(&mut checkpoints, &book, &changed).unwrap();
    let error = checkpoints.load(&mut |_| Err("not mine".into())).unwrap_err();
    assert!(matches!(error, CheckpointError::Refused(ref text) if text == "not mine"), "{error}");
    assert_eq!(read(&mut checkpoints).unwrap().1, book);
}

#[test]
fn more_leftovers_than_are_held_at_once_are_all_removed() {
    let mut checkpoints = MemoryCheckpoints::new(1);
    let rows: Vec<_> =
        (0..70_000_u128).map(|id| Row::Account(super::samples::account(id, 978, 0))).collect();
    checkpoints.begin(false).unwrap();
    checkpoints.put(&rows).unwrap();
    let mut checkpoints = checkpoints.reopen();
    assert_eq!(read(&mut checkpoints).unwrap(), (None, Book::default()));
    let generation = checkpoints.begin(false).unwrap();
    checkpoints.finish(Book::default().marker(generation)).unwrap();
    assert_eq!(read(&mut checkpoints.reopen()).unwrap().1, Book::default());
}

#[test]
fn a_flipped_bit_in_memory_is_found_by_the_next_load() {
    for seed in 0..50 {
        let mut checkpoints = MemoryCheckpoints::new(seed);
        let mut book = Book::default();
        let changed = book.change(&mut Random(seed), 20);
        write(&mut checkpoints, &book, &changed).unwrap();
        checkpoints.flip_a_bit();
        let error = read(&mut checkpoints.reopen()).unwrap_err();
        assert!(error.is_damage(), "{error}");
        checkpoints.remove_all();
        assert_eq!(read(&mut checkpoints.reopen()).unwrap(), (None, Book::default()));
    }
}
