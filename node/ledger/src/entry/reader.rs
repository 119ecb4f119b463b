//! Reads an entry's commands, group by group as the doors passed them on. Only a primary makes
//! entries: one that can't be read is a fault.

use evenkeel_wire::{
    command::{Command, Commands},
    entry::EntryBody,
    id::{KeyId, OPERATOR_KEY},
    limits::COMMANDS_MAX,
};

use crate::fault::LedgerFault;

/// Reads the commands of one entry.
pub(crate) struct EntryReader<'a> {
    position: u64,
    body: EntryBody<'a>,
    group: Commands<'a>,
    key: KeyId,
    atomic: bool,
    is_first: bool,
    left_in_group: u32,
    commands: usize,
}

/// A command, its bytes, and how it is decided.
pub(crate) struct ReadCommand<'a> {
    pub(crate) command: Command,
    pub(crate) bytes: &'a [u8],
    /// The caller's key.
    pub(crate) key: KeyId,
    pub(crate) grouping: Grouping,
}

/// How a command is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// By itself.
    Single,
    /// Together with others: all are committed, or none.
    Atomic {
        /// The group begins with it.
        first: bool,
        /// The group ends with it.
        last: bool,
    },
}

impl<'a> EntryReader<'a> {
    pub(crate) fn open(position: u64, body: &'a [u8]) -> Result<Self, LedgerFault> {
        let body = EntryBody::open(body)
            .map_err(|error| LedgerFault::new(format!("position {position}: {error}")))?;
        Ok(Self {
            position,
            body,
            group: Commands::new(&[]),
            key: OPERATOR_KEY,
            atomic: false,
            is_first: false,
            left_in_group: 0,
            commands: 0,
        })
    }

    #[inline]
    pub(crate) fn next_command(&mut self) -> Result<Option<ReadCommand<'a>>, LedgerFault> {
        loop {
            match self.group.next() {
                Some(Ok((command, bytes))) if self.left_in_group > 0 => {
                    self.left_in_group = self.left_in_group.wrapping_sub(1);
                    self.commands = self.commands.wrapping_add(1);
                    if self.commands > COMMANDS_MAX {
                        return Err(self.read_fault("more commands than an entry takes"));
                    }
                    return Ok(Some(ReadCommand {
                        command,
                        bytes,
                        key: self.key,
                        grouping: self.next_grouping(),
                    }));
                }
                Some(Ok(_)) => {
                    return Err(self.read_fault("a group has more commands than it declares"));
                }
                Some(Err(what)) => return Err(self.read_fault(&what.to_string())),
                None if self.left_in_group > 0 => {
                    return Err(self.read_fault("a group has fewer commands than it declares"));
                }
                None => {}
            }
            match self.body.next_group() {
                Ok(Some(group)) => {
                    self.left_in_group = group.commands;
                    self.key = group.key;
                    self.atomic = group.atomic;
                    self.is_first = true;
                    self.group = Commands::new(group.bytes);
                }
                Ok(None) => return Ok(None),
                Err(what) => return Err(self.read_fault(&what.to_string())),
            }
        }
    }

    #[inline]
    fn next_grouping(&mut self) -> Grouping {
        if !self.atomic {
            return Grouping::Single;
        }
        let first = std::mem::take(&mut self.is_first);
        Grouping::Atomic { first, last: self.left_in_group == 0 }
    }

    #[cold]
    fn read_fault(&self, what: &str) -> LedgerFault {
        let (position, command) = (self.position, self.commands);
        LedgerFault::new(format!("position {position}, command {command}: {what}"))
    }
}
