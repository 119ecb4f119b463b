//! Every decoder that bytes from outside can reach. For accepted bytes, each returns the result of
//! encoding the value again.

use bytes::{Bytes, BytesMut};
use evenkeel_wire::{
    codec,
    command::{Command, Commands},
    entry::{EntryBody, EntryBuilder},
    frame,
    introduction::{
        INTRODUCE, INTRODUCED, Incident, Introduced, Introduction, MEMORY, MEMORY_KEPT,
        MemoryNotice, SAME_HISTORY,
    },
    peer::{
        ABOUT, APPEND, APPENDED, AppendReply, CLOCK, ClockReading, DIGEST, DIGEST_AGREED,
        DigestNotice, FORWARD_READ, FORWARD_SUBMIT, ForwardRead, ForwardSubmit, HandoverReply,
        HandoverRequest, LANE, LaneHello, PeerAbout, TRANSFER, TRANSFERRED, VOTE, VOTED, VoteReply,
        VoteRequest, read_append, write_append,
    },
    reply::{OUTCOMES, Outcomes, REFUSED, Refused, VIEW, ViewReply, WELCOME, Welcome},
    request::{HELLO, Hello, READ, ReadRequest, SUBMIT, Submit},
};

fn again<T: bincode::Encode + bincode::Decode<()>>(body: &[u8]) -> Option<Vec<u8>> {
    codec::decode::<T>(body).ok().map(|value| codec::encode(&value))
}

fn body(frame: &[u8]) -> Vec<u8> {
    frame[frame::HEAD_BYTES..].to_vec()
}

/// Decodes a frame's body and encodes the value again; `None` if it is rejected.
pub(crate) fn round(kind: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    let shared = || Bytes::copy_from_slice(bytes);
    let mut frame = Vec::new();
    match kind {
        HELLO => again::<Hello>(bytes),
        READ => again::<ReadRequest>(bytes),
        WELCOME => again::<Welcome>(bytes),
        OUTCOMES => again::<Outcomes>(bytes),
        VIEW => again::<ViewReply>(bytes),
        REFUSED => again::<Refused>(bytes),
        APPENDED => again::<AppendReply>(bytes),
        VOTE => again::<VoteRequest>(bytes),
        VOTED => again::<VoteReply>(bytes),
        TRANSFER => again::<HandoverRequest>(bytes),
        TRANSFERRED => again::<HandoverReply>(bytes),
        FORWARD_READ => again::<ForwardRead>(bytes),
        LANE => again::<LaneHello>(bytes),
        CLOCK => again::<ClockReading>(bytes),
        INTRODUCE => again::<Introduction>(bytes),
        INTRODUCED => again::<Introduced>(bytes),
        SAME_HISTORY => again::<()>(bytes),
        MEMORY => again::<MemoryNotice>(bytes),
        MEMORY_KEPT => again::<Vec<Incident>>(bytes),
        DIGEST | DIGEST_AGREED => again::<DigestNotice>(bytes),
        ABOUT => again::<PeerAbout>(bytes),
        SUBMIT => {
            Submit::read(shared()).ok()?.write(&mut frame);
            Some(body(&frame))
        }
        FORWARD_SUBMIT => {
            ForwardSubmit::read(shared()).ok()?.write(&mut frame);
            Some(body(&frame))
        }
        APPEND => {
            let (head, records) = read_append(shared()).ok()?;
            write_append(&head, records.iter(), &mut frame);
            Some(body(&frame))
        }
        _ => None,
    }
}

/// Every type of frame.
pub(crate) const KINDS: [u8; 25] = [
    ABOUT,
    HELLO,
    SUBMIT,
    READ,
    WELCOME,
    OUTCOMES,
    VIEW,
    REFUSED,
    APPEND,
    APPENDED,
    VOTE,
    VOTED,
    TRANSFER,
    TRANSFERRED,
    FORWARD_SUBMIT,
    FORWARD_READ,
    LANE,
    DIGEST,
    DIGEST_AGREED,
    CLOCK,
    INTRODUCE,
    INTRODUCED,
    SAME_HISTORY,
    MEMORY,
    MEMORY_KEPT,
];

/// The commands at the start of the bytes.
pub(crate) fn commands(bytes: &[u8]) -> Vec<Command> {
    let whole = Commands::new(bytes).map_while(Result::ok).map(|(command, own)| {
        assert_eq!(codec::encode(&command), own, "each command has one encoding");
        command
    });
    whole.collect()
}

/// An entry's body, if the bytes are one.
pub(crate) fn entry(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut entry = EntryBody::open(bytes).ok()?;
    let mut again = EntryBuilder::new();
    while let Some(group) = entry.next_group().ok()? {
        if !again.fits(group.commands, group.bytes.len()) {
            return None;
        }
        again.push(group.key, group.atomic, group.commands, group.bytes);
    }
    Some(again.finish())
}

/// The number of whole frames at the start of a stream.
pub(crate) fn frames(bytes: &[u8]) -> usize {
    let mut buffer = BytesMut::from(bytes);
    let mut count = 0;
    while let Ok(Some(frame)) = frame::take_frame(&mut buffer) {
        assert!(frame.body.len() <= bytes.len());
        count += 1;
    }
    count
}
