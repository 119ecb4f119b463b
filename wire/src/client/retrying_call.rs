//! One call, from its start to its answer or its deadline: whom to ask, when to ask another, what it all means.
//!
//! Asking several sites at a time is safe: commands carry their ids, and the ledger decides each once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::Instant;

use super::{Shared, error::ClientError, raw::Reply};
use crate::{
    codec, frame,
    limits::{DEADLINE_MS_MAX, DEADLINE_MS_MIN},
    reply::{Refusal, RefusalCode},
    request::{Consistency, Query, READ, ReadRequest, Submit},
};

/// A site that is alive but doesn't answer: after so many times the silence others are asked as well.
const SLOW_FACTOR: u32 = 4;
/// Between two tries at the least and at the most; doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(4);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// The least where a site has asked for patience.
const PAUSE_PATIENT: Duration = Duration::from_millis(20);

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Submit { count: u32, atomic: bool, commands: Bytes },
    Read { query: Query, consistency: Consistency },
}

impl Request {
    /// Bytes of its frame, nearly.
    pub(crate) fn frame_bytes(&self) -> usize {
        match self {
            Self::Submit { commands, .. } => commands.len() + 32,
            Self::Read { .. } => 96,
        }
    }

    /// Puts its frame behind what `buffer` holds.
    pub(crate) fn write(&self, number: u64, deadline: Instant, buffer: &mut Vec<u8>) {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let deadline_ms =
            u32::try_from(left).unwrap_or(u32::MAX).clamp(DEADLINE_MS_MIN, DEADLINE_MS_MAX);
        match self {
            Self::Submit { count, atomic, commands } => {
                let at = Submit::start(number, deadline_ms, *count, *atomic, buffer);
                buffer.extend_from_slice(commands);
                frame::finish(buffer, at);
            }
            Self::Read { query, consistency } => {
                let (query, consistency) = (query.clone(), *consistency);
                let request = ReadRequest { number, deadline_ms, consistency, query };
                let at = frame::start(buffer, READ);
                codec::encode_into(&request, buffer);
                frame::finish(buffer, at);
            }
        }
    }

    /// Whether asking it may change the ledger.
    fn changes_ledger(&self) -> bool {
        matches!(self, Self::Submit { .. })
    }

    fn is_answered_by(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Self::Submit { count, .. }, Reply::Outcomes(outcomes)) => {
                u32::try_from(outcomes.answers.len()) == Ok(*count)
            }
            (Self::Read { .. }, Reply::View(_)) => true,
            _ => false,
        }
    }
}

/// How one try ended without a reply.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// It never left.
    NothingDone(String),
    /// It left, and no reply came.
    MayHaveHappened(String),
    /// The site doesn't let us in.
    Refused(Refusal),
}

/// A site that was asked and hasn't answered yet.
struct RequestedSite {
    site: usize,
    since: Instant,
    sent: Arc<AtomicBool>,
    given_up: bool,
}

pub(crate) struct RetryingCall<'a> {
    shared: &'a Shared,
    connection: usize,
    request: &'a Request,
    only: Option<usize>,
    deadline: Instant,
    asked: Vec<RequestedSite>,
    last_site: Option<usize>,
    next_try: Option<Instant>,
    tries: u32,
    /// A site has said that there's no primary.
    no_primary: bool,
    /// Sites that couldn't help during this call.
    hopeless: Vec<usize>,
    uncertain: bool,
    why: String,
}

