//! What a command's bytes can say and a journal must not hold, although they decode.
//!
//! Never what the ledger judges: an amount of 0 is a rejection, with a position, and not a mistake of form.

use evenkeel_wire::{command::Command, limits::HOLD_MS_MAX};

/// Why a command, one of `count`, is malformed.
pub(crate) fn check(command: &Command, count: usize) -> Result<(), String> {
    match command {
        Command::Hold(hold) if !(1..=HOLD_MS_MAX).contains(&hold.expires_in_ms) => {
            Err(format!("expires_in_ms: {}; allowed are 1 to {HOLD_MS_MAX}", hold.expires_in_ms))
        }
        Command::Reversal(reversal) if reversal.reason.as_str().is_empty() => {
            Err("reason: empty; a reversal says why".to_owned())
        }
        Command::CloseDay(_) if count != 1 => Err("a day's end is alone in its entry".to_owned()),
        _ => Ok(()),
    }
}
