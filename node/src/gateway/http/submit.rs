//! Sends commands down the road, and reads the state that their answers show. It never says that
//! nothing was done if that isn't certain.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use evenkeel_wire::{
    codec,
    command::Command,
    id::{AccountId, CommandId},
    reply::View,
    request::Query,
};
use tokio::time::{Instant, timeout_at};

use super::{
    HttpDoor,
    answer::{
        describe::{AccountShape, Decision, HoldShape, TransferShape},
        problem::{Code, Problem},
    },
    request::head::Head,
};
use crate::{
    admission::{self, targets},
    road::{Caller, DecidedEntry, Reply, Request},
};

impl HttpDoor {
    /// Submits one command and returns its answer once it's committed. A command with a misfit
    /// isn't submitted: only permissions are checked, so that callers without them learn nothing
    /// about the misfit.
    pub(crate) async fn submit(
        &self,
        head: &Head,
        command: &Command,
        misfit: Option<Problem>,
    ) -> Result<Decision, Problem> {
        head.count_commands(1)?;
        let commands: Bytes = codec::encode(command).into();
        let problem = |refusal| Problem::from(refusal).of_one_command();
        admission::check_form_and_role(&head.caller, 1, &commands).map_err(problem)?;
        targets::wait_for_target_check(&self.state, head.caller, commands.clone(), head.deadline)
            .await
            .map_err(problem)?;
        if let Some(misfit) = misfit {
            return Err(misfit);
        }
        let request = Request::Submit { count: 1, atomic: false, commands };
        let (decided, answers) = self.submit_request(head.caller, request, head.deadline).await?;
        let answer = decided.answers.get(answers.start).ok_or_else(outcome_unknown)?;
        Decision::from_answer(&decided, answer).require_committed()
    }

    /// Submits commands and waits for their outcomes.
    pub(crate) async fn submit_request(
        &self,
        caller: Caller,
        request: Request,
        deadline: Instant,
    ) -> Result<(Arc<DecidedEntry>, Range<usize>), Problem> {
        let patience = deadline.saturating_duration_since(Instant::now());
        match self.road.send_and_wait(caller, request, patience).await {
            Reply::Decided(decided, answers) => Ok((decided, answers)),
            Reply::Refused(refusal) => Err(refusal.into()),
            // A view isn't an answer to a command.
            Reply::View(..) => Err(outcome_unknown()),
        }
    }

    /// Waits until this site has applied a committed entry.
    pub(crate) async fn wait_applied(
        &self,
        position: u64,
        deadline: Instant,
    ) -> Result<(), Problem> {
        if self.state.position() >= Some(position) {
            return Ok(());
        }
        let mut applied = self.state.watch_applied();
        let there = applied.wait_for(|place| place.is_some_and(|place| place.position >= position));
        match timeout_at(deadline, there).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(outcome_unknown()),
        }
    }

    /// The account that a committed command changed.
    pub(crate) async fn account_of(
        &self,
        id: AccountId,
        decision: &Decision,
        head: &Head,
    ) -> Result<AccountShape, Problem> {
        match self.read_applied(Query::Account(id), decision, head).await? {
            View::Account(account) => Ok(account.into()),
            _ => Err(outcome_unknown()),
        }
    }

    /// The hold that a committed command changed.
    pub(crate) async fn hold_of(
        &self,
        id: CommandId,
        decision: &Decision,
        head: &Head,
    ) -> Result<HoldShape, Problem> {
        match self.read_applied(Query::Hold(id), decision, head).await? {
            View::Hold(hold) => Ok((*hold).into()),
            _ => Err(outcome_unknown()),
        }
    }

    /// The movement that a committed command made.
    pub(crate) async fn movement_of(
        &self,
        id: CommandId,
        decision: &Decision,
        head: &Head,
    ) -> Result<TransferShape, Problem> {
        match self.read_applied(Query::Transfer(id), decision, head).await? {
            View::Transfer(transfer) => Ok(TransferShape::immutable_part(&transfer)),
            _ => Err(outcome_unknown()),
        }
    }

    /// Reads this site's state after it has applied the command's entry.
    async fn read_applied(
        &self,
        query: Query,
        decision: &Decision,
        head: &Head,
    ) -> Result<View, Problem> {
        self.wait_applied(decision.stamp.position, head.deadline).await?;
        if matches!(query, Query::Account(_)) {
            return self.state.answer_query(&query).map_err(|_| outcome_unknown());
        }
        let (threads, state) = (self.state.read_threads().doors, self.state.clone());
        let read = threads.run(head.caller.key, move || state.answer_query(&query));
        match timeout_at(head.deadline, read).await {
            Ok(Ok(answer)) => answer.map_err(|_| outcome_unknown()),
            Ok(Err(_)) | Err(_) => Err(outcome_unknown()),
        }
    }
}

/// The command is decided, but its answer is unavailable: the same id returns it again.
pub(crate) fn outcome_unknown() -> Problem {
    Problem::new(Code::OutcomeUnknown, "it may yet commit; retry with the same id")
}
