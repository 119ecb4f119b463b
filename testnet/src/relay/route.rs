//! The sockets between two sites: the port on which one reaches the other, and one socket per address that came there.
//!
//! A socket of its own for every source, so that the replies find their way back. None is connected: the kernel
//! then reports no refusals, and none are passed on. A site that burns sends none either.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use evenkeel_wire::id::NodeId;
use rustix::net::sockopt;
use tokio::time::Instant;

use super::lane::Lane;

/// What the kernel is asked to hold for each socket; it may give less.
const SOCKET_BYTES: usize = 8 << 20;

/// From one site to another: `from` sends to `listen`, and the relay sends on to `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutePlan {
    pub from: NodeId,
    pub to: NodeId,
    pub listen: SocketAddr,
    pub target: SocketAddr,
}

/// The port of a plan, open.
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

/// One address that came to a route, and what is on the way for it.
#[derive(Debug)]
pub(crate) struct Source {
    /// Which route, by its place.
    pub(crate) route: usize,
    pub(crate) address: SocketAddr,
    pub(crate) back: UdpSocket,
    /// Towards the route's target.
    pub(crate) there: Lane,
    /// Towards the address.
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
    // Over the system's limit where that is allowed, else up to it; less only costs datagrams.
    if sockopt::set_socket_recv_buffer_size_force(&socket, SOCKET_BYTES).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BYTES)?;
    }
    if sockopt::set_socket_send_buffer_size_force(&socket, SOCKET_BYTES).is_err() {
        sockopt::set_socket_send_buffer_size(&socket, SOCKET_BYTES)?;
    }
    Ok(socket)
}
