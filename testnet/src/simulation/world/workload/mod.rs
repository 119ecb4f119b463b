//! Simulated clients: they open accounts, transfer, read, retry unknown outcomes, and sometimes
//! reuse an id for other content.

mod commands;
use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_oracle::acknowledged::{AcknowledgedCommand, says_group_failed};
use evenkeel_wire::{
    account::{AccountKind, Limits, OpenAccount},
    amount::{Amount, Asset},
    codec,
    command::Command,
    id::{AccountId, CommandId},
    outcome::Rejection,
    reply::View,
    request::Query,
    transfer::Text,
};
use tokio::time::{Instant, sleep};

use super::{
    client::{Attempt, attempt, read_request, submit_request},
    site::SimulatedSite,
};
use crate::simulation::{
    checks::{invariants::reads::AnsweredRead, watch::Watch},
    random::Random,
};

const WALLETS: u128 = 12;
const BANK: AccountId = AccountId::new(1);
const MERCHANT: AccountId = AccountId::new(2);

/// The clients' behaviour.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub clients: u64,
    /// The pause between two requests, in milliseconds.
    pub think: (u64, u64),
    /// Percentage of requests that send an acknowledged command again.
    pub again: u64,
    /// Percentage of requests that reuse an id for other content.
    pub reuse: u64,
    /// Percentage of requests that read.
    pub reads: u64,
}

impl Habits {
    pub const USUAL: Self = Self { clients: 4, think: (20, 250), again: 5, reuse: 3, reads: 20 };
    /// Many repeated commands.
    pub const INSISTENT: Self =
        Self { clients: 5, think: (10, 160), again: 25, reuse: 10, reads: 10 };
}

/// A command and when it was first sent.
#[derive(Clone)]
struct SentCommand {
    command: Command,
    bytes: Bytes,
    floor: Option<u64>,
}

/// Whether decided commands are recorded under their ids: those of a failed atomic group aren't.
enum Recorded {
    Yes,
    No,
}

/// Counts over all clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub commands: u64,
    pub acknowledged: u64,
    pub unknown: u64,
    pub refused: u64,
    pub reads: u64,
}

impl Tally {
    /// Adds the counts of another client.
    pub fn add(&mut self, other: Self) {
        self.commands += other.commands;
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.reads += other.reads;
    }
}

/// One client.
pub struct SimulatedClient {
    sites: Vec<Arc<SimulatedSite>>,
    watch: Arc<Watch>,
    random: Random,
    habits: Habits,
    done: Vec<SentCommand>,
    /// Its own holds, the newest last.
    holds: Vec<CommandId>,
    pub tally: Tally,
}

/// All accounts that clients use.
pub fn accounts() -> impl Iterator<Item = AccountId> {
    (0..WALLETS).map(|number| AccountId::new(100 + number)).chain([BANK, MERCHANT])
}

fn wallet(random: &mut Random) -> AccountId {
    AccountId::new(100 + u128::from(random.next_u64()) % WALLETS)
}

fn krw_asset() -> Asset {
    Asset::parse("KRW").expect("a name")
}

impl SimulatedClient {
    #[must_use]
    pub fn new(
        sites: Vec<Arc<SimulatedSite>>,
        watch: Arc<Watch>,
        random: Random,
        habits: Habits,
    ) -> Self {
        let (done, holds) = (Vec::new(), Vec::new());
        Self { sites, watch, random, habits, done, holds, tally: Tally::default() }
    }

    /// Opens the shared accounts, retrying until all are open.
    pub async fn open_accounts(&mut self) {
        let account = |id, kind| {
            Command::OpenAccount(OpenAccount {
                id,
                kind,
                asset: krw_asset(),
                label: Text::default(),
                limits: Limits::default(),
            })
        };
        let wallets = (0..WALLETS).map(|n| account(AccountId::new(100 + n), AccountKind::Wallet));
        let all = [account(BANK, AccountKind::Bank), account(MERCHANT, AccountKind::Merchant)];
        let all: Vec<SentCommand> =
            all.into_iter().chain(wallets).map(|c| self.prepare_command(c)).collect();
        self.submit_until_decided(all, u64::MAX, false).await;
    }

    /// Works until it's stopped; finishes the requests in flight.
    pub async fn work(mut self, stopped: tokio::sync::watch::Receiver<bool>) -> Tally {
        while !*stopped.borrow() {
            let think = self.random.millis(self.habits.think.0, self.habits.think.1);
            sleep(think).await;
            let dice = self.random.below(100);
            if dice < self.habits.reads {
                self.read().await;
            } else if dice < self.habits.reads + self.habits.again {
                self.resubmit_known().await;
            } else if dice < self.habits.reads + self.habits.again + self.habits.reuse {
                self.reuse().await;
            } else {
                self.submit_new().await;
            }
        }
        self.tally
    }

