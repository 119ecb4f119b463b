//! One connection in use: requests get numbers and are written together, one task reads the replies and hands each to
//! whoever waits for it.

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

/// Bytes that may wait to be written; more, and callers wait.
const OUTGOING_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;
/// How often a site that is in use is asked who the primary is.
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
    /// Held while somebody connects; what became of the last try.
    connecting: tokio::sync::Mutex<Option<(Instant, SessionError)>>,
}

impl SessionSlot {
    /// The session, whatever its state.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.session.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The session, if it can be used.
    pub(crate) fn usable_session(&self) -> Option<Arc<Session>> {
        self.session().filter(|session| session.is_usable())
    }

    /// Connects, unless another call has done so meanwhile. Calls that waited for the same try share its failure.
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
                let mut cell = self.session.write().unwrap_or_else(PoisonError::into_inner);
                *cell = Some(session.clone());
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
    desk: Arc<SessionState>,
    asker: Arc<PrimaryProbe>,
    /// The datagrams that had arrived when somebody last looked, and when that number last changed.
    signs: Mutex<(u64, Instant)>,
    tasks: [JoinHandle<()>; 3],
}

impl Session {
    fn start(connection: RawConnection, route: Arc<Route>) -> Self {
        let asker = Arc::new(connection.primary_probe());
        let (sender, receiver) = connection.split();
        let desk = Arc::new(SessionState::new());
        let tasks = [
            tokio::spawn(write_frames(desk.clone(), sender)),
            tokio::spawn(read_replies(desk.clone(), receiver)),
            tokio::spawn(ask_for_primary(desk.clone(), asker.clone(), route)),
        ];
        let signs = Mutex::new((asker.datagrams_received(), Instant::now()));
        Self { desk, asker, signs, tasks }
    }

    fn is_usable(&self) -> bool {
        !self.desk.silent.load(Ordering::Relaxed) && !self.desk.ended.load(Ordering::Relaxed)
    }

    /// How long nothing at all has come from the site. A site that only takes its time acknowledges what it gets.
    pub(crate) fn quiet_for(&self) -> Duration {
        let datagrams = self.asker.datagrams_received();
        let now = Instant::now();
        let mut signs = lock(&self.signs);
        if signs.0 != datagrams {
            *signs = (datagrams, now);
        }
        now - signs.1
    }

    /// Nobody uses it any more until something comes from the site.
    pub(crate) fn mark_silent(&self) {
        self.desk.silent.store(true, Ordering::Relaxed);
    }

    /// Sends a request and waits for its reply. `sent` becomes true once the site may have it.
    pub(crate) async fn send_request(
        &self,
        request: &Request,
        deadline: Instant,
        sent: &AtomicBool,
    ) -> Result<Frame, SessionError> {
        let desk = &*self.desk;
        let _turn = desk.turns.acquire().await.map_err(|_| desk.nothing_done())?;
        let bytes = u32::try_from(request.frame_bytes()).unwrap_or(u32::MAX);
        let room = desk.room.acquire_many(bytes).await.map_err(|_| desk.nothing_done())?;
        let number = desk.next_number.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        {
            let mut waiting = lock(&desk.waiting);
            if desk.ended.load(Ordering::Relaxed) {
                return Err(desk.nothing_done());
            }
            waiting.insert(number, reply);
        }
        let _waiting = PendingReply { desk, number };
        request.write(number, deadline, &mut lock(&desk.outgoing));
        sent.store(true, Ordering::Relaxed);
        room.forget();
        desk.wake.notify_one();
        desk.used.store(true, Ordering::Relaxed);
        answer.await.map_err(|_| SessionError::MayHaveHappened(desk.why_ended()))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.asker.close();
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What calls and tasks of a session share.
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
            // 0 is HELLO's.
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

    /// Everybody who waits learns that no reply will come.
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

/// A call that waits; gives its number back however it ends.
struct PendingReply<'a> {
    desk: &'a SessionState,
    number: u64,
}

impl Drop for PendingReply<'_> {
    fn drop(&mut self) {
        lock(&self.desk.waiting).remove(&self.number);
    }
}

async fn write_frames(desk: Arc<SessionState>, mut sender: RawSender) {
    loop {
        desk.wake.notified().await;
        loop {
            let frames = mem::take(&mut *lock(&desk.outgoing));
            let bytes = frames.len();
            if bytes == 0 {
                break;
            }
            if let Err(error) = sender.send_bytes(frames.into()).await {
                desk.end(format!("the connection was lost: {error}"));
                return;
            }
            desk.room.add_permits(bytes);
        }
    }
}

async fn read_replies(desk: Arc<SessionState>, mut receiver: RawReceiver) {
    let why = loop {
        match receiver.receive().await {
            Ok(Some(frame)) => {
                desk.silent.store(false, Ordering::Relaxed);
                let Some(number) = Reply::request_number(&frame) else {
                    break format!("a frame of type {} is no reply", frame.kind);
                };
                // A reply that nobody waits for any more is dropped.
                let waiter = lock(&desk.waiting).remove(&number);
                if let Some(waiter) = waiter {
                    let _ = waiter.send(frame);
                }
            }
            Ok(None) => break "the site ended the conversation".into(),
            Err(error) => break format!("the connection was lost: {error}"),
        }
    };
    desk.end(why);
}

async fn ask_for_primary(desk: Arc<SessionState>, asker: Arc<PrimaryProbe>, route: Arc<Route>) {
    while !desk.ended.load(Ordering::Relaxed) {
        tokio::time::sleep(PRIMARY_ASKED_EVERY).await;
        if desk.used.swap(false, Ordering::Relaxed)
            && let Some(welcome) = asker.ask_primary().await
        {
            route.update_primary(welcome);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
