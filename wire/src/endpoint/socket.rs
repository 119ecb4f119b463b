//! The UDP socket of a port, with buffers large enough for bursts of datagrams.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

/// The requested size of each of the kernel's two buffers. Most losses on fast networks are due to
/// small buffers.
const BUFFER_BYTES: usize = 8 << 20;

/// Why a port can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket is bound to the address.
    #[error("udp {0} is in use: another program, or this node a second time, listens there")]
    InUse(SocketAddr),
    /// The system rejects the operation.
    #[error("udp {address} can't be opened: {error}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        error: io::Error,
    },
    /// The TLS settings can't be made from the identity.
    #[error("the certificate can't be used: {0}")]
    Tls(String),
}

impl BindError {
    pub(crate) fn new(address: SocketAddr, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::AddrInUse {
            Self::InUse(address)
        } else {
            Self::Refused { address, error }
        }
    }
}

/// Opens a socket; logs a warning if the kernel grants smaller buffers than requested.
pub(crate) fn open(address: SocketAddr) -> Result<UdpSocket, BindError> {
    let refused = |error| BindError::new(address, error);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))
        .map_err(refused)?;
    if address.is_ipv6() {
        socket.set_only_v6(false).map_err(refused)?;
    }
    let asked = socket
        .set_recv_buffer_size(BUFFER_BYTES)
        .and_then(|()| socket.set_send_buffer_size(BUFFER_BYTES));
    if let Err(error) = asked {
        tracing::debug!(%address, %error, "the socket's buffers can't be resized");
    }
    socket.bind(&address.into()).map_err(refused)?;
    let receive = granted_bytes(socket.recv_buffer_size());
    let send = granted_bytes(socket.send_buffer_size());
    if receive < BUFFER_BYTES || send < BUFFER_BYTES {
        tracing::warn!(
            %address,
            receive,
            send,
            asked = BUFFER_BYTES,
            "the kernel gives this port smaller buffers; bursts may lose datagrams: raise net.core.rmem_max and net.core.wmem_max"
        );
    }
    Ok(socket.into())
}

fn granted_bytes(size: io::Result<usize>) -> usize {
    let size = size.unwrap_or(0);
    // Linux reports twice the size, half of it for its own bookkeeping.
    if cfg!(target_os = "linux") { size / 2 } else { size }
}
