//! The port between sites: which peers are accepted, and how frames are transferred.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    sync::mpsc,
    thread,
    time::Duration,
};

use evenkeel_wire::{
    endpoint::{BindError, DialError, PeerEndpoint, PeerLink, PeerSettings},
    frame,
    identity::Identity,
    limits::FRAME_BYTES_MAX,
    peer::{DIGEST, DigestNotice, Lane},
};
use support::{Authority, Paper, cluster, credulous, loopback, peer, soon};
use tokio::time::Instant;

fn notice(position: u64) -> Vec<u8> {
    frame::encode_whole(DIGEST, &DigestNotice { position, link: [1; 32], digest: [2; 32] })
}

async fn pair(authority: &Authority) -> ((PeerEndpoint, PeerLink), (PeerEndpoint, PeerLink)) {
    let (one, _) = peer(authority.identity(cluster(7), 1));
    let (two, address) = peer(authority.identity(cluster(7), 2));
    let (dialled, accepted) =
        tokio::join!(soon("dial", one.dial(2, address)), soon("accept", two.accept()));
    ((one, dialled.unwrap()), (two, accepted.unwrap()))
}

#[tokio::test]
async fn both_ends_know_each_other_and_frames_arrive_in_order_on_every_lane() {
    let authority = Authority::new();
    let ((_one, dialled), (_two, accepted)) = pair(&authority).await;
    assert_eq!((dialled.node(), accepted.node()), (2, 1));

    for lane in [Lane::Append, Lane::Control, Lane::Forward] {
        let (mut sender, mut answers) = dialled.open_lane(lane).await.unwrap();
        let (found, mut answer, mut receiver) = soon("lane", accepted.accept_lane()).await.unwrap();
        assert_eq!(found, lane);
        let frames: Vec<u8> = (0..1_000).flat_map(notice).collect();
        sender.send(&frames).await.unwrap();
        sender.send_bytes(notice(1_000).into()).await.unwrap();
        for position in 0..=1_000 {
            let frame = soon("frame", receiver.receive()).await.unwrap().unwrap();
            assert_eq!(notice(position)[frame::HEAD_BYTES..], frame.body, "{position}");
        }
        answer.send(&notice(9)).await.unwrap();
        assert_eq!(soon("answer", answers.receive()).await.unwrap().unwrap().kind, DIGEST);
        soon("finish", sender.finish()).await.unwrap();
        assert_eq!(soon("end", receiver.receive()).await.unwrap(), None);
    }
    assert!(dialled.round_trip_time() > Duration::ZERO);
    dialled.close("that was all");
    let why = soon("close", accepted.wait_closed()).await;
    assert_eq!(why, "closed by the other side: that was all");
    assert!(accepted.is_closed());
}

#[tokio::test]
async fn a_dialler_finds_out_that_it_reached_another_node() {
    let authority = Authority::new();
    let (one, _) = peer(authority.identity(cluster(7), 1));
    let (two, address) = peer(authority.identity(cluster(7), 2));
    let error = soon("dial", one.dial(3, address)).await.unwrap_err();
    assert!(matches!(error, DialError::OtherNode { dialled: 3, found: 2, .. }), "{error}");
    let accepted = soon("accept", two.accept()).await.unwrap();
    assert!(soon("close", accepted.wait_closed()).await.contains("another node was meant"));
}

#[tokio::test]
async fn nobody_is_let_in_with_a_certificate_of_another_cluster_or_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (inside, address) = peer(authority.identity(cluster(7), 1));
    // The same authority, another cluster; the same names, another authority.
    for intruder in [authority.identity(cluster(8), 2), other.identity(cluster(7), 2)] {
        let (outside, outside_address) = peer(intruder);
        let refused = inside.refused_count();
        let dialled = soon("dial", outside.dial(1, address)).await;
        assert!(dialled.is_err(), "the dialler itself detects it");
        let dialled = soon("dial", inside.dial(2, outside_address)).await;
        assert!(dialled.is_err(), "in both directions");
        drop(outside);
        let counted = async {
            while inside.refused_count() == refused {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon("it's counted", counted).await;
    }
    let arrived = tokio::time::timeout(Duration::from_millis(100), inside.accept()).await;
    assert!(arrived.is_err(), "no link was accepted");
}

/// A dialler that checks nothing, so that the port itself must.
#[tokio::test]
async fn the_port_itself_refuses_strangers_and_other_protocols() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (inside, address) = peer(authority.identity(cluster(7), 1));
    let long_ago = Paper { years: (2020, 2021), ..Paper::of(cluster(7), 2) };
    let nameless = Paper { uris: Vec::new(), ..Paper::of(cluster(7), 2) };
    let peer_alpn: &[u8] = b"evenkeel-peer/2";
    for (what, paper, alpn) in [
        ("nothing", None, peer_alpn),
        ("another authority", Some(other.issue("a", &Paper::of(cluster(7), 2))), peer_alpn),
        ("another cluster", Some(authority.issue("b", &Paper::of(cluster(8), 2))), peer_alpn),
        ("expired", Some(authority.issue("c", &long_ago)), peer_alpn),
        ("no node", Some(authority.issue("d", &nameless)), peer_alpn),
        ("protocol", Some(authority.issue("e", &Paper::of(cluster(7), 2))), b"evenkeel-client/1"),
        ("no protocol", Some(authority.issue("f", &Paper::of(cluster(7), 2))), b""),
    ] {
        let refused = inside.refused_count();
        let error = soon(what, intrude(address, paper.as_ref(), alpn)).await;
        assert!(!error.contains("unreachable"), "{what}: {error}");
        assert_eq!(inside.refused_count(), refused + 1, "{what}");
    }
    // The same intruder with a valid certificate is accepted: so the certificates were refused.
    let right = authority.issue("right", &Paper::of(cluster(7), 2));
    let (_intruder, accepted) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(500), intrude(address, Some(&right), peer_alpn)),
        soon("accept", inside.accept())
    );
    assert_eq!(accepted.unwrap().node(), 2);
}

