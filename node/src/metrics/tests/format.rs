//! The rules of the format and of docs/OPERATIONS.md, checked over everything that a node exposes,
//! including what `promtool check metrics` would report.

use std::collections::BTreeSet;

use evenkeel_wire::{outcome::Rejection, reply::RefusalCode};

use super::{Exposition, reading, scraped, text::Family};
use crate::metrics::{CONTENT_TYPE, Metrics};

/// The families as docs/OPERATIONS.md explains them: name, type, labels.
const FAMILIES: &[(&str, &str, &[&str])] = &[
    ("evenkeel_accounts", "gauge", &[]),
    ("evenkeel_alarms_total", "counter", &["kind"]),
    ("evenkeel_applied_position", "gauge", &[]),
    ("evenkeel_checkpoint_age_seconds", "gauge", &[]),
    ("evenkeel_checkpoint_failures_total", "counter", &[]),
    ("evenkeel_checkpoint_position", "gauge", &[]),
    ("evenkeel_clock_offset_seconds", "gauge", &["peer"]),
    ("evenkeel_commands_committed_total", "counter", &[]),
    ("evenkeel_commit_duration_seconds", "histogram", &[]),
    ("evenkeel_committed_position", "gauge", &[]),
    ("evenkeel_connections", "gauge", &["door"]),
    ("evenkeel_digest_mismatches_total", "counter", &[]),
    ("evenkeel_disk_full", "gauge", &[]),
    ("evenkeel_elections_total", "counter", &[]),
    ("evenkeel_entries_committed_total", "counter", &[]),
    ("evenkeel_fdatasync_duration_seconds", "histogram", &[]),
    ("evenkeel_fdatasync_pending_seconds", "gauge", &[]),
    ("evenkeel_flushed_position", "gauge", &[]),
    ("evenkeel_in_flight_entries", "gauge", &[]),
    ("evenkeel_keeper_audit_cpu_seconds_total", "counter", &[]),
    ("evenkeel_keeper_checkpoint_cpu_seconds_total", "counter", &[]),
    ("evenkeel_keeper_index_cpu_seconds_total", "counter", &[]),
    ("evenkeel_keeper_scrub_cpu_seconds_total", "counter", &[]),
    ("evenkeel_keeper_seal_cpu_seconds_total", "counter", &[]),
    ("evenkeel_ledger_ahead_seconds", "gauge", &[]),
    ("evenkeel_outcomes_total", "counter", &["code"]),
    ("evenkeel_outstanding", "gauge", &["asset"]),
    ("evenkeel_peer_lag_entries", "gauge", &["peer"]),
    ("evenkeel_peer_reachable", "gauge", &["peer"]),
    ("evenkeel_peer_rtt_seconds", "gauge", &["peer"]),
    ("evenkeel_primary", "gauge", &[]),
    ("evenkeel_queue_commands", "gauge", &[]),
    ("evenkeel_ready", "gauge", &[]),
    ("evenkeel_refusals_total", "counter", &["code", "door"]),
    ("evenkeel_replays_total", "counter", &[]),
    ("evenkeel_request_duration_seconds", "histogram", &["door"]),
    ("evenkeel_resident_memory_bytes", "gauge", &[]),
    ("evenkeel_term", "gauge", &[]),
    ("evenkeel_unsealed_bytes", "gauge", &[]),
    ("evenkeel_uptime_seconds", "gauge", &[]),
    ("evenkeel_view_age_seconds", "gauge", &[]),
];

fn fresh() -> Exposition {
    scraped(&Metrics::new(), &reading())
}

#[test]
fn every_family_is_there_from_the_start_with_its_type_labels_and_help() {
    let exposition = fresh();
    let names: Vec<&str> = exposition.families.iter().map(|family| family.name.as_str()).collect();
    let expected: Vec<&str> = FAMILIES.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(names, expected, "the table above names every family");
    for (name, kind, labels) in FAMILIES {
        let family = exposition.family(name).expect("looked at above");
        assert_eq!(family.kind, *kind, "{name}");
        assert!(family.help.ends_with('.') && family.help.len() > 20, "{name}: {:?}", family.help);
        assert!(!family.samples.is_empty(), "{name} has no series");
        for sample in &family.samples {
            let found = sample.labels.keys().map(String::as_str).filter(|label| *label != "le");
            assert_eq!(found.collect::<Vec<_>>(), *labels, "{}", sample.series());
        }
    }
}

#[test]
fn the_handbook_has_a_row_for_every_family_and_none_for_others() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATIONS.md");
    let handbook = std::fs::read_to_string(path).expect("the handbook");
    let rows = handbook.lines().filter_map(|line| line.strip_prefix("| `evenkeel_"));
    let rows: BTreeSet<String> = rows
        .filter_map(|row| row.split_once('`').map(|(name, _)| format!("evenkeel_{name}")))
        .collect();
    let families = FAMILIES.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    assert_eq!(rows, families);
}

