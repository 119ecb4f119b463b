//! What a rule gets besides tables and command: the entry, the caller's account, the journal.

use evenkeel_wire::{
    command::Command,
    id::{AccountId, CommandId},
    outcome::{Answer, Outcome},
};

use super::{
    known_ids::{self, CurrentEntry},
    verdict::{Committed, committed_outcome},
};
use crate::{
    fault::LedgerFault,
    journal::{EntryHead, JournalLookup},
    tables::Tables,
};

/// The circumstances of the command under way.
pub(crate) struct CommandContext<'a> {
    /// The entry's commands up to and including this one.
    pub(crate) entry: CurrentEntry<'a>,
    /// The index that its outcome gets.
    pub(crate) next_index: u16,
    /// The entry has no other command.
    pub(crate) is_alone: bool,
    /// It belongs to an atomic group.
    pub(crate) in_group: bool,
    /// The caller's account, if the caller has a merchant's key.
    pub(crate) merchant: Option<AccountId>,
    pub(crate) journal: &'a mut dyn JournalLookup,
}

impl<'a> CommandContext<'a> {
    pub(crate) fn head(&self) -> &'a EntryHead {
        self.entry.head
    }

    pub(crate) fn position(&self) -> u64 {
        self.entry.head.position
    }

    /// The number of the command in its entry.
    pub(crate) fn command_number(&self) -> u16 {
        let number = self.entry.commands.len().checked_sub(1);
        let number = number.and_then(|number| u16::try_from(number).ok());
        number.expect("at most COMMANDS_MAX, and one is under way")
    }

    /// Whether the caller may use payments and holds of this payee: a merchant's key only its own
    /// account's. Its door checks that as well, but misses what is decided between there and here.
    pub(crate) fn may_touch(&self, payee: AccountId) -> bool {
        self.merchant.is_none_or(|own| own == payee)
    }

    /// Finds committed commands by their ids.
    pub(crate) fn committed_lookup<'b>(
        &'b mut self,
        tables: &'b Tables,
    ) -> impl FnMut(CommandId) -> Result<Option<(Command, Outcome)>, LedgerFault> + 'b {
        let entry = self.entry;
        let journal = &mut *self.journal;
        move |id| {
            let hash = tables.seed.hash(id.number());
            known_ids::find_committed(&tables.recent, entry, (id, hash), journal)
        }
    }

    /// The first answer to a command without an id, which was committed in the entry at `position`
    /// with the outcome `index`.
    pub(crate) fn first_answer(
        &mut self,
        position: u64,
        index: u16,
        committed: Committed,
    ) -> Result<Answer, LedgerFault> {
        let first = if position == self.position() {
            self.head().stamp()
        } else {
            // All commands of an entry have the same stamp.
            self.journal.read_command(position, 0)?.stamp
        };
        Ok(Answer { outcome: committed_outcome(index, committed), first: Some(first) })
    }
}
