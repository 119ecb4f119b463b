//! The content of a scrape, and whether Prometheus accepts it.

mod format;
mod speed;
mod text;

use std::time::Duration;

use evenkeel_storage::journal::SyncWatch;
use evenkeel_wire::{
    amount::Asset,
    outcome::{Answer, Outcome, Rejection, Stamp},
};

use super::{DoorKind, Metrics, PeerReading, Reading};
use text::Exposition;

/// A node with two peers and two assets, at some moment.
fn reading() -> Reading {
    let peer = |site: &str, lag, rtt| PeerReading {
        site: site.into(),
        reachable: rtt != 0,
        lag,
        rtt: (rtt != 0).then(|| Duration::from_millis(rtt)),
        clock_offset: (rtt != 0).then_some(-0.25),
    };
    Reading {
        primary: true,
        ready: true,
        term: 3,
        committed: Some(41),
        applied: Some(40),
        flushed: Some(42),
        view_age: Duration::from_millis(30),
        peers: vec![peer("sangam", Some(2), 4), peer("busan", None, 0)],
        queued_commands: 7,
        accounts: 5,
        outstanding: vec![(asset("KRW"), 38_000), (asset("POINT"), 0)],
        checkpoint: Some(12),
        checkpoint_age: Duration::from_secs(90),
        checkpoint_failures: 2,
        disk_full: false,
        ledger_ahead: Duration::from_secs(7_200),
        unsealed_bytes: 5 << 20,
        uptime: Duration::from_secs(100),
        resident_bytes: 1 << 27,
        alarms: [("log_dropped".to_owned(), 3)].into(),
    }
}

fn asset(name: &str) -> Asset {
    Asset::parse(name).expect("a name")
}

fn answer(rejection: Option<Rejection>) -> Answer {
    let outcome = Outcome { index: 0, rejection, amount: 0, debit_after: 0, credit_after: 0 };
    Answer { outcome, first: None }
}

fn scraped(metrics: &Metrics, reading: &Reading) -> Exposition {
    Exposition::read(&metrics.scrape(reading)).expect("a scrape can be read")
}

#[test]
fn a_scrape_shows_the_reading() {
    let exposition = scraped(&Metrics::new(), &reading());
    for (series, value) in [
        ("evenkeel_primary", 1.0),
        ("evenkeel_ready", 1.0),
        ("evenkeel_term", 3.0),
        ("evenkeel_committed_position", 41.0),
        ("evenkeel_applied_position", 40.0),
        ("evenkeel_flushed_position", 42.0),
        ("evenkeel_view_age_seconds", 0.03),
        ("evenkeel_peer_reachable{peer=\"sangam\"}", 1.0),
        ("evenkeel_peer_reachable{peer=\"busan\"}", 0.0),
        ("evenkeel_peer_lag_entries{peer=\"sangam\"}", 2.0),
        ("evenkeel_peer_lag_entries{peer=\"busan\"}", 0.0),
        ("evenkeel_peer_rtt_seconds{peer=\"sangam\"}", 0.004),
        ("evenkeel_clock_offset_seconds{peer=\"sangam\"}", -0.25),
        ("evenkeel_clock_offset_seconds{peer=\"busan\"}", 0.0),
        ("evenkeel_ledger_ahead_seconds", 7_200.0),
        ("evenkeel_queue_commands", 7.0),
        ("evenkeel_accounts", 5.0),
        ("evenkeel_outstanding{asset=\"KRW\"}", 38_000.0),
        ("evenkeel_outstanding{asset=\"POINT\"}", 0.0),
        ("evenkeel_checkpoint_position", 12.0),
        ("evenkeel_checkpoint_age_seconds", 90.0),
        ("evenkeel_checkpoint_failures_total", 2.0),
        ("evenkeel_unsealed_bytes", 5_242_880.0),
        ("evenkeel_disk_full", 0.0),
        ("evenkeel_uptime_seconds", 100.0),
        ("evenkeel_resident_memory_bytes", 134_217_728.0),
        ("evenkeel_alarms_total{kind=\"log_dropped\"}", 3.0),
        ("evenkeel_alarms_total{kind=\"panic\"}", 0.0),
    ] {
        assert_eq!(exposition.value(series), Some(value), "{series}");
    }
}