impl<'a> RetryingCall<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        connection: usize,
        request: &'a Request,
        only: Option<usize>,
    ) -> Self {
        let bounds = [DEADLINE_MS_MIN, DEADLINE_MS_MAX].map(|ms| Duration::from_millis(ms.into()));
        let deadline = Instant::now() + shared.options.deadline.clamp(bounds[0], bounds[1]);
        Self {
            shared,
            connection,
            request,
            only,
            deadline,
            asked: Vec::new(),
            last_site: None,
            next_try: None,
            tries: 0,
            no_primary: false,
            hopeless: Vec::new(),
            uncertain: false,
            why: "no site answered".into(),
        }
    }

    pub(crate) async fn run(mut self) -> Result<Reply, ClientError> {
        let mut tries = FuturesUnordered::new();
        let (shared, connection, request, deadline) =
            (self.shared, self.connection, self.request, self.deadline);
        let ask = |(site, sent)| attempt(shared, connection, site, request, deadline, sent);
        tries.extend(self.next_site().map(ask));
        loop {
            let wake_at = self.wake_at();
            tokio::select! {
                biased;
                Some((site, result)) = tries.next() => {
                    self.asked.retain(|asked| asked.site != site);
                    if let Some(end) = self.judge(site, result) {
                        return end;
                    }
                }
                () = tokio::time::sleep_until(wake_at) => {
                    if Instant::now() >= self.deadline {
                        return Err(self.timeout_error());
                    }
                    tries.extend(self.next_retry().map(ask));
                    if self.is_over() {
                        return Err(ClientError::Unavailable(self.why));
                    }
                }
            }
        }
    }

    /// Chooses whom to ask, and notes that it's asked.
    fn next_site(&mut self) -> Option<(usize, Arc<AtomicBool>)> {
        self.next_try = None;
        let busy: Vec<usize> = self.asked.iter().map(|asked| asked.site).collect();
        let site = match self.only {
            Some(only) => Some(only).filter(|only| !busy.contains(only)),
            None => self.shared.route.choose(&busy, self.last_site.take()),
        }?;
        let sent = Arc::new(AtomicBool::new(false));
        let asked =
            RequestedSite { site, since: Instant::now(), sent: sent.clone(), given_up: false };
        self.asked.push(asked);
        Some((site, sent))
    }

    fn wake_at(&self) -> Instant {
        let look_again = (!self.asked.iter().all(|asked| asked.given_up))
            .then(|| Instant::now() + self.shared.options.silence / 3);
        [look_again, self.next_try].into_iter().flatten().fold(self.deadline, Instant::min)
    }

    /// Time has passed: whom to ask now, if anybody.
    fn next_retry(&mut self) -> Option<(usize, Arc<AtomicBool>)> {
        let now = Instant::now();
        if self.next_try.is_some_and(|at| now >= at) || self.give_up_slow_site(now) {
            return self.next_site();
        }
        None
    }

    /// Whether one of the asked sites turns out to be silent, or alive but far too slow.
    fn give_up_slow_site(&mut self, now: Instant) -> bool {
        let silence = self.shared.options.silence;
        for asked in self.asked.iter_mut().filter(|asked| !asked.given_up) {
            let waited = now - asked.since;
            let session = self.shared.cells[self.connection][asked.site].session();
            let quiet = match &session {
                Some(session) if asked.sent.load(Ordering::Relaxed) => {
                    session.quiet_for().min(waited)
                }
                _ => waited,
            };
            if quiet < silence && waited < silence * SLOW_FACTOR {
                continue;
            }
            asked.given_up = true;
            if !self.hopeless.contains(&asked.site) {
                self.hopeless.push(asked.site);
            }
            if quiet >= silence {
                self.shared.route.mark_failed(asked.site);
                if let Some(session) = session {
                    session.mark_silent();
                }
            }
            return true;
        }
        false
    }

    /// What a try's end means; `None`: go on.
    fn judge(
        &mut self,
        site: usize,
        result: Result<Reply, Failure>,
    ) -> Option<Result<Reply, ClientError>> {
        let refusal = match result {
            Ok(reply) if self.request.is_answered_by(&reply) => {
                self.shared.route.mark_answered(site);
                return Some(Ok(reply));
            }
            Ok(Reply::Refused(refused)) => refused.refusal,
            Ok(_) => {
                self.uncertain = true;
                return self
                    .retry_elsewhere(site, "the site's answer doesn't fit the request".into());
            }
            Err(Failure::NothingDone(why)) => return self.retry_elsewhere(site, why),
            Err(Failure::MayHaveHappened(why)) => {
                self.uncertain = true;
                return self.retry_elsewhere(site, why);
            }
            Err(Failure::Refused(refusal)) => refusal,
        };
        match refusal.code {
            RefusalCode::OutcomeUnknown => {
                self.uncertain = true;
                self.retry_elsewhere(site, refusal.to_string())
            }
            RefusalCode::Overloaded | RefusalCode::RateLimited => {
                self.why = refusal.to_string();
                self.schedule_retry(PAUSE_PATIENT);
                None
            }
            code if code.is_retryable() => {
                self.no_primary |= code == RefusalCode::NoPrimary;
                self.retry_elsewhere(site, refusal.to_string())
            }
            _ if self.may_have_happened() => Some(Err(ClientError::Unknown(refusal.to_string()))),
            _ => Some(Err(ClientError::Refused(refusal))),
        }
    }

    /// This site can't help at the moment: the next one, after a pause that grows.
    fn retry_elsewhere(&mut self, site: usize, why: String) -> Option<Result<Reply, ClientError>> {
        self.why = format!("{}: {why}", self.shared.config.sites[site].name);
        self.shared.route.mark_failed(site);
        self.last_site = Some(site);
        if !self.hopeless.contains(&site) {
            self.hopeless.push(site);
        }
        if self.is_over() {
            return Some(Err(ClientError::Unavailable(self.why.clone())));
        }
        self.schedule_retry(PAUSE_MIN);
        None
    }

    /// Whether no site could help, one said that there's no primary, and the caller doesn't want to wait for one.
    fn is_over(&self) -> bool {
        let everybody = match self.only {
            Some(only) => self.hopeless.contains(&only),
            None => (0..self.shared.config.sites.len()).all(|site| self.hopeless.contains(&site)),
        };
        self.shared.options.no_primary_is_final
            && self.no_primary
            && everybody
            && !self.may_have_happened()
    }

    fn schedule_retry(&mut self, least: Duration) {
        let pause = least.saturating_mul(1 << self.tries.min(10)).min(PAUSE_MAX);
        // Between half and all of it, so that many callers don't come back together.
        let random = getrandom::u32().unwrap_or(0) % 256;
        self.tries += 1;
        self.next_try = Some(Instant::now() + pause / 2 + pause / 2 * random / 256);
    }

    fn may_have_happened(&self) -> bool {
        let on_the_way = self.asked.iter().any(|asked| asked.sent.load(Ordering::Relaxed));
        self.request.changes_ledger() && (self.uncertain || on_the_way)
    }

    fn timeout_error(&self) -> ClientError {
        let ms = self.shared.options.deadline.as_millis();
        let why = format!("no answer within {ms} ms; {}", self.why);
        if self.may_have_happened() {
            ClientError::Unknown(why)
        } else {
            ClientError::Unavailable(why)
        }
    }
}

async fn attempt(
    shared: &Shared,
    connection: usize,
    site: usize,
    request: &Request,
    deadline: Instant,
    sent: Arc<AtomicBool>,
) -> (usize, Result<Reply, Failure>) {
    let asked = async {
        let session = shared.open_session(connection, site).await?;
        let reply = session.send_request(request, deadline, &sent).await?;
        Reply::read(&reply).map_err(|error| Failure::MayHaveHappened(error.to_string()))
    };
    (site, asked.await)
}
