//! `/v1/events`: every outcome in the order of the journal, the same on every node, for as long as somebody listens.
//!
//! A stream is pulled: nothing is read from the journal before its reader has taken what was read last, so a slow one costs
//! nothing and loses nothing. It never skips an outcome; after a break its reader says what it has seen, and goes on.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderName, HeaderValue, Response, header},
    response::IntoResponse,
};
use evenkeel_wire::{
    account::AccountStatus,
    command::Command,
    hold::HoldStatus,
    outcome::{Outcome, Stamp},
    reply::{HoldView, Refusal, TransferView},
};
use futures_util::stream;
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::sleep,
};
use utoipa::ToSchema;

use super::{
    HttpDoor, accept,
    describe::{HoldShape, TransferShape},
    fields::{AccountIdText, AccountKindName, AccountStatusName, AssetName, RejectionName, Time},
    head::Head,
    openapi::{AfterQuery, EventProblems},
    patience::Busy,
    problem::{Code, Problem},
    query,
};
use crate::{
    admission::{self, Act},
    limits::{EVENTS_AT_A_TIME, EVENTS_HEARTBEAT, EVENTS_PAUSE},
    road::Caller,
    state::Place,
};

/// How far somebody has seen: a whole entry, or one outcome of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct After {
    pub position: u64,
    /// `None`: all of the entry.
    pub index: Option<u16>,
}

/// An outcome, with what it was about.
#[derive(Clone, Debug)]
pub struct Event {
    pub stamp: Stamp,
    pub command: Command,
    pub outcome: Outcome,
    /// The movement that a committed command made.
    pub movement: Option<TransferView>,
    /// The hold that a committed hold, void or release was about; its status is told as of the event, whatever it says.
    pub hold: Option<HoldView>,
}

/// Outcomes in the order of the journal.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    pub events: Vec<Event>,
    /// How far the page has seen, whether or not there was an outcome; `None`: the journal is empty.
    pub seen: Option<After>,
}

/// Where outcomes are read.
pub trait EventSource: Send + Sync + 'static {
    /// At most about `limit` outcomes behind `after`, from the start when it's `None`. Reads the disk: never called where
    /// something waits.
    ///
    /// # Errors
    /// When the journal can't be read, or an index is being rebuilt.
    fn events(&self, after: Option<After>, limit: usize) -> Result<EventPage, Refusal>;
}

impl EventSource for crate::state::State {
    fn events(&self, _after: Option<After>, _limit: usize) -> Result<EventPage, Refusal> {
        Err(Refusal::new(evenkeel_wire::reply::RefusalCode::Recovering, "not yet"))
    }
}

/// One outcome.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventShape {
    /// The entry's number in the journal.
    position: u64,
    /// The outcome's number among the new outcomes of its entry.
    index: u16,
    /// The election number of the primary that made the entry.
    term: u64,
    /// The entry's time.
    recorded_at: Time,
    /// The type of the command.
    r#type: &'static str,
    /// The command's id; of a release its hold's, of a day its date; `null` for what has none.
    #[schema(required = true)]
    id: Option<String>,
    /// `committed` or `rejected`.
    outcome: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<RejectionName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transfer: Option<TransferShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hold: Option<HoldShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    account: Option<AccountEventShape>,
}

/// What an event says of an account: what the command was about, never how the account stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccountEvent)]
struct AccountEventShape {
    id: AccountIdText,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kind: Option<AccountKindName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    asset: Option<AssetName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<AccountStatusName>,
}

impl From<Event> for EventShape {
    fn from(event: Event) -> Self {
        let Event { stamp, command, outcome, movement, hold } = event;
        let committed = outcome.rejection.is_none();
        let (kind, id) = name(&command);
        Self {
            position: stamp.position,
            index: outcome.index,
            term: stamp.term,
            recorded_at: Time(stamp.recorded_at),
            r#type: kind,
            id,
            outcome: if committed { "committed" } else { "rejected" },
            code: outcome.rejection.map(RejectionName),
            transfer: movement.as_ref().filter(|_| committed).map(TransferShape::fixed),
            hold: hold.filter(|_| committed).map(|view| hold_after(&command, view)),
            account: if committed { account(&command) } else { None },
        }
    }
}

