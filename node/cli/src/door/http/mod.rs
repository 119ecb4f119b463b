//! The HTTP door as a client uses it: any site will do, and no answer is ever made up.
//!
//! Commands carry their own ids, so a request is sent again, with the same ids, until it's answered or its deadline is
//! over: to the sites in turn, over connections that are kept. The ends are those of `wire`'s client: an answer, refused,
//! unavailable (certainly nothing was done) or unknown.
//!
//! It never follows a redirect: the key goes to the sites that client.toml names, and nowhere else.

pub(crate) mod address;
mod connection;
mod requests;
mod retrying_call;
pub(crate) mod stream;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use evenkeel_wire::{
    client::{ClientConfig, ClientError, ClientOptions},
    command::Command,
    id::AccountId,
    limits::COMMANDS_MAX,
    outcome::Rejection,
};
use hyper::{Method, header::HeaderValue};
use serde::{Deserialize, de::DeserializeOwned};

use self::{connection::ConnectionPool, stream::Dialler};
use super::{
    ReadSource,
    shapes::{
        Account, CommandResult, HistoryPart, Hold, Movement, OutcomeKind, StampJson, Sums, Totals,
    },
};

pub(crate) use requests::id_of;

/// What is sent to a site.
#[derive(Clone, Debug)]
pub(crate) struct SiteRequest {
    method: Method,
    /// With its query.
    path: String,
    /// JSON; empty where there's none.
    body: Bytes,
}

impl SiteRequest {
    fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: Bytes::new() }
    }

    /// Whether it may change the ledger.
    fn may_change_ledger(&self) -> bool {
        self.method != Method::GET
    }
}

/// What a site answered.
#[derive(Clone, Debug)]
pub(crate) struct SiteResponse {
    status: u16,
    replayed: bool,
    /// Seconds after which asking again makes sense.
    retry_after: Option<u64>,
    body: Bytes,
}

/// Talks to a cluster over HTTP.
pub(crate) struct HttpClient {
    sites: Vec<HttpSite>,
    key: HeaderValue,
    deadline: Duration,
    no_primary_is_final: bool,
    /// The site that answered last.
    preferred: AtomicUsize,
}

struct HttpSite {
    name: String,
    connections: ConnectionPool,
}

/// What answers to a command have in common; each route adds what it's about.
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

/// What is read of a site's status.
#[derive(Deserialize)]
pub(crate) struct VolatileStatus {
    /// Its data folder is on a file system in memory.
    #[serde(default)]
    pub(crate) volatile: bool,
}

impl HttpClient {
    /// A client of this cluster. Connects when it's first used.
    ///
    /// # Errors
    /// Says which of a site's addresses, or the key, or the authority, can't be used.
    pub(crate) fn new(config: &ClientConfig, options: &ClientOptions) -> Result<Self, String> {
        let dialler = Dialler::new(config)?;
        let sites = config.sites.iter().map(|site| {
            let address = site.http.parse().map_err(|error| format!("site {}: {error}", site.name));
            let connections = ConnectionPool::new(address?, dialler.clone());
            Ok(HttpSite { name: site.name.clone(), connections })
        });
        let mut key = HeaderValue::try_from(format!("Bearer {}", config.key))
            .map_err(|_| "the key can't stand in a header".to_owned())?;
        key.set_sensitive(true);
        Ok(Self {
            sites: sites.collect::<Result<_, String>>()?,
            key,
            deadline: options.deadline,
            no_primary_is_final: options.no_primary_is_final,
            preferred: AtomicUsize::new(0),
        })
    }

    pub(crate) fn last_site(&self) -> Option<String> {
        self.sites.get(self.preferred.load(Ordering::Relaxed)).map(|site| site.name.clone())
    }

    pub(crate) async fn submit(&self, command: &Command) -> Result<CommandResult, ClientError> {
        let response = self.call_with_retries(&requests::command_request(command), None).await?;
        let told: CommandBody = read(&response).map_err(ClientError::Unknown)?;
        let committed = response.status != 422;
        let amount = told.transfer.as_ref().map(|transfer| transfer.amount);
        let amount = amount.or(told.hold.as_ref().map(|hold| hold.amount)).unwrap_or(0);
        Ok(CommandResult {
            outcome: if committed { OutcomeKind::Committed } else { OutcomeKind::Rejected },
            id: id_of(command),
            place: told.place,
            replayed: response.replayed,
            code: told.code,
            transfer: told.transfer,
            hold: told.hold,
            account: told.account,
            debit_after: told.debit_after,
            credit_after: told.credit_after,
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

    /// What one site says of itself.
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

fn read<T: DeserializeOwned>(response: &SiteResponse) -> Result<T, String> {
    serde_json::from_slice(&response.body).map_err(|error| {
        format!(
            "the site answered {} with a body that isn't understood ({error}); is it another version?",
            response.status
        )
    })
}

/// The rejections of a batch, in order.
///
/// # Errors
/// When the body isn't the results of so many commands.
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
/// When this program doesn't know it.
pub(crate) fn rejection(code: &str) -> Result<Rejection, String> {
    Rejection::from_name(code)
        .ok_or_else(|| format!("the site rejects with {code:?}, which isn't known"))
}
