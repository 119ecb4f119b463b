//! The client's side of the HTTP door: it takes any site and never makes up an answer.
//!
//! wire's [`RetryingCall`] repeats a request, with the same ids, until it's answered or its
//! deadline passes. This module has HTTP's own part: routes, bodies, and the meaning of a status.
//!
//! It never follows a redirect: the key goes only to the sites that client.toml names.

mod answer;
mod requests;

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use evenkeel_http::{
    Dialler, HeaderValue, HttpAddress, HttpClient, HttpRequest, HttpResponse, Method, TlsTrust,
    header,
};
use evenkeel_wire::{
    client::{
        Attempt, ClientConfig, ClientError, ClientOptions, RetryingCall, Route, SiteTransport,
    },
    command::Command,
    id::AccountId,
    limits::{COMMANDS_MAX, DEADLINE_MS_MAX, DEADLINE_MS_MIN},
    outcome::Rejection,
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{
    ReadSource,
    shapes::{
        Account, CommandResult, HistoryPart, Hold, Movement, OutcomeKind, StampJson, Sums, Totals,
    },
};

pub(crate) use requests::id_of;

const GRACE: Duration = Duration::from_secs(1);
const DEADLINE_MS: header::HeaderName = header::HeaderName::from_static("deadline-ms");
const REPLAYED: &str = "idempotent-replayed";

/// A request to any site.
#[derive(Clone, Debug)]
pub(crate) struct SiteRequest {
    method: Method,
    /// The path with its query.
    path: String,
    /// JSON, or empty.
    body: Bytes,
}

impl SiteRequest {
    fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: Bytes::new() }
    }
}

/// Talks to a cluster over HTTP.
pub(crate) struct HttpDoor {
    sites: Vec<HttpClient>,
    route: Route,
    options: ClientOptions,
    key: HeaderValue,
    /// The site that answered last.
    answered_last: AtomicUsize,
}

/// The fields of an answer to a command. Each route sends its own subject: a transfer, a hold or an
/// account.
#[derive(Deserialize)]
struct CommandBody {
    #[serde(flatten)]
    place: Option<StampJson>,
    code: Option<String>,
    transfer: Option<Movement>,
    hold: Option<Hold>,
    account: Option<Account>,
    debit_after: Option<i64>,
    credit_after: Option<i64>,
}

#[derive(Deserialize)]
struct BatchAnswer {
    results: Vec<OneResult>,
}

#[derive(Deserialize)]
struct OneResult {
    status: u16,
    code: Option<String>,
}

#[derive(Deserialize)]
struct TotalsBody {
    position: u64,
    assets: std::collections::BTreeMap<String, Sums>,
}

/// The parsed part of a site's status.
#[derive(Deserialize)]
pub(crate) struct VolatileStatus {
    /// The data folder is on a file system in memory.
    #[serde(default)]
    pub(crate) volatile: bool,
}

impl HttpDoor {
    /// A client of this cluster. Connects when it's first used.
    ///
    /// # Errors
    /// Names the site's address, the key or the authority that is unusable.
    pub(crate) fn new(config: &ClientConfig, options: &ClientOptions) -> Result<Self, String> {
        let diallers = open_diallers(config)?;
        let mut key = HeaderValue::try_from(format!("Bearer {}", config.key))
            .map_err(|_| "the key has characters that a header can't have".to_owned())?;
        key.set_sensitive(true);
        Ok(Self {
            sites: diallers.into_iter().map(HttpClient::new).collect(),
            route: Route::new(&config.sites),
            options: options.clone(),
            key,
            answered_last: AtomicUsize::new(0),
        })
    }

    pub(crate) fn last_site(&self) -> Option<String> {
        let site = self.answered_last.load(Ordering::Relaxed);
        (site < self.sites.len()).then(|| self.route.site_name(site).to_owned())
    }

    /// Repeats a request until there's an answer; if `only` is given, at that site alone.
    async fn call_with_retries(
        &self,
        request: &SiteRequest,
        only: Option<&str>,
    ) -> Result<HttpResponse, ClientError> {
        let only = only.map(|name| self.route.find_site(name)).transpose()?;
        RetryingCall::new(self, &self.route, &self.options, request, only).run().await
    }

    fn prepare_request(&self, request: &SiteRequest, left: Duration) -> HttpRequest {
        let left_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let deadline_ms = left_ms.clamp(DEADLINE_MS_MIN, DEADLINE_MS_MAX);
        let prepared = HttpRequest::new(request.method.clone(), request.path.as_str())
            .with(header::AUTHORIZATION, self.key.clone())
            .with(DEADLINE_MS, deadline_ms.into());
        if request.body.is_empty() { prepared } else { prepared.json(request.body.clone()) }
    }

    pub(crate) async fn submit(&self, command: &Command) -> Result<CommandResult, ClientError> {
        let response = self.call_with_retries(&requests::command_request(command), None).await?;
        let answer: CommandBody = read(&response).map_err(ClientError::Unknown)?;
        let committed = response.status != 422;
        let amount = answer.transfer.as_ref().map(|transfer| transfer.amount);
        let amount = amount.or(answer.hold.as_ref().map(|hold| hold.amount)).unwrap_or(0);
        Ok(CommandResult {
            outcome: if committed { OutcomeKind::Committed } else { OutcomeKind::Rejected },
            id: id_of(command),
            place: answer.place,
            replayed: response.header(REPLAYED) == Some("true"),
            code: answer.code,
            transfer: answer.transfer,
            hold: answer.hold,
            account: answer.account,
            debit_after: answer.debit_after,
            credit_after: answer.credit_after,
            amount,
        })
    }

