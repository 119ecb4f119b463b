//! Two sites' peer ports with the relay between them, as in the testnet: links are made, carry
//! data, break by a cut, and are made again.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use evenkeel_node::{config::Member, replication::peers::quic::QuicTransport};
use evenkeel_testnet::relay::{self, Control, Cut, LinkConditions, Order, RoutePlan};
use evenkeel_wire::{
    endpoint::{PeerEndpoint, PeerLink, PeerSettings},
    frame,
    id::ClusterId,
    identity::Identity,
    peer::Lane,
};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ED25519, SanType,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

const CLUSTER: ClusterId = ClusterId([7; 16]);
const IDLE: Duration = Duration::from_secs(2);
const BOTH: Cut = Cut { incoming: true, outgoing: true };

struct World {
    a: PeerEndpoint,
    b: PeerEndpoint,
    /// The address at which A reaches B.
    to_b: SocketAddr,
    control: Control,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let [a, b] = identities(folder.path()).map(|identity| {
            let settings = PeerSettings { idle: IDLE, ..PeerSettings::default() };
            PeerEndpoint::bind("127.0.0.1:0".parse().unwrap(), identity, settings).unwrap()
        });
        let to_b = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let plan = RoutePlan { from: 1, to: 2, listen: to_b, target: b.local_address().unwrap() };
        let socket = folder.path().join("control.sock");
        let control = Control::new(socket.clone());
        thread::spawn(move || relay::run(&[plan], &socket, 7).unwrap());
        while control.order(Order::Tell).is_err() {
            thread::sleep(Duration::from_millis(2));
        }
        Self { a, b, to_b, control, _folder: folder }
    }

    /// A's end and B's.
    async fn link(&self) -> (PeerLink, PeerLink) {
        let both = async { tokio::join!(self.a.dial(2, self.to_b), self.b.accept()) };
        let (dialled, accepted) = timeout(Duration::from_secs(5), both).await.unwrap();
        (dialled.unwrap(), accepted.unwrap())
    }

    fn order(&self, order: Order) {
        self.control.order(order).unwrap();
    }
}

/// Identities of nodes 1 and 2, from one authority.
fn identities(folder: &Path) -> [Identity; 2] {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca = folder.join("ca.pem");
    fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    [1, 2].map(|node| {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let uri = format!("evenkeel://{CLUSTER}/node/{node}");
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().unwrap())];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let [pem, secret] = ["pem", "key"].map(|end| folder.join(format!("node{node}.{end}")));
        fs::write(&pem, certificate.pem()).unwrap();
        fs::write(&secret, key.serialize_pem()).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        Identity::load_node(&ca, &pem, &secret).unwrap()
    })
}

/// One frame with this many bytes.
fn frame_of(bytes: usize) -> Vec<u8> {
    let mut buffer = Vec::new();
    let at = frame::start(&mut buffer, 9);
    buffer.resize(buffer.len() + bytes, 7);
    frame::finish(&mut buffer, at);
    buffer
}

#[tokio::test]
async fn a_cut_site_loses_its_links_and_gets_new_ones_when_it_is_healed() {
    let world = World::new();
    for cut in
        [BOTH, Cut { incoming: true, outgoing: false }, Cut { incoming: false, outgoing: true }]
    {
        let (dialled, accepted) = world.link().await;
        world.order(Order::Cut { node: 2, cut });
        let start = Instant::now();
        let both = async { tokio::join!(dialled.wait_closed(), accepted.wait_closed()) };
        timeout(IDLE * 3, both).await.unwrap();
        assert!(start.elapsed() > IDLE / 2, "no close frame may pass: {:?}", start.elapsed());
        world.order(Order::Heal { node: 2, cut: BOTH });
    }
    world.link().await;
}

