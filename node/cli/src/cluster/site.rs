//! `--site NAME=HOST:PORT`: a site's name and its base port, from which its other ports are
//! derived.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use evenkeel_node::config::{Address, check_site_name};

/// Peers use the base port, clients the next one, HTTP the one after that.
const CLIENT_PORT_ABOVE: u16 = 1;
const HTTP_PORT_ABOVE: u16 = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) peer: Address,
    pub(crate) client: Address,
    pub(crate) http: Address,
}

impl FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').ok_or("write NAME=HOST:PORT")?;
        check_site_name(name)?;
        if name == "ca" {
            return Err("a site can't be called ca: that folder holds the CA".to_owned());
        }
        // `localhost` always means this machine: some name servers return an address on which
        // nothing listens.
        let address = match address.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => address.to_owned(),
        };
        let peer: Address = address.parse().map_err(|error| format!("{error}"))?;
        let above = |ports| peer.with_port_above(ports).map_err(|error| error.to_string());
        Ok(Self {
            name: name.to_owned(),
            client: above(CLIENT_PORT_ABOVE)?,
            http: above(HTTP_PORT_ABOVE)?,
            peer,
        })
    }
}

impl Site {
    /// The address on which the node listens for `address`: that interface for an IP address, all
    /// interfaces for a name.
    pub(crate) fn listen_address(address: &Address) -> SocketAddr {
        let ip = address.ip().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        SocketAddr::new(ip, address.port())
    }

    /// Whether its HTTP port is reached over a network and so must protect keys with TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        !Self::listen_address(&self.http).ip().is_loopback()
    }

    pub(crate) fn addresses(&self) -> [&Address; 3] {
        [&self.peer, &self.client, &self.http]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_follow_from_the_base() {
        let site: Site = "pangyo=pangyo.example.com:7100".parse().expect("a site");
        assert_eq!(site.client.to_string(), "pangyo.example.com:7101");
        assert_eq!(site.http.to_string(), "pangyo.example.com:7102");
        assert_eq!(Site::listen_address(&site.peer).to_string(), "0.0.0.0:7100");
        let site: Site = "busan=localhost:7300".parse().expect("a site");
        assert_eq!(Site::listen_address(&site.peer).to_string(), "127.0.0.1:7300");
    }

    #[test]
    fn what_cannot_be_a_site_is_refused() {
        for text in
            ["pangyo", "=h:1", "Pangyo=h:7100", "ca=h:7100", "../x=h:7100", "a=h", "a=h:65534"]
        {
            assert!(text.parse::<Site>().is_err(), "{text}");
        }
    }
}
