//! The QUIC door for clients: one stream carries many requests in flight, and replies in any order.
//! It never decides a request.
//!
//! A client that breaks the protocol gets the reason, and its stream is closed. The door stops
//! reading while too many requests are in flight, so a client that doesn't read its replies blocks
//! only itself.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use evenkeel_wire::{
    codec,
    endpoint::{ClientEndpoint, ClientLink, FrameReceiver, FrameSender},
    frame,
    frame::Frame,
    id::{ClusterId, NodeId},
    limits::{NAME_BYTES_MAX, REQUESTS_OUTSTANDING_MAX},
    reply::{self, AsOf, Refusal, RefusalCode, Refused, Welcome},
    request::{self, Consistency, Hello, Query, ReadRequest, Submit},
    transfer::Text,
};
use tokio::time::{Instant, timeout};

use super::outbox::{Outbox, PendingReply, write_reply};
use crate::{
    admission::{
        self, Keyring,
        quota::{KeyQuota, Quota},
        targets,
    },
    limits::{CLIENT_ITEM_BYTES, HELLO_PATIENCE, patience_for},
    metrics::DoorMetrics,
    road::{Caller, Lead, Reply, ReplySink, Request, Road, Ticket, shares::KeyShares},
    state::{AppliedState, freshness::Freshness},
    telemetry::panic_if_planted,
};

/// The parts that every client's stream needs.
pub struct ClientDoor {
    pub road: Arc<Road>,
    pub state: Arc<AppliedState>,
    pub keyring: Arc<Keyring>,
    pub freshness: Arc<Freshness>,
    pub quota: Arc<Quota>,
    /// The memory of pages that wait for their readers.
    pub pages: KeyShares,
    pub cluster: ClusterId,
    pub node: NodeId,
    pub site: Text<NAME_BYTES_MAX>,
    /// The data folder is on a file system in memory.
    pub volatile: bool,
    /// Becomes true when the node begins to stop.
    pub stopping: tokio::sync::watch::Receiver<bool>,
    pub metrics: Arc<DoorMetrics>,
}

/// How long a client may take to read why its stream ends.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of replies that are written at once; one reply is written whatever its size.
const WRITE_BYTES_MAX: usize = 1 << 20;

impl ClientDoor {
    /// Accepts connections until the port is closed.
    pub async fn serve(self: Arc<Self>, endpoint: Arc<ClientEndpoint>) {
        while let Some(link) = endpoint.accept().await {
            let door = self.clone();
            tokio::spawn(async move {
                let from = link.remote_address();
                let _connected = door.metrics.track_connection();
                if let Err(error) = door.serve_connection(link).await {
                    tracing::debug!(%from, %error, "a client's connection ended");
                }
            });
        }
    }

    /// Serves a client's connection: one stream for its requests, and occasionally a short one that
    /// asks for the current primary.
    async fn serve_connection(self: Arc<Self>, link: ClientLink) -> io::Result<()> {
        let welcomed = Arc::new(AtomicBool::new(false));
        let first = timeout(HELLO_PATIENCE, link.accept_lane()).await;
        let mut lane = first.map_err(io::Error::from)??;
        loop {
            let (door, link_kept, welcomed) = (self.clone(), link.clone(), welcomed.clone());
            let (sender, receiver) = lane;
            tokio::spawn(async move {
                if let Err(error) = door.serve_lane(&link_kept, &welcomed, sender, receiver).await {
                    tracing::debug!(from = %link_kept.remote_address(), %error, "a client's stream ended");
                }
            });
            lane = link.accept_lane().await?;
        }
    }

