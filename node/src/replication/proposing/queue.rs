//! The queue in front of the journal: requests that wait for an entry, bounded in number, commands
//! and bytes, in total and for each key.
//!
//! Requests that need lookups in sealed segments wait apart, so that a flood of them doesn't hold
//! back the others, and an entry has a bounded number of lookups. In both queues keys take turns,
//! and the requests of a key keep their order. It never splits a request over two entries.

use std::sync::{Mutex, MutexGuard, PoisonError};

use evenkeel_wire::{
    command::{Command, Commands},
    entry::EntryBuilder,
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    limits::{ENTRY_BYTES_TARGET, ENTRY_LOOKUPS_MAX},
    road::{
        Request, RoadExit, Ticket,
        fair_queue::{FairQueue, QueueLoad, Queued},
    },
};

/// A lookup's share of a key's turn, in bytes: it takes as long as some hundred bytes of commands.
const LOOKUP_COST: usize = 512;

/// The queue in front of the journal.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Requests that need no lookups.
    others: FairQueue,
    with_lookups: FairQueue<LookupRequest>,
    /// The last entry had requests with lookups: the others come first in the next one.
    others_first: bool,
    load: QueueLoad,
}

/// A request, and the lookups in sealed segments that its commands may need.
struct LookupRequest {
    ticket: Ticket,
    lookups: usize,
}

impl Queued for LookupRequest {
    fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    fn cost(&self) -> usize {
        self.ticket.cost().saturating_add(self.lookups.saturating_mul(LOOKUP_COST))
    }
}

impl RoadExit for Queue {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        self.offer_weighed(ticket, 0)
    }
}

impl Queue {
    /// Queues a request whose commands need this many lookups in sealed segments.
    ///
    /// # Errors
    /// Returns the ticket when the queue is full, or its key's share of it.
    pub(crate) fn offer_weighed(&self, ticket: Ticket, lookups: usize) -> Result<(), Box<Ticket>> {
        let mut waiting = self.waiting();
        if !waiting.load.try_add(&ticket) {
            return Err(Box::new(ticket));
        }
        match lookups {
            0 => waiting.others.push(ticket),
            lookups => waiting.with_lookups.push(LookupRequest { ticket, lookups }),
        }
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

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
        let waiting = self.waiting();
        waiting.others.is_empty() && waiting.with_lookups.is_empty()
    }

    /// Takes as many requests as fit in one entry; `None` if none waits or may be taken. A node's
    /// own request has an entry to itself. `lookups_in_flight`: of entries that aren't decided yet.
    pub(crate) fn fill(&self, lookups_in_flight: usize) -> Option<FilledEntry> {
        let mut waiting = self.waiting();
        let mut filling = FilledEntry::default();
        let lookups_max = match lookups_in_flight {
            0 => usize::MAX,
            more => ENTRY_LOOKUPS_MAX.saturating_sub(more),
        };
        // Requests with lookups and all others take the first place in turns.
        if !std::mem::take(&mut waiting.others_first) {
            filling.take_one_with_lookups(&mut waiting, lookups_max);
        }
        filling.take_others(&mut waiting);
        let bound = ENTRY_LOOKUPS_MAX.min(lookups_max);
        while !filling.is_closed && filling.take_one_with_lookups(&mut waiting, bound) {}
        waiting.others_first = filling.lookups > 0;
        (!filling.requests.is_empty()).then_some(filling)
    }

    /// Takes all waiting tickets.
    pub(crate) fn take_all(&self) -> Vec<Ticket> {
        let mut waiting = std::mem::take(&mut *self.waiting());
        let mut all = waiting.others.take_all();
        all.extend(waiting.with_lookups.take_all().into_iter().map(|request| request.ticket));
        all
    }

    /// Takes the tickets whose deadlines have passed.
    pub(crate) fn expire(&self, now: Instant) -> Vec<Ticket> {
        let mut waiting = self.waiting();
        let mut expired = waiting.others.expire(now);
        let with_lookups = waiting.with_lookups.expire(now);
        expired.extend(with_lookups.into_iter().map(|request| request.ticket));
        for ticket in &expired {
            waiting.load.remove(ticket);
        }
        expired
    }
}

/// An entry that is being filled, and its requests.
#[derive(Default)]
pub(crate) struct FilledEntry {
    pub(crate) entry: EntryBuilder,
    pub(crate) requests: Vec<InFlightRequest>,
    /// The lookups in sealed segments that its commands need.
    pub(crate) lookups: usize,
    bytes: usize,
    is_closed: bool,
}

