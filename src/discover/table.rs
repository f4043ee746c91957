//! Who was heard of: parsed, bounded, counted.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use crate::{id::PeerId, trust::is_peer_name};

/// Peers that are remembered at once: more than a network of people has, little enough for any machine.
pub const MAX_SEEN: usize = 256;
/// Addresses of one peer that are looked at.
pub const MAX_ADDRESSES: usize = 8;

/// What somebody in the network says of a peer. Anybody may have said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPeer {
    /// Whose it is said to be.
    pub id: PeerId,
    /// What it is said to be called: a name as peers may have.
    pub name: String,
    /// Where it is said to be; never empty.
    pub addresses: Vec<SocketAddr>,
}

/// Those that were heard of, the latest last. Beyond [`MAX_SEEN`] the oldest goes.
#[derive(Debug, Default)]
pub struct Table {
    seen: VecDeque<(String, SeenPeer)>,
    dropped: u64,
    cut: u64,
}

impl Table {
    /// Notes what the record `instance` says. Gives it if it can be used and is new.
    pub fn note(
        &mut self,
        instance: &str,
        id: &str,
        name: &str,
        port: u16,
        ips: impl Iterator<Item = IpAddr>,
    ) -> Option<SeenPeer> {
        let addresses = self.usable(port, ips);
        let id = id.parse().ok();
        let (Some(id), true, false) = (id, is_peer_name(name), addresses.is_empty()) else {
            self.drop_one();
            return None;
        };
        let seen = SeenPeer {
            id,
            name: name.to_owned(),
            addresses,
        };
        let known = self.seen.iter().position(|(known, _)| known == instance);
        let before = known.and_then(|at| self.seen.remove(at));
        let is_new = before.is_none_or(|(_, before)| before != seen);
        self.seen.push_back((instance.to_owned(), seen.clone()));
        if self.seen.len() > MAX_SEEN {
            self.seen.pop_front();
            self.drop_one();
        }
        is_new.then_some(seen)
    }

    /// Forgets a record that says goodbye.
    pub fn remove(&mut self, instance: &str) {
        self.seen.retain(|(known, _)| known != instance);
    }

    /// Counts a record that says nothing.
    pub fn drop_one(&mut self) {
        self.dropped += 1;
    }

    /// Everybody, the first first.
    pub fn peers(&self) -> impl Iterator<Item = &SeenPeer> {
        self.seen.iter().map(|(_, seen)| seen)
    }

