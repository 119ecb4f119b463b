//! A load of commands of every kind, each sent at least twice: the oracle judges the cluster's
//! answers in the order of the journal.
//!
//! It never treats a missing answer as a failure: it sends the command again, with the same id,
//! until there is one.

pub mod accounts;
pub mod caller;
pub mod commands;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use evenkeel_oracle::{
    in_order::{FirstAnswer, judge_in_order},
    model::{Model, Rules},
};
use evenkeel_wire::{
    client::{Client, ClientConfig, ClientOptions, CommandAnswer},
    command::Command,
    reply::View,
    request::{Consistency, Query},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{task::JoinSet, time::sleep};

use accounts::MixedAccounts;
use caller::Caller;

/// A command, and the first answer to it.
#[derive(Clone, Debug)]
pub struct AnsweredCommand {
    pub command: Command,
    pub answered: CommandAnswer,
}

/// The load under way.
#[derive(Debug)]
pub struct MixedLoad {
    pub accounts: Arc<MixedAccounts>,
    answered: Arc<AtomicU64>,
    callers: JoinSet<anyhow::Result<Vec<AnsweredCommand>>>,
    opening: Vec<AnsweredCommand>,
}

impl MixedLoad {
    /// Opens accounts and starts callers, each with a connection of its own and its share of the
    /// commands.
    ///
    /// # Errors
    /// When the accounts can't be opened.
    pub async fn start(config: &ClientConfig, callers: u64, commands: u64) -> anyhow::Result<Self> {
        let accounts = Arc::new(MixedAccounts::draw());
        let client = client_of(config, 0);
        let opening = accounts.open(&client).await?;
        let answered = Arc::new(AtomicU64::new(0));
        let mut running = JoinSet::new();
        for number in 0..callers {
            let client = client_of(config, number);
            let share = commands / callers + u64::from(number < commands % callers);
            let caller = Caller::new(client, Arc::clone(&accounts), number + 1);
            running.spawn(caller.run(share, Arc::clone(&answered)));
        }
        Ok(Self { accounts, answered, callers: running, opening })
    }

    /// Returns when this many commands have their first answer.
    ///
    /// # Errors
    /// When all callers have ended, or nothing was answered for a minute.
    pub async fn await_answered(&mut self, goal: u64) -> anyhow::Result<()> {
        let mut seen = (0, 0_u32);
        while self.answered.load(SeqCst) < goal {
            let now = self.answered.load(SeqCst);
            seen = if now == seen.0 { (now, seen.1 + 1) } else { (now, 0) };
            ensure!(seen.1 < 6_000, "the load stands still at {now} of {goal}");
            if self.callers.is_empty() {
                bail!("all callers have ended at {now} of {goal}");
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Waits for all callers; gives all answers, including those to the opening of the accounts.
    ///
    /// # Errors
    /// The first caller's error.
    pub async fn finish(mut self) -> anyhow::Result<Vec<AnsweredCommand>> {
        let mut all = self.opening;
        while let Some(ended) = self.callers.join_next().await {
            all.extend(ended.context("a caller panicked")??);
        }
        Ok(all)
    }
}

/// Each client begins at another site.
fn client_of(config: &ClientConfig, number: u64) -> Client {
    let mut config = config.clone();
    let sites = config.sites.len().max(1);
    config.sites.rotate_left(usize::try_from(number).unwrap_or(0) % sites);
    let options = ClientOptions { connections: 1, ..ClientOptions::default() };
    Client::connect(config, options)
}

/// Judges all answers; gives the model after them, and how often each verdict occurred.
///
/// # Errors
/// Names the first outcome that contradicts the rules, or two with one position and index.
pub fn judge(records: &[AnsweredCommand]) -> anyhow::Result<(Model, BTreeMap<&'static str, u64>)> {
    let mut model = Model::new(Rules::of_new_cluster());
    let verdicts = judge_in_order(&mut model, records, |record| FirstAnswer {
        command: record.command.clone(),
        position: record.answered.stamp.position,
        time: record.answered.stamp.recorded_at,
        outcome: record.answered.outcome,
    })?;
    Ok((model, verdicts))
}

/// Compares every account's view with the model.
///
/// # Errors
/// Names the first account that differs, or why it can't be read.
pub async fn compare_accounts(client: &Client, model: &Model) -> anyhow::Result<usize> {
    let accounts: Vec<_> = model.accounts().map(|(id, _)| id).collect();
    let count = accounts.len();
    let reads = accounts.into_iter().map(|id| async move {
        let reply = client.read(Query::Account(id), Consistency::Linearizable).await?;
        let View::Account(view) = reply.view else { bail!("not an account: {:?}", reply.view) };
        model.check_account(id, Some(&view))?;
        Ok(())
    });
    stream::iter(reads).buffer_unordered(32).try_collect::<()>().await?;
    Ok(count)
}
