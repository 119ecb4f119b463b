//! Requests that are forwarded while the primary changes: the refusals that each may end with.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use evenkeel_node::{
    limits::QUEUED_BYTES_MAX,
    replication::{
        forwarder::{FollowerExit, Forwarder},
        peers::transport::{LaneEnds, LaneIn, LaneOut, PeerTransport},
    },
    road::{Caller, Lead, Reply, Request, Road, RoadExit, Ticket},
};
use evenkeel_wire::{
    codec,
    frame::{self, Frame},
    id::{KeyId, NodeId, OPERATOR_KEY},
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
    /// The lane was given up: what hasn't left needs no longer leave.
    abandoned: Arc<AtomicBool>,
}

impl Far {
    /// The number of the next request, alone in its write.
    async fn request(&mut self) -> u64 {
        let (_, numbers) = self.write().await;
        assert_eq!(numbers.len(), 1);
        numbers[0]
    }

    /// The bytes of the next write, and the numbers of its requests.
    async fn write(&mut self) -> (usize, Vec<u64>) {
        let written = self.requests.recv().await.expect("a request arrives");
        let mut bytes = BytesMut::from(&written[..]);
        let frames = std::iter::from_fn(|| frame::take_frame(&mut bytes).expect("sound frames"));
        let number =
            |frame: Frame| ForwardSubmit::read(frame.body).expect("a submit").submit.number;
        (written.len(), frames.map(number).collect())
    }

    fn refuse(&self, number: u64, code: RefusalCode) {
        let refused = Refused { number, refusal: Refusal::new(code, "by the test") };
        let body = codec::encode(&refused).into();
        self.replies.try_send(Frame { kind: reply::REFUSED, body }).expect("the lane is open");
    }
}

/// Accepts one write per `pace`.
struct Out {
    far: mpsc::Sender<Bytes>,
    pace: Duration,
    abandoned: Arc<AtomicBool>,
}

impl LaneOut for Out {
    fn send(&mut self, frames: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            tokio::time::sleep(self.pace).await;
            self.far.try_send(frames).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
        })
    }

    fn abandon(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

struct In(mpsc::Receiver<Frame>);

impl LaneIn for In {
    fn receive(&mut self) -> BoxFuture<'_, io::Result<Option<Frame>>> {
        Box::pin(async { Ok(self.0.recv().await) })
    }
}

/// Sends the far end of each opened lane to the test.
struct Played {
    primaries: Mutex<BTreeMap<NodeId, mpsc::Sender<Far>>>,
    pace: Duration,
}

impl PeerTransport for Played {
    fn open(&self, to: NodeId, _lane: Lane) -> BoxFuture<'_, io::Result<LaneEnds>> {
        let (out, requests) = mpsc::channel(64);
        let (replies, inbound) = mpsc::channel(64);
        let primaries = self.primaries.lock().expect("no panic");
        let abandoned = Arc::<AtomicBool>::default();
        let far = Far { requests, replies, abandoned: abandoned.clone() };
        primaries[&to].try_send(far).expect("the test receives");
        let out = Out { far: out, pace: self.pace, abandoned };
        let ends = LaneEnds { out: Box::new(out), inbound: Box::new(In(inbound)), link: None };
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
        Self::with_pace(Duration::ZERO)
    }

    /// The same with a line that takes this time for each write.
    fn with_pace(pace: Duration) -> Self {
        let (to_first, first) = mpsc::channel(64);
        let (to_second, second) = mpsc::channel(64);
        let (lead, seen) = watch::channel(Lead::There(FIRST));
        let (there, waiting) = FollowerExit::new();
        let road = Arc::new(Road::new(seen.clone(), Arc::new(NotHere), Arc::new(there)));
        let primaries = BTreeMap::from([(FIRST, to_first), (SECOND, to_second)]);
        let transport = Arc::new(Played { primaries: Mutex::new(primaries), pace });
        tokio::spawn(Forwarder::new(transport, road.clone(), seen, waiting).run());
        let attending = road.clone();
        tokio::spawn(async move { attending.drain_waiting().await });
        Self { road, lead, first, second }
    }

    fn ask(&self) -> Asked {
        self.ask_of(CALLER, 0, Duration::from_secs(5))
    }

    fn ask_of(&self, caller: Caller, bytes: usize, deadline: Duration) -> Asked {
        let road = self.road.clone();
        tokio::spawn(async move {
            let commands = Bytes::from(vec![7; bytes]);
            let request = Request::Submit { count: 1, atomic: false, commands };
            match road.send_and_wait(caller, request, deadline).await {
                Reply::Refused(refusal) => Some(refusal.code),
                _ => None,
            }
        })
    }
}

