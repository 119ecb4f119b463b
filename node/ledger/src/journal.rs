//! What the ledger gets from the journal besides the bodies of entries.

use evenkeel_wire::{
    id::CommandId,
    outcome::{Outcome, Stamp},
};

use crate::fault::LedgerFault;

/// The header of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// The entry's position in the journal.
    pub position: u64,
    /// The term of the primary that made it.
    pub term: u64,
    /// The primary's stamp, microseconds since the Unix epoch.
    pub time: u64,
    /// The entry's link.
    pub link: [u8; 32],
}

impl EntryHead {
    /// The stamp of the entry's outcomes.
    pub(crate) fn stamp(&self) -> Stamp {
        let Self { position, term, time, link } = *self;
        Stamp { position, term, recorded_at: time, link }
    }
}

/// A command as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCommand {
    /// Where and when it was decided.
    pub stamp: Stamp,
    /// The encoding of this command alone.
    pub bytes: Vec<u8>,
}

/// Something outside of memory that an entry may need to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeededLookup {
    /// The first answer to this id, from the indexes of the sealed segments, and its command.
    Id {
        /// The id.
        id: CommandId,
        /// It's a refund's payment: if it's a capture, the capture's hold is needed, too.
        is_payment: bool,
    },
    /// A command of an earlier entry.
    Command {
        /// The entry's position.
        position: u64,
        /// The command's number in it.
        command: u16,
        /// As above.
        is_payment: bool,
    },
}

/// Answers from earlier entries. They are facts of the journal, equal on every node; when a lookup
/// fails, the node must stop rather than guess.
pub trait JournalLookup {
    /// The command with this number (from 0) in the entry at this position, which precedes the
    /// entry that is being applied.
    ///
    /// # Errors
    /// When it can't be read.
    fn read_command(&mut self, position: u64, command: u16)
    -> Result<RecordedCommand, LedgerFault>;

    /// The first answer to an id, from the indexes of the sealed segments: position, number of the
    /// command, outcome. Called for every id that isn't in memory and may be older than the
    /// forgotten ones.
    ///
    /// # Errors
    /// When an index is unavailable.
    fn find_sealed(&mut self, id: CommandId) -> Result<Option<(u64, u16, Outcome)>, LedgerFault>;
}
