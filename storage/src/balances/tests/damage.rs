//! Damaged files give the exact content of the newest generation or an error, never wrong rows.
//!
//! sled may panic over these. A panic is caught; that it prints is expected here.

use std::fs;
use std::path::{Path, PathBuf};

use super::samples::{Book, Random, copy_folder, read, write};
use crate::balances::{CheckpointError, Checkpoints, Row, open, quarantine};

/// Three finished generations in a folder, reopened in between so that sled wrote a snapshot. Left
/// as written, sled recovers the newest part from its log; after a restart it trusts its snapshot
/// for everything.
struct Original {
    parent: tempfile::TempDir,
    folder: PathBuf,
    books: Vec<Book>,
}

fn original(after: After) -> Original {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("original");
    let mut random = Random(2026);
    let mut books = vec![Book::default()];
    for _ in 0..3 {
        let mut book = books.last().unwrap().clone();
        let changed = book.change(&mut random, 2000);
        write(&mut open(&folder).unwrap(), &book, &changed).unwrap();
        books.push(book);
    }
    if after == After::Restart {
        drop(open(&folder).unwrap());
    }
    Original { parent, folder, books }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Writing,
    Restart,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Exact,
    Damaged,
}

impl Original {
    fn copy(&self, name: &str) -> PathBuf {
        let folder = self.parent.path().join(name);
        copy_folder(&self.folder, &folder);
        folder
    }

    /// Opens and loads; fails unless the result is exact or reported as damage. A damaged folder
    /// must be possible to set aside and to replace at once.
    fn judge(&self, folder: &Path, what: &str) -> Verdict {
        let loaded = open(folder).and_then(|mut checkpoints| read(&mut checkpoints));
        match loaded {
            Ok((Some(marker), book)) => {
                assert_eq!(book, self.books[3], "{what}: wrong rows");
                assert_eq!(marker, book.marker(3), "{what}: wrong marker");
                Verdict::Exact
            }
            Ok((None, _)) => panic!("{what}: everything is lost, without an error"),
            Err(error) => {
                println!("{what}: {error}");
                assert!(error.is_damage(), "{what}: {error}");
                let aside = quarantine(folder).unwrap();
                let (marker, book) = read(&mut open(folder).unwrap()).unwrap();
                assert_eq!((marker, book), (None, Book::default()), "{what}: not set aside");
                fs::remove_dir_all(aside).unwrap();
                Verdict::Damaged
            }
        }
    }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.is_file() && fs::metadata(path).unwrap().len() > 0).collect();
    files.sort();
    files
}

#[test]
fn flipped_bits_give_the_exact_content_or_damage() {
    flip_bits(After::Writing);
}

#[test]
fn flipped_bits_give_the_exact_content_or_damage_after_a_restart() {
    flip_bits(After::Restart);
}

fn flip_bits(after: After) {
    let original = original(after);
    let files = files_of(&original.folder);
    assert!(files.len() >= 4, "db, conf, finished and a snapshot: {files:?}");
    let setting = std::env::var("EVENKEEL_FLIPS").map(|text| text.parse().unwrap());
    let flips: u64 = setting.unwrap_or(80);
    let mut random = Random(flips);
    let mut verdicts = Vec::new();
    for flip in 0..flips {
        // Most flips are in sled's data, the rest are spread over all files.
        let data = original.folder.join("db");
        let spread = &files[usize::try_from(random.below(files.len() as u64)).unwrap()];
        let file = if flip % 4 == 0 { spread } else { &data };
        let mut bytes = fs::read(file).unwrap();
        let bit = random.below(bytes.len() as u64 * 8);
        bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);

        let name = file.file_name().unwrap().to_str().unwrap();
        let folder = original.copy(&format!("flip.{flip}"));
        fs::write(folder.join(name), bytes).unwrap();
        verdicts.push(original.judge(&folder, &format!("bit {bit} of {name}")));
        fs::remove_dir_all(folder).unwrap();
    }
    let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    let (exact, damaged) = (count(Verdict::Exact), count(Verdict::Damaged));
    println!("{flips} flips after {after:?}: {exact} exact, {damaged} damaged");
    assert!(damaged > 10, "the flips didn't reach anything that matters");
}

#[test]
fn truncated_files_give_the_exact_content_or_damage() {
    let original = original(After::Writing);
    let mut random = Random(78);
    let mut damaged = 0;
    for file in files_of(&original.folder) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let length = fs::metadata(&file).unwrap().len();
        let cuts = [0, 1, length / 2, length - 1].into_iter();
        for cut in cuts.chain((0..8).map(|_| random.below(length))) {
            let folder = original.copy("cut");
            fs::File::options().write(true).open(folder.join(name)).unwrap().set_len(cut).unwrap();
            let verdict = original.judge(&folder, &format!("{name} cut at {cut}"));
            damaged += usize::from(verdict == Verdict::Damaged);
            fs::remove_dir_all(folder).unwrap();
        }
    }
    assert!(damaged > 10);
}

