//! TLS for the HTTP port, if the configuration names a certificate. It's never used for the QUIC
//! ports of peers and clients, which have their own identities.

use std::{path::Path, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::config::HttpTls;

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("http: {path}: {source}")]
    Pem { path: String, source: rustls::pki_types::pem::Error },
    #[error("http: {path} holds no certificate")]
    Empty { path: String },
    #[error("http: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The TLS acceptor of the port.
pub(crate) fn acceptor(files: &HttpTls) -> Result<TlsAcceptor, TlsError> {
    let pem = |path: &Path, source| TlsError::Pem { path: path.display().to_string(), source };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|source| pem(&files.cert, source))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { path: files.cert.display().to_string() });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| pem(&files.key, source))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
