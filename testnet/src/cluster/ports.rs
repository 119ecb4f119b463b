//! Checks whether the required ports are free, and which processes occupy them.

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    thread,
    time::Duration,
};

use tokio::time::Instant;

/// A killed process still has its ports for some milliseconds after its command line is gone. No
/// process is found for them then.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// A port that the testnet needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Udp(SocketAddr),
    Tcp(SocketAddr),
}

impl Port {
    /// `None` when the port is free; otherwise a sentence with the port and the process that has
    /// it. Waits for a port that no visible process has, for at most `RELEASE_PATIENCE`.
    #[must_use]
    pub fn describe_conflict(self) -> Option<String> {
        let start = Instant::now();
        loop {
            let (name, address, error) = match self {
                Self::Udp(address) => ("udp", address, UdpSocket::bind(address).err()?),
                Self::Tcp(address) => ("tcp", address, TcpListener::bind(address).err()?),
            };
            let by = match owner(name, address.port()) {
                Some(process) => process,
                None if start.elapsed() > RELEASE_PATIENCE => "by an unknown process".into(),
                None => {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                }
            };
            return Some(format!("{name} {address} is taken {by} ({error})"));
        }
    }
}

/// The process with a socket on this port, as far as /proc shows it.
fn owner(protocol: &str, port: u16) -> Option<String> {
    let mut inodes = BTreeSet::new();
    for table in [format!("/proc/net/{protocol}"), format!("/proc/net/{protocol}6")] {
        inodes.extend(sockets_on(&fs::read_to_string(table).unwrap_or_default(), port));
    }
    for entry in fs::read_dir("/proc").ok()?.filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(handles) = fs::read_dir(entry.path().join("fd")) else { continue };
        let mut links = handles.filter_map(|handle| fs::read_link(handle.ok()?.path()).ok());
        let holds = links.any(|link| {
            let name = link.to_string_lossy();
            let inode = name.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            inode.is_some_and(|inode| inodes.contains(inode))
        });
        if holds {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            return Some(format!("by process {pid}: {}", line.trim()));
        }
    }
    None
}

/// The inodes of the sockets on a port, from a table such as `/proc/net/udp`.
fn sockets_on(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let on_port = rows.filter(|row| row.get(1).is_some_and(|local| local.ends_with(&suffix)));
    on_port.filter_map(|row| row.get(9).map(|inode| (*inode).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_owner() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let said = Port::Udp(address).describe_conflict().unwrap();
        assert!(said.contains(&address.to_string()), "{said}");
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        drop(taken);
        assert_eq!(Port::Udp(address).describe_conflict(), None);
    }
}
