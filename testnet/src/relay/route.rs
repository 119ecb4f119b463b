//! The sockets between two sites: the port at which one reaches the other, and one socket per
//! source address.
//!
//! Each source has its own socket, so that replies can be routed back to it. No socket is
//! connected: the kernel then reports no ICMP port-unreachable, and none is passed on. A dead site
//! sends none either.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use evenkeel_wire::id::NodeId;
use rustix::net::sockopt;
use tokio::time::Instant;

use super::lane::Lane;

/// The buffer size requested for each socket; the kernel may grant less.
const SOCKET_BYTES: usize = 8 << 20;

/// One direction between two sites: `from` sends to `listen`, and the relay forwards to `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutePlan {
    pub from: NodeId,
    pub to: NodeId,
    pub listen: SocketAddr,
    pub target: SocketAddr,
}

/// The open port of a plan.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) plan: RoutePlan,
    pub(crate) front: UdpSocket,
}

impl Route {
    pub(crate) fn open(plan: RoutePlan) -> io::Result<Self> {
        Ok(Self { plan, front: bind_socket(plan.listen)? })
    }
}

/// One source address of a route, and its datagrams in flight.
#[derive(Debug)]
pub(crate) struct Source {
    /// The route's index.
    pub(crate) route: usize,
    pub(crate) address: SocketAddr,
    pub(crate) back: UdpSocket,
    /// Towards the route's target.
    pub(crate) there: Lane,
    /// Towards the source address.
    pub(crate) home: Lane,
    pub(crate) used: Instant,
}

impl Source {
    pub(crate) fn open(route: usize, address: SocketAddr, now: Instant) -> io::Result<Self> {
        let back = bind_socket((Ipv4Addr::LOCALHOST, 0).into())?;
        let (there, home) = (Lane::new(now), Lane::new(now));
        Ok(Self { route, address, back, there, home, used: now })
    }
}

fn bind_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("udp {address}: {error}")))?;
    socket.set_nonblocking(true)?;
    // Beyond the system's limit if permitted, otherwise up to it; a smaller buffer only costs
    // datagrams.
    if sockopt::set_socket_recv_buffer_size_force(&socket, SOCKET_BYTES).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BYTES)?;
    }
    if sockopt::set_socket_send_buffer_size_force(&socket, SOCKET_BYTES).is_err() {
        sockopt::set_socket_send_buffer_size(&socket, SOCKET_BYTES)?;
    }
    Ok(socket)
}
