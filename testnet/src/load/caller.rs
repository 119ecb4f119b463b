//! The callers: each sends one command, waits for its answer, and sends the next. A probe never
//! waits.
//!
//! While the cluster is down, all callers wait for the answer to a command that was sent before.
//! The probe still sends a new one every few milliseconds, so that a command that was sent within
//! an outage shows its end.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use evenkeel_wire::client::{Client, ClientError};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, LocalSet},
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    LoadPlan,
    accounts::LoadAccounts,
    history::{CompactTransfer, History},
    monitor::{CommandEnd, LoadMonitor},
};
use crate::relay::rules::Chance;

const PROBE_EVERY: Duration = Duration::from_millis(4);
/// The most probes under way: over ten seconds' worth.
const PROBES_MAX: usize = 2_500;
const HELD_WAIT: Duration = Duration::from_millis(1);

/// A client, and what its callers share.
struct CallerContext {
    client: Client,
    accounts: Arc<LoadAccounts>,
    pulse: Arc<LoadMonitor>,
    history: RefCell<History>,
    chance: RefCell<Chance>,
}

/// Runs all callers until the load ends, and merges their histories.
pub(crate) async fn run_all(
    clients: &[Client],
    plan: LoadPlan,
    accounts: &Arc<LoadAccounts>,
    pulse: &Arc<LoadMonitor>,
    history: &mut History,
) {
    let local = LocalSet::new();
    let askings: Vec<Rc<CallerContext>> = clients
        .iter()
        .zip(0_u64..)
        .map(|(client, number)| {
            Rc::new(CallerContext {
                client: client.clone(),
                accounts: Arc::clone(accounts),
                pulse: Arc::clone(pulse),
                history: RefCell::new(History::new(Arc::clone(accounts))),
                chance: RefCell::new(Chance::new(plan.seed + number)),
            })
        })
        .collect();
    let mut tasks = JoinSet::new();
    for asking in askings.iter().cycle().take(plan.callers) {
        tasks.spawn_local_on(call(Rc::clone(asking)), &local);
    }
    for asking in &askings {
        let every = PROBE_EVERY * u32::try_from(clients.len()).expect("a few");
        tasks.spawn_local_on(probe(Rc::clone(asking), every), &local);
    }
    local.run_until(async { while tasks.join_next().await.is_some() {} }).await;
    for asking in askings {
        let known = asking.history.replace(History::new(Arc::clone(accounts)));
        history.merge(known);
    }
}

async fn call(asking: Rc<CallerContext>) {
    while !asking.pulse.has_ended() {
        if !submit_next(&asking).await {
            sleep(HELD_WAIT).await;
        }
    }
}

async fn probe(asking: Rc<CallerContext>, every: Duration) {
    let places = Arc::new(Semaphore::new(PROBES_MAX));
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut probes = JoinSet::new();
    while !asking.pulse.has_ended() {
        tick.tick().await;
        while probes.try_join_next().is_some() {}
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let asking = Rc::clone(&asking);
            probes.spawn_local(async move {
                submit_next(&asking).await;
                drop(place);
            });
        }
    }
    while probes.join_next().await.is_some() {}
}

/// Sends one command and records how it ended; `false`: the load is paused.
async fn submit_next(asking: &CallerContext) -> bool {
    let Some(sent) = asking.pulse.begin_command() else { return false };
    let asked: CompactTransfer = asking.accounts.random_transfer(&mut asking.chance.borrow_mut());
    let answers = asking.client.submit(&[asked.to_command(&asking.accounts)]).await;
    let mut history = asking.history.borrow_mut();
    let end = match answers {
        Ok(answers) => match answers.first() {
            Some(answered) => {
                history.acknowledge(asked, answered);
                CommandEnd::Acknowledged { rejected: answered.outcome.rejection.is_some() }
            }
            None => {
                history.refused.push("an answer without an outcome".into());
                CommandEnd::Refused
            }
        },
        Err(ClientError::Unavailable(_)) => CommandEnd::Unavailable,
        Err(ClientError::Unknown(_)) => {
            history.unknown.push(asked);
            CommandEnd::Unknown
        }
        Err(ClientError::Refused(refusal)) => {
            history.refused.push(refusal.to_string());
            CommandEnd::Refused
        }
    };
    asking.pulse.end_command(sent, end);
    true
}
