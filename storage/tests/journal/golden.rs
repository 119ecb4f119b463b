//! The frozen bytes that outlive a process. A changed file here is a changed format: give it a new
//! version, keep reading the old one, and draw it in docs/STORAGE.md. `EVENKEEL_GOLDEN=write`
//! writes the files.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use evenkeel_storage::journal::{NewRecord, verify};
use evenkeel_storage::memory::{CopyMemory, Life, MemberMemory};
use evenkeel_storage::superblock;
use evenkeel_storage::vote::StoredVote;

use crate::rig::{CLUSTER, Rig, contents, folder, ignore, put, segment_path};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journal/golden").join(name)
}

/// Sixteen bytes per line; runs of zero lines are counted.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut blank = 0;
    for (index, line) in bytes.chunks(16).enumerate() {
        if line.iter().all(|byte| *byte == 0) && line.len() == 16 {
            blank += 1;
            continue;
        }
        if std::mem::take(&mut blank) > 0 {
            text.push_str("*\n");
        }
        text.push_str(&format!("{:06x}", index * 16));
        line.iter().for_each(|byte| text.push_str(&format!(" {byte:02x}")));
        text.push('\n');
    }
    text.push_str(&format!("{:06x}\n", bytes.len()));
    text
}

fn check(name: &str, bytes: &[u8]) {
    let path = golden(name);
    if std::env::var("EVENKEEL_GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, hex(bytes)).unwrap();
    }
    let frozen = std::fs::read_to_string(&path).unwrap();
    assert_eq!(hex(bytes), frozen, "{name} has changed");
}

fn write(rig: &mut Rig, payload: &'static [u8]) {
    let position = rig.next();
    let record = NewRecord {
        position,
        term: 7,
        time: 1_665_815_940_000_000 + position,
        kind: 2,
        payload: Bytes::from_static(payload),
    };
    rig.journal.append(vec![record], ignore()).unwrap();
    rig.settle();
}

fn memory() -> CopyMemory {
    let life = |start, nonce| Some(Life { start, nonce });
    let members = vec![
        MemberMemory { node: 1, life: life(7, 0xaaaa_0001), had: Some((9, 1_200)) },
        MemberMemory { node: 2, life: None, had: Some((9, 1_100)) },
        MemberMemory { node: 3, life: life(2, u64::MAX), had: None },
    ];
    CopyMemory { own: life(7, 0xaaaa_0001), members }
}

#[test]
fn segments_votes_and_superblocks_keep_their_bytes() {
    let mut rig = Rig::new(1);
    write(&mut rig, b"hold 1200 won for a taxi");
    write(&mut rig, b"capture 980");
    rig.journal.set_committed(1);
    rig.writer.handle_idle();
    check("open.hex", &contents(&rig.disk, &segment_path("00000000000000000000.open")));
    rig.append(8, &[4000]);
    rig.journal.save_vote(StoredVote { term: 9, node: 3, committed: true }, ignore()).unwrap();
    rig.settle();
    rig.journal.seal(0).unwrap();
    check("sealed.hex", &contents(&rig.disk, &segment_path("00000000000000000000.sealed")));
    check("vote.hex", &contents(&rig.disk, &folder().join("vote.a")));
    rig.journal.save_memory(memory(), true, ignore()).unwrap();
    rig.settle();
    check("memory.hex", &contents(&rig.disk, &folder().join("memory.a")));

    let real = tempfile::tempdir().unwrap();
    std::fs::write(real.path().join(superblock::FOUNDING), "").unwrap();
    drop(superblock::claim(real.path(), CLUSTER, 3).unwrap());
    check("superblock.hex", &std::fs::read(real.path().join("superblock")).unwrap());
}

/// A journal written by version 1 is read by every later version.
#[test]
fn version_1_is_still_read() {
    let mut rig = Rig::new(1);
    rig.append(8, &[4000]);
    rig.settle();
    let bytes = parse(&std::fs::read_to_string(golden("open.hex")).unwrap());
    put(&rig.disk, &segment_path("00000000000000000000.open"), &bytes);
    let mut payloads = Vec::new();
    let verified = verify(&rig.disk, folder(), Some(CLUSTER), &mut |record| {
        payloads.push(record.payload.clone());
        Ok(())
    });
    assert_eq!(verified.unwrap().records, 2);
    assert_eq!(payloads, [&b"hold 1200 won for a taxi"[..], b"capture 980"]);
    assert_eq!(rig.reopen().unwrap().next(), 2);
}

fn parse(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| *line != "*") {
        let mut words = line.split(' ');
        let offset = usize::from_str_radix(words.next().unwrap(), 16).unwrap();
        bytes.resize(offset, 0);
        bytes.extend(words.map(|word| u8::from_str_radix(word, 16).unwrap()));
    }
    bytes
}
