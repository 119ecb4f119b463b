//! A follower's exit of the road: sends requests to the primary over one lane, and delivers its
//! replies.
//!
//! What waits and what is unanswered is bounded together, in number and in bytes. Requests leave in
//! writes of at most 1 MiB while replies are read, so a slow line makes requests wait here, where
//! keys take turns and deadlines count; it never makes anything be sent twice.
//!
//! When the lane breaks, requests without a reply may have been decided: they go back to the road,
//! marked as proposed. Neither a slow dial nor a primary that accepts no more data holds a request
//! beyond its deadline. It never decides a request.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use evenkeel_wire::{
    codec, frame,
    frame::Frame,
    id::NodeId,
    limits::{DEADLINE_MS_MAX, DEADLINE_MS_MIN},
    peer::{self, Lane},
    reply,
    reply::RefusalCode,
    request::{Consistency, ReadRequest, Submit},
};
use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::peers::transport::{LaneEnds, LaneIn, LaneOut, PeerTransport};
use crate::{
    limits::{FORWARD_WRITE_BYTES_MAX, FORWARD_WRITE_PATIENCE},
    road::{
        DecidedEntry, Lead, Reply, Request, Road, RoadExit, Ticket,
        fair_queue::{FairQueue, QueueLoad, RequestSize},
    },
};

/// Accepts tickets for the primary.
pub struct FollowerExit(Arc<ForwardQueue>);

/// Tickets that wait to be sent, and the size of those and of the unanswered ones.
#[derive(Default)]
pub struct ForwardQueue {
    waiting: Mutex<WaitingForwards>,
    filled: Notify,
}

#[derive(Default)]
struct WaitingForwards {
    tickets: FairQueue,
    load: QueueLoad,
}

impl FollowerExit {
    /// The exit, and its queue for the forwarder.
    pub fn new() -> (Self, Arc<ForwardQueue>) {
        let queue = Arc::new(ForwardQueue::default());
        (Self(queue.clone()), queue)
    }
}

impl RoadExit for FollowerExit {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        let mut waiting = self.0.waiting();
        if !waiting.load.try_add(&ticket) {
            return Err(Box::new(ticket));
        }
        waiting.tickets.push(ticket);
        drop(waiting);
        self.0.filled.notify_one();
        Ok(())
    }
}

impl ForwardQueue {
    fn waiting(&self) -> MutexGuard<'_, WaitingForwards> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.waiting().tickets.is_empty()
    }

    /// Takes the tickets of the next write. They count until they're [released](Self::release).
    fn take_next(&self) -> Vec<Ticket> {
        let mut waiting = self.waiting();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(ticket) = waiting.tickets.front() {
            bytes += RequestSize::of(ticket).bytes + FORWARD_HEAD_BYTES;
            if !taken.is_empty() && bytes > FORWARD_WRITE_BYTES_MAX {
                break;
            }
            taken.extend(waiting.tickets.pop());
        }
        taken
    }

    /// Takes all waiting tickets, which count no longer.
    fn take_all(&self) -> Vec<Ticket> {
        let mut waiting = self.waiting();
        let all = waiting.tickets.take_all();
        all.iter().for_each(|ticket| waiting.load.remove(ticket));
        all
    }

    /// Takes the waiting tickets whose deadlines have passed, which count no longer.
    fn expire(&self, now: Instant) -> Vec<Ticket> {
        let mut waiting = self.waiting();
        let expired = waiting.tickets.expire(now);
        expired.iter().for_each(|ticket| waiting.load.remove(ticket));
        expired
    }

    /// Counts a ticket no longer.
    fn release(&self, ticket: &Ticket) {
        self.waiting().load.remove(ticket);
    }
}

/// The most bytes of a forwarded request beside its commands.
const FORWARD_HEAD_BYTES: usize = 128;

/// A request that was sent and isn't answered.
struct Outstanding {
    ticket: Ticket,
    /// Whether an earlier attempt may have reached a journal.
    proposed_before: bool,
}

/// The result of a write, with the sending end of the lane.
type LaneWrite = BoxFuture<'static, (Box<dyn LaneOut>, io::Result<()>)>;

/// The sending end of the lane to the primary.
enum LaneWriter {
    /// There's no lane.
    Closed,
    Idle(Box<dyn LaneOut>),
    /// A write is in progress since this time.
    Busy(Instant, LaneWrite),
}

/// Sends tickets to the current primary.
pub struct Forwarder {
    transport: Arc<dyn PeerTransport>,
    road: Arc<Road>,
    lead: watch::Receiver<Lead>,
    queue: Arc<ForwardQueue>,
    /// The node at the other end of the lane.
    lane_to: Option<NodeId>,
    writer: LaneWriter,
    inbound: Option<Box<dyn LaneIn>>,
    dial: Option<(NodeId, BoxFuture<'static, io::Result<LaneEnds>>)>,
    outstanding: BTreeMap<u64, Outstanding>,
    deadlines: BTreeSet<(Instant, u64)>,
    next_number: u64,
}

impl Forwarder {
    pub fn new(
        transport: Arc<dyn PeerTransport>,
        road: Arc<Road>,
        lead: watch::Receiver<Lead>,
        queue: Arc<ForwardQueue>,
    ) -> Self {
        Self {
            transport,
            road,
            lead,
            queue,
            lane_to: None,
            writer: LaneWriter::Closed,
            inbound: None,
            dial: None,
            outstanding: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_number: 0,
        }
    }

