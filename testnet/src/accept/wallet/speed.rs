//! Row g: single transfers over HTTP from 64 keep-alive connections, with all three nodes and the
//! load on this machine.

use crate::accept::{
    main::speed::{bench_http, number},
    sheet::ResultSheet,
};
use crate::cluster::{testnet::Testnet, up};

const TRANSFERS: u64 = 300_000;
const CONNECTIONS: u64 = 64;

pub(crate) async fn keep_alive(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let report = bench_http(testnet, TRANSFERS, 1, CONNECTIONS).await?;
    let per_second = number(&report, &["per_second"])?;
    sheet.at_least("committed transfers per second", per_second, 12_000.0, "");
    sheet.at_most("p99", number(&report, &["latency_ms", "p99"])?, 30.0, " ms");
    let p50 = number(&report, &["latency_ms", "p50"])?;
    sheet.record_claim(format!("p50: {p50} ms"), true);
    Ok(())
}
