//! Reads: behind a majority by default, or what this site knows, labelled with its age.

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
    /// Answers a question; of a local read, tells how old the answer may be.
    pub(crate) async fn read_view(
        &self,
        head: &Head,
        query: Query,
        consistency: Consistency,
    ) -> Result<(View, Option<AsOf>), Problem> {
        admission::check_query(&head.caller, &query)?;
        self.bodies.check()?;
        if consistency == Consistency::Local {
            self.keyring.confirm(&head.caller).await?;
            // The age first: what is applied meanwhile only makes the answer younger.
            let as_of = self.as_of();
            let view =
                admission::read_locally(&self.state, head.caller, query, head.deadline).await?;
            return Ok((view, Some(as_of)));
        }
        let patience = head.deadline.saturating_duration_since(Instant::now());
        match self.road.send_and_wait(head.caller, Request::Read(query), patience).await {
            Reply::View(view, as_of) => Ok((*view, as_of)),
            // A read leaves nothing behind: one that broke off had no effect.
            Reply::Refused(refusal) if refusal.code == RefusalCode::OutcomeUnknown => {
                Err(Problem::new(Code::NoPrimary, "no majority of sites answered in time"))
            }
            Reply::Refused(refusal) => Err(refusal.into()),
            Reply::Decided(..) => Err(mismatched_answer()),
        }
    }

    /// How old what this site knows may be. One that has never been current since its start says so with the largest age.
    pub(crate) fn as_of(&self) -> AsOf {
        let position = self.state.position();
        let age = self.freshness.age(Instant::now(), position);
        let age_ms = age.map_or(u64::MAX, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        AsOf { position: position.unwrap_or(0), age_ms }
    }
}

/// The answer to another question: the site that gave it is of another version.
pub(crate) fn mismatched_answer() -> Problem {
    Problem::new(Code::NoPrimary, "the primary gave no answer to this question")
}
