//! The load generator against a simulated site: it must count correctly, recover from failures and
//! detect missing money.

mod support;

use serde_json::Value;
use support::{
    Files, evenkeel, finish, played_http::PlayedHttp, played_ledger::Mood, played_site::PlayedSite,
};

fn bench(files: &Files, arguments: &[&str]) -> (i32, String, String) {
    let mut command = evenkeel();
    command.arg("bench").arg("--client").arg(files.client_toml()).args(arguments);
    finish(command.output().expect("the program starts"))
}

/// A site with one simulated door, and the flag that selects this door.
enum Played {
    Quic(Files, PlayedSite),
    Http(Files, PlayedHttp),
}

impl Played {
    fn both(volatile: bool) -> [Self; 2] {
        let (files, other) = (Files::new(), Files::new());
        let quic = PlayedSite::start(&files, volatile);
        let http = PlayedHttp::start(&other, volatile);
        files.keep_one_site();
        other.keep_one_site();
        [Self::Quic(files, quic), Self::Http(other, http)]
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Quic(..) => "QUIC",
            Self::Http(..) => "HTTP",
        }
    }

    fn mood(&self, mood: Mood) {
        match self {
            Self::Quic(_, site) => site.mood(mood),
            Self::Http(_, site) => site.mood(mood),
        }
    }

    fn bench(&self, arguments: &[&str]) -> (i32, String, String) {
        match self {
            Self::Quic(files, _) => bench(files, arguments),
            Self::Http(files, _) => bench(files, &[arguments, &["--http"]].concat()),
        }
    }
}

fn figures(output: &str) -> Value {
    serde_json::from_str(output).expect("JSON")
}

#[test]
fn every_transfer_is_made_once_and_balances_agree() {
    for played in Played::both(false) {
        for arguments in [
            ["--transfers", "5001", "--accounts", "50", "--batch", "1", "--callers", "64"],
            ["--transfers", "20000", "--accounts", "9000", "--batch", "8192", "--callers", "4"],
            ["--transfers", "10", "--accounts", "2", "--batch", "3", "--callers", "1"],
        ] {
            let (code, out, error) = played.bench(&[&arguments[..], &["--json"]].concat());
            assert_eq!(code, 0, "{} {arguments:?}: {error}", played.name());
            let figures = figures(&out);
            assert_eq!(figures["transfers"].to_string(), arguments[1]);
            assert_eq!((&figures["rejected"], &figures["unknown"]), (&0.into(), &0.into()));
            let latency = &figures["latency_ms"];
            let order = ["p50", "p90", "p99", "p100"].map(|name| latency[name].as_f64());
            assert!(order.is_sorted() && order[0] > Some(0.0), "{latency}");
            assert!(figures["per_second"].as_f64() > Some(0.0) && figures["seconds"].is_f64());
        }
    }
}

#[test]
fn refusals_and_lost_connections_are_asked_again_and_nothing_happens_twice() {
    for played in Played::both(false) {
        for (mood, batch) in
            [(Mood::Overloaded, "1"), (Mood::Dies, "1"), (Mood::Overloaded, "5"), (Mood::Dies, "5")]
        {
            played.mood(mood);
            let arguments =
                ["--transfers", "1000", "--accounts", "20", "--callers", "8", "--batch", batch];
            let (code, out, error) = played.bench(&[&arguments[..], &["--json"]].concat());
            assert_eq!(code, 0, "{} {mood:?}: {error}", played.name());
            assert_eq!(figures(&out)["unknown"], 0, "{mood:?}");
            assert_eq!(error.contains("a connection was lost"), mood == Mood::Dies, "{error}");
        }
    }
}

#[test]
fn rejections_are_counted_and_change_nothing() {
    for played in Played::both(false) {
        played.mood(Mood::RejectsSome);
        for batch in ["1", "100"] {
            let arguments =
                ["--transfers", "200", "--accounts", "20", "--batch", batch, "--callers", "2"];
            let (code, out, error) = played.bench(&[&arguments[..], &["--json"]].concat());
            assert_eq!(code, 0, "{} {batch}: {error}", played.name());
            let rejected = figures(&out)["rejected"].as_u64();
            assert!((60..=70).contains(&rejected.expect("a number")), "{out}");
        }
    }
}

#[test]
fn money_that_is_missing_fails_the_run() {
    for played in Played::both(false) {
        played.mood(Mood::HidesMoney);
        let arguments = ["--transfers", "100", "--accounts", "10", "--json"];
        let (code, out, error) = played.bench(&arguments);
        assert_eq!(code, 1, "{error}");
        assert!(error.contains("11 accounts differ from the acknowledged transfers"), "{error}");
        assert_eq!(figures(&out)["transfers"], 100, "the figures are printed anyway");
    }
}

#[test]
fn a_node_in_memory_is_not_measured() {
    for played in Played::both(true) {
        let (code, out, error) = played.bench(&["--transfers", "1"]);
        assert_eq!((code, out.as_str()), (1, ""), "{error}");
        assert!(error.contains("tmpfs"), "{error}");
    }
}

#[test]
fn wrong_usage_is_2_and_nobody_at_home_is_4() {
    let files = Files::new();
    for arguments in [
        &["--transfers", "0"][..],
        &["--accounts", "1"],
        &["--batch", "8193"],
        &["--batch", "0"],
        &["--callers", "0"],
        &["--connections", "9"],
        &["--asset", "won"],
        &["--callers", "32768", "--connections", "1"],
        &["--callers", "1001", "--http"],
        &["--connections", "2", "--http"],
    ] {
        assert_eq!(bench(&files, arguments).0, 2, "{arguments:?}");
    }
    files.keep_one_site();
    files.nobody_else_speaks_http();
    for arguments in [&["--transfers", "1"][..], &["--transfers", "1", "--http"]] {
        let (code, _, error) = bench(&files, arguments);
        assert_eq!(code, 4, "{error}");
    }
}
