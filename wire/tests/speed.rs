//! Measures how fast frames cross one connection on this machine. Run by hand:

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use evenkeel_wire::{
    client::{Client, ClientConfig, ClientOptions, raw::Connector},
    codec,
    command::Command,
    endpoint::{PeerEndpoint, PeerSettings},
    frame,
    id::CommandId,
    peer::Lane,
    request::Submit,
};
use support::{
    Authority, cluster, loopback,
    node::{Book, FakeNode, KEY},
    peer, samples,
};
use tokio::{sync::oneshot, time::Instant};

fn on_a_thread(work: impl Future<Output = ()> + Send + 'static) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work);
    })
}

/// Sends frames of this size for a second from one thread to another; returns frames and megabytes
/// per second.
async fn one_way(body: usize, coalesced: usize) -> (u128, u128) {
    let authority = Authority::new();
    let (one, two) = (authority.identity(cluster(7), 1), authority.identity(cluster(7), 2));
    let (addresses, address) = oneshot::channel();
    let reader = on_a_thread(async move {
        let endpoint = PeerEndpoint::bind(loopback(), two, PeerSettings::default()).unwrap();
        addresses.send(endpoint.local_address().unwrap()).unwrap();
        let link = endpoint.accept().await.unwrap();
        let (_, mut answers, mut receiver) = link.accept_lane().await.unwrap();
        let mut count = 0_u64;
        while let Some(received) = receiver.receive().await.unwrap() {
            assert_eq!(received.body.len(), body);
            count += 1;
        }
        let mut last = Vec::new();
        let at = frame::start(&mut last, 1);
        last.extend_from_slice(&count.to_le_bytes());
        frame::finish(&mut last, at);
        answers.send(&last).await.unwrap();
        answers.finish().await.unwrap();
    });
    let (endpoint, _) = peer(one);
    let link = endpoint.dial(2, address.await.unwrap()).await.unwrap();
    let (mut sender, mut answers) = link.open_lane(Lane::Append).await.unwrap();
    let mut frames = Vec::new();
    for _ in 0..coalesced {
        let at = frame::start(&mut frames, 200);
        frames.resize(frames.len() + body, 7);
        frame::finish(&mut frames, at);
    }
    let frames = bytes::Bytes::from(frames);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        sender.send_bytes(frames.clone()).await.unwrap();
    }
    drop(sender);
    let last = answers.receive().await.unwrap().unwrap();
    let took = began.elapsed();
    drop(link);
    // This thread must still send the close.
    tokio::task::spawn_blocking(|| reader.join().unwrap()).await.unwrap();
    let count = u128::from(u64::from_le_bytes(last.body[..8].try_into().unwrap()));
    let per_second = count * 1_000_000 / took.as_micros();
    (per_second, per_second * u128::try_from(body).unwrap() / 1_000_000)
}

#[tokio::test]
#[ignore = "measures"]
async fn frames_one_way() {
    for (body, coalesced) in [(100, 1), (100, 16), (100, 512), (1 << 20, 1)] {
        let (frames, megabytes) = one_way(body, coalesced).await;
        println!("{body} B × {coalesced} per write: {frames} frames/s, {megabytes} MB/s");
    }
}

fn fake_node_on_a_thread(authority: &Arc<Authority>) -> (ClientConfig, oneshot::Sender<()>) {
    let (sites, site) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let maker = authority.clone();
    on_a_thread(async move {
        let book = Arc::new(Mutex::new(Book::default()));
        let node = FakeNode::start(&maker, cluster(7), 1, &book);
        sites.send(node.site.clone()).unwrap();
        let _ = stopped.await;
    });
    let config = ClientConfig {
        cluster: cluster(7),
        ca: authority.ca(),
        key: KEY.into(),
        sites: vec![site.recv().unwrap()],
        left_out: Vec::new(),
    };
    (config, stop)
}

/// The CPU time of this thread so far.
fn cpu_nanos() -> u128 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn a_transfer(number: u128) -> Vec<u8> {
    let id = CommandId::from_parts(1_700_000_000_000, number);
    codec::encode(&Command::Transfer(evenkeel_wire::transfer::Transfer {
        id,
        ..samples::commands::transfer()
    }))
}

#[tokio::test]
#[ignore = "measures"]
async fn calls_against_a_fake_node() {
    let authority = Arc::new(Authority::new());
    let (config, _stop) = fake_node_on_a_thread(&authority);
    let client = Client::connect(config.clone(), ClientOptions::default());
    for callers in [1_u128, 64, 1_024] {
        let (began, cpu_before) = (Instant::now(), cpu_nanos());
        let calls = 400_000 * callers / (callers + 40);
        let tasks = (0..callers).map(|caller| {
            let client = client.clone();
            tokio::spawn(async move {
                for call in 0..calls / callers {
                    let command = a_transfer(caller << 32 | call);
                    client.submit_encoded(1, false, command.into()).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let took = began.elapsed().as_micros();
        let cpu = (cpu_nanos() - cpu_before) / calls;
        let per_second = calls * 1_000_000 / took;
        println!("{callers} callers: {per_second} calls/s, {cpu} ns of this thread each");
    }

    let mut raw = Connector::new(&config).unwrap().connect(&config.sites[0]).await.unwrap();
    let began = Instant::now();
    let mut replies = 0_u128;
    while began.elapsed() < Duration::from_secs(2) {
        let mut frames = Vec::new();
        for number in 0..512 {
            let commands = a_transfer(number.into()).into();
            Submit { number, deadline_ms: 5_000, count: 1, atomic: false, commands }
                .write(&mut frames);
        }
        raw.send(&frames).await.unwrap();
        for _ in 0..512 {
            raw.receive().await.unwrap().unwrap();
            replies += 1;
        }
    }
    let took = began.elapsed().as_micros();
    println!("raw, 512 in flight: {} requests/s", replies * 1_000_000 / took);
}
