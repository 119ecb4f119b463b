//! Decodes an entry's commands in place. It never copies them.

use std::ops::Range;

use evenkeel_storage::journal::Record;
use evenkeel_wire::{
    command::{Command, Commands},
    entry::EntryBody,
    outcome::Stamp,
};

/// Iterates over an entry's commands: number, command, its bytes.
pub fn decode_commands(
    body: &[u8],
) -> impl Iterator<Item = Result<(u16, Command, &[u8]), String>> + '_ {
    let mut groups = EntryBody::open(body).map_err(|error| error.to_string());
    let mut current: Option<Commands<'_>> = None;
    let mut number: u16 = 0;
    let mut over = false;
    std::iter::from_fn(move || {
        while !over {
            if let Some(commands) = &mut current
                && let Some(next) = commands.next()
            {
                let at = number;
                number += 1;
                over = next.is_err();
                return Some(
                    next.map(|(command, bytes)| (at, command, bytes)).map_err(|e| e.to_string()),
                );
            }
            let next = match &mut groups {
                Ok(groups) => groups.next_group().map_err(|error| error.to_string()),
                Err(error) => Err(error.clone()),
            };
            match next {
                Ok(Some(group)) => current = Some(Commands::new(group.bytes)),
                Ok(None) => over = true,
                Err(error) => {
                    over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    })
}

/// The range of a slice within its body.
pub fn range_in_body(bytes: &[u8], body: &[u8]) -> Range<usize> {
    let start = bytes.as_ptr().addr() - body.as_ptr().addr();
    start..start + bytes.len()
}

/// Where and when a record's outcomes were decided.
pub fn stamp(record: &Record) -> Stamp {
    Stamp {
        position: record.position,
        term: record.term,
        recorded_at: record.time,
        link: record.link.0,
    }
}
