//! The frozen format. A change here is a new format version, drawn in the module heads and in
//! docs/STORAGE.md.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::{FOLDER, Segment, also_of, disk, id_at};
use crate::disk::Disk;
use crate::journal::index::{CommandRow, Indexes, OutcomeRow, Part, SealedSegment, path_of};

fn small_segment() -> Segment {
    let row = |n: u64, debit, credit, code| CommandRow {
        id: id_at(1_790_000_000_000 + 1_500 * n, 0xa0 + n),
        alias_id: if n == 5 { also_of(id_at(1_789_000_000_000, 0xb0)) } else { 0 },
        debit: Some(debit).filter(|debit| *debit != 0),
        credit: Some(credit).filter(|credit| *credit != 0),
        outcome: OutcomeRow {
            code,
            flags: 1,
            index: 2,
            amount: 0x99aa,
            debit_after: -3,
            credit_after: 0x1122_3344_5566_7788,
        },
        part: Part { offset: 0x0102_0304, bytes: 0x0506, checksum: 0xa1a2_a3a4 },
    };
    let records = vec![
        vec![row(0, 0xd0, 0xc0, 0), row(1, 0xd0, 0xd0, 9)],
        vec![],
        vec![row(5, 0xc0, 0xe0, 0), CommandRow { id: 0, ..row(6, 0, 0xd0, 0) }],
    ];
    Segment { first: 258, records }
}

/// `offset: bytes` for every stretch of 16 bytes that aren't all zero.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (number, line) in bytes.chunks(16).enumerate() {
        if line.iter().any(|byte| *byte != 0) {
            write!(text, "{:05x}:", number * 16).unwrap();
            line.iter().for_each(|byte| write!(text, " {byte:02x}").unwrap());
            text.push('\n');
        }
    }
    text
}

#[test]
fn a_small_index_is_these_bytes() {
    let disk = disk(1);
    small_segment().build(&disk).unwrap();
    let file = disk.open(&path_of(Path::new(FOLDER), 258)).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();

    // The filters' lines are mostly checksums; their hash is compared instead.
    let rows_end = 6 * 4096;
    assert_eq!(dump(&bytes[..rows_end]), GOLDEN_ROWS);
    assert_eq!(bytes.len(), 8 * 4096);
    assert_eq!(blake3::hash(&bytes).to_hex().as_str(), GOLDEN_HASH);
}

/// The file of the version before, which has no seconds of alias ids, is read as it stands.
#[test]
fn a_file_of_version_1_is_read_and_its_alias_ids_may_be_of_any_second() {
    let disk = disk(1);
    small_segment().build(&disk).unwrap();
    let file = disk.open(&path_of(Path::new(FOLDER), 258)).unwrap();
    let mut header = [0; 4096];
    for line in GOLDEN_HEADER_OF_VERSION_1.lines() {
        let (at, bytes) = line.split_once(':').unwrap();
        let at = usize::from_str_radix(at, 16).unwrap();
        for (to, byte) in header[at..].iter_mut().zip(bytes.split_whitespace()) {
            *to = u8::from_str_radix(byte, 16).unwrap();
        }
    }
    file.write_at(&header, 0).unwrap();
    let sealed = SealedSegment { first: 258, last: 260, id_seconds: 0..=u64::MAX };
    let indexes = Indexes::open_all(Arc::new(disk.clone()), Path::new(FOLDER), &[sealed]);
    let model = small_segment();
    for (command, at) in model.located().filter(|(command, _)| command.id != 0) {
        assert_eq!(indexes.find(command.id), Ok(Some(at)));
        if command.alias_id != 0 {
            assert_eq!(indexes.find_alias(command.alias_id, 0), Ok(Some(at)));
        }
    }
}

#[test]
fn the_upper_levels_are_these_bytes() {
    let disk = disk(1);
    super::segment(7, 20_000, 4, 77).build(&disk).unwrap();
    let file = disk.open(&path_of(Path::new(FOLDER), 7)).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(blake3::hash(&bytes).to_hex().as_str(), GOLDEN_HASH_OF_LEVELS);
}

const GOLDEN_HASH: &str = "eb697d8aa6897d6dc9dc54484fa050f10b254a0ff0788467cc76cedca4062c5a";
const GOLDEN_HASH_OF_LEVELS: &str =
    "1593c219c4b23166347d7272a52651646b00695b8d178bdf5df476fc8f024595";
/// The header of the same file in version 1.
const GOLDEN_HEADER_OF_VERSION_1: &str = "\
00000: 45 4b 58 01 01 00 00 00 02 01 00 00 00 00 00 00
00010: 03 00 00 00 04 00 00 00 04 00 00 00 03 00 00 00
00020: 06 00 00 00 40 00 00 00 40 00 00 00 02 00 00 00
00040: 80 3b b1 6a 00 00 00 00 81 3b b1 6a 00 00 00 00
00050: 87 3b b1 6a 00 00 00 00 87 3b b1 6a 00 00 00 00
00ff0: 00 00 00 00 00 00 00 00 00 00 00 00 42 26 22 d2
";
const GOLDEN_ROWS: &str = include_str!("small.golden");
