//! A ticket whose request waits for files, and that ends at its deadline all the same. It never
//! ends twice: the first one that takes it ends it.

use std::sync::{Arc, Mutex, PoisonError};

use evenkeel_wire::reply::RefusalCode;

use super::Ticket;
use crate::history::{Expire, LookupThreads};

/// Holds a ticket until its request goes on or its deadline passes.
pub struct TicketSlot(Mutex<Option<Ticket>>);

impl TicketSlot {
    /// A slot that these threads empty at the ticket's deadline.
    pub fn new(ticket: Ticket, threads: &LookupThreads) -> Arc<Self> {
        let deadline = ticket.deadline;
        let slot = Arc::new(Self(Mutex::new(Some(ticket))));
        threads.expire_at(deadline, slot.clone());
        slot
    }

    /// The ticket, unless its deadline has passed.
    pub fn take(&self) -> Option<Ticket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the ticket is still here.
    pub fn is_full(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Expire for TicketSlot {
    fn expire(&self) {
        if let Some(ticket) = self.take() {
            let detail = "it waited until its deadline; nothing was done";
            ticket.refuse_nothing_done(RefusalCode::Overloaded, detail);
        }
    }
}