    /// Submits one transfer through a given site until it's decided.
    ///
    /// # Errors
    /// When it isn't decided within the time limit.
    pub async fn transfer_through(
        &mut self,
        site: &Arc<SimulatedSite>,
        within: Duration,
    ) -> Result<(), String> {
        let until = Instant::now() + within;
        let transfer = self.transfer();
        let one = [self.prepare_command(transfer)];
        while Instant::now() < until {
            if self.try_submit(&site.clone(), &one, Duration::from_secs(1), false).await.is_some() {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(format!("node {} decided nothing within {within:?}", site.node))
    }

    fn prepare_command(&self, command: Command) -> SentCommand {
        let floor = self.watch.lock_state().reads.floor();
        let bytes = codec::encode(&command).into();
        SentCommand { command, bytes, floor }
    }

    fn site(&mut self) -> Arc<SimulatedSite> {
        self.random.pick(&self.sites).clone()
    }

    async fn submit_new(&mut self) {
        let count = if self.random.chance(20) { self.random.between(2, 5) } else { 1 };
        let mut all = Vec::new();
        for _ in 0..count {
            let command = match self.random.below(100) {
                0..30 => self.hold(),
                30..40 => self.random_refund(),
                _ => self.transfer(),
            };
            all.push(self.prepare_command(command));
        }
        let atomic = self.random.chance(40);
        self.tally.commands += count;
        let patience = if self.random.chance(15) { 1 } else { self.random.between(2, 40) };
        self.submit_until_decided(all, patience, atomic).await;
    }

    async fn resubmit_known(&mut self) {
        if !self.done.is_empty() {
            let sent = self.random.pick(&self.done).clone();
            self.tally.commands += 1;
            self.submit_until_decided(vec![sent], 10, false).await;
        }
    }

    async fn reuse(&mut self) {
        if self.done.is_empty() {
            return;
        }
        let sent = self.random.pick(&self.done).clone();
        let Command::Transfer(mut transfer) = sent.command else { return };
        transfer.amount = Amount(transfer.amount.0 + 1);
        let changed = self.prepare_command(Command::Transfer(transfer));
        self.tally.commands += 1;
        self.submit_until_decided(vec![changed], 10, false).await;
    }

    /// Retries with the same ids until there is an answer or the time limit passes; `atomic`: all
    /// or none.
    async fn submit_until_decided(&mut self, all: Vec<SentCommand>, patience: u64, atomic: bool) {
        let mut unknown = false;
        for _ in 0..patience {
            let site = self.site();
            let deadline =
                Duration::from_millis(*self.random.pick(&[100, 300, 1_000, 1_000, 5_000]));
            let before = self.tally.unknown;
            match self.try_submit(&site, &all, deadline, atomic).await {
                Some(Recorded::Yes) => {
                    self.done.extend(all);
                    if self.done.len() > 200 {
                        self.done.drain(..50);
                    }
                    return;
                }
                Some(Recorded::No) => return,
                None => {}
            }
            unknown |= self.tally.unknown > before;
            sleep(self.random.millis(5, 120)).await;
        }
        if !unknown {
            let mut inner = self.watch.lock_state();
            for sent in &all {
                if let Some(id) = sent.command.id()
                    && !self.done.iter().any(|done| done.bytes == sent.bytes)
                {
                    inner.acknowledged.add_refused(id, sent.bytes.to_vec());
                }
            }
        }
    }

    async fn try_submit(
        &mut self,
        site: &Arc<SimulatedSite>,
        all: &[SentCommand],
        deadline: Duration,
        atomic: bool,
    ) -> Option<Recorded> {
        let bytes: Vec<Bytes> = all.iter().map(|sent| sent.bytes.clone()).collect();
        match attempt(site, submit_request(&bytes, atomic), deadline).await {
            Attempt::Decided(stamp, answers) => {
                site.trace.event(3, &[site.node, stamp.position], &stamp.link);
                self.tally.acknowledged += answers.len() as u64;
                if answers.len() != all.len() {
                    let (told, asked) = (answers.len(), all.len());
                    self.watch.report_broken(format!(
                        "node {} gave {told} answers to {asked}",
                        site.node
                    ));
                }
                let mut recorded = Recorded::Yes;
                let mut inner = self.watch.lock_state();
                inner.reads.raise_floor(stamp.position);
                for (sent, answer) in all.iter().zip(answers) {
                    if atomic && says_group_failed(&answer) {
                        recorded = Recorded::No;
                    }
                    if answer.outcome.rejection == Some(Rejection::IdInFuture) {
                        let held = inner.time.check_future_id(Instant::now());
                        inner.add_check(held);
                    }
                    inner.acknowledged.add_answer(AcknowledgedCommand {
                        node: site.node,
                        command: sent.bytes.to_vec(),
                        answer,
                        atomic,
                        stamp,
                        floor: sent.floor,
                    });
                }
                Some(recorded)
            }
            Attempt::Read(_) => {
                self.watch
                    .report_broken(format!("node {} answers commands with a view", site.node));
                None
            }
            Attempt::Refused(code) => {
                site.trace.event(4, &[site.node], code.name().as_bytes());
                self.tally.refused += 1;
                None
            }
            Attempt::Unknown => {
                site.trace.event(5, &[site.node], &[]);
                self.tally.unknown += 1;
                None
            }
        }
    }

    async fn read(&mut self) {
        let site = self.site();
        let account = wallet(&mut self.random);
        let floor = self.watch.lock_state().reads.floor();
        let deadline = Duration::from_millis(*self.random.pick(&[100, 500, 2_000]));
        self.tally.reads += 1;
        let answered = attempt(&site, read_request(Query::Account(account)), deadline).await;
        if let Attempt::Read(view) = answered
            && let View::Account(seen) = *view
        {
            let read = AnsweredRead {
                node: site.node,
                account,
                posted: Some(seen.posted),
                position: seen.position,
                floor,
            };
            let held = self.watch.lock_state().reads.add_answer(read);
            self.watch.report_if_broken(held);
        }
    }
}
