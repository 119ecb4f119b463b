//! The relay over real sockets: forwarding, delay, throughput and cuts.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    thread,
    time::Duration,
};

use evenkeel_testnet::relay::{self, Control, Cut, LinkConditions, Order, RoutePlan};
use tempfile::TempDir;
use tokio::time::Instant;

const A: u64 = 1;
const B: u64 = 2;

/// Two sites and a relay between them.
struct World {
    a: UdpSocket,
    b: UdpSocket,
    /// The address at which A reaches B.
    to_b: SocketAddr,
    control: Control,
    _folder: TempDir,
}

fn world() -> World {
    let folder = TempDir::new().unwrap();
    let path: PathBuf = folder.path().join("control.sock");
    let (a, b) = (site(), site());
    let to_b = free_port();
    let plan = RoutePlan { from: A, to: B, listen: to_b, target: b.local_addr().unwrap() };
    let socket = path.clone();
    thread::spawn(move || relay::run(&[plan], &socket, 7).unwrap());
    let control = Control::new(path);
    let start = Instant::now();
    while control.order(Order::Tell).is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "the relay doesn't start");
        thread::sleep(Duration::from_millis(2));
    }
    World { a, b, to_b, control, _folder: folder }
}

fn site() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    socket
}

fn free_port() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl World {
    fn cut(&self, node: u64, incoming: bool, outgoing: bool) {
        self.control.order(Order::Cut { node, cut: Cut { incoming, outgoing } }).unwrap();
    }

    fn heal(&self, node: u64) {
        let cut = Cut { incoming: true, outgoing: true };
        self.control.order(Order::Heal { node, cut }).unwrap();
    }

    fn link(&self, rtt_ms: u64, jitter_ms: u64, loss_ppm: u32) {
        self.control
            .order(Order::Link(LinkConditions { rtt_ms, jitter_ms, loss_ppm, rate: None }))
            .unwrap();
    }

    /// Sends from A; the address that B must reply to, if it arrived.
    fn there(&self, text: &[u8]) -> Option<SocketAddr> {
        self.a.send_to(text, self.to_b).unwrap();
        let (bytes, from) = receive(&self.b)?;
        assert_eq!(bytes, text);
        Some(from)
    }

    /// Sends from B; whether it arrived at A.
    fn home(&self, text: &[u8], to: SocketAddr) -> bool {
        self.b.send_to(text, to).unwrap();
        receive(&self.a).is_some_and(|(bytes, from)| bytes == text && from == self.to_b)
    }
}

fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = vec![0; 65_536];
    match socket.recv_from(&mut buffer) {
        Ok((bytes, from)) => Some((buffer[..bytes].to_vec(), from)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn datagrams_go_there_and_home_and_each_source_gets_its_own_replies() {
    let world = world();
    let from = world.there(b"hello").unwrap();
    assert!(world.home(b"welcome", from));

    let other = site();
    other.send_to(b"hello from elsewhere", world.to_b).unwrap();
    let (_, other_from) = receive(&world.b).unwrap();
    assert_ne!(other_from, from);
    world.b.send_to(b"welcome, other", other_from).unwrap();
    assert_eq!(receive(&other).unwrap().0, b"welcome, other");
    assert!(receive(&world.a).is_none());

    // Only the site itself may reply.
    other.send_to(b"forged", from).unwrap();
    assert!(receive(&world.a).is_none());
}

#[test]
fn a_cut_has_a_direction_and_holds_from_its_answer_on() {
    let world = world();
    let from = world.there(b"open").unwrap();

    world.cut(B, true, false);
    assert!(world.there(b"into b").is_none());
    assert!(world.home(b"out of b", from));
    world.heal(B);
    assert!(world.there(b"open again").is_some());

    world.cut(B, false, true);
    assert!(world.there(b"into b").is_some());
    assert!(!world.home(b"out of b", from));
    world.heal(B);

    world.cut(A, true, true);
    assert!(world.there(b"out of a").is_none());
    assert!(!world.home(b"into a", from));
    let state = world.control.order(Order::Tell).unwrap();
    assert_eq!(state.counts.cut, 4);
    world.heal(A);
    assert!(world.home(b"open again", from));
}

#[test]
fn what_is_on_its_way_when_the_site_is_cut_is_lost() {
    let world = world();
    world.link(100, 0, 0);
    world.a.send_to(b"too late", world.to_b).unwrap();
    thread::sleep(Duration::from_millis(10));
    world.cut(B, true, false);
    assert!(receive(&world.b).is_none());
}

#[test]
fn a_link_takes_its_round_trip_and_jitter_keeps_the_order() {
    let world = world();
    world.link(40, 0, 0);
    let start = Instant::now();
    let from = world.there(b"ping").unwrap();
    let one_way = start.elapsed();
    assert!(world.home(b"pong", from));
    let round_trip = start.elapsed();
    let ms = Duration::from_millis;
    assert!((ms(20)..ms(35)).contains(&one_way), "{one_way:?} one way");
    assert!((ms(40)..ms(60)).contains(&round_trip), "{round_trip:?} there and home");

    world.link(2, 20, 0);
    for number in 0..200_u32 {
        world.a.send_to(&number.to_le_bytes(), world.to_b).unwrap();
        thread::sleep(Duration::from_micros(100));
    }
    for number in 0..200_u32 {
        assert_eq!(receive(&world.b).unwrap().0, number.to_le_bytes());
    }
}

#[test]
fn a_link_loses_its_share() {
    let world = world();
    world.link(0, 0, 200_000);
    let (mut sent, mut came) = (0, 0);
    while sent < 2_000 {
        for _ in 0..20 {
            world.a.send_to(b"maybe", world.to_b).unwrap();
            sent += 1;
        }
        // In small groups, so that no socket overflows.
        let told = world.control.order(Order::Tell).unwrap().counts;
        came = told.forwarded;
    }
    let all = wait_for_all(&world, sent);
    came = came.max(all);
    assert!((1_500..1_700).contains(&came), "{came} of {sent} came through 20 % of loss");
}

fn wait_for_all(world: &World, sent: u64) -> u64 {
    let start = Instant::now();
    loop {
        let counts = world.control.order(Order::Tell).unwrap().counts;
        if counts.forwarded + counts.lost + counts.overflowed == sent {
            return counts.forwarded;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{counts:?} of {sent}");
    }
}

#[test]
fn a_dead_site_is_silent_no_refusal_comes_back() {
    let world = world();
    let plan_target_is_gone = world.b.local_addr().unwrap();
    let World { a, b, to_b, control, _folder } = world;
    drop(b);
    for _ in 0..5 {
        a.send_to(b"anyone?", to_b).unwrap();
        assert!(receive(&a).is_none());
    }
    // The relay keeps working when the site is back on its port.
    let b = UdpSocket::bind(plan_target_is_gone).unwrap();
    b.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    a.send_to(b"welcome back", to_b).unwrap();
    assert_eq!(receive(&b).unwrap().0, b"welcome back");
    assert!(control.order(Order::Tell).is_ok());
}

#[test]
fn a_link_beyond_its_bounds_is_refused() {
    let world = world();
    let link = LinkConditions { rtt_ms: 60_001, jitter_ms: 0, loss_ppm: 0, rate: None };
    let error = world.control.order(Order::Link(link)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

/// The bound is low because the test runs unoptimised and in parallel; the figure is printed.
#[test]
fn it_carries_a_cluster_under_load() {
    let world = world();
    // Groups of 50 fit into the default buffer of the receiving socket.
    let bytes = vec![7; 1_452];
    let rounds = 600_u64;
    let start = Instant::now();
    let mut buffer = vec![0; 2_048];
    world.b.set_nonblocking(true).unwrap();
    let mut came = 0_u64;
    for round in 1..=rounds {
        for _ in 0..50 {
            world.a.send_to(&bytes, world.to_b).unwrap();
        }
        while came < round * 50 {
            if world.b.recv_from(&mut buffer).is_ok() {
                came += 1;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{came} of {}", round * 50);
        }
    }
    let us = u64::try_from(start.elapsed().as_micros()).unwrap();
    let megabytes_per_second = came * 1_452 / us;
    println!("{megabytes_per_second} MB/s in {came} datagrams");
    assert!(megabytes_per_second >= 20);
}
