//! The frozen format. A change here is a new format version, drawn in the module heads and in
//! docs/STORAGE.md.

use std::fmt::Write as _;
use std::path::Path;

use super::{FOLDER, Segment, also_of, disk, id_at};
use crate::disk::Disk;
use crate::journal::index::{CommandRow, OutcomeRow, Part, path_of};

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

#[test]
fn the_upper_levels_are_these_bytes() {
    let disk = disk(1);
    super::segment(7, 20_000, 4, 77).build(&disk).unwrap();
    let file = disk.open(&path_of(Path::new(FOLDER), 7)).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(blake3::hash(&bytes).to_hex().as_str(), GOLDEN_HASH_OF_LEVELS);
}

const GOLDEN_HASH: &str = "f390d4e620a005ffeeca3246ccc7943f3439c532e1365572d4fc6e112db9c479";
const GOLDEN_HASH_OF_LEVELS: &str =
    "fad4ab39bfde11ba763f1a6978aded9354921b6b298cd43b88a01de1d0456b8e";
const GOLDEN_ROWS: &str = include_str!("small.golden");
