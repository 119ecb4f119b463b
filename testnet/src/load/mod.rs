//! Load: single transfers over several connections, and a record of every acknowledged one with its
//! outcome.
//!
//! Runs on a thread of its own, so that injected faults don't disturb the measurement.
//!
//! It never forgets an acknowledgement, and never treats a missing answer as a failure: a command
//! without an answer is *unknown* until the audit has sent it again.

pub mod accounts;
mod caller;
pub mod history;
mod monitor;

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, anyhow};
use evenkeel_wire::client::{Client, ClientConfig, ClientOptions};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use accounts::LoadAccounts;
use history::History;
pub use monitor::{LoadCounts, LoadMonitor};

/// How long a caller waits for one command.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// How much load.
#[derive(Clone, Copy, Debug)]
pub struct LoadPlan {
    /// Clients, each with a connection of its own.
    pub clients: usize,
    /// Callers, spread over the clients, each with one command in flight.
    pub callers: usize,
    /// Wallets of each asset.
    pub wallets: u16,
    /// The seed of the random transfers.
    pub seed: u64,
}

impl Default for LoadPlan {
    fn default() -> Self {
        Self { clients: 4, callers: 32, wallets: 200, seed: 1 }
    }
}

/// The load under way.
#[derive(Debug)]
pub struct Load {
    pulse: Arc<LoadMonitor>,
    thread: JoinHandle<anyhow::Result<History>>,
}

impl Load {
    /// Opens the accounts, funds them, and begins.
    ///
    /// # Errors
    /// When the accounts can't be opened.
    pub async fn start(config: ClientConfig, plan: LoadPlan) -> anyhow::Result<Self> {
        let pulse = Arc::new(LoadMonitor::new());
        let shared = Arc::clone(&pulse);
        let (begun, beginning) = oneshot::channel();
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run(config, plan, shared, begun))
        };
        let thread = thread::Builder::new().name("load".into()).spawn(body)?;
        if beginning.await.is_err() {
            // The sender was dropped: the thread ended before it began.
            return Err(join(thread).err().context("the load didn't begin")?);
        }
        Ok(Self { pulse, thread })
    }

    #[must_use]
    pub fn monitor(&self) -> &LoadMonitor {
        &self.pulse
    }

    /// Pauses all callers; returns when no command is under way.
    pub async fn pause(&self) {
        self.pulse.hold();
        while self.pulse.under_way() > 0 && !self.thread.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
    }

    pub fn resume(&self) {
        self.pulse.release();
    }

    /// Returns when this many more are acknowledged.
    ///
    /// # Errors
    /// When they aren't within the time.
    pub async fn await_acknowledged(&self, more: u64, patience: Duration) -> anyhow::Result<()> {
        let goal = self.pulse.counts().acknowledged + more;
        let start = Instant::now();
        while self.pulse.counts().acknowledged < goal {
            if start.elapsed() > patience {
                let counts = self.pulse.counts();
                return Err(anyhow!("the load stands still after {patience:?}: {counts:?}"));
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// The first acknowledgement of a command that was sent after the fault.
    ///
    /// # Errors
    /// When it doesn't come within the time.
    pub async fn await_first_after_fault(&self, patience: Duration) -> anyhow::Result<Duration> {
        let start = Instant::now();
        loop {
            if let Some(after) = self.pulse.first_after_fault() {
                return Ok(after);
            }
            if start.elapsed() > patience {
                return Err(anyhow!("nothing was acknowledged within {patience:?} of the fault"));
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends all callers once their command is answered; gives their history.
    ///
    /// # Errors
    /// When the load has failed.
    pub async fn finish(self) -> anyhow::Result<History> {
        self.pulse.end();
        while !self.thread.is_finished() {
            sleep(Duration::from_millis(2)).await;
        }
        join(self.thread)
    }
}

fn join(thread: JoinHandle<anyhow::Result<History>>) -> anyhow::Result<History> {
    thread.join().map_err(|_| anyhow!("the load panicked"))?
}

async fn run(
    config: ClientConfig,
    plan: LoadPlan,
    pulse: Arc<LoadMonitor>,
    begun: oneshot::Sender<()>,
) -> anyhow::Result<History> {
    let accounts = Arc::new(LoadAccounts::draw(plan.wallets));
    let clients: Vec<Client> = (0..plan.clients).map(|number| client(&config, number)).collect();
    let first = clients.first().context("a load of no clients")?;
    let mut history = History::new(Arc::clone(&accounts));
    accounts::open(first, &accounts, &mut history).await?;
    pulse.release();
    // The caller of `start` may have given up; then nothing would end the load.
    if begun.send(()).is_err() {
        return Ok(history);
    }
    caller::run_all(&clients, plan, &accounts, &pulse, &mut history).await;
    Ok(history)
}

/// Each client begins at another site, so that the load reaches every site.
fn client(config: &ClientConfig, number: usize) -> Client {
    let mut config = config.clone();
    let sites = config.sites.len().max(1);
    config.sites.rotate_left(number % sites);
    let options = ClientOptions { connections: 1, deadline: DEADLINE, ..ClientOptions::default() };
    Client::connect(config, options)
}