    /// Runs until nobody decides any more who the primary is.
    pub async fn run(mut self) {
        let (mut lead, queue) = (self.lead.clone(), self.queue.clone());
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.send_waiting();
            let may_send = self.dial.is_none() && !matches!(self.writer, LaneWriter::Busy(..));
            tokio::select! {
                biased;
                reply = receive(&mut self.inbound) => match reply {
                    Ok(Some(frame)) => self.handle_reply(frame),
                    Ok(None) => self.lane_lost("the primary closed the lane"),
                    Err(error) => self.lane_lost(&error.to_string()),
                },
                (out, written) = wait_for_write(&mut self.writer) => {
                    self.writer = LaneWriter::Idle(out);
                    if let Err(error) = written {
                        self.lane_lost(&error.to_string());
                    }
                }
                (primary, opened) = wait_for_dial(&mut self.dial) => {
                    self.dial = None;
                    self.dialled(primary, opened);
                }
                changed = lead.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.lead_changed(*lead.borrow_and_update());
                }
                () = queue.filled.notified(), if may_send => {}
                _ = tick.tick() => self.expire(Instant::now()),
            }
        }
    }

    fn lead_changed(&mut self, lead: Lead) {
        if self.lane_to.is_some_and(|node| lead != Lead::There(node)) {
            self.lane_lost("another site is the primary now");
        }
        if self.dial.as_ref().is_some_and(|(node, _)| lead != Lead::There(*node)) {
            self.dial = None;
        }
        if !matches!(lead, Lead::There(_)) {
            self.return_waiting();
        }
    }

    /// Returns the waiting tickets to the road, which finds the primary.
    fn return_waiting(&mut self) {
        for ticket in self.queue.take_all() {
            self.road.enqueue_waiting(ticket);
        }
    }

    /// Starts the next write, or what must come before it.
    fn send_waiting(&mut self) {
        if self.dial.is_some() || matches!(self.writer, LaneWriter::Busy(..)) {
            return;
        }
        if self.queue.is_empty() {
            return;
        }
        let Lead::There(primary) = *self.lead.borrow() else {
            // The lead has changed since the road chose this exit.
            return self.return_waiting();
        };
        if self.lane_to.is_some_and(|node| node != primary) {
            self.lane_lost("another site is the primary now");
        }
        match std::mem::replace(&mut self.writer, LaneWriter::Closed) {
            LaneWriter::Idle(mut out) => {
                let tickets = self.queue.take_next();
                let frames = self.write_frames(tickets);
                let write = async move {
                    let written = out.send(frames.into()).await;
                    (out, written)
                };
                self.writer = LaneWriter::Busy(Instant::now(), write.boxed());
            }
            LaneWriter::Closed | LaneWriter::Busy(..) => self.start_dial(primary),
        }
    }

    fn start_dial(&mut self, primary: NodeId) {
        let transport = self.transport.clone();
        let dial = async move {
            let opened =
                timeout(Duration::from_millis(500), transport.open(primary, Lane::Forward));
            opened.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        };
        self.dial = Some((primary, dial.boxed()));
    }

    fn dialled(&mut self, primary: NodeId, opened: io::Result<LaneEnds>) {
        match opened {
            Ok(LaneEnds { out, inbound, .. }) => {
                self.lane_to = Some(primary);
                self.writer = LaneWriter::Idle(out);
                self.inbound = Some(inbound);
            }
            Err(error) => {
                tracing::debug!(primary, %error, "can't reach the primary to forward requests");
                self.return_waiting();
            }
        }
    }

    /// Encodes tickets as frames. From here on they count as sent.
    fn write_frames(&mut self, tickets: Vec<Ticket>) -> Vec<u8> {
        let mut frames = Vec::new();
        let now = Instant::now();
        for mut ticket in tickets {
            let number = self.next_number;
            self.next_number += 1;
            write_forward(&ticket, number, now, &mut frames);
            let proposed_before = ticket.proposed;
            ticket.proposed |= matches!(ticket.request, Request::Submit { .. });
            self.deadlines.insert((ticket.deadline, number));
            self.outstanding.insert(number, Outstanding { ticket, proposed_before });
        }
        frames
    }

    fn lane_lost(&mut self, why: &str) {
        if let LaneWriter::Idle(mut out) = std::mem::replace(&mut self.writer, LaneWriter::Closed) {
            out.abandon();
        }
        self.inbound = None;
        if self.lane_to.take().is_some() {
            tracing::debug!(
                why,
                outstanding = self.outstanding.len(),
                "the lane to the primary is gone"
            );
        }
        self.deadlines.clear();
        for (_, Outstanding { ticket, .. }) in std::mem::take(&mut self.outstanding) {
            self.queue.release(&ticket);
            self.road.enqueue_waiting(ticket);
        }
    }

    fn handle_reply(&mut self, frame: Frame) {
        let (number, reply) = match read_reply(&frame) {
            Ok(reply) => reply,
            Err(error) => return self.lane_lost(&error.to_string()),
        };
        let Some(Outstanding { mut ticket, proposed_before }) = self.outstanding.remove(&number)
        else {
            return;
        };
        self.deadlines.remove(&(ticket.deadline, number));
        self.queue.release(&ticket);
        match refusal_code(&reply) {
            // This attempt did nothing; an earlier one may have.
            Some(code) if code != RefusalCode::OutcomeUnknown => {
                ticket.proposed = proposed_before;
                let later = code.says_nothing_was_done();
                if later && (code == RefusalCode::NoPrimary || ticket.proposed) {
                    self.road.enqueue_waiting(ticket);
                } else if ticket.proposed {
                    ticket.give_up("");
                } else {
                    ticket.reply(reply);
                }
            }
            _ => ticket.reply(reply),
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((deadline, number)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.deadlines.pop_first();
            if let Some(Outstanding { ticket, .. }) = self.outstanding.remove(&number) {
                self.queue.release(&ticket);
                ticket.give_up("the primary didn't answer in time");
            }
        }
        for ticket in self.queue.expire(now) {
            match self.lane_to {
                Some(_) => ticket.refuse_nothing_done(RefusalCode::Overloaded, SLOW_LINE),
                None => ticket.give_up("the primary can't be reached; nothing was done"),
            }
        }
        if let LaneWriter::Busy(since, _) = self.writer
            && now - since >= FORWARD_WRITE_PATIENCE
        {
            self.lane_lost("the primary accepts no more data");
        }
    }
}

