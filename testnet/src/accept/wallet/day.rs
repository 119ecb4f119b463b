//! Row d: the business day is closed every second for a minute under load. Clients aren't
//! disturbed, and the reports add up.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::time::sleep;

use crate::accept::{
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::cluster::{admin, http::Door, testnet::Testnet, up};

const CLOSES: u32 = 60;
const EVERY: Duration = Duration::from_secs(1);
/// The time that a close may add to the longest gap between two acknowledgements.
const SLACK: Duration = Duration::from_millis(100);
const KINDS: [&str; 5] = ["wallet", "merchant", "bank", "fee", "issuer"];

pub(crate) async fn every_second(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    load.monitor().inject_fault(|| ());
    sleep(EVERY * 15).await;
    let before = load.monitor().longest_gap();
    let counts = load.monitor().counts();
    let mut dates = Vec::new();
    load.monitor().inject_fault(|| ());
    for close in 0..CLOSES {
        // From every site in turn: the verb works wherever a majority is reachable.
        let at = usize::try_from(close).unwrap_or(0) % testnet.sites.len();
        let closed = admin::close_day(&testnet.sites[at].admin_socket()).await?;
        dates.push(closed.date);
        sleep(EVERY).await;
    }
    let during = load.monitor().longest_gap();
    let after = load.monitor().counts();
    let failed =
        |counts: &crate::load::LoadCounts| counts.unknown + counts.unavailable + counts.refused;
    sheet.at_most("commands that failed", failed(&after) - failed(&counts), 0, "");
    sheet.at_least(
        "commands acknowledged during the closes",
        after.acknowledged - counts.acknowledged,
        10_000,
        "",
    );
    sheet.takes_at_most(
        "longest time without an acknowledgement (before: the same without closes)",
        during,
        before + SLACK,
    );
    up::await_caught_up(testnet, PATIENCE).await?;
    reports(testnet, &dates, sheet).await?;
    stage::finish_and_audit(testnet, load, sheet).await
}

/// Reports are identical at all sites, balance, and continue the previous report.
async fn reports(
    testnet: &Testnet,
    dates: &[String],
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let key = testnet.operator_key()?;
    let mut doors: Vec<Door> =
        testnet.sites.iter().map(|site| Door::new(site.http_address(), Some(&key))).collect();
    let mut earlier: Option<Value> = None;
    let mut settled = 0;
    for date in dates {
        let mut bodies = Vec::new();
        for door in &mut doors {
            let answer = door.get(&format!("/v1/days/{date}")).await?;
            ensure!(answer.status == 200, "{date}: {} {}", answer.status, answer.code());
            bodies.push(answer);
        }
        ensure!(
            bodies.iter().all(|one| one.body == bodies[0].body),
            "{date} differs between sites"
        );
        let report = bodies[0].json()?;
        check_balanced(&report).with_context(|| format!("{date}: {report}"))?;
        if let Some(earlier) = &earlier {
            check_continuity(earlier, &report)
                .with_context(|| format!("{date} after the day before"))?;
        }
        let path = format!("/v1/days/{date}/settlement");
        let settlement = doors[0].get(&path).await?;
        ensure!(settlement.status == 200, "{path}: {}", settlement.status);
        let other = doors[1].get(&path).await?;
        ensure!(settlement.body == other.body, "{path} differs between sites");
        settled += check_settlement(&report, &settlement.json()?).context(path)?;
        earlier = Some(report);
    }
    sheet.record_claim(
        format!("{} reports are the same bytes on every site, and balance", dates.len()),
        true,
    );
    sheet.record_claim("each opens with the previous closing balances, at the next position", true);
    sheet.record_claim(
        format!("{settled} won of payments: settlements add up to the reports"),
        settled > 0,
    );
    Ok(())
}

fn number(value: &Value, path: &[&str]) -> i64 {
    let found = path.iter().try_fold(value, |value, key| value.get(key));
    found.and_then(Value::as_i64).unwrap_or(0)
}

/// Opening plus movements must equal closing, and every column must sum to zero.
fn check_balanced(report: &Value) -> anyhow::Result<()> {
    let assets = report["assets"].as_object().context("no assets")?;
    for (asset, day) in assets {
        let sum = |side: &str| KINDS.iter().map(|kind| number(day, &[side, kind])).sum::<i64>();
        ensure!(sum("opening") == 0 && sum("closing") == 0, "{asset} doesn't sum to 0");
        let moved = |kind: &str| number(day, &["movements", kind, "sum"]);
        let merchants_and_wallets =
            |side: &str| number(day, &[side, "wallet"]) + number(day, &[side, "merchant"]);
        let change = merchants_and_wallets("closing") - merchants_and_wallets("opening");
        // Nothing is reversed in this load.
        let expected = moved("top_up") + moved("grant") - moved("cash_out") - moved("fee");
        ensure!(
            change == expected,
            "{asset}: outstanding changed by {change}, moved are {expected}"
        );
        let outstanding = number(day, &["outstanding"]);
        ensure!(
            outstanding == merchants_and_wallets("closing"),
            "{asset}: outstanding {outstanding}"
        );
        let merchants =
            number(day, &["closing", "merchant"]) - number(day, &["opening", "merchant"]);
        ensure!(merchants == moved("payment") - moved("refund"), "{asset}: merchants {merchants}");
    }
    Ok(())
}

fn check_continuity(earlier: &Value, later: &Value) -> anyhow::Result<()> {
    let next = number(earlier, &["last_position"]) + 1;
    ensure!(number(later, &["first_position"]) == next, "positions have a gap");
    for (asset, day) in later["assets"].as_object().context("no assets")? {
        ensure!(
            day["opening"] == earlier["assets"][asset]["closing"],
            "{asset}: opening differs from the previous closing"
        );
    }
    Ok(())
}

/// The merchants' settlement must match the payments in the report. Returns its amount in won.
fn check_settlement(report: &Value, settlement: &Value) -> anyhow::Result<i64> {
    for asset in ["KRW", "POINT"] {
        for (list, column, kind) in [
            ("merchants", "payments", "payment"),
            ("merchants", "refunds", "refund"),
            ("banks", "top_ups", "top_up"),
            ("banks", "cash_outs", "cash_out"),
        ] {
            let rows = settlement[list].as_array().with_context(|| format!("no {list}"))?;
            let own = rows.iter().filter(|row| row["asset"] == asset);
            let sum: i64 = own.map(|row| number(row, &[column])).sum();
            let said = number(report, &["assets", asset, "movements", kind, "sum"]);
            ensure!(sum == said, "{asset} {list} {column}: {sum}, but {said} in the report");
        }
    }
    Ok(number(report, &["assets", "KRW", "movements", "payment", "sum"]))
}
