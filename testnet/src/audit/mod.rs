//! The audit after a load: everything that was acknowledged is there once, with the acknowledged
//! outcome.
//!
//! It relies on no site's own checks: the oracle judges all outcomes in the order of the journal;
//! then the audit reads every balance, sends every id again (the answer must be a replay of the
//! first), and compares heads and digests of all sites.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail, ensure};
use evenkeel_node::operator::status::Status;
use evenkeel_oracle::{
    in_order::{FirstAnswer, judge_in_order},
    model::{Model, Moment, Rules},
    sums,
};
use evenkeel_wire::{
    client::{Client, ClientConfig, ClientOptions, CommandAnswer},
    command::Command,
    limits::COMMANDS_MAX,
    reply::View,
    request::{Consistency, Query},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::{
    cluster::{testnet::Testnet, up},
    load::history::{AcknowledgedTransfer, CompactTransfer, History},
    output::print_progress,
};

const DEADLINE: Duration = Duration::from_secs(30);
const IDLE_PATIENCE: Duration = Duration::from_secs(20);
/// Commands per request: replays are the most expensive commands, and the audit is no load test.
const REPLAYS: usize = 1_024;
/// How many losses are printed one by one.
const REPORTED_MAX: u64 = 5;

/// What the audit found.
#[derive(Clone, Debug, Serialize)]
pub struct AuditVerdict {
    /// Acknowledged during the load.
    pub acknowledged: u64,
    /// How many of them are gone or changed.
    pub lost: u64,
    /// Without an answer during the load, and resolved by the audit.
    pub settled: u64,
    pub heads: BTreeMap<String, String>,
    pub digests_equal: bool,
    pub sums_zero: bool,
}

/// Checks everything. All sites must run and be reachable.
///
/// # Errors
/// When a promise is broken or the cluster doesn't answer. Losses are counted; they are no error.
pub async fn audit(testnet: &Testnet, mut history: History) -> anyhow::Result<AuditVerdict> {
    if let Some(why) = history.refused.first() {
        bail!("{} commands were refused as invalid, the first: {why}", history.refused.len());
    }
    let acknowledged = history.acknowledged.len();
    up::await_caught_up(testnet, up::READY_PATIENCE).await?;
    let config = ClientConfig::load(&testnet.client_config())?;
    let options = ClientOptions { deadline: DEADLINE, ..ClientOptions::default() };
    let client = Client::connect(config, options);

    let settled = resolve_unknown(&client, &mut history).await?;
    let model = judge(&history)?;
    compare_balances(&client, &history, &model).await?;
    let sums_zero = sums_are_zero(&client).await?;
    print_progress(&format!("sending all {} ids again", history.acknowledged.len()));
    let lost = ask_again(&client, &mut history).await?;
    let (heads, digests_equal) = compare_sites(testnet).await?;
    Ok(AuditVerdict {
        acknowledged: u64::try_from(acknowledged)?,
        lost,
        settled,
        heads,
        digests_equal,
        sums_zero,
    })
}

impl AuditVerdict {
    /// Demands that nothing is lost and nothing differs.
    ///
    /// # Errors
    /// Names what is broken.
    pub fn demand_clean(&self) -> anyhow::Result<()> {
        ensure!(self.lost == 0, "{} of {} acknowledged are lost", self.lost, self.acknowledged);
        ensure!(self.sums_zero, "the sums aren't zero");
        ensure!(self.digests_equal, "the digests differ");
        Ok(())
    }
}

/// Sends the unknown commands again: with the same id that's always safe, and then they are known.
async fn resolve_unknown(client: &Client, history: &mut History) -> anyhow::Result<u64> {
    let unknown = std::mem::take(&mut history.unknown);
    for some in unknown.chunks(COMMANDS_MAX) {
        let answers = submit(client, history, some).await?;
        for (asked, answered) in some.iter().zip(&answers) {
            history.acknowledge(*asked, answered);
        }
    }
    Ok(u64::try_from(unknown.len())?)
}

async fn submit(
    client: &Client,
    history: &History,
    some: &[CompactTransfer],
) -> anyhow::Result<Vec<CommandAnswer>> {
    let commands: Vec<Command> =
        some.iter().map(|asked| asked.to_command(&history.accounts)).collect();
    let answers = client.submit(&commands).await.context("sending commands again")?;
    ensure!(answers.len() == some.len(), "{} answers to {}", answers.len(), some.len());
    Ok(answers)
}

/// Judges all outcomes in the order of the journal; gives the model after them.
///
/// # Errors
/// Names the first outcome that contradicts the rules.
fn judge(history: &History) -> anyhow::Result<Model> {
    let mut model = Model::new(Rules::of_new_cluster());
    for opening in history.accounts.openings() {
        let before_all = Moment { position: 0, index: 0, time: 0 };
        let opened = model.apply(before_all, &opening)?;
        ensure!(opened.outcome.rejection.is_none(), "{opening:?}: {opened:?}");
    }
    judge_in_order(&mut model, &history.acknowledged, |record| FirstAnswer {
        command: record.transfer.to_command(&history.accounts),
        position: record.position,
        time: 0,
        outcome: record.outcome,
    })?;
    Ok(model)
}

async fn compare_balances(client: &Client, history: &History, model: &Model) -> anyhow::Result<()> {
    let reads = history.accounts.all.iter().map(|account| async move {
        let reply = client.read(Query::Account(account.id), Consistency::Linearizable).await?;
        let View::Account(view) = reply.view else { bail!("not an account: {:?}", reply.view) };
        model.check_balance(account.id, u64::MAX, Some(view.posted))?;
        Ok(())
    });
    stream::iter(reads).buffer_unordered(64).try_collect().await
}

/// Whether every asset sums to zero.
///
/// # Errors
/// When the totals can't be read.
pub async fn sums_are_zero(client: &Client) -> anyhow::Result<bool> {
    let reply = client.read(Query::Totals, Consistency::Linearizable).await?;
    let View::Totals(totals) = reply.view else { bail!("not totals: {:?}", reply.view) };
    ensure!(!totals.assets.is_empty(), "totals of no assets");
    Ok(sums::check_totals(&totals).is_ok())
}

/// Sends every acknowledged id again; gives how many answers don't replay the acknowledged one.
async fn ask_again(client: &Client, history: &mut History) -> anyhow::Result<u64> {
    // In the order of the journal, so that a site reads each entry once.
    history.acknowledged.sort_by_key(|record| (record.position, record.outcome.index));
    let history = &*history;
    let mut lost = 0;
    for records in history.acknowledged.chunks(REPLAYS) {
        let some: Vec<CompactTransfer> = records.iter().map(|record| record.transfer).collect();
        let answers = submit(client, history, &some).await?;
        let both = records.iter().zip(answers);
        for text in both.filter_map(|(record, again)| describe_loss(record, &again)) {
            lost += 1;
            if lost <= REPORTED_MAX {
                print_progress(&format!("LOST: {text}"));
            }
        }
    }
    Ok(lost)
}

fn describe_loss(record: &AcknowledgedTransfer, again: &CommandAnswer) -> Option<String> {
    let AcknowledgedTransfer { transfer: asked, position, outcome } = record;
    if !again.replayed {
        return Some(format!(
            "{} was acknowledged at position {position} and isn't known",
            asked.id
        ));
    }
    let same = again.stamp.position == *position && again.outcome == *outcome;
    (!same).then(|| {
        format!(
            "{} was acknowledged at position {position} with {outcome:?}; now {} with {:?}",
            asked.id, again.stamp.position, again.outcome
        )
    })
}

/// Waits until all sites stand at one head; gives the heads, and whether the digests agree.
///
/// # Errors
/// When a site doesn't answer, or they don't reach one head.
pub async fn compare_sites(testnet: &Testnet) -> anyhow::Result<(BTreeMap<String, String>, bool)> {
    let start = Instant::now();
    loop {
        let mut statuses = Vec::new();
        for status in testnet.statuses().await {
            statuses.push(status?);
        }
        let heads: BTreeMap<_, _> = statuses
            .iter()
            .map(|status| (status.site.clone(), status.chain_head.clone().unwrap_or_default()))
            .collect();
        if let Some(equal) = digests_of_the_head(&statuses) {
            return Ok((heads, equal));
        }
        if start.elapsed() > IDLE_PATIENCE {
            bail!("the sites don't come to one head with a digest each: {statuses:?}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// `None`: not all sites stand at the same entry yet, each with a digest of it. Otherwise: whether
/// these digests, and all others for equal positions, are equal.
fn digests_of_the_head(statuses: &[Status]) -> Option<bool> {
    let first = statuses.first()?;
    let head = (first.applied?, first.chain_head.as_ref()?);
    for status in statuses {
        let own = (status.applied?, status.chain_head.as_ref()?);
        let newest = status.digests.iter().map(|digest| digest.position).max()?;
        if own.0 != head.0 || newest != head.0 {
            return None;
        }
        if own.1 != head.1 {
            return Some(false);
        }
    }
    let mut known = BTreeMap::new();
    let all = statuses.iter().flat_map(|status| &status.digests);
    Some(
        all.into_iter().all(|one| known.entry(one.position).or_insert(&one.digest) == &&one.digest),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use evenkeel_node::operator::status::{Digest, Role};
    use evenkeel_wire::{outcome::Outcome, transfer::TransferKind};

    use super::*;
    use crate::load::accounts::LoadAccounts;

    /// Of two wallets; the bank is at index 0, the wallets are at 5 and 6.
    fn history(outcomes: &[(u64, CompactTransfer, Outcome)]) -> History {
        let mut history = History::new(Arc::new(LoadAccounts::draw(2)));
        for (position, transfer, outcome) in outcomes.iter().copied() {
            history.acknowledged.push(AcknowledgedTransfer { transfer, position, outcome });
        }
        history
    }

    fn committed(index: u16, amount: u64, debit_after: i64, credit_after: i64) -> Outcome {
        Outcome { index, rejection: None, amount, debit_after, credit_after }
    }

    #[test]
    fn outcomes_are_judged_in_the_order_of_the_journal() {
        let top_up = CompactTransfer::new(TransferKind::TopUp, 0, 5, 1_000);
        let transfer = CompactTransfer::new(TransferKind::Transfer, 5, 6, 300);
        let all = [
            (9, transfer, committed(0, 300, 700, 300)),
            (8, top_up, committed(3, 1_000, -1_000, 1_000)),
        ];
        let history = history(&all);
        let model = judge(&history).unwrap();
        let posted = |slot| model.balance_at(history.accounts.get(slot).id, 9);
        assert_eq!([0, 5, 6].map(posted), [Some(-1_000), Some(700), Some(300)]);
    }

    #[test]
    fn a_wrong_balance_amount_or_verdict_and_a_double_position_are_found() {
        let top_up = CompactTransfer::new(TransferKind::TopUp, 0, 5, 1_000);
        let too_much = CompactTransfer::new(TransferKind::Transfer, 5, 6, 2_000);
        let first = (8, top_up, committed(0, 1_000, -1_000, 1_000));
        for wrong in [
            vec![(8, top_up, committed(0, 1_000, -1_000, 1_001))],
            vec![(8, top_up, committed(0, 999, -1_000, 1_000))],
            vec![first, (9, too_much, committed(0, 2_000, -1_000, 2_000))],
            vec![first, first],
        ] {
            assert!(judge(&history(&wrong)).is_err(), "{wrong:?}");
        }
    }

    fn status(applied: u64, head: &str, digests: &[(u64, &str)]) -> Status {
        let digest = |(position, digest): &(u64, &str)| Digest {
            position: *position,
            digest: (*digest).to_owned(),
        };
        Status {
            node: 1,
            site: "pangyo".into(),
            cluster: "c".into(),
            role: Role::Follower,
            term: 1,
            primary: None,
            committed: Some(applied),
            applied: Some(applied),
            flushed: Some(applied),
            chain_head: Some(head.into()),
            digests: digests.iter().map(digest).collect(),
            business_date: None,
            peers: Vec::new(),
            ledger_ahead_ms: 0,
            ready: true,
            waits_for: None,
            version: "0".into(),
            uptime_s: 1,
        }
    }

    #[test]
    fn sites_agree_when_head_and_all_shared_digests_are_equal() {
        let whole = status(9, "ab", &[(4, "x"), (9, "y")]);
        let behind = status(8, "aa", &[(4, "x")]);
        let not_yet = status(9, "ab", &[(4, "x")]);
        let newer = status(9, "ab", &[(9, "y")]);
        let other = status(9, "ab", &[(4, "z"), (9, "y")]);
        let split = status(9, "cd", &[(9, "y")]);
        for (second, expected) in [
            (&whole, Some(true)),
            (&behind, None),
            (&not_yet, None),
            (&newer, Some(true)),
            (&other, Some(false)),
            (&split, Some(false)),
        ] {
            let pair = [whole.clone(), second.clone()];
            assert_eq!(digests_of_the_head(&pair), expected, "{second:?}");
        }
    }
}
