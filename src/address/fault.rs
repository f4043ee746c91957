//! How a text is not an address: the parameters of [`AddressError`](super::AddressError).

use std::net::Ipv6Addr;

/// How a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    /// It has a scheme.
    #[error("it is a URL")]
    Url,
    /// A bracket is not closed.
    #[error("`[` without `]`")]
    Unclosed,
    /// In brackets is something else.
    #[error("not an IPv6 address between `[` and `]`")]
    NoV6,
    /// It cannot be the name of a host.
    #[error("not a host name")]
    NoHostName,
    /// It ends in a number, as an IPv4 address does, and is none.
    #[error("not an IPv4 address")]
    NoV4,
    /// It has no usable port.
    #[error("not a port from 1 to 65535")]
    NoPort,
    /// It is an IPv6 address without brackets that may end in a port.
    #[error(
        "whether {port} is its port is not clear: write [{host}]:{port}, or [{text}] for an address that ends so"
    )]
    Unclear {
        /// The whole.
        text: String,
        /// The address, if it ends in a port.
        host: Ipv6Addr,
        /// The port, if it does.
        port: String,
    },
    /// It is of one link only, and does not say of which.
    #[error(
        "a link-local address needs its network interface on this machine, as fe80::1%eth0 or [fe80::1%eth0]:8443"
    )]
    NeedsInterface,
    /// It names an interface that this machine does not have.
    #[error("no interface has this name; with a port it is written [fe80::1%eth0]:8443")]
    NoInterface,
    /// It names an interface without need.
    #[error("only a link-local address, fe80::..., has an interface behind `%`")]
    NotLinkLocal,
}
