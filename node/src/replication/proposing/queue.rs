//! The queue in front of the journal: requests that wait for an entry, bounded in number, commands
//! and bytes, in total and for each key.
//!
//! Keys take turns. It never reorders the requests of a key, and never splits a request over two
//! entries.

use std::sync::{Mutex, MutexGuard, PoisonError};

use evenkeel_wire::{
    command::{Command, Commands},
    entry::EntryBuilder,
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    limits::ENTRY_BYTES_TARGET,
    road::{
        Request, RoadExit, Ticket,
        fair_queue::{FairQueue, QueueLoad},
    },
};

/// The queue in front of the journal.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    tickets: FairQueue,
    load: QueueLoad,
}

impl Waiting {
    fn pop(&mut self) -> Option<Ticket> {
        let ticket = self.tickets.pop()?;
        self.load.remove(&ticket);
        Some(ticket)
    }
}

impl RoadExit for Queue {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        let mut waiting = self.waiting();
        if !waiting.load.try_add(&ticket) {
            return Err(Box::new(ticket));
        }
        waiting.tickets.push(ticket);
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many commands wait.
    pub fn depth(&self) -> usize {
        self.waiting().load.total().commands
    }

    /// Returns when a ticket has been queued.
    pub(crate) async fn wait_for_tickets(&self) {
        self.wake.notified().await;
    }

    /// Whether no ticket waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting().tickets.is_empty()
    }

    /// Takes as many requests as fit in one entry; `None` if none waits. A node's own request has
    /// an entry to itself.
    pub(crate) fn fill(&self) -> Option<(EntryBuilder, Vec<InFlightRequest>)> {
        let mut waiting = self.waiting();
        let mut entry = EntryBuilder::new();
        let mut requests = Vec::new();
        let mut bytes_taken = 0;
        while let Some(ticket) = waiting.tickets.front() {
            let Request::Submit { count, atomic, commands } = &ticket.request else {
                unreachable!("only submits are queued");
            };
            let alone = ticket.caller.is_node();
            if !entry.fits(*count, commands.len())
                || (alone && !requests.is_empty())
                || (bytes_taken > 0 && bytes_taken + commands.len() > ENTRY_BYTES_TARGET)
            {
                break;
            }
            let first = entry.command_count();
            entry.push(ticket.caller.key, *atomic, *count, commands);
            bytes_taken += commands.len();
            let ticket = waiting.pop().expect("it's in front");
            requests.push(InFlightRequest { ticket: Some(ticket), first });
            if alone {
                break;
            }
        }
        (!requests.is_empty()).then_some((entry, requests))
    }

    /// Takes all waiting tickets.
    pub(crate) fn take_all(&self) -> Vec<Ticket> {
        std::mem::take(&mut *self.waiting()).tickets.take_all()
    }

    /// Takes the tickets whose deadlines have passed.
    pub(crate) fn expire(&self, now: Instant) -> Vec<Ticket> {
        let mut waiting = self.waiting();
        let expired = waiting.tickets.expire(now);
        expired.iter().for_each(|ticket| waiting.load.remove(ticket));
        expired
    }
}

/// A request in an entry in flight. It loses its ticket when its deadline passes before the
/// outcome.
pub(crate) struct InFlightRequest {
    pub(crate) ticket: Option<Ticket>,
    /// The index of its first command in the entry.
    pub(crate) first: usize,
}

