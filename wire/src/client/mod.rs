//! The client of a cluster: it takes any site, finds the primary, and never makes up an answer.
//!
//! Commands carry their own ids, so a request is sent again, with the same ids, until it's answered
//! or its deadline passes. The end is one of four: a [`CommandAnswer`] per command (committed or
//! rejected: both are answers), [`ClientError::Refused`] (the request itself is bad),
//! [`ClientError::Unavailable`] (certainly nothing was done) or [`ClientError::Unknown`] (it may
//! have been done: ask again with the same ids).
//!
//! Few connections carry many calls: requests are numbered, written together, and answered in any
//! order. [`raw`] is the same connection without retries. [`RetryingCall`] works over any
//! [`SiteTransport`]; the one here is QUIC.

mod config;
mod error;
mod quic;
pub mod raw;
mod retrying_call;
mod route;
mod session;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

pub use config::{ClientConfig, ConfigError, SiteAddress};
pub use error::ClientError;
pub use retrying_call::{Attempt, RetryingCall, SiteTransport};
pub use route::Route;

use crate::{
    codec,
    command::Command,
    limits::{COMMANDS_MAX, DEADLINE_MS_DEFAULT},
    outcome::{Outcome, Stamp},
    reply::{Outcomes, ViewReply, Welcome},
    request::{Consistency, Query},
};
use quic::{QuicTransport, Request};
use raw::{Connector, Reply};
use session::{Session, SessionError, SessionSlot};

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Connections to each site, 1 to 8. One carries tens of thousands of calls a second.
    pub connections: usize,
    /// The deadline of a call, from 100 ms to 60 s.
    pub deadline: Duration,
    /// After this long without a datagram from a site, others are asked too.
    pub silence: Duration,
    /// A call ends as soon as every site failed and one of them reported that there's no primary,
    /// instead of waiting for a primary until its deadline.
    pub no_primary_is_final: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connections: 1,
            deadline: Duration::from_millis(u64::from(DEADLINE_MS_DEFAULT)),
            silence: Duration::from_millis(300),
            no_primary_is_final: false,
        }
    }
}

/// The most connections to one site.
const CONNECTIONS_MAX: usize = 8;

/// The ledger's answer to one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandAnswer {
    /// Position and time of the first decision.
    pub stamp: Stamp,
    /// Committed or rejected.
    pub outcome: Outcome,
    /// This is the first answer again: the id was known.
    pub replayed: bool,
}

/// Talks to a cluster. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ClientConfig,
    options: ClientOptions,
    connector: Mutex<Option<Connector>>,
    route: Arc<Route>,
    /// One per connection and site: `slots[connection][site]`.
    slots: Vec<Vec<SessionSlot>>,
    next_connection: AtomicUsize,
}

