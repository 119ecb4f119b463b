//! Malformed bodies: each refusal names the problem, and none of them reaches the road.

use std::{io::Write, net::TcpStream};

use evenkeel_node::config::Rates;
use evenkeel_wire::key::Role;
use serde_json::{Value, json};

use crate::{
    client::{Request, account, id},
    commands::{BANK, MERCHANT, WALLET, open_all, post, transfer},
    site::{OPERATOR_KEY, Site},
};

/// A valid transfer with one substring replaced.
fn but(from: &str, to: &str) -> Vec<u8> {
    let good = transfer(1, "top_up", BANK, WALLET, 5_000).to_string();
    assert!(good.contains(from), "{from} isn't in {good}");
    good.replacen(from, to, 1).into_bytes()
}

/// Bodies, and for each the expected code and a part of the detail.
fn malformed_transfers() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let long = "x".repeat(141);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut not_utf8 = but("\"KRW\"", "\"KRW\",\"memo\":\"?\"");
    let at = not_utf8.iter().position(|byte| *byte == b'?').expect("there");
    not_utf8[at] = 0xff;
    // Fields as an array, in order but without names, must be refused.
    let in_order = json!([id(1), "top_up", account(BANK), account(WALLET), 5000, "KRW", "", ""]);
    let in_order = in_order.to_string().into_bytes();
    vec![
        (vec![], "malformed", "missing field `"),
        (b"{}".to_vec(), "malformed", "missing field `"),
        (b"null".to_vec(), "malformed", "invalid type"),
        (b"[]".to_vec(), "malformed", "invalid type: sequence, expected an object"),
        (in_order, "malformed", "invalid type: sequence, expected an object"),
        (b"{".to_vec(), "malformed", "EOF"),
        (but("}", ""), "malformed", "EOF"),
        (but("}", "}}"), "malformed", "trailing characters"),
        (but("}", "} {}"), "malformed", "trailing characters"),
        (but("5000", "5000,\"fee\":1"), "malformed", "fee: unknown field `fee`"),
        (but("5000", "5000,\"amount\":5000"), "malformed", "duplicate field `amount`"),
        (but("5000", "\"5000\""), "malformed", "amount: not an integer"),
        (but("5000", "5000.0"), "malformed", "amount: not an integer"),
        (but("5000", "5e3"), "malformed", "amount: not an integer"),
        (but("5000", "true"), "malformed", "amount: not an integer"),
        (but("5000", "null"), "malformed", "amount: not an integer"),
        (but("5000", "[5000]"), "malformed", "amount: not an integer"),
        (but("5000", "NaN"), "malformed", "amount: "),
        (but("5000", "Infinity"), "malformed", "amount: "),
        (but("5000", "05000"), "malformed", "amount: "),
        (but("5000", "+5000"), "malformed", "amount: "),
        (but("5000", &deep), "malformed", "amount: not an integer"),
        (but("\"KRW\"", &deep), "malformed", "asset: "),
        (deep.clone().into_bytes(), "malformed", ""),
        (but("\"KRW\"", "\"krw\""), "malformed", "asset: an asset is 1 to 8 capital letters"),
        (but("\"KRW\"", "\"KRW\",\"memo\":null"), "malformed", "memo: invalid type: null"),
        (
            but("\"KRW\"", &format!("\"KRW\",\"memo\":\"{long}\"")),
            "malformed",
            "memo: longer than 140 bytes",
        ),
        (
            but("\"KRW\"", &format!("\"KRW\",\"reference\":\"{}\"", &long[..65])),
            "malformed",
            "reference: longer than 64",
        ),
        (but("\"KRW\"", "\"KRW\",\"memo\":\"\\ud800\""), "malformed", "memo: "),
        (but("\"KRW\"", "\"KRW\",\"memo\":\"a\tb\""), "malformed", "memo: control character"),
        (not_utf8, "malformed", "memo: invalid unicode"),
        (but("\"top_up\"", "\"gift\""), "malformed", "kind: one of top_up"),
        (but("\"top_up\"", "1"), "malformed", "kind: invalid type: integer"),
        (but(&account(BANK), "nobody"), "malformed", "debit: not a UUID"),
        (but(&account(BANK), &account(BANK).replace('-', "")), "malformed", "debit: not a UUID"),
        (but(&format!("\"{}\"", account(BANK)), "7"), "malformed", "debit: invalid type: integer"),
        (but(&id(1), &account(1)), "id_not_uuid_v7", "id: not a UUID of version 7"),
        (but(&id(1), "1"), "id_not_uuid_v7", "id: not a UUID of version 7"),
        (but(&format!("\"{}\"", id(1)), "1"), "malformed", "id: invalid type: integer"),
        (but(&format!("\"{}\"", id(1)), "null"), "malformed", "id: invalid type: null"),
        (but("\"id\":", "\"Id\":"), "malformed", "Id: unknown field `Id`"),
        (but("\"id\":", &format!("\"{}\":1,\"id\":", "x".repeat(1 << 20))), "malformed", "xxx…"),
        (b"\xef\xbb\xbf{}".to_vec(), "malformed", "expected value"),
        (vec![0; 100], "malformed", "expected value"),
    ]
}

