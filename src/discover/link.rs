//! The links of this machine, and what is heard there: every message of multicast DNS passes here before it is read.
//!
//! Each link has its own sockets, so that it is known where a message came from. They are bound to the group's address:
//! only messages to the group reach them, which no router passes on.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    future::poll_fn,
    hash::BuildHasher as _,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    task::{Context, Poll},
};

use if_addrs::{IfAddr, Interface};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::{
    io::ReadBuf,
    net::UdpSocket,
    time::{Duration, Instant},
};

use super::message::{Kind, MAX_MESSAGE};
use crate::address::is_link_local;

/// Where all of multicast DNS happens (RFC 6762, section 3).
pub(super) const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// As far as a message may go (section 11): a router that passes it on all the same shows.
const HOPS: u32 = 255;

/// Links that are used, the first ones: a machine with more has them for its containers.
const MAX_LINKS: usize = 32;

/// Who says something: an address on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source {
    /// The index of the interface.
    pub(super) link: u32,
    pub(super) ip: IpAddr,
}

/// An address of this machine and how many of its bits are those of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Net {
    ip: IpAddr,
    prefix: u8,
}

impl Net {
    fn of(address: &IfAddr) -> Self {
        let (ip, prefix) = match address {
            IfAddr::V4(v4) => (v4.ip.into(), v4.prefixlen),
            IfAddr::V6(v6) => (v6.ip.into(), v6.prefixlen),
        };
        Self { ip, prefix }
    }

    fn holds(self, other: IpAddr) -> bool {
        let differs = match (self.ip, other) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                u128::from(ours.to_bits() ^ theirs.to_bits()) << 96
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => ours.to_bits() ^ theirs.to_bits(),
            _ => return false,
        };
        differs.leading_zeros() >= u32::from(self.prefix)
    }
}

/// One link, with a socket of each family that it has.
struct Link {
    index: u32,
    nets: Vec<Net>,
    sockets: Vec<UdpSocket>,
    /// A socket failed: they are made anew.
    is_broken: bool,
}

impl Link {
    fn open(index: u32, nets: Vec<Net>) -> Self {
        let v4 = nets.iter().find_map(|net| match net.ip {
            IpAddr::V4(ip) => Some(open_v4(index, ip)),
            IpAddr::V6(_) => None,
        });
        let v6 = nets.iter().any(|net| net.ip.is_ipv6());
        let v6 = v6.then(|| open_v6(index));
        let sockets = [v4, v6].into_iter().flatten();
        let sockets = sockets.filter_map(|opened| {
            opened
                .inspect_err(|error| tracing::debug!(index, %error, "no multicast on this link"))
                .ok()
        });
        Self {
            index,
            nets,
            sockets: sockets.collect(),
            is_broken: false,
        }
    }

    /// Whether that address is one of this link, so that who speaks from there is near.
    fn is_near(&self, ip: IpAddr) -> bool {
        is_link_local(ip) || self.nets.iter().any(|net| net.holds(ip))
    }
}

/// What was heard: a message of the length `length`.
pub(super) struct Message {
    pub(super) source: Source,
    pub(super) port: u16,
    pub(super) length: usize,
    from: SocketAddr,
}

/// The links where multicast DNS is spoken.
pub(super) struct Links {
    links: Vec<Link>,
    pace: Pace,
    /// Which link is looked at first: a flood on one must not drown the others.
    turn: usize,
}

impl Links {
    /// Fails if the port of multicast DNS is not to be had.
    pub(super) fn open() -> io::Result<Self> {
        check_port()?;
        let mut links = Self {
            links: Vec::new(),
            pace: Pace::new(),
            turn: 0,
        };
        links.refresh()?;
        Ok(links)
    }

    /// Looks which links there are now. Returns those that are new or have other addresses than before.
    pub(super) fn refresh(&mut self) -> io::Result<Vec<u32>> {
        let interfaces = interfaces()?;
        self.links
            .retain(|link| !link.is_broken && interfaces.get(&link.index) == Some(&link.nets));
        let mut new = Vec::new();
        // A machine with many containers has as many interfaces with nothing but a link-local address.
        let (local, wide): (Vec<_>, Vec<_>) = interfaces
            .into_iter()
            .partition(|(_, nets)| nets.iter().all(|net| is_link_local(net.ip)));
        for (index, nets) in wide.into_iter().chain(local) {
            let is_open = self.links.iter().any(|link| link.index == index);
            if !is_open && self.links.len() < MAX_LINKS {
                self.links.push(Link::open(index, nets));
                new.push(index);
            }
        }
        Ok(new)
    }