    async fn serve_lane(
        self: &Arc<Self>,
        link: &ClientLink,
        welcomed: &AtomicBool,
        mut sender: FrameSender,
        mut receiver: FrameReceiver,
    ) -> io::Result<()> {
        let caller = match self.receive_hello(&mut receiver).await {
            Ok(caller) => caller,
            Err(refusal) => {
                self.metrics.count_refusal(refusal.code.name());
                let told = send_final_refusal(sender, refusal).await;
                // A stranger keeps no place. A client's requests on another stream go on.
                if !welcomed.load(Ordering::Relaxed) {
                    link.close("refused");
                }
                return told;
            }
        };
        welcomed.store(true, Ordering::Relaxed);
        link.widen_window();
        sender.send(&frame::encode_whole(reply::WELCOME, &self.welcome())).await?;
        match self.serve_requests(caller, &mut sender, receiver).await {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                refuse_stream(sender, &error).await?;
                Err(error)
            }
            ended => ended,
        }
    }

    async fn receive_hello(&self, receiver: &mut FrameReceiver) -> Result<Caller, Refusal> {
        let malformed = |detail: &str| Refusal::new(RefusalCode::Malformed, detail);
        let first = timeout(HELLO_PATIENCE, receiver.receive())
            .await
            .map_err(|_| malformed("no hello within 5 s"))?
            .map_err(|error| malformed(&error.to_string()))?;
        let frame = first.filter(|frame| frame.kind == request::HELLO);
        let frame = frame.ok_or_else(|| malformed("a stream must begin with a hello"))?;
        let hello: Hello =
            codec::decode(&frame.body).map_err(|error| malformed(&error.to_string()))?;
        self.keyring.authenticate(admission::key_hash(hello.key.as_str())).await
    }

    fn welcome(&self) -> Welcome {
        let primary = match self.road.lead() {
            Lead::Here(_) => Some(self.node),
            Lead::There(node) => Some(node),
            Lead::Nowhere => None,
        };
        Welcome {
            cluster: self.cluster,
            node: self.node,
            site: self.site.clone(),
            primary,
            volatile: self.volatile,
        }
    }

    async fn serve_requests(
        self: &Arc<Self>,
        caller: Caller,
        sender: &mut FrameSender,
        mut receiver: FrameReceiver,
    ) -> io::Result<()> {
        let caller = (caller, self.quota.of(&caller));
        let outbox = Outbox::new(self.metrics.clone());
        let mut under_way = 0;
        let mut open = true;
        let mut frames = Vec::new();
        while open || under_way > 0 {
            tokio::select! {
                biased;
                replies = outbox.take_replies(), if under_way > 0 => {
                    under_way -= replies.len();
                    for PendingReply { number, reply, room } in replies {
                        write_reply(number, reply, &mut frames);
                        if frames.len() >= WRITE_BYTES_MAX {
                            send_replies(sender, &mut frames).await?;
                        }
                        drop(room);
                    }
                    send_replies(sender, &mut frames).await?;
                }
                received = receiver.receive(), if open && under_way < REQUESTS_OUTSTANDING_MAX => {
                    let Some(frame) = received? else {
                        open = false;
                        continue;
                    };
                    self.route_request(&caller, frame, &outbox)?;
                    under_way += 1;
                    while under_way < REQUESTS_OUTSTANDING_MAX {
                        let Some(frame) = receiver.try_receive()? else { break };
                        self.route_request(&caller, frame, &outbox)?;
                        under_way += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Routes a request; every request gets exactly one reply.
    fn route_request(
        self: &Arc<Self>,
        (caller, quota): &(Caller, Option<Arc<KeyQuota>>),
        frame: Frame,
        outbox: &Arc<Outbox>,
    ) -> io::Result<()> {
        panic_if_planted("quic");
        let invalid = |error: codec::CodecError| io::Error::new(io::ErrorKind::InvalidData, error);
        match frame.kind {
            request::SUBMIT => {
                let bytes = frame.body.len();
                let submit = Submit::read(frame.body).map_err(invalid)?;
                let (number, deadline_ms) = (outbox.begin(submit.number), submit.deadline_ms);
                let checked = self
                    .check_open()
                    .and_then(|()| self.keyring.recheck(caller))
                    .and_then(|()| admission::check_deadline(submit.deadline_ms))
                    .and_then(|()| count_submit(quota.as_deref(), submit.count, bytes))
                    .and_then(|()| {
                        admission::check_form_and_role(caller, submit.count, &submit.commands)
                    });
                if let Err(refusal) = checked {
                    outbox.deliver(number, Reply::Refused(refusal));
                    return Ok(());
                }
                let Submit { count, atomic, commands, .. } = submit;
                let request = Request::Submit { count, atomic, commands };
                let ticket = ticket(*caller, request, deadline_ms, outbox, number);
                let road = self.road.clone();
                targets::check_ticket(&self.state, ticket, move |ticket| road.route(ticket));
            }
            request::READ => {
                let read: ReadRequest = codec::decode(&frame.body).map_err(invalid)?;
                self.route_read(*caller, read, outbox);
            }
            other => {
                let error = codec::CodecError::Malformed(format!("a frame of type {other}"));
                return Err(invalid(error));
            }
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Refusal> {
        if *self.stopping.borrow() {
            return Err(Refusal::new(
                RefusalCode::Stopping,
                "this site is shutting down; nothing was done",
            ));
        }
        Ok(())
    }

    fn route_read(self: &Arc<Self>, caller: Caller, read: ReadRequest, outbox: &Arc<Outbox>) {
        let number = outbox.begin(read.number);
        let checked = self
            .check_open()
            .and_then(|()| self.keyring.recheck(&caller))
            .and_then(|()| admission::check_deadline(read.deadline_ms))
            .and_then(|()| admission::check_query(&caller, &read.query));
        if let Err(refusal) = checked {
            return outbox.deliver(number, Reply::Refused(refusal));
        }
        if let Query::History { limit, .. } = &read.query {
            let items = usize::try_from(*limit).unwrap_or(usize::MAX);
            let bytes = items.saturating_mul(CLIENT_ITEM_BYTES);
            let Some(room) = self.pages.take(caller.key, bytes) else {
                let detail = "too many pages wait for their readers; nothing was done";
                let refusal = Refusal::new(RefusalCode::Overloaded, detail);
                return outbox.deliver(number, Reply::Refused(refusal));
            };
            outbox.reserve(number, room);
        }
        let ticket = ticket(caller, Request::Read(read.query), read.deadline_ms, outbox, number);
        match read.consistency {
            Consistency::Linearizable => self.road.route(ticket),
            Consistency::Local if self.keyring.is_current() => self.read_locally(ticket),
            Consistency::Local => {
                let door = self.clone();
                tokio::spawn(async move {
                    match door.keyring.confirm(&ticket.caller).await {
                        Ok(()) => door.read_locally(ticket),
                        Err(refusal) => ticket.reply(Reply::Refused(refusal)),
                    }
                });
            }
        }
    }

    fn read_locally(&self, ticket: Ticket) {
        // Read the age first: an entry applied in the meantime only makes the answer fresher.
        admission::answer_ticket(&self.state, ticket, Some(self.as_of()));
    }

    /// The age of this node's view. A node that was never current since its start reports the
    /// largest age.
    fn as_of(&self) -> AsOf {
        let position = self.state.position();
        let age = self.freshness.age(Instant::now(), position);
        let age_ms = age.map_or(u64::MAX, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        AsOf { position: position.unwrap_or(0), age_ms }
    }
}

/// Counts a submit, unless the key is exempt.
fn count_submit(quota: Option<&KeyQuota>, commands: u32, bytes: usize) -> Result<(), Refusal> {
    let Some(quota) = quota else { return Ok(()) };
    let commands = usize::try_from(commands).unwrap_or(usize::MAX);
    Ok(quota.count(commands, bytes, Instant::now())?)
}

/// Sends what is there, if the client reads fast enough.
async fn send_replies(sender: &mut FrameSender, frames: &mut Vec<u8>) -> io::Result<()> {
    if frames.is_empty() {
        return Ok(());
    }
    let patience = patience_for(frames.len());
    timeout(patience, sender.send(frames)).await.map_err(io::Error::from)??;
    frames.clear();
    frames.shrink_to(WRITE_BYTES_MAX);
    Ok(())
}

/// Ends a stream that broke the protocol, with the reason. Its earlier requests are still decided:
/// the client retries them with the same ids.
async fn refuse_stream(sender: FrameSender, error: &io::Error) -> io::Result<()> {
    let detail = format!("{error}; this stream is closed");
    send_final_refusal(sender, Refusal::new(RefusalCode::Malformed, &detail)).await
}

/// Sends a refusal that belongs to no request, and ends the stream.
async fn send_final_refusal(mut sender: FrameSender, refusal: Refusal) -> io::Result<()> {
    let refused = frame::encode_whole(reply::REFUSED, &Refused { number: 0, refusal });
    let told = async {
        sender.send(&refused).await?;
        sender.finish().await
    };
    timeout(WRITE_PATIENCE, told).await.map_err(io::Error::from)?
}

fn ticket(
    caller: Caller,
    request: Request,
    deadline_ms: u32,
    outbox: &Arc<Outbox>,
    token: u64,
) -> Ticket {
    Ticket {
        caller,
        request,
        deadline: Instant::now() + Duration::from_millis(deadline_ms.into()),
        waiting_since: None,
        proposed: false,
        sink: outbox.clone(),
        token,
    }
}
