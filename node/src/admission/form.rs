//! Checks the form of commands: values that decode but must not be in a journal.
//!
//! It never checks what the ledger judges: an amount of 0 is a rejection with a position, not an
//! error of form.

use evenkeel_wire::{command::Command, limits::HOLD_MS_MAX};

/// Checks one of `count` commands; the error says why it's malformed.
pub(crate) fn check(command: &Command, count: usize) -> Result<(), String> {
    match command {
        Command::Hold(hold) if !(1..=HOLD_MS_MAX).contains(&hold.expires_in_ms) => {
            Err(format!("expires_in_ms: {}; allowed are 1 to {HOLD_MS_MAX}", hold.expires_in_ms))
        }
        Command::Reversal(reversal) if reversal.reason.as_str().is_empty() => {
            Err("reason: empty; a reversal needs one".to_owned())
        }
        Command::CloseDay(_) if count != 1 => {
            Err("the end of a day must be alone in its entry".to_owned())
        }
        _ => Ok(()),
    }
}
