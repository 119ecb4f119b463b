//! The largest form of each message: within its bound, and decoded whole.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use evenkeel_wire::{
    amount::Asset,
    codec,
    command::Command,
    day::BusinessDate,
    entry::{EntryBody, EntryBuilder},
    frame,
    id::{AccountId, CommandId, KeyId, OPERATOR_KEY},
    key::Role,
    limits::{
        ASSETS_MAX, COMMAND_BYTES_MAX, COMMANDS_MAX, ENTRY_BYTES_MAX, HISTORY_PAGE_MAX, KEYS_MAX,
    },
    outcome::{Answer, Outcome, Rejection},
    reply::{
        AssetTotals, DayAsset, DayMovements, DayView, HistoryPage, KeyView, OUTCOMES, Outcomes,
        TransferView, VIEW, View, ViewReply,
    },
    request::Submit,
    transfer::TransferKind,
};
use support::samples;

#[test]
fn as_many_as_a_batch_holds_of_every_command_fit_in_a_frame_and_in_an_entry() {
    let names = |commands: Vec<(&'static str, Command)>| -> Vec<&'static str> {
        commands.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(
        names(samples::commands::largest()),
        names(samples::commands::all())[1..],
        "all but the genesis"
    );
    for (name, command) in samples::commands::largest() {
        let bytes = codec::encode(&command);
        assert!(bytes.len() <= COMMAND_BYTES_MAX, "{name} has {} bytes", bytes.len());
        assert_eq!(codec::decode::<Command>(&bytes), Ok(command), "{name}");

        // Each with its own key, which takes the most space.
        let mut entry = EntryBuilder::new();
        for key in 0..u32::try_from(COMMANDS_MAX).unwrap() {
            assert!(entry.fits(1, bytes.len()), "{name}: {key} of them fill an entry");
            entry.push(KeyId(key), false, 1, &bytes);
        }
        assert!(!entry.fits(1, 1), "no entry holds more commands than a batch");
        let entry = entry.finish();
        assert!(entry.len() <= ENTRY_BYTES_MAX);
        let mut body = EntryBody::open(&entry).unwrap();
        let mut groups = 0;
        while let Some(group) = body.next_group().unwrap() {
            assert_eq!((group.commands, group.bytes), (1, &bytes[..]), "{name}");
            groups += 1;
        }
        assert_eq!(groups, COMMANDS_MAX, "{name}");

        let (number, commands) = (u64::MAX, bytes.repeat(COMMANDS_MAX).into());
        let count = u32::try_from(COMMANDS_MAX).unwrap();
        let submit = Submit { number, deadline_ms: 5_000, count, atomic: true, commands };
        let mut bytes = Vec::new();
        // Panics when the frame is over its limit.
        submit.write(&mut bytes);
        assert_eq!(
            frame::take_frame(&mut bytes::BytesMut::from(&bytes[..])).unwrap().unwrap().kind,
            2
        );
    }
}

#[test]
fn the_largest_command_is_known() {
    let commands = samples::commands::largest().into_iter();
    let largest = commands.map(|(_, command)| codec::encode(&command).len()).max();
    assert_eq!(largest, Some(272), "docs/PROTOCOL.md says so too");
}

#[test]
fn the_longest_outcomes_fit_in_a_frame() {
    let stamp = samples::stamp();
    let outcome = Outcome {
        index: u16::MAX,
        rejection: Some(Rejection::Overflow),
        ..samples::outcomes().answers[0].outcome
    };
    let answers = vec![Answer { outcome, first: Some(stamp) }; COMMANDS_MAX];
    let outcomes = Outcomes { number: u64::MAX, stamp, answers };
    let bytes = frame::encode_whole(OUTCOMES, &outcomes);
    assert_eq!(codec::decode::<Outcomes>(&bytes[frame::HEAD_BYTES..]), Ok(outcomes));
}

#[test]
fn the_longest_views_fit_in_a_frame() {
    let Some((_, Command::Transfer(transfer))) =
        samples::commands::largest().into_iter().find(|(name, _)| *name == "transfer")
    else {
        panic!("there's a transfer");
    };
    let item = TransferView {
        transfer,
        reversed_by: Some(CommandId::from_parts(1, 1)),
        ..samples::views::movement()
    };
    let items = vec![item; usize::try_from(HISTORY_PAGE_MAX).unwrap()];

    let key = KeyView {
        key: OPERATOR_KEY,
        role: Role::Merchant,
        account: Some(AccountId::new(1)),
        revoked: true,
    };
    let asset = Asset::parse("ABCDEFGH").unwrap();
    let sums = AssetTotals { asset, wallet: 1, merchant: 2, bank: 3, fee: 4, issuer: -10 };
    let movement = |kind: &TransferKind| DayMovements { kind: *kind, count: 1, sum: 1 };
    let movements = TransferKind::ALL.iter().map(movement).collect();
    let day = DayView {
        date: BusinessDate::new(9999, 12, 31).unwrap(),
        assets: vec![DayAsset { opening: sums, closing: sums, movements }; ASSETS_MAX],
        first_position: 1,
        last_position: u64::MAX,
        link: [0xff; 32],
    };
    for view in [
        View::History(HistoryPage { items, next: None }),
        View::Keys(vec![key; KEYS_MAX]),
        View::Day(Box::new(day)),
    ] {
        let reply = ViewReply { number: 1, as_of: None, view };
        let bytes = frame::encode_whole(VIEW, &reply);
        assert_eq!(codec::decode::<ViewReply>(&bytes[frame::HEAD_BYTES..]), Ok(reply));
    }
}
