//! A request with a body. The body is read completely, bounded in bytes and in time, before it's
//! parsed; it's never parsed here.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header},
};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::{Instant, timeout};

use super::{head::Head, query};
use crate::gateway::http::{
    HttpDoor,
    answer::problem::{Code, Problem},
    connection::{bodies::BodyReservation, patience::Busy},
};
use crate::limits::{HTTP_BODY_BYTES_MAX, HTTP_BODY_PATIENCE, HTTP_LINGER};

/// A POST or PUT: its checked head, and its body.
pub(crate) struct RequestWithBody {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
    /// The body's share of memory; given back when the request ends.
    _room: BodyReservation,
}

impl FromRequest<Arc<HttpDoor>> for RequestWithBody {
    type Rejection = Problem;

    async fn from_request(request: Request, door: &Arc<HttpDoor>) -> Result<Self, Problem> {
        let (mut parts, mut body) = request.into_parts();
        match read_request(&mut parts, &mut body, door).await {
            Ok((head, bytes, room)) => Ok(Self { head, body: bytes, _room: room }),
            Err(problem) => {
                drain_body(body, parts.extensions.remove::<Busy>());
                Err(problem)
            }
        }
    }
}

async fn read_request(
    parts: &mut axum::http::request::Parts,
    body: &mut Body,
    door: &Arc<HttpDoor>,
) -> Result<(Head, Bytes, BodyReservation), Problem> {
    let mut head = Head::from_request_parts(parts, door).await?;
    head.check_accepts_json()?;
    query::check_no_query(parts.uri.query())?;
    let announced = body.size_hint().upper();
    if announced != Some(0) {
        check_media_type(&head.headers)?;
    }
    let known = announced.and_then(|bytes| usize::try_from(bytes).ok());
    if let Some(bytes) = known {
        check_size(bytes)?;
        // Before a byte of it is read.
        head.count_bytes(bytes).map_err(Problem::closing)?;
    }
    let mut room = door.bodies.new_reservation();
    let since = Instant::now();
    let reading = collect(body, announced, &mut room);
    let bytes = timeout(HTTP_BODY_PATIENCE, reading).await.map_err(|_| {
        let seconds = HTTP_BODY_PATIENCE.as_secs();
        Problem::malformed(format!("the body took over {seconds} s to arrive")).closing()
    })??;
    if known.is_none() {
        head.count_bytes(bytes.len())?;
    }
    head.deadline += since.elapsed();
    Ok((head, bytes, room))
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = || {
        Problem::new(
            Code::UnsupportedMediaType,
            "Content-Type: this route accepts application/json",
        )
    };
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let text = values.next().and_then(|value| value.to_str().ok()).ok_or_else(unsupported)?;
    if values.next().is_some() {
        return Err(unsupported());
    }
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        Some(_) => true,
        None => parameter.is_empty(),
    });
    if json && utf8 { Ok(()) } else { Err(unsupported()) }
}

/// Reads the body, never more than the size limit and never more than memory allows.
async fn collect(
    body: &mut Body,
    announced: Option<u64>,
    room: &mut BodyReservation,
) -> Result<Bytes, Problem> {
    let announced = announced.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if let Some(bytes) = announced {
        check_size(bytes)?;
    }
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    let mut read = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::malformed(format!("the body ended early: {error}")).closing()
        })?;
        let Ok(data) = frame.into_data() else { continue };
        read = read.saturating_add(data.len());
        check_size(read)?;
        // An announced length reserves nothing until the bytes arrive.
        room.reserve_bytes(data.len())?;
        // A body in one piece, the usual case, isn't copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                whole.reserve(announced.unwrap_or(0).min(AT_ONCE).max(first.len() + data.len()));
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

/// The most that is allocated for a body before it has arrived.
const AT_ONCE: usize = 256 << 10;

fn check_size(bytes: usize) -> Result<(), Problem> {
    if bytes <= HTTP_BODY_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("the body has over {HTTP_BODY_BYTES_MAX} bytes");
    Err(Problem::new(Code::TooLarge, detail).closing())
}

/// Reads and discards the bytes that a refused client still sends, for a moment: a connection that
/// is closed while bytes arrive is reset, and the client would never see the refusal. Meanwhile the
/// connection counts as being served: these bytes don't begin a new request's head.
fn drain_body(mut body: Body, busy: Option<Busy>) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        let drain = async { while let Some(Ok(_)) = body.frame().await {} };
        let _gone_or_late = timeout(HTTP_LINGER, drain).await;
        drop(busy);
    });
}

const _: () = assert!(HTTP_LINGER.as_secs() < Duration::from_secs(10).as_secs());
