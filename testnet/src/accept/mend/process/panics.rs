//! A panic anywhere ends the process with 70 and one line that names it.

use std::time::Duration;

use evenkeel_wire::{
    client::{Client, ClientOptions},
    transfer::TransferKind,
};
use tokio::time::{Instant, sleep, timeout};

use super::child::{ChildNode, await_site_line, await_socket};
use crate::{
    accept::{
        main::planted,
        sheet::ResultSheet,
        stage::{self, PATIENCE},
    },
    audit,
    cluster::{admin, http::Door, nodes, site::Site, testnet::Testnet, up},
    load::{accounts::LoadAccounts, history::CompactTransfer},
};

/// Each place, and whether it's on the primary's road only.
const PLACES: [(&str, bool); 11] = [
    ("engine", false),
    ("apply", false),
    ("peer", false),
    ("keeper", false),
    ("journal", false),
    ("http", false),
    ("quic", false),
    ("admin", false),
    ("blocking", false),
    ("batcher", true),
    ("forward", true),
];
const BUG: i32 = 70;

/// Row mend.20: panics planted in each place in turn.
pub(crate) async fn check_planted_panics(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let program = planted::build(testnet)?;
    up::up(testnet, true, true).await?;
    let site = stage::follower(testnet).await?;
    for (place, as_primary) in PLACES {
        nodes::stop(testnet, site).await?;
        let from = site.log_length();
        let bug = format!("panic-{place}");
        let environment = [("EVENKEEL_PLANT", bug.as_str())];
        let mut node = ChildNode::start(&program, &site.config(), &environment, &site.log())?;
        let code = poke_until_end(testnet, site, &mut node, as_primary).await?;
        let words = ["ERROR", "a bug ended this node: panic at", &format!("planted in {place}")];
        let line = await_site_line(site, from, &words, Duration::from_secs(1)).await;
        let lines = site.log_since(from).matches("planted in").count();
        sheet.record_claim(
            format!("{place}: exit {code:?}: {}", line.as_deref().unwrap_or("nothing")),
            code == Some(BUG) && line.is_some() && lines == 1,
        );
        drop(node);
        let from = site.log_length();
        nodes::start(testnet, site).await?;
        up::await_caught_up(testnet, PATIENCE).await?;
        let crash = site.log_since(from).contains("follows a crash");
        sheet.record_claim(format!("{place}: the timeline has the reason of the end"), !crash);
    }
    let (_, equal) = audit::compare_sites(testnet).await?;
    sheet.record_claim("with the unmodified program all digests are equal", equal);
    up::down(testnet).await
}

/// Uses every door of the site until the node ends; `None`: it goes on.
async fn poke_until_end(
    testnet: &Testnet,
    site: &Site,
    node: &mut ChildNode,
    as_primary: bool,
) -> anyhow::Result<Option<i32>> {
    let start = Instant::now();
    let operator = testnet.operator_key()?;
    while node.is_running() && start.elapsed() < PATIENCE {
        let _answered = await_socket(&site.admin_socket(), Duration::from_millis(500)).await;
        if as_primary && start.elapsed() > Duration::from_secs(2) {
            hand_over_to(testnet, site).await;
        }
        let _answered =
            timeout(Duration::from_secs(2), poke_doors(testnet, site, &operator, as_primary)).await;
        sleep(Duration::from_millis(50)).await;
    }
    Ok(node.wait(Duration::ZERO).await?.and_then(|status| status.code()))
}

async fn hand_over_to(testnet: &Testnet, site: &Site) {
    for other in &testnet.sites {
        if other.node != site.node {
            let socket = other.admin_socket();
            let handed = admin::switchover(&socket, &site.name);
            let _not_the_primary = timeout(Duration::from_secs(2), handed).await;
        }
    }
}

/// One request at each door; a planted node may end at any of them. A primary's own road is reached
/// through the other sites.
async fn poke_doors(
    testnet: &Testnet,
    site: &Site,
    operator: &str,
    through_others: bool,
) -> anyhow::Result<()> {
    let mut door = Door::new(site.http_address(), Some(operator));
    let _answer = door.get("/v1/totals").await;
    let config = site.config();
    let journal = ["admin", "--config", stage::path_text(&config)?, "journal", "--limit", "1"];
    let _answer = stage::run_within(&testnet.evenkeel, &journal, Duration::from_secs(1)).await;
    for asked in &testnet.sites {
        if (asked.node == site.node) == through_others {
            continue;
        }
        let config = stage::config_of_site(testnet, asked)?;
        let client = Client::connect(config, ClientOptions::default());
        let accounts = LoadAccounts::draw(2);
        let command = CompactTransfer::new(TransferKind::Transfer, 0, 1, 1).to_command(&accounts);
        let submitted = client.submit(std::slice::from_ref(&command));
        let _rejected_or_ended = timeout(Duration::from_millis(500), submitted).await;
    }
    Ok(())
}