impl InFlightRequest {
    /// Whether it's a node's own request to end the day.
    pub(crate) fn ends_day(&self) -> bool {
        let Some(ticket) = self.ticket.as_ref().filter(|ticket| ticket.caller.is_node()) else {
            return false;
        };
        let Request::Submit { commands, .. } = &ticket.request else { return false };
        let is_marker = |command| matches!(command, Ok((Command::CloseDay(_), _)));
        Commands::new(commands).any(is_marker)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use evenkeel_wire::{
        codec,
        day::{BusinessDate, CloseDay},
        entry::EntryBody,
        id::{KeyId, NODES, OPERATOR_KEY},
        key::{RevokeKey, Role},
    };

    use super::*;
    use crate::{
        limits::QUEUED_BYTES_MAX,
        road::{Caller, Reply, ReplySink},
    };

    struct Nobody;

    impl ReplySink for Nobody {
        fn deliver(&self, _token: u64, _reply: Reply) {}
    }

    const CLIENT: Caller =
        Caller { key: OPERATOR_KEY, hash: [1; 32], role: Role::Operator, account: None };

    fn ticket(caller: Caller, bytes: usize) -> Ticket {
        let commands = vec![7; bytes].into();
        Ticket {
            caller,
            request: Request::Submit { count: 1, atomic: false, commands },
            deadline: Instant::now() + Duration::from_secs(1),
            waiting_since: None,
            proposed: false,
            sink: Arc::new(Nobody),
            token: 0,
        }
    }

    /// The keys of each entry's groups.
    fn entries(queue: &Queue) -> Vec<Vec<KeyId>> {
        std::iter::from_fn(|| {
            let (entry, _) = queue.fill()?;
            let body = entry.finish();
            let mut groups = EntryBody::open(&body).unwrap();
            let keys = std::iter::from_fn(|| groups.next_group().unwrap().map(|group| group.key));
            Some(keys.collect())
        })
        .collect()
    }

    fn filled(tickets: &[(Caller, usize)]) -> Queue {
        let queue = Queue::default();
        for (caller, bytes) in tickets {
            assert!(queue.offer(ticket(*caller, *bytes)).is_ok());
        }
        queue
    }

    #[tokio::test(start_paused = true)]
    async fn a_nodes_own_request_is_alone_in_its_entry_and_waits_for_one_turn_of_a_client() {
        let (node, client) = ((Caller::NODE, 10), (CLIENT, 10));
        let queue = filled(&[client, client, node, node, client]);
        assert_eq!(entries(&queue), [vec![OPERATOR_KEY; 3], vec![NODES], vec![NODES]]);
        assert!(queue.is_empty());
        assert_eq!(queue.depth(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_nodes_marker_ends_a_day() {
        let day = |text| BusinessDate::parse(text).unwrap();
        let marker = CloseDay { closed: day("2026-11-26"), next: day("2026-11-27") };
        let revoke = Command::RevokeKey(RevokeKey { key: KeyId(7) });
        let ends_day = |caller, command: &Command| {
            let mut ticket = ticket(caller, 0);
            let commands = codec::encode(command).into();
            ticket.request = Request::Submit { count: 1, atomic: false, commands };
            InFlightRequest { ticket: Some(ticket), first: 0 }.ends_day()
        };
        assert!(ends_day(Caller::NODE, &Command::CloseDay(marker)));
        assert!(!ends_day(Caller::NODE, &revoke), "a key ends no day");
        assert!(!ends_day(CLIENT, &Command::CloseDay(marker)), "nor does a client");
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_closed_when_it_is_large_enough() {
        let half = ENTRY_BYTES_TARGET / 2;
        let queue = filled(&[(CLIENT, half), (CLIENT, half), (CLIENT, 1), (CLIENT, 2 * half + 1)]);
        let lengths: Vec<usize> = entries(&queue).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_gives_requests_back_and_expired_ones_make_room() {
        let queue = Queue::default();
        let large = QUEUED_BYTES_MAX / 4;
        for _ in 0..3 {
            assert!(queue.offer(ticket(CLIENT, large)).is_ok());
        }
        assert!(queue.offer(ticket(CLIENT, 1)).is_err(), "the rest is for other keys");
        let other = Caller { key: KeyId(7), ..CLIENT };
        assert!(queue.offer(ticket(other, large / 2)).is_ok());
        assert!(queue.offer(ticket(Caller::NODE, large / 2)).is_ok());
        assert!(queue.offer(ticket(Caller::NODE, 1)).is_err(), "it's full");
        assert!(queue.expire(Instant::now()).is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(queue.expire(Instant::now()).len(), 5);
        assert!(queue.offer(ticket(CLIENT, large)).is_ok());
        assert_eq!(queue.take_all().len(), 1);
        assert!(queue.is_empty());
        assert_eq!(queue.depth(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_with_a_backlog_leaves_others_a_part_of_every_entry() {
        let queue = Queue::default();
        for _ in 0..40 {
            assert!(queue.offer(ticket(CLIENT, ENTRY_BYTES_TARGET / 4)).is_ok());
        }
        assert!(queue.offer(ticket(Caller { key: KeyId(7), ..CLIENT }, 100)).is_ok());
        assert!(entries(&queue)[0].contains(&KeyId(7)));
    }
}
