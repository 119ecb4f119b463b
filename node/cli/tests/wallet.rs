//! The wallet's verbs against a simulated site, over both doors: the output, and the exit code of
//! every way a call can end.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{
    Files, evenkeel, finish, played_http::PlayedHttp, played_ledger::Mood, played_site::PlayedSite,
    replace,
};
use tokio::time::Instant;

const BANK: &str = "00000000-0000-4000-8000-000000000001";
const WALLET: &str = "00000000-0000-4000-8000-000000000002";
const SHOP: &str = "00000000-0000-4000-8000-000000000003";
const NOBODY: &str = "00000000-0000-4000-8000-00000000000f";
const ID: &str = "018f5e2a-7b3c-7d4e-8f90-1a2b3c4d5e6f";
const HOLD: &str = "018f5e2a-7b3c-7d4e-8f90-1a2b3c4d5e70";
const CAPTURE: &str = "018f5e2a-7b3c-7d4e-8f90-1a2b3c4d5e71";
const VOID: &str = "018f5e2a-7b3c-7d4e-8f90-1a2b3c4d5e72";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Quic,
    Http,
}

const DOORS: [Kind; 2] = [Kind::Quic, Kind::Http];

enum Site {
    Quic(PlayedSite),
    Http(PlayedHttp),
}

struct Person {
    files: Files,
    site: Site,
}

impl Person {
    fn new(kind: Kind) -> Self {
        let files = Files::new();
        let site = match kind {
            Kind::Quic => Site::Quic(PlayedSite::start(&files, false)),
            Kind::Http => Site::Http(PlayedHttp::start(&files, false)),
        };
        Self { files, site }
    }

    fn with_accounts(kind: Kind) -> Self {
        let person = Self::new(kind);
        person.open_accounts();
        person
    }

    fn open_accounts(&self) {
        for (id, kind) in [(BANK, "bank"), (WALLET, "wallet"), (SHOP, "merchant")] {
            let (code, _, error) = self.wallet(&["open", id, "--kind", kind, "--asset", "KRW"]);
            assert_eq!(code, 0, "{error}");
        }
    }

    fn mood(&self, mood: Mood) {
        match &self.site {
            Site::Quic(site) => site.mood(mood),
            Site::Http(site) => site.mood(mood),
        }
    }

    fn wallet(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = evenkeel();
        command.arg("wallet").arg("--client").arg(self.files.client_toml()).args(arguments);
        if let Site::Http(_) = self.site {
            command.arg("--http");
        }
        finish(command.output().expect("the program starts"))
    }

    fn wallet_json(&self, arguments: &[&str]) -> (i32, Value) {
        let (code, out, error) = self.wallet(&[arguments, &["--json"]].concat());
        (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out:?} {error:?}")))
    }
}

fn top_up<'a>(amount: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["top-up", "--from", BANK, "--to", WALLET, "--amount", amount], rest].concat()
}

#[test]
fn money_moves_and_is_seen() {
    for kind in DOORS {
        let person = Person::with_accounts(kind);
        let (code, out, error) = person.wallet(&top_up("1000", &["--memo", "hello"]));
        assert_eq!(code, 0, "{error}");
        assert!(
            out.contains("committed at position 4; balances now -1000 (debit), 1000 (credit)"),
            "{out}"
        );
        assert!(error.starts_with("id 0"), "the id is printed before anything is sent: {error}");

        let (code, shown) = person.wallet_json(&["show", WALLET]);
        assert_eq!((code, &shown["posted"], &shown["asset"]), (0, &json!(1000), &json!("KRW")));
        assert_eq!((&shown["status"], &shown["available"]), (&json!("open"), &json!(1000)));
        let (code, shown) = person.wallet_json(&["show", WALLET, "--local"]);
        assert_eq!((code, &shown["as_of"]), (0, &json!({"position": 4, "age_ms": 7})));
        let (code, page) = person.wallet_json(&["history", WALLET]);
        assert_eq!(code, 0);
        assert_eq!(page["items"][0]["memo"], "hello");
        assert_eq!(page["items"][0]["kind"], "top_up");
        let (code, out, _) = person.wallet(&["history", WALLET]);
        assert!(code == 0 && out.contains("top_up"), "{out}");
    }
}

