//! `/v1/events`: a stream of every outcome in the order of the journal, the same on every node,
//! until the client closes it.
//!
//! A stream is pulled: the next page of the journal is read only after the client has taken the
//! last one, so a slow client costs nothing and loses nothing. It never skips an outcome; after a
//! break the client sends the last one it received, and the stream continues there.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderName, HeaderValue, Response, header},
    response::IntoResponse,
};
use evenkeel_wire::account::{LimitChange, Limits};
use futures_util::stream;
use serde::Serialize;
use tokio::{sync::watch, time::sleep};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::gateway::http::{
    HttpDoor,
    answer::{
        describe::{HoldShape, TransferShape},
        problem::{Code, Problem},
    },
    connection::patience::Busy,
    openapi::{AfterQuery, EventProblems},
    request::{
        accept,
        fields::{
            AccountIdText, AccountKindName, AccountStatusName, AssetName, RejectionName, Time,
        },
        head::Head,
        query,
    },
};
use crate::{
    admission::{self, Act},
    history::{AccountChange, Event, EventCursor, EventPage, Subject},
    limits::{EVENTS_AT_A_TIME, EVENTS_HEARTBEAT, EVENTS_PAUSE},
    road::{Caller, shares::KeyShare},
    state::LogPosition,
};

/// One outcome.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventShape {
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
    /// The command's id: the hold's for a release, the date for a day; `null` if it has none.
    #[schema(required = true)]
    id: Option<String>,
    /// `committed` or `rejected`.
    outcome: &'static str,
    /// The code of a rejection.
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

/// The account of an event: its permanent fields, and the fields that the command set.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccountEvent)]
struct AccountEventShape {
    id: AccountIdText,
    kind: AccountKindName,
    asset: AssetName,
    label: String,
    /// Its new status; absent if it didn't change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<AccountStatusName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    limits: Option<LimitsSetShape>,
}

/// Limits that a command set: an unchanged one is absent, a cleared one is `null`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LimitsSet)]
struct LimitsSetShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_balance: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_transfer: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    daily_debit: Option<Option<u64>>,
}

impl From<Limits> for LimitsSetShape {
    fn from(limits: Limits) -> Self {
        let set = |change| match change {
            LimitChange::Keep => None,
            LimitChange::Clear => Some(None),
            LimitChange::Set(amount) => Some(Some(amount.0)),
        };
        Self {
            max_balance: set(limits.max_balance),
            per_transfer: set(limits.per_transfer),
            daily_debit: set(limits.daily_debit),
        }
    }
}

impl From<Event> for EventShape {
    fn from(event: Event) -> Self {
        let Event { stamp, kind, id, outcome, subject } = event;
        let uuid = id.map(|id| Uuid::from_u128(id).to_string());
        let mut shape = Self {
            position: stamp.position,
            index: outcome.index,
            term: stamp.term,
            recorded_at: Time(stamp.recorded_at),
            r#type: kind.name(),
            id: uuid,
            outcome: if outcome.rejection.is_none() { "committed" } else { "rejected" },
            code: outcome.rejection.map(RejectionName),
            transfer: None,
            hold: None,
            account: None,
        };
        match subject {
            Subject::Nothing => {}
            Subject::Transfer(view) => shape.transfer = Some(TransferShape::immutable_part(&view)),
            Subject::Hold(view) => shape.hold = Some((*view).into()),
            Subject::Account(change) => shape.account = Some((*change).into()),
            Subject::Day(close) => shape.id = Some(close.closed.to_string()),
        }
        shape
    }
}

impl From<AccountChange> for AccountEventShape {
    fn from(change: AccountChange) -> Self {
        let AccountChange { id, kind, asset, label, status, limits } = change;
        Self {
            id: AccountIdText(id),
            kind: AccountKindName(kind),
            asset: AssetName(asset),
            label: label.as_str().to_owned(),
            status: status.map(AccountStatusName),
            limits: Some(limits.into()).filter(|limits| *limits != LimitsSetShape::default()),
        }
    }
}

