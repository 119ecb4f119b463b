//! The socket's file: its folder, its owner, stale ones of a crash, and the users that may connect.
//! It never serves a user other than root and the node's own.

use std::{
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream as BlockingUnixStream,
    },
    path::{Path, PathBuf},
};

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};

use super::User;

/// The kernel's limit: 108 bytes with the trailing zero.
pub const PATH_BYTES_MAX: usize = 107;

/// Why the admin socket can't be bound. A node without one can't be operated, so it doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "admin socket {path}: the path has {bytes} bytes, {PATH_BYTES_MAX} at most; set admin.socket to a shorter one"
    )]
    PathTooLong { path: String, bytes: usize },
    #[error("admin socket {0}: another process answers there; is this node running already?")]
    InUse(String),
    #[error("admin socket {0}: the file isn't a socket of this user; move it away")]
    Occupied(String),
    #[error(
        "admin socket {path}: the folder {folder} is open to others (mode {mode:o}, owner {owner}); chmod 700 it, or set admin.socket to another path"
    )]
    FolderOpen { path: String, folder: String, mode: u32, owner: u32 },
    #[error("admin socket {path}: {source}")]
    Io { path: String, source: io::Error },
}

/// A bound admin socket. Dropping it removes the file.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    owner: u32,
}

impl AdminSocket {
    /// Binds the socket; must be called within a runtime and by the holder of the data folder's
    /// lock, so that no two nodes remove each other's socket.
    ///
    /// # Errors
    /// Names the path and the obstacle.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let name = path.display().to_string();
        let bytes = path.as_os_str().as_bytes().len();
        if bytes > PATH_BYTES_MAX {
            return Err(BindError::PathTooLong { path: name, bytes });
        }
        let failed = |source| BindError::Io { path: name.clone(), source };
        let owner = geteuid().as_raw();
        secure_folder(path, owner, &name)?;
        remove_stale_socket(path, owner, &name)?;
        // Nobody else can enter the folder, so nobody connects before the mode is set.
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let inode = fs::symlink_metadata(path).map_err(failed)?.ino();
        Ok(Self { listener, path: path.to_owned(), inode, owner })
    }

    /// The next connection of a permitted user; others are closed.
    pub(crate) async fn accept(&self) -> io::Result<(UnixStream, User)> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let credentials = stream.peer_cred()?;
            let user = User { uid: credentials.uid(), pid: credentials.pid() };
            if is_permitted(user.uid, self.owner) {
                return Ok((stream, user));
            }
            tracing::warn!(
                uid = user.uid,
                pid = user.pid,
                "refused a foreign user on the admin socket"
            );
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Removes only its own file: a successor may have bound its own.
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the admin socket's file can't be removed");
        }
    }
}

fn is_permitted(uid: u32, owner: u32) -> bool {
    uid == 0 || uid == owner
}

/// Creates the socket's folder, or refuses one that others can enter.
fn secure_folder(path: &Path, owner: u32, name: &str) -> Result<(), BindError> {
    let failed = |source| BindError::Io { path: name.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let found = fs::metadata(folder).map_err(failed)?;
    let mode = found.mode() & 0o777;
    if found.uid() != owner || mode & 0o077 != 0 {
        return Err(BindError::FolderOpen {
            path: name.to_owned(),
            folder: folder.display().to_string(),
            mode,
            owner: found.uid(),
        });
    }
    Ok(())
}

/// Removes the socket that a killed node left: one of this user, without a listener.
fn remove_stale_socket(path: &Path, owner: u32, name: &str) -> Result<(), BindError> {
    let failed = |source| BindError::Io { path: name.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.file_type().is_socket() || found.uid() != owner {
        return Err(BindError::Occupied(name.to_owned()));
    }
    match BlockingUnixStream::connect(path) {
        Ok(_) => Err(BindError::InUse(name.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_owner_may_talk() {
        assert!(is_permitted(0, 1000) && is_permitted(1000, 1000));
        assert!(!is_permitted(1001, 1000));
        assert!(!is_permitted(1000, 0));
    }
}
