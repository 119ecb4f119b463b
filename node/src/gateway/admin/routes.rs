//! What each route of the admin socket does, and how errors are told.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{AdminDoor, AdminError, BODY_BYTES_MAX, JOURNAL_ENTRIES_MAX, REQUEST_TIMEOUT, User};
use crate::{clock::parse_time, status::Problem, telemetry};

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

/// Why a request got no answer, before it becomes bytes.
#[derive(Debug)]
enum Refusal {
    Malformed(String),
    NotFound,
    MethodNotAllowed(&'static str),
    TooLarge,
    TooSlow,
    Admin(AdminError),
}

impl From<AdminError> for Refusal {
    fn from(error: AdminError) -> Self {
        Self::Admin(error)
    }
}

type Answered = Result<Response<Full<Bytes>>, Refusal>;

impl AdminDoor {
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        user: User,
    ) -> Response<Full<Bytes>> {
        self.route(request, user).await.unwrap_or_else(refuse)
    }

    async fn route(&self, request: Request<Incoming>, user: User) -> Answered {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let method = request.method().clone();
        match (path.as_str(), method) {
            ("/status", Method::GET) => json_of(&self.operations.status()),
            ("/peers", Method::GET) => json_of(&self.operations.status().peers),
            ("/journal", Method::GET) => self.journal(&query).await,
            ("/timeline", Method::GET) => self.read_timeline(&query).await,
            ("/switchover", Method::POST) => {
                let body: SwitchoverBody = body_of(request).await?;
                self.act(user, "switchover", json!({"to": body.to}), async {
                    self.operations.switchover(body.to.clone()).await
                })
                .await
            }
            ("/verify", Method::POST) => {
                self.act(user, "verify", json!({}), self.operations.verify()).await
            }
            ("/log-level", Method::PUT) => {
                let LogLevelBody { filter } = body_of(request).await?;
                telemetry::parse_filter(&filter)
                    .map_err(|error| AdminError::Invalid(error.to_string()))?;
                self.act(user, "log_level", json!({"filter": filter}), async {
                    self.telemetry
                        .set_filter(&filter)
                        .map_err(|error| AdminError::Failed(error.to_string()))?;
                    Ok(json!({"filter": filter}))
                })
                .await
            }
            ("/status" | "/peers" | "/journal" | "/timeline", _) => {
                Err(Refusal::MethodNotAllowed("GET"))
            }
            ("/switchover" | "/verify", _) => Err(Refusal::MethodNotAllowed("POST")),
            ("/log-level", _) => Err(Refusal::MethodNotAllowed("PUT")),
            _ => Err(Refusal::NotFound),
        }
    }

    async fn journal(&self, query: &str) -> Answered {
        let [from, limit] = parameters(query, ["from", "limit"])?;
        let number = |name: &str, text: String| {
            text.parse::<u64>().map_err(|_| {
                Refusal::Malformed(format!("{name}: {text:?} is no whole number from 0 up"))
            })
        };
        let from = from.map(|text| number("from", text)).transpose()?;
        let limit = match limit.map(|text| number("limit", text)).transpose()? {
            None => JOURNAL_ENTRIES_DEFAULT,
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=JOURNAL_ENTRIES_MAX).contains(limit))
                .ok_or_else(|| {
                    Refusal::Malformed(format!("limit: not within 1 and {JOURNAL_ENTRIES_MAX}"))
                })?,
        };
        json_of(&self.operations.journal(from, limit).await?)
    }

    async fn read_timeline(&self, query: &str) -> Answered {
        let [since, until] = parameters(query, ["since", "until"])?;
        let now = self.clock.wall_micros();
        let time = |name: &str, text: Option<String>| {
            text.map(|text| parse_time(&text, now))
                .transpose()
                .map_err(|error| Refusal::Malformed(format!("{name}: {error}")))
        };
        let (since, until) = (time("since", since)?, time("until", until)?);
        let timeline = self.timeline.clone();
        let events = tokio::task::spawn_blocking(move || timeline.read(since, until))
            .await
            .map_err(|error| AdminError::Failed(error.to_string()))?
            .map_err(|error| AdminError::Failed(format!("the timeline can't be read: {error}")))?;
        json_of(&events)
    }

    /// An act: written down, done, and its end written down too.
    async fn act<T: Serialize>(
        &self,
        user: User,
        what: &str,
        details: Value,
        done: impl Future<Output = Result<T, AdminError>>,
    ) -> Answered {
        let mut note = json!({"what": what, "uid": user.uid, "pid": user.pid});
        if let (Some(note), Value::Object(details)) = (note.as_object_mut(), details) {
            note.extend(details);
        }
        self.timeline.record_durably("admin_act", note.clone()).await.map_err(|error| {
            AdminError::Unavailable(format!("{error}; an act that isn't on disk isn't done"))
        })?;
        let result = done.await;
        if let Some(note) = note.as_object_mut() {
            let (end, value) = match &result {
                Ok(result) => ("result", serde_json::to_value(result).unwrap_or_default()),
                Err(error) => ("error", Value::from(error.to_string())),
            };
            note.insert(end.to_owned(), value);
        }
        self.timeline.record("admin_act_ended", note);
        json_of(&result?)
    }
}