impl Client {
    /// A client of this cluster. Connects when it's first used; needs tokio's runtime then.
    #[must_use]
    pub fn connect(config: ClientConfig, options: ClientOptions) -> Self {
        let connections = options.connections.clamp(1, CONNECTIONS_MAX);
        let sites = config.sites.len();
        let slots = (0..connections).map(|_| (0..sites).map(|_| SessionSlot::default()).collect());
        let shared = Shared {
            connector: Mutex::new(None),
            route: Arc::new(Route::new(&config.sites)),
            slots: slots.collect(),
            next_connection: AtomicUsize::new(0),
            config,
            options,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Submits commands; the ledger decides them in order, each for itself. If they don't fit in
    /// one request, several are sent one after the other.
    ///
    /// # Errors
    /// See [`ClientError`]; a rejection isn't one.
    pub async fn submit(&self, commands: &[Command]) -> Result<Vec<CommandAnswer>, ClientError> {
        let mut answered = Vec::with_capacity(commands.len());
        for batch in commands.chunks(COMMANDS_MAX) {
            let mut bytes = Vec::with_capacity(batch.len() * 80);
            for command in batch {
                codec::encode_into(command, &mut bytes);
            }
            let count = u32::try_from(batch.len()).expect("at most COMMANDS_MAX");
            let outcomes = self
                .submit_encoded(count, false, bytes.into())
                .await
                .map_err(|error| error.after_decided(answered.len()))?;
            answered.extend(outcomes.answers.iter().map(|answer| CommandAnswer {
                stamp: answer.first.unwrap_or(outcomes.stamp),
                outcome: answer.outcome,
                replayed: answer.first.is_some(),
            }));
        }
        Ok(answered)
    }

    /// The same for at most `COMMANDS_MAX` commands that are already encoded, one after the other.
    /// If `atomic`, either all of them are committed or none.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit_encoded(
        &self,
        count: u32,
        atomic: bool,
        commands: Bytes,
    ) -> Result<Outcomes, ClientError> {
        match self.call_with_retries(Request::Submit { count, atomic, commands }, None).await? {
            Reply::Outcomes(outcomes) => Ok(outcomes),
            _ => Err(ClientError::Unknown("the site answered something else than outcomes".into())),
        }
    }

    /// Reads from the ledger.
    ///
    /// # Errors
    /// See [`ClientError`]; never `Unknown`, since a read does nothing.
    pub async fn read(
        &self,
        query: Query,
        consistency: Consistency,
    ) -> Result<ViewReply, ClientError> {
        self.read_from(query, consistency, None).await
    }

    /// Reads from one site, and only from that site.
    ///
    /// # Errors
    /// See [`Self::read`]. `Unavailable` also if there's no site of this name.
    pub async fn read_at(
        &self,
        site: &str,
        query: Query,
        consistency: Consistency,
    ) -> Result<ViewReply, ClientError> {
        let only = self.shared.route.find_site(site)?;
        self.read_from(query, consistency, Some(only)).await
    }

    async fn read_from(
        &self,
        query: Query,
        consistency: Consistency,
        only: Option<usize>,
    ) -> Result<ViewReply, ClientError> {
        match self.call_with_retries(Request::Read { query, consistency }, only).await? {
            Reply::View(view) => Ok(view),
            _ => {
                Err(ClientError::Unavailable("the site answered something else than a view".into()))
            }
        }
    }

    /// The site of the last welcome; `None` before the first.
    #[must_use]
    pub fn current_site(&self) -> Option<String> {
        self.last_welcome().map(|welcome| welcome.site.as_str().into())
    }

    /// The last welcome that came from a site.
    #[must_use]
    pub fn last_welcome(&self) -> Option<Welcome> {
        self.shared.route.last_welcome()
    }

    async fn call_with_retries(
        &self,
        request: Request,
        only: Option<usize>,
    ) -> Result<Reply, ClientError> {
        let Shared { route, options, .. } = &*self.shared;
        let turn = self.shared.next_connection.fetch_add(1, Ordering::Relaxed);
        let connection = turn % self.shared.slots.len();
        let transport = QuicTransport { shared: &self.shared, connection };
        RetryingCall::new(&transport, route, options, &request, only).run().await
    }
}

impl Shared {
    /// The connection's session with a site; connects if there is no usable one.
    async fn open_session(
        &self,
        connection: usize,
        site: usize,
    ) -> Result<Arc<Session>, SessionError> {
        let slot = &self.slots[connection][site];
        if let Some(session) = slot.usable_session() {
            return Ok(session);
        }
        let connector = self.ensure_connector()?;
        slot.connect(&connector, &self.config.sites[site], &self.route).await
    }

    fn ensure_connector(&self) -> Result<Connector, SessionError> {
        let mut connector = self.connector.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = &*connector {
            return Ok(connector.clone());
        }
        // Keepalives come three times per silence, so their absence is a sign.
        let made = Connector::with_keep_alive(&self.config, self.options.silence / 3)
            .map_err(|error| SessionError::NothingDone(error.to_string()))?;
        Ok(connector.insert(made).clone())
    }
}