/// Connects without any check and returns the reason why the connection ended.
async fn intrude(address: SocketAddr, paper: Option<&(PathBuf, PathBuf)>, alpn: &[u8]) -> String {
    let endpoint = quinn::Endpoint::client(loopback()).unwrap();
    let connecting =
        endpoint.connect_with(credulous::config(paper, alpn), address, "evenkeel").unwrap();
    match connecting.await {
        Ok(connection) => connection.closed().await.to_string(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn garbage_at_the_port_harms_nobody() {
    let authority = Authority::new();
    let ((_one, dialled), (_two, accepted)) = pair(&authority).await;
    let address = dialled.remote_address();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = 1_u64;
    for length in (0..1_500).chain([9_000, 65_000]) {
        let garbage: Vec<u8> = (0..length)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 56) as u8
            })
            .collect();
        socket.send_to(&garbage, address).unwrap();
        // Bytes like the start of a handshake, and like a packet of a connection.
        if length > 50 {
            let mut initial = garbage;
            initial[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
            socket.send_to(&initial, address).unwrap();
            initial[0] = 0x43;
            socket.send_to(&initial, address).unwrap();
        }
        if length % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (mut sender, _answers) = dialled.open_lane(Lane::Append).await.unwrap();
    sender.send(&notice(1)).await.unwrap();
    let (_, _, mut receiver) = soon("lane", accepted.accept_lane()).await.unwrap();
    assert!(soon("frame", receiver.receive()).await.unwrap().is_some());
}

#[tokio::test]
async fn frames_that_cannot_be_are_refused_before_they_are_buffered() {
    let authority = Authority::new();
    let ((_one, dialled), (_two, accepted)) = pair(&authority).await;
    let too_long = u32::try_from(FRAME_BYTES_MAX).unwrap();
    for (what, bytes, kind) in [
        ("too long", too_long.to_le_bytes().to_vec(), io::ErrorKind::InvalidData),
        ("as long as can be", u32::MAX.to_le_bytes().to_vec(), io::ErrorKind::InvalidData),
        ("too short", vec![1, 0, 0, 0, 1], io::ErrorKind::InvalidData),
        ("another version", vec![2, 0, 0, 0, 9, 1], io::ErrorKind::InvalidData),
        ("cut short", vec![9, 0, 0, 0, 1, 1, 1], io::ErrorKind::UnexpectedEof),
    ] {
        let (mut sender, _answers) = dialled.open_lane(Lane::Forward).await.unwrap();
        sender.send(&bytes).await.unwrap();
        drop(sender);
        let (_, _, mut receiver) = soon("lane", accepted.accept_lane()).await.unwrap();
        let error = soon(what, receiver.receive()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
    }
    assert!(!accepted.is_closed(), "the reader decides whether to close");
}

#[tokio::test]
async fn the_largest_frame_crosses_and_a_slow_reader_slows_the_writer() {
    let authority = Authority::new();
    let ((_one, dialled), (_two, accepted)) = pair(&authority).await;
    let (mut sender, _answers) = dialled.open_lane(Lane::Append).await.unwrap();
    let (_, _, mut receiver) = soon("lane", accepted.accept_lane()).await.unwrap();
    let mut largest = Vec::new();
    let at = frame::start(&mut largest, 200);
    largest.resize(FRAME_BYTES_MAX, 0xa5);
    frame::finish(&mut largest, at);
    let writer = tokio::spawn(async move {
        for _ in 0..24 {
            sender.send(&largest).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!writer.is_finished(), "96 MB don't fit into the windows");
    for _ in 0..24 {
        let frame = soon("frame", receiver.receive()).await.unwrap().unwrap();
        assert_eq!(frame.body.len(), FRAME_BYTES_MAX - frame::HEAD_BYTES);
    }
    soon("writer", writer).await.unwrap();
}

fn bulk() -> Vec<u8> {
    let mut frame = Vec::new();
    let at = frame::start(&mut frame, 200);
    frame.resize(64 << 10, 0xa5);
    frame::finish(&mut frame, at);
    frame
}

#[tokio::test]
async fn a_heartbeat_overtakes_entries_that_are_being_sent() {
    let authority = Authority::new();
    let ((_one, dialled), (_two, accepted)) = pair(&authority).await;
    let (mut entries, _) = dialled.open_lane(Lane::Append).await.unwrap();
    let (_, _, mut entries_in) = soon("lane", accepted.accept_lane()).await.unwrap();
    let (mut control, _) = dialled.open_lane(Lane::Control).await.unwrap();
    let (_, _, mut control_in) = soon("lane", accepted.accept_lane()).await.unwrap();
    let count = 192;
    entries.send_bytes(bulk().repeat(count).into()).await.unwrap();
    // The lane of entries is in the middle of its 12 MiB.
    soon("the first", entries_in.receive()).await.unwrap().unwrap();
    control.send(&notice(1)).await.unwrap();
    let mut received = 1;
    loop {
        tokio::select! {
            biased;
            heard = control_in.receive() => break assert!(heard.unwrap().is_some()),
            entry = entries_in.receive() => {
                entry.unwrap().unwrap();
                received += 1;
            }
        }
    }
    assert!(received < count * 3 / 4, "{received} of {count} entries came first");
}

#[tokio::test]
async fn a_lane_that_is_given_up_sends_no_more() {
    let authority = Authority::new();
    let ((_one, dialled), (_two, accepted)) = pair(&authority).await;
    let (mut entries, _) = dialled.open_lane(Lane::Append).await.unwrap();
    let (_, _, mut received) = soon("lane", accepted.accept_lane()).await.unwrap();
    entries.send_bytes(bulk().repeat(192).into()).await.unwrap();
    entries.reset();
    let mut count = 0;
    while let Ok(Some(_)) = soon("the end", received.receive()).await {
        count += 1;
    }
    assert!(count < 192, "what had not left was sent all the same");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let authority = Authority::new();
    let identity = authority.identity(cluster(7), 1);
    let (_one, address) = peer(identity.clone());
    let error = PeerEndpoint::bind(address, identity, PeerSettings::default()).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)));
    assert!(error.to_string().starts_with(&format!("udp {address} is in use")), "{error}");
}

#[tokio::test]
async fn a_dead_site_shows_after_the_idle_time_and_a_restarted_one_at_once() {
    let authority = Authority::new();
    for (idle_ms, restart) in [(600, false), (60_000, true)] {
        let identity = authority.identity(cluster(7), 2);
        let idle = Duration::from_millis(idle_ms);
        let settings = || PeerSettings { idle, ..PeerSettings::default() };
        let (address, die) = on_a_thread(identity.clone(), settings());
        // Sends regularly, as sites do.
        let (one, _) = peer(authority.identity(cluster(7), 1));
        let link = soon("dial", one.dial(2, address)).await.unwrap();
        die();
        if !restart {
            assert_eq!(soon("end", link.wait_closed()).await, "nothing received for the idle time");
            continue;
        }
        // Its keys are the same, so it can reset the connections that it has lost.
        let _again = PeerEndpoint::bind(address, identity, settings()).unwrap();
        let began = Instant::now();
        assert_eq!(soon("reset", link.wait_closed()).await, "the other side has restarted");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

/// A site on its own thread, and a function that kills it without closing its connections.
fn on_a_thread(identity: Identity, settings: PeerSettings) -> (SocketAddr, impl FnOnce()) {
    let (addresses, address) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let endpoint = runtime.block_on(async {
            let endpoint = PeerEndpoint::bind(loopback(), identity, settings).unwrap();
            addresses.send(endpoint.local_address().unwrap()).unwrap();
            let _link = endpoint.accept().await.unwrap();
            stopped.await.unwrap();
            endpoint
        });
        // Without its tasks it can't close its connections.
        runtime.shutdown_background();
        drop(endpoint);
    });
    let die = move || {
        stop.send(()).unwrap();
        thread.join().unwrap();
    };
    (address.recv().unwrap(), die)
}