/// A command's type and id, as events name them.
fn name(command: &Command) -> (&'static str, Option<String>) {
    let id = command.id().map(|id| id.to_string());
    match command {
        Command::Transfer(_) => ("transfer", id),
        Command::OpenAccount(open) => ("open_account", Some(open.id.to_string())),
        Command::Refund(_) => ("refund", id),
        Command::Reversal(_) => ("reversal", id),
        Command::Hold(_) => ("hold", id),
        Command::Capture(_) => ("capture", id),
        Command::Void(_) => ("void", id),
        Command::SetStatus(change) => match change.status {
            AccountStatus::Open => ("unfreeze", id),
            AccountStatus::Frozen => ("freeze", id),
            AccountStatus::Closed => ("close", id),
        },
        Command::SetLimits(_) => ("limits", id),
        Command::ExpireHold(expire) => ("expire", Some(expire.hold.to_string())),
        Command::CloseDay(day) => ("day_close", Some(day.closed.to_string())),
        Command::CreateKey(_) => ("create_key", None),
        Command::RevokeKey(revoke) => ("revoke_key", Some(revoke.key.0.to_string())),
        Command::Genesis(_) => ("genesis", None),
    }
}

/// A hold as it stood after the command, not as it stands now: every node says the same.
fn hold_after(command: &Command, mut view: HoldView) -> HoldShape {
    (view.status, view.closed_by) = match command {
        Command::Void(void) => (HoldStatus::Voided, Some(void.id)),
        Command::ExpireHold(_) => (HoldStatus::Expired, None),
        _ => (HoldStatus::Open, None),
    };
    view.captured = 0;
    view.into()
}

fn account(command: &Command) -> Option<AccountEventShape> {
    let plain = |id| AccountEventShape {
        id: AccountIdText(id),
        kind: None,
        asset: None,
        label: None,
        status: None,
    };
    match command {
        Command::OpenAccount(open) => Some(AccountEventShape {
            kind: Some(AccountKindName(open.kind)),
            asset: Some(AssetName(open.asset)),
            label: Some(open.label.as_str().to_owned()),
            status: Some(AccountStatusName(AccountStatus::Open)),
            ..plain(open.id)
        }),
        Command::SetStatus(change) => Some(AccountEventShape {
            status: Some(AccountStatusName(change.status)),
            ..plain(change.account)
        }),
        Command::SetLimits(change) => Some(plain(change.account)),
        _ => None,
    }
}

const NDJSON: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Every outcome in the order of the journal. The answer stays open.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "events",
    params(AfterQuery),
    responses(
        (status = 200, description = "One event a line, or one a message. It stays open.", content(
            (EventShape = "application/x-ndjson"),
            (String = "text/event-stream"),
        )),
        EventProblems,
    ),
)]
pub(super) async fn events(
    State(door): State<Arc<HttpDoor>>,
    busy: Option<axum::Extension<Busy>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    let kind = accept::choose(&head.headers, &[NDJSON, SSE])?;
    let after = after(&head)?;
    admission::check_act(&head.caller, Act::ReadEvents)?;
    let place = door.event_streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(Code::Overloaded, "too many readers of events; nothing was done")
    })?;
    let follow = Follow {
        applied: door.state.applied(),
        stopping: door.stopping.clone(),
        caller: head.caller,
        after,
        looked: None,
        server_sent: kind == SSE,
        full: true,
        _place: place,
        _busy: busy.map(|busy| busy.0),
        door,
    };
    let body = Body::from_stream(stream::unfold(follow, Follow::next));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind_header(kind))),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

