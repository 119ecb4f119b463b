//! The refusals of the road and the node, and the HTTP response for each.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use evenkeel_node::{
    config::Rates, gateway::http::HttpPlaces, limits::HTTP_HEAD_PATIENCE, road::Lead,
};
use evenkeel_wire::reply::RefusalCode;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    client::{Answer, Request, account},
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
fn each_refusal_has_its_status() {
    let site = Site::start();
    open_all(&site);
    // (refusal, a command's status, a read's status and code)
    let table = [
        (RefusalCode::Malformed, 400, 400, "malformed"),
        (RefusalCode::IdNotUuidV7, 400, 400, "id_not_uuid_v7"),
        (RefusalCode::Unauthorized, 401, 401, "unauthorized"),
        (RefusalCode::Forbidden, 403, 403, "forbidden"),
        (RefusalCode::NotFound, 404, 404, "not_found"),
        (RefusalCode::TooLarge, 413, 413, "too_large"),
        (RefusalCode::RateLimited, 429, 429, "rate_limited"),
        (RefusalCode::NoPrimary, 503, 503, "no_primary"),
        (RefusalCode::Overloaded, 503, 503, "overloaded"),
        (RefusalCode::Stopping, 503, 503, "stopping"),
        (RefusalCode::Recovering, 503, 503, "recovering"),
        // An interrupted read has no effect.
        (RefusalCode::OutcomeUnknown, 504, 503, "no_primary"),
    ];
    for (refusal, command, read_status, read_code) in table {
        site.mood(Mood::Refuses(refusal));
        let told = top_up(1).to(&site);
        assert_eq!((told.status, told.code().as_str()), (command, refusal.name()), "{}", told.text);
        let seen = read().to(&site);
        assert_eq!((seen.status, seen.code().as_str()), (read_status, read_code), "{}", seen.text);
        for answer in [told, seen] {
            let retryable = [429, 503, 504].contains(&answer.status);
            assert_eq!(answer.json()["retryable"], retryable, "{}", answer.text);
            let retry_after = [429, 503].contains(&answer.status);
            assert_eq!(answer.header("Retry-After").is_some(), retry_after, "{}", answer.text);
        }
    }
    assert_eq!(RefusalCode::ALL.len(), table.len(), "a new code needs a status");
}

#[test]
fn without_a_primary_local_reads_go_on() {
    let site = Site::start();
    open_all(&site);
    site.lead(Lead::Nowhere);
    let since = Instant::now();
    let told = top_up(1).to(&site);
    assert_eq!((told.status, told.code().as_str()), (503, "no_primary"), "{}", told.text);
    let waited = since.elapsed();
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
    assert_eq!(read().header("Deadline-Ms", "100").to(&site).status, 503);
    let seen =
        Request::get(format!("/v1/accounts/{}?consistency=local", account(WALLET))).to(&site);
    assert_eq!((seen.status, &seen.json()["posted"]), (200, &json!(0)), "{}", seen.text);
    assert_eq!(Request::get("/v1/totals?consistency=local").to(&site).status, 200);
    site.lead(Lead::Here(2));
    assert_eq!(top_up(1).to(&site).status, 201);
}

#[test]
fn a_key_that_asks_too_often_is_told_to_wait() {
    let site = Site::with_rates(Rates { requests_per_second: 1, burst: 3, ..Rates::default() });
    for _ in 0..3 {
        assert_eq!(Request::get("/v1/totals").to(&site).status, 200);
    }
    let refused = Request::get("/v1/totals").to(&site);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "rate_limited"),
        "{}",
        refused.text
    );
    assert_eq!(refused.header("Retry-After"), Some("1"));
    // Requests without a valid key aren't counted, and routes that need no key still answer.
    assert_eq!(Request::get("/v1/totals").without("Authorization").to(&site).status, 401);
    assert_eq!(Request::get("/readyz").to(&site).status, 200);
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(Request::get("/v1/totals").to(&site).status, 200);
}

/// A batch counts as what it holds, whatever the number of requests.
#[test]
fn a_key_that_sends_too_much_is_told_to_wait() {
    let rates = Rates { commands_per_second: 8_192, bytes_per_second: 1, ..Rates::default() };
    let site = Site::with_rates(rates);
    open_all(&site);
    // The opening took some bytes, and the bucket holds one largest body.
    let large =
        Request::post("/v1/batches", format!("[{}]", " ".repeat((4 << 20) - 4_096))).to(&site);
    assert_eq!((large.status, large.code().as_str()), (400, "malformed"), "{}", large.text);
    let refused = Request::post("/v1/batches", " ".repeat(8_192)).to(&site);
    let told = (refused.status, refused.code());
    assert_eq!(told, (429, "rate_limited".to_owned()), "{}", refused.text);
    assert!(refused.header("Retry-After").is_some_and(|seconds| seconds.parse::<u64>().is_ok()));
    assert_eq!(Request::get("/v1/totals").to(&site).status, 200, "reads have no body");

    let rates = Rates { commands_per_second: 1, bytes_per_second: 0, ..Rates::default() };
    let site = Site::with_rates(rates);
    open_all(&site);
    let item = |number| {
        let mut item = transfer(number, "top_up", BANK, WALLET, 1);
        item["type"] = json!("transfer");
        item
    };
    let batch = |numbers: std::ops::Range<u128>| {
        let items: Vec<serde_json::Value> = numbers.map(item).collect();
        Request::post("/v1/batches", json!({"atomic": false, "commands": items}).to_string())
    };
    assert_eq!(batch(0..8_000).to(&site).status, 200);
    let refused = batch(8_000..8_200).to(&site);
    assert_eq!((refused.status, refused.code()), (429, "rate_limited".to_owned()));
    assert_eq!(top_up(9_000).to(&site).status, 201, "what is left is still the key's");
}

