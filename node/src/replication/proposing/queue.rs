//! The queue in front of the journal: requests that wait for an entry, bounded in number, commands
//! and bytes.
//!
//! Requests that need lookups in sealed segments wait apart, so that a flood of them doesn't hold
//! back the others: their callers take turns, and an entry has a bounded number of lookups. All
//! others keep their order. It never splits a request over two entries.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use evenkeel_wire::{
    command::{Command, Commands},
    entry::EntryBuilder,
    id::KeyId,
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    limits::{
        ENTRY_BYTES_TARGET, ENTRY_LOOKUPS_MAX, QUEUED_BYTES_MAX, QUEUED_COMMANDS_MAX,
        QUEUED_REQUESTS_MAX,
    },
    road::{Request, RoadExit, Ticket},
};

/// The queue in front of the journal.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Requests that need no lookups, in the order of their arrival.
    others: VecDeque<WaitingRequest>,
    /// Requests that need lookups, by caller; the caller in front is next.
    with_lookups: VecDeque<(KeyId, VecDeque<WaitingRequest>)>,
    /// The last entry had requests with lookups: the others come first in the next one.
    others_first: bool,
    requests: usize,
    commands: usize,
    bytes: usize,
}

/// A request, and the lookups in sealed segments that its commands may need.
struct WaitingRequest {
    ticket: Ticket,
    lookups: usize,
}

/// How many commands and bytes a request has.
pub(crate) fn request_size(ticket: &Ticket) -> (usize, usize) {
    match &ticket.request {
        Request::Submit { count, commands, .. } => {
            (usize::try_from(*count).unwrap_or(usize::MAX), commands.len())
        }
        Request::Read(_) => (0, 0),
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
    /// Returns the ticket when the queue is full.
    pub(crate) fn offer_weighed(&self, ticket: Ticket, lookups: usize) -> Result<(), Box<Ticket>> {
        let (commands, bytes) = request_size(&ticket);
        let mut waiting = self.waiting();
        let full = waiting.requests >= QUEUED_REQUESTS_MAX
            || waiting.commands.saturating_add(commands) > QUEUED_COMMANDS_MAX
            || waiting.bytes.saturating_add(bytes) > QUEUED_BYTES_MAX;
        if full {
            return Err(Box::new(ticket));
        }
        waiting.push(WaitingRequest { ticket, lookups });
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many commands wait.
    pub fn depth(&self) -> usize {
        self.waiting().commands
    }

    /// Returns when a ticket has been queued.
    pub(crate) async fn wait_for_tickets(&self) {
        self.wake.notified().await;
    }

    /// Whether no ticket waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting().requests == 0
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
        std::mem::take(&mut *self.waiting()).into_requests().map(|request| request.ticket).collect()
    }

    /// Takes the tickets whose deadlines have passed.
    pub(crate) fn expire(&self, now: Instant) -> Vec<Ticket> {
        let mut waiting = self.waiting();
        if !waiting.has_expired(now) {
            return Vec::new();
        }
        let others_first = waiting.others_first;
        let (expired, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut *waiting)
            .into_requests()
            .partition(|request| request.ticket.deadline <= now);
        waiting.others_first = others_first;
        rest.into_iter().for_each(|request| waiting.push(request));
        expired.into_iter().map(|request| request.ticket).collect()
    }
}

impl Waiting {
    fn push(&mut self, request: WaitingRequest) {
        let (commands, bytes) = request_size(&request.ticket);
        self.requests += 1;
        self.commands += commands;
        self.bytes += bytes;
        if request.lookups == 0 {
            return self.others.push_back(request);
        }
        let caller = request.ticket.caller.key;
        match self.with_lookups.iter_mut().find(|(other, _)| *other == caller) {
            Some((_, queue)) => queue.push_back(request),
            None => self.with_lookups.push_back((caller, VecDeque::from([request]))),
        }
    }

    fn count_out(&mut self, request: &WaitingRequest) {
        let (commands, bytes) = request_size(&request.ticket);
        self.requests -= 1;
        self.commands -= commands;
        self.bytes -= bytes;
    }

    /// Takes the first of the requests without lookups.
    fn pop_other(&mut self) -> Option<WaitingRequest> {
        let request = self.others.pop_front()?;
        self.count_out(&request);
        Some(request)
    }

    /// Takes the first request with lookups of the caller whose turn it is.
    fn pop_with_lookups(&mut self) -> Option<WaitingRequest> {
        let (caller, mut queue) = self.with_lookups.pop_front()?;
        let request = queue.pop_front()?;
        if !queue.is_empty() {
            self.with_lookups.push_back((caller, queue));
        }
        self.count_out(&request);
        Some(request)
    }

    fn has_expired(&self, now: Instant) -> bool {
        let with_lookups = self.with_lookups.iter().flat_map(|(_, queue)| queue);
        self.others.iter().chain(with_lookups).any(|request| request.ticket.deadline <= now)
    }

    fn into_requests(self) -> impl Iterator<Item = WaitingRequest> {
        let with_lookups = self.with_lookups.into_iter().flat_map(|(_, queue)| queue);
        self.others.into_iter().chain(with_lookups)
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
    /// Takes requests without lookups, in order.
    fn take_others(&mut self, waiting: &mut Waiting) {
        while !self.is_closed
            && let Some(request) = waiting.others.front()
        {
            if !self.has_room_for(&request.ticket) {
                self.is_closed = true;
                return;
            }
            let request = waiting.pop_other().expect("it's in front");
            self.take(request);
        }
    }

    /// Takes the next request with lookups if the entry has room for it. Whether it did.
    fn take_one_with_lookups(&mut self, waiting: &mut Waiting, lookups_max: usize) -> bool {
        let next = waiting.with_lookups.front().and_then(|(_, queue)| queue.front());
        let fits = next.is_some_and(|request| {
            self.lookups.saturating_add(request.lookups) <= lookups_max
                && self.has_room_for(&request.ticket)
        });
        if fits && let Some(request) = waiting.pop_with_lookups() {
            self.take(request);
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

    fn take(&mut self, request: WaitingRequest) {
        let WaitingRequest { ticket, lookups } = request;
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
    use crate::road::{Caller, Reply, ReplySink};

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
    async fn a_nodes_own_request_is_alone_in_its_entry_and_keeps_its_turn() {
        let (node, client) = ((Caller::NODE, 10), (CLIENT, 10));
        let queue = filled(&[client, client, node, node, client]);
        let (nodes, clients) = (vec![NODES], vec![OPERATOR_KEY]);
        let both = vec![OPERATOR_KEY, OPERATOR_KEY];
        assert_eq!(entries(&queue), [both, nodes.clone(), nodes, clients]);
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
        assert_eq!(next_keys(&queue, 0), Some(vec![2]), "and the third has more than fit");
        assert_eq!(next_keys(&queue, 1), None, "a larger one waits until it's alone");
        assert!(queue.offer(ticket(caller(4), 10)).is_ok());
        assert_eq!(next_keys(&queue, 1), Some(vec![4]), "without holding anybody back");
        assert_eq!(next_keys(&queue, 0), Some(vec![3]));
        assert_eq!(next_keys(&queue, 0), Some(vec![1, 1]));
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
        for _ in 0..4 {
            assert!(queue.offer(ticket(CLIENT, large)).is_ok());
        }
        assert!(queue.offer(ticket(CLIENT, 1)).is_err());
        assert!(queue.expire(Instant::now()).is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(queue.expire(Instant::now()).len(), 4);
        assert!(queue.offer(ticket(CLIENT, large)).is_ok());
        assert_eq!(queue.take_all().len(), 1);
    }
}
