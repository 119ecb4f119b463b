//! The cluster's certificate authority, which certifies the nodes of this cluster.
//!
//! A node's certificate names the cluster and the node in a URI, `evenkeel://<cluster>/node/<id>`,
//! which peers and clients check. Keys are Ed25519. The CA's key is needed only to issue
//! certificates: keep it off the sites.

use std::{fs, net::IpAddr, path::Path};

use evenkeel_wire::id::{ClusterId, NodeId};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, date_time_ymd,
};
use x509_parser::{extensions::GeneralName, pem::parse_x509_pem};

use crate::Failure;
use evenkeel_node::{
    clock::{Clock, SystemClock},
    config::Address,
};

/// The DNS name in every node's certificate; the URI identifies the node.
const SERVER_NAME: &str = "evenkeel";
const AUTHORITY_YEARS: i16 = 20;
const NODE_YEARS: i16 = 5;

pub(crate) const CERTIFICATE_FILE: &str = "ca.pem";
pub(crate) const KEY_FILE: &str = "ca.key";

pub(crate) struct Authority {
    pub(crate) cluster: ClusterId,
    pub(crate) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub(crate) struct NodeIdentity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// Creates a CA; returns its key, too, in PEM.
    pub(crate) fn generate(cluster: ClusterId, name: &str) -> Result<(Self, String), Failure> {
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(creation_failed)?;
        let mut params = certificate_params(AUTHORITY_YEARS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, format!("{name} CA"));
        params.distinguished_name.push(DnType::OrganizationName, cluster.to_string());
        params.subject_alt_names = vec![uri(&format!("{}ca", prefix(cluster)))?];
        let key_pem = key.serialize_pem();
        let certificate =
            CertifiedIssuer::self_signed(params.clone(), key).map_err(creation_failed)?.pem();
        let authority = Self::from_pem(&certificate, &key_pem).map_err(Failure::failed)?;
        Ok((authority, key_pem))
    }

    /// Loads the CA from a folder.
    pub(crate) fn load(folder: &Path) -> Result<Self, Failure> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path)
                .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
        };
        Self::from_pem(&read(CERTIFICATE_FILE)?, &read(KEY_FILE)?).map_err(|problem| {
            Failure::failed(format!("{} holds no evenkeel CA: {problem}", folder.display()))
        })
    }

    fn from_pem(certificate: &str, key: &str) -> Result<Self, String> {
        let cluster = cluster_of(certificate)?;
        let key = KeyPair::from_pem(key).map_err(|error| format!("{KEY_FILE}: {error}"))?;
        if !holds_key(certificate, &key)? {
            return Err(format!("{KEY_FILE} isn't the key of {CERTIFICATE_FILE}"));
        }
        let issuer = Issuer::from_ca_cert_pem(certificate, key)
            .map_err(|error| format!("{CERTIFICATE_FILE}: {error}"))?;
        Ok(Self { cluster, certificate: certificate.to_owned(), issuer })
    }

    /// Issues a new key and certificate for a node.
    pub(crate) fn issue(
        &self,
        node: NodeId,
        site: &str,
        address: &Address,
    ) -> Result<NodeIdentity, Failure> {
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(creation_failed)?;
        let mut params = certificate_params(NODE_YEARS)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name.push(DnType::CommonName, format!("node {node} at {site}"));
        params.distinguished_name.push(DnType::OrganizationName, self.cluster.to_string());
        params.subject_alt_names = vec![
            SanType::DnsName(SERVER_NAME.try_into().map_err(creation_failed)?),
            uri(&format!("{}node/{node}", prefix(self.cluster)))?,
            host(address)?,
        ];
        let certificate = params.signed_by(&key, &self.issuer).map_err(creation_failed)?;
        Ok(NodeIdentity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn prefix(cluster: ClusterId) -> String {
    format!("evenkeel://{cluster}/")
}

fn uri(text: &str) -> Result<SanType, Failure> {
    Ok(SanType::URI(text.try_into().map_err(creation_failed)?))
}

fn host(address: &Address) -> Result<SanType, Failure> {
    Ok(match address.host().parse::<IpAddr>() {
        Ok(ip) => SanType::IpAddress(ip),
        Err(_) => SanType::DnsName(address.host().try_into().map_err(creation_failed)?),
    })
}

/// Valid for `years` years, starting yesterday, so that a site whose clock is slightly behind
/// accepts it.
fn certificate_params(years: i16) -> Result<CertificateParams, Failure> {
    let micros = i64::try_from(SystemClock.wall_micros()).map_err(creation_failed)?;
    let now = Timestamp::from_microsecond(micros).map_err(creation_failed)?;
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut params = CertificateParams::default();
    let (year, month, day) = date_parts(today.checked_sub(1.day()).map_err(creation_failed)?)?;
    params.not_before = date_time_ymd(year, month, day);
    let (year, month, day) =
        date_parts(today.checked_add(years.years()).map_err(creation_failed)?)?;
    params.not_after = date_time_ymd(year, month, day);
    // Replaces the library's default name.
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}

fn date_parts(date: Date) -> Result<(i32, u8, u8), Failure> {
    let month = u8::try_from(date.month()).map_err(creation_failed)?;
    let day = u8::try_from(date.day()).map_err(creation_failed)?;
    Ok((i32::from(date.year()), month, day))
}

fn cluster_of(certificate: &str) -> Result<ClusterId, String> {
    let (_, pem) = parse_x509_pem(certificate.as_bytes())
        .map_err(|error| format!("{CERTIFICATE_FILE}: {error}"))?;
    let parsed = pem.parse_x509().map_err(|error| format!("{CERTIFICATE_FILE}: {error}"))?;
    let names = parsed
        .subject_alternative_name()
        .map_err(|error| format!("{CERTIFICATE_FILE}: {error}"))?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    names
        .iter()
        .find_map(|name| match name {
            GeneralName::URI(uri) => {
                let id = uri.strip_prefix("evenkeel://")?.strip_suffix("/ca")?;
                ClusterId::parse(id).ok()
            }
            _ => None,
        })
        .ok_or_else(|| format!("{CERTIFICATE_FILE} names no cluster"))
}

fn holds_key(certificate: &str, key: &KeyPair) -> Result<bool, String> {
    let (_, pem) = parse_x509_pem(certificate.as_bytes())
        .map_err(|error| format!("{CERTIFICATE_FILE}: {error}"))?;
    let parsed = pem.parse_x509().map_err(|error| format!("{CERTIFICATE_FILE}: {error}"))?;
    Ok(parsed.public_key().subject_public_key.data.as_ref() == key.public_key_raw())
}

fn creation_failed(error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("the certificate can't be created: {error}"))
}
