//! Bytes from outside: for any input, no decoder panics or allocates memory for a claimed length,
//! and accepted input has the only valid encoding.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use bytes::{Bytes, BytesMut};
use evenkeel_wire::{
    codec,
    command::{Commands, SkimmedCommand, SkimmedCommands},
    frame,
    limits::FRAME_BYTES_MAX,
    reply::{Outcomes, ViewReply},
    request::{Consistency, ReadRequest, Submit},
};
use proptest::{collection::vec, prelude::*};
use support::{
    decoders::{self, KINDS},
    samples, strategies,
};

/// A whole value is decoded; with a byte less or more it is rejected.
fn reads_back<T>(value: &T) -> Result<(), TestCaseError>
where
    T: bincode::Encode + bincode::Decode<()> + PartialEq + std::fmt::Debug,
{
    let bytes = codec::encode(value);
    let read = codec::decode::<T>(&bytes);
    prop_assert_eq!(read.as_ref(), Ok(value));
    prop_assert!(codec::decode::<T>(&bytes[..bytes.len() - 1]).is_err());
    prop_assert!(codec::decode::<T>(&[&bytes[..], &[0]].concat()).is_err());
    Ok(())
}

proptest! {
    #[test]
    fn commands_read_back(commands in vec(strategies::command(), 0..20)) {
        let bytes = samples::encoded(&commands);
        prop_assert_eq!(decoders::commands(&bytes), commands);
    }

    #[test]
    fn skimmed_commands_are_the_same_ones(
        commands in vec(strategies::command(), 0..20),
        cut in 0..40_usize,
    ) {
        let mut bytes = samples::encoded(&commands);
        bytes.truncate(bytes.len().saturating_sub(cut));
        let skimmed: Vec<_> = SkimmedCommands::new(&bytes).map(|next| match next? {
            (SkimmedCommand::Transfer(id), own) => Ok((Some(id), own)),
            (SkimmedCommand::Other(command), own) => Ok((command.id(), own)),
        }).collect();
        let whole: Vec<_> = Commands::new(&bytes)
            .map(|next| next.map(|(command, own)| (command.id(), own)))
            .collect();
        prop_assert_eq!(skimmed, whole);
    }

    #[test]
    fn submits_read_back(number: u64, deadline_ms: u32, count: u16, atomic: bool, commands: Vec<u8>) {
        let count = u32::from(count);
        let submit = Submit { number, deadline_ms, count, atomic, commands: commands.into() };
        let mut frame = Vec::new();
        submit.write(&mut frame);
        let body = Bytes::from(frame.split_off(frame::HEAD_BYTES));
        prop_assert_eq!(Submit::read(body), Ok(submit));
    }

    #[test]
    fn outcomes_read_back(
        number: u64,
        stamp in strategies::stamp(),
        answers in vec(strategies::answer(), 0..50),
    ) {
        reads_back(&Outcomes { number, stamp, answers })?;
    }

    #[test]
    fn questions_and_answers_read_back(
        number: u64,
        query in strategies::query(),
        view in strategies::view(),
    ) {
        let consistency = Consistency::Local;
        reads_back(&ReadRequest { number, deadline_ms: 5_000, consistency, query })?;
        reads_back(&ViewReply { number, as_of: None, view })?;
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
            .filter(|(name, _)| samples::is_frame(name))
            .flat_map(|(_, bytes)| bytes)
            .collect();
        let (mut buffer, mut at, mut found) = (BytesMut::new(), 0, 0);
        for cut in cuts.into_iter().cycle() {
            let end = stream.len().min(at + cut);
            buffer.extend_from_slice(&stream[at..end]);
            while frame::take_frame(&mut buffer).unwrap().is_some() {
                found += 1;
            }
            at = end;
            if at == stream.len() {
                break;
            }
        }
        let frames = samples::golden().iter().filter(|(name, _)| samples::is_frame(name)).count();
        prop_assert_eq!(found, frames);
        prop_assert!(buffer.is_empty());
    }
}

#[test]
fn a_promise_of_many_elements_takes_no_memory() {
    // Outcomes whose list claims the largest length, followed by nothing.
    for claimed in [u64::MAX, u64::from(u32::MAX), 1 << 24, 1 << 16] {
        let mut bytes = codec::encode(&Outcomes { answers: Vec::new(), ..samples::outcomes() });
        let at = bytes.len() - 8;
        bytes[at..].copy_from_slice(&claimed.to_le_bytes());
        assert!(codec::decode::<Outcomes>(&bytes).is_err(), "{claimed}");
    }
    let mut append = Vec::new();
    evenkeel_wire::peer::write_append(&samples::append_head(u32::MAX), [].iter(), &mut append);
    let body = Bytes::from(append.split_off(frame::HEAD_BYTES));
    assert!(evenkeel_wire::peer::read_append(body).is_err());
    let largest = u32::try_from(FRAME_BYTES_MAX - 4).unwrap();
    let mut head = BytesMut::from(&largest.to_le_bytes()[..]);
    assert_eq!(frame::take_frame(&mut head), Ok(None));
    assert!(head.capacity() <= FRAME_BYTES_MAX / 2, "{}", head.capacity());
}
