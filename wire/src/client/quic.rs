//! The transport over QUIC: requests as frames in a session, and the meaning of replies.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Shared,
    raw::Reply,
    retrying_call::{Attempt, SiteTransport},
    session::{Session, SessionError},
};
use crate::{
    codec, frame,
    limits::{DEADLINE_MS_MAX, DEADLINE_MS_MIN},
    request::{Consistency, Query, READ, ReadRequest, Submit},
};

/// A request of the client.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Submit { count: u32, atomic: bool, commands: Bytes },
    Read { query: Query, consistency: Consistency },
}

impl Request {
    /// The approximate size of its frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        match self {
            Self::Submit { commands, .. } => commands.len() + 32,
            Self::Read { .. } => 96,
        }
    }

    /// Appends its frame to `buffer`.
    pub(crate) fn write(&self, number: u64, deadline: Instant, buffer: &mut Vec<u8>) {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let deadline_ms =
            u32::try_from(left).unwrap_or(u32::MAX).clamp(DEADLINE_MS_MIN, DEADLINE_MS_MAX);
        match self {
            Self::Submit { count, atomic, commands } => {
                let at = Submit::start(number, deadline_ms, *count, *atomic, buffer);
                buffer.extend_from_slice(commands);
                frame::finish(buffer, at);
            }
            Self::Read { query, consistency } => {
                let (query, consistency) = (query.clone(), *consistency);
                let request = ReadRequest { number, deadline_ms, consistency, query };
                let at = frame::start(buffer, READ);
                codec::encode_into(&request, buffer);
                frame::finish(buffer, at);
            }
        }
    }

    fn is_answered_by(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Self::Submit { count, .. }, Reply::Outcomes(outcomes)) => {
                u32::try_from(outcomes.answers.len()) == Ok(*count)
            }
            (Self::Read { .. }, Reply::View(_)) => true,
            _ => false,
        }
    }
}

/// One of a client's connections to every site.
pub(crate) struct QuicTransport<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) connection: usize,
}

impl QuicTransport<'_> {
    fn session(&self, site: usize) -> Option<Arc<Session>> {
        self.shared.slots[self.connection][site].session()
    }

    async fn exchange(
        &self,
        site: usize,
        request: &Request,
        deadline: Instant,
        sent: &AtomicBool,
    ) -> Result<Reply, SessionError> {
        let session = self.shared.open_session(self.connection, site).await?;
        let reply = session.send_request(request, deadline, sent).await?;
        Reply::read(&reply).map_err(|error| SessionError::MayHaveHappened(error.to_string()))
    }
}

impl SiteTransport for QuicTransport<'_> {
    type Request = Request;
    type Answer = Reply;

    fn may_change_ledger(request: &Request) -> bool {
        matches!(request, Request::Submit { .. })
    }

    async fn attempt(
        &self,
        site: usize,
        request: &Request,
        deadline: Instant,
        sent: &AtomicBool,
    ) -> Attempt<Reply> {
        match self.exchange(site, request, deadline, sent).await {
            Ok(reply) if request.is_answered_by(&reply) => Attempt::Answered(reply),
            Ok(Reply::Refused(refused)) => Attempt::from_refusal(refused.refusal),
            Ok(_) => Attempt::MayHaveHappened("the site's answer doesn't fit the request".into()),
            Err(SessionError::NothingDone(why)) => Attempt::NothingDone(why),
            Err(SessionError::MayHaveHappened(why)) => Attempt::MayHaveHappened(why),
            Err(SessionError::Refused(refusal)) => Attempt::from_refusal(refusal),
        }
    }

    fn quiet_for(&self, site: usize) -> Option<Duration> {
        Some(self.session(site).map_or(Duration::MAX, |session| session.quiet_for()))
    }

    fn mark_silent(&self, site: usize) {
        if let Some(session) = self.session(site) {
            session.mark_silent();
        }
    }
}
