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

/// Listens on `address`; port 0 takes a free one, `[::]` all addresses of both families, or of IPv4 where the system has no
/// IPv6.
///
/// # Errors
/// [`BindError`].
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let mut bound = listen(address);
    let all_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    if address.ip() == Ipv6Addr::UNSPECIFIED && bound.as_ref().is_err_and(is_without_v6) {
        bound = listen(all_v4);
    }
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::AddressInUse { address },
        _ => BindError::Other { address, source },
    })
}

fn is_without_v6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
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
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_said_so() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let second = bind(address);
        assert!(matches!(second, Err(BindError::AddressInUse { address: a }) if a == address));
    }
}
