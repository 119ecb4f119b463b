//! The door for requests that clients sent to another site. They're answered like this site's own,
//! but never forwarded again: one hop is the limit.

use std::{io, sync::Arc, time::Duration};

use evenkeel_wire::{
    codec,
    limits::{DEADLINE_MS_MAX, DEADLINE_MS_MIN},
    peer::{self, ForwardRead, ForwardSubmit},
    reply::{Refusal, RefusalCode},
    request::Submit,
};
use tokio::time::{Instant, timeout};

use super::outbox::{Outbox, PendingReply, write_reply};
use crate::{
    admission::{self, Keyring, targets},
    limits::{FORWARD_WRITE_BYTES_MAX, FORWARD_WRITE_PATIENCE, FORWARDS_MAX},
    metrics::DoorMetrics,
    replication::peers::transport::LaneEnds,
    road::{Caller, Lead, NODES_HASH, Reply, ReplySink, Request, Road, Ticket},
    state::AppliedState,
    telemetry::panic_if_planted,
};

/// The parts that every forward lane needs.
pub struct ForwardDoor {
    pub road: Arc<Road>,
    pub state: Arc<AppliedState>,
    pub keyring: Arc<Keyring>,
    pub metrics: Arc<DoorMetrics>,
}

impl ForwardDoor {
    /// Serves one peer's forwards until it ends the lane.
    ///
    /// # Errors
    /// When the lane breaks or the peer breaks the protocol.
    pub async fn serve(self: &Arc<Self>, mut ends: LaneEnds) -> io::Result<()> {
        let outbox = Outbox::new(self.metrics.clone());
        let _connected = self.metrics.track_connection();
        let mut under_way = 0;
        let mut frames = Vec::new();
        loop {
            tokio::select! {
                biased;
                replies = outbox.take_replies(), if under_way > 0 => {
                    under_way -= replies.len();
                    for PendingReply { number, reply, .. } in replies {
                        write_reply(number, reply, &mut frames);
                        if frames.len() >= FORWARD_WRITE_BYTES_MAX {
                            send_replies(&mut ends, &mut frames).await?;
                        }
                    }
                    send_replies(&mut ends, &mut frames).await?;
                }
                received = ends.inbound.receive(), if under_way < FORWARDS_MAX => {
                    let Some(frame) = received? else { return Ok(()) };
                    under_way += 1;
                    self.route_request(frame, &outbox)?;
                }
            }
        }
    }

    fn route_request(
        self: &Arc<Self>,
        frame: evenkeel_wire::frame::Frame,
        outbox: &Arc<Outbox>,
    ) -> io::Result<()> {
        panic_if_planted("forward");
        let invalid = |error: codec::CodecError| io::Error::new(io::ErrorKind::InvalidData, error);
        let (number, deadline_ms, hash, request) = match frame.kind {
            peer::FORWARD_SUBMIT => {
                let forward = ForwardSubmit::read(frame.body).map_err(invalid)?;
                let Submit { number, deadline_ms, count, atomic, commands } = forward.submit;
                let request = Request::Submit { count, atomic, commands };
                (outbox.begin(number), deadline_ms, forward.key, request)
            }
            peer::FORWARD_READ => {
                let forward: ForwardRead = codec::decode(&frame.body).map_err(invalid)?;
                let read = forward.read;
                let number = outbox.begin(read.number);
                (number, read.deadline_ms, forward.key, Request::Read(read.query))
            }
            other => {
                return Err(invalid(codec::CodecError::Malformed(format!(
                    "a frame of type {other}"
                ))));
            }
        };
        let caller = match self.caller(&hash) {
            Ok(caller) => caller,
            Err(refusal) => {
                outbox.deliver(number, Reply::Refused(refusal));
                return Ok(());
            }
        };
        let deadline_ms = deadline_ms.clamp(DEADLINE_MS_MIN, DEADLINE_MS_MAX);
        let ticket = Ticket {
            caller,
            request,
            deadline: Instant::now() + Duration::from_millis(deadline_ms.into()),
            waiting_since: None,
            proposed: false,
            sink: outbox.clone(),
            token: number,
        };
        self.check_and_route(ticket);
        Ok(())
    }

    /// Checks a ticket and routes it. The forwarding site has checked it too, but permissions are
    /// decided here.
    fn check_and_route(&self, ticket: Ticket) {
        if let Err(refusal) = check(&ticket.caller, &ticket.request) {
            return ticket.reply(Reply::Refused(refusal));
        }
        let road = self.road.clone();
        targets::check_ticket(&self.state, ticket, move |ticket| road.route_here(ticket));
    }

    /// The caller with this key's hash. Only the primary may authenticate it.
    fn caller(&self, hash: &[u8; 32]) -> Result<Caller, Refusal> {
        if !matches!(self.road.lead(), Lead::Here(_)) {
            return Err(Refusal::new(RefusalCode::NoPrimary, "this site isn't the primary"));
        }
        if *hash == NODES_HASH { Ok(Caller::NODE) } else { self.keyring.authenticate_locally(hash) }
    }
}

/// The checks that read no file: heartbeats must not wait for one.
fn check(caller: &Caller, request: &Request) -> Result<(), Refusal> {
    match request {
        Request::Submit { count, commands, .. } => {
            admission::check_form_and_role(caller, *count, commands)
        }
        Request::Read(query) => admission::check_query(caller, query),
    }
}

/// Sends what is there. A slow line may take its time.
async fn send_replies(ends: &mut LaneEnds, frames: &mut Vec<u8>) -> io::Result<()> {
    if frames.is_empty() {
        return Ok(());
    }
    let sent = ends.out.send(std::mem::take(frames).into());
    timeout(FORWARD_WRITE_PATIENCE, sent).await.map_err(io::Error::from)?
}