#[test]
fn a_malformed_transfer_is_refused_by_name() {
    let site = Site::start();
    open_all(&site);
    for (body, code, detail) in malformed_transfers() {
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        let answer = Request::post("/v1/transfers", body).to(&site);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, code),
            "{shown}: {}",
            answer.text
        );
        let told = answer.json()["detail"].as_str().expect("a text").to_owned();
        assert!(told.contains(detail), "{shown}: {told}");
    }
    // None of these refusals has used up the id.
    let answer = post(&site, "/v1/transfers", &transfer(1, "top_up", BANK, WALLET, 5_000));
    assert_eq!((answer.status, &answer.json()["position"]), (201, &json!(5)), "{}", answer.text);
}

/// A body that is announced but not sent doesn't occupy a slot.
#[test]
fn announced_bodies_keep_nobody_out() {
    let site = Site::start();
    open_all(&site);
    let announced =
        "POST /v1/transfers HTTP/1.1\r\nHost: site\r\nContent-Type: application/json\r\n";
    let announced = format!(
        "{announced}Authorization: Bearer {OPERATOR_KEY}\r\nContent-Length: 4194304\r\n\r\n"
    );
    let waiting: Vec<TcpStream> = (0..70)
        .map(|_| {
            let mut stream = TcpStream::connect(site.address).expect("the site listens");
            stream.write_all(announced.as_bytes()).expect("taken");
            stream
        })
        .collect();
    let body = transfer(1, "top_up", BANK, WALLET, 5);
    for number in 0..20 {
        let answer = post(&site, "/v1/transfers", &body);
        assert!(matches!(answer.status, 200 | 201), "{number}: {}", answer.text);
    }
    drop(waiting);
}

