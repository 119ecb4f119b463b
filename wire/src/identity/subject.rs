//! The subject and the end of validity of a certificate.

use std::fmt;

use x509_parser::{extensions::GeneralName, prelude::FromDer};

use crate::id::{ClusterId, NodeId};

/// The cluster and node named in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's number in the cluster.
    pub node: NodeId,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evenkeel://{}/node/{}", self.cluster, self.node)
    }
}

/// Why a certificate doesn't name a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Not an X.509 certificate.
    #[error("not a certificate: {0}")]
    NotACertificate(String),
    /// It has no URI of evenkeel, or more than one.
    #[error("it names {0} nodes (a URI evenkeel://CLUSTER/node/ID), where exactly one is needed")]
    NotOneNode(usize),
    /// The URI is malformed.
    #[error("{0:?} isn't of the form evenkeel://CLUSTER/node/ID")]
    Malformed(String),
}

impl Subject {
    /// Reads the subject from a DER-encoded certificate.
    ///
    /// # Errors
    /// If it doesn't name exactly one node.
    pub fn from_certificate(certificate: &[u8]) -> Result<Self, SubjectError> {
        let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate)
            .map_err(|error| SubjectError::NotACertificate(error.to_string()))?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|error| SubjectError::NotACertificate(error.to_string()))?;
        let ours: Vec<&str> = names
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::URI(uri) if uri.starts_with("evenkeel:") => Some(*uri),
                _ => None,
            })
            .collect();
        match ours.as_slice() {
            [uri] => Self::parse(uri).ok_or_else(|| SubjectError::Malformed((*uri).into())),
            others => Err(SubjectError::NotOneNode(others.len())),
        }
    }

    fn parse(uri: &str) -> Option<Self> {
        let (cluster, node) = uri.strip_prefix("evenkeel://")?.split_once("/node/")?;
        let subject = Self { cluster: ClusterId::parse(cluster).ok()?, node: node.parse().ok()? };
        // Each node has one spelling: no leading zeros, no plus sign, no capital letters.
        (subject.node > 0 && subject.to_string() == uri).then_some(subject)
    }
}

/// The end of a certificate's validity, seconds since 1970.
pub(crate) fn expiry(certificate: &[u8]) -> Option<i64> {
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}
