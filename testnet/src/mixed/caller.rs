//! One caller of the mixed load: sends one command at a time, until it's answered, and then once
//! more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use evenkeel_wire::{
    client::{Client, ClientError, CommandAnswer},
    command::Command,
    outcome::Rejection,
};
use tokio::time::sleep;

use super::{
    AnsweredCommand,
    accounts::MixedAccounts,
    commands::{self, KnownTargets},
};
use crate::relay::rules::Chance;

/// More tries than any change of primary takes.
const TRIES_MAX: u32 = 200;

/// A caller.
pub struct Caller {
    client: Client,
    accounts: Arc<MixedAccounts>,
    chance: Chance,
    targets: KnownTargets,
}

impl Caller {
    #[must_use]
    pub fn new(client: Client, accounts: Arc<MixedAccounts>, seed: u64) -> Self {
        Self { client, accounts, chance: Chance::new(seed), targets: KnownTargets::default() }
    }

    /// Sends its share of the commands.
    ///
    /// # Errors
    /// When a command is refused, is never answered, or gets another answer the second time.
    pub async fn run(
        mut self,
        commands: u64,
        answered_count: Arc<AtomicU64>,
    ) -> anyhow::Result<Vec<AnsweredCommand>> {
        let mut records = Vec::new();
        for _ in 0..commands {
            let command = commands::random_command(&self.accounts, &self.targets, &mut self.chance);
            let answered = submit_until_answered(&self.client, &command).await?;
            if answered.outcome.rejection.is_none() {
                self.targets.add_committed(&command, &mut self.chance);
            }
            answered_count.fetch_add(1, SeqCst);
            let again = submit_until_answered(&self.client, &command).await?;
            demand_same(&command, &answered, &again)?;
            records.push(AnsweredCommand { command, answered });
        }
        Ok(records)
    }
}

/// Sends a command with the same id until there's an answer.
///
/// # Errors
/// When the command is refused as invalid, or there's no answer after many tries.
pub async fn submit_until_answered(
    client: &Client,
    command: &Command,
) -> anyhow::Result<CommandAnswer> {
    for _ in 0..TRIES_MAX {
        match client.submit(std::slice::from_ref(command)).await {
            Ok(answers) => return answers.into_iter().next().context("no answer in an answer"),
            Err(ClientError::Refused(refusal)) => bail!("{command:?} was refused: {refusal}"),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    bail!("{command:?} was never answered")
}

/// Checks that the second answer replays the first. The ids here are new and of their time: a
/// rejection of the id itself is an error.
fn demand_same(
    command: &Command,
    first: &CommandAnswer,
    again: &CommandAnswer,
) -> anyhow::Result<()> {
    if !first.outcome.rejection.is_none_or(Rejection::is_recorded) {
        bail!("{command:?} has a new id of its time: {:?}", first.outcome);
    }
    ensure!(is_same_answer(first, again), "{command:?} was answered {first:?}, then {again:?}");
    Ok(())
}

/// Whether an answer replays the first one and is marked as a replay.
#[must_use]
pub fn is_same_answer(first: &CommandAnswer, again: &CommandAnswer) -> bool {
    again.replayed && (again.stamp, again.outcome) == (first.stamp, first.outcome)
}
