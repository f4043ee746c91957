//! Where a peer is, `host`, `host:port` or `[v6]:port`, and where to listen.
//!
//! A link-local IPv6 address has its zone: `[fe80::1%eth0]:port`. In URLs, headers and whatever else others read it has none
//! (RFC 9844): there it is an address of the link that the connection is on.

mod fault;
mod listen;
mod race;
mod zone;

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    str::FromStr,
};

use tokio::net::lookup_host;

pub use fault::AddressFault;
pub use listen::{DEFAULT_LISTEN, ListenError, ListenFault, loopback, parse_listen};
pub use race::first_answer;

use zone::Zone;

/// Where a peer listens unless told otherwise.
pub const DEFAULT_PORT: u16 = 8443;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    /// A name, or an IPv4 address.
    Name(String),
    V6(Ipv6Addr),
    LinkLocal(Ipv6Addr, Zone),
}

/// Not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad address: {fault}; expected host, host:port or [v6]:port")]
pub struct AddressError {
    /// What is wrong.
    pub fault: AddressFault,
}

impl PeerAddress {
    /// The addresses that it stands for, as the system resolves them.
    ///
    /// # Errors
    /// The name is not known, or nobody could be asked.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.host {
            Host::Name(name) => Ok(lookup_host((name.as_str(), self.port)).await?.collect()),
            Host::V6(_) | Host::LinkLocal(..) => self.socket_addr().into_iter().collect(),
        }
    }

    /// The address as sockets have it; none if it is a name, which must be [resolved](Self::resolve).
    pub(super) fn socket_addr(&self) -> Option<io::Result<SocketAddr>> {
        let scoped = |address: &Ipv6Addr, scope| SocketAddrV6::new(*address, self.port, 0, scope);
        match &self.host {
            Host::Name(name) => {
                let v4: Ipv4Addr = name.parse().ok()?;
                Some(Ok((v4, self.port).into()))
            }
            Host::V6(address) => Some(Ok(scoped(address, 0).into())),
            Host::LinkLocal(address, zone) => {
                Some(zone.scope().map(|scope| scoped(address, scope).into()))
            }
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host alone, with brackets around an IPv6 address.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::V6(address) => format!("[{address}]"),
            Host::LinkLocal(address, zone) => format!("[{address}%{zone}]"),
        }
    }

    /// The host alone, without brackets, which shells take for a pattern, unless it may seem to end in a port.
    pub fn bare_host(&self) -> String {
        let bare = self.host().replace(['[', ']'], "");
        match unbracketed(&bare) {
            Some(_) => self.host(),
            None => bare,
        }
    }

    /// Where its routes begin, without a zone.
    pub fn base_url(&self) -> String {
        match &self.host {
            Host::Name(_) | Host::V6(_) => format!("https://{self}"),
            Host::LinkLocal(address, _) => format!("https://[{address}]:{}", self.port),
        }
    }

    /// The name of the interface through which alone a connection goes there; none if that is the system's choice.
    ///
    /// # Errors
    /// This machine has no such interface.
    pub fn interface(&self) -> io::Result<Option<&str>> {
        match &self.host {
            Host::Name(_) | Host::V6(_) => Ok(None),
            Host::LinkLocal(_, zone) => zone.scope().map(|_| Some(zone.name())),
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        let host = match (address.ip().to_canonical(), address) {
            (IpAddr::V4(v4), _) => Host::Name(v4.to_string()),
            (IpAddr::V6(v6), SocketAddr::V6(scoped)) if v6.is_unicast_link_local() => {
                Host::LinkLocal(v6, Zone::of(scoped.scope_id()))
            }
            (IpAddr::V6(v6), _) => Host::V6(v6),
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

impl From<AddressFault> for AddressError {
    fn from(fault: AddressFault) -> Self {
        Self { fault }
    }
}

impl PeerAddress {
    /// Parses `text`, where no port means `default_port`.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str, default_port: u16) -> Result<Self, AddressError> {
        let bad = |fault: AddressFault| Err(fault.into());
        if text.contains("://") {
            return bad(AddressFault::Url);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let Some((host, rest)) = rest.split_once(']') else {
                return bad(AddressFault::Unclosed);
            };
            return Ok(Self {
                host: v6(host).ok_or(AddressFault::NoV6)??,
                port: port(rest, default_port)?,
            });
        }
        check_bracketed(text)?;
        if let Some(host) = v6(text) {
            return Ok(Self {
                host: host?,
                port: default_port,
            });
        }
        let (host, rest) = text
            .find(':')
            .map_or((text, ""), |colon| text.split_at(colon));
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if host.len() > 253 || !host.bytes().all(allowed) || !has_good_labels(host) {
            return bad(AddressFault::NoHostName);
        }
        // URLs read `1.2` and `0x7f.1` as addresses, in their own way.
        if ends_in_a_number(host) && host.parse::<Ipv4Addr>().is_err() {
            return bad(AddressFault::NoV4);
        }
        Ok(Self {
            host: Host::Name(host.to_owned()),
            port: port(rest, default_port)?,
        })
    }
}

/// Fails if `text` is an IPv6 address without brackets that may end in a port.
fn check_bracketed(text: &str) -> Result<(), AddressError> {
    let Some((host, port)) = unbracketed(text) else {
        return Ok(());
    };
    let (text, port) = (text.to_owned(), port.to_owned());
    Err(AddressFault::Unclear { text, host, port }.into())
}

/// The IPv6 address and the port that `text` was probably meant to be, if it is an IPv6 address also as it is.
fn unbracketed(text: &str) -> Option<(Ipv6Addr, &str)> {
    text.parse::<Ipv6Addr>().ok()?;
    let (host, port) = text.rsplit_once(':')?;
    let is_port = port.len() >= 4 && port.bytes().all(|b| b.is_ascii_digit());
    // Of `::9443` the first colon is left.
    let host = if host == ":" { "::" } else { host };
    Some((host.parse().ok()?, port)).filter(|_| is_port)
}

/// Whether an address is that of one link only (RFC 4291, section 2.5.6).
pub fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// An IPv6 address without brackets, with its zone if it needs one; none if it is something else.
fn v6(text: &str) -> Option<Result<Host, AddressError>> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let bad = |fault: AddressFault| Err(fault.into());
    Some(
        match (address.is_unicast_link_local(), zone.map(str::parse)) {
            (false, None) => Ok(Host::V6(address)),
            (true, Some(Ok(zone))) => Ok(Host::LinkLocal(address, zone)),
            (true, None) => bad(AddressFault::NeedsInterface),
            (true, Some(Err(()))) => bad(AddressFault::NoInterface),
            (false, Some(_)) => bad(AddressFault::NotLinkLocal),
        },
    )
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
    let bad = AddressError::from(AddressFault::NoPort);
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
        write!(f, "{}:{}", self.host(), self.port)
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
            ("fe80::1%eth0", "[fe80::1%eth0]:8443"),
            ("[fe80::1%br-lan.7]:9443", "[fe80::1%br-lan.7]:9443"),
            ("[FE80::1%4294967295]", "[fe80::1%4294967295]:8443"),
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
    }

    #[test]
    fn what_is_no_address_is_refused() {
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
            "fe80::1",
            "[fe80::1]:1",
            "fe80::1%",
            "[fe80::1%]:1",
            "fe80::1%eth0:8443",
            "[fe80::1%a/b]",
            "[fe80::1%a%b]",
            "[fe80::1%0123456789abcdef]",
            "::1%lo",
            "[2001:db8::1%eth0]:1",
            "192.0.2.1%eth0",
            "box%eth0",
        ] {
            assert!(text.parse::<PeerAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_that_may_end_in_a_port_is_refused_with_an_example() {
        for (text, example) in [
            ("::1:9443", "write [::1]:9443, or [::1:9443] for"),
            ("::9443", "write [::]:9443, or [::9443] for"),
            ("2001:db8::1:8080", "write [2001:db8::1]:8080, or"),
            ("::ffff:0:8443", "write [::ffff:0]:8443, or"),
        ] {
            let error = text.parse::<PeerAddress>().unwrap_err().to_string();
            assert!(error.contains(example), "{text}: {error}");
            let listen = parse_listen(text).unwrap_err().to_string();
            assert!(listen.contains(example), "{text}: {listen}");
            assert!(format!("[{text}]").parse::<PeerAddress>().is_ok());
        }
        // These cannot be read in two ways.
        for text in [
            "2001:db8::9443",
            "2001:db8::1:2",
            "2001:db8::1:8abc",
            "::ffff:192.0.2.7",
        ] {
            assert!(text.parse::<PeerAddress>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_zone_stays_on_this_machine() {
        let address: PeerAddress = "[fe80::1%nowhere]:9443".parse().unwrap();
        assert_eq!(address.base_url(), "https://[fe80::1]:9443");
        assert_eq!(address.bare_host(), "fe80::1%nowhere");
        let error = address.interface().unwrap_err().to_string();
        assert!(error.contains("no network interface nowhere"), "{error}");
        let address: PeerAddress = "box:1".parse().unwrap();
        assert_eq!(address.interface().unwrap(), None);
    }

    #[test]
    fn an_address_of_a_socket_is_one_of_the_address_book() {
        for (socket, shown) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]:1", "[::1]:1"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7:1"),
            ("[fe80::1%4294967295]:1", "[fe80::1%4294967295]:1"),
        ] {
            let socket: SocketAddr = socket.parse().unwrap();
            let address = PeerAddress::from(socket).to_string();
            assert_eq!(address, shown);
            assert!(address.parse::<PeerAddress>().is_ok());
        }
    }
}
