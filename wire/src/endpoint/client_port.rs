//! The port for clients.

use std::{io, net::SocketAddr, sync::Arc};

use quinn::VarInt;

use super::{
    acceptor::{Acceptor, Bounds},
    frames::{FrameReceiver, FrameSender},
    link::Link,
    peer_port::{open_port, three_quarters},
    slots::SlotPool,
    socket::BindError,
    transport::{self, CLIENT_WINDOW, ClientSettings},
};
use crate::{identity::Identity, version::ALPN_CLIENT};

/// A node's port for clients.
#[derive(Debug)]
pub struct ClientEndpoint {
    endpoint: quinn::Endpoint,
    acceptor: Acceptor<()>,
    connections: SlotPool,
}

impl ClientEndpoint {
    /// Opens the port. Requires tokio's runtime, on which all its tasks run.
    ///
    /// # Errors
    /// If the port is in use or can't be opened, or the certificate can't be used.
    pub fn bind(
        listen: SocketAddr,
        identity: Identity,
        settings: ClientSettings,
    ) -> Result<Self, BindError> {
        let tls = identity
            .client_port_tls(ALPN_CLIENT)
            .map_err(|error| BindError::Tls(error.to_string()))?;
        let endpoint =
            open_port(listen, &identity, "client", tls, transport::to_clients(&settings))?;
        let places = |all: usize| SlotPool::new(all, three_quarters(all));
        let connections = places(settings.connections_max);
        let bounds = Bounds {
            handshake: settings.handshake,
            handshakes: places(settings.handshakes_max),
            connections: connections.clone(),
        };
        let acceptor = Acceptor::start(endpoint.clone(), bounds, |_| Ok(()));
        Ok(Self { endpoint, acceptor, connections })
    }

    /// The local address.
    ///
    /// # Errors
    /// If the system doesn't report it.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Returns the next connection; the client isn't authenticated yet. `None` when the port is
    /// closed.
    pub async fn accept(&self) -> Option<ClientLink> {
        let ((), link) = self.acceptor.next().await?;
        Some(ClientLink { link: Arc::new(link) })
    }

    /// The number of refused connections so far.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.acceptor.refused_count()
    }

    /// The number of open connections.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.taken_count()
    }

    /// Closes the port and all of its connections.
    pub fn close(&self) {
        self.endpoint.close(VarInt::from_u32(0), b"the node is shutting down");
    }

    /// Waits until all connections are closed. The caller must bound the wait.
    pub async fn wait_closed(&self) {
        self.endpoint.wait_idle().await;
    }
}

impl Drop for ClientEndpoint {
    fn drop(&mut self) {
        self.close();
    }
}

/// A client's connection. It closes, with its streams, when the last of its clones is dropped.
#[derive(Clone, Debug)]
pub struct ClientLink {
    link: Arc<Link>,
}

impl ClientLink {
    /// Returns the next stream opened by the client.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn accept_lane(&self) -> io::Result<(FrameSender, FrameReceiver)> {
        let (send, receive) = self.link.connection.accept_bi().await?;
        Ok((FrameSender::new(send), FrameReceiver::new(receive)))
    }

    /// Widens the receive window after the client's key was accepted, from 64 KiB to a size
    /// sufficient for its requests.
    pub fn widen_window(&self) {
        self.link.connection.set_receive_window(VarInt::from_u32(CLIENT_WINDOW));
    }

    /// The address at the other end.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.link.remote_address()
    }

    /// Closes the connection and sends the reason to the client.
    pub fn close(&self, why: &str) {
        self.link.close(why);
    }

    /// Waits until the connection is closed; returns the reason.
    pub async fn wait_closed(&self) -> String {
        self.link.wait_closed().await
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.link.is_closed()
    }
}
