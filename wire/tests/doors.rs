//! The clients' port against floods, stalled handshakes and clients that send too much before
//! authentication.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use evenkeel_wire::{
    endpoint::{ClientEndpoint, ClientSettings},
    frame,
    limits::FRAME_BYTES_MAX,
    version::ALPN_CLIENT,
};
use support::{Authority, cluster, credulous, loopback, soon};

fn port(authority: &Authority, settings: ClientSettings) -> (ClientEndpoint, SocketAddr) {
    let identity = authority.identity(cluster(7), 1);
    let endpoint = ClientEndpoint::bind(loopback(), identity, settings).unwrap();
    let address = endpoint.local_address().unwrap();
    (endpoint, address)
}

async fn connect(
    address: SocketAddr,
) -> Result<(quinn::Endpoint, quinn::Connection), quinn::ConnectionError> {
    let endpoint = quinn::Endpoint::client(loopback()).unwrap();
    let config = credulous::config(None, ALPN_CLIENT);
    let connection = endpoint.connect_with(config, address, "evenkeel").unwrap().await?;
    Ok((endpoint, connection))
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(what, wait).await;
}

#[tokio::test]
async fn a_flood_from_one_address_is_bounded_and_places_come_back() {
    let authority = Authority::new();
    let settings = ClientSettings {
        connections_max: 8,
        connections_per_address: 6,
        ..ClientSettings::default()
    };
    let (port, address) = port(&authority, settings);
    let mut inside = Vec::new();
    let mut refused = 0;
    for _ in 0..20 {
        match soon("connect", connect(address)).await {
            Ok(connection) => {
                inside.push((connection, soon("accept", port.accept()).await.unwrap()))
            }
            Err(error) => {
                assert!(matches!(error, quinn::ConnectionError::ConnectionClosed(_)), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!((inside.len(), refused, port.connection_count()), (6, 14, 6), "of one address");
    assert_eq!(port.refused_count(), 14);
    inside.truncate(2);
    until("places", || port.connection_count() == 2).await;
    assert!(soon("connect", connect(address)).await.is_ok());
}

#[tokio::test]
async fn a_handshake_that_stops_halfway_is_given_up() {
    let authority = Authority::new();
    let settings =
        ClientSettings { handshake: Duration::from_millis(300), ..ClientSettings::default() };
    let (port, address) = port(&authority, settings);
    let (relay, stop) = relay_that_loses_all_but(2, address);
    let attempt = tokio::spawn(connect(relay));
    until("the slot is taken", || port.connection_count() == 1).await;
    until("the slot is freed", || port.connection_count() == 0).await;
    assert_eq!(port.refused_count(), 1);
    attempt.abort();
    stop();
    assert!(soon("connect", connect(address)).await.is_ok(), "others get in");
}

/// Handshakes that stall don't lock others out: they end for newer ones long before their time.
#[tokio::test]
async fn stalled_handshakes_end_for_new_ones() {
    let authority = Authority::new();
    let settings = ClientSettings {
        handshakes_max: 4,
        handshake: Duration::from_secs(60),
        ..ClientSettings::default()
    };
    let (port, address) = port(&authority, settings);
    let mut stalled = Vec::new();
    for _ in 0..6 {
        let (relay, stop) = relay_that_loses_all_but(2, address);
        stalled.push((tokio::spawn(connect(relay)), stop));
    }
    // Three of one address stall at a time.
    until("they stall", || (port.connection_count(), port.refused_count()) == (3, 3)).await;
    assert!(soon("connect", connect(address)).await.is_ok());
    for (attempt, stop) in stalled {
        attempt.abort();
        stop();
    }
}

/// Forwards this many datagrams to the port (the first proves nothing, the second the address), and
/// all datagrams back.
fn relay_that_loses_all_but(through: usize, port: SocketAddr) -> (SocketAddr, impl FnOnce()) {
    let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
    let inside = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = outside.local_addr().unwrap();
    for socket in [&outside, &inside] {
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    }
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let relay = thread::spawn(move || {
        let (mut buffer, mut passed, mut client) = ([0; 2_000], 0, None);
        while stopped.try_recv().is_err() {
            if let Ok((length, from)) = outside.recv_from(&mut buffer) {
                client = Some(from);
                passed += 1;
                if passed <= through {
                    inside.send_to(&buffer[..length], port).unwrap();
                }
            }
            if let (Ok(length), Some(client)) = (inside.recv(&mut buffer), client) {
                outside.send_to(&buffer[..length], client).unwrap();
            }
        }
    });
    let stop = move || {
        stop.send(()).unwrap();
        relay.join().unwrap();
    };
    (address, stop)
}

#[tokio::test]
async fn a_stranger_cannot_fill_our_memory_and_a_client_can_send_its_largest_request() {
    let authority = Authority::new();
    let (port, address) = port(&authority, ClientSettings::default());
    let (_endpoint, connection) = soon("connect", connect(address)).await.unwrap();
    let link = soon("accept", port.accept()).await.unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    let mut request = Vec::new();
    let at = frame::start(&mut request, 2);
    request.resize(FRAME_BYTES_MAX, 0);
    frame::finish(&mut request, at);

    let mut written = 0;
    let stuck = async {
        loop {
            written += send.write(&request[written..]).await.unwrap();
        }
    };
    let waited = tokio::time::timeout(Duration::from_millis(300), stuck).await;
    assert!(waited.is_err());
    assert_eq!(written, 64 << 10);

    link.widen_window();
    let (_sender, mut receiver) = soon("stream", link.accept_lane()).await.unwrap();
    let rest = request[written..].to_vec();
    let writer = tokio::spawn(async move { send.write_all(&rest).await });
    let frame = soon("the request", receiver.receive()).await.unwrap().unwrap();
    assert_eq!(frame.body.len(), FRAME_BYTES_MAX - frame::HEAD_BYTES);
    soon("writer", writer).await.unwrap().unwrap();
}

#[tokio::test]
async fn streams_of_one_client_are_bounded_and_other_kinds_refused() {
    let authority = Authority::new();
    let (port, address) = port(&authority, ClientSettings::default());
    let (_endpoint, connection) = soon("connect", connect(address)).await.unwrap();
    let _link = soon("accept", port.accept()).await.unwrap();
    let mut open = Vec::new();
    let bounded = tokio::time::timeout(Duration::from_millis(200), async {
        loop {
            open.push(connection.open_bi().await.unwrap());
        }
    });
    assert!(bounded.await.is_err());
    assert_eq!(open.len(), 2);
    let one_way = tokio::time::timeout(Duration::from_millis(100), connection.open_uni()).await;
    assert!(one_way.is_err(), "unidirectional streams aren't supported");
    assert!(connection.max_datagram_size().is_none(), "nor are datagrams");
}
