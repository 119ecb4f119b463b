//! Row e: three readers follow the events of three nodes across two failovers. One sequence without
//! gaps.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use evenkeel_http::Method;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::accept::{
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::{
    audit,
    cluster::{http::Door, nodes, testnet::Testnet, up},
};

const FAILOVERS: usize = 2;
/// A stream that is silent for this long is reopened from its last event.
const SILENCE: Duration = Duration::from_secs(3);

/// An event's position and index, and its line as the node sent it.
type Event = ((u64, u64), String);

pub(crate) async fn three_readers(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let key = testnet.operator_key()?;
    let (end, ended) = watch::channel(None);
    let readers: Vec<_> = testnet
        .sites
        .iter()
        .map(|site| tokio::spawn(EventReader::new(site.http_address(), &key, ended.clone()).run()))
        .collect();
    for _ in 0..FAILOVERS {
        load.await_acknowledged(5_000, PATIENCE).await?;
        let primary = up::await_caught_up(testnet, PATIENCE).await?;
        nodes::kill(testnet, primary).await?;
        load.await_acknowledged(5_000, PATIENCE).await?;
        nodes::start(testnet, primary).await?;
    }
    up::await_caught_up(testnet, PATIENCE).await?;
    load.pause().await;
    let history = load.finish().await?;
    let acknowledged = history.acknowledged.len();
    let newest = history.acknowledged.iter().map(|record| record.position).max();
    let places: std::collections::BTreeMap<(u64, u64), String> = history
        .acknowledged
        .iter()
        .map(|record| {
            ((record.position, u64::from(record.outcome.index)), record.transfer.id.to_string())
        })
        .collect();
    end.send_replace(Some(newest.context("nothing was acknowledged")?));

    let mut sequences = Vec::new();
    let mut reopened = 0;
    for reader in readers {
        let (events, times) = reader.await??;
        reopened += times;
        sequences.push(Arc::new(events));
    }
    let first = Arc::clone(&sequences[0]);
    sheet.at_least("events read by each reader", first.len(), acknowledged, "");
    sheet.record_claim(
        "the three sequences are the same to the byte",
        sequences.iter().all(|other| *other == first),
    );
    sheet.at_least(
        "streams broke and were resumed at their last event",
        reopened,
        FAILOVERS,
        " times",
    );
    check_gapless(&first)?;
    sheet.record_claim("no position and index twice, no index missing", true);
    let known: std::collections::BTreeMap<_, _> =
        first.iter().map(|(place, text)| (*place, text.as_str())).collect();
    let missing = places
        .iter()
        .filter(|(place, id)| !known.get(place).is_some_and(|text| text.contains(id.as_str())))
        .count();
    sheet.at_most("acknowledged outcomes without an event", missing, 0, "");
    let verdict = audit::audit(testnet, history).await?;
    sheet.record_claim(
        format!("{} acknowledged, {} lost", verdict.acknowledged, verdict.lost),
        verdict.lost == 0,
    );
    Ok(())
}

/// Positions and indexes only increase, and the indexes of an entry start at 0 without gaps.
fn check_gapless(events: &[Event]) -> anyhow::Result<()> {
    let mut before: Option<(u64, u64)> = None;
    for (place, text) in events {
        let next = match before {
            Some((position, index)) if position == place.0 => place.1 == index + 1,
            Some((position, _)) => place.0 > position && place.1 == 0,
            None => place.1 == 0,
        };
        ensure!(next, "{place:?} follows {before:?}: {text}");
        before = Some(*place);
    }
    Ok(())
}

struct EventReader {
    address: SocketAddr,
    key: String,
    /// The position up to which all events must arrive; known when the load has ended.
    end: watch::Receiver<Option<u64>>,
    events: Vec<Event>,
    opened: usize,
}

impl EventReader {
    fn new(address: SocketAddr, key: &str, end: watch::Receiver<Option<u64>>) -> Self {
        Self { address, key: key.to_owned(), end, events: Vec::new(), opened: 0 }
    }

    async fn run(mut self) -> anyhow::Result<(Vec<Event>, usize)> {
        let start = Instant::now();
        while !self.is_done() {
            ensure!(start.elapsed() < PATIENCE * 6, "{}: the events never end", self.address);
            // Its node may be dead at the moment.
            let _ = self.read_on().await;
            sleep(Duration::from_millis(50)).await;
        }
        Ok((self.events, self.opened.saturating_sub(1)))
    }

    fn is_done(&self) -> bool {
        let newest = self.events.last().map(|((position, _), _)| *position);
        (*self.end.borrow()).is_some_and(|end| newest >= Some(end))
    }

    async fn read_on(&mut self) -> anyhow::Result<()> {
        let path = match self.events.last() {
            Some(((position, index), _)) => format!("/v1/events?after={position}.{index}"),
            None => "/v1/events".to_owned(),
        };
        let mut door = Door::new(self.address, Some(&self.key));
        let response = door.send(Method::GET, &path, &[], Bytes::new()).await?;
        ensure!(response.status().as_u16() == 200, "{path}: {}", response.status());
        self.opened += 1;
        let mut body = response.into_body();
        let mut buffer = BytesMut::new();
        while !self.is_done() {
            let Some(frame) = timeout(SILENCE, body.frame()).await? else { bail!("it ended") };
            if let Ok(data) = frame?.into_data() {
                buffer.extend_from_slice(&data);
                self.take_lines(&mut buffer)?;
            }
        }
        Ok(())
    }

    fn take_lines(&mut self, buffer: &mut BytesMut) -> anyhow::Result<()> {
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(end + 1);
            let text = std::str::from_utf8(&line)?.trim();
            if text.is_empty() {
                continue;
            }
            let event: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
            let number =
                |name: &str| event[name].as_u64().with_context(|| format!("no {name} in {text}"));
            let place = (number("position")?, number("index")?);
            // Delivery is at least once: events already read are skipped.
            match self.events.last() {
                Some((last, _)) if place <= *last => {}
                _ => self.events.push((place, text.to_owned())),
            }
        }
        Ok(())
    }
}
