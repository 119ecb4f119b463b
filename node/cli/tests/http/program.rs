//! The program's own clients against the real door.

use std::io::{Read, Write};

use evenkeel_node::{
    clock::{Clock, SystemClock},
    config::HttpTls,
};
use serde_json::{Value, json};

use crate::{
    client::{account, id},
    commands::{BANK, MERCHANT, WALLET},
    site::{OPERATOR_KEY, Site},
    support::{Files, evenkeel, finish, replace},
};

/// A cluster's files that point to this site.
fn files(site: &Site) -> Files {
    let files = Files::new();
    files.keep_one_site();
    replace(&files.client_toml(), "127.0.0.1:7102", &site.address.to_string());
    std::fs::write(files.out().join("operator.key"), format!("{OPERATOR_KEY}\n"))
        .expect("writable");
    files
}

fn program(files: &Files, verb: &str, arguments: &[&str]) -> (i32, Value, String) {
    let mut command = evenkeel();
    command.args([verb, "--http", "--json", "--client"]).arg(files.client_toml()).args(arguments);
    let (code, out, error) = finish(command.output().expect("the program starts"));
    (code, serde_json::from_str(&out).unwrap_or_default(), error)
}

#[test]
fn the_wallet_moves_holds_and_refunds_money() {
    let site = Site::start();
    let files = files(&site);
    let wallet = |arguments: &[&str]| program(&files, "wallet", arguments);
    let done = |arguments: &[&str]| {
        let (code, said, error) = wallet(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said} {error}");
        assert_eq!(said["replayed"], false, "{said}");
        said
    };
    let [bank, person, shop] = [BANK, WALLET, MERCHANT].map(account);
    for (id, kind) in [(&bank, "bank"), (&person, "wallet"), (&shop, "merchant")] {
        let opened = done(&["open", id, "--kind", kind, "--asset", "KRW", "--label", kind]);
        assert_eq!(
            (&opened["account"]["id"], &opened["account"]["label"]),
            (&json!(id), &json!(kind))
        );
    }
    let ids: Vec<String> = (1..=6).map(id).collect();
    let moved = |kind: &'static str, from: &'static str, to: &'static str| {
        let place = |name| match name {
            "bank" => &bank,
            "person" => &person,
            _ => &shop,
        };
        [kind, "--from", place(from), "--to", place(to)].map(str::to_owned)
    };
    let with = |words: &[String], rest: &[&str]| {
        let words: Vec<&str> =
            words.iter().map(String::as_str).chain(rest.iter().copied()).collect();
        done(&words)
    };
    let top_up = moved("top-up", "bank", "person");
    with(&top_up, &["--amount", "1000", "--id", &ids[0]]);
    let hold = moved("hold", "person", "shop");
    let held = with(
        &hold,
        &["--amount", "300", "--expires-in", "10m", "--id", &ids[1], "--memo", "room 7"],
    );
    assert_eq!((&held["hold"]["status"], &held["hold"]["amount"]), (&json!("open"), &json!(300)));
    let shown = wallet(&["show", &person]).1;
    assert_eq!((&shown["held"], &shown["available"]), (&json!(300), &json!(700)));
    let captured = done(&["capture", &ids[1], "--amount", "200", "--id", &ids[2]]);
    assert_eq!(
        (&captured["transfer"]["kind"], &captured["debit_after"], &captured["credit_after"]),
        (&json!("payment"), &json!(800), &json!(200))
    );
    let (code, said, _) = wallet(&["void", &ids[1], "--id", &ids[3]]);
    assert_eq!(
        (code, &said["outcome"], &said["code"]),
        (3, &json!("rejected"), &json!("hold_not_open"))
    );
    assert!(said["position"].is_u64(), "{said}");
    let refunded = done(&["refund", &ids[2], "--memo", "sorry", "--id", &ids[4]]);
    assert_eq!(
        (&refunded["transfer"]["amount"], &refunded["transfer"]["memo"]),
        (&json!(200), &json!("sorry"))
    );

    let (code, again, _) = wallet(&["refund", &ids[2], "--memo", "sorry", "--id", &ids[4]]);
    assert_eq!(
        (code, &again["replayed"], &again["position"]),
        (0, &json!(true), &refunded["position"])
    );
    let history = wallet(&["history", &shop, "--limit", "1"]).1;
    assert_eq!((&history["items"][0]["id"], &history["more"]), (&json!(ids[4]), &json!(true)));
    let history = wallet(&["history", &shop]).1;
    assert_eq!(history["items"][1]["refunded"], 200, "{history}");
    let local = wallet(&["show", &person, "--local"]).1;
    assert_eq!((&local["posted"], local["as_of"]["age_ms"].is_u64()), (&json!(1_000), true));
}

#[test]
fn the_bench_makes_every_transfer_and_finds_the_balances_right() {
    // The bench's ids carry the current time.
    let site = Site::at(SystemClock.wall_micros());
    let files = files(&site);
    for batch in ["1", "250"] {
        let arguments = ["--transfers", "1000", "--accounts", "20", "--callers", "8"];
        let (code, figures, error) =
            program(&files, "bench", &[&arguments[..], &["--batch", batch]].concat());
        assert_eq!(code, 0, "{batch}: {figures} {error}");
        assert_eq!((&figures["rejected"], &figures["unknown"]), (&json!(0), &json!(0)));
    }
}

#[test]
fn a_certificate_of_the_cluster_makes_the_port_speak_tls() {
    let made = Files::new();
    let tls = made.site("pangyo").join("tls");
    let own = SystemClock.wall_micros();
    let site =
        Site::with_tls(own, &HttpTls { cert: tls.join("node.pem"), key: tls.join("node.key") });
    made.keep_one_site();
    let address = format!("https://{}", site.address);
    replace(&made.client_toml(), "127.0.0.1:7102", &address);
    std::fs::write(made.out().join("operator.key"), format!("{OPERATOR_KEY}\n")).expect("writable");
    let open = ["open", &account(WALLET), "--kind", "wallet", "--asset", "KRW"];
    let (code, said, error) = program(&made, "wallet", &open);
    assert_eq!((code, &said["account"]["id"]), (0, &json!(account(WALLET))), "{said} {error}");
    // A plain connection gets no response and does no harm.
    let mut plain = std::net::TcpStream::connect(site.address).expect("the site listens");
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    let _cut_or_not = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    // Another cluster's certificate isn't trusted.
    let other = Files::new();
    other.keep_one_site();
    replace(&other.client_toml(), "127.0.0.1:7102", &address);
    let (code, said, _) = program(&other, "wallet", &open);
    assert_eq!(code, 4, "{said}");
}
