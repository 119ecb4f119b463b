use crate::balances::tests::samples::{Book, Random, read, write};
use crate::balances::{Checkpoints, MemoryCheckpoints, Row, open};

fn entry(key: u128, value: &[u8]) -> Row {
    Row::Entry { table: 3, key, value: value.to_vec() }
}

fn note_all(book: &mut Book, rows: &[Row]) {
    rows.iter().cloned().for_each(|row| book.note(row));
}

/// Writes one generation with these rows; the content loaded afterwards must be exactly the book.
fn put(checkpoints: &mut MemoryCheckpoints, book: &mut Book, rows: &[Row]) {
    note_all(book, rows);
    write(checkpoints, book, rows).unwrap();
    assert_eq!(read(&mut checkpoints.reopen()).unwrap().1, *book);
}

#[test]
fn an_entry_can_be_put_removed_and_put_again() {
    let (a, b, gone) = (entry(1, b"a"), entry(1, b"b"), entry(1, b""));
    let stories: &[&[&[&Row]]] = &[
        &[&[&a], &[&gone]],
        &[&[&a], &[&b], &[&gone]],
        &[&[&a], &[&gone], &[&b]],
        &[&[&a], &[&gone], &[&gone], &[&b], &[&a], &[&gone]],
        &[&[&a, &gone]],
        &[&[&a, &gone, &b]],
        &[&[&a], &[&gone, &b]],
        &[&[&a], &[&b, &gone]],
        &[&[&a], &[&gone, &b, &gone], &[&b]],
        &[&[&gone], &[&a]],
    ];
    for (number, story) in stories.iter().enumerate() {
        let mut checkpoints = MemoryCheckpoints::new(1);
        let mut book = Book::default();
        for rows in *story {
            let rows: Vec<Row> = rows.iter().map(|row| (*row).clone()).collect();
            // In batches of one, and one after the other within a batch.
            note_all(&mut book, &rows);
            let generation = checkpoints.begin(false).unwrap();
            for row in &rows {
                checkpoints.put(std::slice::from_ref(row)).unwrap();
            }
            checkpoints.finish(book.marker(generation)).unwrap();
            assert_eq!(read(&mut checkpoints.reopen()).unwrap().1, book, "story {number}");
        }
        let versions = checkpoints.versions();
        assert!(versions <= 2 + 2 * book.entries.len(), "story {number}: {versions} versions");
    }
}

#[test]
fn what_was_removed_leaves_nothing_behind() {
    let mut checkpoints = MemoryCheckpoints::new(1);
    let mut book = Book::default();
    put(&mut checkpoints, &mut book, &[entry(0, b"stays")]);
    for round in 0..50_u8 {
        let keys = 1 + u128::from(round) * 100..101 + u128::from(round) * 100;
        let opened: Vec<_> = keys.clone().map(|key| entry(key, &[round; 60])).collect();
        let closed: Vec<_> = keys.map(|key| entry(key, b"")).collect();
        put(&mut checkpoints, &mut book, &opened);
        put(&mut checkpoints, &mut book, &closed);
        assert_eq!(checkpoints.versions(), 3, "both markers and one entry, round {round}");
    }
}

#[test]
fn more_removals_than_are_held_at_once_are_all_swept() {
    let mut checkpoints = MemoryCheckpoints::new(1);
    let mut book = Book::default();
    let opened: Vec<_> = (0..70_000).map(|key| entry(key, b"x")).collect();
    let closed: Vec<_> = (0..69_999).map(|key| entry(key, b"")).collect();
    put(&mut checkpoints, &mut book, &opened);
    put(&mut checkpoints, &mut book, &opened);
    put(&mut checkpoints, &mut book, &closed);
    assert_eq!(checkpoints.versions(), 2 + 2, "both markers, and two versions of the last entry");
}

