//! Row h: malformed bodies. Each gets an answer that names the problem, and the node's memory
//! doesn't grow.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context, ensure};
use bytes::Bytes;
use evenkeel_http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use uuid::Uuid;

use crate::accept::{main::footprint, sheet::ResultSheet};
use crate::cluster::{http::Door, site::Site, testnet::Testnet, up};

/// Bound for the node's memory growth during the row.
const GROWTH_MIB: u64 = 48;
const HUGE_BYTES: usize = 100 << 20;
const ROUNDS: usize = 20;

pub(crate) async fn check_bad_bodies(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, false).await?;
    let key = testnet.operator_key()?;
    let site = testnet.primary().await?;
    let mut door = Door::new(site.http_address(), Some(&key));
    let before = footprint::resident_mib(testnet, site)?;
    for _ in 0..ROUNDS {
        for (what, status, word, body) in bodies() {
            let answer =
                door.fetch_answer(Method::POST, "/v1/transfers", &[], body).await.context(what)?;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            let problem = answer.headers.get("content-type");
            ensure!(
                problem.is_some_and(|kind| kind == "application/problem+json"),
                "{what}: {problem:?} {text}"
            );
            ensure!(
                answer.status == status && text.contains(word),
                "{what}: expected {status} naming {word:?}, got {} {text}",
                answer.status
            );
        }
    }
    let names: Vec<&str> = bodies().iter().map(|(what, ..)| *what).collect();
    sheet.record_claim(
        format!("{} bodies, {ROUNDS} times each: {}", names.len(), names.join(", ")),
        true,
    );
    truncated(site, &key, sheet).await?;
    let answer = oversized(site, &key).await?;
    sheet.record_claim(format!("100 MB: {answer}"), answer.contains(" 413 "));
    let after = footprint::resident_mib(testnet, site)?;
    sheet.at_most("memory grew by", after.saturating_sub(before), GROWTH_MIB, " MiB");
    let health = door.get("/readyz").await?;
    sheet.record_claim("the node is still ready", health.status == 200);
    Ok(())
}

type Body = (&'static str, u16, &'static str, Bytes);

/// Name, expected status, a text in the answer, and the body.
fn bodies() -> Vec<Body> {
    let with = |field: &str, value: &str| {
        let mut text = String::from("{");
        for (name, good) in [
            ("id", format!("\"{}\"", Uuid::now_v7())),
            ("kind", "\"transfer\"".to_owned()),
            ("debit", format!("\"{}\"", Uuid::now_v7())),
            ("credit", format!("\"{}\"", Uuid::now_v7())),
            ("amount", "1".to_owned()),
            ("asset", "\"KRW\"".to_owned()),
        ] {
            let value = if name == field { value } else { &good };
            write!(text, "\"{name}\":{value},").expect("writing to memory can't fail");
        }
        if !["id", "kind", "debit", "credit", "amount", "asset"].contains(&field) {
            write!(text, "{field}:{value},").expect("writing to memory can't fail");
        }
        text.pop();
        text.push('}');
        Bytes::from(text)
    };
    let whole = with("amount", "1");
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep = |field: &str| with(field, &nested);
    let mut wrong_text = with("asset", "\"\u{1}\"").to_vec();
    if let Some(at) = wrong_text.iter().position(|byte| *byte == 1) {
        wrong_text[at] = 0xff;
    }
    vec![
        ("empty", 400, "malformed", Bytes::new()),
        ("cut short", 400, "malformed", whole.slice(..whole.len() - 7)),
        ("no object", 400, "malformed", Bytes::from_static(b"[]")),
        ("nested 10,000 deep", 400, "malformed", Bytes::from(nested.clone())),
        ("nested in a field", 400, "memo", deep("\"memo\"")),
        ("a text as amount", 400, "amount", with("amount", "\"1\"")),
        ("a fraction as amount", 400, "amount", with("amount", "1.5")),
        ("NaN as amount", 400, "malformed", with("amount", "NaN")),
        ("null as amount", 400, "amount", with("amount", "null")),
        ("-1 as amount", 422, "amount_invalid", with("amount", "-1")),
        ("2^64 as amount", 422, "amount_invalid", with("amount", "18446744073709551616")),
        ("2^53 as amount", 422, "amount_invalid", with("amount", "9007199254740992")),
        ("0 as amount", 422, "amount_invalid", with("amount", "0")),
        ("a number as id", 400, "id", with("id", "7")),
        (
            "an id of version 4",
            400,
            "id_not_uuid_v7",
            with("id", "\"2f1c1b1e-7b3c-4d4e-8f90-1a2b3c4d5e6f\""),
        ),
        ("no uuid as debit", 400, "debit", with("debit", "\"ann\"")),
        ("an unknown kind", 400, "kind", with("kind", "\"gift\"")),
        ("no asset's name", 400, "asset", with("asset", "\"won\"")),
        ("a memo of 141 bytes", 400, "memo", with("\"memo\"", &format!("\"{}\"", "m".repeat(141)))),
        ("an unknown field", 400, "colour", with("\"colour\"", "\"red\"")),
        ("a field twice", 400, "amount", with("\"amount\"", "2")),
        ("wrong UTF-8", 400, "malformed", Bytes::from(wrong_text)),
        ("bytes behind it", 400, "malformed", [&whole[..], &b" {}"[..]].concat().into()),
    ]
}

/// A body shorter than announced: the connection is closed with or without an answer, and nothing
/// else happens.
async fn truncated(site: &Site, key: &str, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(site.http_address()).await?;
    let head = format!(
        "POST /v1/transfers HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"id\":",
        site.http_address()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.shutdown().await?;
    let mut said = Vec::new();
    timeout(Duration::from_secs(20), stream.read_to_end(&mut said)).await??;
    let line = String::from_utf8_lossy(&said).lines().next().unwrap_or("closed").to_owned();
    sheet.record_claim(
        format!("a body of 6 bytes instead of 1,000: {line}"),
        said.is_empty() || line.contains(" 4"),
    );
    Ok(())
}

/// The first line of the response to a body of 100 MB.
async fn oversized(site: &Site, key: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(site.http_address()).await?;
    let head = format!(
        "POST /v1/transfers HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {HUGE_BYTES}\r\n\r\n",
        site.http_address()
    );
    stream.write_all(head.as_bytes()).await?;
    let (mut reader, mut writer) = stream.into_split();
    let sending = tokio::spawn(async move {
        let block = vec![b' '; 1 << 20];
        for _ in 0..HUGE_BYTES / block.len() {
            // The door may close as soon as the limit is passed.
            if writer.write_all(&block).await.is_err() {
                return;
            }
        }
    });
    let mut said = vec![0; 4_096];
    let length = timeout(Duration::from_secs(30), reader.read(&mut said)).await??;
    sending.abort();
    Ok(String::from_utf8_lossy(&said[..length]).lines().next().unwrap_or("closed").to_owned())
}
