//! One connection shared by many calls: requests get numbers and are written together; one task
//! reads the replies and hands each to the call that waits for it.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, oneshot},
    task::JoinHandle,
    time::Instant,
};

use super::{
    SiteAddress,
    quic::Request,
    raw::{ConnectError, Connector, PrimaryProbe, RawConnection, RawReceiver, RawSender, Reply},
    route::Route,
};
use crate::{
    frame::Frame,
    limits::{FRAME_BYTES_MAX, REQUESTS_OUTSTANDING_MAX},
    reply::Refusal,
};

/// The most bytes that wait to be written; beyond that, calls wait (back-pressure).
const OUTGOING_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// The interval at which a site in use is asked for the primary.
const PRIMARY_ASKED_EVERY: Duration = Duration::from_secs(2);

/// How a request to a site ended without a reply.
#[derive(Clone, Debug)]
pub(crate) enum SessionError {
    /// It never left.
    NothingDone(String),
    /// It left, and no reply came.
    MayHaveHappened(String),
    /// The site rejects this client.
    Refused(Refusal),
}

/// The slot for one connection's session with one site.
#[derive(Debug, Default)]
pub(crate) struct SessionSlot {
    session: RwLock<Option<Arc<Session>>>,
    /// Held while a call connects; time and error of the last attempt that failed.
    connecting: tokio::sync::Mutex<Option<(Instant, SessionError)>>,
}

impl SessionSlot {
    /// The session, in any state.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.session.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The session if it's usable.
    pub(crate) fn usable_session(&self) -> Option<Arc<Session>> {
        self.session().filter(|session| session.is_usable())
    }

