//! Unknown numbers and flags are rejected by name, whoever sends them. A later version may define
//! them.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use bytes::Bytes;
use evenkeel_wire::{
    codec::{self, CodecError},
    command::Command,
    entry::EntryBody,
    frame,
    reply::View,
    request::{Query, Submit},
};
use support::samples;

fn command(name: &str) -> Vec<u8> {
    let found = samples::commands::all().into_iter().find(|(known, _)| *known == name);
    codec::encode(&found.expect("a command of this name").1)
}

/// The error for a command with one byte changed.
fn refusal(name: &str, at: usize, byte: u8) -> String {
    let mut bytes = command(name);
    assert_ne!(bytes[at], byte, "{name}: nothing would change");
    bytes[at] = byte;
    codec::decode::<Command>(&bytes).expect_err(name).to_string()
}

#[test]
fn unknown_numbers_in_commands_are_named() {
    let command_count = u8::try_from(samples::commands::all().len()).unwrap();
    for (name, at, byte, said) in [
        ("transfer", 0, command_count, "14 isn't a valid command"),
        ("transfer", 0, 255, "255 isn't a valid command"),
        ("transfer", 65, 0, "0 isn't a valid TransferKind"),
        ("transfer", 65, 9, "9 isn't a valid TransferKind"),
        ("open_account", 17, 6, "6 isn't a valid AccountKind"),
        ("set_status", 33, 0, "0 isn't a valid AccountStatus"),
        ("set_status", 33, 4, "4 isn't a valid AccountStatus"),
        ("create_key", 33, 0, "0 isn't a valid Role"),
        ("create_key", 33, 6, "6 isn't a valid Role"),
        ("set_limits", 33, 3, "3 isn't a valid LimitChange"),
        ("capture", 33, 2, "2 isn't a valid core::option::Option<"),
        ("close_day", 1, 0xff, "isn't a date"),
    ] {
        let error = refusal(name, at, byte);
        assert!(error.contains(said), "{name}, byte {at} = {byte}: {error}");
    }
}

#[test]
fn every_id_in_a_command_must_be_a_uuid_of_version_7() {
    // The offset of the byte with the version: the tenth of sixteen, least significant first.
    let places = [
        ("transfer", 1),
        ("refund", 1),
        ("refund", 17),
        ("reversal", 1),
        ("reversal", 17),
        ("hold", 1),
        ("capture", 1),
        ("capture", 17),
        ("void", 1),
        ("void", 17),
        ("set_status", 1),
        ("set_limits", 1),
        ("expire_hold", 1),
    ];
    for (name, at) in places {
        let mut bytes = command(name);
        let version = &mut bytes[at + 9];
        assert_eq!(*version >> 4, 7, "{name}, byte {at}");
        *version = *version & 0x0f | 0x80;
        assert_eq!(
            codec::decode::<Command>(&bytes),
            Err(CodecError::IdNotUuidV7),
            "{name}, byte {at}"
        );
    }
}

#[test]
fn unknown_questions_and_answers_are_refused() {
    for number in [9_u32, u32::MAX] {
        assert!(codec::decode::<Query>(&number.to_le_bytes()).is_err(), "{number}");
    }
    for number in [8_u32, u32::MAX] {
        assert!(codec::decode::<View>(&number.to_le_bytes()).is_err(), "{number}");
    }
    for (name, view) in samples::views::all() {
        let bytes = codec::encode(&view);
        let said = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] = 200;
            codec::decode::<View>(&bytes).expect_err(name).to_string()
        };
        match view {
            // After the number of the view: id, kind, asset, label.
            View::Account(account) => {
                let status = 4 + 16 + 1 + 8 + 1 + account.label.as_str().len();
                assert_eq!(said(status), "200 isn't a valid AccountStatus");
            }
            View::Hold(hold) => {
                let status = 4 + codec::encode(&hold.hold).len();
                assert_eq!(said(status), "200 isn't a valid HoldStatus");
            }
            View::Keys(_) => assert_eq!(said(4 + 8 + 4), "200 isn't a valid Role"),
            _ => {}
        }
    }
}

#[test]
fn flags_that_nobody_knows_are_refused_in_submits_and_entries() {
    let (_, submit) =
        samples::golden().into_iter().find(|(name, _)| name == "submit_atomic").unwrap();
    let body = submit[frame::HEAD_BYTES..].to_vec();
    assert_eq!(body[14..16], [1, 0]);
    for (flags, said) in [([2, 0], "0x2"), ([3, 0], "0x3"), ([0, 1], "0x100")] {
        let mut body = body.clone();
        body[14..16].copy_from_slice(&flags);
        let error = Submit::read(Bytes::from(body)).unwrap_err();
        assert_eq!(error.to_string(), format!("a submit with flags {said}"));
    }

    // The first group's flags are 6 bytes after the entry's head of 8.
    let entry = samples::entry();
    assert_eq!(entry[14..16], [0, 0]);
    for flags in [[2, 0], [3, 0], [0, 1]] {
        let mut entry = entry.clone();
        entry[14..16].copy_from_slice(&flags);
        let error = EntryBody::open(&entry).unwrap().next_group().unwrap_err();
        assert!(error.to_string().contains("flags"), "{error}");
    }
}
