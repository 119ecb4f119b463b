//! Byte streams to a site: TCP, and TLS over it where client.toml says `https`.
//!
//! TLS trusts the cluster's authority and no other, and asks for the host that client.toml names: a node's certificate names
//! the host of its site.

use std::{io, sync::Arc, time::Duration};

use evenkeel_wire::client::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::address::HttpAddress;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes both ways.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Opens streams to sites.
#[derive(Clone)]
pub(crate) struct Dialler {
    tls: TlsConnector,
}

impl Dialler {
    /// That trusts the authority of client.toml.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, String> {
        let name = config.ca.display();
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(&config.ca)
            .map_err(|error| format!("{name}: {error}"))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| format!("{name}: {error}"))?;
            roots.add(certificate).map_err(|error| format!("{name}: {error}"))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| format!("TLS: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)) })
    }

    /// # Errors
    /// When nobody answers there, or not as whoever should.
    pub(crate) async fn dial(&self, address: &HttpAddress) -> io::Result<Box<dyn ByteStream>> {
        timeout(CONNECT_TIMEOUT, self.connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn connect(&self, address: &HttpAddress) -> io::Result<Box<dyn ByteStream>> {
        let tcp = TcpStream::connect((address.host.as_str(), address.port)).await?;
        tcp.set_nodelay(true)?;
        if !address.tls {
            return Ok(Box::new(tcp));
        }
        let host = ServerName::try_from(address.host.clone())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Box::new(self.tls.connect(host, tcp).await?))
    }
}
