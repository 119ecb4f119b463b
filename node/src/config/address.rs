//! `HOST:PORT`: the address where others reach a port. A name is resolved when it's used, never
//! before, so that a node starts without a name server and follows a site that moves.

use std::{
    fmt, io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// A host, as a name or an IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

/// Why a text isn't an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No host, no port, or a malformed separator.
    #[error("{0:?} isn't an address: write HOST:PORT, or [V6]:PORT")]
    Form(String),
    /// The ports above it are needed too.
    #[error("port {0} is too high: the {1} ports above it are used too, and 65535 is the last")]
    TooHigh(u16, u16),
}

impl Address {
    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host as an IP address, if it's written as one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host with a port that is `ports` higher.
    ///
    /// # Errors
    /// When there's no such port.
    pub fn with_port_above(&self, ports: u16) -> Result<Self, AddressError> {
        let port = self.port.checked_add(ports).ok_or(AddressError::TooHigh(self.port, ports))?;
        Ok(Self { host: self.host.clone(), port })
    }

    /// Resolves the host now. An IP address needs no name server.
    ///
    /// # Errors
    /// When the name resolves to no address.
    pub async fn resolve(&self) -> io::Result<SocketAddr> {
        if let Some(ip) = self.ip() {
            return Ok(SocketAddr::new(ip, self.port));
        }
        let mut found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        found.next().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.host))
        })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::Form(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        if port == 0 {
            return Err(wrong());
        }
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(bare) => bare.parse::<Ipv6Addr>().map_err(|_| wrong())?.to_string(),
            None if is_host(host) => host.to_ascii_lowercase(),
            None => return Err(wrong()),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn is_host(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(allowed)
        && !host.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["127.0.0.1:7100", "pangyo.example.com:7100", "[::1]:7100"] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
        for text in
            ["", "7100", ":7100", "host", "host:", "host:0", "host:65536", "::1:7100", "a b:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_ports_above_must_exist() {
        let base: Address = "host:65534".parse().expect("an address");
        assert_eq!(base.with_port_above(1).map(|above| above.port()), Ok(65_535));
        assert_eq!(base.with_port_above(2), Err(AddressError::TooHigh(65_534, 2)));
    }
}
