//! The other commands, each once: its answer, and the result when it's read back.

use evenkeel_wire::reply::RefusalCode;
use serde_json::json;

use crate::{
    client::{Request, account, id},
    commands::{BANK, MERCHANT, WALLET, open_all, post, transfer},
    site::{Mood, Site},
};

/// A wallet with 10,000.
fn rich(site: &Site) {
    open_all(site);
    assert_eq!(
        post(site, "/v1/transfers", &transfer(1, "top_up", BANK, WALLET, 10_000)).status,
        201
    );
}

#[test]
fn a_payment_is_refunded_in_parts() {
    let site = Site::start();
    rich(&site);
    assert_eq!(
        post(&site, "/v1/transfers", &transfer(2, "payment", WALLET, MERCHANT, 700)).status,
        201
    );
    let path = format!("/v1/transfers/{}/refund", id(2));
    let part = post(&site, &path, &json!({"id": id(3), "amount": 200, "memo": "cold"}));
    assert_eq!(part.status, 201, "{}", part.text);
    let told = part.json();
    assert_eq!(
        (&told["transfer"]["kind"], &told["transfer"]["amount"]),
        (&json!("refund"), &json!(200))
    );
    assert_eq!(
        (&told["transfer"]["debit"], &told["transfer"]["credit"]),
        (&json!(account(MERCHANT)), &json!(account(WALLET)))
    );
    assert_eq!((&told["debit_after"], &told["credit_after"]), (&json!(500), &json!(9_500)));
    let rest = post(&site, &path, &json!({"id": id(4)}));
    assert_eq!((rest.status, &rest.json()["transfer"]["amount"]), (201, &json!(500)));
    let more = post(&site, &path, &json!({"id": id(5)}));
    assert_eq!((more.status, more.code()), (422, "refund_exceeds_payment".to_owned()));
    let again = post(&site, &path, &json!({"id": id(3), "amount": 200, "memo": "cold"}));
    assert_eq!((again.status, again.json()), (200, told));
    let payment = Request::get(format!("/v1/transfers/{}", id(2))).to(&site);
    assert_eq!(payment.json()["refunded"], 700, "{}", payment.text);
    let nobody = post(&site, &format!("/v1/transfers/{}/refund", id(77)), &json!({"id": id(6)}));
    assert_eq!((nobody.status, nobody.code()), (422, "payment_not_found".to_owned()));
}

#[test]
fn a_wrong_top_up_is_reversed_once() {
    let site = Site::start();
    rich(&site);
    let path = format!("/v1/transfers/{}/reversal", id(1));
    let done = post(&site, &path, &json!({"id": id(2), "reason": "a nought too many"}));
    assert_eq!(done.status, 201, "{}", done.text);
    let told = done.json()["transfer"].clone();
    assert_eq!((&told["kind"], &told["memo"]), (&json!("reversal"), &json!("a nought too many")));
    assert_eq!((&told["debit"], &told["amount"]), (&json!(account(WALLET)), &json!(10_000)));
    let again = post(&site, &path, &json!({"id": id(3), "reason": "again"}));
    assert_eq!((again.status, again.code()), (422, "already_reversed".to_owned()));
    let wrong = Request::get(format!("/v1/transfers/{}", id(1))).to(&site);
    assert_eq!(wrong.json()["reversed_by"], id(2), "{}", wrong.text);
    let kind = post(&site, "/v1/transfers", &transfer(4, "reversal", WALLET, BANK, 1));
    assert_eq!((kind.status, kind.code()), (422, "kind_not_allowed".to_owned()));
}

