//! A site with a simulated HTTP door: the routes that clients use, in the API's shapes, over
//! balances in memory.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use evenkeel_node::config::{Config, Overrides};
use evenkeel_wire::{
    command::Command,
    outcome::{Answer, Stamp},
    reply::{AsOf, View},
    request::{Consistency, Query},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::Runtime,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::{
    Files,
    played_json::{
        account_json, answer_json, command, hold_json, item, movement_json, totals_json,
    },
    played_ledger::{Ledger, Mood},
    replace,
};

pub(crate) struct PlayedHttp {
    _runtime: Runtime,
    /// As in client.toml.
    pub(crate) address: String,
    state: Arc<State>,
}

struct State {
    key: String,
    volatile: bool,
    ledger: Mutex<Ledger>,
    mood: Mutex<Mood>,
    /// Method and path, with the query, of every request.
    seen: Mutex<Vec<String>>,
}

/// Status and body, and whether it's a replay of an earlier answer.
type Answered = (u16, Value, bool);

impl PlayedHttp {
    /// Simulates the first site of these files; client.toml points to it.
    pub(crate) fn start(files: &Files, volatile: bool) -> Self {
        Self::begin(files, volatile, None)
    }

    /// The same over TLS, with the site's own certificate.
    pub(crate) fn start_with_tls(files: &Files) -> Self {
        let config = Config::load(&files.node_toml(), &Overrides::default()).expect("it loads");
        let chain = vec![CertificateDer::from_pem_file(&config.tls.cert).expect("readable")];
        let key = PrivateKeyDer::from_pem_file(&config.tls.key).expect("readable");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the site has TLS files")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("key and certificate match");
        Self::begin(files, false, Some(TlsAcceptor::from(Arc::new(tls))))
    }

    fn begin(files: &Files, volatile: bool, tls: Option<TlsAcceptor>) -> Self {
        let key = std::fs::read_to_string(files.out().join("operator.key")).expect("readable");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let listener = runtime.block_on(TcpListener::bind(any)).expect("bound");
        let address = listener.local_addr().expect("bound");
        let address =
            if tls.is_some() { format!("https://{address}") } else { address.to_string() };
        replace(&files.client_toml(), "127.0.0.1:7102", &address);
        files.nobody_else_speaks_http();
        let state = Arc::new(State {
            key: key.trim_end().to_owned(),
            volatile,
            ledger: Mutex::default(),
            mood: Mutex::new(Mood::Answers),
            seen: Mutex::default(),
        });
        runtime.spawn(accept(listener, tls, state.clone()));
        Self { _runtime: runtime, address, state }
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.state.mood.lock().expect("no panic") = mood;
        self.state.ledger.lock().expect("no panic").rejects_some = mood == Mood::RejectsSome;
    }

    /// Returns the requests since the last call.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.seen.lock().expect("no panic"))
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), state.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, state).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, state).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let service = service_fn(|request| {
        let state = state.clone();
        async move { answer(&state, request).await }
    });
    let _gone = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Ends a connection without an answer: the site dies.
#[derive(Debug, thiserror::Error)]
#[error("closed by the test")]
struct Dead;