fn kind_header(kind: &str) -> &'static str {
    if kind == SSE { SSE } else { NDJSON }
}

/// Where to go on: what the query says, else what an SSE client has seen last.
fn after(head: &Head) -> Result<Option<After>, Problem> {
    let parameters = query::parameters(&head.uri, ["after"])?;
    let expected = "a position, or a position and an index: 12 or 12.3";
    if let Some(after) = parameters.get("after", expected, read_after)? {
        return Ok(Some(after));
    }
    let last = head.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    last.filter(|id| !id.is_empty())
        .map(|id| {
            read_after(id)
                .ok_or_else(|| Problem::malformed(format!("Last-Event-ID: not {expected}")))
        })
        .transpose()
}

fn read_after(text: &str) -> Option<After> {
    let (position, index) = match text.split_once('.') {
        Some((position, index)) => (position, Some(query::digits(index)?)),
        None => (text, None),
    };
    Some(After { position: query::digits(position)?, index })
}

/// A reader, and how far it has seen.
struct Follow {
    applied: watch::Receiver<Option<Place>>,
    stopping: watch::Receiver<bool>,
    caller: Caller,
    after: Option<After>,
    /// The newest position when the journal was last looked at.
    looked: Option<u64>,
    server_sent: bool,
    /// The last page was full: there may be more behind it.
    full: bool,
    _place: OwnedSemaphorePermit,
    _busy: Option<Busy>,
    door: Arc<HttpDoor>,
}

impl Follow {
    /// The next bytes; `None`: the stream ends, and its reader goes on elsewhere.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if *self.stopping.borrow() || self.door.keyring.recheck(&self.caller).is_err() {
                return None;
            }
            let newest = self.applied.borrow_and_update().map(|place| place.position);
            if self.full || newest > self.looked {
                self.looked = newest;
                let page = self.read().await?;
                self.full = page.events.len() >= EVENTS_AT_A_TIME;
                self.after = page.seen.or(self.after);
                if !page.events.is_empty() {
                    let bytes = write(page.events, self.server_sent);
                    return Some((Ok(bytes), self));
                }
            } else if self.wait().await {
                return Some((Ok(Bytes::from_static(b":\n\n")), self));
            }
        }
    }

    async fn read(&self) -> Option<EventPage> {
        let (source, after) = (self.door.events.clone(), self.after);
        let reading = tokio::task::spawn_blocking(move || source.events(after, EVENTS_AT_A_TIME));
        match reading.await {
            Ok(Ok(page)) => Some(page),
            Ok(Err(refusal)) => {
                tracing::debug!(%refusal, "a reader of events is let go");
                None
            }
            Err(_) => None,
        }
    }

    /// Waits for something new, and a moment longer, so that what comes together is sent together. Tells whether it's time
    /// for a sign of life instead.
    async fn wait(&mut self) -> bool {
        let heartbeat = if self.server_sent { EVENTS_HEARTBEAT } else { Duration::MAX };
        tokio::select! {
            changed = self.applied.changed() => {
                if changed.is_err() {
                    sleep(EVENTS_HEARTBEAT).await;
                }
                sleep(EVENTS_PAUSE).await;
                false
            }
            _ = self.stopping.changed() => false,
            () = sleep(heartbeat) => true,
        }
    }
}

fn write(events: Vec<Event>, server_sent: bool) -> Bytes {
    let mut bytes = Vec::with_capacity(events.len() * 512);
    for event in events {
        let shape = EventShape::from(event);
        if server_sent {
            let head =
                format!("id: {}.{}\nevent: {}\ndata: ", shape.position, shape.index, shape.r#type);
            bytes.extend_from_slice(head.as_bytes());
        }
        serde_json::to_writer(&mut bytes, &shape).expect("the shapes hold nothing that JSON can't");
        bytes.extend_from_slice(if server_sent { b"\n\n" } else { b"\n" });
    }
    bytes.into()
}