impl FilledEntry {
    /// Takes requests without lookups, in the order of their turns.
    fn take_others(&mut self, waiting: &mut Waiting) {
        while !self.is_closed
            && let Some(ticket) = waiting.others.front()
        {
            if !self.has_room_for(ticket) {
                self.is_closed = true;
                return;
            }
            let ticket = waiting.others.pop().expect("it's in front");
            waiting.load.remove(&ticket);
            self.take(ticket, 0);
        }
    }

    /// Takes the next request with lookups if the entry has room for it. Whether it did.
    fn take_one_with_lookups(&mut self, waiting: &mut Waiting, lookups_max: usize) -> bool {
        let fits = waiting.with_lookups.front().is_some_and(|request| {
            self.lookups.saturating_add(request.lookups) <= lookups_max
                && self.has_room_for(&request.ticket)
        });
        if fits && let Some(LookupRequest { ticket, lookups }) = waiting.with_lookups.pop() {
            waiting.load.remove(&ticket);
            self.take(ticket, lookups);
        }
        fits
    }

    fn has_room_for(&self, ticket: &Ticket) -> bool {
        let Request::Submit { count, commands, .. } = &ticket.request else {
            unreachable!("only submits are queued");
        };
        self.entry.fits(*count, commands.len())
            && (self.requests.is_empty() || !ticket.caller.is_node())
            && (self.bytes == 0 || self.bytes + commands.len() <= ENTRY_BYTES_TARGET)
    }

    fn take(&mut self, ticket: Ticket, lookups: usize) {
        let Request::Submit { count, atomic, commands } = &ticket.request else {
            unreachable!("only submits are queued");
        };
        let first = self.entry.command_count();
        self.entry.push(ticket.caller.key, *atomic, *count, commands);
        self.bytes += commands.len();
        self.lookups += lookups;
        self.is_closed |= ticket.caller.is_node();
        self.requests.push(InFlightRequest { ticket: Some(ticket), first });
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
            let body = queue.fill(0)?.entry.finish();
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

    fn caller(key: u32) -> Caller {
        Caller { key: KeyId(key), ..CLIENT }
    }

    /// The keys of the next entry's requests.
    fn next_keys(queue: &Queue, lookups_in_flight: usize) -> Option<Vec<u32>> {
        let filled = queue.fill(lookups_in_flight)?;
        let keys = filled.requests.iter().map(|request| request.ticket.as_ref().unwrap());
        Some(keys.map(|ticket| ticket.caller.key.0).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn lookups_of_entries_are_bounded_and_their_callers_take_turns() {
        let queue = Queue::default();
        let half = ENTRY_LOOKUPS_MAX / 2;
        for (key, lookups) in [(1, half), (1, half), (1, half), (2, half), (3, 2 * half + 1)] {
            assert!(queue.offer_weighed(ticket(caller(key), 10), lookups).is_ok());
        }
        assert!(queue.offer(ticket(caller(4), 10)).is_ok());
        // Nothing with lookups joins entries in flight that have all that they may.
        assert_eq!(next_keys(&queue, ENTRY_LOOKUPS_MAX), Some(vec![4]));
        assert_eq!(next_keys(&queue, ENTRY_LOOKUPS_MAX), None);
        assert_eq!(next_keys(&queue, half), Some(vec![1]));
        assert_eq!(next_keys(&queue, 0), Some(vec![2, 1]), "the third has more than fit");
        assert_eq!(next_keys(&queue, 1), None, "a larger one waits until it's alone");
        assert!(queue.offer(ticket(caller(4), 10)).is_ok());
        assert_eq!(next_keys(&queue, 1), Some(vec![4]), "without holding anybody back");
        assert_eq!(next_keys(&queue, 0), Some(vec![3]));
        assert_eq!(next_keys(&queue, 0), Some(vec![1]));
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_with_lookups_and_others_are_first_in_turns() {
        let queue = Queue::default();
        let large = ENTRY_BYTES_TARGET;
        for _ in 0..2 {
            assert!(queue.offer_weighed(ticket(caller(1), large), 1).is_ok());
            assert!(queue.offer(ticket(caller(2), large)).is_ok());
        }
        let keys: Vec<_> = std::iter::from_fn(|| next_keys(&queue, 0)).flatten().collect();
        assert_eq!(keys, [1, 2, 1, 2]);
        assert_eq!(queue.depth(), 0);
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