#[test]
fn both_doors_say_the_same() {
    let told = DOORS.map(|kind| {
        let person = Person::with_accounts(kind);
        let mut told = vec![person.wallet_json(&top_up("1000", &["--id", ID])).1];
        let hold = ["hold", "--from", WALLET, "--to", SHOP, "--amount", "300"];
        let rest = ["--expires-in", "10m", "--id", HOLD, "--memo", "room 7"];
        told.push(person.wallet_json(&[&hold[..], &rest].concat()).1);
        told.push(person.wallet_json(&["show", WALLET]).1);
        told.push(person.wallet_json(&["capture", HOLD, "--id", CAPTURE]).1);
        told.push(person.wallet_json(&["history", SHOP]).1);
        told.push(person.wallet_json(&["void", HOLD, "--id", VOID]).1);
        let mut told = json!(told);
        // Only the times differ: the program formats one door's, the site the other's.
        told.as_array_mut().expect("a list").iter_mut().for_each(|one| {
            one["hold"].as_object_mut().map(|hold| hold.remove("expires_at"));
        });
        told
    });
    assert_eq!(told[0], told[1]);
}

#[test]
fn long_histories_come_in_parts() {
    for kind in DOORS {
        let person = Person::with_accounts(kind);
        for amount in ["1", "2", "3"] {
            assert_eq!(person.wallet(&top_up(amount, &[])).0, 0);
        }
        for (limit, amounts, more) in [("2", vec![3, 2], true), ("3", vec![3, 2, 1], false)] {
            let (code, page) = person.wallet_json(&["history", WALLET, "--limit", limit]);
            let items = page["items"].as_array().expect("a list");
            let found: Vec<_> = items.iter().map(|item| item["amount"].as_u64()).collect();
            assert_eq!(code, 0);
            assert_eq!(found, amounts.into_iter().map(Some).collect::<Vec<_>>(), "{kind:?}");
            assert_eq!(page["more"], more, "{kind:?}");
        }
    }
}

#[test]
fn a_hold_is_captured_once_and_refunded_no_further_than_it_goes() {
    for kind in DOORS {
        let person = Person::with_accounts(kind);
        assert_eq!(person.wallet(&top_up("1000", &[])).0, 0);
        let hold = ["hold", "--from", WALLET, "--to", SHOP, "--amount", "300"];
        let rest = ["--expires-in", "1h30m", "--id", HOLD];
        let (code, out, error) = person.wallet(&[&hold[..], &rest].concat());
        assert_eq!(code, 0, "{error}");
        assert!(out.contains("committed") && out.contains("300 held"), "{out}");
        let (_, shown) = person.wallet_json(&["show", WALLET]);
        let [posted, held, available] = ["posted", "held", "available"].map(|name| &shown[name]);
        assert_eq!((posted, held, available), (&json!(1000), &json!(300), &json!(700)));

        let rejected = |arguments: &[&str], code: &str| {
            let (exit, said) = person.wallet_json(arguments);
            assert_eq!((exit, &said["code"]), (3, &json!(code)), "{kind:?} {arguments:?}");
        };
        rejected(&["capture", HOLD, "--amount", "301"], "capture_exceeds_hold");
        let (code, said) =
            person.wallet_json(&["capture", HOLD, "--amount", "200", "--id", CAPTURE]);
        assert_eq!((code, &said["transfer"]["amount"]), (0, &json!(200)), "{said}");
        assert_eq!((&said["debit_after"], &said["credit_after"]), (&json!(800), &json!(200)));
        rejected(&["capture", HOLD], "hold_not_open");
        rejected(&["void", HOLD], "hold_not_open");
        rejected(&["void", ID], "hold_not_found");

        let (code, out, error) = person.wallet(&["refund", CAPTURE, "--amount", "50"]);
        assert_eq!(code, 0, "{error}");
        assert!(error.starts_with("id 0"), "{error}");
        assert!(out.contains("; 50 moved; balances now 150 (debit), 850 (credit)"), "{out}");
        rejected(&["refund", CAPTURE, "--amount", "151"], "refund_exceeds_payment");
        let (code, said) = person.wallet_json(&["refund", CAPTURE, "--memo", "sorry"]);
        assert_eq!((code, &said["transfer"]["amount"]), (0, &json!(150)), "the remaining amount");
        rejected(&["refund", CAPTURE], "refund_exceeds_payment");
        rejected(&["refund", HOLD], "payment_not_found");

        let (_, page) = person.wallet_json(&["history", SHOP]);
        let kinds: Vec<_> = page["items"].as_array().expect("a list").iter().collect();
        assert_eq!(kinds.iter().filter(|item| item["kind"] == "refund").count(), 2);
        assert_eq!(kinds.last().expect("the payment")["refunded"], 200);
        let (_, out, _) = person.wallet(&["history", SHOP]);
        assert!(out.contains("200 refunded") && out.contains("sorry"), "{out}");
    }
}