#[tokio::test]
async fn a_link_measures_the_round_trip_that_the_relay_adds() {
    let world = World::new();
    world.order(Order::Link(LinkConditions { rtt_ms: 30, jitter_ms: 0, loss_ppm: 0, rate: None }));
    let (dialled, _accepted) = world.link().await;
    sleep(Duration::from_millis(200)).await;
    let rtt = dialled.round_trip_time();
    assert!((Duration::from_millis(29)..Duration::from_millis(80)).contains(&rtt), "{rtt:?}");
}

#[tokio::test]
async fn everything_arrives_over_a_link_that_loses_and_shakes() {
    let world = World::new();
    world.order(Order::Link(LinkConditions {
        rtt_ms: 4,
        jitter_ms: 3,
        loss_ppm: 20_000,
        rate: None,
    }));
    assert_eq!(carry(&world, 20, 50_000).await.0, 20);
}

/// The measured figure is only printed; the bound is low, since tests run unoptimised and in
/// parallel.
#[tokio::test]
async fn it_carries_the_tail_of_a_busy_journal() {
    let world = World::new();
    let (frames, took) = carry(&world, 64, 1 << 20).await;
    let counts = world.control.order(Order::Tell).unwrap().counts;
    let us = u64::try_from(took.as_micros()).unwrap();
    let megabytes_per_second = (frames << 20) / us;
    evenkeel_testnet::output::print_progress(&format!(
        "{megabytes_per_second} MB/s of QUIC, {counts:?}"
    ));
    assert!(megabytes_per_second >= 5);
}

/// Background: a follower reported a healthy other follower as unreachable, because it had never
/// dialled it and only had an old observation from its time as primary. An idle connection shows
/// whether the other site is reachable.
#[tokio::test]
async fn a_connection_that_carries_nothing_tells_whether_the_other_site_is_there() {
    let World { a, b, to_b, control, _folder } = World::new();
    let address = to_b.to_string().parse().unwrap();
    let b_as_seen =
        Member { node: 2, site: "b".into(), peer: address, client: "b:1".parse().unwrap() };
    let transport = QuicTransport::new(Arc::new(a), &[b_as_seen]);
    let accepting = tokio::spawn(async move {
        let mut links = Vec::new();
        while let Some(link) = b.accept().await {
            links.push(link);
        }
    });
    assert_eq!(transport.rtt(2), None);
    transport.ensure_connected(2).await.unwrap();
    sleep(IDLE * 2).await;
    assert!(transport.rtt(2).is_some(), "keepalive keeps it open");
    control.order(Order::Cut { node: 2, cut: BOTH }).unwrap();
    let gone = async {
        while transport.rtt(2).is_some() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(IDLE * 3, gone).await.expect("the connection ends with the site");
    let dial = timeout(Duration::from_millis(250), transport.ensure_connected(2)).await;
    assert!(!matches!(dial, Ok(Ok(()))) && transport.rtt(2).is_none());
    control.order(Order::Heal { node: 2, cut: BOTH }).unwrap();
    transport.ensure_connected(2).await.unwrap();
    assert!(transport.rtt(2).is_some());
    accepting.abort();
}

/// Sends frames from A to B; returns how many arrived, and the time it took.
async fn carry(world: &World, frames: u64, bytes: usize) -> (u64, Duration) {
    let (dialled, accepted) = world.link().await;
    let (mut sender, _answers) = dialled.open_lane(Lane::Append).await.unwrap();
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        let frame = frame_of(bytes);
        for _ in 0..frames {
            sender.send(&frame).await.unwrap();
        }
        sender
    });
    let (lane, _sender, mut receiver) = accepted.accept_lane().await.unwrap();
    assert_eq!(lane, Lane::Append);
    let mut came = 0;
    while came < frames {
        let received = timeout(Duration::from_secs(20), receiver.receive()).await.unwrap();
        assert_eq!(received.unwrap().unwrap().body.len(), bytes);
        came += 1;
    }
    drop(sending.await.unwrap());
    (came, start.elapsed())
}
