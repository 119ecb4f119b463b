//! The cost of measuring. A measurement, not a promise: `cargo test --release -p evenkeel-node
//! metrics::tests::speed -- --ignored --nocapture`.

use std::{hint::black_box, time::Duration};

use evenkeel_storage::journal::SyncWatch;
use evenkeel_wire::outcome::Rejection;
use tokio::time::Instant;

use super::{answer, reading};
use crate::metrics::{DoorKind, Metrics};

/// The fastest of many rounds: the cost when nothing else runs.
fn nanoseconds_each(times: u32, mut work: impl FnMut()) -> u128 {
    let round = || {
        let begun = Instant::now();
        (0..times).for_each(|_| work());
        begun.elapsed()
    };
    let best = std::iter::repeat_with(round).take(200).min().unwrap_or(Duration::ZERO);
    best.as_nanos() / u128::from(times)
}

#[test]
#[ignore = "a measurement"]
fn measuring_costs_nanoseconds() {
    let metrics = Metrics::new();
    let mut answers = vec![answer(None); 4_096];
    answers[7] = answer(Some(Rejection::InsufficientFunds));
    let entry = nanoseconds_each(20, || metrics.count_applied(black_box(&answers)));
    let one = nanoseconds_each(1_000, || metrics.count_applied(black_box(&answers[..1])));
    let door = metrics.door(DoorKind::Quic);
    let took = Duration::from_micros(700);
    let request = nanoseconds_each(1_000, || door.observe_answer(black_box(took)));
    let sync = nanoseconds_each(1_000, || {
        metrics.syncs().sync_begins();
        metrics.syncs().sync_ends();
    });
    let reading = reading();
    let scrape = nanoseconds_each(5, || drop(black_box(metrics.scrape(&reading))));
    println!("an entry of 4,096 commands {entry} ns, of one {one} ns; a request {request} ns");
    println!("a sync {sync} ns; a scrape {scrape} ns");
    assert!(entry / 4_096 < 10 && request < 1_000, "too slow for the road");
}
