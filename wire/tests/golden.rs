//! The frozen bytes of every message. A change of these files is a change of the protocol: it needs
//! a new version in `version.rs`, not new files. `EVENKEEL_GOLDEN=write` writes the missing files.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf};

use evenkeel_wire::frame;
use support::{
    decoders::{self, KINDS},
    samples,
};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

#[test]
fn the_bytes_of_every_message_are_as_they_always_were() {
    for (name, bytes) in samples::golden() {
        let path = file(&name);
        if !path.exists() && std::env::var("EVENKEEL_GOLDEN").is_ok_and(|value| value == "write") {
            fs::write(&path, hex(&bytes)).unwrap();
        }
        let golden =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(hex(&bytes), golden, "{name}: the protocol has changed");
    }
}

#[test]
fn every_golden_file_is_read_and_every_type_of_frame_has_one() {
    let names: BTreeSet<String> = samples::golden().into_iter().map(|(name, _)| name).collect();
    let files = fs::read_dir(file("x").parent().unwrap()).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        path.file_stem().unwrap().to_str().unwrap().to_owned()
    });
    assert_eq!(files.collect::<BTreeSet<_>>(), names);

    let mut kinds = BTreeSet::new();
    for name in names.iter().filter(|name| samples::is_frame(name)) {
        let bytes = unhex(&fs::read_to_string(file(name)).unwrap());
        let body = &bytes[frame::HEAD_BYTES..];
        kinds.insert(bytes[5]);
        assert_eq!(decoders::round(bytes[5], body).as_deref(), Some(body), "{name} reads back");
        assert_eq!(decoders::frames(&bytes), 1, "{name}");
    }
    assert_eq!(kinds, KINDS.into_iter().collect());
}

#[test]
fn commands_and_entries_read_back_from_their_golden_files() {
    let read = |name: &str| unhex(&fs::read_to_string(file(name)).unwrap());
    for (number, (name, command)) in (0_u8..).zip(samples::commands::all()) {
        let bytes = read(&format!("command_{name}"));
        assert_eq!(bytes[0], number, "{name}: numbers are never reused");
        assert_eq!(decoders::commands(&bytes), [command], "{name}");
    }
    assert_eq!(decoders::entry(&read("entry")), Some(samples::entry()));
    for name in ["submit", "submit_atomic"] {
        let commands = &read(name)[frame::HEAD_BYTES + 16..];
        assert_eq!(decoders::commands(commands), samples::submitted(), "{name}");
    }
}
