//! An authority that issues certificates of every kind, and ports on 127.0.0.1.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod credulous;
pub(crate) mod decoders;
pub(crate) mod node;
pub(crate) mod samples;
pub(crate) mod strategies;

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use evenkeel_wire::{
    endpoint::{PeerEndpoint, PeerSettings},
    id::{ClusterId, NodeId},
    identity::{Identity, IdentityError, Trust},
};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType, date_time_ymd,
};

pub(crate) fn cluster(byte: u8) -> ClusterId {
    ClusterId([byte; 16])
}

pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// The content of a certificate.
pub(crate) struct Paper {
    pub(crate) uris: Vec<String>,
    pub(crate) years: (i32, i32),
}

impl Paper {
    pub(crate) fn of(cluster: ClusterId, node: NodeId) -> Self {
        let uris = vec![format!("evenkeel://{cluster}/node/{node}")];
        Self { uris, years: (2020, 2090) }
    }
}

pub(crate) struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2090, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Issues a certificate; returns its file and its key's.
    pub(crate) fn issue(&self, name: &str, paper: &Paper) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let uris = paper.uris.iter().map(|uri| SanType::URI(uri.as_str().try_into().unwrap()));
        params.subject_alt_names = uris.collect();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(paper.years.0, 1, 1);
        params.not_after = date_time_ymd(paper.years.1, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = (
            self.folder.path().join(format!("{name}.pem")),
            self.folder.path().join(format!("{name}.key")),
        );
        fs::write(&files.0, certificate.pem()).unwrap();
        fs::write(&files.1, key.serialize_pem()).unwrap();
        fs::set_permissions(&files.1, fs::Permissions::from_mode(0o600)).unwrap();
        files
    }

    pub(crate) fn try_identity(
        &self,
        name: &str,
        paper: &Paper,
    ) -> Result<Identity, IdentityError> {
        let (certificate, key) = self.issue(name, paper);
        Identity::load_node(&self.ca(), &certificate, &key)
    }

    pub(crate) fn identity(&self, cluster: ClusterId, node: NodeId) -> Identity {
        self.try_identity(&format!("node{node}"), &Paper::of(cluster, node)).unwrap()
    }

    pub(crate) fn trust(&self, cluster: ClusterId) -> Trust {
        Trust::load(&self.ca(), cluster).unwrap()
    }
}

pub(crate) fn peer(identity: Identity) -> (PeerEndpoint, SocketAddr) {
    let settings = PeerSettings { idle: Duration::from_secs(2), ..PeerSettings::default() };
    let endpoint = PeerEndpoint::bind(loopback(), identity, settings).unwrap();
    let address = endpoint.local_address().unwrap();
    (endpoint, address)
}

/// Waits long enough for a busy machine; a test that hangs names the step.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(20), work).await;
    waited.unwrap_or_else(|_| panic!("{what}: nothing in twenty seconds"))
}