const NDJSON: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Every outcome in the order of the journal. The answer stays open.
///
/// With server-sent events the header `Last-Event-ID` takes precedence over `after`.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "events",
    params(AfterQuery),
    responses(
        (status = 200, description = "One event a line, or one a message. The answer stays open.", content(
            (EventShape = "application/x-ndjson"),
            (String = "text/event-stream"),
        )),
        EventProblems,
    ),
)]
pub(crate) async fn events(
    State(door): State<Arc<HttpDoor>>,
    busy: Option<axum::Extension<Busy>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    let kind = accept::choose(&head.headers, &[NDJSON, SSE])?;
    admission::check_act(&head.caller, Act::ReadEvents)?;
    door.keyring.confirm(&head.caller).await?;
    let after = parse_start(&head)?;
    let place = door.event_streams.take(head.caller.key, 1).ok_or_else(|| {
        Problem::new(Code::Overloaded, "too many streams of events; nothing was done")
    })?;
    let mut follow = EventStream {
        applied: door.state.watch_applied(),
        stopping: door.stopping.clone(),
        caller: head.caller,
        after,
        read_to: None,
        server_sent: kind == SSE,
        first: None,
        more: true,
        _place: place,
        _busy: busy.map(|busy| busy.0),
        door,
    };
    // Read the first page now: an error can still change the status.
    follow.first = Some(follow.read_page().await?);
    let body = Body::from_stream(stream::unfold(follow, EventStream::next));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind_header(kind))),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

fn kind_header(kind: &str) -> &'static str {
    if kind == SSE { SSE } else { NDJSON }
}

/// The start of the stream: the `Last-Event-ID` of a client of server-sent events, which reconnects
/// with its first query; otherwise the query.
fn parse_start(head: &Head) -> Result<EventCursor, Problem> {
    let parameters = query::parameters(&head.uri, ["after"])?;
    let expected = "a position, or a position and an index: 12 or 12.3";
    let asked = parameters.get("after", expected, parse_after)?.unwrap_or(EventCursor::Start);
    match head.headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        None => Ok(asked),
        Some(id) => (id.to_str().ok().and_then(parse_after))
            .ok_or_else(|| Problem::malformed(format!("Last-Event-ID: not {expected}"))),
    }
}

fn parse_after(text: &str) -> Option<EventCursor> {
    Some(match text.split_once('.') {
        Some((position, index)) => {
            EventCursor::Outcome(query::position(position)?, query::index(index)?)
        }
        None => EventCursor::Entry(query::position(text)?),
    })
}

/// A stream, and the last outcome that it sent.
struct EventStream {
    applied: watch::Receiver<Option<LogPosition>>,
    stopping: watch::Receiver<bool>,
    caller: Caller,
    after: EventCursor,
    /// The newest position at the last read of the journal.
    read_to: Option<u64>,
    server_sent: bool,
    /// The first page, read before the answer began.
    first: Option<EventPage>,
    /// The last page had a successor.
    more: bool,
    _place: KeyShare,
    _busy: Option<Busy>,
    door: Arc<HttpDoor>,
}

impl EventStream {
    /// The next bytes; `None`: the stream ends, and its client reconnects elsewhere.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if *self.stopping.borrow() || self.door.keyring.confirm(&self.caller).await.is_err() {
                return None;
            }
            let newest = self.applied.borrow_and_update().map(|place| place.position);
            if self.first.is_some() || self.more || newest > self.read_to {
                let page = match self.first.take() {
                    Some(page) => page,
                    None => self.read_page().await.ok()?,
                };
                self.more = page.more;
                self.after = page.next;
                if !page.events.is_empty() {
                    let bytes = write(page.events, self.server_sent);
                    return Some((Ok(bytes), self));
                }
            } else if self.wait().await {
                return Some((Ok(Bytes::from_static(b":\n\n")), self));
            }
        }
    }

    /// Reads the next page of the journal.
    async fn read_page(&mut self) -> Result<EventPage, Problem> {
        let stopping = || Problem::new(Code::Stopping, "this site is shutting down");
        let turn = self.door.event_reads.acquire(self.caller.key).await;
        self.read_to = self.applied.borrow_and_update().map(|place| place.position);
        let (state, after) = (self.door.state.clone(), self.after);
        let reading = tokio::task::spawn_blocking(move || {
            let page = state.events_after(after, EVENTS_AT_A_TIME);
            drop(turn);
            page
        });
        let page = reading.await.map_err(|_| stopping())?;
        page.map_err(|refusal| {
            tracing::debug!(%refusal, "a stream of events is ended");
            refusal.into()
        })
    }

    /// Waits for a new entry, and a moment longer, so that outcomes that arrive together are sent
    /// together. Returns whether a heartbeat is due instead.
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