/// Permissions are checked before the command, so that callers without them learn nothing, not even
/// that an amount is out of range.
#[test]
fn an_amount_out_of_range_is_forbidden_to_whom_any_amount_is() {
    let rates = Rates { operator_exempt: true, ..Rates::default() };
    let site = Site::with_rates(rates);
    open_all(&site);
    site.make_key("ek_auditor", Role::Auditor);
    let as_auditor = |method, path: String, body: String| {
        let request = Request::new(method, path).body(body);
        request
            .header("Content-Type", "application/json")
            .with("Authorization", "Bearer ek_auditor")
    };
    let top_up = transfer(1, "top_up", BANK, WALLET, 77).to_string().replace("77", "-1");
    let open =
        json!({"id": account(8), "kind": "wallet", "asset": "KRW", "limits": {"per_transfer": -1}});
    let hold = json!({"id": id(1), "debit": account(WALLET), "credit": account(MERCHANT), "amount": -1,
                      "asset": "KRW", "expires_in_ms": 60_000});
    let part = json!({"id": id(1), "amount": -1}).to_string();
    let item = top_up.replacen('{', r#"{"type":"transfer","#, 1);
    let batch = |atomic| format!(r#"{{"atomic":{atomic},"commands":[{item}]}}"#);
    let limits = json!({"id": id(1), "daily_debit": -1}).to_string();
    for (method, path, body) in [
        ("POST", "/v1/transfers".to_owned(), top_up.clone()),
        ("POST", "/v1/accounts".to_owned(), open.to_string()),
        ("POST", "/v1/holds".to_owned(), hold.to_string()),
        ("POST", format!("/v1/holds/{}/capture", id(9)), part.clone()),
        ("POST", format!("/v1/transfers/{}/refund", id(9)), part.clone()),
        ("PUT", format!("/v1/accounts/{}/limits", account(WALLET)), limits),
        ("POST", "/v1/batches".to_owned(), batch(true)),
        ("POST", "/v1/batches".to_owned(), batch(false)),
    ] {
        let request = as_auditor(method, path.clone(), body);
        let refused = request.to(&site);
        assert_eq!((refused.status, refused.code()), (403, "forbidden".to_owned()), "{path}");
        let told = request.with("Authorization", &format!("Bearer {OPERATOR_KEY}")).to(&site);
        assert!(told.text.contains("amount_invalid"), "{path}: {}", told.text);
    }
}

#[test]
fn integers_out_of_range_are_amounts_that_are_invalid() {
    let site = Site::start();
    open_all(&site);
    // An amount that fits in 64 bits is judged by the ledger and has a position; a larger one is
    // refused at the door.
    for (number, amount, journaled) in [
        (1, "0", true),
        (2, "9007199254740992", true),
        (3, "18446744073709551615", true),
        (4, "18446744073709551616", false),
        (5, "-1", false),
        (6, "-0", false),
        (7, "123456789012345678901234567890", false),
    ] {
        let body = transfer(number, "top_up", BANK, WALLET, 77).to_string().replace("77", amount);
        let answer = Request::post("/v1/transfers", body).to(&site);
        let told = answer.json();
        assert_eq!(
            (answer.status, told["code"].as_str()),
            (422, Some("amount_invalid")),
            "{amount}: {told}"
        );
        assert_eq!(told["position"].is_u64(), journaled, "{amount}: {told}");
        assert_eq!(told.get("outcome").is_some(), journaled, "{amount}: {told}");
    }
    let body = |limits: &str| {
        format!(r#"{{"id":"{}","kind":"wallet","asset":"KRW","limits":{limits}}}"#, account(8))
    };
    for (limits, status, detail) in [
        (r#"{"per_transfer":-1}"#, 422, "limits.per_transfer: not within"),
        (r#"{"per_transfer":1.5}"#, 400, "limits.per_transfer: neither an integer nor null"),
        (r#"{"per_transfer":"1"}"#, 400, "limits.per_transfer: neither an integer nor null"),
        (r#"{"per_day":1}"#, 400, "limits.per_day: unknown field"),
        ("null", 400, "limits: invalid type: null"),
        ("[]", 400, "limits: invalid type: sequence, expected an object"),
    ] {
        let answer = Request::post("/v1/accounts", body(limits)).to(&site);
        let told = answer.json()["detail"].as_str().expect("a text").to_owned();
        assert_eq!((answer.status, told.contains(detail)), (status, true), "{limits}: {told}");
    }
}

#[test]
fn texts_are_bounded_in_bytes_and_empty_ones_are_absent() {
    let site = Site::start();
    open_all(&site);
    let mut body = transfer(1, "top_up", BANK, WALLET, 5);
    body["memo"] = json!("만".repeat(46));
    body["reference"] = json!("x".repeat(64));
    let answer = post(&site, "/v1/transfers", &body);
    assert_eq!(
        (answer.status, &answer.json()["transfer"]["memo"]),
        (201, &body["memo"]),
        "{}",
        answer.text
    );
    let mut body = transfer(2, "top_up", BANK, WALLET, 5);
    (body["memo"], body["reference"]) = (json!(""), json!(""));
    let told = post(&site, "/v1/transfers", &body).json();
    assert_eq!((told["transfer"].get("memo"), told["transfer"].get("reference")), (None, None));
    let again = post(&site, "/v1/transfers", &transfer(2, "top_up", BANK, WALLET, 5));
    assert_eq!(again.status, 200, "the same content: {}", again.text);
    let escaped = transfer(3, "top_up", BANK, WALLET, 5).to_string().replace("KRW", "\\u004bRW");
    assert_eq!(Request::post("/v1/transfers", escaped).to(&site).status, 201);
}

#[test]
fn other_bodies_are_as_strict() {
    let site = Site::start();
    open_all(&site);
    let own = format!("/v1/transfers/{}/reversal", id(1));
    let hold = |expires: &str| {
        format!(
            r#"{{"id":"{}","debit":"{}","credit":"{}","amount":5,"asset":"KRW","expires_in_ms":{expires}}}"#,
            id(7),
            account(WALLET),
            account(4),
        )
    };
    let with_id = |rest: &str| format!(r#"{{"id":"{}"{rest}}}"#, id(7));
    let long = format!(r#","reason":"{}""#, "x".repeat(141));
    let cases = [
        (own.clone(), with_id(""), "missing field `reason`"),
        (own.clone(), with_id(r#","reason":"""#), "reason: empty"),
        (own.clone(), with_id(&long), "reason: longer than 140 bytes"),
        (own.clone(), with_id(r#","reason":5"#), "reason: invalid type"),
        ("/v1/holds".to_owned(), hold("0"), "expires_in_ms: not an integer within 1 and"),
        ("/v1/holds".to_owned(), hold("-5"), "expires_in_ms: not an integer within 1 and"),
        ("/v1/holds".to_owned(), hold("2678400001"), "expires_in_ms: not an integer within 1 and"),
        ("/v1/holds".to_owned(), hold("99999999999999999999"), "expires_in_ms: not an integer"),
        ("/v1/holds".to_owned(), hold("1.5"), "expires_in_ms: not an integer"),
        ("/v1/holds".to_owned(), hold("\"10\""), "expires_in_ms: not an integer"),
        (
            format!("/v1/holds/{}/capture", id(1)),
            with_id(r#","amount":null"#),
            "amount: not an integer",
        ),
        (format!("/v1/holds/{}/capture", id(1)), with_id(r#","memo":"""#), "memo: unknown field"),
        (format!("/v1/holds/{}/void", id(1)), with_id(r#","amount":1"#), "amount: unknown field"),
        (
            format!("/v1/transfers/{}/refund", id(1)),
            with_id(r#","amount":"1""#),
            "amount: not an integer",
        ),
        (
            format!("/v1/accounts/{}/freeze", account(WALLET)),
            with_id(r#","reason":"x""#),
            "reason: unknown",
        ),
        (format!("/v1/accounts/{}/freeze", account(WALLET)), String::new(), "missing field `id`"),
        (
            "/v1/accounts/me/freeze".to_owned(),
            with_id(""),
            "the path: the account's id is not a UUID",
        ),
        (format!("/v1/holds/{}/void", id(1)), with_id(r#","id":"x""#), "duplicate field `id`"),
    ];
    for (path, body, detail) in cases {
        let answer = Request::post(path.clone(), body.clone()).to(&site);
        let told = answer.json()["detail"].as_str().expect("a text").to_owned();
        assert_eq!((answer.status, told.contains(detail)), (400, true), "{path} {body}: {told}");
    }
    let answer = Request::post(format!("/v1/holds/{}/void", account(1)), with_id("")).to(&site);
    assert_eq!((answer.status, answer.code()), (400, "id_not_uuid_v7".to_owned()));
}

#[test]
fn a_batch_is_refused_as_a_whole_when_one_item_is_malformed() {
    let site = Site::start();
    open_all(&site);
    let item = |number: u128, change: &dyn Fn(&mut Value)| {
        let mut item = transfer(number, "top_up", BANK, WALLET, 5);
        item["type"] = json!("transfer");
        change(&mut item);
        item
    };
    let good = item(1, &|_| ());
    let batch = |items: Vec<Value>| json!({"atomic": false, "commands": items});
    let cases = [
        (json!({"commands": [good]}), "missing field `atomic`"),
        (json!({"atomic": 1, "commands": [good]}), "atomic: invalid type"),
        (json!({"atomic": false, "commands": [good], "id": id(1)}), "id: unknown field"),
        (json!({"atomic": false, "commands": {}}), "commands: invalid type"),
        (batch(vec![]), "commands: invalid length 0"),
        (batch(vec![good.clone(); 8_193]), "commands: invalid length 8193"),
        (batch(vec![json!(1)]), "commands[0]: invalid type"),
        (batch(vec![good.clone(), json!({})]), "commands[1]: missing field `type`"),
        (
            batch(vec![item(2, &|item| item["type"] = json!("reversal"))]),
            "commands[0].type: unknown variant",
        ),
        (
            batch(vec![good.clone(), item(2, &|item| item["amount"] = json!("5"))]),
            "commands[1].amount: not an integer",
        ),
        (
            batch(vec![good.clone(), item(2, &|item| item["hold"] = json!(id(1)))]),
            "commands[1].hold: unknown field",
        ),
        (
            batch(vec![item(2, &|item| item["id"] = Value::Null)]),
            "commands[0].id: invalid type: null",
        ),
        (
            batch(vec![good.clone(), good.clone()]),
            "commands[1].id: another command of the batch has the same id",
        ),
        (batch(vec![json!({"type": "void", "id": id(1)})]), "commands[0]: missing field `hold`"),
        (
            batch(vec![json!({"type": "refund", "id": id(1), "payment": 5})]),
            "commands[0].payment: invalid type",
        ),
    ];
    for (body, detail) in cases {
        let answer = post(&site, "/v1/batches", &body);
        let told = answer.json()["detail"].as_str().expect("a text").to_owned();
        assert_eq!((answer.status, told.contains(detail)), (400, true), "{detail:?}: {told}");
    }
    let not_v7 = batch(vec![good.clone(), item(2, &|item| item["id"] = json!(account(2)))]);
    let answer = post(&site, "/v1/batches", &not_v7);
    assert_eq!(
        (answer.status, answer.code()),
        (400, "id_not_uuid_v7".to_owned()),
        "{}",
        answer.text
    );
    let twice = format!(
        r#"{{"atomic":false,"commands":[{{"type":"void","type":"void","id":"{}","hold":"{}"}}]}}"#,
        id(1),
        id(2),
    );
    let answer = Request::post("/v1/batches", twice).to(&site);
    assert!(answer.text.contains("commands[0]: duplicate field `type`"), "{}", answer.text);
    let accounts =
        json!({"type": "open_account", "id": account(9), "kind": "wallet", "asset": "KRW"});
    let answer = post(&site, "/v1/batches", &batch(vec![accounts.clone(), accounts]));
    assert_eq!(answer.status, 400, "an account's id is an id too: {}", answer.text);
    assert_eq!(Request::get(format!("/v1/transfers/{}", id(1))).to(&site).status, 404);
}
