//! The primary's exit of the road: commands go to the queue in front of the journal, by way of the
//! lookup of repeated ones, and reads to the reader.
//!
//! It refuses commands that no majority has disk space for, and never holds one back.

use std::sync::Arc;

use evenkeel_storage::journal::Journal;
use evenkeel_wire::reply::RefusalCode;
use tokio::sync::mpsc;

use super::{
    peers::book::PeerBook,
    proposing::repeats::{self, RepeatParts},
};
use crate::{
    limits::QUEUED_REQUESTS_MAX,
    road::{Request, RoadExit, Ticket},
};

/// The primary's exit of the road: commands to the batcher's queue, reads to the reader.
pub struct PrimaryExit {
    repeats: RepeatParts,
    journal: Journal,
    book: Arc<PeerBook>,
    /// The number of sites.
    sites: usize,
    reads: mpsc::Sender<Ticket>,
}

impl PrimaryExit {
    /// The exit, and the receiving end for `reads::serve`.
    pub fn new(
        repeats: RepeatParts,
        journal: Journal,
        book: Arc<PeerBook>,
        sites: usize,
    ) -> (Self, mpsc::Receiver<Ticket>) {
        let (reads, waiting) = mpsc::channel(QUEUED_REQUESTS_MAX);
        (Self { repeats, journal, book, sites, reads }, waiting)
    }

    /// Why new commands are refused. Commands in flight still have room.
    fn overload_reason(&self) -> Option<&'static str> {
        if self.journal.is_disk_full() {
            return Some("the primary's disk is full; nothing was done");
        }
        // A follower can't refuse records, and stops when it has no room for them.
        let with_room = self.sites.saturating_sub(self.book.full_disks());
        (with_room <= self.sites / 2).then_some(
            "no majority of sites has room: a disk is full at the others; nothing was done",
        )
    }
}

impl RoadExit for PrimaryExit {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        match ticket.request {
            Request::Submit { .. } => match self.overload_reason() {
                Some(detail) => {
                    ticket.refuse_nothing_done(RefusalCode::Overloaded, detail);
                    Ok(())
                }
                None => repeats::offer(&self.repeats, ticket),
            },
            Request::Read(_) => {
                self.reads.try_send(ticket).map_err(|error| Box::new(error.into_inner()))
            }
        }
    }
}