#[test]
fn names_say_their_unit_and_type_as_promtool_wants_it() {
    let abbreviated = ["_ms", "_us", "_sec", "_secs", "_milliseconds", "_kb", "_mb", "_kilobytes"];
    for Family { name, kind, .. } in fresh().families {
        let allowed = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.starts_with("evenkeel_") && name.chars().all(allowed), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        for suffix in ["_count", "_sum", "_bucket", "_gauge", "_counter", "_histogram"] {
            assert!(!name.ends_with(suffix), "{name} ends like a part of a histogram");
        }
        assert!(!abbreviated.iter().any(|unit| name.ends_with(unit)), "{name}: not a base unit");
        let measures_time = ["duration", "age", "uptime", "rtt", "pending"];
        if measures_time.iter().any(|word| name.split('_').any(|part| part == *word)) {
            assert!(name.ends_with("_seconds"), "{name} is a time without its unit");
        }
    }
}

#[test]
fn no_series_comes_twice_and_no_value_is_no_number() {
    let exposition = fresh();
    let mut seen = BTreeSet::new();
    for sample in exposition.samples() {
        assert!(seen.insert(sample.series()), "{} is there twice", sample.series());
        let signed = sample.series().starts_with("evenkeel_clock_offset_seconds");
        assert!(sample.value.is_finite(), "{}", sample.series());
        assert!(sample.value >= 0.0 || signed, "{}", sample.series());
    }
    assert!(seen.len() > 150, "only {} series", seen.len());
}

#[test]
fn every_known_code_has_a_series_before_it_happens() {
    let exposition = fresh();
    let outcomes = ["committed"].into_iter().chain(Rejection::ALL.iter().map(|code| code.name()));
    for code in outcomes {
        let series = format!("evenkeel_outcomes_total{{code=\"{code}\"}}");
        assert_eq!(exposition.value(&series), Some(0.0), "{series}");
    }
    let refusals = RefusalCode::ALL.iter().map(|code| code.name());
    for code in refusals.chain(["method_not_allowed", "not_acceptable", "unsupported_media_type"]) {
        for door in ["quic", "http", "forward"] {
            let series = format!("evenkeel_refusals_total{{code=\"{code}\",door=\"{door}\"}}");
            assert_eq!(exposition.value(&series), Some(0.0), "{series}");
        }
    }
}

#[test]
fn a_histograms_buckets_are_cumulative_and_end_with_all() {
    let metrics = Metrics::new();
    for millis in [0, 1, 3, 80, 900, 100_000] {
        let took = std::time::Duration::from_millis(millis);
        metrics.observe_commit(took);
        metrics.door(super::DoorKind::Quic).observe_answer(took);
    }
    let exposition = scraped(&metrics, &reading());
    let histograms: Vec<&Family> =
        exposition.families.iter().filter(|family| family.kind == "histogram").collect();
    assert_eq!(histograms.len(), 3);
    for family in histograms {
        let labels_of = |sample: &super::text::Sample| {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            labels
        };
        for count in family.samples.iter().filter(|sample| sample.name.ends_with("_count")) {
            let buckets = family.samples.iter().filter(|sample| {
                sample.name.ends_with("_bucket") && labels_of(sample) == count.labels
            });
            let buckets: Vec<(f64, f64)> = buckets
                .map(|sample| (sample.labels["le"].replace("+Inf", "inf").parse(), sample.value))
                .map(|(le, value)| (le.expect("a bound"), value))
                .collect();
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{}", family.name);
            let last = buckets.last().expect("buckets");
            assert_eq!(*last, (f64::INFINITY, count.value), "{}", count.series());
            let sums = family
                .samples
                .iter()
                .filter(|sample| sample.name.ends_with("_sum") && sample.labels == count.labels);
            assert_eq!(sums.count(), 1, "{}", count.series());
        }
    }
    let quic = exposition.value("evenkeel_request_duration_seconds_count{door=\"quic\"}");
    assert_eq!(quic, Some(6.0));
}

#[test]
fn the_format_is_the_classic_one() {
    assert_eq!(CONTENT_TYPE, "text/plain; version=0.0.4");
    assert!(!Metrics::new().scrape(&reading()).contains("# EOF"), "that is OpenMetrics");
}

/// The reader above accepts nothing that a scraper rejects: these are examples that it must reject.
#[test]
fn the_reader_is_strict() {
    let head = "# HELP evenkeel_x Something.\n# TYPE evenkeel_x gauge\n";
    for (text, accepted) in [
        (format!("{head}evenkeel_x 1\n"), true),
        (format!("{head}evenkeel_x{{peer=\"a\"}} 1\n"), true),
        (format!("{head}evenkeel_x 1"), false),
        (format!("{head}evenkeel_y 1\n"), false),
        (format!("{head}evenkeel_x one\n"), false),
        (format!("{head}evenkeel_x{{peer=a}} 1\n"), false),
        (format!("{head}# TYPE evenkeel_x gauge\nevenkeel_x 1\n"), false),
        ("evenkeel_x 1\n".to_owned(), false),
    ] {
        assert_eq!(Exposition::read(&text).is_ok(), accepted, "{text}");
    }
}
