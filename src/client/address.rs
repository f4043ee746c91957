//! Where a peer is: `host`, `host:port` or `[v6]:port`.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use tokio::net::lookup_host;

use crate::wire::DEFAULT_PORT;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Name(String),
    V6(Ipv6Addr),
}

/// Not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad address: {reason}; expected host, host:port or [v6]:port")]
pub struct AddressError {
    /// What is wrong.
    pub reason: &'static str,
}

impl PeerAddress {
    /// The addresses that it stands for, as the system resolves them.
    ///
    /// # Errors
    /// The name is not known, or nobody could be asked.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.host {
            Host::Name(name) => Ok(lookup_host((name.as_str(), self.port)).await?.collect()),
            Host::V6(address) => Ok(vec![SocketAddr::from((*address, self.port))]),
        }
    }

    /// The host alone, with brackets around an IPv6 address.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::V6(address) => format!("[{address}]"),
        }
    }

    pub(super) fn base_url(&self) -> String {
        format!("https://{self}")
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(v4) => Host::Name(v4.to_string()),
            IpAddr::V6(v6) => Host::V6(v6),
        };
        Self {
            host,
            port: address.port(),
        }
    }
}

impl FromStr for PeerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text, DEFAULT_PORT)
    }
}

impl PeerAddress {
    /// Parses `text`, where no port means `default_port`.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str, default_port: u16) -> Result<Self, AddressError> {
        let bad = |reason| Err(AddressError { reason });
        if text.contains("://") {
            return bad("it is a URL");
        }
        if let Some(rest) = text.strip_prefix('[') {
            let Some((host, rest)) = rest.split_once(']') else {
                return bad("`[` without `]`");
            };
            let Ok(host) = host.parse() else {
                return bad("not an IPv6 address between `[` and `]`");
            };
            return Ok(Self {
                host: Host::V6(host),
                port: port(rest, default_port)?,
            });
        }
        if let Ok(host) = text.parse() {
            return Ok(Self {
                host: Host::V6(host),
                port: default_port,
            });
        }
        let (host, rest) = text
            .find(':')
            .map_or((text, ""), |colon| text.split_at(colon));
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if host.len() > 253 || !host.bytes().all(allowed) || !has_good_labels(host) {
            return bad("not a host name");
        }
        // URLs read `1.2` and `0x7f.1` as addresses, in their own way.
        if ends_in_a_number(host) && host.parse::<Ipv4Addr>().is_err() {
            return bad("not an IPv4 address");
        }
        Ok(Self {
            host: Host::Name(host.to_owned()),
            port: port(rest, default_port)?,
        })
    }
}

/// Each part of a host name has 1 to 63 characters and a hyphen at neither end (RFC 1123, section 2.1).
fn has_good_labels(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.split('.').all(|label| {
        (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    })
}

/// As in the URL standard, "ends in a number checker".
fn ends_in_a_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// `` or `:port`.
fn port(text: &str, default: u16) -> Result<u16, AddressError> {
    let bad = AddressError {
        reason: "not a port from 1 to 65535",
    };
    match text.strip_prefix(':') {
        None if text.is_empty() => Ok(default),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0).ok_or(bad)
        }
        _ => Err(bad),
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("box", "box:8443"),
            ("box.lan:9443", "box.lan:9443"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]:9443", "[::1]:9443"),
            ("[::1]", "[::1]:8443"),
            ("::1", "[::1]:8443"),
        ] {
            assert_eq!(
                text.parse::<PeerAddress>().unwrap().to_string(),
                shown,
                "{text}"
            );
        }
        let paired = |text: &str| PeerAddress::parse(text, 8444).unwrap();
        assert_eq!(paired("::1").to_string(), "[::1]:8444");
        assert_eq!(paired("box:8443").to_string(), "box:8443");
        assert_eq!(
            (paired("[::1]:7").host(), paired("box").host()),
            ("[::1]".into(), "box".into())
        );
        for text in [
            "",
            ":",
            "a:",
            "a:0",
            "a:99999",
            "a:+1",
            "[::1",
            "[x]:1",
            "http://a",
            "a b",
            "a/b",
            "a:1:2",
            "\u{e9}",
            "1.2.3",
            "256.1.1.1",
            "1.2.3.4.",
            "0x7f.1",
            "1.2.3.4.5",
            "-",
            "a-.b",
            "a..b",
            ".",
        ] {
            assert!(text.parse::<PeerAddress>().is_err(), "{text}");
        }
    }
}
