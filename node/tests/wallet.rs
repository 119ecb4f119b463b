//! The wallet's verbs against a played site: what is printed, and the exit code of every way a call can end.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{
    Files, evenkeel, finish,
    played_site::{Mood, PlayedSite},
};
use tokio::time::Instant;

const BANK: &str = "00000000-0000-4000-8000-000000000001";
const WALLET: &str = "00000000-0000-4000-8000-000000000002";
const NOBODY: &str = "00000000-0000-4000-8000-00000000000f";
const ID: &str = "018f5e2a-7b3c-7d4e-8f90-1a2b3c4d5e6f";

struct Person {
    files: Files,
    site: PlayedSite,
}

impl Person {
    fn new() -> Self {
        let files = Files::new();
        let site = PlayedSite::start(&files, false);
        Self { files, site }
    }

    fn wallet(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = evenkeel();
        command.arg("wallet").arg("--client").arg(self.files.client_toml()).args(arguments);
        finish(command.output().expect("the program starts"))
    }

    fn wallet_json(&self, arguments: &[&str]) -> (i32, Value) {
        let (code, out, error) = self.wallet(&[arguments, &["--json"]].concat());
        (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out:?} {error:?}")))
    }

    fn with_accounts() -> Self {
        let person = Self::new();
        for (id, kind) in [(BANK, "bank"), (WALLET, "wallet")] {
            let (code, _, error) = person.wallet(&["open", id, "--kind", kind, "--asset", "KRW"]);
            assert_eq!(code, 0, "{error}");
        }
        person
    }
}

fn top_up<'a>(amount: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["top-up", "--from", BANK, "--to", WALLET, "--amount", amount], rest].concat()
}

#[test]
fn money_moves_and_is_seen() {
    let person = Person::with_accounts();
    let (code, out, error) = person.wallet(&top_up("1000", &["--memo", "hello"]));
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("committed at position 3; -1000 left, 1000 there"), "{out}");
    assert!(error.starts_with("id 0"), "the id is there before anything is sent: {error}");

    let (code, shown) = person.wallet_json(&["show", WALLET]);
    assert_eq!((code, &shown["posted"], &shown["asset"]), (0, &json!(1000), &json!("KRW")));
    let (code, shown) = person.wallet_json(&["show", WALLET, "--local"]);
    assert_eq!((code, &shown["as_of"]), (0, &json!({"position": 3, "age_ms": 7})));
    let (code, page) = person.wallet_json(&["history", WALLET]);
    assert_eq!(code, 0);
    assert_eq!(page["items"][0]["memo"], "hello");
    assert_eq!(page["items"][0]["kind"], "top_up");
    let (code, out, _) = person.wallet(&["history", WALLET]);
    assert!(code == 0 && out.contains("top_up"), "{out}");
}

#[test]
fn the_same_id_gets_the_same_answer() {
    let person = Person::with_accounts();
    let (code, first) = person.wallet_json(&top_up("5", &["--id", ID]));
    assert_eq!((code, &first["outcome"], &first["id"]), (0, &json!("committed"), &json!(ID)));
    assert_eq!((&first["replayed"], &first["credit_after"]), (&json!(false), &json!(5)));
    let (code, again) = person.wallet_json(&top_up("5", &["--id", ID]));
    assert_eq!((code, &again["replayed"]), (0, &json!(true)));
    for field in ["position", "index", "term", "recorded_at", "link", "transfer", "credit_after"] {
        assert_eq!(first[field], again[field], "{field}");
    }
}

#[test]
fn a_rejection_is_3_and_names_its_code() {
    let person = Person::with_accounts();
    for (arguments, code) in [
        (top_up("0", &["--asset", "KRW"]), "amount_invalid"),
        (top_up("9007199254740992", &[]), "amount_invalid"),
        (vec!["send", "--from", WALLET, "--to", BANK, "--amount", "1"], "insufficient_funds"),
        (vec!["pay", "--from", NOBODY, "--to", BANK, "--amount", "1"], "account_not_found"),
    ] {
        let (exit, said) = person.wallet_json(&arguments);
        assert_eq!((exit, &said["code"]), (3, &json!(code)), "{arguments:?}");
        assert_eq!(said["outcome"], "rejected");
        assert!(said["position"].is_u64());
        let (exit, out, error) = person.wallet(&arguments);
        assert_eq!((exit, out.as_str()), (3, ""), "{error}");
        assert!(error.contains(&format!("rejected, {code}, at position")), "{error}");
    }
}

#[test]
fn no_primary_is_4_and_soon() {
    let person = Person::with_accounts();
    person.site.mood(Mood::NoPrimary);
    let started = Instant::now();
    let (code, said) = person.wallet_json(&top_up("5", &["--asset", "KRW"]));
    assert_eq!((code, &said["outcome"]), (4, &json!("unavailable")), "{said}");
    assert!(said["detail"].as_str().is_some_and(|text| text.contains("no_primary")), "{said}");
    // The door answers at once here; two sites are down and stay silent.
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    assert_eq!(person.wallet(&["show", WALLET]).0, 4);
    assert_eq!(person.wallet(&["show", WALLET, "--local"]).0, 0, "local reads go on");
}

#[test]
fn silence_after_asking_is_4_and_unknown() {
    let person = Person::with_accounts();
    person.site.mood(Mood::Mute);
    let (code, said) = person.wallet_json(&top_up("5", &["--asset", "KRW", "--id", ID]));
    assert_eq!((code, &said["outcome"], &said["id"]), (4, &json!("unknown"), &json!(ID)), "{said}");
    person.site.mood(Mood::Answers);
    assert_eq!(person.wallet(&top_up("5", &["--asset", "KRW", "--id", ID])).0, 0);
}

#[test]
fn wrong_usage_is_2_and_a_foreign_key_1() {
    let person = Person::with_accounts();
    for arguments in [
        top_up("-1", &[]),
        top_up("1.5", &[]),
        top_up("18446744073709551616", &[]),
        top_up("1", &["--id", WALLET]),
        vec!["show", "nobody"],
        vec!["open", "--kind", "purse", "--asset", "KRW"],
        vec!["open", "--kind", "wallet", "--asset", "won"],
        vec![],
    ] {
        assert_eq!(person.wallet(&arguments).0, 2, "{arguments:?}");
    }
    let long = "x".repeat(141);
    let (code, _, error) = person.wallet(&top_up("1", &["--memo", &long]));
    assert_eq!((code, error.contains("--memo: longer than 140 bytes")), (2, true), "{error}");
    let (code, _, error) = person.wallet(&["show", NOBODY]);
    assert_eq!((code, error.contains("not_found")), (1, true), "{error}");
    std::fs::write(person.files.out().join("operator.key"), "ek_of_somebody_else\n")
        .expect("writable");
    let (code, _, error) = person.wallet(&["show", WALLET]);
    assert_eq!((code, error.contains("unauthorized")), (1, true), "{error}");
    let mut elsewhere = evenkeel();
    elsewhere.current_dir(person.files.folder.path()).args(["wallet", "show", WALLET]);
    let (code, _, error) = finish(elsewhere.output().expect("the program starts"));
    assert_eq!((code, error.contains("--client FILE")), (2, true), "{error}");
}
