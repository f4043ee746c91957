//! Who was heard of: parsed, bounded, counted.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

use domain::base::Rtype;

use super::{
    VERSION,
    link::Source,
    message::{Heard, Question},
};
use crate::{address::is_link_local, id::PeerId, trust::is_peer_name};

/// Peers that are remembered at once: more than a network of people has, little enough for any machine.
pub const MAX_SEEN: usize = 256;
/// Peers of one source that are remembered: more than one machine runs.
const MAX_OF_SOURCE: usize = 32;
/// Questions about peers that said too little, in one message.
const MAX_QUESTIONS: usize = 16;
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

/// What one source says of one instance, as far as it is known.
#[derive(Debug)]
struct Entry {
    source: Source,
    instance: String,
    place: Option<(String, u16)>,
    told: Option<(PeerId, String)>,
    ips: Vec<IpAddr>,
    /// Whether it was asked what it is, and where its host is.
    is_asked: bool,
    is_host_asked: bool,
    /// What was given of it.
    given: Option<SeenPeer>,
}

impl Entry {
    fn new(source: Source, instance: &str) -> Self {
        Self {
            source,
            instance: instance.to_owned(),
            place: None,
            told: None,
            ips: Vec::new(),
            is_asked: false,
            is_host_asked: false,
            given: None,
        }
    }

    /// None until all is said.
    fn seen(&self) -> Option<SeenPeer> {
        let (id, name) = self.told.as_ref()?;
        let (_, port) = self.place.as_ref()?;
        let at = |ip: &IpAddr| at(*ip, *port, self.source.link);
        let addresses: Vec<_> = self.ips.iter().map(at).collect();
        (!addresses.is_empty()).then(|| SeenPeer {
            id: *id,
            name: name.clone(),
            addresses,
        })
    }

    /// What it has not said, each once.
    fn questions(&mut self) -> Vec<Question> {
        let ask = |name: &str, kind| Question {
            name: name.to_owned(),
            kind,
        };
        let (is_asked, name, kinds) = match (&self.place, &self.told) {
            (Some(_), Some(_)) if !self.ips.is_empty() => return Vec::new(),
            (Some((host, _)), Some(_)) => (&mut self.is_host_asked, host, [Rtype::A, Rtype::AAAA]),
            _ => (&mut self.is_asked, &self.instance, [Rtype::SRV, Rtype::TXT]),
        };
        match std::mem::replace(is_asked, true) {
            true => Vec::new(),
            false => kinds.map(|kind| ask(name, kind)).into(),
        }
    }
}

/// Those that were heard of, the latest last. What each source says is kept apart from what others say.
///
/// Beyond `MAX_OF_SOURCE` of one source its oldest goes, and beyond [`MAX_SEEN`] the oldest of the source that has most: who
/// floods the network with names pushes out its own.
#[derive(Debug, Default)]
pub struct Table {
    entries: VecDeque<Entry>,
    dropped: u64,
    cut: u64,
}

impl Table {
    /// Notes what one message of `source` says.
    pub(super) fn note(&mut self, source: Source, heard: Vec<Heard>) {
        let (addresses, rest): (Vec<_>, Vec<_>) = heard
            .into_iter()
            .partition(|heard| matches!(heard, Heard::Address { .. }));
        for heard in rest {
            match heard {
                Heard::Instance {
                    instance,
                    is_there: false,
                } => self.remove(source, &instance),
                Heard::Instance { instance, .. } => _ = self.entry(source, &instance),
                Heard::Place {
                    instance,
                    host,
                    port,
                } => self.note_place(source, &instance, host, port),
                Heard::Text { instance, values } => self.note_text(source, &instance, &values),
                Heard::Address { .. } => {}
            }
        }
        // They belong to a host that may be named after them.
        for heard in addresses {
            if let Heard::Address { host, ip } = heard {
                self.note_address(source, &host, ip);
            }
        }
    }

    fn note_place(&mut self, source: Source, instance: &str, host: String, port: u16) {
        if port == 0 {
            return self.refuse(source, instance);
        }
        let entry = self.entry(source, instance);
        let place = Some((host, port));
        if entry.place != place {
            (entry.place, entry.ips) = (place, Vec::new());
        }
    }

