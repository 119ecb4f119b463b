//! Connects to a node: the handshake, and the check of its identity.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, TransportConfig,
    crypto::rustls::QuicClientConfig,
};
use rustls::pki_types::CertificateDer;

use super::{
    link::{Link, explain_close},
    socket,
    socket::BindError,
};
use crate::{
    id::NodeId,
    identity::{SERVER_NAME, Subject, Trust},
    version::ALPN_CLIENT,
};

/// Why a node can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No answer in time.
    #[error("{0} doesn't answer")]
    Silent(SocketAddr),
    /// The handshake failed: the reason names certificate, protocol or network.
    #[error("{address}: {reason}")]
    Failed {
        /// The address.
        address: SocketAddr,
        /// The reason.
        reason: String,
    },
    /// Another node of the cluster answered.
    #[error("{address} is node {found}, not node {dialled}")]
    OtherNode {
        /// The address.
        address: SocketAddr,
        /// The node that was dialled.
        dialled: NodeId,
        /// The node that answered.
        found: NodeId,
    },
}

/// Dials from one endpoint, with fixed settings.
#[derive(Clone, Debug)]
pub(crate) struct Dialler {
    endpoint: Endpoint,
    config: ClientConfig,
    handshake: Duration,
}

impl Dialler {
    pub(crate) fn new(
        endpoint: Endpoint,
        tls: rustls::ClientConfig,
        transport: Arc<TransportConfig>,
        handshake: Duration,
    ) -> Self {
        let tls = QuicClientConfig::try_from(tls).expect("ring has QUIC's initial cipher suite");
        let mut config = ClientConfig::new(Arc::new(tls));
        config.transport_config(transport);
        Self { endpoint, config, handshake }
    }

    /// A dialler for a client of the cluster, on its own port, chosen by the system, that accepts
    /// no connections.
    pub(crate) fn for_client(
        trust: &Trust,
        ipv6: bool,
        transport: Arc<TransportConfig>,
        handshake: Duration,
    ) -> Result<Self, BindError> {
        let any: IpAddr =
            if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let listen = SocketAddr::new(any, 0);
        let socket = socket::open(listen)?;
        let runtime = quinn::default_runtime().expect("a client runs on tokio's runtime");
        let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, runtime)
            .map_err(|error| BindError::new(listen, error))?;
        let tls = trust.client_tls(ALPN_CLIENT);
        Ok(Self::new(endpoint, tls, transport, handshake))
    }

    /// Connects, and checks that the other end is this node.
    pub(crate) async fn dial(&self, node: NodeId, address: SocketAddr) -> Result<Link, DialError> {
        let failed = |reason: String| DialError::Failed { address, reason };
        let connecting = self
            .endpoint
            .connect_with(self.config.clone(), address, SERVER_NAME)
            .map_err(|error| failed(error.to_string()))?;
        let connection = tokio::time::timeout(self.handshake, connecting)
            .await
            .map_err(|_| DialError::Silent(address))?
            .map_err(|error| match error {
                quinn::ConnectionError::TimedOut => DialError::Silent(address),
                other => failed(explain_close(&other)),
            })?;
        let link = Link::new(connection, None);
        let found = subject_of(&link.connection).map_err(failed)?.node;
        if found != node {
            link.close("another node was meant");
            return Err(DialError::OtherNode { address, dialled: node, found });
        }
        Ok(link)
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// The subject of the other side's certificate, which was verified during the handshake.
pub(crate) fn subject_of(connection: &Connection) -> Result<Subject, String> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .ok_or("it shows no certificate")?;
    let own = chain.first().ok_or("it shows no certificate")?;
    Subject::from_certificate(own).map_err(|error| error.to_string())
}
