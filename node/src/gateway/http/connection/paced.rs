//! Large answers, sent piece by piece: the connection counts as served until the client has read
//! the last piece, and the waiting bytes count as memory in use. It never changes an answer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes},
    http::Response,
};
use hyper::body::{Body as _, Frame, SizeHint};

use super::{bodies::AnswerReservation, patience::Busy};

/// The largest piece; an answer of at most this size is sent at once.
const PIECE: usize = 64 << 10;

/// An answer being sent.
struct PacedBody {
    body: Body,
    /// Taken from the body, and not sent yet.
    next: Bytes,
    left: u64,
    _busy: Busy,
    _room: Option<AnswerReservation>,
}

/// The answer for the connection. `busy` and the answer's reservation are kept until the last piece
/// is taken.
pub(crate) fn pace_response(mut response: Response<Body>, busy: Busy) -> Response<Body> {
    let room = response.extensions_mut().remove::<AnswerReservation>();
    let bytes = response.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let Some(bytes) = bytes else {
        busy.mark_streaming();
        return response;
    };
    match Some(bytes).filter(|bytes| *bytes > PIECE) {
        None => response,
        Some(bytes) => response.map(|body| {
            let (next, left) = (Bytes::new(), body.size_hint().lower());
            if let Some(room) = &room {
                room.shrink_to(bytes);
            }
            Body::new(PacedBody { body, next, left, _busy: busy, _room: room })
        }),
    }
}

impl hyper::body::Body for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.next.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.next = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let most = self.next.len().min(PIECE);
        let piece = self.next.split_to(most);
        self.left = self.left.saturating_sub(u64::try_from(most).unwrap_or(u64::MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_wire::id::KeyId;
    use http_body_util::BodyExt;

    use super::*;
    use crate::gateway::http::connection::{bodies::BodyMemory, patience::Activity};

    #[tokio::test]
    async fn a_large_answer_comes_whole_and_its_reader_is_served_until_the_last_piece() {
        let (activity, bodies) = (Activity::new(), BodyMemory::default());
        let whole: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let room = bodies.reserve_answer(KeyId(1), 2 * whole.len()).expect("there's room");
        let response = room.attach(Response::new(Body::from(whole.clone())));
        let response = pace_response(response, Activity::start_serving(&activity));
        assert_eq!(response.body().size_hint().exact(), Some(200_000));
        let (mut body, mut read) = (response.into_body(), Vec::new());
        while read.len() < whole.len() {
            assert!(activity.is_serving() && bodies.taken() == (0, whole.len()));
            let piece =
                body.frame().await.expect("more").expect("sound").into_data().expect("data");
            assert!(piece.len() <= PIECE);
            read.extend_from_slice(&piece);
        }
        assert!(body.frame().await.is_none());
        drop(body);
        assert!(read == whole && !activity.is_serving() && bodies.taken() == (0, 0));
    }
}