    fn note_text(&mut self, source: Source, instance: &str, [version, id, name]: &[String; 3]) {
        let id = id
            .parse()
            .ok()
            .filter(|_| version == VERSION && is_peer_name(name));
        match id {
            Some(id) => self.entry(source, instance).told = Some((id, name.clone())),
            None => self.refuse(source, instance),
        }
    }

    fn note_address(&mut self, source: Source, host: &str, ip: IpAddr) {
        let ip = ip.to_canonical();
        let is_of = |entry: &&mut Entry| {
            entry.source == source && entry.place.as_ref().is_some_and(|(at, _)| at == host)
        };
        let mut cut = 0;
        for entry in self.entries.iter_mut().filter(is_of) {
            if entry.ips.contains(&ip) {
                continue;
            }
            if is_elsewhere(ip) && entry.ips.len() < MAX_ADDRESSES {
                entry.ips.push(ip);
                entry.ips.sort_unstable();
            } else {
                cut += 1;
            }
        }
        self.cut += cut;
    }

    /// The entry of that instance, moved to the end or made there.
    fn entry(&mut self, source: Source, instance: &str) -> &mut Entry {
        let known = self.position(source, instance);
        let entry = known.and_then(|at| self.entries.remove(at));
        let entry = match entry {
            Some(entry) => entry,
            None => {
                self.make_room(source);
                Entry::new(source, instance)
            }
        };
        self.entries.push_back(entry);
        let last = self.entries.len() - 1;
        &mut self.entries[last]
    }

    fn make_room(&mut self, source: Source) {
        let mut counts: HashMap<Source, usize> = HashMap::new();
        for entry in &self.entries {
            *counts.entry(entry.source).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or_default();
        let goes = |entry: &Entry| match counts.get(&source) {
            Some(count) if *count >= MAX_OF_SOURCE => entry.source == source,
            _ => counts.get(&entry.source) == Some(&most),
        };
        let is_full = self.entries.len() >= MAX_SEEN
            || counts
                .get(&source)
                .is_some_and(|count| *count >= MAX_OF_SOURCE);
        if let Some(at) = self.entries.iter().position(goes).filter(|_| is_full) {
            self.entries.remove(at);
            self.dropped += 1;
        }
    }

    fn position(&self, source: Source, instance: &str) -> Option<usize> {
        let is_it = |entry: &Entry| entry.source == source && entry.instance == instance;
        self.entries.iter().position(is_it)
    }

    /// Forgets what says goodbye. Only who said it can take it back.
    fn remove(&mut self, source: Source, instance: &str) {
        if let Some(at) = self.position(source, instance) {
            self.entries.remove(at);
        }
    }

    /// Forgets what says nothing usable.
    fn refuse(&mut self, source: Source, instance: &str) {
        self.remove(source, instance);
        self.drop_one();
    }

    /// Counts a message that says nothing.
    pub(super) fn drop_one(&mut self) {
        self.dropped += 1;
    }

    /// One that is new or has changed since it was given here.
    pub(super) fn news(&mut self) -> Option<SeenPeer> {
        self.entries.iter_mut().find_map(|entry| {
            let seen = entry.seen()?;
            if entry.given.as_ref() == Some(&seen) {
                return None;
            }
            entry.given = Some(seen.clone());
            Some(seen)
        })
    }

    /// Asks for what was not said, for some at a time.
    pub(super) fn questions(&mut self) -> Vec<Question> {
        let questions = self.entries.iter_mut().flat_map(Entry::questions);
        questions.take(MAX_QUESTIONS).collect()
    }

    /// Everybody, the first first. What several sources say of one instance, such as a machine with two links, is one peer
    /// with the addresses of all.
    pub fn peers(&self) -> Vec<SeenPeer> {
        let mut peers: Vec<(&str, SeenPeer)> = Vec::new();
        for (entry, seen) in self.entries.iter().filter_map(|e| Some((e, e.seen()?))) {
            let same = peers.iter_mut().find(|(instance, peer)| {
                *instance == entry.instance && peer.id == seen.id && peer.name == seen.name
            });
            match same {
                Some((_, peer)) => peer.addresses.extend(seen.addresses),
                None => peers.push((&entry.instance, seen)),
            }
        }
        let merged = peers.into_iter().map(|(_, mut peer)| {
            peer.addresses.sort_unstable();
            peer.addresses.dedup();
            peer.addresses.truncate(MAX_ADDRESSES);
            peer
        });
        merged.collect()
    }

    /// Where the peer `id` is said to be, by whomever: at most [`MAX_ADDRESSES`].
    pub fn addresses_of(&self, id: PeerId) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        let said = self.peers().into_iter().filter(|seen| seen.id == id);
        for address in said.flat_map(|seen| seen.addresses) {
            if found.len() < MAX_ADDRESSES && !found.contains(&address) {
                found.push(address);
            }
        }
        found
    }

