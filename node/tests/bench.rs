//! The load generator against a played site: it must count right, survive trouble, and notice money that isn't there.

mod support;

use serde_json::Value;
use support::{
    Files, evenkeel, finish,
    played_site::{Mood, PlayedSite},
};

fn bench(files: &Files, arguments: &[&str]) -> (i32, String, String) {
    let mut command = evenkeel();
    command.arg("bench").arg("--client").arg(files.client_toml()).args(arguments);
    finish(command.output().expect("the program starts"))
}

fn played() -> (Files, PlayedSite) {
    let files = Files::new();
    let site = PlayedSite::start(&files, false);
    files.keep_one_site();
    (files, site)
}

fn figures(output: &str) -> Value {
    serde_json::from_str(output).expect("JSON")
}

#[test]
fn every_transfer_is_made_once_and_balances_agree() {
    let (files, _site) = played();
    for arguments in [
        ["--transfers", "5001", "--accounts", "50", "--batch", "1", "--callers", "64"],
        ["--transfers", "20000", "--accounts", "9000", "--batch", "8192", "--callers", "4"],
        ["--transfers", "10", "--accounts", "2", "--batch", "3", "--callers", "1"],
    ] {
        let (code, out, error) = bench(&files, &[&arguments[..], &["--json"]].concat());
        assert_eq!(code, 0, "{arguments:?}: {error}");
        let figures = figures(&out);
        assert_eq!(figures["transfers"].to_string(), arguments[1]);
        assert_eq!((&figures["rejected"], &figures["unknown"]), (&0.into(), &0.into()));
        let latency = &figures["latency_ms"];
        let order = ["p50", "p90", "p99", "p100"].map(|name| latency[name].as_f64());
        assert!(order.is_sorted() && order[0] > Some(0.0), "{latency}");
        assert!(figures["per_second"].as_f64() > Some(0.0) && figures["seconds"].is_f64());
    }
}

#[test]
fn refusals_and_lost_connections_are_asked_again_and_nothing_happens_twice() {
    let (files, site) = played();
    for mood in [Mood::Overloaded, Mood::Dies] {
        site.mood(mood);
        let arguments = ["--transfers", "1000", "--accounts", "20", "--callers", "8", "--json"];
        let (code, out, error) = bench(&files, &arguments);
        assert_eq!(code, 0, "{mood:?}: {error}");
        assert_eq!(figures(&out)["unknown"], 0, "{mood:?}");
        assert_eq!(error.contains("a connection was lost"), mood == Mood::Dies, "{error}");
    }
}

#[test]
fn money_that_is_missing_fails_the_run() {
    let (files, site) = played();
    site.mood(Mood::HidesMoney);
    let (code, out, error) = bench(&files, &["--transfers", "100", "--accounts", "10", "--json"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("11 accounts don't hold what was acknowledged"), "{error}");
    assert_eq!(figures(&out)["transfers"], 100, "the figures are there all the same");
}

#[test]
fn a_node_in_memory_is_not_measured() {
    let files = Files::new();
    let _site = PlayedSite::start(&files, true);
    files.keep_one_site();
    let (code, out, error) = bench(&files, &["--transfers", "1"]);
    assert_eq!((code, out.as_str()), (1, ""), "{error}");
    assert!(error.contains("tmpfs"), "{error}");
}

#[test]
fn wrong_usage_is_2_and_nobody_at_home_is_4() {
    let files = Files::new();
    for arguments in [
        ["--transfers", "0"],
        ["--accounts", "1"],
        ["--batch", "8193"],
        ["--batch", "0"],
        ["--callers", "0"],
        ["--connections", "9"],
        ["--asset", "won"],
    ] {
        assert_eq!(bench(&files, &arguments).0, 2, "{arguments:?}");
    }
    assert_eq!(bench(&files, &["--callers", "32768", "--connections", "1"]).0, 2);
    files.keep_one_site();
    let (code, _, error) = bench(&files, &["--transfers", "1"]);
    assert_eq!(code, 4, "{error}");
}
