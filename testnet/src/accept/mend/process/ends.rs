//! Signals: the handlers come first.

use std::{fs::File, path::Path, process::Command, time::Duration};

use anyhow::ensure;
use rustix::process::Signal;
use tokio::time::sleep;

use super::child::{ChildNode, await_socket};
use crate::{
    accept::{
        sheet::ResultSheet,
        stage::{self, PATIENCE},
    },
    cluster::{nodes, testnet::Testnet, up},
};

/// Signals that must not end a node.
const HARMLESS: [(Signal, &str); 3] =
    [(Signal::HUP, "SIGHUP"), (Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")];

/// Row mend.22: signals before the start is done, and while the node runs.
pub(crate) async fn check_signals(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let site = stage::follower(testnet).await?;
    nodes::stop(testnet, site).await?;

    // A node.toml that nobody writes: the start waits for it, before anything else.
    let fifo = testnet.run_folder().join("fifo.toml");
    let _left_over = std::fs::remove_file(&fifo);
    let made = Command::new("mkfifo").arg(&fifo).status()?;
    ensure!(made.success(), "mkfifo: {made}");
    for end in [Signal::TERM, Signal::INT] {
        let mut node = start_waiting(testnet, &fifo).await?;
        for (signal, name) in HARMLESS {
            node.signal(signal)?;
            sleep(Duration::from_millis(100)).await;
            sheet.record_claim(format!("{name} doesn't end a start"), node.is_running());
        }
        node.signal(end)?;
        let status = node.wait(Duration::from_secs(2)).await?;
        let said = status.map_or("still running".to_owned(), |status| status.to_string());
        let code = status.and_then(|status| status.code());
        sheet.record_claim(format!("{end:?} ends a start at once: {said}"), code == Some(0));
    }

    let mut node = ChildNode::start(&testnet.evenkeel, &site.config(), &[], &site.log())?;
    ensure!(await_socket(&site.admin_socket(), PATIENCE).await, "{} doesn't answer", site.name);
    for (signal, name) in HARMLESS {
        node.signal(signal)?;
        sleep(Duration::from_millis(200)).await;
        let answers = await_socket(&site.admin_socket(), Duration::from_secs(1)).await;
        sheet.record_claim(format!("{name} doesn't end a node"), node.is_running() && answers);
    }
    let code = node.stop(PATIENCE).await?;
    sheet.record_claim(format!("SIGTERM stops it: exit {code:?}"), code == Some(0));
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    up::down(testnet).await
}

/// A start that has taken its signals over and reads its node.toml.
async fn start_waiting(testnet: &Testnet, fifo: &Path) -> anyhow::Result<ChildNode> {
    let log = testnet.run_folder().join("fifo.log");
    let node = ChildNode::start(&testnet.evenkeel, fifo, &[], &log)?;
    sleep(Duration::from_millis(500)).await;
    ensure!(File::open(&log).is_ok(), "no log");
    Ok(node)
}
