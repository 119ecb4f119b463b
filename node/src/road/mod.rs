//! The road of every request, from any door: to this node's batcher while this node is the primary,
//! to the primary's while another node is, and into a waiting room for a moment while there's no
//! primary. It never looks into a command.
//!
//! A request whose attempt broke off is retried with the same ids; the ledger decides each id once.
//! A request that may have reached a journal is never called failed: it ends as an outcome or as
//! *unknown*.

pub(crate) mod fair_queue;
pub mod shares;
mod slot;
pub(crate) mod turns;
mod waiter;

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

pub use slot::TicketSlot;

use crate::limits::PRIMARY_PATIENCE;
use fair_queue::QueueLoad;

/// The current primary, as this node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lead {
    /// No known primary.
    #[default]
    Nowhere,
    /// This node, in this term; a majority answers it and its ledger has applied every entry of
    /// earlier terms.
    Here(u64),
    /// Another node.
    There(NodeId),
}

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key's number, which goes into the journal.
    pub key: KeyId,
    /// The blake3 hash of the key's text, by which the primary identifies the key.
    pub hash: [u8; 32],
    /// What the key may do.
    pub role: Role,
    /// The account of a merchant's key.
    pub account: Option<AccountId>,
}

impl Caller {
    /// A node, for itself or for its operator at the admin socket; its permissions don't depend on
    /// the role.
    pub const NODE: Self =
        Self { key: NODES, hash: NODES_HASH, role: Role::Operator, account: None };

    /// The holder of a key.
    pub fn with_key(view: &KeyView, hash: [u8; 32]) -> Self {
        Self { key: view.key, hash, role: view.role, account: view.account }
    }

    /// Whether the sender is a node rather than a client.
    pub fn is_node(&self) -> bool {
        self.key == NODES
    }
}

/// Stands for a key's hash in a node's own requests. No known text has this blake3 hash.
pub const NODES_HASH: [u8; 32] = [0; 32];

/// The content of a request.
#[derive(Clone, Debug)]
pub enum Request {
    /// Decide these commands, whose form is already checked, in one entry; `atomic`: all or none.
    Submit { count: u32, atomic: bool, commands: Bytes },
    /// Read the state that includes everything acknowledged before.
    Read(Query),
}

/// The result of applying an entry.
#[derive(Clone, Debug)]
pub struct DecidedEntry {
    /// Where and when it was decided.
    pub stamp: Stamp,
    /// One for each command of the entry, in order.
    pub answers: Vec<Answer>,
}

/// The end of a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The outcomes of a submit: this range of the entry's answers.
    Decided(Arc<DecidedEntry>, Range<usize>),
    /// The answer to a read.
    View(Box<View>, Option<AsOf>),
    /// No outcome and no answer.
    Refused(Refusal),
}

/// Receives replies; called from any thread, never blocks.
pub trait ReplySink: Send + Sync {
    /// Delivers the end of the request with this token.
    fn deliver(&self, token: u64, reply: Reply);
}

/// A request on its way. It ends in exactly one reply.
pub struct Ticket {
    pub caller: Caller,
    pub request: Request,
    pub deadline: Instant,
    /// When the search for a primary began, while none is known.
    pub waiting_since: Option<Instant>,
    /// An attempt may have reached a journal.
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

    /// Ends a request that this attempt didn't decide for certain; an earlier attempt may have.
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

    /// Ends an undecided request: *unknown* if an attempt may have reached a journal.
    pub fn give_up(self, detail: &str) {
        if self.proposed {
            self.refuse(RefusalCode::OutcomeUnknown, "it may yet commit; retry with the same id");
        } else {
            self.refuse(RefusalCode::NoPrimary, detail);
        }
    }
}

/// An exit of the road: the batcher, or the forwarder.
pub trait RoadExit: Send + Sync {
    /// Takes a ticket, or returns it when the exit is full.
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>>;
}

/// The road. Shared by all doors.
pub struct Road {
    lead: watch::Receiver<Lead>,
    here: Arc<dyn RoadExit>,
    there: Arc<dyn RoadExit>,
    waiting: Mutex<WaitingRoom>,
    /// Why there's no primary, for people.
    outage: Mutex<Option<Arc<str>>>,
}

/// Requests that wait until a primary is known.
#[derive(Default)]
struct WaitingRoom {
    tickets: Vec<Ticket>,
    load: QueueLoad,
}

impl Road {
    pub fn new(
        lead: watch::Receiver<Lead>,
        here: Arc<dyn RoadExit>,
        there: Arc<dyn RoadExit>,
    ) -> Self {
        Self { lead, here, there, waiting: Mutex::default(), outage: Mutex::default() }
    }

    /// The current primary.
    pub fn lead(&self) -> Lead {
        *self.lead.borrow()
    }

    fn waiting(&self) -> MutexGuard<'_, WaitingRoom> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the reason that refusals name while there's no primary.
    pub fn set_outage(&self, why: Option<Arc<str>>) {
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why no site decides now, as a refusal's detail.
    pub fn outage_detail(&self) -> String {
        let outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let why = outage.as_deref().unwrap_or("no primary answers");
        format!("{why}; nothing was done")
    }

    /// Routes a new request.
    pub fn route(&self, mut ticket: Ticket) {
        let exit = match self.lead() {
            Lead::Here(_) => &self.here,
            Lead::There(_) => &self.there,
            Lead::Nowhere => {
                ticket.waiting_since = Some(Instant::now());
                let mut waiting = self.waiting();
                if waiting.load.try_add(&ticket) {
                    return waiting.tickets.push(ticket);
                }
                drop(waiting);
                return ticket.refuse_full();
            }
        };
        if let Err(ticket) = exit.offer(ticket) {
            ticket.refuse_full();
        }
    }

    /// Routes a request that another site forwarded: it's decided here or not at all, and never
    /// forwarded again.
    pub fn route_here(&self, ticket: Ticket) {
        if !matches!(self.lead(), Lead::Here(_)) {
            return ticket.refuse(RefusalCode::NoPrimary, "this site isn't the primary");
        }
        if let Err(ticket) = self.here.offer(ticket) {
            ticket.refuse_full();
        }
    }

    /// Keeps a request that an exit gives back, until a primary is known or its patience ends.
    pub fn enqueue_waiting(&self, mut ticket: Ticket) {
        ticket.waiting_since.get_or_insert_with(Instant::now);
        let mut waiting = self.waiting();
        if waiting.load.try_add_again(&ticket) {
            waiting.tickets.push(ticket);
        } else {
            drop(waiting);
            ticket.refuse_full();
        }
    }

    /// Routes waiting requests when a primary is known, and ends those whose time is up. Runs
    /// forever.
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
        let waiting = std::mem::take(&mut *self.waiting()).tickets;
        for ticket in waiting {
            let waited = ticket.waiting_since.map_or(Duration::ZERO, |since| now - since);
            let patience_over = !ticket.proposed && waited >= PRIMARY_PATIENCE;
            if ticket.deadline <= now || patience_over {
                ticket.give_up(&self.outage_detail());
                continue;
            }
            let offered = match self.lead() {
                Lead::Here(_) => self.here.offer(ticket),
                Lead::There(_) => self.there.offer(ticket),
                Lead::Nowhere => Err(Box::new(ticket)),
            };
            match offered {
                Ok(()) => {}
                // A full exit would make an answer that may exist unknown: it waits on.
                Err(ticket) if ticket.proposed || self.lead() == Lead::Nowhere => {
                    self.enqueue_waiting(*ticket);
                }
                Err(ticket) => ticket.refuse_full(),
            }
        }
    }
}
