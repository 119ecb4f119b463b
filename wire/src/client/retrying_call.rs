//! One call over any transport, from its start to its answer or its deadline: it chooses the site
//! to ask, asks others when that one fails or is slow, and decides how the call ends.
//!
//! Asking several sites at a time is safe: commands carry their ids, and the ledger decides each
//! once. After an attempt that may have reached a journal, a later "nothing was done" proves
//! nothing: the call ends with an answer or as unknown.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::Instant;

use super::{ClientOptions, error::ClientError, route::Route};
use crate::{
    limits::{DEADLINE_MS_MAX, DEADLINE_MS_MIN},
    reply::{Refusal, RefusalCode},
};

/// A site that is alive but hasn't answered after this multiple of the silence is slow: others are
/// asked as well.
const SLOW_FACTOR: u32 = 4;
/// The shortest and the longest pause between two attempts; doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(4);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// The shortest pause if a site is overloaded.
const PAUSE_OVERLOADED: Duration = Duration::from_millis(20);

/// The shortest pause after a key has used up its rate: a full batch's share of the usual rate.
const PAUSE_RATE_LIMITED: Duration = Duration::from_millis(100);

/// Carries one request to one site.
///
/// It never repeats a request that may have left and never asks another site: the call does that.
pub trait SiteTransport: Sync {
    /// A request, for any site.
    type Request: Sync;
    /// A site's answer to a request.
    type Answer: Send;

    /// Whether the request may change the ledger. If not, its outcome is never unknown.
    fn may_change_ledger(request: &Self::Request) -> bool;

    /// Sends the request to a site and classifies the result. Sets `sent` once the site may have
    /// the request. The call drops the future at the deadline.
    fn attempt(
        &self,
        site: usize,
        request: &Self::Request,
        deadline: Instant,
        sent: &AtomicBool,
    ) -> impl Future<Output = Attempt<Self::Answer>> + Send;

    /// The time since anything last came from a site that has a request; `None` if the transport
    /// can't tell. Such a site counts as silent when it's slow.
    fn quiet_for(&self, site: usize) -> Option<Duration>;

    /// Called when a site turns out to be silent.
    fn mark_silent(&self, site: usize);
}

/// How one attempt ended.
#[derive(Debug)]
pub enum Attempt<A> {
    /// With an answer to the request.
    Answered(A),
    /// Certainly nothing was done; another site may help.
    NothingDone(String),
    /// The same, because there is no primary.
    NoPrimary(String),
    /// Certainly nothing was done; this site can help later.
    Overloaded {
        /// The site's reason.
        why: String,
        /// The time to wait before the site is asked again.
        wait: Duration,
    },
    /// It may have been done.
    MayHaveHappened(String),
    /// Any site would refuse the same request again.
    Refused(Refusal),
}

impl<A> Attempt<A> {
    /// Classifies a refusal.
    #[must_use]
    pub fn from_refusal(refusal: Refusal) -> Self {
        match refusal.code {
            RefusalCode::OutcomeUnknown => Self::MayHaveHappened(refusal.to_string()),
            RefusalCode::Overloaded => {
                Self::Overloaded { why: refusal.to_string(), wait: Duration::ZERO }
            }
            RefusalCode::RateLimited => {
                Self::Overloaded { why: refusal.to_string(), wait: PAUSE_RATE_LIMITED }
            }
            RefusalCode::NoPrimary => Self::NoPrimary(refusal.to_string()),
            code if code.is_retryable() => Self::NothingDone(refusal.to_string()),
            _ => Self::Refused(refusal),
        }
    }
}

/// A site with a request in flight.
struct RequestedSite {
    site: usize,
    since: Instant,
    sent: Arc<AtomicBool>,
    given_up: bool,
}

/// A call that repeats one request, with the same ids, until there's an answer or its deadline
/// passes.
pub struct RetryingCall<'a, T: SiteTransport> {
    transport: &'a T,
    route: &'a Route,
    options: &'a ClientOptions,
    request: &'a T::Request,
    only: Option<usize>,
    deadline: Instant,
    asked: Vec<RequestedSite>,
    last_site: Option<usize>,
    next_try: Option<Instant>,
    tries: u32,
    /// A site has reported that there's no primary.
    no_primary: bool,
    /// Sites that failed during this call.
    hopeless: Vec<usize>,
    uncertain: bool,
    /// The last failure of each site.
    failures: Vec<Option<String>>,
}

