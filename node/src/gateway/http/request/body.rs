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
use tokio::time::{Instant, timeout, timeout_at};

use super::{head::Head, query};
use crate::gateway::http::{
    HttpDoor,
    answer::problem::{Code, Problem},
    connection::{bodies::BodyReservation, patience::Busy},
};
use crate::limits::{CLIENT_RATE_MIN, HTTP_BODY_BYTES_MAX, HTTP_LINGER, patience_for};

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
    let mut room = door.bodies.new_reservation(head.caller.key);
    let since = Instant::now();
    let bytes = collect(body, announced, &mut room).await?;
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

/// Reads the body, never more than the size limit, never more than memory allows, and never below
/// the lowest rate.
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
    let since = Instant::now();
    loop {
        // A body may be slow, but not slower than the lowest rate: it occupies memory.
        let next = timeout_at(since + patience_for(read), body.frame()).await.map_err(|_| {
            let detail = format!("the body came slower than {CLIENT_RATE_MIN} bytes a second");
            Problem::malformed(detail).closing()
        })?;
        let Some(frame) = next else { break };
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

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use evenkeel_wire::id::KeyId;
    use futures_util::stream;

    use super::*;
    use crate::{gateway::http::connection::bodies::BodyMemory, limits::CLIENT_RATE_GRACE};

    /// The seconds that a body takes which comes in pieces of this size, one every second.
    async fn collected(pieces: usize, bytes: usize) -> (u64, Result<usize, Code>) {
        let pieces = stream::unfold(0, move |number| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let piece = Ok::<_, Infallible>(Bytes::from(vec![b' '; bytes]));
            (number < pieces).then_some((piece, number + 1))
        });
        let mut room = BodyMemory::default().new_reservation(KeyId(1));
        let since = Instant::now();
        let read = collect(&mut Body::from_stream(pieces), None, &mut room).await;
        (since.elapsed().as_secs(), read.map(|body| body.len()).map_err(|problem| problem.code))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_comes_at_a_rate_or_not_at_all() {
        let grace = CLIENT_RATE_GRACE.as_secs();
        assert_eq!(collected(600, 1).await, (grace, Err(Code::Malformed)), "a byte a second");
        let (took, read) = collected(60, CLIENT_RATE_MIN).await;
        assert_eq!(read, Ok(60 * CLIENT_RATE_MIN), "after {took} s");
        let (took, read) = collected(60, CLIENT_RATE_MIN / 2).await;
        assert_eq!((took, read), (2 * grace - 1, Err(Code::Malformed)));
    }
}