type Asked = tokio::task::JoinHandle<Option<RefusalCode>>;

const MIB: usize = 1 << 20;

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
        let left = far;
        let mut far = site.second.recv().await.expect("it's dialled");
        assert!(left.abandoned.load(Ordering::Relaxed), "what is sent again still fills the line");
        let number = far.request().await;
        far.refuse(number, code);
        assert_eq!(asked.await.expect("an end"), Some(RefusalCode::OutcomeUnknown), "{code:?}");
    }
}

/// A follower holds as many bytes for the primary as the primary's own queue would, whatever the
/// requests' number, and not all of them for one key.
#[tokio::test(start_paused = true)]
async fn what_waits_for_the_primary_is_bounded_in_bytes() {
    let mut site = Site::with_pace(Duration::from_secs(30));
    let minute = Duration::from_secs(60);
    let asked: Vec<_> = (0..80).map(|_| site.ask_of(CALLER, MIB, minute)).collect();
    let _far = site.first.recv().await.expect("it's dialled");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (refused, held): (Vec<_>, Vec<_>) = asked.into_iter().partition(Asked::is_finished);
    assert_eq!((held.len(), refused.len()), (QUEUED_BYTES_MAX / MIB * 3 / 4, 8));
    for refused in refused {
        assert_eq!(refused.await.expect("an end"), Some(RefusalCode::Overloaded));
    }
    let other = Caller { key: KeyId(9), ..CALLER };
    let other = site.ask_of(other, MIB, minute);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!other.is_finished(), "another key finds room");
}

/// Everything that was written once is answered; nothing is sent twice because the line is slow.
#[tokio::test(start_paused = true)]
async fn a_slow_line_slows_requests_and_replies_are_read_meanwhile() {
    let mut site = Site::with_pace(Duration::from_secs(3));
    let minute = Duration::from_secs(60);
    let mut asked: Vec<_> = (0..16).map(|_| site.ask_of(CALLER, MIB / 4, minute)).collect();
    let mut far = site.first.recv().await.expect("it's dialled");
    let mut expected = 0;
    while expected < 16 {
        let (bytes, numbers) = far.write().await;
        assert!(bytes <= MIB, "{bytes}");
        for number in numbers {
            assert_eq!(number, expected, "each is sent once");
            expected += 1;
            far.refuse(number, RefusalCode::TooLarge);
            // The next write is in progress.
            let answered = tokio::time::timeout(Duration::from_secs(1), asked.remove(0)).await;
            assert_eq!(answered.expect("at once").expect("an end"), Some(RefusalCode::TooLarge));
        }
    }
    assert!(site.first.try_recv().is_err(), "one lane was enough");
}

/// What can't leave in time ends as undone; what left is unknown.
#[tokio::test(start_paused = true)]
async fn a_request_that_never_left_was_not_done() {
    let site = Site::with_pace(Duration::from_secs(30));
    let first = site.ask_of(CALLER, MIB, Duration::from_secs(5));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = site.ask_of(CALLER, MIB, Duration::from_secs(5));
    assert_eq!(second.await.expect("an end"), Some(RefusalCode::Overloaded));
    assert_eq!(first.await.expect("an end"), Some(RefusalCode::OutcomeUnknown));
}