/// The named parameters of a query, each at most once, and no others.
fn parameters<const N: usize>(
    query: &str,
    names: [&str; N],
) -> Result<[Option<String>; N], Refusal> {
    let mut found = [const { None }; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = names.iter().position(|known| *known == name).ok_or_else(|| {
            Refusal::Malformed(format!("unknown parameter {name}; there are {}", names.join(", ")))
        })?;
        if found[place].replace(unescape(value)?).is_some() {
            return Err(Refusal::Malformed(format!("{name} is there twice")));
        }
    }
    Ok(found)
}

/// Percent-encoding. A `+` stays one: it's the offset of a time more often than a space.
fn unescape(value: &str) -> Result<String, Refusal> {
    let wrong = || Refusal::Malformed(format!("{value:?} is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
                u8::try_from(high * 16 + low).expect("two hex digits")
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

async fn body_of<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX);
    let bytes = timeout(REQUEST_TIMEOUT, body.collect())
        .await
        .map_err(|_| Refusal::TooSlow)?
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                Refusal::TooLarge
            } else {
                Refusal::Malformed(error.to_string())
            }
        })?
        .to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| Refusal::Malformed(error.to_string()))
}

fn json_of(value: &impl Serialize) -> Answered {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| AdminError::Failed(format!("the answer can't be written: {error}")))?;
    Ok(response(StatusCode::OK, "application/json", bytes))
}

fn refuse(refusal: Refusal) -> Response<Full<Bytes>> {
    let (status, code, detail) = match &refusal {
        Refusal::Malformed(detail) => (StatusCode::BAD_REQUEST, "malformed", detail.clone()),
        Refusal::NotFound => (StatusCode::NOT_FOUND, "not_found", "no such route".to_owned()),
        Refusal::MethodNotAllowed(allowed) => (
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("this route takes {allowed}"),
        ),
        Refusal::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body is over {BODY_BYTES_MAX} bytes"),
        ),
        Refusal::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            format!("the body took over {} s", REQUEST_TIMEOUT.as_secs()),
        ),
        Refusal::Admin(error) => {
            let (status, code) = match error {
                AdminError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
                AdminError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
                AdminError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
                AdminError::Unknown(_) => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
                AdminError::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
            };
            (status, code, error.to_string())
        }
    };
    let problem = Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or(code).to_owned(),
        status: status.as_u16(),
        detail,
        code: code.to_owned(),
        retryable: matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT),
    };
    let bytes = serde_json::to_vec(&problem).expect("texts and numbers only");
    let mut response = response(status, "application/problem+json", bytes);
    if let Refusal::MethodNotAllowed(allowed) = refusal {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

fn response(status: StatusCode, kind: &'static str, mut bytes: Vec<u8>) -> Response<Full<Bytes>> {
    bytes.push(b'\n');
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
