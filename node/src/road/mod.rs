//! The one road that every request takes, whichever door it came through: to this node's batcher while it's the primary, to the
//! primary's while it isn't, and for a moment into a waiting room while nobody is.
//!
//! A request whose attempt broke off is tried again with the same ids; the ledger decides each id once. What may have
//! reached a journal is never called failed: it ends as an outcome or as *unknown*.

mod waiter;
use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use evenkeel_wire::{
    id::{AccountId, KeyId, NODES, NodeId},
    key::Role,
    outcome::{Answer, Stamp},
    reply::{AsOf, KeyView, Refusal, RefusalCode, View},
    request::Query,
};
use tokio::{sync::watch, time::Instant};

use crate::limits::{PRIMARY_PATIENCE, QUEUED_REQUESTS_MAX};

/// Who orders commands, as this node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lead {
    /// Nobody that this node knows of.
    #[default]
    Nowhere,
    /// This node, in this term; a majority answers it and its ledger has everything of earlier terms.
    Here(u64),
    /// Another node.
    There(NodeId),
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key's number, which goes into the journal.
    pub key: KeyId,
    /// blake3 of the key's text, by which the primary knows it.
    pub hash: [u8; 32],
    /// What the key may do.
    pub role: Role,
    /// Whose the key is: a merchant's account.
    pub account: Option<AccountId>,
}

impl Caller {
    /// A node, for itself or for its operator at the admin socket: what it may do is its own, whatever the role says.
    pub const NODE: Self =
        Self { key: NODES, hash: NODES_HASH, role: Role::Operator, account: None };

    /// Whoever holds a key.
    pub fn with_key(view: &KeyView, hash: [u8; 32]) -> Self {
        Self { key: view.key, hash, role: view.role, account: view.account }
    }

    /// Whether it's a node, and no client at all.
    pub fn is_node(&self) -> bool {
        self.key == NODES
    }
}

/// What stands for a key's hash where a node asks without one. No text has this blake3 that anybody could find.
pub const NODES_HASH: [u8; 32] = [0; 32];

/// What is asked.
#[derive(Clone, Debug)]
pub enum Request {
    /// Decide these commands, already checked for form, in one entry; `atomic`: all of them or none.
    Submit { count: u32, atomic: bool, commands: Bytes },
    /// Read, after everything that was acknowledged before.
    Read(Query),
}

/// What applying an entry gave.
#[derive(Clone, Debug)]
pub struct DecidedEntry {
    /// Where it was decided.
    pub stamp: Stamp,
    /// One for each command of the entry, in order.
    pub answers: Vec<Answer>,
}

/// What a request ends with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The outcomes of a submit: these of the entry's answers.
    Decided(Arc<DecidedEntry>, Range<usize>),
    /// The answer to a read.
    View(Box<View>, Option<AsOf>),
    /// Neither.
    Refused(Refusal),
}

/// Takes replies; called from any thread, never waits.
pub trait ReplySink: Send + Sync {
    /// The request that was given this token has ended.
    fn deliver(&self, token: u64, reply: Reply);
}

/// A request on its way. It ends in exactly one reply.
pub struct Ticket {
    pub caller: Caller,
    pub request: Request,
    pub deadline: Instant,
    /// Since when no primary has been found for it.
    pub waiting_since: Option<Instant>,
    /// Some attempt may have reached a journal.
    pub proposed: bool,
    pub sink: Arc<dyn ReplySink>,
    pub token: u64,
}

impl Ticket {
    /// Ends the request.
    pub fn reply(self, reply: Reply) {
        self.sink.deliver(self.token, reply);
    }

    /// Ends the request without an outcome.
    pub fn refuse(self, code: RefusalCode, detail: &str) {
        self.reply(Reply::Refused(Refusal::new(code, detail)));
    }

    /// Ends a request that this attempt certainly didn't decide; an earlier attempt may have.
    pub fn refuse_nothing_done(self, code: RefusalCode, detail: &str) {
        if self.proposed {
            self.give_up(detail);
        } else {
            self.refuse(code, detail);
        }
    }

    fn refuse_full(self) {
        self.refuse_nothing_done(RefusalCode::Overloaded, "the queues are full; nothing was done");
    }

    /// Ends a request that nobody decided: unknown if an attempt may have reached a journal.
    pub fn give_up(self, detail: &str) {
        if self.proposed {
            self.refuse(
                RefusalCode::OutcomeUnknown,
                "it may yet commit; ask again with the same id",
            );
        } else {
            self.refuse(RefusalCode::NoPrimary, detail);
        }
    }
}

/// Where tickets go from here. The batcher and the forwarder are its two exits.
pub trait RoadExit: Send + Sync {
    /// Takes a ticket, or gives it back when it's full.
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>>;
}

/// The road. Shared by all doors.
pub struct Road {
    lead: watch::Receiver<Lead>,
    here: Arc<dyn RoadExit>,
    there: Arc<dyn RoadExit>,
    waiting: Mutex<Vec<Ticket>>,
}

impl Road {
    pub fn new(
        lead: watch::Receiver<Lead>,
        here: Arc<dyn RoadExit>,
        there: Arc<dyn RoadExit>,
    ) -> Self {
        Self { lead, here, there, waiting: Mutex::default() }
    }

    /// Who orders commands.
    pub fn lead(&self) -> Lead {
        *self.lead.borrow()
    }

    /// Sends a request on its way, or on its way again.
    pub fn route(&self, ticket: Ticket) {
        let exit = match self.lead() {
            Lead::Here(_) => &self.here,
            Lead::There(_) => &self.there,
            Lead::Nowhere => return self.enqueue_waiting(ticket),
        };
        if let Err(ticket) = exit.offer(ticket) {
            ticket.refuse_full();
        }
    }

    /// A request that another site forwarded: decided here or not at all, never sent on.
    pub fn route_here(&self, ticket: Ticket) {
        if !matches!(self.lead(), Lead::Here(_)) {
            return ticket.refuse(RefusalCode::NoPrimary, "this site isn't the primary");
        }
        if let Err(ticket) = self.here.offer(ticket) {
            ticket.refuse_full();
        }
    }

    /// Keeps a request until a primary is known or its patience ends.
    pub fn enqueue_waiting(&self, mut ticket: Ticket) {
        ticket.waiting_since.get_or_insert_with(Instant::now);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < QUEUED_REQUESTS_MAX {
            waiting.push(ticket);
        } else {
            drop(waiting);
            ticket.refuse_full();
        }
    }

    /// Sends waiting requests on their way when a primary is known, and ends those whose time is up. Runs for ever.
    pub async fn drain_waiting(&self) {
        let mut lead = self.lead.clone();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = lead.changed() => if changed.is_err() { return },
                _ = tick.tick() => {}
            }
            self.drain_waiting_once(Instant::now());
        }
    }

    fn drain_waiting_once(&self, now: Instant) {
        let waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let known = self.lead() != Lead::Nowhere;
        for ticket in waiting {
            let waited = ticket.waiting_since.map_or(Duration::ZERO, |since| now - since);
            let patience_over = !ticket.proposed && waited >= PRIMARY_PATIENCE;
            if ticket.deadline <= now || patience_over {
                ticket.give_up("no majority of sites can be reached; nothing was done");
            } else if known {
                self.route(ticket);
            } else {
                self.enqueue_waiting(ticket);
            }
        }
    }
}
