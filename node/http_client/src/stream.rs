//! Byte streams to a server: TCP, TLS over TCP, or a unix socket.
//!
//! TLS trusts the cluster's authority and no other, and requires a certificate for the dialled
//! host: a node's certificate names the host of its site.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use tower_service::Service;

use crate::address::HttpAddress;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

impl Connection for Box<dyn ByteStream> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// The authority that a TLS server's certificate must come from.
#[derive(Clone)]
pub struct TlsTrust {
    connector: TlsConnector,
}

impl TlsTrust {
    /// Trusts the authority in this PEM file.
    ///
    /// # Errors
    /// Names the file and the mistake.
    pub fn load(ca: &Path) -> Result<Self, String> {
        let name = ca.display();
        let mut roots = RootCertStore::empty();
        let certificates =
            CertificateDer::pem_file_iter(ca).map_err(|error| format!("{name}: {error}"))?;
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
        Ok(Self { connector: TlsConnector::from(Arc::new(tls)) })
    }
}

impl fmt::Debug for TlsTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTrust").finish_non_exhaustive()
    }
}

/// Where a server listens.
#[derive(Clone, Debug)]
enum Destination {
    Site(HttpAddress, TlsTrust),
    Port(SocketAddr),
    Socket(PathBuf),
}

/// Opens streams to one server.
#[derive(Clone, Debug)]
pub struct Dialler {
    destination: Arc<Destination>,
    timeout: Duration,
}

impl Dialler {
    /// To a site as client.toml names it, over TLS where the address says so.
    #[must_use]
    pub fn to_site(address: HttpAddress, trust: &TlsTrust) -> Self {
        Self::new(Destination::Site(address, trust.clone()))
    }

    /// To a TCP port, without TLS.
    #[must_use]
    pub fn to_port(address: SocketAddr) -> Self {
        Self::new(Destination::Port(address))
    }

    /// To a unix socket.
    #[must_use]
    pub fn to_socket(path: &Path) -> Self {
        Self::new(Destination::Socket(path.to_owned()))
    }

    fn new(destination: Destination) -> Self {
        Self { destination: Arc::new(destination), timeout: CONNECT_TIMEOUT }
    }

    /// The same with another connect timeout; the default is 1 s.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// What the Host header says.
    #[must_use]
    pub fn authority(&self) -> String {
        match &*self.destination {
            Destination::Site(address, _) => address.authority.clone(),
            Destination::Port(address) => address.to_string(),
            Destination::Socket(_) => "admin".to_owned(),
        }
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// When no server answers in time, or its certificate isn't trusted.
    pub async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        timeout(self.timeout, self.destination.connect())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Destination {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let tcp = match self {
            Self::Socket(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Port(address) => TcpStream::connect(address).await?,
            Self::Site(address, _) => {
                TcpStream::connect((address.host.as_str(), address.port)).await?
            }
        };
        tcp.set_nodelay(true)?;
        match self {
            Self::Site(HttpAddress { host, tls: true, .. }, trust) => {
                let host = ServerName::try_from(host.clone())
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
                Ok(Box::new(trust.connector.connect(host, tcp).await?))
            }
            _ => Ok(Box::new(tcp)),
        }
    }
}

/// Opens the pool's connections. The URI is always that of the one server.
impl Service<Uri> for Dialler {
    type Response = TokioIo<Box<dyn ByteStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialler = self.clone();
        Box::pin(async move { dialler.dial().await.map(TokioIo::new) })
    }
}