#[test]
fn a_hold_is_captured_or_voided() {
    let site = Site::start();
    rich(&site);
    let hold = |number| {
        json!({
            "id": id(number), "debit": account(WALLET), "credit": account(MERCHANT), "amount": 900,
            "asset": "KRW", "expires_in_ms": 60_000, "memo": "table 4",
        })
    };
    let taken_up = post(&site, "/v1/holds", &hold(2));
    assert_eq!(taken_up.status, 201, "{}", taken_up.text);
    let told = taken_up.json();
    assert_eq!((&told["hold"]["status"], &told["hold"]["captured"]), (&json!("open"), &json!(0)));
    assert_eq!((told.get("debit_after"), &told["hold"]["memo"]), (None, &json!("table 4")));
    let wallet = Request::get(format!("/v1/accounts/{}", account(WALLET))).to(&site).json();
    assert_eq!(
        (&wallet["posted"], &wallet["held"], &wallet["available"]),
        (&json!(10_000), &json!(900), &json!(9_100))
    );
    assert_eq!(wallet["debited_today"], 900);
    let captured =
        post(&site, &format!("/v1/holds/{}/capture", id(2)), &json!({"id": id(3), "amount": 500}));
    assert_eq!(
        (captured.status, &captured.json()["transfer"]["kind"]),
        (201, &json!("payment")),
        "{}",
        captured.text
    );
    assert_eq!(captured.json()["transfer"]["id"], id(3));
    let shown = Request::get(format!("/v1/holds/{}", id(2))).to(&site).json();
    assert_eq!(
        (&shown["status"], &shown["captured"], &shown["closed_by"]),
        (&json!("captured"), &json!(500), &json!(id(3)))
    );
    let more = post(&site, &format!("/v1/holds/{}/capture", id(2)), &json!({"id": id(4)}));
    assert_eq!((more.status, more.code()), (422, "hold_not_open".to_owned()));

    assert_eq!(post(&site, "/v1/holds", &hold(5)).status, 201);
    let voided = post(&site, &format!("/v1/holds/{}/void", id(5)), &json!({"id": id(6)}));
    assert_eq!(
        (voided.status, &voided.json()["hold"]["status"]),
        (201, &json!("voided")),
        "{}",
        voided.text
    );
    assert_eq!(voided.json()["hold"]["id"], id(5));
    let replayed = post(&site, "/v1/holds", &hold(5));
    let told = replayed.json();
    assert_eq!(
        (replayed.status, &told["hold"]["status"]),
        (200, &json!("voided")),
        "the current hold"
    );
    let nobody = post(&site, &format!("/v1/holds/{}/void", id(77)), &json!({"id": id(7)}));
    assert_eq!((nobody.status, nobody.code()), (422, "hold_not_found".to_owned()));
    assert_eq!(
        Request::get(format!("/v1/holds/{}", id(1))).to(&site).status,
        404,
        "the id isn't that of a hold"
    );
    let refunded = post(&site, &format!("/v1/transfers/{}/refund", id(3)), &json!({"id": id(8)}));
    assert_eq!((refunded.status, &refunded.json()["transfer"]["amount"]), (201, &json!(500)));
}

#[test]
fn accounts_are_limited_frozen_and_closed() {
    let site = Site::start();
    rich(&site);
    let own = format!("/v1/accounts/{}", account(WALLET));
    let put = |body: serde_json::Value| {
        Request::new("PUT", format!("{own}/limits"))
            .body(body.to_string())
            .header("Content-Type", "application/json")
            .to(&site)
    };
    let set = put(json!({"id": id(2), "per_transfer": 500, "daily_debit": null}));
    assert_eq!(set.status, 201, "{}", set.text);
    assert_eq!(
        set.json()["account"]["limits"],
        json!({"max_balance": 2_000_000, "per_transfer": 500, "daily_debit": null}),
        "fields not named are unchanged",
    );
    let over = post(&site, "/v1/transfers", &transfer(3, "payment", WALLET, MERCHANT, 501));
    assert_eq!((over.status, over.code()), (422, "per_transfer_limit_exceeded".to_owned()));
    let cleared = put(json!({"id": id(4), "per_transfer": null}));
    assert_eq!(cleared.json()["account"]["limits"]["per_transfer"], json!(null));
    assert_eq!(
        put(json!({"id": id(5), "max_balance": 9_007_199_254_740_992_u64})).code(),
        "amount_invalid"
    );

    let frozen = post(&site, &format!("{own}/freeze"), &json!({"id": id(6)}));
    assert_eq!((frozen.status, &frozen.json()["account"]["status"]), (201, &json!("frozen")));
    let out = post(&site, "/v1/transfers", &transfer(7, "payment", WALLET, MERCHANT, 1));
    assert_eq!((out.status, out.code()), (422, "account_frozen".to_owned()));
    let open =
        Request::post(format!("{own}/unfreeze"), "").header("Idempotency-Key", &id(8)).to(&site);
    assert_eq!(
        (open.status, &open.json()["account"]["status"]),
        (201, &json!("open")),
        "{}",
        open.text
    );
    let full = post(&site, &format!("{own}/close"), &json!({"id": id(9)}));
    assert_eq!((full.status, full.code()), (422, "account_not_empty".to_owned()));
    let empty = format!("/v1/accounts/{}/close", account(MERCHANT));
    let closed = post(&site, &empty, &json!({"id": id(10)}));
    assert_eq!((closed.status, &closed.json()["account"]["status"]), (201, &json!("closed")));
    let nobody = format!("/v1/accounts/{}/freeze", account(77));
    let nobody = post(&site, &nobody, &json!({"id": id(11)}));
    assert_eq!((nobody.status, nobody.code()), (422, "account_not_found".to_owned()));
}

