//! Whom a certificate names, and until when.

use std::fmt;

use x509_parser::{extensions::GeneralName, prelude::FromDer};

use crate::id::{ClusterId, NodeId};

/// Whom a certificate names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// The node that it's for.
    pub node: NodeId,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evenkeel://{}/node/{}", self.cluster, self.node)
    }
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Not an X.509 certificate.
    #[error("not a certificate: {0}")]
    NotACertificate(String),
    /// No URI of ours, or more than one.
    #[error("it names {0} nodes (a URI evenkeel://CLUSTER/node/ID), where exactly one is needed")]
    NotOneNode(usize),
    /// The URI can't be read.
    #[error("{0:?} isn't of the form evenkeel://CLUSTER/node/ID")]
    Malformed(String),
}

impl Subject {
    /// The node that a certificate names.
    ///
    /// # Errors
    /// When it doesn't name exactly one.
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
        // One node, one spelling: no leading zeros, no plus sign, no capital letters.
        (subject.node > 0 && subject.to_string() == uri).then_some(subject)
    }
}

/// When a certificate ends, seconds since 1970.
pub(crate) fn expiry(certificate: &[u8]) -> Option<i64> {
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}