impl<'a, T: SiteTransport> RetryingCall<'a, T> {
    /// A call that sends `request`; if `only` is given, to that site alone.
    pub fn new(
        transport: &'a T,
        route: &'a Route,
        options: &'a ClientOptions,
        request: &'a T::Request,
        only: Option<usize>,
    ) -> Self {
        let bounds = [DEADLINE_MS_MIN, DEADLINE_MS_MAX].map(|ms| Duration::from_millis(ms.into()));
        Self {
            transport,
            route,
            options,
            request,
            only,
            deadline: Instant::now() + options.deadline.clamp(bounds[0], bounds[1]),
            asked: Vec::new(),
            last_site: None,
            next_try: None,
            tries: 0,
            no_primary: false,
            hopeless: Vec::new(),
            uncertain: false,
            failures: vec![None; route.site_count()],
        }
    }

    /// Runs the call to its end.
    ///
    /// # Errors
    /// See [`ClientError`]; never `Unknown` for a request that can't change the ledger.
    pub async fn run(mut self) -> Result<T::Answer, ClientError> {
        if self.route.site_count() == 0 {
            return Err(ClientError::Unavailable("the configuration names no site".into()));
        }
        let mut attempts = FuturesUnordered::new();
        let (transport, request, deadline) = (self.transport, self.request, self.deadline);
        let ask = |(site, sent): (usize, Arc<AtomicBool>)| async move {
            (site, transport.attempt(site, request, deadline, &sent).await)
        };
        attempts.extend(self.next_site().map(ask));
        loop {
            let wake_at = self.wake_at();
            tokio::select! {
                biased;
                Some((site, attempt)) = attempts.next() => {
                    self.asked.retain(|asked| asked.site != site);
                    if let Some(end) = self.judge(site, attempt) {
                        return end;
                    }
                }
                () = tokio::time::sleep_until(wake_at) => {
                    if Instant::now() >= self.deadline {
                        return Err(self.timeout_error());
                    }
                    attempts.extend(self.next_retry().map(ask));
                    if self.is_over() {
                        return Err(ClientError::Unavailable(self.describe_failures()));
                    }
                }
            }
        }
    }

    /// Chooses a site and notes that it's asked.
    fn next_site(&mut self) -> Option<(usize, Arc<AtomicBool>)> {
        self.next_try = None;
        let busy: Vec<usize> = self.asked.iter().map(|asked| asked.site).collect();
        let site = match self.only {
            Some(only) => Some(only).filter(|only| !busy.contains(only)),
            None => self.route.choose(&busy, self.last_site.take()),
        }?;
        let sent = Arc::new(AtomicBool::new(false));
        let asked =
            RequestedSite { site, since: Instant::now(), sent: sent.clone(), given_up: false };
        self.asked.push(asked);
        Some((site, sent))
    }

    fn wake_at(&self) -> Instant {
        let look_again = (!self.asked.iter().all(|asked| asked.given_up))
            .then(|| Instant::now() + self.options.silence / 3);
        [look_again, self.next_try].into_iter().flatten().fold(self.deadline, Instant::min)
    }

    /// The site to ask now that time has passed, if any.
    fn next_retry(&mut self) -> Option<(usize, Arc<AtomicBool>)> {
        let now = Instant::now();
        if self.next_try.is_some_and(|at| now >= at) || self.give_up_slow_site(now) {
            return self.next_site();
        }
        None
    }

    /// Gives up one asked site that is silent or slow; `false` if there is none.
    fn give_up_slow_site(&mut self, now: Instant) -> bool {
        let silence = self.options.silence;
        for asked in self.asked.iter_mut().filter(|asked| !asked.given_up) {
            let waited = now - asked.since;
            let is_slow = waited >= silence * SLOW_FACTOR;
            let is_silent = if asked.sent.load(Ordering::Relaxed) {
                match self.transport.quiet_for(asked.site) {
                    Some(quiet) => quiet.min(waited) >= silence,
                    None => is_slow,
                }
            } else {
                waited >= silence
            };
            if !is_silent && !is_slow {
                continue;
            }
            asked.given_up = true;
            if !self.hopeless.contains(&asked.site) {
                self.hopeless.push(asked.site);
            }
            if is_silent {
                self.route.mark_failed(asked.site);
                self.transport.mark_silent(asked.site);
            }
            return true;
        }
        false
    }

