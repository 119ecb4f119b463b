//! The client of a cluster: any site will do, the primary is found by itself, and no answer is ever made up.
//!
//! Commands carry their own ids, so a request is sent again, with the same ids, until it's answered or its deadline is
//! over. The end is one of four: an [`CommandAnswer`] per command (committed or rejected: both are answers),
//! [`ClientError::Refused`] (the request itself is bad), [`ClientError::Unavailable`] (certainly nothing was done) or
//! [`ClientError::Unknown`] (it may have been done: ask again with the same ids).
//!
//! Few connections carry many calls: requests are numbered, written together, and answered in any order.
//! [`raw`] is the same connection without the patience.

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
    /// Connections to the site that it talks to, 1 to 8. One carries tens of thousands of calls a second.
    pub connections: usize,
    /// How long a call may take, from 100 ms to 60 s.
    pub deadline: Duration,
    /// After this long without any sign from a site, others are asked too.
    pub silence: Duration,
    /// A call ends as soon as no site could help and one of them said that there's no primary, instead of waiting for
    /// one until its deadline.
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

/// What the ledger answered to one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandAnswer {
    /// Where and when it was decided, the first time.
    pub stamp: Stamp,
    /// Committed or rejected.
    pub outcome: Outcome,
    /// It's the first answer again: the command was known.
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
    /// One per connection and site: `cells[connection][site]`.
    cells: Vec<Vec<SessionSlot>>,
    next_connection: AtomicUsize,
}

impl Client {
    /// A client of this cluster. Connects when it's first used; needs tokio's runtime then.
    #[must_use]
    pub fn connect(config: ClientConfig, options: ClientOptions) -> Self {
        let connections = options.connections.clamp(1, CONNECTIONS_MAX);
        let sites = config.sites.len();
        let cells = (0..connections).map(|_| (0..sites).map(|_| SessionSlot::default()).collect());
        let shared = Shared {
            connector: Mutex::new(None),
            route: Arc::new(Route::new(&config.sites)),
            cells: cells.collect(),
            next_connection: AtomicUsize::new(0),
            config,
            options,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Has commands decided, in order, each for itself. More than fit in one request are sent one request after the
    /// other.
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

    /// The same for commands that are encoded already, one behind the other, at most `COMMANDS_MAX` of them. Where they are
    /// `atomic`, all of them are committed or none.
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

    /// Asks what the ledger holds.
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

    /// Asks what one site knows, and only that site.
    ///
    /// # Errors
    /// See [`Self::read`]. `Unavailable` also where there's no site of this name.
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

    /// The site that it talks to, once it does.
    #[must_use]
    pub fn current_site(&self) -> Option<String> {
        self.last_welcome().map(|welcome| welcome.site.as_str().into())
    }

    /// What that site said of itself.
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
        let connection = turn % self.shared.cells.len();
        let transport = QuicTransport { shared: &self.shared, connection };
        RetryingCall::new(&transport, route, options, &request, only).run().await
    }
}

impl Shared {
    /// The connection's session with a site; connects where there is none that is well.
    async fn open_session(
        &self,
        connection: usize,
        site: usize,
    ) -> Result<Arc<Session>, SessionError> {
        let cell = &self.cells[connection][site];
        if let Some(session) = cell.usable_session() {
            return Ok(session);
        }
        let connector = self.ensure_connector()?;
        cell.connect(&connector, &self.config.sites[site], &self.route).await
    }

    fn ensure_connector(&self) -> Result<Connector, SessionError> {
        let mut connector = self.connector.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = &*connector {
            return Ok(connector.clone());
        }
        // Signs of life come so often that their absence means something.
        let made = Connector::with_keep_alive(&self.config, self.options.silence / 3)
            .map_err(|error| SessionError::NothingDone(error.to_string()))?;
        Ok(connector.insert(made).clone())
    }
}
