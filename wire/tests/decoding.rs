//! Bytes from outside: whatever they are, no decoder panics, none takes memory for a promise, and what is taken is
//! spelled in the one way that it can be spelled.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use evenkeel_wire::{
    account::{AccountKind, OpenAccount},
    amount::{Amount, Asset},
    codec,
    command::Command,
    frame,
    id::{AccountId, CommandId},
    limits::{COMMAND_BYTES_MAX, COMMANDS_MAX, ENTRY_BYTES_MAX, FRAME_BYTES_MAX, HISTORY_PAGE_MAX},
    outcome::{Answer, Outcome, Rejection, Stamp},
    reply::{HistoryPage, OUTCOMES, Outcomes, TransferView, VIEW, View, ViewReply},
    transfer::{Text, Transfer, TransferKind},
};
use proptest::{collection::vec, prelude::*, sample::select};
use support::{
    decoders::{self, KINDS},
    samples,
};

fn asset() -> impl Strategy<Value = Asset> {
    "[A-Z0-9]{1,8}".prop_map(|name| Asset::parse(&name).unwrap())
}

fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    "\\PC{0,60}".prop_filter_map("too long", |text| Text::new(&text).ok())
}

fn id() -> impl Strategy<Value = CommandId> {
    (any::<u64>(), any::<u128>()).prop_map(|(time, random)| CommandId::from_parts(time, random))
}

fn account() -> impl Strategy<Value = AccountId> {
    any::<u128>().prop_map(AccountId::new)
}

fn a_transfer() -> impl Strategy<Value = Transfer> {
    let parts = (
        id(),
        account(),
        account(),
        any::<u64>(),
        asset(),
        select(TransferKind::ALL),
        text(),
        text(),
    );
    parts.prop_map(|(id, debit, credit, amount, asset, kind, reference, memo)| Transfer {
        id,
        debit,
        credit,
        amount: Amount(amount),
        asset,
        kind,
        reference,
        memo,
    })
}

