//! The routes of the admin socket. They never perform an act before it's on disk.

use bytes::Bytes;
use evenkeel_wire::{
    id::{AccountId, KeyId},
    key::Role,
};
use http_body_util::Full;
use hyper::{Method, Request, Response, body::Incoming};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    AdminDoor, JOURNAL_ENTRIES_MAX, User,
    answers::{
        AdminRefusal, AdminResult, created, empty, json_response, problem_response, read_body,
    },
    parameters::parameters,
};
use crate::{
    clock::parse_time,
    config::log_filter,
    operator::{operations::AdminError, status::CreatedKey},
    telemetry::panic_if_planted,
};

const JOURNAL_ENTRIES_DEFAULT: usize = 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchoverBody {
    to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLevelBody {
    filter: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    role: String,
    account: Option<String>,
}

impl AdminDoor {
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        user: User,
    ) -> Response<Full<Bytes>> {
        panic_if_planted("admin");
        self.route(request, user).await.unwrap_or_else(problem_response)
    }

    async fn route(&self, request: Request<Incoming>, user: User) -> AdminResult {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let method = request.method().clone();
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(&path).split('/').collect();
        match (segments.as_slice(), method) {
            (["status"], Method::GET) => json_response(&self.operations.status()),
            (["peers"], Method::GET) => json_response(&self.operations.status().peers),
            (["journal"], Method::GET) => self.journal(&query).await,
            (["timeline"], Method::GET) => self.read_timeline(&query).await,
            (["switchover"], Method::POST) => self.switchover(request, user).await,
            (["verify"], Method::POST) => {
                let done = async { self.operations.verify().await };
                json_response(
                    &self.perform_act(user, "verify", json!({}), result_as_json, done).await?,
                )
            }
            (["log-level"], Method::PUT) => self.set_log_level(request, user).await,
            (["keys"], Method::GET) => json_response(&self.operations.keys().await?),
            (["keys"], Method::POST) => self.create_key(request, user).await,
            (["keys", id], Method::DELETE) => self.revoke_key(id, user).await,
            (["day", "close"], Method::POST) => {
                let done = async { self.operations.close_day().await };
                json_response(
                    &self.perform_act(user, "day_close", json!({}), result_as_json, done).await?,
                )
            }
            (["status" | "peers" | "journal" | "timeline"], _) => {
                Err(AdminRefusal::MethodNotAllowed("GET"))
            }
            (["switchover" | "verify"] | ["day", "close"], _) => {
                Err(AdminRefusal::MethodNotAllowed("POST"))
            }
            (["log-level"], _) => Err(AdminRefusal::MethodNotAllowed("PUT")),
            (["keys"], _) => Err(AdminRefusal::MethodNotAllowed("GET, POST")),
            (["keys", _], _) => Err(AdminRefusal::MethodNotAllowed("DELETE")),
            _ => Err(AdminRefusal::NotFound),
        }
    }

    async fn switchover(&self, request: Request<Incoming>, user: User) -> AdminResult {
        let SwitchoverBody { to } = read_body(request).await?;
        let done = async { self.operations.switchover(to.clone()).await };
        json_response(
            &self.perform_act(user, "switchover", json!({"to": to}), result_as_json, done).await?,
        )
    }

    async fn set_log_level(&self, request: Request<Incoming>, user: User) -> AdminResult {
        let LogLevelBody { filter } = read_body(request).await?;
        log_filter::parse_filter(&filter)
            .map_err(|error| AdminError::Invalid(error.to_string()))?;
        let details = json!({"filter": filter});
        let done = async {
            self.telemetry
                .set_filter(&filter)
                .map_err(|error| AdminError::Failed(error.to_string()))?;
            Ok(details.clone())
        };
        json_response(
            &self.perform_act(user, "log_level", details.clone(), result_as_json, done).await?,
        )
    }

    async fn create_key(&self, request: Request<Incoming>, user: User) -> AdminResult {
        let KeyBody { role: name, account } = read_body(request).await?;
        let role = Role::from_name(&name).ok_or_else(|| {
            let names: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
            AdminRefusal::Malformed(format!("role: {name:?}; there are {}", names.join(", ")))
        })?;
        let id = account.as_deref().map(AccountId::parse).transpose();
        let id = id.map_err(|error| AdminRefusal::Malformed(format!("account: {error}")))?;
        let details = json!({"role": role.name(), "account": account});
        let done = async { self.operations.create_key(role, id).await };
        // Many people read the timeline: it gets the key's number, never its text.
        let noted = |key: &CreatedKey| json!({"id": key.id});
        created(&self.perform_act(user, "keys_create", details, noted, done).await?)
    }

    async fn revoke_key(&self, id: &str, user: User) -> AdminResult {
        let id: u32 = id
            .parse()
            .map_err(|_| AdminRefusal::Malformed(format!("{id:?} isn't a key's number")))?;
        let done = async { self.operations.revoke_key(KeyId(id)).await };
        self.perform_act(user, "keys_revoke", json!({"id": id}), result_as_json, done).await?;
        Ok(empty())
    }

    async fn journal(&self, query: &str) -> AdminResult {
        let [from, limit] = parameters(query, ["from", "limit"])?;
        let number = |name: &str, text: String| {
            text.parse::<u64>().map_err(|_| {
                AdminRefusal::Malformed(format!("{name}: {text:?} isn't a whole number from 0 up"))
            })
        };
        let from = from.map(|text| number("from", text)).transpose()?;
        let limit = match limit.map(|text| number("limit", text)).transpose()? {
            None => JOURNAL_ENTRIES_DEFAULT,
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=JOURNAL_ENTRIES_MAX).contains(limit))
                .ok_or_else(|| {
                    AdminRefusal::Malformed(format!(
                        "limit: not within 1 and {JOURNAL_ENTRIES_MAX}"
                    ))
                })?,
        };
        json_response(&self.operations.journal(from, limit).await?)
    }

    async fn read_timeline(&self, query: &str) -> AdminResult {
        let [since, until] = parameters(query, ["since", "until"])?;
        let now = self.clock.wall_micros();
        let time = |name: &str, text: Option<String>| {
            text.map(|text| parse_time(&text, now))
                .transpose()
                .map_err(|error| AdminRefusal::Malformed(format!("{name}: {error}")))
        };
        let (since, until) = (time("since", since)?, time("until", until)?);
        let timeline = self.timeline.clone();
        let events = tokio::task::spawn_blocking(move || timeline.read(since, until))
            .await
            .map_err(|error| AdminError::Failed(error.to_string()))?
            .map_err(|error| AdminError::Failed(format!("the timeline can't be read: {error}")))?;
        json_response(&events)
    }

    /// Performs an act: records it, runs `done`, and records its end as `noted` describes it.
    /// `done` must have no effect before it's polled: it's first polled when the act is on disk.
    async fn perform_act<T>(
        &self,
        user: User,
        what: &str,
        details: Value,
        noted: fn(&T) -> Value,
        done: impl Future<Output = Result<T, AdminError>>,
    ) -> Result<T, AdminRefusal> {
        let mut note = json!({"what": what, "uid": user.uid, "pid": user.pid});
        if let (Some(note), Value::Object(details)) = (note.as_object_mut(), details) {
            note.extend(details);
        }
        self.timeline.record_durably("admin_act", note.clone()).await.map_err(|error| {
            AdminError::Unavailable(format!(
                "{error}; an act must be on disk before it's performed"
            ))
        })?;
        let result = done.await;
        if let Some(note) = note.as_object_mut() {
            let (end, value) = match &result {
                Ok(result) => ("result", noted(result)),
                Err(error) => ("error", Value::from(error.to_string())),
            };
            note.insert(end.to_owned(), value);
        }
        self.timeline.record("admin_act_ended", note);
        Ok(result?)
    }
}

/// The whole result as JSON.
fn result_as_json(result: &impl Serialize) -> Value {
    serde_json::to_value(result).unwrap_or_default()
}