    /// Every link, by its index.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> {
        self.links.iter().map(|link| link.index)
    }

    /// Whether a message could be sent at all.
    pub(super) fn can_speak(&self) -> bool {
        self.links.iter().any(|link| !link.sockets.is_empty())
    }

    /// The addresses that this machine has on a link.
    pub(super) fn addresses(&self, link: u32) -> Vec<IpAddr> {
        let link = self.links.iter().find(|other| other.index == link);
        link.map_or_else(Vec::new, |link| {
            link.nets.iter().map(|net| net.ip).collect()
        })
    }

    /// The next message of that kind, in `buffer`. The rest is dropped unread: what is of the other kind, is too long, comes
    /// from elsewhere, or is more than its source may say.
    pub(super) async fn hear(&mut self, kind: Kind, buffer: &mut [u8]) -> Message {
        loop {
            let (at, from, length) = poll_fn(|context| self.poll(context, buffer)).await;
            let (Some(link), Some(bytes)) = (self.links.get(at), buffer.get(..length)) else {
                continue;
            };
            let source = Source {
                link: link.index,
                ip: from.ip(),
            };
            let is_wanted = Kind::of(bytes) == Some(kind) && link.is_near(source.ip);
            if is_wanted && self.pace.admits(source, Instant::now()) {
                return Message {
                    source,
                    port: from.port(),
                    length,
                    from,
                };
            }
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<(usize, SocketAddr, usize)> {
        let count = self.links.len();
        for at in (self.turn..self.turn + count).map(|at| at % count) {
            let Some(link) = self.links.get_mut(at) else {
                continue;
            };
            for socket in &link.sockets {
                let mut into = ReadBuf::new(buffer);
                match socket.poll_recv_from(context, &mut into) {
                    Poll::Ready(Ok(from)) => {
                        self.turn = at + 1;
                        return Poll::Ready((at, from, into.filled().len()));
                    }
                    Poll::Ready(Err(_)) => link.is_broken = true,
                    Poll::Pending => {}
                }
            }
            if link.is_broken {
                link.sockets.clear();
            }
        }
        Poll::Pending
    }

    /// Says it to everybody on a link. A message that is lost is said again, as it might be lost on the way.
    pub(super) fn say(&self, link: u32, message: &[u8]) {
        let link = self.links.iter().find(|other| other.index == link);
        for socket in link.iter().flat_map(|link| &link.sockets) {
            let is_v4 = socket.local_addr().is_ok_and(|local| local.is_ipv4());
            let group: SocketAddr = match is_v4 {
                true => SocketAddrV4::new(GROUP_V4, PORT).into(),
                false => SocketAddrV6::new(GROUP_V6, PORT, 0, link.map_or(0, |l| l.index)).into(),
            };
            send(socket, message, group);
        }
    }

    /// Answers the one that said `heard`.
    pub(super) fn answer(&self, heard: &Message, message: &[u8]) {
        let mut links = self.links.iter();
        let link = links.find(|link| link.index == heard.source.link);
        let is_of_family = |socket: &&UdpSocket| {
            let local = socket.local_addr();
            local.is_ok_and(|local| local.is_ipv4() == heard.from.is_ipv4())
        };
        if let Some(socket) = link.and_then(|link| link.sockets.iter().find(is_of_family)) {
            send(socket, message, heard.from);
        }
    }
}

fn send(socket: &UdpSocket, message: &[u8], to: SocketAddr) {
    if let Err(error) = SockRef::from(socket).send_to(message, &to.into()) {
        tracing::debug!(%to, %error, "multicast DNS: not sent");
    }
}

/// The interfaces that are up, except for the loopback, which reaches nobody else.
fn interfaces() -> io::Result<BTreeMap<u32, Vec<Net>>> {
    let mut all: BTreeMap<u32, Vec<Net>> = BTreeMap::new();
    let is_used = |interface: &Interface| !interface.is_loopback() && interface.is_oper_up();
    for interface in if_addrs::get_if_addrs()?.iter().filter(|i| is_used(i)) {
        if let Some(index) = interface.index {
            all.entry(index).or_default().push(Net::of(&interface.addr));
        }
    }
    all.values_mut().for_each(|nets| nets.sort_unstable());
    Ok(all)
}

fn open_v4(index: u32, ip: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = shared(Domain::IPV4)?;
    socket.bind(&SocketAddrV4::new(GROUP_V4, PORT).into())?;
    // Else it hears what the group says on links that other programs have joined.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_multicast_all_v4(false)?;
    socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
    socket.set_multicast_if_v4(&ip)?;
    socket.set_multicast_ttl_v4(HOPS)?;
    socket.set_ttl_v4(HOPS)?;
    UdpSocket::from_std(socket.into())
}

fn open_v6(index: u32) -> io::Result<UdpSocket> {
    let socket = shared(Domain::IPV6)?;
    socket.set_only_v6(true)?;
    // The scope binds it to the link.
    socket.bind(&SocketAddrV6::new(GROUP_V6, PORT, 0, index).into())?;
    socket.join_multicast_v6(&GROUP_V6, index)?;
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_hops_v6(HOPS)?;
    socket.set_unicast_hops_v6(HOPS)?;
    UdpSocket::from_std(socket.into())
}

/// A socket that shares its port with other programs that speak multicast DNS.
fn shared(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Tells early, and once, what would fail on each link.
fn check_port() -> io::Result<()> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    shared(Domain::IPV4)?.bind(&any.into())
}

/// One buffer for whatever is heard; a message that fills it is too long.
pub(super) fn buffer() -> Box<[u8]> {
    vec![0; MAX_MESSAGE + 1].into_boxed_slice()
}

/// Sources that are told apart at once.
const SLOTS: usize = 64;
/// Messages of one source that are read in a second; so at most [`SLOTS`] times as many in all.
const MESSAGES: u8 = 16;

/// How much is read: so many messages a second of each source, whatever others say. A source has a slot by its hash, with a
/// key that nobody knows, and shares it with others if there are more sources than slots.
struct Pace {
    slots: [u8; SLOTS],
    second: Instant,
    key: RandomState,
}

impl Pace {
    fn new() -> Self {
        Self {
            slots: [0; SLOTS],
            second: Instant::now(),
            key: RandomState::new(),
        }
    }

    fn admits(&mut self, source: Source, now: Instant) -> bool {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.slots = [0; SLOTS];
        }
        let at = self.key.hash_one(source) % (SLOTS as u64);
        let mut slots = self.slots.iter_mut();
        let slot = usize::try_from(at).ok().and_then(|at| slots.nth(at));
        slot.is_some_and(|slot| {
            let is_early = *slot < MESSAGES;
            *slot += u8::from(is_early);
            is_early
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(ip: &str) -> Source {
        Source {
            link: 1,
            ip: ip.parse().unwrap(),
        }
    }

    #[test]
    fn a_flood_from_one_source_takes_nothing_from_another() {
        let (mut pace, now) = (Pace::new(), Instant::now());
        pace.second = now;
        let flood = (0..100_000).filter(|_| pace.admits(source("192.0.2.1"), now));
        assert_eq!(flood.count(), usize::from(MESSAGES));
        // One of these may share the slot of the first.
        let others = (2..10).filter(|n| pace.admits(source(&format!("192.0.2.{n}")), now));
        assert!(others.count() >= 4);
        assert!(pace.admits(source("192.0.2.1"), now + Duration::from_secs(1)));
    }

    #[test]
    fn many_sources_are_bounded_too() {
        let (mut pace, now) = (Pace::new(), Instant::now());
        pace.second = now;
        let ips = (0..100_000_u32).map(|n| Source {
            link: n % 3,
            ip: Ipv4Addr::from_bits(n).into(),
        });
        let admitted = ips.filter(|source| pace.admits(*source, now)).count();
        assert!(admitted <= SLOTS * usize::from(MESSAGES), "{admitted}");
    }

    #[test]
    fn who_speaks_from_another_network_is_not_near() {
        let net = |ip: &str, prefix| Net {
            ip: ip.parse().unwrap(),
            prefix,
        };
        for (net, ip, is_near) in [
            (net("192.0.2.1", 24), "192.0.2.255", true),
            (net("192.0.2.1", 24), "192.0.3.1", false),
            (net("192.0.2.1", 32), "192.0.2.2", false),
            (net("192.0.2.1", 0), "8.8.8.8", true),
            (net("192.0.2.1", 0), "2001:db8::1", false),
            (net("2001:db8::1", 64), "2001:db8::ffff", true),
            (net("2001:db8::1", 64), "2001:db8:0:1::1", false),
            (net("2001:db8::1", 128), "2001:db8::1", true),
        ] {
            assert_eq!(net.holds(ip.parse().unwrap()), is_near, "{net:?} {ip}");
        }
    }
}
