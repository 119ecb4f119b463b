//! A request's head: key, deadline, acceptable answers, ids. Every route checks in the same order:
//! stopping, key, rate, deadline, Accept, query; then the body.
//!
//! It never keeps or logs a key: only its hash leaves this file.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts},
};
use evenkeel_wire::id::{AccountId, CommandId};
use tokio::time::{Instant, timeout_at};

use super::{
    accept,
    fields::{AccountIdText, CommandIdText, NOT_UUID_V7},
};
use crate::gateway::http::{
    HttpDoor,
    answer::problem::{Code, Problem},
};
use crate::{
    admission::{
        self,
        quota::{KeyQuota, QuotaExceeded},
    },
    limits::{DEADLINE_MS_DEFAULT, DEADLINE_MS_MAX, DEADLINE_MS_MIN, KEY_PATIENCE},
    road::Caller,
};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DEADLINE_MS: HeaderName = HeaderName::from_static("deadline-ms");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest request id that is accepted from a client.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The arrival of a request's head: its deadline counts from here, whatever is done first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival(pub(crate) Instant);

/// A request's id, for logs and its answer.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Makes request ids that are unique to this process.
pub(crate) struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(process: u64) -> Self {
        Self { process, next: AtomicU64::new(1) }
    }

    /// The client's own id if it's short and plain, otherwise a new one.
    pub(crate) fn choose_id(&self, headers: &HeaderMap) -> RequestId {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        match headers.get(REQUEST_ID) {
            Some(id)
                if (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
                    && id.as_bytes().iter().all(plain) =>
            {
                RequestId(id.clone())
            }
            _ => self.make(),
        }
    }

    fn make(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = String::with_capacity(32);
        write!(text, "{:x}-{number}", self.process).expect("writing to memory can't fail");
        RequestId(HeaderValue::try_from(text).expect("digits and a hyphen"))
    }
}

/// A request's head, checked.
pub(crate) struct Head {
    pub(crate) caller: Caller,
    /// The rates of the caller's key; `None` if it's exempt.
    quota: Option<Arc<KeyQuota>>,
    /// The client's deadline. Time spent receiving the body doesn't count.
    pub(crate) deadline: Instant,
    /// The path's parameter, as written.
    target: Option<String>,
    idempotency_key: Option<HeaderValue>,
    pub(crate) headers: HeaderMap,
    pub(crate) uri: Uri,
}

impl FromRequestParts<Arc<HttpDoor>> for Head {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<HttpDoor>) -> Result<Self, Problem> {
        door.check_open()?;
        let arrival = parts.extensions.get().map_or_else(Instant::now, |Arrival(at)| *at);
        let patience = read_deadline(&parts.headers);
        let known_by = arrival + patience.as_ref().map_or(KEY_PATIENCE, |patience| *patience);
        let caller =
            timeout_at(known_by, authenticate(door, &parts.headers)).await.map_err(|_| {
                let detail = "the key couldn't be checked in time; nothing was done";
                Problem::new(Code::NoPrimary, detail)
            })??;
        let quota = door.quota.of(&caller);
        if let Some(quota) = &quota {
            quota.count_request(Instant::now())?;
        }
        let deadline = arrival + patience?;
        let target = target(parts).await?;
        let idempotency_key = single(&parts.headers, &IDEMPOTENCY_KEY)?.cloned();
        Ok(Self {
            caller,
            quota,
            deadline,
            target,
            idempotency_key,
            headers: std::mem::take(&mut parts.headers),
            uri: parts.uri.clone(),
        })
    }
}

impl Head {
    /// The account in the path.
    pub(crate) fn path_account(&self) -> Result<AccountId, Problem> {
        AccountId::parse(self.path_target())
            .map_err(|_| Problem::malformed("the path: the account's id is not a UUID"))
    }

    /// The transfer or hold in the path.
    pub(crate) fn path_command(&self) -> Result<CommandId, Problem> {
        CommandId::parse(self.path_target())
            .map_err(|_| Problem::new(Code::IdNotUuidV7, format!("the path: {NOT_UUID_V7}")))
    }

    /// The path's parameter, as written.
    pub(crate) fn path_target(&self) -> &str {
        self.target.as_deref().unwrap_or_default()
    }

    /// The id of a command, from the body or from the header.
    pub(crate) fn command_id(&self, body: Option<CommandIdText>) -> Result<CommandId, Problem> {
        let parse = |text: &str| {
            CommandId::parse(text).map_err(|_| {
                Problem::new(Code::IdNotUuidV7, format!("Idempotency-Key: {NOT_UUID_V7}"))
            })
        };
        self.resolve_id(body.map(|id| id.0), parse)
    }

