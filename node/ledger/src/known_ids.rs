//! Known ids: the first answer again, or `id_reused`; and the commands that others name by their id.
//!
//! Ids of the entries that no sealed segment's index covers yet are in memory; older ones are asked for. Which of the
//! two knows an id differs from node to node; the answer doesn't.

use evenkeel_wire::{
    codec,
    command::Command,
    id::CommandId,
    outcome::{Answer, Outcome, Stamp},
};

use crate::{EntryHead, Unwell, containers::ids::Hash, tables::recent::Recent};

/// A command as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCommand {
    /// Where and when it was decided.
    pub stamp: Stamp,
    /// The command alone, as it was encoded.
    pub bytes: Vec<u8>,
}

/// What `apply` can't know by itself. The answers are facts of the journal, the same on every node; when one can't be
/// had, the node stops rather than guess.
pub trait FirstAnswers {
    /// The command with this number (from 0) in the entry at this position, which lies before the one being applied.
    ///
    /// # Errors
    /// When it can't be read.
    fn recorded(&mut self, position: u64, command: u16) -> Result<RecordedCommand, Unwell>;

    /// Where an id was decided first, by the indexes of the sealed segments: position, command's number, outcome.
    /// Asked for every id that isn't in memory and could be older than what was forgotten.
    ///
    /// # Errors
    /// When not all of them can be asked.
    fn find_sealed(&mut self, id: CommandId) -> Result<Option<(u64, u16, Outcome)>, Unwell>;
}

/// What is known of an id.
pub(crate) enum Known {
    /// Nothing: the command is to be judged.
    Fresh,
    /// The same command was decided: its first answer.
    Replay(Answer),
    /// Another command was decided under it.
    Reused,
}

/// The entry being applied, as far as it goes: its own ids may come twice.
#[derive(Clone, Copy)]
pub(crate) struct Current<'a, 'b> {
    pub(crate) head: &'b EntryHead,
    /// The bytes of its commands so far.
    pub(crate) commands: &'b [&'a [u8]],
}

/// Looks an id up: first in memory, then in sealed segments.
#[inline]
pub(crate) fn known(
    recent: &Recent,
    current: Current<'_, '_>,
    (id, hash): (CommandId, Hash),
    bytes: &[u8],
    firsts: &mut dyn FirstAnswers,
) -> Result<Known, Unwell> {
    match locate(recent, (id, hash), firsts)? {
        None => Ok(Known::Fresh),
        Some((position, command, outcome)) => {
            first_answer(current, position, command, outcome, bytes, firsts)
        }
    }
}

/// The committed command that has an id; `None`: there is none.
pub(crate) fn committed(
    recent: &Recent,
    current: Current<'_, '_>,
    (id, hash): (CommandId, Hash),
    firsts: &mut dyn FirstAnswers,
) -> Result<Option<(Command, Outcome)>, Unwell> {
    let Some((position, number, outcome)) = locate(recent, (id, hash), firsts)? else {
        return Ok(None);
    };
    if outcome.rejection.is_some() {
        return Ok(None);
    }
    let command = if position == current.head.position {
        codec::decode(current.commands[usize::from(number)])
    } else {
        codec::decode(&firsts.recorded(position, number)?.bytes)
    };
    let unreadable = |what| Unwell(format!("position {position}, command {number}: {what}"));
    command.map(|command| Some((command, outcome))).map_err(unreadable)
}

/// Position, command's number and outcome of the first answer to an id.
#[inline]
fn locate(
    recent: &Recent,
    (id, hash): (CommandId, Hash),
    firsts: &mut dyn FirstAnswers,
) -> Result<Option<(u64, u16, Outcome)>, Unwell> {
    match recent.find(id, hash) {
        None if recent.may_be_forgotten(id) => firsts.find_sealed(id),
        found => Ok(found),
    }
}

#[cold]
fn first_answer(
    current: Current<'_, '_>,
    position: u64,
    command: u16,
    outcome: Outcome,
    bytes: &[u8],
    firsts: &mut dyn FirstAnswers,
) -> Result<Known, Unwell> {
    let (same, stamp) = if position == current.head.position {
        (current.commands[usize::from(command)] == bytes, stamp(current.head))
    } else {
        let recorded = firsts.recorded(position, command)?;
        (recorded.bytes == bytes, recorded.stamp)
    };
    Ok(if same { Known::Replay(Answer { outcome, first: Some(stamp) }) } else { Known::Reused })
}

/// The stamp of an entry's outcomes.
pub(crate) fn stamp(head: &EntryHead) -> Stamp {
    let EntryHead { position, term, time, link } = *head;
    Stamp { position, term, recorded_at: time, link }
}
