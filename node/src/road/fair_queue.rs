//! Requests that wait for one resource: keys take turns, and no key takes all the room.
//!
//! Requests of one key keep their order. Keys take turns by bytes, so that a key that sends much
//! delays another one by its share of a turn and never by its whole backlog. A key may fill three
//! times the room that stays free: alone it gets three quarters, and the next key always finds
//! room. It never ends a request.

use std::collections::{BTreeMap, VecDeque};

use evenkeel_wire::id::{KeyId, NODES};
use tokio::time::Instant;

use super::{Request, Ticket, shares::within_share};
use crate::limits::{QUEUED_BYTES_MAX, QUEUED_COMMANDS_MAX, QUEUED_REQUESTS_MAX};

/// Bytes of commands that a key may send in one turn; a larger request waits for several turns.
const TURN_BYTES: usize = 128 << 10;
/// What a request costs beside its commands, in bytes, so that empty requests end a turn too.
const REQUEST_COST: usize = 64;

/// The size of requests: their number, their commands and the bytes of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestSize {
    requests: usize,
    pub(crate) commands: usize,
    pub(crate) bytes: usize,
}

impl RequestSize {
    pub(crate) fn of(ticket: &Ticket) -> Self {
        match &ticket.request {
            Request::Submit { count, commands, .. } => Self {
                requests: 1,
                commands: usize::try_from(*count).unwrap_or(usize::MAX),
                bytes: commands.len(),
            },
            Request::Read(_) => Self { requests: 1, commands: 0, bytes: 0 },
        }
    }

    fn add(&mut self, more: Self) {
        self.requests += more.requests;
        self.commands = self.commands.saturating_add(more.commands);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    fn subtract(&mut self, less: Self) {
        self.requests -= less.requests;
        self.commands -= less.commands;
        self.bytes -= less.bytes;
    }

    /// Each part with its bound.
    fn bounded(self) -> [(usize, usize); 3] {
        [
            (self.requests, QUEUED_REQUESTS_MAX),
            (self.commands, QUEUED_COMMANDS_MAX),
            (self.bytes, QUEUED_BYTES_MAX),
        ]
    }
}

/// The size of the requests that one resource holds, in total and for each key.
#[derive(Default)]
pub(crate) struct QueueLoad {
    all: RequestSize,
    by_key: BTreeMap<KeyId, RequestSize>,
}

impl QueueLoad {
    /// The size of all requests.
    pub(crate) fn total(&self) -> RequestSize {
        self.all
    }

    /// Counts a request, if there is room for it and its key's share isn't used up. Nodes send
    /// little and have no share.
    pub(crate) fn try_add(&mut self, ticket: &Ticket) -> bool {
        let size = RequestSize::of(ticket);
        let (mut all, mut own) =
            (self.all, self.by_key.get(&ticket.caller.key).copied().unwrap_or_default());
        all.add(size);
        own.add(size);
        let is_node = ticket.caller.key == NODES;
        let fits = (all.bounded().into_iter())
            .zip(own.bounded())
            .all(|((all, max), (own, _))| all <= max && (is_node || within_share(own, max - all)));
        if fits {
            self.all = all;
            self.by_key.insert(ticket.caller.key, own);
        }
        fits
    }

    /// Counts a request that was accepted before, if all together stay below twice the bounds.
    pub(crate) fn try_add_again(&mut self, ticket: &Ticket) -> bool {
        let mut all = self.all;
        all.add(RequestSize::of(ticket));
        let fits = all.bounded().into_iter().all(|(all, max)| all <= 2 * max);
        if fits {
            self.all = all;
            self.by_key.entry(ticket.caller.key).or_default().add(RequestSize::of(ticket));
        }
        fits
    }

    /// Counts a request no longer. It must have been counted.
    pub(crate) fn remove(&mut self, ticket: &Ticket) {
        let size = RequestSize::of(ticket);
        self.all.subtract(size);
        let own = self.by_key.get_mut(&ticket.caller.key).expect("the request is counted");
        own.subtract(size);
        if own.requests == 0 {
            self.by_key.remove(&ticket.caller.key);
        }
    }
}

/// A request that waits in a [`FairQueue`].
pub(crate) trait Queued {
    /// The request.
    fn ticket(&self) -> &Ticket;

    /// Its share of a turn, in bytes.
    fn cost(&self) -> usize {
        RequestSize::of(self.ticket()).bytes + REQUEST_COST
    }
}

impl Queued for Ticket {
    fn ticket(&self) -> &Ticket {
        self
    }
}

/// The waiting requests of one key.
struct KeyLane<T> {
    requests: VecDeque<T>,
    /// Bytes that the key may still send in this turn.
    credit: usize,
}

/// Requests in the order of their turns.
pub(crate) struct FairQueue<T = Ticket> {
    lanes: BTreeMap<KeyId, KeyLane<T>>,
    /// The keys that have requests; the first one has its turn.
    turns: VecDeque<KeyId>,
    len: usize,
    /// No deadline is earlier.
    earliest: Option<Instant>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new(), len: 0, earliest: None }
    }
}