    /// The id of an account to open.
    pub(crate) fn account_id(&self, body: Option<AccountIdText>) -> Result<AccountId, Problem> {
        let parse = |text: &str| {
            AccountId::parse(text).map_err(|_| Problem::malformed("Idempotency-Key: not a UUID"))
        };
        self.resolve_id(body.map(|id| id.0), parse)
    }

    fn resolve_id<Id: PartialEq>(
        &self,
        body: Option<Id>,
        parse: impl Fn(&str) -> Result<Id, Problem>,
    ) -> Result<Id, Problem> {
        let header = self.idempotency_key.as_ref();
        let header = header.map(|value| parse(value.to_str().unwrap_or_default())).transpose()?;
        match (body, header) {
            (Some(body), Some(header)) if body != header => {
                Err(Problem::malformed("id: differs from Idempotency-Key"))
            }
            (Some(id), _) | (None, Some(id)) => Ok(id),
            (None, None) => Err(Problem::malformed("missing field `id`")),
        }
    }

    /// Refuses an id for a batch, which has none of its own.
    pub(crate) fn check_no_id(&self) -> Result<(), Problem> {
        match self.idempotency_key {
            Some(_) => Err(Problem::malformed(
                "Idempotency-Key: a batch has no id of its own; its commands have ids",
            )),
            None => Ok(()),
        }
    }

    /// Counts the bytes of the body.
    pub(crate) fn count_bytes(&self, bytes: usize) -> Result<(), Problem> {
        match &self.quota {
            Some(quota) => Ok(quota.count_bytes(bytes, Instant::now())?),
            None => Ok(()),
        }
    }

    /// Counts the commands of the request.
    pub(crate) fn count_commands(&self, commands: usize) -> Result<(), Problem> {
        match &self.quota {
            Some(quota) => Ok(quota.count_commands(commands, Instant::now())?),
            None => Ok(()),
        }
    }

    /// Checks that the client accepts JSON.
    pub(crate) fn check_accepts_json(&self) -> Result<(), Problem> {
        accept::choose(&self.headers, &["application/json"]).map(drop)
    }
}

impl From<QuotaExceeded> for Problem {
    fn from(exceeded: QuotaExceeded) -> Self {
        let seconds = exceeded.wait.as_secs().saturating_add(1);
        Self::new(Code::RateLimited, exceeded.detail()).retry_after(seconds)
    }
}

async fn authenticate(door: &HttpDoor, headers: &HeaderMap) -> Result<Caller, Problem> {
    Ok(door.keyring.authenticate(key_hash(headers)?).await?)
}

fn key_hash(headers: &HeaderMap) -> Result<[u8; 32], Problem> {
    let unauthorized = |detail: &str| Problem::new(Code::Unauthorized, detail);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| unauthorized("Authorization: Bearer needs a key"))?;
    if values.next().is_some() {
        return Err(unauthorized("Authorization is there twice"));
    }
    let key = value
        .as_bytes()
        .split_at_checked(7)
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
        .and_then(|(_, key)| std::str::from_utf8(key).ok())
        .ok_or_else(|| unauthorized("Authorization: Bearer needs a key"))?;
    Ok(admission::key_hash(key.trim()))
}

/// How long the client waits.
fn read_deadline(headers: &HeaderMap) -> Result<Duration, Problem> {
    let ms = match single(headers, &DEADLINE_MS)? {
        None => DEADLINE_MS_DEFAULT,
        Some(value) => value
            .to_str()
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|ms| (DEADLINE_MS_MIN..=DEADLINE_MS_MAX).contains(ms))
            .ok_or_else(|| {
                Problem::malformed(format!(
                    "Deadline-Ms: not an integer from {DEADLINE_MS_MIN} to {DEADLINE_MS_MAX}"
                ))
            })?,
    };
    Ok(Duration::from_millis(ms.into()))
}

/// The value of a header that may be given at most once.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Problem::malformed(format!("{name}: is there twice")));
    }
    Ok(value)
}

/// The path's one parameter, if the route has one.
async fn target(parts: &mut Parts) -> Result<Option<String>, Problem> {
    let parameters = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| Problem::malformed("the path isn't percent-encoded UTF-8"))?;
    Ok(parameters.iter().next().map(|(_, value)| value.to_owned()))
}
