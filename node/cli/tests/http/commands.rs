//! Commands and their answers: first submission, replay and rejection.

use serde_json::{Value, json};

use crate::{
    client::{Answer, Request, account, id},
    site::Site,
};

pub(crate) const BANK: u128 = 1;
pub(crate) const WALLET: u128 = 2;
pub(crate) const OTHER_WALLET: u128 = 3;
pub(crate) const MERCHANT: u128 = 4;

/// Opens a bank, two wallets and a merchant.
pub(crate) fn open_all(site: &Site) {
    for (number, kind) in
        [(BANK, "bank"), (WALLET, "wallet"), (OTHER_WALLET, "wallet"), (MERCHANT, "merchant")]
    {
        let body = json!({"id": account(number), "kind": kind, "asset": "KRW"});
        let answer = Request::post("/v1/accounts", body.to_string()).to(site);
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
}

pub(crate) fn transfer(number: u128, kind: &str, debit: u128, credit: u128, amount: u64) -> Value {
    json!({
        "id": id(number), "kind": kind, "debit": account(debit), "credit": account(credit),
        "amount": amount, "asset": "KRW",
    })
}

pub(crate) fn post(site: &Site, path: &str, body: &Value) -> Answer {
    Request::post(path, body.to_string()).to(site)
}

#[test]
fn an_account_is_opened_once_and_shown() {
    let site = Site::start();
    let body = json!({
        "id": account(9), "kind": "wallet", "asset": "KRW", "label": "Kim",
        "limits": {"max_balance": null, "per_transfer": 500},
    });
    let first = post(&site, "/v1/accounts", &body);
    assert_eq!(first.status, 201, "{}", first.text);
    let told = first.json();
    assert_eq!(
        (&told["outcome"], &told["position"], &told["index"]),
        (&json!("committed"), &json!(1), &json!(0))
    );
    assert_eq!(told["account"]["label"], "Kim");
    assert_eq!(told["recorded_at"], "2026-09-21T14:13:20.001000Z");
    assert_eq!(told["link"].as_str().map(str::len), Some(64));
    let again = post(&site, "/v1/accounts", &body);
    assert_eq!((again.status, again.header("Idempotent-Replayed")), (200, Some("true")));
    assert_eq!(again.json()["position"], 1);
    let other = json!({"id": account(9), "kind": "merchant", "asset": "KRW"});
    let other = post(&site, "/v1/accounts", &other);
    assert_eq!((other.status, other.code()), (422, "account_exists".to_owned()));

    let shown = Request::get(format!("/v1/accounts/{}", account(9))).to(&site);
    assert_eq!(shown.status, 200, "{}", shown.text);
    let shown = shown.json();
    assert_eq!(shown.get("as_of"), None);
    assert_eq!((&shown["id"], &shown["status"]), (&json!(account(9)), &json!("open")));
    assert_eq!(
        (&shown["posted"], &shown["held"], &shown["available"]),
        (&json!(0), &json!(0), &json!(0))
    );
    let local = Request::get(format!("/v1/accounts/{}?consistency=local", account(9))).to(&site);
    assert!(local.json()["as_of"]["position"].is_u64(), "{}", local.text);
}

#[test]
fn a_transfer_is_told_the_same_way_every_time() {
    let site = Site::start();
    open_all(&site);
    let body = transfer(1, "top_up", BANK, WALLET, 5_000);
    let first = post(&site, "/v1/transfers", &body);
    assert_eq!((first.status, first.header("Idempotent-Replayed")), (201, None), "{}", first.text);
    let told = first.json();
    assert_eq!((&told["debit_after"], &told["credit_after"]), (&json!(-5_000), &json!(5_000)));
    assert_eq!(
        (&told["transfer"]["id"], &told["transfer"]["amount"]),
        (&json!(id(1)), &json!(5_000))
    );
    assert_eq!(told["transfer"].get("memo"), None);
    let again = post(&site, "/v1/transfers", &body);
    assert_eq!((again.status, again.header("Idempotent-Replayed")), (200, Some("true")));
    assert_eq!(again.json(), told, "the first answer again");

    let shown = Request::get(format!("/v1/transfers/{}", id(1))).to(&site);
    assert_eq!((shown.status, shown.json()), (200, told["transfer"].clone()));
    let page =
        Request::get(format!("/v1/accounts/{}/transfers?limit=1", account(WALLET))).to(&site);
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.json(), json!({"items": [told["transfer"]], "next_cursor": null}));
}

#[test]
fn a_rejection_has_a_place_in_the_journal_and_is_replayed() {
    let site = Site::start();
    open_all(&site);
    let body = transfer(1, "transfer", WALLET, OTHER_WALLET, 1);
    let first = post(&site, "/v1/transfers", &body);
    assert_eq!(
        (first.status, first.header("Content-Type")),
        (422, Some("application/problem+json"))
    );
    let mut told = first.json();
    assert_eq!(
        (&told["code"], &told["outcome"]),
        (&json!("insufficient_funds"), &json!("rejected"))
    );
    assert_eq!(
        (&told["position"], &told["index"], &told["retryable"]),
        (&json!(5), &json!(0), &json!(false))
    );
    let again = post(&site, "/v1/transfers", &body);
    assert_eq!((again.status, again.header("Idempotent-Replayed")), (422, Some("true")));
    let mut replayed = again.json();
    for body in [&mut told, &mut replayed] {
        let own = body.as_object_mut().expect("an object").remove("request_id");
        assert!(own.is_some_and(|id| id.is_string()));
    }
    assert_eq!(told, replayed);
    let gone = Request::get(format!("/v1/transfers/{}", id(1))).to(&site);
    assert_eq!((gone.status, gone.code()), (404, "not_found".to_owned()));
    let other = post(&site, "/v1/transfers", &transfer(1, "transfer", WALLET, OTHER_WALLET, 2));
    assert_eq!((other.status, other.code()), (422, "id_reused".to_owned()));
}