#[test]
fn a_lost_database_is_not_taken_for_a_new_one() {
    let original = original(After::Writing);
    for lost in [&["db"][..], &["db", "conf"], &["conf"]] {
        let folder = original.copy("lost");
        for name in lost {
            fs::remove_file(folder.join(name)).unwrap();
        }
        for snapshot in files_of(&folder) {
            if snapshot.to_str().unwrap().contains("snap.") {
                fs::remove_file(snapshot).unwrap();
            }
        }
        original.judge(&folder, &format!("{lost:?} and the snapshot lost"));
        fs::remove_dir_all(folder).unwrap();
    }
}

/// sled 0.34.7 refuses to open after a crash during its own snapshot (spacejam/sled#1527).
#[test]
fn a_snapshot_cut_short_by_a_crash_does_no_harm() {
    let original = original(After::Writing);
    let folder = original.copy("generating");
    let stray = folder.join("snap.FFFFFFFFFFFFFFFF.generating");
    fs::write(&stray, b"half").unwrap();
    assert_eq!(original.judge(&folder, "a stray snapshot"), Verdict::Exact);
    assert!(!stray.exists());
}

#[test]
fn an_old_copy_is_an_older_generation_and_a_removed_folder_none() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, old) = (parent.path().join("balances"), parent.path().join("old"));
    let mut random = Random(4);
    let mut book = Book::default();
    let changed = book.change(&mut random, 500);
    write(&mut open(&folder).unwrap(), &book, &changed).unwrap();
    copy_folder(&folder, &old);
    let old_book = book.clone();
    let changed = book.change(&mut random, 500);
    write(&mut open(&folder).unwrap(), &book, &changed).unwrap();

    let loaded = read(&mut open(&old).unwrap()).unwrap();
    assert_eq!(loaded, (Some(old_book.marker(1)), old_book));
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(read(&mut open(&folder).unwrap()).unwrap(), (None, Book::default()));
}

#[test]
fn dropping_lets_go_of_the_files_at_once() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("balances");
    let mut random = Random(8);
    for round in 1..=20 {
        let mut book = Book::default();
        let changed = book.change(&mut random, 400);
        write(&mut open(&folder).unwrap(), &book, &changed).unwrap();
        assert_eq!(read(&mut open(&folder).unwrap()).unwrap().1, book, "round {round}");
        let mut unfinished = open(&folder).unwrap();
        unfinished.begin(false).unwrap();
        unfinished.put(&changed).unwrap();
        drop(unfinished);
        quarantine(&folder).unwrap();
    }
}

#[test]
fn a_folder_in_use_is_no_damage() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("balances");
    let first = open(&folder).unwrap();
    let error = open(&folder).map(drop).unwrap_err();
    assert!(matches!(error, CheckpointError::Io(_)), "{error}");
    drop(first);
    open(&folder).unwrap();
}

/// Pages this large go to sled's `blobs/`, which it never syncs and cleans up by itself.
#[test]
fn settings_of_the_greatest_size_come_back() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("balances");
    let mut random = Random(9);
    let mut book = Book::default();
    for round in 0..3_u8 {
        let large = (0..5_u8).map(|number| Row::Setting {
            name: format!("large {number}"),
            value: vec![round ^ number; 1 << 20],
        });
        let changed: Vec<_> = large.chain(book.change(&mut random, 50)).collect();
        changed.iter().cloned().for_each(|row| book.note(row));
        write(&mut open(&folder).unwrap(), &book, &changed).unwrap();
        assert_eq!(read(&mut open(&folder).unwrap()).unwrap().1, book);
    }
}

/// Run `mount -t tmpfs -o size=8m none FOLDER`, then this test with `EVENKEEL_SMALL_DISK=FOLDER`
/// and `--ignored`.
#[test]
#[ignore = "needs a file system of a few MiB"]
fn a_full_disk_is_an_error_and_the_finished_generation_stays() {
    let disk = PathBuf::from(std::env::var("EVENKEEL_SMALL_DISK").unwrap());
    for filler_kib in [3072, 3500, 4096, 4600, 5000] {
        let folder = disk.join("balances");
        let mut random = Random(filler_kib);
        let mut book = Book::default();
        let mut checkpoints = open(&folder).unwrap();
        fs::write(disk.join("filler"), vec![1; usize::try_from(filler_kib << 10).unwrap()])
            .unwrap();
        let error = loop {
            let mut next = book.clone();
            let changed = next.change(&mut random, 3000);
            match write(&mut checkpoints, &next, &changed) {
                Ok(_) => book = next,
                Err(error) => break error,
            }
        };
        println!("{filler_kib} KiB of filler: {error}");
        assert!(matches!(error, CheckpointError::Io(_)), "{error}");
        assert!(matches!(checkpoints.begin(false), Err(CheckpointError::Closed(_))));
        drop(checkpoints);
        fs::remove_file(disk.join("filler")).unwrap();
        match open(&folder).and_then(|mut checkpoints| read(&mut checkpoints)) {
            Ok((_, found)) => assert_eq!(found, book),
            Err(error) => println!("still full: {error}"),
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