/// A full port still answers load balancers and Prometheus, whatever else waits at it.
#[test]
fn a_full_port_answers_probes_and_refuses_the_rest() {
    let site = Site::with_places(HttpPlaces { all: 8, per_address: 3 });
    let held: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(site.address).expect("the site listens")).collect();
    std::thread::sleep(Duration::from_millis(100));
    for path in ["/livez", "/readyz", "/primary", "/metrics"] {
        assert_eq!(Request::get(path).to(&site).status, 200, "{path}");
    }
    assert_eq!(Request::get("/replica").to(&site).status, 503, "it's the primary");
    let refused = Request::get("/v1/totals").to(&site);
    let told = (refused.status, refused.code());
    assert_eq!(told, (503, "overloaded".to_owned()), "{}", refused.text);
    assert!(refused.header("x-request-id").is_some() && refused.header("Retry-After").is_some());
    drop(held);
    let served = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        Request::get("/v1/totals").to(&site).status == 200
    });
    assert!(served, "places come back");
}

/// Reads one response from a keep-alive connection; its body has a known length.
fn next_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).expect("an answer"), 1, "closed early");
        bytes.push(byte[0]);
    }
    let head = Answer::parse(&bytes);
    let length = head.header("Content-Length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).expect("a body");
    bytes.extend_from_slice(&body);
    Answer::parse(&bytes)
}

#[test]
fn a_connection_carries_many_requests_and_is_told_when_the_node_stops() {
    let site = Site::start();
    open_all(&site);
    let mut stream = TcpStream::connect(site.address).expect("the site listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    for number in 1..=20 {
        stream.write_all(&top_up(number).without("Connection").bytes()).expect("sent");
        assert_eq!(next_answer(&mut stream).status, 201);
    }
    // A refusal doesn't close the connection.
    stream.write_all(&read().without("Connection").without("Authorization").bytes()).expect("sent");
    assert_eq!(next_answer(&mut stream).status, 401);
    site.stop();
    stream.write_all(&top_up(21).without("Connection").bytes()).expect("sent");
    let told = next_answer(&mut stream);
    assert_eq!((told.status, told.code().as_str()), (503, "stopping"), "{}", told.text);
    assert_eq!(told.header("Connection"), Some("close"));
    assert_eq!(stream.read(&mut [0]).expect("closed in order"), 0);
    std::thread::sleep(Duration::from_millis(600));
    assert!(TcpStream::connect(site.address).is_err(), "the port is closed");
}

#[test]
fn an_idle_connection_is_closed_in_order_when_the_node_stops() {
    let site = Site::start();
    let mut idle = TcpStream::connect(site.address).expect("the site listens");
    idle.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    idle.write_all(&Request::get("/livez").without("Connection").bytes()).expect("sent");
    assert_eq!(next_answer(&mut idle).status, 200);
    site.stop();
    assert_eq!(idle.read(&mut [0]).expect("closed in order"), 0);
}

#[test]
fn a_body_that_comes_in_drops_is_taken_in() {
    let site = Site::start();
    open_all(&site);
    let bytes = top_up(1).bytes();
    let mut stream = TcpStream::connect(site.address).expect("the site listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    for drop in bytes.chunks(7) {
        stream.write_all(drop).expect("sent");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(next_answer(&mut stream).status, 201);
}

#[test]
fn health_needs_no_key_and_the_status_shows_no_balance() {
    let site = Site::start();
    open_all(&site);
    assert_eq!(top_up(1).to(&site).status, 201);
    let open = |path: &str| Request::get(path).without("Authorization").to(&site);
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/primary", 200), ("/replica", 503)]
    {
        assert_eq!(open(path).status, status, "{path}");
    }
    let metrics = open("/metrics");
    assert_eq!((metrics.status, metrics.text.as_str()), (200, "evenkeel_up 1\n"));
    assert_eq!(metrics.header("Content-Type"), Some("text/plain; version=0.0.4"));
    let status = open("/v1/status");
    assert_eq!((status.status, &status.json()["sites"][0]["role"]), (200, &json!("primary")));
    assert!(!status.text.contains("posted") && !status.text.contains(OPERATOR_KEY));
}

#[test]
fn a_client_that_is_too_slow_is_cut_off_and_one_that_thinks_is_not() {
    let site = Site::start();
    let connect = || {
        let stream = TcpStream::connect(site.address).expect("the site listens");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a socket");
        stream
    };
    let mut thinking = connect();
    thinking.write_all(&Request::get("/livez").without("Connection").bytes()).expect("sent");
    assert_eq!(next_answer(&mut thinking).status, 200);
    // A head that arrives byte by byte and never ends.
    let mut slow = connect();
    let since = Instant::now();
    let mut letter = std::iter::repeat_n(&b"GET /livez HTTP/1.1\r\nX-Slow: "[..], 1)
        .chain(std::iter::repeat(&b"x"[..]));
    while slow.write_all(letter.next().expect("endless")).is_ok() {
        assert!(since.elapsed() < Duration::from_secs(60), "the slow connection isn't closed");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(since.elapsed() >= HTTP_HEAD_PATIENCE, "{:?}", since.elapsed());
    // The other connection was idle for the same time and can still send a request.
    thinking.write_all(&Request::get("/livez").bytes()).expect("sent");
    assert_eq!(next_answer(&mut thinking).status, 200);
}