fn command() -> impl Strategy<Value = Command> {
    let open = (account(), select(AccountKind::ALL), asset(), text())
        .prop_map(|(id, kind, asset, label)| OpenAccount { id, kind, asset, label });
    prop_oneof![a_transfer().prop_map(Command::Transfer), open.prop_map(Command::OpenAccount)]
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (any::<[u64; 3]>(), any::<[u8; 32]>()).prop_map(|([position, term, recorded_at], link)| Stamp {
        position,
        term,
        recorded_at,
        link,
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    let rejection = proptest::option::of(select(Rejection::ALL));
    let outcome = (any::<u16>(), rejection, any::<u64>(), any::<[i64; 2]>());
    (outcome, proptest::option::of(stamp())).prop_map(
        |((index, rejection, amount, after), first)| {
            let [debit_after, credit_after] = after;
            Answer {
                outcome: Outcome { index, rejection, amount, debit_after, credit_after },
                first,
            }
        },
    )
}

proptest! {
    #[test]
    fn commands_read_back(commands in vec(command(), 0..20)) {
        let bytes = samples::encoded(&commands);
        prop_assert_eq!(decoders::commands(&bytes), commands);
    }

    #[test]
    fn outcomes_read_back(number: u64, stamp in stamp(), answers in vec(answer(), 0..50)) {
        let outcomes = Outcomes { number, stamp, answers };
        let bytes = codec::encode(&outcomes);
        prop_assert_eq!(codec::decode::<Outcomes>(&bytes), Ok(outcomes));
        prop_assert!(codec::decode::<Outcomes>(&bytes[..bytes.len() - 1]).is_err());
        prop_assert!(codec::decode::<Outcomes>(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn no_bytes_at_all_make_a_decoder_panic(bytes in vec(any::<u8>(), 0..400)) {
        for kind in KINDS {
            if let Some(again) = decoders::round(kind, &bytes) {
                prop_assert_eq!(&again, &bytes, "a frame of type {}", kind);
            }
        }
        decoders::commands(&bytes);
        if let Some(again) = decoders::entry(&bytes) {
            prop_assert_eq!(&again, &bytes);
        }
        decoders::frames(&bytes);
    }

    #[test]
    fn nor_do_messages_with_a_few_bytes_changed(
        which in any::<prop::sample::Index>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (name, mut bytes) = which.get(&samples::golden()).clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        decoders::frames(&bytes);
        if let Some((head, body)) = bytes.split_at_checked(frame::HEAD_BYTES)
            && let Some(again) = decoders::round(head[5], body)
        {
            prop_assert_eq!(&again[..], body, "{}", name);
        }
        decoders::commands(&bytes);
        if let Some(again) = decoders::entry(&bytes) {
            prop_assert_eq!(&again, &bytes);
        }
    }

    #[test]
    fn a_stream_reads_the_same_however_it_is_cut(cuts in vec(1_usize..90, 1..200)) {
        let stream: Vec<u8> = samples::golden()
            .into_iter()
            .filter(|(name, _)| name != "entry" && name != "command_genesis")
            .flat_map(|(_, bytes)| bytes)
            .collect();
        let (mut buffer, mut at, mut found) = (bytes::BytesMut::new(), 0, 0);
        for cut in cuts.into_iter().cycle() {
            let end = stream.len().min(at + cut);
            buffer.extend_from_slice(&stream[at..end]);
            while frame::take(&mut buffer).unwrap().is_some() {
                found += 1;
            }
            at = end;
            if at == stream.len() {
                break;
            }
        }
        prop_assert_eq!(found, samples::golden().len() - 2);
        prop_assert!(buffer.is_empty());
    }
}

#[test]
fn the_longest_replies_fit_in_a_frame_and_read_back() {
    let stamp = samples::stamp();
    let outcome = Outcome {
        index: u16::MAX,
        rejection: Some(Rejection::Overflow),
        ..samples::outcomes().answers[0].outcome
    };
    let answers = vec![Answer { outcome, first: Some(stamp) }; COMMANDS_MAX];
    let outcomes = Outcomes { number: u64::MAX, stamp, answers };
    let bytes = frame::whole(OUTCOMES, &outcomes);
    assert_eq!(codec::decode::<Outcomes>(&bytes[frame::HEAD_BYTES..]), Ok(outcomes));

    let transfer = Transfer {
        reference: Text::new(&"r".repeat(64)).unwrap(),
        memo: Text::new(&"m".repeat(140)).unwrap(),
        ..samples::transfer()
    };
    let longest = codec::encode(&Command::Transfer(transfer.clone()));
    assert!(longest.len() <= COMMAND_BYTES_MAX && longest.len() * COMMANDS_MAX <= ENTRY_BYTES_MAX);
    let item = TransferView { transfer, stamp, index: 0 };
    let items = vec![item; usize::try_from(HISTORY_PAGE_MAX).unwrap()];
    let view = View::History(HistoryPage { items, next: None });
    let reply = ViewReply { number: 1, as_of: None, view };
    let bytes = frame::whole(VIEW, &reply);
    assert_eq!(codec::decode::<ViewReply>(&bytes[frame::HEAD_BYTES..]), Ok(reply));
}

#[test]
fn a_promise_of_many_elements_takes_no_memory() {
    // Outcomes whose list claims to be as long as can be, followed by nothing.
    for claimed in [u64::MAX, u64::from(u32::MAX), 1 << 24, 1 << 16] {
        let mut bytes = codec::encode(&Outcomes { answers: Vec::new(), ..samples::outcomes() });
        let at = bytes.len() - 8;
        bytes[at..].copy_from_slice(&claimed.to_le_bytes());
        assert!(codec::decode::<Outcomes>(&bytes).is_err(), "{claimed}");
    }
    let mut append = Vec::new();
    evenkeel_wire::peer::write_append(&samples::append_head(u32::MAX), [].iter(), &mut append);
    let body = bytes::Bytes::from(append.split_off(frame::HEAD_BYTES));
    assert!(evenkeel_wire::peer::read_append(body).is_err());
    let largest = u32::try_from(FRAME_BYTES_MAX - 4).unwrap();
    let mut head = bytes::BytesMut::from(&largest.to_le_bytes()[..]);
    assert_eq!(frame::take(&mut head), Ok(None));
    assert!(head.capacity() <= FRAME_BYTES_MAX / 2, "{}", head.capacity());
}
