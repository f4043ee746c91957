//! Where to listen, as people write it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    str::FromStr as _,
};

use super::{AddressError, AddressFault, DEFAULT_PORT, PeerAddress, check_bracketed};
use crate::name::LibraryError;

/// Where a peer listens if nobody says otherwise: all addresses of this machine, of both families.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), DEFAULT_PORT);

/// Not an address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an address to listen on: {fault}; for instance 0.0.0.0:9443, :9443 or [::1]:9443")]
pub struct ListenError {
    /// What is wrong.
    pub fault: ListenFault,
}

/// How a text is not an address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenFault {
    /// It is not an address.
    #[error(transparent)]
    NoAddress(#[from] AddressFault),
    /// It has no usable port.
    #[error("not a port from 0 to 65535")]
    NoPort,
    /// It is the name of a host, which may have several addresses.
    #[error("it is a name, and no address of this machine")]
    Name,
    /// It has an interface that cannot be used.
    #[error("{0}")]
    Interface(LibraryError),
}

/// Parses where to listen: an address of this machine with or without a port, `localhost`, or a port alone. A port alone
/// means all addresses, of both families. Port 0 is a free one.
///
/// # Errors
/// [`ListenError`] if `text` is neither; also for the name of a host, which may have several addresses, and for an interface
/// that this machine does not have.
pub fn parse_listen(text: &str) -> Result<SocketAddr, ListenError> {
    let text = text.trim();
    let all = text.strip_prefix("*:").or_else(|| text.strip_prefix(':'));
    if let Some(port) = all.filter(|rest| !rest.contains(':')) {
        return Ok(SocketAddr::new(DEFAULT_LISTEN.ip(), port_of(port)?));
    }
    if text.is_empty() || text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(SocketAddr::new(DEFAULT_LISTEN.ip(), port_of(text)?));
    }
    if let Some(rest) = text.strip_prefix("localhost") {
        match rest.strip_prefix(':') {
            Some(port) => return Ok(SocketAddr::new(loopback(), port_of(port)?)),
            None if rest.is_empty() => return Ok(SocketAddr::new(loopback(), DEFAULT_PORT)),
            None => {}
        }
    }
    check_bracketed(text).map_err(|AddressError { fault }| refused(fault))?;
    // Unlike an address to connect to, this may have the port 0.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, port_of(port)?),
        _ => (text, DEFAULT_PORT),
    };
    let address = PeerAddress::from_str(host).map_err(|AddressError { fault }| refused(fault))?;
    match address.socket_addr() {
        Some(Ok(mut found)) => {
            found.set_port(port);
            Ok(found)
        }
        Some(Err(error)) => Err(refused(ListenFault::Interface(LibraryError::new(error)))),
        None => Err(refused(ListenFault::Name)),
    }
}

/// The loopback address of this machine: that of IPv4, or of IPv6 where there is only that.
pub fn loopback() -> IpAddr {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
        Ok(_) => Ipv4Addr::LOCALHOST.into(),
        Err(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

fn port_of(text: &str) -> Result<u16, ListenError> {
    let digits = Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let port = digits.and_then(|digits| digits.parse().ok());
    port.ok_or_else(|| refused(ListenFault::NoPort))
}

fn refused(fault: impl Into<ListenFault>) -> ListenError {
    let fault = fault.into();
    ListenError { fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_listen_is_read_as_people_write_it() {
        for (text, meant) in [
            (":9443", "[::]:9443"),
            ("9443", "[::]:9443"),
            ("*:9443", "[::]:9443"),
            ("0", "[::]:0"),
            (" 127.0.0.1:9443 ", "127.0.0.1:9443"),
            ("127.0.0.1", "127.0.0.1:8443"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("0.0.0.0", "0.0.0.0:8443"),
            ("[::1]", "[::1]:8443"),
            ("::1", "[::1]:8443"),
            ("::", "[::]:8443"),
            ("[::]:9443", "[::]:9443"),
            ("[::1:9443]", "[::1:9443]:8443"),
            ("2001:db8::1:2", "[2001:db8::1:2]:8443"),
            ("[2001:db8::1]:0", "[2001:db8::1]:0"),
            ("2001:db8::9443", "[2001:db8::9443]:8443"),
        ] {
            let parsed = parse_listen(text).unwrap();
            assert_eq!(parsed, meant.parse().unwrap(), "{text}");
        }
        for text in ["localhost", "localhost:8443"] {
            let parsed = parse_listen(text).unwrap();
            assert_eq!(parsed, SocketAddr::new(loopback(), 8443), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_to_listen_on_is_refused_with_an_example() {
        for (text, reason) in [
            ("", "port"),
            (":", "port"),
            ("*", "host name"),
            ("127.0.0.1:", "port"),
            ("localhost:", "port"),
            ("host:", "port"),
            ("[::1]:", "port"),
            (":99999", "port"),
            ("99999", "port"),
            (":+1", "port"),
            ("127.0.0.1:http", "port"),
            ("box.lan:9443", "name"),
            ("localhosts:1", "name"),
            ("eth0", "name"),
            ("http://127.0.0.1:9443", "URL"),
            ("1.2.3", "IPv4"),
            ("256.1.1.1:1", "IPv4"),
            ("[::1", "`]`"),
            ("[x]:1", "IPv6"),
            ("::1:99999", "host name"),
            ("::1:9443", "write [::1]:9443, or [::1:9443]"),
            ("::9443", "write [::]:9443, or [::9443]"),
            ("2001:db8::1:8080", "[2001:db8::1]:8080"),
            ("fe80::1", "link-local"),
            ("[fe80::1]:9443", "link-local"),
            ("[fe80::1%nowhere]:9443", "no network interface nowhere"),
            ("[::1%lo]:9443", "link-local"),
        ] {
            let error = parse_listen(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains("for instance 0.0.0.0:9443"), "{error}");
        }
    }
}
