//! May this request enter? Judges the envelope alone: form, size, key, role, deadline. It never reads a balance: only the
//! ledger, behind the log, judges money.
//!
//! The same commands are judged twice when they come through a follower: at its door, and again where they're decided.

pub mod facts;
mod form;
pub mod keyring;
pub mod quota;
mod reads;
pub mod roles;

use bytes::Bytes;
use evenkeel_wire::{
    codec,
    command::{Command, Commands},
    limits::{COMMAND_BYTES_MAX, COMMANDS_MAX, DEADLINE_MS_MAX, DEADLINE_MS_MIN, ENTRY_BYTES_MAX},
    reply::{Refusal, RefusalCode, View},
    request::Query,
};

pub use facts::{Parties, TargetLookup};
pub use keyring::Keyring;
pub use reads::{answer_ticket, read_locally};
pub use roles::{Act, Allowed};

use crate::{road::Caller, state::AppliedState};

/// Bytes that an entry's own head and a group's head take at the most.
const HEADS_BYTES: usize = 64;

/// The hash by which the ledger knows a key.
pub fn key_hash(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// A new key's text: 256 random bits behind a mark by which a leaked one is found.
///
/// # Errors
/// When the machine has no randomness.
pub fn generate_key() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("ek_{}", blake3::Hash::from_bytes(bytes).to_hex()))
}

/// Who holds the key with this hash, as far as this node knows; a door asks its [`Keyring`], which asks the primary too.
///
/// # Errors
/// When the ledger knows no such key, or knows nothing yet.
pub fn authenticate(state: &AppliedState, hash: [u8; 32]) -> Result<Caller, Refusal> {
    if !state.is_bootstrapped() {
        return Err(Refusal::new(RefusalCode::Recovering, "this site has no ledger yet"));
    }
    match state.key(&hash) {
        Some(key) if !key.revoked => Ok(Caller::with_key(&key, hash)),
        _ => Err(unauthorized()),
    }
}

/// One answer for keys that never were and keys that are no more.
fn unauthorized() -> Refusal {
    Refusal::new(RefusalCode::Unauthorized, "the key isn't known, or was revoked")
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

/// Whether these bytes are that many commands, each of a form that may stand in the journal, and each the caller's to give.
///
/// # Errors
/// Names the first thing that is wrong; nothing was done.
pub fn check_commands(
    caller: &Caller,
    facts: &dyn TargetLookup,
    count: u32,
    bytes: &Bytes,
) -> Result<(), Refusal> {
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
        if own.len() > COMMAND_BYTES_MAX {
            return Err(Refusal::new(RefusalCode::TooLarge, &format!("command {found}")));
        }
        form::check(&command, announced)
            .map_err(|what| refuse(RefusalCode::Malformed, found, &what))?;
        check_command(caller, facts, found, &command)?;
        found += 1;
    }
    if found == announced {
        return Ok(());
    }
    let detail = format!("{announced} commands were announced and {found} came");
    Err(Refusal::new(RefusalCode::Malformed, &detail))
}

fn malformed(number: usize, error: &codec::CodecError) -> Refusal {
    let code = match error {
        codec::CodecError::IdNotUuidV7 => RefusalCode::IdNotUuidV7,
        _ => RefusalCode::Malformed,
    };
    Refusal::new(code, &format!("command {number}: {error}"))
}

fn refuse(code: RefusalCode, number: usize, what: &str) -> Refusal {
    Refusal::new(code, &format!("command {number}: {what}"))
}

/// Whether a command is the caller's to give.
fn check_command(
    caller: &Caller,
    facts: &dyn TargetLookup,
    number: usize,
    command: &Command,
) -> Result<(), Refusal> {
    let forbidden = |what: &str| Err(refuse(RefusalCode::Forbidden, number, what));
    if matches!(command, Command::Genesis(_)) {
        return forbidden("a ledger is founded once, by its first primary");
    }
    let Some(act) = Act::of_command(command) else {
        return if caller.is_node() { Ok(()) } else { forbidden("only nodes give it") };
    };
    if caller.is_node() {
        return forbidden("nodes move no money");
    }
    match act.allowed(caller.role) {
        Allowed::Yes => Ok(()),
        Allowed::Own if facts::targets_own_account(caller, facts, command)? => Ok(()),
        Allowed::Own => forbidden(&ownership_denial(act)),
        Allowed::No => forbidden(&role_denial(act, caller)),
    }
}

fn role_denial(act: Act, caller: &Caller) -> String {
    format!("{}: not for a key of role {}", act.row().what, caller.role)
}

fn ownership_denial(act: Act) -> String {
    format!("{}: not the account of this key", act.row().what)
}

fn forbidden(what: &str) -> Refusal {
    Refusal::new(RefusalCode::Forbidden, what)
}

/// Whether a caller may do something, apart from whose it is: for what is neither a command nor a query.
///
/// # Errors
/// Names the act and the role.
pub fn check_act(caller: &Caller, act: Act) -> Result<(), Refusal> {
    if caller.is_node() || act.allowed(caller.role) == Allowed::No {
        return Err(forbidden(&role_denial(act, caller)));
    }
    Ok(())
}

/// Whether a caller may ask this. Whose the answer is shows in the answer: [`check_view`] judges that.
///
/// # Errors
/// Names the question and the role.
pub fn check_query(caller: &Caller, query: &Query) -> Result<(), Refusal> {
    let own = match query {
        // Where the journal stands is no secret: /v1/status tells it without a key.
        Query::Position => return Ok(()),
        Query::Keys | Query::Key(_) if caller.is_node() => return Ok(()),
        Query::Keys | Query::Key(_) => return Err(forbidden("keys: only nodes ask for them")),
        Query::Account(account) | Query::History { account, .. } => Some(*account),
        Query::Transfer(_) | Query::Hold(_) | Query::Totals | Query::Day(_) => None,
    };
    let act = Act::of_query(query).expect("those that aren't in the table are judged above");
    check_act(caller, act)?;
    if act.allowed(caller.role) == Allowed::Own && own.is_some() && own != caller.account {
        return Err(forbidden(&ownership_denial(act)));
    }
    Ok(())
}

/// Whether a caller may see this answer to what it was allowed to ask: a merchant sees transfers and holds that it takes part
/// in.
///
/// # Errors
/// Names what it may not see.
pub fn check_view(caller: &Caller, view: &View) -> Result<(), Refusal> {
    let act = match view {
        View::Transfer(_) => Act::ReadTransfer,
        View::Hold(_) => Act::ReadHold,
        _ => return Ok(()),
    };
    let sees = || Parties::from_view(view).is_some_and(|parties| parties.include(caller.account));
    if act.allowed(caller.role) == Allowed::Own && !sees() {
        return Err(forbidden(&ownership_denial(act)));
    }
    Ok(())
}

/// Answers a question from what this node has applied, if the caller may ask it and see the answer.
///
/// # Errors
/// Why not.
pub fn answer_query(state: &AppliedState, caller: &Caller, query: &Query) -> Result<View, Refusal> {
    check_query(caller, query)?;
    let view = state.answer_query(query)?;
    check_view(caller, &view)?;
    Ok(view)
}
