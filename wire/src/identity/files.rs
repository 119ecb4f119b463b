//! Reads PEM files with certificates and keys (RFC 7468). A key that others can read is rejected.

use std::{fs, path::Path};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};

use super::IdentityError;

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(path).map_err(|error| IdentityError::Read { path: path.into(), error })
}

pub(crate) fn read_certificates(
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let text = read(path)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => {
            Err(IdentityError::content_error(path, "no certificate in it"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(IdentityError::content_error(path, format!("not PEM: {error}"))),
    }
}

pub(crate) fn read_private_key(path: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    check_owner_only(path)?;
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => IdentityError::content_error(path, "no private key in it"),
        other => IdentityError::content_error(path, format!("not PEM: {other}")),
    })
}

#[cfg(unix)]
fn check_owner_only(path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt as _;
    let meta = fs::metadata(path).map_err(|error| IdentityError::Read { path: path.into(), error });
    let mode = meta?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(IdentityError::KeyReadable { path: path.into(), mode })
    }
}

#[cfg(not(unix))]
fn check_owner_only(_path: &Path) -> Result<(), IdentityError> {
    Ok(())
}
