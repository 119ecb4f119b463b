//! Request heads and the response to each.

use std::{io::Write, net::TcpStream, time::Duration};

use serde_json::json;

use crate::{
    client::{Answer, Request, account, id, raw},
    commands::{BANK, WALLET, open_all, transfer},
    site::{Mood, OPERATOR_KEY, Site},
};

fn top_up(number: u128) -> Request {
    Request::post("/v1/transfers", transfer(number, "top_up", BANK, WALLET, 5).to_string())
}

fn read() -> Request {
    Request::get(format!("/v1/accounts/{}", account(WALLET)))
}

#[test]
fn heads_are_judged_one_by_one() {
    let site = Site::start();
    open_all(&site);
    let long = "x".repeat(40_000);
    let cases: Vec<(Request, u16, &str)> = vec![
        // Keys.
        (top_up(1).without("Authorization"), 401, "unauthorized"),
        (top_up(1).with("Authorization", "Bearer ek_other"), 401, "unauthorized"),
        (top_up(1).with("Authorization", OPERATOR_KEY), 401, "unauthorized"),
        (top_up(1).with("Authorization", "Basic ek_operator"), 401, "unauthorized"),
        (top_up(1).with("Authorization", "Bearer "), 401, "unauthorized"),
        (top_up(1).header("Authorization", &format!("Bearer {OPERATOR_KEY}")), 401, "unauthorized"),
        (read().without("Authorization"), 401, "unauthorized"),
        (read().with("Authorization", &format!("bearer {OPERATOR_KEY}")), 200, ""),
        // A request without a key learns nothing else.
        (Request::post("/v1/transfers", "{").without("Authorization"), 401, "unauthorized"),
        // Accept.
        (top_up(2).header("Accept", "text/html"), 406, "not_acceptable"),
        (read().header("Accept", "text/csv, application/xml;q=0.5"), 406, "not_acceptable"),
        (read().header("Accept", "text/csv, */*;q=0.1"), 200, ""),
        (Request::get("/v1/events").header("Accept", "application/json"), 406, "not_acceptable"),
        (Request::get("/v1/status").header("Accept", "text/plain"), 406, "not_acceptable"),
        // Content type and encoding.
        (top_up(2).without("Content-Type"), 415, "unsupported_media_type"),
        (top_up(2).with("Content-Type", "text/plain"), 415, "unsupported_media_type"),
        (
            top_up(2).with("Content-Type", "application/x-www-form-urlencoded"),
            415,
            "unsupported_media_type",
        ),
        (
            top_up(2).with("Content-Type", "application/json; charset=latin1"),
            415,
            "unsupported_media_type",
        ),
        (top_up(2).header("Content-Type", "application/json"), 415, "unsupported_media_type"),
        (top_up(2).with("Content-Type", "Application/JSON; charset=\"UTF-8\""), 201, ""),
        (top_up(3).with("Content-Type", "application/json;charset=utf-8"), 201, ""),
        // Deadlines.
        (top_up(4).header("Deadline-Ms", "99"), 400, "malformed"),
        (top_up(4).header("Deadline-Ms", "60001"), 400, "malformed"),
        (top_up(4).header("Deadline-Ms", "1e3"), 400, "malformed"),
        (top_up(4).header("Deadline-Ms", "+500"), 400, "malformed"),
        (top_up(4).header("Deadline-Ms", ""), 400, "malformed"),
        (top_up(4).header("Deadline-Ms", "500").header("Deadline-Ms", "500"), 400, "malformed"),
        (read().header("Deadline-Ms", "soon"), 400, "malformed"),
        (top_up(4).header("Deadline-Ms", "100"), 201, ""),
        (top_up(5).header("Deadline-Ms", "60000"), 201, ""),
        // Idempotency keys.
        (top_up(6).header("Idempotency-Key", &id(6)), 201, ""),
        (top_up(6).header("Idempotency-Key", &id(6).to_uppercase()), 200, ""),
        (top_up(6).header("Idempotency-Key", &id(7)), 400, "malformed"),
        (top_up(6).header("Idempotency-Key", "7"), 400, "id_not_uuid_v7"),
        (top_up(6).header("Idempotency-Key", &account(1)), 400, "id_not_uuid_v7"),
        // Query parameters.
        (
            Request::get(format!("/v1/accounts/{}?consistency=strong", account(WALLET))),
            400,
            "malformed",
        ),
        (
            Request::get(format!(
                "/v1/accounts/{}?consistency=local&consistency=local",
                account(WALLET)
            )),
            400,
            "malformed",
        ),
        (Request::get(format!("/v1/accounts/{}?fields=id", account(WALLET))), 400, "malformed"),
        (
            Request::get(format!("/v1/accounts/{}/transfers?limit=0", account(WALLET))),
            400,
            "malformed",
        ),
        (
            Request::get(format!("/v1/accounts/{}/transfers?limit=1001", account(WALLET))),
            400,
            "malformed",
        ),
        (
            Request::get(format!("/v1/accounts/{}/transfers?limit=-1", account(WALLET))),
            400,
            "malformed",
        ),
        (Request::get(format!("/v1/accounts/{}/transfers?limit=1000", account(WALLET))), 200, ""),
        (
            Request::get(format!("/v1/accounts/{}/transfers?cursor=x", account(WALLET))),
            400,
            "malformed",
        ),
        (Request::get(format!("/v1/accounts/{}/transfers?cursor=5.1", account(WALLET))), 200, ""),
        (Request::get("/v1/events?after=x"), 400, "malformed"),
        (Request::get("/v1/events?after=5."), 400, "malformed"),
        (Request::get("/v1/events?after="), 400, "malformed"),
        (Request::get("/v1/status?verbose=1"), 400, "malformed"),
        (Request::get("/livez?probe=kubelet"), 200, ""),
        // Path parameters.
        (Request::get("/v1/accounts/me"), 400, "malformed"),
        (Request::get("/v1/accounts/%ff"), 400, "malformed"),
        (Request::get(format!("/v1/accounts/{}", account(77))), 404, "not_found"),
        (Request::get(format!("/v1/transfers/{}", account(77))), 400, "id_not_uuid_v7"),
        (Request::get(format!("/v1/transfers/{}", id(77))), 404, "not_found"),
        (Request::get("/v1/days/today"), 400, "malformed"),
        (Request::get("/v1/days/2026-02-30"), 400, "malformed"),
        (Request::get("/v1/days/0001-01-01"), 404, "not_found"),
        // Routes.
        (Request::get("/"), 404, "not_found"),
        (Request::get("/v2/accounts"), 404, "not_found"),
        (Request::get("/v1/accounts/"), 404, "not_found"),
        (Request::get("/v1/totals/"), 404, "not_found"),
        (Request::get("/v1/transfers").without("Authorization"), 405, "method_not_allowed"),
        (Request::new("DELETE", format!("/v1/accounts/{}", account(1))), 405, "method_not_allowed"),
        (Request::new("PATCH", "/v1/totals"), 405, "method_not_allowed"),
        (Request::new("OPTIONS", "/v1/totals"), 405, "method_not_allowed"),
        (Request::new("TRACE", "/v1/transfers"), 405, "method_not_allowed"),
        (Request::new("POST", "/livez"), 405, "method_not_allowed"),
        // Sizes.
        (read().header("X-Filler", &long), 431, "-"),
    ];
    for (request, status, code) in cases {
        let answer = request.to(&site);
        let shown = format!("{request:?}: {} {}", answer.status, answer.text);
        assert_eq!(answer.status, status, "{shown}");
        if status < 300 || code == "-" {
            continue;
        }
        let told = answer.json();
        assert_eq!((answer.code().as_str(), &told["status"]), (code, &json!(status)), "{shown}");
        assert_eq!(answer.header("Content-Type"), Some("application/problem+json"), "{shown}");
        for field in ["type", "title", "detail", "request_id"] {
            assert!(told[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {shown}");
        }
        assert_eq!(told["retryable"], false, "{shown}");
        assert_eq!(answer.header("WWW-Authenticate").is_some(), status == 401, "{shown}");
        assert_eq!(answer.header("Allow").is_some(), status == 405, "{shown}");
    }
}

#[test]
fn an_id_may_come_in_the_header_instead_of_the_body() {
    let site = Site::start();
    open_all(&site);
    let mut body = transfer(1, "top_up", BANK, WALLET, 5);
    body.as_object_mut().expect("an object").remove("id");
    let answer = Request::post("/v1/transfers", body.to_string())
        .header("Idempotency-Key", &id(1))
        .to(&site);
    assert_eq!((answer.status, &answer.json()["transfer"]["id"]), (201, &json!(id(1))));
    let answer = Request::post("/v1/transfers", body.to_string()).to(&site);
    assert_eq!((answer.status, answer.code()), (400, "malformed".to_owned()));
    let open = json!({"kind": "wallet", "asset": "KRW"}).to_string();
    let answer =
        Request::post("/v1/accounts", open).header("Idempotency-Key", &account(9)).to(&site);
    assert_eq!((answer.status, &answer.json()["account"]["id"]), (201, &json!(account(9))));
    let batch = json!({"atomic": false, "commands": []}).to_string();
    let answer = Request::post("/v1/batches", batch).header("Idempotency-Key", &id(2)).to(&site);
    assert!(answer.text.contains("a batch has no id of its own"), "{}", answer.text);
}

/// The deadline starts with the request, before its key is verified; time spent receiving the body
/// doesn't count.
#[test]
fn a_deadline_counts_the_key_check_and_not_the_body() {
    let site = Site::start();
    open_all(&site);
    site.mood(Mood::TellsKeysAfter(Duration::from_millis(600)));
    let stranger = |number| top_up(number).with("Authorization", "Bearer ek_elsewhere");
    let late = stranger(1).header("Deadline-Ms", "500").to(&site);
    assert_eq!((late.status, late.code()), (503, "no_primary".to_owned()), "{}", late.text);
    let in_time = stranger(1).header("Deadline-Ms", "20000").to(&site);
    assert_eq!(in_time.status, 201, "{}", in_time.text);

    let bytes = top_up(2).header("Deadline-Ms", "1500").bytes();
    let (head, body) = bytes.split_at(bytes.len() - 10);
    let mut stream = TcpStream::connect(site.address).expect("the site listens");
    stream.write_all(head).expect("taken");
    std::thread::sleep(Duration::from_millis(1_600));
    stream.write_all(body).expect("taken");
    let answer = Answer::read(stream);
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[test]
fn every_answer_names_its_request() {
    let site = Site::start();
    open_all(&site);
    let own = read().header("X-Request-Id", "order-17.a:b_C").to(&site);
    assert_eq!(own.header("x-request-id"), Some("order-17.a:b_C"));
    let long = "x".repeat(65);
    let mut seen = std::collections::BTreeSet::new();
    for taken in ["", "two words", "quote\"", long.as_str()] {
        let answer = read().header("X-Request-Id", taken).to(&site);
        let made = answer.header("x-request-id").expect("always there").to_owned();
        assert!(made.starts_with("abc-"), "{made}");
        assert!(seen.insert(made), "never twice");
    }
    let refused = Request::get("/nowhere").header("X-Request-Id", "lost").to(&site);
    assert_eq!(
        (refused.header("x-request-id"), &refused.json()["request_id"]),
        (Some("lost"), &json!("lost"))
    );
}

#[test]
fn a_large_body_is_refused_before_it_is_taken_in() {
    let site = Site::start();
    let head = |length: &str| {
        format!(
            "POST /v1/transfers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {OPERATOR_KEY}\r\n\
             Content-Type: application/json\r\n{length}\r\n\r\n"
        )
        .into_bytes()
    };
    // Announced: refused before any of it arrives.
    let answer = raw(site.address, &head("Content-Length: 104857600"));
    assert_eq!((answer.status, answer.code()), (413, "too_large".to_owned()));
    // Not announced: refused at the limit.
    let mut chunked = head("Transfer-Encoding: chunked");
    for _ in 0..5 {
        chunked.extend_from_slice(format!("{:x}\r\n", 1 << 20).as_bytes());
        chunked.extend_from_slice(&vec![b' '; 1 << 20]);
        chunked.extend_from_slice(b"\r\n");
    }
    let answer = raw(site.address, &chunked);
    assert_eq!((answer.status, answer.code()), (413, "too_large".to_owned()));
    // The largest allowed body is accepted.
    let largest = vec![b' '; 4 << 20];
    let answer = Request::post("/v1/transfers", largest).to(&site);
    assert_eq!((answer.status, answer.code()), (400, "malformed".to_owned()));
    // Garbage doesn't affect the next connection.
    let garbage = raw(site.address, &[0xff; 40_000]);
    assert_eq!(garbage.status / 100, 4, "{}", garbage.text);
    assert_eq!(Request::get("/livez").to(&site).status, 200);
}
