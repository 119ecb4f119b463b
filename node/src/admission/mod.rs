//! May this request enter? Judges the envelope alone: form, size, key, deadline. It never reads a balance: only the ledger,
//! behind the log, judges money.

use bytes::Bytes;
use evenkeel_wire::{
    codec,
    command::{Command, Commands},
    limits::{COMMAND_BYTES_MAX, COMMANDS_MAX, DEADLINE_MS_MAX, DEADLINE_MS_MIN, ENTRY_BYTES_MAX},
    reply::{Refusal, RefusalCode},
};

use crate::{road::Caller, state::State};

/// Bytes that an entry's own head and a group's head take at the most.
const HEADS_BYTES: usize = 64;

/// The hash by which the ledger knows a key.
pub fn key_hash(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// Who holds the key with this hash.
///
/// # Errors
/// When the ledger knows no such key, or knows nothing yet.
pub fn authenticate(state: &State, hash: [u8; 32]) -> Result<Caller, Refusal> {
    if !state.founded() {
        return Err(Refusal::new(RefusalCode::Recovering, "this site has no ledger yet"));
    }
    match state.key(&hash) {
        Some(key) => Ok(Caller { key, hash }),
        None => Err(Refusal::new(RefusalCode::Unauthorized, "the key isn't known")),
    }
}

/// Whether a deadline is one.
///
/// # Errors
/// When it's out of bounds.
pub fn check_deadline(deadline_ms: u32) -> Result<(), Refusal> {
    if (DEADLINE_MS_MIN..=DEADLINE_MS_MAX).contains(&deadline_ms) {
        return Ok(());
    }
    let detail =
        format!("deadline_ms: {deadline_ms}; allowed are {DEADLINE_MS_MIN} to {DEADLINE_MS_MAX}");
    Err(Refusal::new(RefusalCode::Malformed, &detail))
}

/// Whether these bytes are that many commands, each of a form that may stand in the journal.
///
/// # Errors
/// Names the first thing that is wrong; nothing was done.
pub fn check_commands(count: u32, bytes: &Bytes) -> Result<(), Refusal> {
    let announced = usize::try_from(count).unwrap_or(usize::MAX);
    if announced == 0 || announced > COMMANDS_MAX {
        let detail = format!("{count} commands; allowed are 1 to {COMMANDS_MAX}");
        let code = if announced == 0 { RefusalCode::Malformed } else { RefusalCode::TooLarge };
        return Err(Refusal::new(code, &detail));
    }
    if bytes.len() > ENTRY_BYTES_MAX - HEADS_BYTES {
        let detail = format!("{} bytes of commands; at most {ENTRY_BYTES_MAX}", bytes.len());
        return Err(Refusal::new(RefusalCode::TooLarge, &detail));
    }
    let mut found = 0;
    for command in Commands::new(bytes) {
        let (command, own) = command.map_err(|error| malformed(found, &error))?;
        if matches!(command, Command::Genesis(_)) {
            let detail = format!("command {found}: a ledger is founded once, by its first primary");
            return Err(Refusal::new(RefusalCode::Forbidden, &detail));
        }
        if own.len() > COMMAND_BYTES_MAX {
            return Err(Refusal::new(RefusalCode::TooLarge, &format!("command {found}")));
        }
        found += 1;
    }
    if found == announced {
        return Ok(());
    }
    let detail = format!("{announced} commands were announced and {found} came");
    Err(Refusal::new(RefusalCode::Malformed, &detail))
}

fn malformed(number: usize, error: &codec::Error) -> Refusal {
    let code = match error {
        codec::Error::IdNotUuidV7 => RefusalCode::IdNotUuidV7,
        _ => RefusalCode::Malformed,
    };
    Refusal::new(code, &format!("command {number}: {error}"))
}
