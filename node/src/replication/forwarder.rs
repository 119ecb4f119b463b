//! A follower's exit of the road: sends requests to the primary over one lane, and delivers its
//! replies.
//!
//! When the lane breaks, requests without a reply may have been decided: they go back to the road,
//! marked as proposed. Neither a slow dial nor a primary that accepts no more data holds a request
//! beyond its deadline. It never decides a request.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
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
    sync::{mpsc, watch},
    time::{Instant, Interval, timeout},
};

use super::peers::transport::{LaneEnds, PeerTransport};
use crate::{
    limits::FORWARDS_MAX,
    road::{DecidedEntry, Lead, Reply, Request, Road, RoadExit, Ticket},
};

/// Accepts tickets for the primary.
pub struct FollowerExit {
    tickets: mpsc::Sender<Ticket>,
}

impl FollowerExit {
    /// The exit, and the receiving end for the forwarder.
    pub fn new() -> (Self, mpsc::Receiver<Ticket>) {
        let (tickets, waiting) = mpsc::channel(FORWARDS_MAX);
        (Self { tickets }, waiting)
    }
}

impl RoadExit for FollowerExit {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        self.tickets.try_send(ticket).map_err(|error| Box::new(error.into_inner()))
    }
}

/// A request that was sent and isn't answered.
struct Outstanding {
    ticket: Ticket,
    /// Whether an earlier attempt may have reached a journal.
    proposed_before: bool,
}

/// Sends tickets to the current primary.
pub struct Forwarder {
    transport: Arc<dyn PeerTransport>,
    road: Arc<Road>,
    lead: watch::Receiver<Lead>,
    waiting: mpsc::Receiver<Ticket>,
    lane: Option<(NodeId, LaneEnds)>,
    dial: Option<(NodeId, BoxFuture<'static, io::Result<LaneEnds>>)>,
    /// Waiting for the dial.
    held: Vec<Ticket>,
    outstanding: BTreeMap<u64, Outstanding>,
    deadlines: BTreeSet<(Instant, u64)>,
    next_number: u64,
}

impl Forwarder {
    pub fn new(
        transport: Arc<dyn PeerTransport>,
        road: Arc<Road>,
        lead: watch::Receiver<Lead>,
        waiting: mpsc::Receiver<Ticket>,
    ) -> Self {
        Self {
            transport,
            road,
            lead,
            waiting,
            lane: None,
            dial: None,
            held: Vec::new(),
            outstanding: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_number: 0,
        }
    }

    /// Runs until the road is gone.
    pub async fn run(mut self) {
        let mut lead = self.lead.clone();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                reply = receive(&mut self.lane) => match reply {
                    Ok(Some(frame)) => self.handle_reply(frame),
                    Ok(None) => self.lane_lost("the primary closed the lane"),
                    Err(error) => self.lane_lost(&error.to_string()),
                },
                (primary, opened) = wait_for_dial(&mut self.dial) => {
                    self.dial = None;
                    let held = std::mem::take(&mut self.held);
                    match opened {
                        Ok(ends) => self.lane = Some((primary, ends)),
                        Err(error) => {
                            tracing::debug!(primary, %error, "can't reach the primary to forward requests");
                            held.into_iter().for_each(|ticket| self.road.enqueue_waiting(ticket));
                            continue;
                        }
                    }
                    self.send(held, &mut tick).await;
                }
                changed = lead.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.lead_changed(*lead.borrow_and_update());
                }
                received = self.waiting.recv_many(&mut batch, 1024), if self.held.len() < FORWARDS_MAX => {
                    if received == 0 {
                        return;
                    }
                    self.send(std::mem::take(&mut batch), &mut tick).await;
                }
                _ = tick.tick() => self.expire(Instant::now()),
            }
        }
    }

    fn lead_changed(&mut self, lead: Lead) {
        if self.lane.as_ref().is_some_and(|(node, _)| lead != Lead::There(*node)) {
            self.lane_lost("another site is the primary now");
        }
        if self.dial.as_ref().is_some_and(|(node, _)| lead != Lead::There(*node)) {
            self.dial = None;
            std::mem::take(&mut self.held)
                .into_iter()
                .for_each(|ticket| self.road.enqueue_waiting(ticket));
        }
    }

    async fn send(&mut self, tickets: Vec<Ticket>, tick: &mut Interval) {
        let Lead::There(primary) = *self.lead.borrow() else {
            // The lead has changed since the road chose this exit.
            return tickets.into_iter().for_each(|ticket| self.road.enqueue_waiting(ticket));
        };
        if self.lane.as_ref().is_some_and(|(node, _)| *node != primary) {
            self.lane_lost("another site is the primary now");
        }
        let Some((node, mut ends)) = self.lane.take() else {
            self.held.extend(tickets);
            return self.start_dial(primary);
        };
        let frames = self.write_frames(tickets);
        let sent = {
            let sending = timeout(Duration::from_secs(2), ends.out.send(frames.into()));
            futures_util::pin_mut!(sending);
            loop {
                // Requests expire even while the primary accepts no data.
                tokio::select! {
                    biased;
                    sent = &mut sending => break sent,
                    _ = tick.tick() => {
                        self.expire(Instant::now());
                        if *self.lead.borrow() != Lead::There(node) {
                            break Ok(Err(io::Error::other("another site is the primary now")));
                        }
                    }
                }
            }
        };
        self.lane = Some((node, ends));
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.lane_lost(&error.to_string()),
            Err(_) => self.lane_lost("the primary accepts no more data"),
        }
    }

    fn start_dial(&mut self, primary: NodeId) {
        if self.dial.as_ref().is_some_and(|(node, _)| *node == primary) {
            return;
        }
        let transport = self.transport.clone();
        let dial = async move {
            let opened =
                timeout(Duration::from_millis(500), transport.open(primary, Lane::Forward));
            opened.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        };
        self.dial = Some((primary, dial.boxed()));
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
        if self.lane.take().is_some() {
            tracing::debug!(
                why,
                outstanding = self.outstanding.len(),
                "the lane to the primary is gone"
            );
        }
        self.deadlines.clear();
        for (_, Outstanding { ticket, .. }) in std::mem::take(&mut self.outstanding) {
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
                ticket.give_up("the primary didn't answer in time");
            }
        }
        if self.held.iter().any(|ticket| ticket.deadline <= now) {
            let (expired, held) = std::mem::take(&mut self.held)
                .into_iter()
                .partition(|ticket: &Ticket| ticket.deadline <= now);
            self.held = held;
            for ticket in expired {
                ticket.give_up("the primary can't be reached; nothing was done");
            }
        }
    }
}

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

/// The next reply on the lane; waits for ever if there's no lane.
async fn receive(lane: &mut Option<(NodeId, LaneEnds)>) -> io::Result<Option<Frame>> {
    match lane {
        Some((_, ends)) => ends.inbound.receive().await,
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
