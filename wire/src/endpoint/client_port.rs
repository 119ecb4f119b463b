//! The port for clients.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use quinn::{Connection, VarInt};

use super::{
    acceptor::{Acceptor, Bounds, PortRules},
    frames::{FrameReceiver, FrameSender},
    link::{Link, Place},
    peer_port::{open_port, three_quarters},
    short_tasks::ShortTasks,
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
        let connections = SlotPool::new(settings.connections_max, settings.connections_per_address);
        let handshakes = settings.handshakes_max;
        let bounds = Bounds {
            handshake: settings.handshake,
            handshakes: ShortTasks::new(handshakes, three_quarters(handshakes)),
            rules: ByAddress(connections.clone()),
        };
        let acceptor = Acceptor::start(endpoint.clone(), bounds);
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

/// Clients are bounded by address. Their keys are checked by the reader of their first frame.
struct ByAddress(SlotPool);

impl PortRules for ByAddress {
    type Who = ();

    fn take_place(&self, address: IpAddr) -> Result<Option<Place>, &'static str> {
        let slot = self.0.take_slot(address).ok_or("no slot is free")?;
        Ok(Some(Box::new(slot)))
    }

    fn check(&self, _connection: &Connection) -> Result<((), Option<Place>), String> {
        Ok(((), None))
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
