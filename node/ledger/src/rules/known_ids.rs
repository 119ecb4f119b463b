//! Known ids: the first answer again, or `id_reused`; and commands that others name by their id.
//!
//! Ids of entries that no sealed segment's index covers yet are in memory; older ones are looked
//! up in the indexes. Which of the two holds an id differs between nodes; the answer doesn't.

use evenkeel_wire::{
    codec,
    command::Command,
    id::CommandId,
    outcome::{Answer, Outcome, Rejection},
};

use super::{checks, verdict::Stop};
use crate::{
    containers::ids::IdHash,
    fault::LedgerFault,
    journal::{EntryHead, JournalLookup},
    tables::{genesis::IdWindow, recent::RecentOutcomes},
};

/// The entry that is being applied: it may contain an id twice.
#[derive(Clone, Copy)]
pub(crate) struct CurrentEntry<'a> {
    pub(crate) head: &'a EntryHead,
    /// The bytes of its commands so far.
    pub(crate) commands: &'a [&'a [u8]],
}

/// Whether an id is new and fresh: a known one gets its first answer again, or is reused. `bytes`
/// is the encoding of its command.
#[inline]
pub(crate) fn check_id(
    recent: &RecentOutcomes,
    current: CurrentEntry<'_>,
    (id, hash): (CommandId, IdHash),
    bytes: &[u8],
    window: IdWindow,
    journal: &mut dyn JournalLookup,
) -> Result<(), Stop> {
    match find_first_outcome(recent, (id, hash), journal)? {
        None => Ok(checks::check_freshness(id, window)?),
        Some((position, command, outcome)) => {
            Err(known_id_stop(current, position, command, outcome, bytes, journal))
        }
    }
}

/// The committed command with this id; `None`: there is none.
pub(crate) fn find_committed(
    recent: &RecentOutcomes,
    current: CurrentEntry<'_>,
    (id, hash): (CommandId, IdHash),
    journal: &mut dyn JournalLookup,
) -> Result<Option<(Command, Outcome)>, LedgerFault> {
    let Some((position, number, outcome)) = find_first_outcome(recent, (id, hash), journal)? else {
        return Ok(None);
    };
    if outcome.rejection.is_some() {
        return Ok(None);
    }
    let command = if position == current.head.position {
        codec::decode(current.commands[usize::from(number)])
    } else {
        codec::decode(&journal.read_command(position, number)?.bytes)
    };
    let unreadable =
        |error| LedgerFault::new(format!("position {position}, command {number}: {error}"));
    command.map(|command| Some((command, outcome))).map_err(unreadable)
}

/// The position, the number of the command and the outcome of the first answer to an id.
#[inline]
fn find_first_outcome(
    recent: &RecentOutcomes,
    (id, hash): (CommandId, IdHash),
    journal: &mut dyn JournalLookup,
) -> Result<Option<(u64, u16, Outcome)>, LedgerFault> {
    match recent.find(id, hash) {
        None if recent.may_be_forgotten(id) => journal.find_sealed(id),
        found => Ok(found),
    }
}

/// The answer to a known id.
#[cold]
fn known_id_stop(
    current: CurrentEntry<'_>,
    position: u64,
    command: u16,
    outcome: Outcome,
    bytes: &[u8],
    journal: &mut dyn JournalLookup,
) -> Stop {
    let (is_same, stamp) = if position == current.head.position {
        (current.commands[usize::from(command)] == bytes, current.head.stamp())
    } else {
        match journal.read_command(position, command) {
            Ok(recorded) => (recorded.bytes == bytes, recorded.stamp),
            Err(fault) => return Stop::Fault(fault),
        }
    };
    if is_same {
        Stop::Replayed(Answer { outcome, first: Some(stamp) })
    } else {
        Stop::Rejected(Rejection::IdReused)
    }
}