#[test]
fn a_count_that_is_kept_elsewhere_is_never_counted_twice() {
    let metrics = Metrics::new();
    for failures in [2, 2, 5] {
        let reading = Reading { checkpoint_failures: failures, ..reading() };
        let shown = scraped(&metrics, &reading).value("evenkeel_checkpoint_failures_total");
        assert_eq!(shown, Some(f64::from(u32::try_from(failures).expect("small"))));
    }
}

#[test]
fn outcomes_are_counted_by_code_replays_apart_and_what_was_passed_over_not_at_all() {
    let metrics = Metrics::new();
    let stamp = Stamp { position: 1, term: 1, recorded_at: 0, link: [0; 32] };
    let replay = Answer { first: Some(stamp), ..answer(Some(Rejection::InsufficientFunds)) };
    let mut passed_over = answer(None);
    passed_over.outcome.index = Outcome::NO_INDEX;
    let poor = answer(Some(Rejection::InsufficientFunds));
    metrics.count_applied(&[answer(None), answer(None), poor, replay, passed_over]);
    metrics.count_applied(&[answer(None)]);
    metrics.count_empty_entry();
    let exposition = scraped(&metrics, &reading());
    for (series, value) in [
        ("evenkeel_entries_committed_total", 3.0),
        ("evenkeel_commands_committed_total", 6.0),
        ("evenkeel_replays_total", 1.0),
        ("evenkeel_outcomes_total{code=\"committed\"}", 3.0),
        ("evenkeel_outcomes_total{code=\"insufficient_funds\"}", 1.0),
        ("evenkeel_outcomes_total{code=\"id_reused\"}", 0.0),
    ] {
        assert_eq!(exposition.value(series), Some(value), "{series}");
    }
}

#[test]
fn durations_are_in_seconds_and_connections_go_with_their_guards() {
    let metrics = Metrics::new();
    metrics.observe_commit(Duration::from_millis(3));
    metrics.door(DoorKind::Http).observe_answer(Duration::from_millis(700));
    metrics.set_in_flight(4);
    metrics.count_terms(2);
    metrics.count_digest_mismatch();
    metrics.syncs().sync_begins();
    metrics.syncs().sync_ends();
    let one = metrics.door(DoorKind::Quic).track_connection();
    drop(metrics.door(DoorKind::Quic).track_connection());
    let exposition = scraped(&metrics, &reading());
    for (series, value) in [
        ("evenkeel_commit_duration_seconds_sum", 0.003),
        ("evenkeel_commit_duration_seconds_bucket{le=\"0.0025\"}", 0.0),
        ("evenkeel_commit_duration_seconds_bucket{le=\"0.005\"}", 1.0),
        ("evenkeel_request_duration_seconds_sum{door=\"http\"}", 0.7),
        ("evenkeel_request_duration_seconds_count{door=\"quic\"}", 0.0),
        ("evenkeel_fdatasync_duration_seconds_count", 1.0),
        ("evenkeel_fdatasync_pending_seconds", 0.0),
        ("evenkeel_in_flight_entries", 4.0),
        ("evenkeel_elections_total", 2.0),
        ("evenkeel_digest_mismatches_total", 1.0),
        ("evenkeel_connections{door=\"quic\"}", 1.0),
        ("evenkeel_connections{door=\"http\"}", 0.0),
    ] {
        assert_eq!(exposition.value(series), Some(value), "{series}");
    }
    drop(one);
    assert_eq!(
        scraped(&metrics, &reading()).value("evenkeel_connections{door=\"quic\"}"),
        Some(0.0)
    );
}

/// A disk hung for a minute while the graph of its latency stayed flat: the histogram observes a
/// sync only when it ends.
#[tokio::test(start_paused = true)]
async fn a_sync_that_hangs_shows_before_it_ends() {
    let metrics = Metrics::new();
    metrics.syncs().sync_begins();
    tokio::time::advance(Duration::from_secs(60)).await;
    let exposition = scraped(&metrics, &reading());
    assert_eq!(exposition.value("evenkeel_fdatasync_pending_seconds"), Some(60.0));
    assert_eq!(exposition.value("evenkeel_fdatasync_duration_seconds_count"), Some(0.0));
}
