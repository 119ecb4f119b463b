//! Whether the targets of a merchant's commands pay its own account, looked up on the doors'
//! reading threads: many at once, in turns with other callers. Key, role and form are judged
//! before, at no cost. It never judges them.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use evenkeel_wire::{command::Commands, id::CommandId, key::Role, reply::Refusal};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{TargetLookup, facts, refuse_ownership};
use crate::{
    admission::Parties,
    history::{FoundParties, LookupWork, NotLookedUp, Turn},
    limits::LOOKUPS_AT_A_TIME,
    road::{Caller, Reply, Request, Ticket, TicketSlot},
    state::AppliedState,
};

/// Called once, with the verdict.
type Then = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// Whether a caller's commands, which were checked already, need a check of their targets.
pub fn needs_target_check(caller: &Caller) -> bool {
    caller.role == Role::Merchant && !caller.is_node()
}

/// Checks the targets of a caller's commands and calls `then` with the verdict, on any thread.
pub fn check_targets(
    state: &Arc<AppliedState>,
    caller: Caller,
    commands: Bytes,
    then: impl FnOnce(Result<(), Refusal>) + Send + 'static,
) {
    if !needs_target_check(&caller) {
        return then(Ok(()));
    }
    let (bytes, threads) = (commands.len(), state.read_threads().doors);
    let then: Option<Then> = Some(Box::new(then));
    let check = TargetCheck { state: state.clone(), caller, rest: commands, number: 0, then };
    threads.take(caller.key, bytes, check);
}

/// Checks the targets of a ticket's commands, and routes it or refuses it.
pub fn check_ticket(
    state: &Arc<AppliedState>,
    ticket: Ticket,
    route: impl FnOnce(Ticket) + Send + 'static,
) {
    let commands = match &ticket.request {
        Request::Submit { commands, .. } if needs_target_check(&ticket.caller) => commands.clone(),
        _ => return route(ticket),
    };
    let caller = ticket.caller;
    let slot = TicketSlot::new(ticket, &state.read_threads().doors);
    check_targets(state, caller, commands, move |verdict| {
        let Some(ticket) = slot.take() else { return };
        match verdict {
            Ok(()) => route(ticket),
            Err(refusal) => ticket.reply(Reply::Refused(refusal)),
        }
    });
}

/// The same for a caller that waits until its deadline.
///
/// # Errors
/// Names the first command that isn't allowed; or the lookup failed. Nothing was done.
pub async fn wait_for_target_check(
    state: &Arc<AppliedState>,
    caller: Caller,
    commands: Bytes,
    deadline: Instant,
) -> Result<(), Refusal> {
    if !needs_target_check(&caller) {
        return Ok(());
    }
    let (sender, verdict) = oneshot::channel();
    check_targets(state, caller, commands, move |result| {
        // The caller may be gone.
        let _unread = sender.send(result);
    });
    match timeout_at(deadline, verdict).await {
        Ok(verdict) => verdict.unwrap_or_else(|_| Err(NotLookedUp::BrokenOff.into())),
        Err(_) => Err(NotLookedUp::Busy.into()),
    }
}

/// The commands of one request, checked some at a time.
struct TargetCheck {
    state: Arc<AppliedState>,
    caller: Caller,
    /// The commands that aren't checked yet, and the number of the first.
    rest: Bytes,
    number: usize,
    then: Option<Then>,
}

impl TargetCheck {
    fn end(&mut self, verdict: Result<(), Refusal>) -> Turn {
        if let Some(then) = self.then.take() {
            then(verdict);
        }
        Turn::Done
    }

    /// Checks the next commands; `true`: there are more.
    fn check_next(&mut self) -> Result<bool, Refusal> {
        let mut commands = Vec::new();
        let mut used = 0;
        for (command, own) in Commands::new(&self.rest).map_while(Result::ok) {
            commands.push(command);
            used += own.len();
            if commands.len() == LOOKUPS_AT_A_TIME {
                break;
            }
        }
        let targets: Vec<(CommandId, bool)> =
            commands.iter().filter_map(facts::named_target).collect();
        let found = self.state.history_reader().find_target_parties(&targets);
        let found = targets.into_iter().zip(found).collect();
        let known = KnownTargets { state: &self.state, found };
        for command in &commands {
            if !facts::targets_own_account(&self.caller, &known, command)? {
                return Err(refuse_ownership(self.number, command));
            }
            self.number += 1;
        }
        self.rest = self.rest.slice(used..);
        Ok(!commands.is_empty() && !self.rest.is_empty())
    }
}

impl LookupWork for TargetCheck {
    fn take_turn(&mut self) -> Turn {
        match self.check_next() {
            Ok(true) => Turn::More,
            Ok(false) => self.end(Ok(())),
            Err(refusal) => self.end(Err(refusal)),
        }
    }

    fn break_off(&mut self, why: NotLookedUp) {
        self.end(Err(why.into()));
    }
}

/// Targets that were looked up together; others, and those that can't be told so, are looked up by
/// themselves.
struct KnownTargets<'a> {
    state: &'a AppliedState,
    found: HashMap<(CommandId, bool), Option<FoundParties>>,
}

impl KnownTargets<'_> {
    fn parties(&self, target: (CommandId, bool)) -> Option<Option<Parties>> {
        let found = (*self.found.get(&target)?)?;
        Some(found.map(|(debit, credit)| Parties { debit, credit }))
    }
}

impl TargetLookup for KnownTargets<'_> {
    fn hold_parties(&self, id: CommandId) -> Result<Option<Parties>, Refusal> {
        self.parties((id, true)).map_or_else(|| self.state.hold_parties(id), Ok)
    }

    fn movement_parties(&self, id: CommandId) -> Result<Option<Parties>, Refusal> {
        self.parties((id, false)).map_or_else(|| self.state.movement_parties(id), Ok)
    }
}