    /// Where the peer `id` is said to be, by whomever: at most [`MAX_ADDRESSES`].
    pub fn addresses_of(&self, id: PeerId) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        let said = self.peers().filter(|seen| seen.id == id);
        for address in said.flat_map(|seen| &seen.addresses) {
            if found.len() < MAX_ADDRESSES && !found.contains(address) {
                found.push(*address);
            }
        }
        found
    }

    /// How many records were dropped: not to be read, or too many.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many addresses were left out: nowhere another machine can be, or too many.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// The addresses that can be tried, IPv4 first.
    fn usable(&mut self, port: u16, ips: impl Iterator<Item = IpAddr>) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for ip in ips.map(|ip| ip.to_canonical()) {
            if port == 0 || !is_elsewhere(ip) || addresses.len() == MAX_ADDRESSES {
                self.cut += 1;
            } else {
                addresses.push(SocketAddr::new(ip, port));
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

/// Whether a machine of the network can be there. An address that needs a scope (RFC 4007) can be written nowhere.
fn is_elsewhere(ip: IpAddr) -> bool {
    let is_none = ip.is_loopback() || ip.is_multicast() || ip.is_unspecified();
    let is_special = match ip {
        IpAddr::V4(v4) => v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !is_none && !is_special
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> String {
        PeerId::of(text.as_bytes()).to_string()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn note(table: &mut Table, instance: &str, ips: &[&str]) -> Option<SeenPeer> {
        let ips = ips.iter().map(|text| ip(text));
        table.note(instance, &id(instance), "b", 8443, ips)
    }

    #[test]
    fn a_thousand_fake_records_are_256_and_the_oldest_goes() {
        let mut table = Table::default();
        for n in 0..1000 {
            assert!(note(&mut table, &n.to_string(), &["192.0.2.1"]).is_some());
        }
        assert_eq!((table.peers().count(), table.dropped()), (MAX_SEEN, 744));
        assert_eq!(table.peers().next().unwrap().id.to_string(), id("744"));
        assert_eq!(table.peers().last().unwrap().id.to_string(), id("999"));
    }

    #[test]
    fn hostile_names_ids_and_ports_are_dropped() {
        let mut table = Table::default();
        let (good, long) = (id("b"), "b".repeat(10_000));
        let bad = [
            (good.as_str(), "\u{1b}[2Jb", 8443),
            (&good, "B", 8443),
            (&good, "../b", 8443),
            (&good, "b\nb", 8443),
            (&good, &long, 8443),
            (&good, "", 8443),
            ("", "b", 8443),
            (&good[1..], "b", 8443),
            (&long, "b", 8443),
            (&good, "b", 0),
        ];
        for (id, name, port) in bad {
            let ips = [ip("192.0.2.1")].into_iter();
            assert!(table.note("x", id, name, port, ips).is_none(), "{name:?}");
        }
        assert_eq!((table.peers().count(), table.dropped()), (0, 10));
    }

    #[test]
    fn addresses_where_nobody_else_is_are_cut_and_so_are_too_many() {
        let mut table = Table::default();
        let nowhere = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "224.0.0.251",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::fb",
            "fe80::1",
            "::ffff:127.0.0.1",
        ];
        assert!(note(&mut table, "x", &nowhere).is_none());
        assert_eq!((table.cut(), table.dropped()), (10, 1));
        let many: Vec<_> = (0..1000)
            .map(|n| format!("10.0.{}.{}", n / 250, n % 250))
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let seen = note(&mut table, "y", &many).unwrap();
        assert_eq!((seen.addresses.len(), table.cut()), (MAX_ADDRESSES, 1002));
    }

    #[test]
    fn only_news_is_given_and_a_goodbye_forgets() {
        let mut table = Table::default();
        assert!(note(&mut table, "x", &["192.0.2.1"]).is_some());
        assert!(note(&mut table, "x", &["192.0.2.1"]).is_none());
        assert!(note(&mut table, "x", &["192.0.2.2"]).is_some());
        let found = table.addresses_of(PeerId::of(b"x"));
        assert_eq!(found, ["192.0.2.2:8443".parse().unwrap()]);
        table.remove("x");
        assert_eq!(table.peers().count(), 0);
    }

    proptest! {
        #[test]
        fn whatever_is_said_the_table_stays_within_its_bounds(
            records in prop::collection::vec(
                (0_u16..400, any::<bool>(), ".{0,80}", any::<u16>(), prop::collection::vec(any::<u128>(), 0..20)),
                0..600,
            )
        ) {
            let mut table = Table::default();
            for (instance, is_id, name, port, ips) in records {
                let instance = instance.to_string();
                let said = if is_id { id(&instance) } else { name.clone() };
                let name = if port % 2 == 0 { "b".to_owned() } else { name };
                let ips = ips.into_iter().map(|bits| match bits % 3 {
                    0 => IpAddr::V4(((bits >> 8) as u32).into()),
                    _ => IpAddr::V6(bits.into()),
                });
                table.note(&instance, &said, &name, port, ips);
            }
            prop_assert!(table.peers().count() <= MAX_SEEN);
            for seen in table.peers() {
                prop_assert!(is_peer_name(&seen.name));
                prop_assert!((1..=MAX_ADDRESSES).contains(&seen.addresses.len()));
                prop_assert!(seen.addresses.iter().all(|a| a.port() != 0 && is_elsewhere(a.ip())));
            }
        }
    }
}