#[test]
fn a_voided_hold_gives_its_money_back() {
    for kind in DOORS {
        let person = Person::with_accounts(kind);
        assert_eq!(person.wallet(&top_up("1000", &[])).0, 0);
        let hold = ["hold", "--from", WALLET, "--to", SHOP, "--amount", "300"];
        let rest = ["--expires-in", "90s", "--id", HOLD, "--asset", "KRW"];
        let (code, said) = person.wallet_json(&[&hold[..], &rest].concat());
        assert_eq!((code, &said["hold"]["status"]), (0, &json!("open")), "{said}");
        let (code, out, error) = person.wallet(&["void", HOLD, "--id", VOID]);
        assert_eq!(code, 0, "{error}");
        assert!(out.contains("; 300 released"), "{out}");
        let (code, said) = person.wallet_json(&["void", HOLD, "--id", VOID]);
        assert_eq!((code, &said["replayed"]), (0, &json!(true)));
        assert_eq!(said["hold"]["status"], "voided", "{kind:?}");
        assert_eq!(person.wallet_json(&["show", WALLET]).1["held"], 0);
    }
}

#[test]
fn the_same_id_gets_the_same_answer() {
    for kind in DOORS {
        let person = Person::with_accounts(kind);
        let (code, first) = person.wallet_json(&top_up("5", &["--id", ID]));
        assert_eq!((code, &first["outcome"], &first["id"]), (0, &json!("committed"), &json!(ID)));
        assert_eq!((&first["replayed"], &first["credit_after"]), (&json!(false), &json!(5)));
        let (code, again) = person.wallet_json(&top_up("5", &["--id", ID]));
        assert_eq!((code, &again["replayed"]), (0, &json!(true)));
        for field in
            ["position", "index", "term", "recorded_at", "link", "transfer", "credit_after"]
        {
            assert_eq!(first[field], again[field], "{field}");
        }
    }
}

