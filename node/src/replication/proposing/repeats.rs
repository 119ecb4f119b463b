//! Repeated commands at the primary: a command whose id lies in a sealed segment, with the same
//! bytes, gets its first answer from the journal and needs no entry. It was committed and applied
//! long ago, so the answer never changes.
//!
//! The ids are looked up on the doors' reading threads, in turns with other callers. What must be
//! judged goes on to the queue: an id that isn't found, or that is found with other content. It
//! judges nothing, and never answers from an id that is only in memory.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use evenkeel_wire::{
    command::{SkimmedCommand, SkimmedCommands},
    id::CommandId,
    outcome::Answer,
    reply::RefusalCode,
};

use super::queue::Queue;
use crate::{
    history::{LookupWork, NotLookedUp, Turn},
    limits::LOOKUPS_AT_A_TIME,
    metrics::Metrics,
    road::{DecidedEntry, Reply, ReplySink, Request, Ticket, TicketSlot},
    state::AppliedState,
};

/// What repeats are answered from, and where the rest goes.
#[derive(Clone)]
pub struct RepeatParts {
    pub queue: Arc<Queue>,
    pub state: Arc<AppliedState>,
    pub metrics: Arc<Metrics>,
}

/// A command whose id may lie in a sealed segment.
struct OldCommand {
    number: usize,
    id: CommandId,
    /// Its bytes in the request.
    range: Range<usize>,
}

/// The lookups that a request's commands may need.
#[derive(Default)]
struct OldIds {
    commands: Vec<OldCommand>,
    /// Targets that may lie in sealed segments.
    targets: usize,
}

/// Passes a request to the queue, and answers the repeated commands in it.
///
/// # Errors
/// When the queue is full.
pub fn offer(parts: &RepeatParts, ticket: Ticket) -> Result<(), Box<Ticket>> {
    let Request::Submit { commands, .. } = &ticket.request else { return Err(Box::new(ticket)) };
    let old = if ticket.caller.is_node() {
        OldIds::default()
    } else {
        OldIds::find(commands, |id| parts.state.may_be_sealed(id))
    };
    if old.commands.is_empty() {
        return parts.queue.offer_weighed(ticket, old.targets);
    }
    let (caller, commands) = (ticket.caller.key, commands.clone());
    let (bytes, threads) = (commands.len(), parts.state.read_threads().doors);
    let slot = TicketSlot::new(ticket, &threads);
    let lookup = RepeatLookup { parts: parts.clone(), slot, commands, old, found: Vec::new() };
    threads.take(caller, bytes, lookup);
    Ok(())
}

impl OldIds {
    fn find(commands: &Bytes, is_old: impl Fn(CommandId) -> bool) -> Self {
        let mut found = Self::default();
        let mut start = 0;
        for (number, next) in SkimmedCommands::new(commands).enumerate() {
            let Ok((command, own)) = next else { break };
            let range = start..start + own.len();
            start = range.end;
            let id = match &command {
                SkimmedCommand::Transfer(id) => Some(*id),
                SkimmedCommand::Other(command) => {
                    found.targets += usize::from(command.target().is_some_and(&is_old));
                    command.id()
                }
            };
            if let Some(id) = id.filter(|id| is_old(*id)) {
                found.commands.push(OldCommand { number, id, range });
            }
        }
        found
    }
}

/// A request whose old ids are being looked up.
struct RepeatLookup {
    parts: RepeatParts,
    slot: Arc<TicketSlot>,
    /// The request's commands.
    commands: Bytes,
    old: OldIds,
    /// For each old command that was looked up: its first answer, if it's a repeat.
    found: Vec<Option<Answer>>,
}

