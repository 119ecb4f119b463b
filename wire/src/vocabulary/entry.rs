//! The body of a journal entry with commands: groups of commands as they came from the doors, with
//! their bytes unchanged.
//!
//! ```text
//! 0 u16 rules version   2 u16 zero   4 u32 groups, then for each:
//!   0 u32 key   4 u16 commands   6 u16 flags: 1 atomic   8 u32 bytes
//!   12 the commands, concatenated
//! ```
//! An atomic group is decided as a whole: if one of its commands is rejected, none of them changes
//! anything.

use crate::{
    id::KeyId,
    limits::{COMMANDS_MAX, ENTRY_BYTES_MAX, ENTRY_HEAD_BYTES as HEAD_BYTES, GROUP_HEAD_BYTES},
    version::RULES_VERSION,
};

const ATOMIC: u16 = 1;

/// The bytes aren't an entry's body. This is a broken invariant, since only primaries make entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an entry body: {0}")]
pub struct EntryError(&'static str);

/// Builds the body of one entry.
#[derive(Debug)]
pub struct EntryBuilder {
    bytes: Vec<u8>,
    groups: u32,
    commands: usize,
}

impl Default for EntryBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl EntryBuilder {
    /// An empty entry with the newest rules version.
    #[must_use]
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(&RULES_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; HEAD_BYTES - 2]);
        Self { bytes, groups: 0, commands: 0 }
    }

    /// Whether another group with this many commands and bytes fits.
    #[must_use]
    pub fn fits(&self, commands: u32, bytes: usize) -> bool {
        let commands_after =
            usize::try_from(commands).map(|more| self.commands.saturating_add(more));
        commands_after.is_ok_and(|after| after <= COMMANDS_MAX)
            && self.bytes.len().saturating_add(GROUP_HEAD_BYTES).saturating_add(bytes)
                <= ENTRY_BYTES_MAX
    }

    /// Adds a group of commands sent with one key.
    ///
    /// # Panics
    /// If it doesn't fit: call [`Self::fits`] first.
    pub fn push(&mut self, key: KeyId, atomic: bool, commands: u32, bytes: &[u8]) {
        assert!(self.fits(commands, bytes.len()), "a group is added only when it fits");
        let length = u32::try_from(bytes.len()).expect("it fits in an entry");
        let count = u16::try_from(commands).expect("at most COMMANDS_MAX");
        self.bytes.extend_from_slice(&key.0.to_le_bytes());
        self.bytes.extend_from_slice(&count.to_le_bytes());
        self.bytes.extend_from_slice(&(if atomic { ATOMIC } else { 0 }).to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(bytes);
        self.groups += 1;
        self.commands += usize::try_from(commands).expect("a u32 fits in usize");
    }

    /// The number of commands in the entry.
    #[must_use]
    pub fn command_count(&self) -> usize {
        self.commands
    }

    /// Returns the body.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[4..HEAD_BYTES].copy_from_slice(&self.groups.to_le_bytes());
        self.bytes
    }
}

/// One group of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The key with which its commands were sent.
    pub key: KeyId,
    /// Whether all of its commands are committed or none.
    pub atomic: bool,
    /// The number of commands.
    pub commands: u32,
    /// The concatenated commands.
    pub bytes: &'a [u8],
}

/// A reader of an entry's body.
#[derive(Clone, Debug)]
pub struct EntryBody<'a> {
    /// The version of the rules by which it is judged.
    pub rules_version: u16,
    groups: u32,
    rest: &'a [u8],
}

impl<'a> EntryBody<'a> {
    /// Opens a body and checks its head.
    ///
    /// # Errors
    /// If the head is invalid or names rules that this program doesn't know.
    pub fn open(bytes: &'a [u8]) -> Result<Self, EntryError> {
        let (head, rest) =
            bytes.split_first_chunk::<HEAD_BYTES>().ok_or(EntryError("shorter than its head"))?;
        let rules_version = u16::from_le_bytes([head[0], head[1]]);
        if rules_version == 0 || rules_version > RULES_VERSION {
            return Err(EntryError("made under rules that this program doesn't know"));
        }
        if head[2] != 0 || head[3] != 0 {
            return Err(EntryError("its reserved bytes aren't zero"));
        }
        let groups = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        Ok(Self { rules_version, groups, rest })
    }

    /// Returns the next group, or `None` at the end.
    ///
    /// # Errors
    /// If the next bytes aren't a group.
    pub fn next_group(&mut self) -> Result<Option<Group<'a>>, EntryError> {
        if self.groups == 0 {
            return if self.rest.is_empty() {
                Ok(None)
            } else {
                Err(EntryError("bytes follow it"))
            };
        }
        let (head, rest) = self
            .rest
            .split_first_chunk::<GROUP_HEAD_BYTES>()
            .ok_or(EntryError("a group is cut short"))?;
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = usize::try_from(number(8)).expect("a u32 fits in usize");
        let atomic = match u16::from_le_bytes([head[6], head[7]]) {
            0 => false,
            ATOMIC => true,
            _ => return Err(EntryError("a group has flags that this program doesn't know")),
        };
        let commands = u32::from(u16::from_le_bytes([head[4], head[5]]));
        let bytes = rest.get(..length).ok_or(EntryError("a group is cut short"))?;
        self.rest = &rest[length..];
        self.groups -= 1;
        Ok(Some(Group { key: KeyId(number(0)), atomic, commands, bytes }))
    }
}