    /// How many records or messages were dropped: not to be read, or too many.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many addresses were left out: nowhere another machine can be, or too many.
    pub fn cut(&self) -> u64 {
        self.cut
    }
}

/// Whether a machine of the network can be there. Of IPv6 that is global unicast, unique local or link-local (RFC 4291 and
/// RFC 4193); what carries an address of IPv4 in it (mapped, 6to4, Teredo, NAT64) leads through a translator, perhaps to this
/// very machine, and a machine of the link has better ones.
fn is_elsewhere(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => match v4.octets()[0] {
            // This network, loopback, multicast, reserved and broadcast (RFC 6890).
            0 | 127 | 224.. => false,
            _ => true,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0x2002, ..] | [0x2001, 0, ..] => false,
            [0x2000..=0x3fff, ..] => true,
            _ => v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

/// Where something is that was heard of on `link`, which is the scope of a link-local address (RFC 4007).
fn at(ip: IpAddr, port: u16, link: u32) -> SocketAddr {
    match ip {
        IpAddr::V6(v6) if is_link_local(ip) => SocketAddrV6::new(v6, port, 0, link).into(),
        _ => SocketAddr::new(ip, port),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_where_a_machine_of_the_network_can_be_is_elsewhere() {
        for ip in [
            "10.0.0.1",
            "169.254.1.1",
            "192.168.1.9",
            "223.255.255.254",
            "2001:db8::1",
            "2001:4860::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(is_elsewhere(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.0.1",
            "224.0.0.251",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "2001::7f00:1",
            "2002:7f00:1::1",
            "100::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_elsewhere(ip.parse().unwrap()), "{ip}");
        }
    }

    fn id(text: &str) -> String {
        PeerId::of(text.as_bytes()).to_string()
    }

    fn source(n: u32) -> Source {
        Source {
            link: 1,
            ip: std::net::Ipv4Addr::from_bits(n).into(),
        }
    }

    /// All that a peer says of itself, as `source` sends it.
    fn said(instance: &str, id: &str, name: &str, port: u16, ips: &[IpAddr]) -> Vec<Heard> {
        let (instance, host) = (instance.to_owned(), format!("host-{instance}"));
        let values = ["1", id, name].map(str::to_owned);
        let mut heard = vec![
            Heard::Instance {
                instance: instance.clone(),
                is_there: true,
            },
            Heard::Place {
                instance: instance.clone(),
                host: host.clone(),
                port,
            },
            Heard::Text { instance, values },
        ];
        heard.extend(ips.iter().map(|ip| Heard::Address {
            host: host.clone(),
            ip: *ip,
        }));
        heard
    }

    fn note(table: &mut Table, from: u32, instance: &str, ips: &[&str]) -> Option<SeenPeer> {
        let ips: Vec<IpAddr> = ips.iter().map(|text| text.parse().unwrap()).collect();
        table.note(source(from), said(instance, &id(instance), "b", 8443, &ips));
        table.news()
    }

    #[test]
    fn a_source_pushes_out_its_own_records_only() {
        let mut table = Table::default();
        assert!(note(&mut table, 1, "honest", &["192.0.2.1"]).is_some());
        for n in 0..100_000 {
            let _ = note(&mut table, 2, &n.to_string(), &["192.0.2.2"]);
        }
        let peers = table.peers();
        assert_eq!(peers.len(), 1 + MAX_OF_SOURCE);
        assert_eq!(peers[0].id.to_string(), id("honest"));
        assert_eq!(peers.last().unwrap().id.to_string(), id("99999"));
    }

    #[test]
    fn many_sources_are_256_records_and_who_has_most_makes_way() {
        let mut table = Table::default();
        assert!(note(&mut table, 0, "honest", &["192.0.2.1"]).is_some());
        for n in 0..10_000 {
            let _ = note(&mut table, 1 + n % 20, &n.to_string(), &["192.0.2.2"]);
        }
        assert_eq!(table.peers().len(), MAX_SEEN);
        assert_eq!(table.peers()[0].id.to_string(), id("honest"));
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
            let ips = ["192.0.2.1".parse().unwrap()];
            table.note(source(1), said("x", id, name, port, &ips));
            assert!(table.news().is_none(), "{name:?}");
        }
        assert_eq!((table.peers().len(), table.dropped()), (0, 10));
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
            "::ffff:127.0.0.2",
        ];
        assert!(note(&mut table, 1, "x", &nowhere).is_none());
        assert_eq!(table.cut(), 9);
        let many: Vec<_> = (0..1000)
            .map(|n| format!("10.0.{}.{}", n / 250, n % 250))
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let seen = note(&mut table, 1, "y", &many).unwrap();
        assert_eq!((seen.addresses.len(), table.cut()), (MAX_ADDRESSES, 1001));
    }

    #[test]
    fn only_news_is_given_and_only_who_said_it_takes_it_back() {
        let mut table = Table::default();
        assert!(note(&mut table, 1, "x", &["192.0.2.1"]).is_some());
        assert!(note(&mut table, 1, "x", &["192.0.2.1"]).is_none());
        assert!(note(&mut table, 1, "x", &["192.0.2.2"]).is_some());
        let goodbye = Heard::Instance {
            instance: "x".to_owned(),
            is_there: false,
        };
        table.note(source(2), vec![goodbye.clone()]);
        assert_eq!(table.peers().len(), 1);
        table.note(source(1), vec![goodbye]);
        assert_eq!(table.peers().len(), 0);
    }

    #[test]
    fn a_machine_that_speaks_on_two_links_is_one_peer() {
        let mut table = Table::default();
        assert!(note(&mut table, 1, "x", &["192.0.2.1"]).is_some());
        assert!(note(&mut table, 2, "x", &["198.51.100.1", "192.0.2.1"]).is_some());
        let peers = table.peers();
        assert_eq!(peers.len(), 1);
        let expected = ["192.0.2.1:8443", "198.51.100.1:8443"].map(|at| at.parse().unwrap());
        assert_eq!(peers[0].addresses, expected);
        assert_eq!(table.addresses_of(PeerId::of(b"x")), expected);
    }

    #[test]
    fn a_link_local_address_is_one_of_the_link_where_it_was_heard() {
        let mut table = Table::default();
        for link in [7, 3] {
            let ip: IpAddr = "fe80::1".parse().unwrap();
            let source = Source { link, ip };
            table.note(source, said("x", &id("x"), "b", 8443, &[ip]));
        }
        let addresses = &table.peers()[0].addresses;
        let scoped = ["[fe80::1%3]:8443", "[fe80::1%7]:8443"].map(|at| at.parse().unwrap());
        assert_eq!(addresses, &scoped);
    }

    #[test]
    fn what_is_not_said_is_asked_for_once() {
        let mut table = Table::default();
        let all = said("x", &id("x"), "b", 8443, &["192.0.2.1".parse().unwrap()]);
        let kinds = |table: &mut Table| -> Vec<_> {
            table.questions().into_iter().map(|q| q.kind).collect()
        };
        table.note(source(1), all[..1].to_vec());
        assert_eq!(kinds(&mut table), [Rtype::SRV, Rtype::TXT]);
        assert!(kinds(&mut table).is_empty());
        table.note(source(1), all[1..3].to_vec());
        assert_eq!(kinds(&mut table), [Rtype::A, Rtype::AAAA]);
        assert!(table.news().is_none());
        table.note(source(1), all[3..].to_vec());
        assert!(table.news().is_some() && kinds(&mut table).is_empty());
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
                let said_id = if is_id { id(&instance) } else { name.clone() };
                let name = if port % 2 == 0 { "b".to_owned() } else { name };
                let ips: Vec<_> = ips.into_iter().map(|bits| match bits % 3 {
                    0 => IpAddr::V4(((bits >> 8) as u32).into()),
                    _ => IpAddr::V6(bits.into()),
                }).collect();
                table.note(source(u32::from(port % 50)), said(&instance, &said_id, &name, port, &ips));
            }
            prop_assert!(table.entries.len() <= MAX_SEEN);
            for seen in table.peers() {
                prop_assert!(is_peer_name(&seen.name));
                prop_assert!((1..=MAX_ADDRESSES).contains(&seen.addresses.len()));
                prop_assert!(seen.addresses.iter().all(|a| a.port() != 0 && is_elsewhere(a.ip())));
            }
        }
    }
}
