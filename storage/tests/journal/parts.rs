//! A part of a record is read exactly as it was noted, wherever the record lies, or the read fails.

use bytes::Bytes;
use evenkeel_storage::disk::Disk;
use evenkeel_storage::journal::{NewRecord, Part};

use crate::rig::{Rig, contents, ignore, put, segment_path};

const RECORDS: u64 = 60;

/// Records of a few hundred bytes with different contents, and the third part of each.
fn written() -> (Rig, Vec<Part>) {
    let mut rig = Rig::new(1);
    for position in 0..RECORDS {
        let bytes = 90 + usize::try_from(position).unwrap() * 3;
        let payload = (0..bytes).map(|at| u8::try_from((at * 7) % 256).unwrap() ^ position as u8);
        let payload: Bytes = payload.collect();
        let time = 1_700_000_000_000_000 + position;
        let record = NewRecord { position, term: 1, time, kind: 1, payload };
        rig.journal.append(vec![record], ignore()).unwrap();
        rig.settle();
    }
    let parts = (0..RECORDS).map(|position| {
        let record = &rig.journal.read(position, position + 1, 0).unwrap()[0];
        Part::of_record(record, record.payload.len() / 3..record.payload.len() / 3 * 2)
    });
    let parts = parts.collect();
    (rig, parts)
}

fn assert_all_read(rig: &Rig, parts: &[Part]) {
    let mut reader = rig.journal.part_reader();
    // Forwards and backwards, so that the reader changes files in both directions.
    for position in (0..RECORDS).chain((0..RECORDS).rev()) {
        let whole = &rig.journal.read(position, position + 1, 0).unwrap()[0];
        let third = whole.payload.len() / 3;
        let part = reader.read(position, &parts[usize::try_from(position).unwrap()]).unwrap();
        assert_eq!(part.payload, whole.payload.slice(third..third * 2));
        assert_eq!((part.tip(), part.kind), (whole.tip(), whole.kind));
    }
}

#[test]
fn parts_are_read_from_the_tail_from_open_and_from_sealed_segments() {
    let (rig, parts) = written();
    assert!(rig.journal.segments().len() > 4);
    assert_all_read(&rig, &parts);
    rig.journal.set_committed(RECORDS - 1);
    let mut halfway = false;
    while let Some(rolled) = rig.journal.oldest_rolled() {
        rig.journal.seal(rolled.first).unwrap();
        if !std::mem::replace(&mut halfway, true) {
            assert_all_read(&rig, &parts);
        }
    }
    assert_all_read(&rig, &parts);
    assert_all_read(&rig.reopen().unwrap(), &parts);
}

#[test]
fn a_note_of_another_record_is_refused() {
    let (rig, parts) = written();
    let mut reader = rig.journal.part_reader();
    for position in 0..RECORDS {
        for (noted, part) in (0..RECORDS).zip(&parts) {
            assert_eq!(reader.read(position, part).is_ok(), noted == position, "{noted}");
        }
        let part = parts[usize::try_from(position).unwrap()];
        let longer = Part { bytes: part.bytes + 1, ..part };
        let beyond = Part { offset: u32::MAX, bytes: u32::MAX, ..part };
        assert!(reader.read(position, &longer).is_err());
        assert!(reader.read(position, &beyond).is_err());
    }
    assert!(reader.read(RECORDS, &parts[0]).is_err(), "there is no such record");
}

#[test]
fn a_flipped_bit_under_a_part_is_an_error_and_elsewhere_it_is_not_seen() {
    let (rig, parts) = written();
    rig.journal.set_committed(RECORDS - 1);
    rig.journal.seal(0).unwrap();
    let path = segment_path("00000000000000000000.sealed");
    let whole = contents(&rig.disk, &path);
    let record = &rig.journal.read(2, 3, 0).unwrap()[0];
    let (part, third) = (parts[2], record.payload.len() / 3);
    let place = whole.windows(record.payload.len()).position(|at| at == record.payload).unwrap();
    for at in place - 72..place + record.payload.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        put(&rig.disk, &path, &bytes);
        let read = rig.journal.part_reader().read(2, &part);
        // Checksum, kind and the bytes around the part are verified with the whole record only.
        // Magic and length are checked as far as a wrong one could mislead.
        let covered =
            (place - 56..place).contains(&at) || (place + third..place + 2 * third).contains(&at);
        match read {
            Ok(read) => assert!(
                !covered && read.payload == record.payload.slice(third..2 * third),
                "byte {at} after {place}"
            ),
            Err(error) => assert!(error.to_string().contains(".sealed"), "{error}"),
        }
        assert!(rig.journal.read(2, 3, 0).is_err(), "the whole record is damaged");
    }
    put(&rig.disk, &path, &whole);
    assert!(rig.disk.open(&path).is_ok());
    assert_all_read(&rig, &parts);
}

#[test]
fn what_was_truncated_is_not_read_as_what_came_in_its_place() {
    let (mut rig, parts) = written();
    rig.truncate_after(Some(20));
    rig.append(2, &[200; 30]);
    for settled in [false, true] {
        if settled {
            rig.settle();
        }
        let mut reader = rig.journal.part_reader();
        assert!(reader.read(20, &parts[20]).is_ok());
        for position in 21..RECORDS {
            assert!(reader.read(position, &parts[usize::try_from(position).unwrap()]).is_err());
        }
    }
}