#[test]
fn a_rejection_is_3_and_names_its_code() {
    for kind in DOORS {
        let person = Person::with_accounts(kind);
        for (arguments, code) in [
            (top_up("0", &["--asset", "KRW"]), "amount_invalid"),
            (top_up("9007199254740992", &[]), "amount_invalid"),
            (vec!["pay", "--from", WALLET, "--to", SHOP, "--amount", "1"], "insufficient_funds"),
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
}

#[test]
fn no_primary_is_4_and_soon() {
    for kind in DOORS {
        let person = Person::with_accounts(kind);
        person.mood(Mood::NoPrimary);
        let started = Instant::now();
        let (code, said) = person.wallet_json(&top_up("5", &["--asset", "KRW"]));
        assert_eq!((code, &said["outcome"]), (4, &json!("unavailable")), "{said}");
        assert!(said["detail"].as_str().is_some_and(|text| text.contains("no_primary")), "{said}");
        // The door answers immediately here; two sites are down and stay silent.
        assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
        assert_eq!(person.wallet(&["show", WALLET]).0, 4);
        assert_eq!(person.wallet(&["show", WALLET, "--local"]).0, 0, "local reads still work");
    }
}

#[test]
fn what_may_have_happened_is_4_and_unknown() {
    let story = |kind, mood| {
        let person = Person::with_accounts(kind);
        person.mood(mood);
        let top_up = top_up("5", &["--asset", "KRW", "--id", ID]);
        let (code, said) = person.wallet_json(&top_up);
        assert_eq!((code, &said["outcome"], &said["id"]), (4, &json!("unknown"), &json!(ID)));
        person.mood(Mood::Answers);
        assert_eq!(person.wallet(&top_up).0, 0, "{kind:?} {mood:?}");
        assert_eq!(person.wallet_json(&["show", WALLET]).1["posted"], 5, "once");
    };
    // Each call takes as long as the wallet's deadline.
    std::thread::scope(|scope| {
        for kind in DOORS {
            for mood in [Mood::Mute, Mood::Forgets] {
                scope.spawn(move || story(kind, mood));
            }
        }
    });
}

#[test]
fn what_a_site_puts_off_is_asked_for_again() {
    let person = Person::with_accounts(Kind::Http);
    person.mood(Mood::Overloaded);
    for _ in 0..3 {
        let (code, _, error) = person.wallet(&top_up("5", &[]));
        assert_eq!(code, 0, "{error}");
    }
    assert_eq!(person.wallet_json(&["show", WALLET]).1["posted"], 15, "no transfer is made twice");
}

#[test]
fn another_site_is_asked_when_the_first_is_down() {
    let person = Person::with_accounts(Kind::Http);
    let Site::Http(site) = &person.site else { unreachable!("created as Kind::Http") };
    // The working site is now the second one.
    replace(&person.files.client_toml(), "127.0.0.1:2\"", &format!("{}\"", site.address));
    replace(&person.files.client_toml(), &site.address, "127.0.0.1:1");
    let (code, _, error) = person.wallet(&top_up("5", &[]));
    assert_eq!(code, 0, "{error}");
}

#[test]
fn no_redirect_is_followed() {
    let person = Person::with_accounts(Kind::Http);
    let Site::Http(site) = &person.site else { unreachable!("created as Kind::Http") };
    person.mood(Mood::Redirects);
    site.seen();
    let (code, _, error) = person.wallet(&top_up("5", &["--asset", "KRW"]));
    assert_eq!((code, error.contains("redirects aren't followed")), (2, true), "{error}");
    assert_eq!(site.seen(), ["POST /v1/transfers"], "one request, and none to another site");
}

#[test]
fn https_trusts_the_clusters_authority_and_no_other() {
    let files = Files::new();
    let site = Site::Http(PlayedHttp::start_with_tls(&files));
    let person = Person { files, site };
    person.open_accounts();
    let (code, _, error) = person.wallet(&top_up("5", &[]));
    assert_eq!(code, 0, "{error}");

    let foreign = Files::new();
    let ca = |files: &Files| files.out().join("ca/ca.pem");
    std::fs::copy(ca(&foreign), ca(&person.files)).expect("writable");
    // `show` ends sooner than a command, and has no effect in any case.
    let (code, _, error) = person.wallet(&["show", WALLET]);
    assert_eq!(code, 4, "{error}");
}

#[test]
fn wrong_usage_is_2_and_a_foreign_key_1() {
    for kind in DOORS {
        let person = Person::with_accounts(kind);
        let hold = ["hold", "--from", WALLET, "--to", SHOP, "--amount", "1", "--expires-in"];
        let hold_for = |span: &'static str| [&hold[..], &[span]].concat();
        for arguments in [
            top_up("-1", &[]),
            top_up("1.5", &[]),
            top_up("18446744073709551616", &[]),
            top_up("1", &["--id", WALLET]),
            vec!["show", "nobody"],
            vec!["open", "--kind", "purse", "--asset", "KRW"],
            vec!["open", "--kind", "wallet", "--asset", "won"],
            hold_for("0s"),
            hold_for("10"),
            hold_for("32d"),
            vec!["void", HOLD, "--amount", "1"],
            vec!["capture", WALLET],
            vec!["refund"],
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
    }
}

#[test]
fn a_cluster_must_be_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut elsewhere = evenkeel();
    elsewhere.current_dir(folder.path()).args(["wallet", "show", WALLET]);
    let (code, _, error) = finish(elsewhere.output().expect("the program starts"));
    assert_eq!((code, error.contains("--client FILE")), (2, true), "{error}");

    let files = Files::new();
    replace(&files.client_toml(), "127.0.0.1:7202", "ftp://somewhere:1");
    let mut http = evenkeel();
    http.args(["wallet", "show", WALLET, "--http", "--client"]).arg(files.client_toml());
    let (code, _, error) = finish(http.output().expect("the program starts"));
    assert_eq!((code, error.contains("site sangam: http =")), (2, true), "{error}");
}