    pub(crate) async fn submit_all(
        &self,
        commands: &[Command],
    ) -> Result<Vec<Option<Rejection>>, ClientError> {
        let mut rejections = Vec::with_capacity(commands.len());
        for batch in commands.chunks(COMMANDS_MAX) {
            let response = self.call_with_retries(&requests::batch_request(batch), None).await?;
            rejections
                .extend(read_results(&response.body, batch.len()).map_err(ClientError::Unknown)?);
        }
        Ok(rejections)
    }

    pub(crate) async fn account(
        &self,
        id: AccountId,
        look: ReadSource<'_>,
    ) -> Result<Account, ClientError> {
        let (consistency, site) = match look {
            ReadSource::Current(site) => ("linearizable", site),
            ReadSource::Local(site) => ("local", site),
        };
        let request = SiteRequest::get(format!("/v1/accounts/{id}?consistency={consistency}"));
        read(&self.call_with_retries(&request, site).await?).map_err(ClientError::Unavailable)
    }

    pub(crate) async fn history(
        &self,
        account: AccountId,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<HistoryPart, ClientError> {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let path = format!("/v1/accounts/{account}/transfers?limit={limit}{cursor}");
        read(&self.call_with_retries(&SiteRequest::get(path), None).await?)
            .map_err(ClientError::Unavailable)
    }

    /// A site's status.
    pub(crate) async fn status(&self, site: &str) -> Result<VolatileStatus, ClientError> {
        let request = SiteRequest::get("/v1/status".to_owned());
        read(&self.call_with_retries(&request, Some(site)).await?).map_err(ClientError::Unavailable)
    }

    pub(crate) async fn totals(&self) -> Result<Totals, ClientError> {
        let response =
            self.call_with_retries(&SiteRequest::get("/v1/totals".to_owned()), None).await?;
        let TotalsBody { position, assets } = read(&response).map_err(ClientError::Unavailable)?;
        let sums = assets.into_iter().map(|(asset, sums)| (asset, sums.sum()));
        Ok(Totals { position, sums: sums.collect() })
    }
}

impl SiteTransport for HttpDoor {
    type Request = SiteRequest;
    type Answer = HttpResponse;

    fn may_change_ledger(request: &SiteRequest) -> bool {
        request.method != Method::GET
    }

    async fn attempt(
        &self,
        site: usize,
        request: &SiteRequest,
        deadline: Instant,
        sent: &AtomicBool,
    ) -> Attempt<HttpResponse> {
        let left = deadline.saturating_duration_since(Instant::now());
        let request = self.prepare_request(request, left);
        // The call itself ends at the deadline, before this bound.
        let patience = left + GRACE;
        let attempt = match self.sites[site].exchange_watched(request, patience, sent).await {
            Ok(response) => answer::classify_response(response),
            Err(error) if error.is_unsent() => Attempt::NothingDone(error.to_string()),
            Err(error) => Attempt::MayHaveHappened(error.to_string()),
        };
        if let Attempt::Answered(_) = attempt {
            self.answered_last.store(site, Ordering::Relaxed);
        }
        attempt
    }

    /// TCP doesn't show whether the other end is alive.
    fn quiet_for(&self, _site: usize) -> Option<Duration> {
        None
    }

    fn mark_silent(&self, _site: usize) {}
}

/// A dialler for each site of client.toml.
///
/// # Errors
/// Names the site's address or the authority that is unusable.
pub(crate) fn open_diallers(config: &ClientConfig) -> Result<Vec<Dialler>, String> {
    let trust = TlsTrust::load(&config.ca)?;
    let diallers = config.sites.iter().map(|site| {
        let address: Result<HttpAddress, String> = site.http.parse();
        let address = address.map_err(|error| format!("site {}: {error}", site.name))?;
        Ok(Dialler::to_site(address, &trust))
    });
    diallers.collect()
}

fn read<T: DeserializeOwned>(response: &HttpResponse) -> Result<T, String> {
    serde_json::from_slice(&response.body).map_err(|error| {
        format!(
            "the site answered {} with a body that isn't understood ({error}); \
             is it another version?",
            response.status
        )
    })
}

/// The rejections of a batch, in order.
///
/// # Errors
/// When the body doesn't have the results of `count` commands.
pub(crate) fn read_results(body: &[u8], count: usize) -> Result<Vec<Option<Rejection>>, String> {
    let BatchAnswer { results } = serde_json::from_slice(body)
        .map_err(|error| format!("the site's results aren't understood: {error}"))?;
    if results.len() != count {
        return Err(format!("the site gave {} results for {count} commands", results.len()));
    }
    results
        .into_iter()
        .map(|OneResult { status, code }| match (status, code) {
            (200 | 201, _) => Ok(None),
            (422, Some(code)) => rejection(&code).map(Some),
            (status, code) => Err(format!("a result has status {status} and code {code:?}")),
        })
        .collect()
}

/// A rejection by its code.
///
/// # Errors
/// When this version doesn't know the code.
pub(crate) fn rejection(code: &str) -> Result<Rejection, String> {
    Rejection::from_name(code)
        .ok_or_else(|| format!("the site rejects with {code:?}, which isn't known"))
}