async fn answer(state: &State, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dead> {
    let mood = *state.mood.lock().expect("no panic");
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().expect("a path").to_string();
    state.seen.lock().expect("no panic").push(format!("{} {path}", parts.method));
    let body = body.collect().await.map_err(|_| Dead)?.to_bytes();
    if mood == Mood::Mute && parts.method != Method::GET {
        return std::future::pending().await;
    }
    let text = |name: header::HeaderName| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let (status, value, replayed) = if mood == Mood::Redirects {
        (307, json!({}), false)
    } else if parts.uri.path() == "/primary" {
        (200, json!({}), false)
    } else if parts.uri.path() == "/v1/status" {
        (200, json!({"volatile": state.volatile}), false)
    } else if text(header::AUTHORIZATION) != format!("Bearer {}", state.key) {
        problem(401, "unauthorized")
    } else if parts.method == Method::GET {
        look(&state.ledger.lock().expect("no panic"), mood, &path)
    } else {
        assert_eq!(text(header::CONTENT_TYPE), "application/json");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        act(&mut state.ledger.lock().expect("no panic"), mood, &path, &body)?
    };
    let mut response = Response::builder().status(status);
    if replayed {
        response = response.header("idempotent-replayed", "true");
    }
    if status == 307 {
        response = response.header(header::LOCATION, "http://127.0.0.1:9/");
    }
    let body = Bytes::from(value.to_string());
    Ok(response.body(Full::new(body)).expect("a response"))
}

fn problem(status: u16, code: &str) -> Answered {
    let retryable = matches!(status, 429 | 503 | 504);
    (status, json!({"code": code, "detail": "by the test", "retryable": retryable}), false)
}

fn act(ledger: &mut Ledger, mood: Mood, path: &str, body: &Value) -> Result<Answered, Dead> {
    ledger.requests += 1;
    let turn = ledger.requests;
    match mood {
        Mood::NoPrimary => return Ok(problem(503, "no_primary")),
        Mood::Overloaded if turn.is_multiple_of(3) => return Ok(problem(503, "overloaded")),
        _ => {}
    }
    let answered =
        if path == "/v1/batches" { batch(ledger, body) } else { single(ledger, path, body) };
    match mood {
        Mood::Dies if turn.is_multiple_of(100) => Err(Dead),
        Mood::Forgets => Ok(problem(504, "outcome_unknown")),
        _ => Ok(answered),
    }
}

fn single(ledger: &mut Ledger, path: &str, body: &Value) -> Answered {
    let command = command(path, body);
    let (stamp, answers) = ledger.decide(vec![command.clone()]);
    told(ledger, &command, stamp, &answers[0])
}

fn batch(ledger: &mut Ledger, body: &Value) -> Answered {
    assert_eq!(body["atomic"], false);
    let commands: Vec<Command> =
        body["commands"].as_array().expect("a list").iter().map(item).collect();
    let (stamp, answers) = ledger.decide(commands.clone());
    let results: Vec<Value> = commands
        .iter()
        .zip(&answers)
        .map(|(command, answer)| {
            let (status, mut value, _) = told(ledger, command, stamp, answer);
            value["status"] = status.into();
            value
        })
        .collect();
    (200, json!({"results": results}), false)
}

/// An answer in the shape of its route.
fn told(ledger: &Ledger, command: &Command, stamp: Stamp, answer: &Answer) -> Answered {
    let replayed = answer.first.is_some();
    let mut value = answer_json(&answer.first.unwrap_or(stamp), &answer.outcome);
    if let Some(rejection) = answer.outcome.rejection {
        value["code"] = rejection.name().into();
        value["detail"] = "by the test".into();
        return (422, value, replayed);
    }
    value["outcome"] = "committed".into();
    let (name, query) = match command {
        Command::OpenAccount(open) => ("account", Query::Account(open.id)),
        Command::Hold(hold) => ("hold", Query::Hold(hold.id)),
        Command::Void(void) => ("hold", Query::Hold(void.hold)),
        other => ("transfer", Query::Transfer(other.id().expect("it has one"))),
    };
    value[name] = described(ledger, &query, None).expect("just made");
    if name == "transfer" {
        value["debit_after"] = answer.outcome.debit_after.into();
        value["credit_after"] = answer.outcome.credit_after.into();
    }
    (if replayed { 200 } else { 201 }, value, replayed)
}

fn look(ledger: &Ledger, mood: Mood, path: &str) -> Answered {
    let (query, consistency) = super::played_json::query(path);
    let local = consistency == Consistency::Local;
    if mood == Mood::NoPrimary && !local {
        return problem(503, "no_primary");
    }
    let as_of = local.then_some(AsOf { position: ledger.position, age_ms: 7 });
    let Some(mut value) = described(ledger, &query, as_of) else {
        return problem(404, "not_found");
    };
    if let (Mood::HidesMoney, Some(posted)) = (mood, value["posted"].as_i64()) {
        value["posted"] = (posted - 1).into();
    }
    (200, value, false)
}

fn described(ledger: &Ledger, query: &Query, as_of: Option<AsOf>) -> Option<Value> {
    Some(match ledger.look(query)? {
        View::Account(view) => account_json(&view, as_of),
        View::Transfer(view) => movement_json(&view),
        View::Hold(view) => hold_json(&view),
        View::Totals(totals) => totals_json(&totals),
        View::History(page) => {
            let items: Vec<Value> = page.items.iter().map(movement_json).collect();
            json!({"items": items, "next_cursor": page.next.map(|next| next.position.to_string())})
        }
        other => panic!("the tests don't use {other:?}"),
    })
}