#[test]
fn totals_add_up_to_zero_and_a_closed_day_is_reported_and_settled() {
    let site = Site::start();
    rich(&site);
    assert_eq!(
        post(&site, "/v1/transfers", &transfer(2, "payment", WALLET, MERCHANT, 700)).status,
        201
    );
    assert_eq!(
        post(
            &site,
            &format!("/v1/transfers/{}/refund", id(2)),
            &json!({"id": id(3), "amount": 100})
        )
        .status,
        201
    );
    let totals = Request::get("/v1/totals").to(&site).json();
    assert_eq!(
        totals["assets"]["KRW"],
        json!({"wallet": 9_400, "merchant": 600, "bank": -10_000, "fee": 0, "issuer": 0, "outstanding": 10_000, "sum": 0}),
    );
    let open = Request::get("/v1/days/2026-09-21").to(&site);
    assert_eq!((open.status, open.code()), (404, "not_found".to_owned()), "the day is still open");
    site.close_day("2026-09-21", "2026-09-22");
    let day = Request::get("/v1/days/2026-09-21").to(&site);
    assert_eq!(day.status, 200, "{}", day.text);
    let day = day.json();
    assert_eq!(
        day["assets"]["KRW"]["movements"],
        json!({
            "top_up": {"count": 1, "sum": 10_000}, "payment": {"count": 1, "sum": 700}, "refund": {"count": 1, "sum": 100},
        })
    );
    assert_eq!(
        (&day["assets"]["KRW"]["outstanding"], &day["date"]),
        (&json!(10_000), &json!("2026-09-21"))
    );
    let path = "/v1/days/2026-09-21/settlement";
    let settled = Request::get(path).to(&site);
    assert_eq!(settled.status, 200, "{}", settled.text);
    assert_eq!(
        settled.json(),
        json!({
            "date": "2026-09-21",
            "merchants": [{"account": account(MERCHANT), "asset": "KRW", "payments": 700, "refunds": 100, "fees": 0, "net": 600}],
            "banks": [{"account": account(BANK), "asset": "KRW", "top_ups": 10_000, "cash_outs": 0, "reversals": 0}],
        })
    );
    let csv = Request::get(path).header("Accept", "text/csv").to(&site);
    assert_eq!(csv.header("Content-Type"), Some("text/csv; charset=utf-8"));
    let rows: Vec<&str> = csv.text.split("\r\n").collect();
    assert_eq!(rows[1], format!("2026-09-21,merchant,{},KRW,700,100,0,600,,,", account(MERCHANT)));
    assert_eq!(rows[2], format!("2026-09-21,bank,{},KRW,,,,,10000,0,0", account(BANK)));
    assert_eq!(Request::get("/v1/days/2026-09-22/settlement").to(&site).status, 404);

    // The site's own data, with its age, when the primary can't be reached.
    site.mood(Mood::Refuses(RefusalCode::NoPrimary));
    assert_eq!(Request::get(path).to(&site).status, 503);
    let mut local = Request::get(format!("{path}?consistency=local")).to(&site).json();
    let as_of = local.as_object_mut().and_then(|local| local.remove("as_of")).expect("its age");
    assert!(as_of["position"].is_u64() && as_of["age_ms"].is_u64(), "{as_of}");
    assert_eq!(local, settled.json());
    let csv = Request::get(format!("{path}?consistency=local")).header("Accept", "text/csv");
    let csv = csv.to(&site);
    let as_of = csv.header("x-as-of").expect("its age");
    assert!(as_of.starts_with("position=") && as_of.contains(";age_ms="), "{as_of}");
}
