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

use crate::{EntryHead, LedgerFault, containers::ids::IdHash, tables::recent::RecentOutcomes};

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
pub trait JournalLookup {
    /// The command with this number (from 0) in the entry at this position, which lies before the one being applied.
    ///
    /// # Errors
    /// When it can't be read.
    fn read_command(&mut self, position: u64, command: u16)
    -> Result<RecordedCommand, LedgerFault>;

    /// Where an id was decided first, by the indexes of the sealed segments: position, command's number, outcome.
    /// Asked for every id that isn't in memory and could be older than what was forgotten.
    ///
    /// # Errors
    /// When not all of them can be asked.
    fn find_sealed(&mut self, id: CommandId) -> Result<Option<(u64, u16, Outcome)>, LedgerFault>;
}

/// What is known of an id.
pub(crate) enum KnownId {
    /// Nothing: the command is to be judged.
    Fresh,
    /// The same command was decided: its first answer.
    Replay(Answer),
    /// Another command was decided under it.
    Reused,
}

/// The entry being applied, as far as it goes: its own ids may come twice.
#[derive(Clone, Copy)]
pub(crate) struct CurrentEntry<'a, 'b> {
    pub(crate) head: &'b EntryHead,
    /// The bytes of its commands so far.
    pub(crate) commands: &'b [&'a [u8]],
}

/// Looks an id up: first in memory, then in sealed segments.
#[inline]
pub(crate) fn look_up_id(
    recent: &RecentOutcomes,
    current: CurrentEntry<'_, '_>,
    (id, hash): (CommandId, IdHash),
    bytes: &[u8],
    firsts: &mut dyn JournalLookup,
) -> Result<KnownId, LedgerFault> {
    match find_first_outcome(recent, (id, hash), firsts)? {
        None => Ok(KnownId::Fresh),
        Some((position, command, outcome)) => {
            first_answer(current, position, command, outcome, bytes, firsts)
        }
    }
}

/// The committed command that has an id; `None`: there is none.
pub(crate) fn find_committed(
    recent: &RecentOutcomes,
    current: CurrentEntry<'_, '_>,
    (id, hash): (CommandId, IdHash),
    firsts: &mut dyn JournalLookup,
) -> Result<Option<(Command, Outcome)>, LedgerFault> {
    let Some((position, number, outcome)) = find_first_outcome(recent, (id, hash), firsts)? else {
        return Ok(None);
    };
    if outcome.rejection.is_some() {
        return Ok(None);
    }
    let command = if position == current.head.position {
        codec::decode(current.commands[usize::from(number)])
    } else {
        codec::decode(&firsts.read_command(position, number)?.bytes)
    };
    let unreadable = |what| LedgerFault(format!("position {position}, command {number}: {what}"));
    command.map(|command| Some((command, outcome))).map_err(unreadable)
}

/// Position, command's number and outcome of the first answer to an id.
#[inline]
fn find_first_outcome(
    recent: &RecentOutcomes,
    (id, hash): (CommandId, IdHash),
    firsts: &mut dyn JournalLookup,
) -> Result<Option<(u64, u16, Outcome)>, LedgerFault> {
    match recent.find(id, hash) {
        None if recent.may_be_forgotten(id) => firsts.find_sealed(id),
        found => Ok(found),
    }
}

#[cold]
fn first_answer(
    current: CurrentEntry<'_, '_>,
    position: u64,
    command: u16,
    outcome: Outcome,
    bytes: &[u8],
    firsts: &mut dyn JournalLookup,
) -> Result<KnownId, LedgerFault> {
    let (same, stamp) = if position == current.head.position {
        (current.commands[usize::from(command)] == bytes, stamp(current.head))
    } else {
        let recorded = firsts.read_command(position, command)?;
        (recorded.bytes == bytes, recorded.stamp)
    };
    Ok(if same { KnownId::Replay(Answer { outcome, first: Some(stamp) }) } else { KnownId::Reused })
}

/// The stamp of an entry's outcomes.
pub(crate) fn stamp(head: &EntryHead) -> Stamp {
    let EntryHead { position, term, time, link } = *head;
    Stamp { position, term, recorded_at: time, link }
}