impl LookupWork for RepeatLookup {
    fn take_turn(&mut self) -> Turn {
        if !self.slot.is_full() {
            return Turn::Done;
        }
        let next = &self.old.commands[self.found.len()..];
        let next = &next[..next.len().min(LOOKUPS_AT_A_TIME)];
        let asked: Vec<_> =
            next.iter().map(|old| (old.id, &self.commands[old.range.clone()])).collect();
        match self.parts.state.history_reader().find_repeats(&asked) {
            Ok(found) => self.found.extend(found),
            Err(error) => {
                if let Some(ticket) = self.slot.take() {
                    ticket.refuse_nothing_done(RefusalCode::Recovering, &error.to_string());
                }
                return Turn::Done;
            }
        }
        if self.found.len() < self.old.commands.len() {
            return Turn::More;
        }
        self.finish();
        Turn::Done
    }

    fn break_off(&mut self, why: NotLookedUp) {
        if let Some(ticket) = self.slot.take() {
            ticket.refuse_nothing_done(RefusalCode::Overloaded, &why.to_string());
        }
    }
}

impl RepeatLookup {
    fn finish(&mut self) {
        let Some(mut ticket) = self.slot.take() else { return };
        let Request::Submit { count, atomic, .. } = &ticket.request else {
            unreachable!("only submits are looked up");
        };
        let (count, atomic, commands) = (*count, *atomic, self.commands.clone());
        let all = usize::try_from(count).unwrap_or(usize::MAX);
        let found = self.found.iter().flatten().count();
        let are_committed =
            || self.found.iter().flatten().all(|answer| answer.outcome.rejection.is_none());
        // An atomic group is judged as a whole: it ends here only if every command is committed.
        let is_answered = found == all && (!atomic || are_committed());
        if !is_answered && (atomic || found == 0) {
            return self.pass_on(ticket, self.old.commands.len());
        }
        let mut answers = vec![None; all];
        let mut rest = BytesMut::with_capacity(commands.len());
        let mut end = 0;
        for (old, answer) in self.old.commands.iter().zip(&self.found) {
            if let Some(answer) = answer {
                answers[old.number] = Some(*answer);
                rest.extend_from_slice(&commands[end..old.range.start]);
                end = old.range.end;
            }
        }
        rest.extend_from_slice(&commands[end..]);
        self.parts.metrics.count_repeats(found);
        if is_answered {
            let answers: Vec<Answer> = answers.into_iter().flatten().collect();
            let newest = answers.iter().filter_map(|answer| answer.first);
            let stamp = newest.max_by_key(|stamp| stamp.position);
            let stamp = stamp.expect("a repeat has the stamp of its first answer");
            let decided = Arc::new(DecidedEntry { stamp, answers });
            return ticket.reply(Reply::Decided(decided, 0..all));
        }
        let left = u32::try_from(all - found).expect("fewer than the request's own count");
        let merged =
            MergedAnswers { sink: ticket.sink, token: ticket.token, answers: answers.into() };
        ticket.sink = Arc::new(merged);
        ticket.token = 0;
        ticket.request = Request::Submit { count: left, atomic, commands: rest.freeze() };
        self.pass_on(ticket, self.old.commands.len() - found);
    }

    /// Passes on what must be judged.
    fn pass_on(&self, ticket: Ticket, ids: usize) {
        if let Err(ticket) = self.parts.queue.offer_weighed(ticket, ids + self.old.targets) {
            let detail = "the queues are full; nothing was done";
            ticket.refuse_nothing_done(RefusalCode::Overloaded, detail);
        }
    }
}

/// Puts the answers to repeated commands between those to the rest of a request.
struct MergedAnswers {
    sink: Arc<dyn ReplySink>,
    token: u64,
    /// `None`: it comes with the rest.
    answers: Mutex<Vec<Option<Answer>>>,
}

impl ReplySink for MergedAnswers {
    fn deliver(&self, _token: u64, reply: Reply) {
        let reply = match reply {
            Reply::Decided(decided, range) => {
                let all = std::mem::take(
                    &mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner),
                );
                let mut rest = decided.answers[range].iter().copied();
                let answers: Vec<Answer> =
                    all.into_iter().filter_map(|answer| answer.or_else(|| rest.next())).collect();
                let all = 0..answers.len();
                Reply::Decided(Arc::new(DecidedEntry { stamp: decided.stamp, answers }), all)
            }
            other => other,
        };
        self.sink.deliver(self.token, reply);
    }
}
