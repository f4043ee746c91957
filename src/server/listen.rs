//! Binding a port.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 1024;

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another process listens there.
    #[error("{address} is in use by another process")]
    AddressInUse {
        /// Where we wanted to listen.
        address: SocketAddr,
    },
    /// The address is not one of this machine's, the port is reserved...
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Looks whether [`bind`] could listen on `address` now. Nobody who looks or binds meanwhile is in the way of another.
///
/// # Errors
/// [`BindError`].
pub fn check_free(address: SocketAddr) -> Result<(), BindError> {
    try_as(address, |address| bound(address).map(drop))
}

/// Listens on `address`; port 0 takes a free one, `[::]` all addresses of both families, or of IPv4 where the system has no
/// IPv6.
///
/// # Errors
/// [`BindError`].
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    try_as(address, listen)
}

/// Tries `address`, and all addresses of IPv4 where the system has no IPv6.
fn try_as<T>(
    address: SocketAddr,
    attempt: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<T, BindError> {
    let mut tried = attempt(address);
    let all_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    if address.ip() == Ipv6Addr::UNSPECIFIED && tried.as_ref().is_err_and(is_without_v6) {
        tried = attempt(all_v4);
    }
    tried.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::AddressInUse { address },
        _ => BindError::Other { address, source },
    })
}

fn is_without_v6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Has the port, and does not listen yet.
fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // `[::]` means every address, on each system alike.
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for connections of the process before it; on Unix this never takes a port in use.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_said_so() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let looked = check_free(address);
        assert!(matches!(looked, Err(BindError::AddressInUse { address: a }) if a == address));
        let second = bind(address);
        assert!(matches!(second, Err(BindError::AddressInUse { address: a }) if a == address));
    }
}