    /// Connects, unless another call has done so meanwhile. Calls that waited for the same attempt
    /// share its error.
    pub(crate) async fn connect(
        &self,
        connector: &Connector,
        site: &SiteAddress,
        route: &Arc<Route>,
    ) -> Result<Arc<Session>, SessionError> {
        let asked_at = Instant::now();
        let mut last_failure = self.connecting.lock().await;
        if let Some(session) = self.usable_session() {
            return Ok(session);
        }
        if let Some((at, failure)) = &*last_failure
            && *at >= asked_at
        {
            return Err(failure.clone());
        }
        match connector.connect(site).await {
            Ok(connection) => {
                route.update_primary(connection.welcome().clone());
                let session = Arc::new(Session::start(connection, route.clone()));
                let mut slot = self.session.write().unwrap_or_else(PoisonError::into_inner);
                *slot = Some(session.clone());
                Ok(session)
            }
            Err(error) => {
                let failure = match error {
                    ConnectError::Refused { refusal, .. } => SessionError::Refused(refusal),
                    other => SessionError::NothingDone(other.to_string()),
                };
                *last_failure = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }
}

/// A connection, its tasks, and the calls that wait for it.
#[derive(Debug)]
pub(crate) struct Session {
    state: Arc<SessionState>,
    probe: Arc<PrimaryProbe>,
    /// The number of datagrams received at the last check, and the time when it last grew.
    arrivals: Mutex<(u64, Instant)>,
    tasks: [JoinHandle<()>; 3],
}

impl Session {
    fn start(connection: RawConnection, route: Arc<Route>) -> Self {
        let probe = Arc::new(connection.primary_probe());
        let (sender, receiver) = connection.split();
        let state = Arc::new(SessionState::new());
        let tasks = [
            tokio::spawn(write_frames(state.clone(), sender)),
            tokio::spawn(read_replies(state.clone(), receiver)),
            tokio::spawn(ask_for_primary(state.clone(), probe.clone(), route)),
        ];
        let arrivals = Mutex::new((probe.datagrams_received(), Instant::now()));
        Self { state, probe, arrivals, tasks }
    }

    fn is_usable(&self) -> bool {
        !self.state.silent.load(Ordering::Relaxed) && !self.state.ended.load(Ordering::Relaxed)
    }

    /// The time since the last datagram from the site. A slow site still acknowledges packets.
    pub(crate) fn quiet_for(&self) -> Duration {
        let datagrams = self.probe.datagrams_received();
        let now = Instant::now();
        let mut arrivals = lock(&self.arrivals);
        if arrivals.0 != datagrams {
            *arrivals = (datagrams, now);
        }
        now - arrivals.1
    }

    /// Makes the session unusable until a reply comes from the site.
    pub(crate) fn mark_silent(&self) {
        self.state.silent.store(true, Ordering::Relaxed);
    }

    /// Sends a request and waits for its reply. Sets `sent` once the site may have the request.
    pub(crate) async fn send_request(
        &self,
        request: &Request,
        deadline: Instant,
        sent: &AtomicBool,
    ) -> Result<Frame, SessionError> {
        let state = &*self.state;
        let _turn = state.turns.acquire().await.map_err(|_| state.nothing_done())?;
        let bytes = u32::try_from(request.frame_bytes()).unwrap_or(u32::MAX);
        let room = state.room.acquire_many(bytes).await.map_err(|_| state.nothing_done())?;
        let number = state.next_number.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        {
            let mut waiting = lock(&state.waiting);
            if state.ended.load(Ordering::Relaxed) {
                return Err(state.nothing_done());
            }
            waiting.insert(number, reply);
        }
        let _waiting = PendingReply { state, number };
        request.write(number, deadline, &mut lock(&state.outgoing));
        sent.store(true, Ordering::Relaxed);
        room.forget();
        state.wake.notify_one();
        state.used.store(true, Ordering::Relaxed);
        answer.await.map_err(|_| SessionError::MayHaveHappened(state.why_ended()))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.probe.close();
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The state that a session's calls and tasks share.
#[derive(Debug)]
struct SessionState {
    next_number: AtomicU64,
    turns: Semaphore,
    room: Semaphore,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Frame>>>,
    outgoing: Mutex<Vec<u8>>,
    wake: Notify,
    used: AtomicBool,
    silent: AtomicBool,
    ended: AtomicBool,
    why_ended: Mutex<String>,
}

impl SessionState {
    fn new() -> Self {
        Self {
            // Number 0 is HELLO's.
            next_number: AtomicU64::new(1),
            turns: Semaphore::new(REQUESTS_OUTSTANDING_MAX),
            room: Semaphore::new(OUTGOING_BYTES_MAX),
            waiting: Mutex::default(),
            outgoing: Mutex::default(),
            wake: Notify::new(),
            used: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            why_ended: Mutex::default(),
        }
    }

    /// Ends the session: all calls that wait for a reply fail.
    fn end(&self, why: String) {
        let mut waiting = lock(&self.waiting);
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        *lock(&self.why_ended) = why;
        self.ended.store(true, Ordering::Relaxed);
        self.turns.close();
        self.room.close();
        waiting.clear();
    }

    fn why_ended(&self) -> String {
        lock(&self.why_ended).clone()
    }

    fn nothing_done(&self) -> SessionError {
        SessionError::NothingDone(self.why_ended())
    }
}

/// A call's entry among the waiting ones; removed when the call ends in any way.
struct PendingReply<'a> {
    state: &'a SessionState,
    number: u64,
}

impl Drop for PendingReply<'_> {
    fn drop(&mut self) {
        lock(&self.state.waiting).remove(&self.number);
    }
}

async fn write_frames(state: Arc<SessionState>, mut sender: RawSender) {
    loop {
        state.wake.notified().await;
        loop {
            let frames = mem::take(&mut *lock(&state.outgoing));
            let bytes = frames.len();
            if bytes == 0 {
                break;
            }
            if let Err(error) = sender.send_bytes(frames.into()).await {
                state.end(format!("the connection was lost: {error}"));
                return;
            }
            state.room.add_permits(bytes);
        }
    }
}

async fn read_replies(state: Arc<SessionState>, mut receiver: RawReceiver) {
    let why = loop {
        match receiver.receive().await {
            Ok(Some(frame)) => {
                state.silent.store(false, Ordering::Relaxed);
                let Some(number) = Reply::request_number(&frame) else {
                    break format!("a frame of type {} is no reply", frame.kind);
                };
                // If the call has ended, its reply is dropped.
                let waiter = lock(&state.waiting).remove(&number);
                if let Some(waiter) = waiter {
                    let _ = waiter.send(frame);
                }
            }
            Ok(None) => break "the site ended the stream".into(),
            Err(error) => break format!("the connection was lost: {error}"),
        }
    };
    state.end(why);
}

async fn ask_for_primary(state: Arc<SessionState>, probe: Arc<PrimaryProbe>, route: Arc<Route>) {
    while !state.ended.load(Ordering::Relaxed) {
        tokio::time::sleep(PRIMARY_ASKED_EVERY).await;
        if state.used.swap(false, Ordering::Relaxed)
            && let Some(welcome) = probe.ask_primary().await
        {
            route.update_primary(welcome);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
