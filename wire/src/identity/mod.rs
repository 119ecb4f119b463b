//! Identities: a site's certificate and key, the trusted authority, and the TLS settings.
//!
//! A node's certificate names cluster and node in a URI, `evenkeel://<cluster>/node/<id>`; only
//! this URI identifies the node. TLS 1.3 only (RFC 8446), no early data (it could be replayed), no
//! resumption.
//!
//! Errors name the file and the reason. Keys are never printed and never logged.
//!
//! - `files`: reads PEM files.
//! - `subject`: the cluster and node in a certificate.
//! - `verifier`: checks certificates during handshakes.

mod files;
mod subject;
mod verifier;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    client::{danger::ServerCertVerifier, verify_server_cert_signed_by_trust_anchor},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime},
    server::{ParsedCertificate, danger::ClientCertVerifier},
};

use crate::id::{ClusterId, NodeId};
use files::{read_certificates, read_private_key};
use subject::expiry;
pub use subject::{Subject, SubjectError};
use verifier::{ClientVerifier, ServerVerifier};

/// The TLS server name that a dialler sends; the node is identified by its certificate's URI.
pub(crate) const SERVER_NAME: &str = "evenkeel";

/// Why an identity can't be loaded from its files.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file can't be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The key's file is readable by others than its owner.
    #[error("{}: a private key that others can read (mode {mode:03o}); make it 600", path.display())]
    KeyReadable {
        /// The key's file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file's content is invalid.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The reason.
        what: String,
    },
    /// The certificate isn't valid now, or isn't signed by this authority.
    #[error("{}: not valid under {}: {reason}", path.display(), ca.display())]
    NotValid {
        /// The certificate's file.
        path: PathBuf,
        /// The authority's file.
        ca: PathBuf,
        /// The reason: expired, not yet valid, signed by another authority …
        reason: String,
    },
    /// The certificate is for another node or cluster.
    #[error("{}: it's for {found}, not for {expected}", path.display())]
    Other {
        /// The certificate's file.
        path: PathBuf,
        /// The subject in the certificate.
        found: Subject,
        /// The expected subject.
        expected: Subject,
    },
}

impl IdentityError {
    fn content_error(path: &Path, what: impl Into<String>) -> Self {
        Self::Content { path: path.into(), what: what.into() }
    }
}

