//! Admission: checks form, size, key, role and deadline of a request. It never reads a balance:
//! only the ledger, behind the log, judges money.
//!
//! Commands that come through a follower are checked twice: at its door, and again at the primary.

pub mod facts;
mod form;
pub mod keyring;
pub mod quota;
mod reads;
pub mod roles;
pub mod targets;

use bytes::Bytes;
use evenkeel_wire::{
    codec,
    command::{Command, Commands},
    limits::{COMMAND_BYTES_MAX, COMMANDS_MAX, DEADLINE_MS_MAX, DEADLINE_MS_MIN, ENTRY_BYTES_MAX},
    reply::{Refusal, RefusalCode, View},
    request::Query,
};

pub use facts::{Parties, TargetLookup, TargetsUnchecked};
pub use keyring::Keyring;
pub use reads::{answer_ticket, read_locally};
pub use roles::{Act, Allowed};

use crate::{road::Caller, state::AppliedState};

/// The most bytes that an entry's head and a group's head take.
const HEADS_BYTES: usize = 64;

/// The hash that identifies a key in the ledger.
pub fn key_hash(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// A new key's text: a prefix that makes a leaked key easy to find, then 256 random bits.
///
/// # Errors
/// When the machine has no randomness.
pub fn generate_key() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("ek_{}", blake3::Hash::from_bytes(bytes).to_hex()))
}

/// The holder of the key with this hash, from this node's state alone; a door uses its [`Keyring`],
/// which asks the primary too.
///
/// # Errors
/// When the key is unknown or revoked, or there's no ledger yet.
pub fn authenticate(state: &AppliedState, hash: [u8; 32]) -> Result<Caller, Refusal> {
    if !state.is_bootstrapped() {
        return Err(Refusal::new(RefusalCode::Recovering, "this site has no ledger yet"));
    }
    match state.key(&hash) {
        Some(key) if !key.revoked => Ok(Caller::with_key(&key, hash)),
        _ => Err(unauthorized()),
    }
}

/// The same answer for unknown and revoked keys.
fn unauthorized() -> Refusal {
    Refusal::new(RefusalCode::Unauthorized, "the key is unknown or was revoked")
}

/// Checks that a deadline is within bounds.
///
/// # Errors
/// When it isn't.
pub fn check_deadline(deadline_ms: u32) -> Result<(), Refusal> {
    if (DEADLINE_MS_MIN..=DEADLINE_MS_MAX).contains(&deadline_ms) {
        return Ok(());
    }
    let detail =
        format!("deadline_ms: {deadline_ms}; {DEADLINE_MS_MIN} to {DEADLINE_MS_MAX} are allowed");
    Err(Refusal::new(RefusalCode::Malformed, &detail))
}

/// Checks form and role, which cost nothing; [`targets::check_targets`] must follow.
///
/// # Errors
/// Names the first error; nothing was done.
pub fn check_form_and_role(caller: &Caller, count: u32, bytes: &Bytes) -> Result<(), Refusal> {
    check_commands(caller, &TargetsUnchecked, count, bytes)
}

/// Checks that these bytes are `announced` commands, each well-formed and allowed for the caller.
///
/// # Errors
/// Names the first error; nothing was done.
pub fn check_commands(
    caller: &Caller,
    facts: &dyn TargetLookup,
    count: u32,
    bytes: &Bytes,
) -> Result<(), Refusal> {
    let announced = usize::try_from(count).unwrap_or(usize::MAX);
    if announced == 0 || announced > COMMANDS_MAX {
        let detail = format!("{count} commands; 1 to {COMMANDS_MAX} are allowed");
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
    let detail = format!("{announced} commands were announced, but {found} arrived");
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

/// Checks that the caller may send a command.
fn check_command(
    caller: &Caller,
    facts: &dyn TargetLookup,
    number: usize,
    command: &Command,
) -> Result<(), Refusal> {
    let forbidden = |what: &str| Err(refuse(RefusalCode::Forbidden, number, what));
    if matches!(command, Command::Genesis(_)) {
        return forbidden("genesis is sent once, by the first primary");
    }
    let Some(act) = Act::of_command(command) else {
        return if caller.is_node() { Ok(()) } else { forbidden("only nodes may send it") };
    };
    if caller.is_node() {
        return forbidden("nodes don't move money");
    }
    match act.allowed(caller.role) {
        Allowed::Yes => Ok(()),
        Allowed::Own if facts::targets_own_account(caller, facts, command)? => Ok(()),
        Allowed::Own => forbidden(&ownership_denial(act)),
        Allowed::No => forbidden(&role_denial(act, caller)),
    }
}

/// The refusal of a command whose target belongs to another account.
fn refuse_ownership(number: usize, command: &Command) -> Refusal {
    let what = Act::of_command(command).map(ownership_denial).unwrap_or_default();
    refuse(RefusalCode::Forbidden, number, &what)
}

fn role_denial(act: Act, caller: &Caller) -> String {
    format!("{}: not allowed for a key of role {}", act.row().what, caller.role)
}

fn ownership_denial(act: Act) -> String {
    format!("{}: not this key's account", act.row().what)
}

fn forbidden(what: &str) -> Refusal {
    Refusal::new(RefusalCode::Forbidden, what)
}

/// Checks that a caller may perform an act, regardless of ownership: for acts that are neither a
/// command nor a query.
///
/// # Errors
/// Names the act and the role.
pub fn check_act(caller: &Caller, act: Act) -> Result<(), Refusal> {
    if caller.is_node() || act.allowed(caller.role) == Allowed::No {
        return Err(forbidden(&role_denial(act, caller)));
    }
    Ok(())
}

/// Checks that a caller may send a query. Ownership is checked on the answer, by [`check_view`].
///
/// # Errors
/// Names the query and the role.
pub fn check_query(caller: &Caller, query: &Query) -> Result<(), Refusal> {
    let own = match query {
        // The journal's position isn't secret: /v1/status shows it without a key.
        Query::Position => return Ok(()),
        Query::Keys | Query::Key(_) if caller.is_node() => return Ok(()),
        Query::Keys | Query::Key(_) => return Err(forbidden("keys: only nodes may read them")),
        Query::Account(account) | Query::History { account, .. } => Some(*account),
        Query::Transfer(_) | Query::Hold(_) | Query::Totals | Query::Day(_) => None,
    };
    let act = Act::of_query(query).expect("queries outside the table are handled above");
    check_act(caller, act)?;
    if act.allowed(caller.role) == Allowed::Own && own.is_some() && own != caller.account {
        return Err(forbidden(&ownership_denial(act)));
    }
    Ok(())
}

/// Checks that a caller may see the answer to a query: a merchant sees only the transfers and holds
/// that it's a party of.
///
/// # Errors
/// Names the view that it may not see.
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

/// Answers a query from this node's applied state, if the caller may send it and see the answer.
///
/// # Errors
/// When the caller may not, or the query fails.
pub fn answer_query(state: &AppliedState, caller: &Caller, query: &Query) -> Result<View, Refusal> {
    check_query(caller, query)?;
    let view = state.answer_query(query)?;
    check_view(caller, &view)?;
    Ok(view)
}
