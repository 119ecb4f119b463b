//! The results of a run: counts, latencies and the expected balances.

use std::{collections::BTreeMap, time::Duration};

use evenkeel_wire::outcome::Rejection;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::time::Instant;

use super::{BenchArgs, batch::TransferBatch};
use crate::{Failure, output};
use evenkeel_node::operator::status::milliseconds;

/// Latencies are recorded in microseconds with three significant digits, up to two minutes.
const LATENCY_US_MAX: u64 = 120_000_000;

pub(crate) struct Tally {
    latencies: Histogram<u64>,
    /// The net change of each wallet from acknowledged transfers.
    pub(crate) changes: Vec<i64>,
    committed: u64,
    rejected: BTreeMap<Rejection, u64>,
    pub(crate) unknown: u64,
}

impl Tally {
    pub(crate) fn new(wallets: usize) -> Self {
        let latencies = Histogram::new_with_max(LATENCY_US_MAX, 3).expect("bounds that fit");
        Self {
            latencies,
            changes: vec![0; wallets],
            committed: 0,
            rejected: BTreeMap::new(),
            unknown: 0,
        }
    }

    /// Records the answers of a batch, in order.
    pub(crate) fn record_batch(
        &mut self,
        batch: &TransferBatch,
        rejections: impl IntoIterator<Item = Option<Rejection>>,
        now: Instant,
    ) {
        let took = now.saturating_duration_since(batch.started).as_micros();
        self.latencies.saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
        for (made, rejection) in batch.moves.iter().zip(rejections) {
            match rejection {
                None => {
                    let amount = i64::try_from(made.amount).expect("a small amount");
                    self.changes[made.debit] -= amount;
                    self.changes[made.credit] += amount;
                    self.committed += 1;
                }
                Some(rejection) => *self.rejected.entry(rejection).or_default() += 1,
            }
        }
    }

    pub(crate) fn add(&mut self, part: &Self) {
        self.latencies.add(&part.latencies).expect("of the same shape");
        for (change, more) in self.changes.iter_mut().zip(&part.changes) {
            *change += more;
        }
        self.committed += part.committed;
        for (rejection, count) in &part.rejected {
            *self.rejected.entry(*rejection).or_default() += count;
        }
        self.unknown += part.unknown;
    }
}

pub(crate) fn report(args: &BenchArgs, tally: &Tally, took: Duration) -> Result<(), Failure> {
    let seconds = took.as_secs_f64();
    let per_second = per_second(tally.committed, seconds);
    let ms = |micros| milliseconds(Duration::from_micros(micros));
    let at = |quantile: f64| ms(tally.latencies.value_at_quantile(quantile));
    let (p50, p90, p99) = (at(0.5), at(0.9), at(0.99));
    let p100 = ms(tally.latencies.max());
    let rejected: u64 = tally.rejected.values().sum();
    if args.json {
        return output::print_json(&json!({
            "transfers": args.transfers,
            "seconds": seconds,
            "per_second": per_second,
            "latency_ms": {"p50": p50, "p90": p90, "p99": p99, "p100": p100},
            "rejected": rejected,
            "unknown": tally.unknown,
        }));
    }
    let codes: Vec<String> =
        tally.rejected.iter().map(|(code, count)| format!("{count} {code}")).collect();
    let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
    output::print(&format!(
        "{} committed in {seconds:.2} s: {per_second:.0} transfers/s\nlatency of a request: p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, worst {p100:.2} ms\nrejected {rejected}{codes}, unknown {}",
        tally.committed, tally.unknown
    ))
}

#[expect(clippy::float_arithmetic, reason = "a rate shown to people")]
fn per_second(count: u64, seconds: f64) -> f64 {
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if seconds > 0.0 { (count / seconds).round() } else { 0.0 }
}