impl<T: Queued> FairQueue<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push(&mut self, request: T) {
        let Ticket { deadline, caller, .. } = request.ticket();
        self.earliest = Some(self.earliest.map_or(*deadline, |known| known.min(*deadline)));
        let key = caller.key;
        let lane = self.lanes.entry(key).or_insert_with(|| {
            self.turns.push_back(key);
            KeyLane { requests: VecDeque::new(), credit: TURN_BYTES }
        });
        lane.requests.push_back(request);
        self.len += 1;
    }

    /// The next request; [`Self::pop`] takes it. Ends the turns of keys whose credit is used up.
    pub(crate) fn front(&mut self) -> Option<&T> {
        loop {
            let key = *self.turns.front()?;
            let alone = self.turns.len() == 1;
            let lane = self.lanes.get_mut(&key).expect("a key with a turn has a lane");
            let cost = lane.requests.front().expect("a key with a turn has a request").cost();
            if alone {
                lane.credit = lane.credit.max(cost);
            }
            if lane.credit >= cost {
                break;
            }
            lane.credit += TURN_BYTES;
            self.turns.rotate_left(1);
        }
        self.lanes.get(self.turns.front()?)?.requests.front()
    }

    /// Takes the request that [`Self::front`] shows.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.front()?;
        let key = *self.turns.front()?;
        let lane = self.lanes.get_mut(&key)?;
        let request = lane.requests.pop_front()?;
        lane.credit = lane.credit.saturating_sub(request.cost());
        if lane.requests.is_empty() {
            self.lanes.remove(&key);
            self.turns.pop_front();
        }
        self.len -= 1;
        Some(request)
    }

    /// Takes all requests.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let mut all = Vec::with_capacity(self.len);
        while let Some(request) = self.pop() {
            all.push(request);
        }
        self.earliest = None;
        all
    }

    /// Takes the requests whose deadlines have passed.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<T> {
        let mut expired = Vec::new();
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return expired;
        }
        self.earliest = None;
        for lane in self.lanes.values_mut() {
            let is_over = |request: &T| request.ticket().deadline <= now;
            if lane.requests.iter().any(is_over) {
                let (gone, rest): (VecDeque<_>, VecDeque<_>) =
                    lane.requests.drain(..).partition(is_over);
                expired.extend(gone);
                lane.requests = rest;
            }
            let own = lane.requests.iter().map(|request| request.ticket().deadline).min();
            self.earliest = self.earliest.into_iter().chain(own).min();
        }
        self.len -= expired.len();
        self.lanes.retain(|_, lane| !lane.requests.is_empty());
        let lanes = &self.lanes;
        self.turns.retain(|key| lanes.contains_key(key));
        expired
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use evenkeel_wire::key::Role;

    use super::*;
    use crate::road::{Caller, Reply, ReplySink};

    struct Nobody;

    impl ReplySink for Nobody {
        fn deliver(&self, _token: u64, _reply: Reply) {}
    }

    fn ticket(key: u32, bytes: usize, token: u64) -> Ticket {
        let caller = Caller { key: KeyId(key), hash: [1; 32], role: Role::App, account: None };
        let commands = vec![7; bytes].into();
        Ticket {
            caller,
            request: Request::Submit { count: 1, atomic: false, commands },
            deadline: Instant::now() + Duration::from_secs(token),
            waiting_since: None,
            proposed: false,
            sink: Arc::new(Nobody),
            token,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_request_waits_for_one_turn_of_a_key_with_a_backlog() {
        let mut queue = FairQueue::default();
        for token in 1..=100 {
            queue.push(ticket(2, TURN_BYTES / 2, token));
        }
        queue.push(ticket(3, 100, 200));
        queue.push(ticket(3, 100, 201));
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|next| next.token).collect();
        let own = |token| order.iter().position(|found| *found == token).expect("it came");
        assert!(own(200) <= 2 && own(201) <= 3, "{order:?}");
        let backlog: Vec<u64> = order.iter().copied().filter(|token| *token < 200).collect();
        assert!(backlog.is_sorted() && backlog.len() == 100, "a key's requests keep their order");
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_larger_than_a_turn_gets_through_beside_small_ones() {
        let mut queue = FairQueue::default();
        queue.push(ticket(2, 20 * TURN_BYTES, 1));
        for token in 2..=60_000 {
            queue.push(ticket(3, 100, token));
        }
        let place = std::iter::from_fn(|| queue.pop()).position(|next| next.token == 1);
        let fair = 21 * TURN_BYTES / (100 + REQUEST_COST);
        assert!(place.is_some_and(|place| place <= fair), "{place:?} of {fair}");
    }

    #[tokio::test(start_paused = true)]
    async fn expired_requests_leave_and_the_others_keep_their_turns() {
        let mut queue = FairQueue::default();
        for (key, token) in [(2, 1), (2, 3), (3, 1), (4, 9)] {
            queue.push(ticket(key, 10, token));
        }
        assert!(queue.expire(Instant::now()).is_empty());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(queue.expire(Instant::now()).len(), 2);
        let left: Vec<u64> = queue.take_all().iter().map(|ticket| ticket.token).collect();
        assert_eq!(left, [3, 9]);
        assert!(queue.is_empty() && queue.expire(Instant::now()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_alone_leaves_room_for_the_next_one() {
        let mut load = QueueLoad::default();
        let mib = 1 << 20;
        let mut taken = Vec::new();
        loop {
            let next = ticket(2, mib, 1);
            if !load.try_add(&next) {
                break;
            }
            taken.push(next);
        }
        assert_eq!(taken.len(), QUEUED_BYTES_MAX / mib * 3 / 4);
        let other = ticket(3, mib, 1);
        assert!(load.try_add(&other), "another key finds room");
        assert!(!load.try_add(&ticket(2, mib, 1)));
        for ticket in taken.iter().chain([&other]) {
            load.remove(ticket);
        }
        assert_eq!(load.total(), RequestSize::default());
        assert!(load.by_key.is_empty());
    }
}