/// What a client trusts: the authority, and the cluster to connect to.
#[derive(Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    cluster: ClusterId,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    /// Loads the authority's certificates (one or, during a change of authority, several) from a
    /// PEM file.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub fn load(ca: &Path, cluster: ClusterId) -> Result<Self, IdentityError> {
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(ca)? {
            roots.add(certificate).map_err(|error| {
                IdentityError::content_error(ca, format!("no authority: {error}"))
            })?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(Self { roots: Arc::new(roots), cluster, provider })
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    fn server_verifier(&self) -> Arc<dyn ServerCertVerifier> {
        Arc::new(ServerVerifier::new(self.clone()))
    }

    fn verify_chain(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(certificate)?,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )
    }

    /// TLS settings for a client without a certificate.
    pub(crate) fn client_tls(&self, alpn: &[u8]) -> rustls::ClientConfig {
        let mut tls = client_builder(&self.provider, self.server_verifier()).with_no_client_auth();
        tls.alpn_protocols = vec![alpn.to_vec()];
        tls.resumption = rustls::client::Resumption::disabled();
        tls
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// A node's own certificate and key, and the trusted authority.
#[derive(Clone)]
pub struct Identity {
    subject: Subject,
    trust: Trust,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    certificate_path: PathBuf,
    expires_at: i64,
}

impl Identity {
    /// Loads a node's identity from its PEM files and checks that they belong together and are
    /// valid now.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub fn load_node(ca: &Path, cert: &Path, key: &Path) -> Result<Self, IdentityError> {
        let chain = read_certificates(cert)?;
        let own = chain.first().expect("certificates() gives at least one");
        let subject = Subject::from_certificate(own)
            .map_err(|error| IdentityError::content_error(cert, error.to_string()))?;
        let trust = Trust::load(ca, subject.cluster)?;
        trust.verify_chain(own, &chain[1..], UnixTime::now()).map_err(|error| {
            IdentityError::NotValid {
                path: cert.into(),
                ca: ca.into(),
                reason: describe_error(&error),
            }
        })?;
        let identity = Self {
            subject,
            trust,
            key: Arc::new(read_private_key(key)?),
            certificate_path: cert.into(),
            expires_at: expiry(own).unwrap_or(i64::MAX),
            chain,
        };
        // Detects a key that doesn't belong to the certificate at the start, and not at the first
        // handshake.
        let made = client_builder(&identity.trust.provider, identity.trust.server_verifier())
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key());
        made.map_err(|error| {
            let what = format!("not the key of {}: {}", cert.display(), describe_error(&error));
            IdentityError::content_error(key, what)
        })?;
        Ok(identity)
    }

    /// Checks that the certificate is for this node of this cluster.
    ///
    /// # Errors
    /// If it's for another node or cluster.
    pub fn check_subject(&self, cluster: ClusterId, node: NodeId) -> Result<(), IdentityError> {
        let expected = Subject { cluster, node };
        if self.subject == expected {
            return Ok(());
        }
        let path = self.certificate_path.clone();
        Err(IdentityError::Other { path, found: self.subject, expected })
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.subject.cluster
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.subject.node
    }

    /// The end of the certificate's validity, seconds since the Unix epoch.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// Derives a secret from the private key (blake3's key derivation): the same after every start,
    /// different for every purpose.
    pub(crate) fn derived_secret(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(&format!("evenkeel 1 {purpose}"), self.key.secret_der())
    }

    /// TLS settings for dialling another site.
    pub(crate) fn dialler_tls(&self, alpn: &[u8]) -> Result<rustls::ClientConfig, rustls::Error> {
        let mut tls = client_builder(&self.trust.provider, self.trust.server_verifier())
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        tls.alpn_protocols = vec![alpn.to_vec()];
        tls.resumption = rustls::client::Resumption::disabled();
        Ok(tls)
    }

    /// TLS settings for a port that accepts only nodes of this cluster.
    pub(crate) fn peer_port_tls(&self, alpn: &[u8]) -> Result<rustls::ServerConfig, rustls::Error> {
        let verifier: Arc<dyn ClientCertVerifier> = Arc::new(ClientVerifier::new(&self.trust)?);
        self.port_tls(alpn, Some(verifier))
    }

    /// TLS settings for the clients' port; a client's key follows in HELLO.
    pub(crate) fn client_port_tls(
        &self,
        alpn: &[u8],
    ) -> Result<rustls::ServerConfig, rustls::Error> {
        self.port_tls(alpn, None)
    }

    fn port_tls(
        &self,
        alpn: &[u8],
        verifier: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<rustls::ServerConfig, rustls::Error> {
        let builder = rustls::ServerConfig::builder_with_provider(self.trust.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut tls = builder.with_single_cert(self.chain.clone(), self.key.clone_key())?;
        tls.alpn_protocols = vec![alpn.to_vec()];
        tls.max_early_data_size = 0;
        tls.send_tls13_tickets = 0;
        Ok(tls)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("subject", &self.subject).finish_non_exhaustive()
    }
}

fn client_builder(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring supports TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
}

/// Describes an error of rustls about a certificate, without the name of its type.
pub(crate) fn describe_error(error: &rustls::Error) -> String {
    use rustls::{CertificateError as Certificate, Error};
    match error {
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "it has expired".into()
        }
        Error::InvalidCertificate(
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. },
        ) => "it isn't valid yet".into(),
        Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "another authority signed it".into()
        }
        Error::InconsistentKeys(_) => "they don't belong together".into(),
        Error::InvalidCertificate(Certificate::BadSignature) => {
            "another authority signed it, or it was changed since".into()
        }
        other => other.to_string(),
    }
}
