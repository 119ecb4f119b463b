//! Requests that are forwarded while the primary changes: the refusals that each may end with.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use evenkeel_node::{
    replication::{
        forwarder::{FollowerExit, Forwarder},
        peers::transport::{LaneEnds, LaneIn, LaneOut, PeerTransport},
    },
    road::{Caller, Lead, Reply, Request, Road, RoadExit, Ticket},
};
use evenkeel_wire::{
    codec,
    frame::{self, Frame},
    id::{NodeId, OPERATOR_KEY},
    key::Role,
    peer::{ForwardSubmit, Lane},
    reply::{self, Refusal, RefusalCode, Refused},
};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

const CALLER: Caller =
    Caller { key: OPERATOR_KEY, hash: [1; 32], role: Role::Operator, account: None };
const FIRST: NodeId = 1;
const SECOND: NodeId = 2;

/// The other end of a lane, at a simulated primary.
struct Far {
    requests: mpsc::Receiver<Bytes>,
    replies: mpsc::Sender<Frame>,
}

impl Far {
    /// The number of the next request.
    async fn request(&mut self) -> u64 {
        let bytes = self.requests.recv().await.expect("a request arrives");
        let body = bytes.slice(frame::HEAD_BYTES..);
        ForwardSubmit::read(body).expect("a submit").submit.number
    }

    fn refuse(&self, number: u64, code: RefusalCode) {
        let refused = Refused { number, refusal: Refusal::new(code, "by the test") };
        let body = codec::encode(&refused).into();
        self.replies.try_send(Frame { kind: reply::REFUSED, body }).expect("the lane is open");
    }
}

struct Out(mpsc::Sender<Bytes>);

impl LaneOut for Out {
    fn send(&mut self, frames: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let sent = self.0.try_send(frames).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe));
        Box::pin(async { sent })
    }
}

struct In(mpsc::Receiver<Frame>);

impl LaneIn for In {
    fn receive(&mut self) -> BoxFuture<'_, io::Result<Option<Frame>>> {
        Box::pin(async { Ok(self.0.recv().await) })
    }
}

/// Sends the far end of each opened lane to the test.
struct Played(Mutex<BTreeMap<NodeId, mpsc::Sender<Far>>>);

impl PeerTransport for Played {
    fn open(&self, to: NodeId, _lane: Lane) -> BoxFuture<'_, io::Result<LaneEnds>> {
        let (out, requests) = mpsc::channel(64);
        let (replies, inbound) = mpsc::channel(64);
        let primaries = self.0.lock().expect("no panic");
        primaries[&to].try_send(Far { requests, replies }).expect("the test receives");
        let ends = LaneEnds { out: Box::new(Out(out)), inbound: Box::new(In(inbound)), link: None };
        Box::pin(async { Ok(ends) })
    }
}

/// This site is never the primary.
struct NotHere;

impl RoadExit for NotHere {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        Err(Box::new(ticket))
    }
}

struct Site {
    road: Arc<Road>,
    lead: watch::Sender<Lead>,
    first: mpsc::Receiver<Far>,
    second: mpsc::Receiver<Far>,
}

impl Site {
    /// A site that follows the first primary.
    fn start() -> Self {
        let (to_first, first) = mpsc::channel(64);
        let (to_second, second) = mpsc::channel(64);
        let (lead, seen) = watch::channel(Lead::There(FIRST));
        let (there, waiting) = FollowerExit::new();
        let road = Arc::new(Road::new(seen.clone(), Arc::new(NotHere), Arc::new(there)));
        let primaries = BTreeMap::from([(FIRST, to_first), (SECOND, to_second)]);
        let transport = Arc::new(Played(Mutex::new(primaries)));
        tokio::spawn(Forwarder::new(transport, road.clone(), seen, waiting).run());
        let attending = road.clone();
        tokio::spawn(async move { attending.drain_waiting().await });
        Self { road, lead, first, second }
    }

    fn ask(&self) -> tokio::task::JoinHandle<Option<RefusalCode>> {
        let road = self.road.clone();
        tokio::spawn(async move {
            let request = Request::Submit { count: 1, atomic: false, commands: Bytes::new() };
            match road.send_and_wait(CALLER, request, Duration::from_secs(5)).await {
                Reply::Refused(refusal) => Some(refusal.code),
                _ => None,
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_only_attempt_is_told_as_it_is() {
    let mut site = Site::start();
    let mut far = None;
    for code in [RefusalCode::Unauthorized, RefusalCode::Forbidden, RefusalCode::Overloaded] {
        let asked = site.ask();
        let far = match &mut far {
            Some(far) => far,
            None => far.insert(site.first.recv().await.expect("it's dialled")),
        };
        let number = far.request().await;
        far.refuse(number, code);
        assert_eq!(asked.await.expect("an end"), Some(code));
    }
}

/// The first primary may have put the request into its journal, and the key may have been revoked
/// since: the second one's refusal is true of its own attempt only.
#[tokio::test(start_paused = true)]
async fn a_refusal_after_an_attempt_that_broke_off_says_that_nobody_knows() {
    for code in [RefusalCode::Unauthorized, RefusalCode::Forbidden, RefusalCode::TooLarge] {
        let mut site = Site::start();
        let asked = site.ask();
        let mut far = site.first.recv().await.expect("it's dialled");
        far.request().await;
        site.lead.send_replace(Lead::There(SECOND));
        drop(far);
        let mut far = site.second.recv().await.expect("it's dialled");
        let number = far.request().await;
        far.refuse(number, code);
        assert_eq!(asked.await.expect("an end"), Some(RefusalCode::OutcomeUnknown), "{code:?}");
    }
}
