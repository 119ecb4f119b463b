//! Reads: linearizable by default, or this site's own state, labelled with its age. They never
//! change anything.

use evenkeel_wire::{
    reply::{AsOf, RefusalCode, View},
    request::{Consistency, Query},
};
use tokio::time::Instant;

use super::{
    HttpDoor,
    answer::problem::{Code, Problem},
    request::head::Head,
};
use crate::{
    admission,
    road::{Reply, Request},
};

impl HttpDoor {
    /// Answers a query; a local read also gets the age of the answer.
    pub(crate) async fn read_view(
        &self,
        head: &Head,
        query: Query,
        consistency: Consistency,
    ) -> Result<(View, Option<AsOf>), Problem> {
        admission::check_query(&head.caller, &query)?;
        if consistency == Consistency::Local {
            self.keyring.confirm(&head.caller).await?;
            // Read the age first: an entry applied in the meantime only makes the answer fresher.
            let as_of = self.as_of();
            let view =
                admission::read_locally(&self.state, head.caller, query, head.deadline).await?;
            return Ok((view, Some(as_of)));
        }
        let patience = head.deadline.saturating_duration_since(Instant::now());
        match self.road.send_and_wait(head.caller, Request::Read(query), patience).await {
            Reply::View(view, as_of) => Ok((*view, as_of)),
            // A read has no effect, so one that broke off has none either.
            Reply::Refused(refusal) if refusal.code == RefusalCode::OutcomeUnknown => {
                Err(Problem::new(Code::NoPrimary, "no majority of sites answered in time"))
            }
            Reply::Refused(refusal) => Err(refusal.into()),
            Reply::Decided(..) => Err(mismatched_answer()),
        }
    }

    /// The age of this site's view. A site that was never current since its start reports the
    /// largest age.
    pub(crate) fn as_of(&self) -> AsOf {
        let position = self.state.position();
        let age = self.freshness.age(Instant::now(), position);
        let age_ms = age.map_or(u64::MAX, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        AsOf { position: position.unwrap_or(0), age_ms }
    }
}

/// The problem for an answer to another query: the site that sent it has another version.
pub(crate) fn mismatched_answer() -> Problem {
    Problem::new(Code::NoPrimary, "the primary's answer doesn't match the query")
}
