//! The address of a site's HTTP door as client.toml has it: `HOST:PORT`, or a whole URL.

use std::str::FromStr;

use hyper::Uri;

/// A site's HTTP door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAddress {
    /// Without brackets, where it's an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// What the Host header says.
    pub authority: String,
}

impl FromStr for HttpAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unusable = |why: &str| format!("http = {text:?}: {why}");
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = whole.parse().map_err(|_| unusable("not HOST:PORT and not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(unusable("the scheme is http or https")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(unusable("a site's routes begin at its root"));
        }
        let authority = uri.authority().ok_or_else(|| unusable("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(unusable("a key comes from the key file, not from the URL"));
        }
        let host = authority.host();
        let port = match (authority.port_u16(), tls) {
            (Some(port), _) => port,
            (None, _) if authority.as_str() != host => return Err(unusable("no such port")),
            (None, true) => 443,
            (None, false) if text.contains("://") => 80,
            (None, false) => return Err(unusable("write HOST:PORT, or a whole URL")),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, tls, authority: authority.as_str().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_ports_and_urls_are_addresses() {
        for (text, host, port, tls) in [
            ("127.0.0.1:7102", "127.0.0.1", 7102, false),
            ("pangyo.example.com:7102", "pangyo.example.com", 7102, false),
            ("[::1]:7102", "::1", 7102, false),
            ("http://pangyo.example.com", "pangyo.example.com", 80, false),
            ("https://pangyo.example.com:7102/", "pangyo.example.com", 7102, true),
            ("https://pangyo.example.com", "pangyo.example.com", 443, true),
        ] {
            let address: HttpAddress = text.parse().expect(text);
            assert_eq!((address.host.as_str(), address.port, address.tls), (host, port, tls));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for (text, why) in [
            ("pangyo", "write HOST:PORT"),
            ("", "not HOST:PORT"),
            ("ftp://pangyo:1", "http or https"),
            ("http://pangyo:1/wallet", "at its root"),
            ("http://pangyo:1/?a=b", "at its root"),
            ("https://key@pangyo:1", "key file"),
            ("pangyo:99999", "no such port"),
            ("https://pangyo:99999", "no such port"),
        ] {
            let error = text.parse::<HttpAddress>().expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