/// The reason of a request's refusal if others filled the line to the primary for all of its time.
const SLOW_LINE: &str = "the line to the primary is too slow for what is sent: it waited until its deadline; nothing was done";

fn refusal_code(reply: &Reply) -> Option<RefusalCode> {
    if let Reply::Refused(refusal) = reply { Some(refusal.code) } else { None }
}

/// The dial's result; waits for ever if there's no dial.
async fn wait_for_dial(
    dial: &mut Option<(NodeId, BoxFuture<'static, io::Result<LaneEnds>>)>,
) -> (NodeId, io::Result<LaneEnds>) {
    match dial {
        Some((node, dial)) => (*node, dial.await),
        None => std::future::pending().await,
    }
}

/// The end of the write in progress; waits for ever if there's none.
async fn wait_for_write(writer: &mut LaneWriter) -> (Box<dyn LaneOut>, io::Result<()>) {
    match writer {
        LaneWriter::Busy(_, write) => write.await,
        LaneWriter::Closed | LaneWriter::Idle(_) => std::future::pending().await,
    }
}

/// The next reply on the lane; waits for ever if there's no lane.
async fn receive(lane: &mut Option<Box<dyn LaneIn>>) -> io::Result<Option<Frame>> {
    match lane {
        Some(inbound) => inbound.receive().await,
        None => std::future::pending().await,
    }
}

fn write_forward(ticket: &Ticket, number: u64, now: Instant, frames: &mut Vec<u8>) {
    let left = ticket.deadline.saturating_duration_since(now).as_millis();
    let deadline_ms =
        u32::try_from(left).unwrap_or(DEADLINE_MS_MAX).clamp(DEADLINE_MS_MIN, DEADLINE_MS_MAX);
    match &ticket.request {
        Request::Submit { count, atomic, commands } => {
            let (count, atomic, commands) = (*count, *atomic, commands.clone());
            let submit = Submit { number, deadline_ms, count, atomic, commands };
            peer::ForwardSubmit { key: ticket.caller.hash, submit }.write(frames);
        }
        Request::Read(query) => {
            let read = ReadRequest {
                number,
                deadline_ms,
                consistency: Consistency::Linearizable,
                query: query.clone(),
            };
            let at = frame::start(frames, peer::FORWARD_READ);
            codec::encode_into(&peer::ForwardRead { key: ticket.caller.hash, read }, frames);
            frame::finish(frames, at);
        }
    }
}

fn read_reply(frame: &Frame) -> Result<(u64, Reply), codec::CodecError> {
    Ok(match frame.kind {
        reply::OUTCOMES => {
            let outcomes: reply::Outcomes = codec::decode(&frame.body)?;
            let count = outcomes.answers.len();
            let decided = DecidedEntry { stamp: outcomes.stamp, answers: outcomes.answers };
            (outcomes.number, Reply::Decided(Arc::new(decided), 0..count))
        }
        reply::VIEW => {
            let view: reply::ViewReply = codec::decode(&frame.body)?;
            (view.number, Reply::View(Box::new(view.view), view.as_of))
        }
        reply::REFUSED => {
            let refused: reply::Refused = codec::decode(&frame.body)?;
            (refused.number, Reply::Refused(refused.refusal))
        }
        other => return Err(codec::CodecError::Malformed(format!("a frame of type {other}"))),
    })
}
