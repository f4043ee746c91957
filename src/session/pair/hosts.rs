//! What to type on the new machine for the one that shows a code.

use std::net::{IpAddr, SocketAddr};

use crate::{
    address::{PeerAddress, is_link_local, loopback},
    pair::PAIRING_PORT,
};

/// Addresses that are shown; one of them is the right one.
const MAX_ADDRESSES: usize = 4;
/// Stands in [`ShownCode::hosts`](super::ShownCode::hosts) for the zone of a link-local address: an interface of the machine where
/// it is typed, which only that one knows.
pub const ITS_INTERFACE: &str = "INTERFACE";

/// Where a machine that shows a code at `listen` can be reached.
pub(super) fn of(listen: SocketAddr) -> Vec<String> {
    let mut found = vec![listen.ip()];
    if listen.ip().is_unspecified() {
        let own = if_addrs::get_if_addrs().unwrap_or_default();
        found = own.into_iter().map(|interface| interface.ip()).collect();
        found.retain(|ip| !ip.is_loopback() && (listen.is_ipv6() || ip.is_ipv4()));
        if !found.iter().all(|ip| is_link_local(*ip)) {
            found.retain(|ip| !is_link_local(*ip));
        }
        found.sort_by_key(IpAddr::is_ipv6);
        found.truncate(MAX_ADDRESSES);
        if found.is_empty() {
            found.push(loopback());
        }
    }
    // The zone of a link-local address is an interface of the machine where it is typed.
    let shown = |ip: IpAddr| match (listen.port(), is_link_local(ip)) {
        (PAIRING_PORT, false) => PeerAddress::from(SocketAddr::new(ip, PAIRING_PORT)).bare_host(),
        (PAIRING_PORT, true) => format!("{ip}%{ITS_INTERFACE}"),
        (port, false) => SocketAddr::new(ip, port).to_string(),
        (port, true) => format!("[{ip}%{ITS_INTERFACE}]:{port}"),
    };
    found.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_understood_where_it_is_typed() {
        for (ip, shown) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("2001:db8::7:1234", "[2001:db8::7:1234]"),
        ] {
            let listen = SocketAddr::new(ip.parse().unwrap(), PAIRING_PORT);
            assert_eq!(of(listen), [shown]);
            let typed = PeerAddress::parse(shown, PAIRING_PORT).unwrap();
            assert_eq!(typed, listen.into());
        }
    }
}
