//! The checks of a certificate at both ends of a handshake: signed by the authority, valid now, and
//! of this cluster.
//!
//! The node isn't checked here: a dialler compares it with the node that it meant to reach.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{Subject, Trust};
use crate::id::ClusterId;

/// Why a genuine certificate isn't accepted. rustls prints it with Debug, so Debug is written for
/// people too.
struct ForeignCertificate(String);

impl fmt::Display for ForeignCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ForeignCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ForeignCertificate {}

fn check_cluster(cluster: ClusterId, certificate: &CertificateDer<'_>) -> Result<(), Error> {
    let why = match Subject::from_certificate(certificate) {
        Ok(subject) if subject.cluster == cluster => return Ok(()),
        Ok(subject) => {
            format!("the certificate is of another cluster: {}, not {cluster}", subject.cluster)
        }
        Err(error) => error.to_string(),
    };
    Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(
        ForeignCertificate(why),
    )))))
}

const TLS13_ONLY: Error = Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic);

/// Verifies the certificate of a dialled node.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    trust: Trust,
}

impl ServerVerifier {
    pub(crate) fn new(trust: Trust) -> Self {
        Self { trust }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.trust.verify_chain(end_entity, intermediates, now)?;
        check_cluster(self.trust.cluster, end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(TLS13_ONLY)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies the certificates of nodes that connect to the peer port.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    cluster: ClusterId,
}

impl ClientVerifier {
    pub(crate) fn new(trust: &Trust) -> Result<Self, Error> {
        let roots = trust.roots.clone();
        let chain =
            WebPkiClientVerifier::builder_with_provider(roots, trust.provider.clone()).build();
        let chain = chain.map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { chain, cluster: trust.cluster })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // The authority's name isn't revealed to unknown peers.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        check_cluster(self.cluster, end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(TLS13_ONLY)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