    /// Draws the conclusion from an attempt's end; `None`: the call goes on.
    fn judge(
        &mut self,
        site: usize,
        attempt: Attempt<T::Answer>,
    ) -> Option<Result<T::Answer, ClientError>> {
        match attempt {
            Attempt::Answered(answer) => {
                self.route.mark_answered(site);
                Some(Ok(answer))
            }
            Attempt::Overloaded { why, wait } => {
                self.failures[site] = Some(why);
                self.schedule_retry(PAUSE_OVERLOADED, wait);
                None
            }
            Attempt::NothingDone(why) => self.retry_elsewhere(site, why),
            Attempt::NoPrimary(why) => {
                self.no_primary = true;
                self.retry_elsewhere(site, why)
            }
            Attempt::MayHaveHappened(why) => {
                self.uncertain = true;
                self.retry_elsewhere(site, why)
            }
            Attempt::Refused(refusal) if self.may_have_happened() => {
                let why = format!("an earlier attempt may have been done; now {refusal}");
                Some(Err(ClientError::Unknown(why)))
            }
            Attempt::Refused(refusal) => Some(Err(ClientError::Refused(refusal))),
        }
    }

    /// Schedules an attempt at the next site, after a pause that grows.
    fn retry_elsewhere(
        &mut self,
        site: usize,
        why: String,
    ) -> Option<Result<T::Answer, ClientError>> {
        self.failures[site] = Some(why);
        self.route.mark_failed(site);
        self.last_site = Some(site);
        if !self.hopeless.contains(&site) {
            self.hopeless.push(site);
        }
        if self.is_over() {
            return Some(Err(ClientError::Unavailable(self.describe_failures())));
        }
        self.schedule_retry(PAUSE_MIN, Duration::ZERO);
        None
    }

    /// Whether every site failed, one of them for lack of a primary, and the options don't wait for
    /// a primary.
    fn is_over(&self) -> bool {
        let all_hopeless = match self.only {
            Some(only) => self.hopeless.contains(&only),
            None => (0..self.route.site_count()).all(|site| self.hopeless.contains(&site)),
        };
        self.options.no_primary_is_final
            && self.no_primary
            && all_hopeless
            && !self.may_have_happened()
    }

    /// Schedules the next attempt: after a pause that begins at `first` and doubles each time, and
    /// not before `wait` is over.
    fn schedule_retry(&mut self, first: Duration, wait: Duration) {
        let pause = first.saturating_mul(1 << self.tries.min(10)).min(PAUSE_MAX);
        // Jitter: between half and all of the pause, so that many callers don't retry together.
        let random = getrandom::u32().unwrap_or(0) % 256;
        self.tries += 1;
        let pause = pause / 2 + pause / 2 * random / 256;
        self.next_try = Some(Instant::now() + pause.max(wait));
    }

    fn may_have_happened(&self) -> bool {
        let on_the_way = self.asked.iter().any(|asked| asked.sent.load(Ordering::Relaxed));
        T::may_change_ledger(self.request) && (self.uncertain || on_the_way)
    }

    fn timeout_error(&self) -> ClientError {
        let ms = self.options.deadline.as_millis();
        let why = format!("no answer within {ms} ms; {}", self.describe_failures());
        if self.may_have_happened() {
            ClientError::Unknown(why)
        } else {
            ClientError::Unavailable(why)
        }
    }

    /// The last failure of every site that had one.
    fn describe_failures(&self) -> String {
        let failures = self.failures.iter().enumerate().filter_map(|(site, why)| {
            why.as_ref().map(|why| format!("{}: {why}", self.route.site_name(site)))
        });
        let failures: Vec<String> = failures.collect();
        if failures.is_empty() { "no site answered".into() } else { failures.join("; ") }
    }
}