/// The power fails at every single write of a generation that removes entries, its sweep included,
/// and any subset of the unflushed changes stays. Either all are removed or none; the next
/// generation sweeps the rest.
#[test]
fn a_crash_while_removing_leaves_all_or_nothing_removed() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..40 {
        for fail_after in 0.. {
            let mut checkpoints = MemoryCheckpoints::new(seed);
            let mut book = Book::default();
            let opened: Vec<_> = (0..8).map(|key| entry(key, b"open")).collect();
            let changed: Vec<_> = (0..4).map(|key| entry(key, b"changed")).collect();
            put(&mut checkpoints, &mut book, &opened);
            put(&mut checkpoints, &mut book, &changed);
            let whole = book.clone();
            let closed: Vec<_> = (0..7).map(|key| entry(key, b"")).collect();
            note_all(&mut book, &closed);

            checkpoints.fail_after(fail_after);
            if write(&mut checkpoints, &book, &closed).is_ok() {
                break;
            }
            checkpoints.crash();
            let mut checkpoints = checkpoints.reopen();
            let (marker, found) = read(&mut checkpoints).unwrap();
            match marker.unwrap().generation {
                2 => assert_eq!(found, whole, "seed {seed}, after {fail_after}"),
                _ => assert_eq!(found, book, "seed {seed}, after {fail_after}"),
            }
            *if found == book { &mut after } else { &mut before } += 1;
            put(&mut checkpoints, &mut book, &closed);
            assert_eq!(checkpoints.versions(), 3, "both markers and one entry");
        }
    }
    assert!(before > 100 && after > 100, "{before} crashes before the marker, {after} after it");
}

/// A ledger replayed from nothing has no list of the entries in an old checkpoint.
#[test]
fn a_generation_of_all_rows_has_no_others() {
    let mut checkpoints = MemoryCheckpoints::new(1);
    let mut random = Random(12);
    let mut book = Book::default();
    for _ in 0..3 {
        let changed = book.change(&mut random, 200);
        write(&mut checkpoints, &book, &changed).unwrap();
    }
    let stale = book.entries.len();
    assert!(stale > 20);
    book.entries.retain(|(_, key), _| key % 5 == 0);
    assert!(book.entries.len() < stale);
    let rows = book.rows();

    let finished = read(&mut checkpoints.reopen()).unwrap();
    let generation = checkpoints.begin(true).unwrap();
    checkpoints.put(&rows[1..]).unwrap();
    assert_eq!(read(&mut checkpoints.reopen()).unwrap(), finished, "nothing is finished yet");
    assert_eq!(checkpoints.reopen().begin(true).unwrap(), generation);
    let generation = checkpoints.begin(true).unwrap();
    checkpoints.put(&rows).unwrap();
    checkpoints.finish(book.marker(generation)).unwrap();
    assert_eq!(read(&mut checkpoints.reopen()).unwrap().1, book);

    let many: Vec<_> = (0..70_000).map(|key| entry(key, b"x")).collect();
    put(&mut checkpoints, &mut book, &many);
    book.entries.clear();
    let generation = checkpoints.begin(true).unwrap();
    checkpoints.put(&book.rows()).unwrap();
    checkpoints.finish(book.marker(generation)).unwrap();
    assert_eq!(read(&mut checkpoints.reopen()).unwrap().1, book);
}

/// A store that loses the removal, or restores swept entries, is detected by the digest.
#[test]
fn an_entry_that_came_back_is_damage() {
    let mut checkpoints = MemoryCheckpoints::new(1);
    let mut book = Book::default();
    put(&mut checkpoints, &mut book, &[entry(1, b"a"), entry(2, b"b")]);
    let stale = checkpoints.bytes_of(&entry(1, b"").key());
    put(&mut checkpoints, &mut book, &[entry(1, b"")]);
    checkpoints.bring_back(stale);
    let error = read(&mut checkpoints.reopen()).unwrap_err();
    assert!(error.is_damage(), "{error}");
}

#[test]
fn over_sled_the_files_do_not_grow_with_what_was_removed() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("balances");
    let mut checkpoints = open(&folder).unwrap();
    let mut random = Random(3);
    let mut book = Book::default();
    let mut bytes = Vec::new();
    for round in 0..12 {
        let keys: Vec<u128> = (0..2_000).map(|_| u128::from(random.next())).collect();
        let opened: Vec<_> = keys.iter().map(|key| entry(*key, &[7; 100])).collect();
        write(&mut checkpoints, &book_with(&book, &opened), &opened).unwrap();
        let closed: Vec<_> = keys.iter().map(|key| entry(*key, b"")).collect();
        note_all(&mut book, &closed);
        write(&mut checkpoints, &book, &closed).unwrap();
        assert_eq!(read(&mut checkpoints).unwrap().1, book, "round {round}");
        bytes.push(std::fs::metadata(folder.join("db")).unwrap().len());
    }
    assert!(bytes[11] <= 2 * bytes[3], "it grows: {bytes:?}");
}

fn book_with(book: &Book, rows: &[Row]) -> Book {
    let mut book = book.clone();
    note_all(&mut book, rows);
    book
}
