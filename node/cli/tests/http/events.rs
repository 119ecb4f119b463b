//! The stream of outcomes: from any position on, in order, until the reader disconnects.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    client::{Request, account, id},
    commands::{BANK, MERCHANT, OTHER_WALLET, WALLET, open_all, post, transfer},
    site::{Mood, Site},
};

/// A reader of events, line by line.
struct Reader {
    lines: BufReader<TcpStream>,
    kind: String,
}

impl Reader {
    fn start(site: &Site, request: &Request) -> Self {
        let mut stream = TcpStream::connect(site.address).expect("the site listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        stream.write_all(&request.bytes()).expect("sent");
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        let mut kind = String::new();
        while line != "\r\n" {
            line.clear();
            lines.read_line(&mut line).expect("a head");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-type: ") {
                kind = value.trim().to_owned();
            }
        }
        Self { lines, kind }
    }

    /// The next line of the stream's content, without the chunk framing; `None` at the end.
    fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("a line in time") == 0 {
                return None;
            }
            let line = line.trim_end();
            // Chunk sizes are on separate lines.
            if !line.is_empty() && !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Some(line.to_owned());
            }
        }
    }

    fn event(&mut self) -> Value {
        let line = self.line().expect("an event");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn events(&mut self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.event()).collect()
    }
}

/// Opens the accounts and submits four more commands: two movements, a rejection, a hold.
fn play(site: &Site) {
    open_all(site);
    post(site, "/v1/transfers", &transfer(1, "top_up", BANK, WALLET, 1_000));
    post(site, "/v1/transfers", &transfer(2, "transfer", OTHER_WALLET, WALLET, 1));
    post(site, "/v1/transfers", &transfer(3, "payment", WALLET, MERCHANT, 300));
    let hold = json!({
        "id": id(4), "debit": account(WALLET), "credit": account(MERCHANT), "amount": 50, "asset": "KRW",
        "expires_in_ms": 60_000,
    });
    post(site, "/v1/holds", &hold);
    // A replay: no outcome, no event.
    post(site, "/v1/transfers", &transfer(1, "top_up", BANK, WALLET, 1_000));
}

fn summary(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    format!(
        "{}.{} {} {} {}",
        event["position"],
        event["index"],
        text("type"),
        text("outcome"),
        text("code")
    )
}

#[test]
fn every_outcome_comes_in_order_from_any_place() {
    let site = Site::start();
    play(&site);
    let mut all = Reader::start(&site, &Request::get("/v1/events"));
    assert_eq!(all.kind, "application/x-ndjson");
    let events = all.events(8);
    let shown: Vec<String> = events.iter().map(summary).collect();
    assert_eq!(
        shown,
        [
            "1.0 open_account committed ",
            "2.0 open_account committed ",
            "3.0 open_account committed ",
            "4.0 open_account committed ",
            "5.0 transfer committed ",
            "6.0 transfer rejected insufficient_funds",
            "7.0 transfer committed ",
            "8.0 hold committed ",
        ]
    );
    assert_eq!(
        (&events[4]["id"], &events[4]["transfer"]["amount"]),
        (&json!(id(1)), &json!(1_000))
    );
    assert_eq!((events[5].get("transfer"), &events[7]["hold"]["status"]), (None, &json!("open")));
    assert_eq!(events[0]["account"]["kind"], "bank");
    // Later events reach the open stream.
    post(&site, &format!("/v1/holds/{}/void", id(4)), &json!({"id": id(5)}));
    let voided = all.event();
    assert_eq!((&voided["type"], &voided["hold"]["status"]), (&json!("void"), &json!("voided")));
    for (after, first) in [("0", 0), ("4", 4), ("4.0", 4), ("5.0", 5), ("6", 6)] {
        let mut reader = Reader::start(&site, &Request::get(format!("/v1/events?after={after}")));
        assert_eq!(reader.event(), events[first], "after {after}");
    }
    let mut later = Reader::start(&site, &Request::get("/v1/events?after=10"));
    post(&site, "/v1/transfers", &transfer(6, "transfer", WALLET, OTHER_WALLET, 1));
    post(&site, "/v1/transfers", &transfer(7, "transfer", WALLET, OTHER_WALLET, 1));
    assert_eq!(later.event()["id"], id(6));
    assert_eq!(later.event()["id"], id(7));
}

#[test]
fn server_sent_events_are_resumed_by_their_ids() {
    let site = Site::start();
    play(&site);
    let sse = || Request::get("/v1/events").header("Accept", "text/event-stream");
    let mut reader = Reader::start(&site, &sse().header("Last-Event-ID", "4.0"));
    assert_eq!(reader.kind, "text/event-stream");
    assert_eq!(reader.line().as_deref(), Some("id: 5.0"));
    assert_eq!(reader.line().as_deref(), Some("event: transfer"));
    let data = reader.line().expect("data");
    let event: Value =
        serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
    assert_eq!(event["id"], id(1));
    // After a lost connection a browser repeats its first request and adds the last id it saw.
    let again = Request::get("/v1/events?after=0").header("Accept", "text/event-stream");
    let mut reader = Reader::start(&site, &again.header("Last-Event-ID", "6.0"));
    assert_eq!(reader.line().as_deref(), Some("id: 7.0"));
    for wrong in ["six", "6.0.0", "1234567890123456789", "6.00000"] {
        let answer = sse().header("Last-Event-ID", wrong).to(&site);
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{wrong}");
    }
}

/// A lagging site may not have the revocation yet: it asks the primary before it opens a stream,
/// and repeatedly while the stream is open.
#[test]
fn a_key_that_the_primary_knows_as_revoked_reads_no_events() {
    let site = Site::lagging();
    play(&site);
    let mut reader = Reader::start(&site, &Request::get("/v1/events?after=7"));
    assert_eq!(reader.event()["type"], "hold");
    site.mood(Mood::KnowsAllRevoked);
    let answer = Request::get("/v1/events").to(&site);
    assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"));
    site.close_day("2026-09-21", "2026-09-22");
    assert_eq!(reader.line(), None, "it ends before the next event");
}

#[test]
fn a_stream_ends_when_the_node_stops() {
    let site = Site::start();
    play(&site);
    let mut reader = Reader::start(&site, &Request::get("/v1/events?after=7"));
    assert_eq!(reader.event()["type"], "hold");
    site.stop();
    assert_eq!(reader.line(), None);
}

#[test]
fn whoever_reads_nothing_holds_nobody_up() {
    let site = Site::start();
    play(&site);
    let lazy: Vec<Reader> =
        (0..20).map(|_| Reader::start(&site, &Request::get("/v1/events"))).collect();
    for number in 10..60 {
        let answer =
            post(&site, "/v1/transfers", &transfer(number, "transfer", WALLET, OTHER_WALLET, 1));
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    // The slow readers lose no event either.
    for mut reader in lazy {
        let events = reader.events(58);
        assert_eq!(events.last().map(|event| &event["id"]), Some(&json!(id(59))));
    }
}
