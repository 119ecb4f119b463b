//! The door for requests that clients gave to another site. Answered like the clients' own, but never sent on: one hop is enough.

use std::{io, sync::Arc, time::Duration};

use evenkeel_wire::{
    codec,
    limits::{DEADLINE_MS_MAX, DEADLINE_MS_MIN},
    peer::{self, ForwardRead, ForwardSubmit},
    reply::Refusal,
    request::Submit,
};
use tokio::time::{Instant, timeout};

use super::outbox::{Outbox, write_reply};
use crate::{
    admission,
    limits::FORWARDS_MAX,
    metrics::DoorMetrics,
    replication::transport::LaneEnds,
    road::{Errand, Reply, ReplySink, Road, Ticket},
    state::State,
};

/// How long a peer may take no more replies.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// What every forward lane needs.
pub struct ForwardDoor {
    pub road: Arc<Road>,
    pub state: Arc<State>,
    pub metrics: Arc<DoorMetrics>,
}

impl ForwardDoor {
    /// Answers one peer's forwards until it ends the lane.
    ///
    /// # Errors
    /// When the lane breaks or the peer breaks the protocol.
    pub async fn serve(&self, mut ends: LaneEnds) -> io::Result<()> {
        let outbox = Outbox::new(self.metrics.clone());
        let _connected = self.metrics.connected();
        let mut under_way = 0;
        let mut frames = Vec::new();
        loop {
            tokio::select! {
                biased;
                replies = outbox.take(), if under_way > 0 => {
                    under_way -= replies.len();
                    for (number, reply) in replies {
                        write_reply(number, reply, &mut frames);
                    }
                    let sent = ends.out.send(std::mem::take(&mut frames).into());
                    timeout(WRITE_PATIENCE, sent).await.map_err(io::Error::from)??;
                }
                received = ends.inbound.receive(), if under_way < FORWARDS_MAX => {
                    let Some(frame) = received? else { return Ok(()) };
                    under_way += 1;
                    self.request(frame, &outbox)?;
                }
            }
        }
    }

    fn request(&self, frame: evenkeel_wire::frame::Frame, outbox: &Arc<Outbox>) -> io::Result<()> {
        let invalid = |error: codec::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let (number, deadline_ms, hash, errand) = match frame.kind {
            peer::FORWARD_SUBMIT => {
                let forward = ForwardSubmit::read(frame.body).map_err(invalid)?;
                let submit = forward.submit;
                // The site that forwards has checked them; what stands in the journal is checked here all the same.
                let checked = admission::check_commands(submit.count, &submit.commands);
                if let Err(refusal) = checked {
                    return refuse(outbox, outbox.begin(submit.number), refusal);
                }
                let Submit { number, deadline_ms, count, atomic, commands } = submit;
                let errand = Errand::Submit { count, atomic, commands };
                (outbox.begin(number), deadline_ms, forward.key, errand)
            }
            peer::FORWARD_READ => {
                let forward: ForwardRead = codec::decode(&frame.body).map_err(invalid)?;
                let read = forward.read;
                let number = outbox.begin(read.number);
                (number, read.deadline_ms, forward.key, Errand::Read(read.query))
            }
            other => {
                return Err(invalid(codec::Error::Malformed(format!("a frame of type {other}"))));
            }
        };
        let caller = match admission::authenticate(&self.state, hash) {
            Ok(caller) => caller,
            Err(refusal) => return refuse(outbox, number, refusal),
        };
        let deadline_ms = deadline_ms.clamp(DEADLINE_MS_MIN, DEADLINE_MS_MAX);
        self.road.route_here(Ticket {
            caller,
            errand,
            deadline: Instant::now() + Duration::from_millis(deadline_ms.into()),
            waiting_since: None,
            proposed: false,
            sink: outbox.clone(),
            token: number,
        });
        Ok(())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the last word of every branch that refuses")]
fn refuse(outbox: &Arc<Outbox>, number: u64, refusal: Refusal) -> io::Result<()> {
    outbox.deliver(number, Reply::Refused(refusal));
    Ok(())
}
