//! Finding peers in the local network by multicast DNS (RFC 6762) as a service of DNS-SD (RFC 6763): hints, never trust.
//!
//! A serving peer announces where it is, its name and its id; so does a machine that shows a pairing code, and says nothing
//! of the code. Whoever looks for one listens for a moment. What is heard comes from anybody: it is parsed or dropped,
//! bounded, kept only while somebody looks, and is worth one thing, an address to try. Who answers there must show, in the
//! handshake, the key that is known already; or, where none is known yet, prove that it knows the code.

mod table;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use mdns_sd::{
    DaemonEvent, IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

pub use table::{MAX_ADDRESSES, MAX_SEEN, SeenPeer, Table};

use crate::id::PeerId;

/// For how long to look for peers: the answer to a question that was asked too soon after another comes a second later.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Where all of multicast DNS happens (RFC 6762, section 3).
const PORT: u16 = 5353;
/// To say goodbye when a peer stops.
const GOODBYE: Duration = Duration::from_millis(500);
/// The version of what is announced.
const VERSION: &str = "1";

/// Whether this peer is announced, and others are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discovery {
    /// Yes.
    #[default]
    On,
    /// Not a packet.
    Off,
}

/// What is announced, and looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// A peer that serves.
    Peer,
    /// A machine that shows a pairing code, for as long as it does.
    Pairing,
}

impl Service {
    /// Its type in DNS-SD.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "_colis._tcp.local.",
            Self::Pairing => "_colis-pair._tcp.local.",
        }
    }
}

/// Nobody can be found or told in this network.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The port of multicast DNS is not to be had.
    #[error("UDP port {PORT}: {0}")]
    Port(#[from] io::Error),
    /// Multicast DNS itself.
    #[error("multicast DNS: {0}")]
    Daemon(#[from] mdns_sd::Error),
}

/// Tells the network about a peer, until it is dropped.
pub struct Announcement {
    daemon: ServiceDaemon,
    watching: JoinHandle<()>,
}

impl Announcement {
    /// Announces `service` of the peer `name`, `id`, which listens at `address`; none if that is switched off or nobody else
    /// could come there. A failure is logged: it is found without that too, by whoever has its address.
    pub fn start(
        discovery: Discovery,
        service: Service,
        name: &str,
        id: PeerId,
        address: SocketAddr,
    ) -> Option<Self> {
        if discovery == Discovery::Off || address.ip().to_canonical().is_loopback() {
            return None;
        }
        let announced = info(service, name, id, address).and_then(Self::register);
        announced
            .inspect_err(|error| {
                tracing::warn!(%error, "not announced: others find this peer by its address only");
            })
            .ok()
    }

    fn register(service: ServiceInfo) -> Result<Self, DiscoverError> {
        let daemon = daemon()?;
        let monitor = daemon.monitor()?;
        daemon.register(service)?;
        let watching = tokio::spawn(watch(monitor));
        Ok(Self { daemon, watching })
    }

    /// Says goodbye, so that nobody tries the address any more.
    pub async fn end(self) {
        if let Ok(ended) = self.daemon.shutdown() {
            let _ = timeout(GOODBYE, ended.recv_async()).await;
        }
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.watching.abort();
        // If it has ended already, nothing is left to end.
        let _ = self.daemon.shutdown();
    }
}

/// What is announced. The labels are made of the id: no two peers have one, whatever they are called. A peer may show two
/// codes, each at a port of its own.
fn info(
    service: Service,
    name: &str,
    id: PeerId,
    address: SocketAddr,
) -> Result<ServiceInfo, DiscoverError> {
    let (ip, port) = (address.ip().to_canonical(), address.port());
    let id = id.to_string();
    let mut label: String = id.chars().take(32).collect();
    if service == Service::Pairing {
        label = format!("pair-{label}-{port}");
    }
    let host = format!("colis-{label}.local.");
    let told = [
        ("v", VERSION.to_owned()),
        ("id", id),
        ("name", name.to_owned()),
    ];
    let with = |ips: &str| ServiceInfo::new(service.name(), &label, &host, ips, port, &told[..]);
    if !ip.is_unspecified() {
        return Ok(with(&ip.to_string())?);
    }
    let mut service = with("")?.enable_addr_auto();
    if ip.is_ipv4() {
        service.set_interfaces(vec![IfKind::IPv4]);
    }
    Ok(service)
}

/// Reads what the daemon tells, which must be read, and logs the first failure.
async fn watch(events: Receiver<DaemonEvent>) {
    let mut is_said = false;
    while let Ok(event) = events.recv_async().await {
        if let (DaemonEvent::Error(error), false) = (event, is_said) {
            tracing::warn!(%error, "others may not find this peer by themselves");
            is_said = true;
        }
    }
}

/// Looks for peers for a while.
pub struct Browser {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    until: Instant,
    table: Table,
}

impl Browser {
    /// Asks who is there; [`Browser::next`] hears the answers for so long.
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub fn start(service: Service, patience: Duration) -> Result<Self, DiscoverError> {
        let daemon = daemon()?;
        let events = daemon.browse(service.name())?;
        Ok(Self {
            daemon,
            events,
            until: Instant::now() + patience,
            table: Table::default(),
        })
    }

    /// The next one that is heard of, or heard of anew; none when the time is over.
    pub async fn next(&mut self) -> Option<SeenPeer> {
        // A flood of answers must not make it longer: they would always be there before the time is looked at.
        while Instant::now() < self.until {
            match timeout_at(self.until, self.events.recv_async()).await {
                Ok(Ok(ServiceEvent::ServiceResolved(service))) => {
                    if let Some(seen) = self.note(&service) {
                        return Some(seen);
                    }
                }
                Ok(Ok(ServiceEvent::ServiceRemoved(_, instance))) => self.table.remove(&instance),
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return None,
            }
        }
        None
    }

    /// Everybody who is heard of until the time is over.
    pub async fn all(mut self) -> Table {
        while self.next().await.is_some() {}
        std::mem::take(&mut self.table)
    }

    fn note(&mut self, service: &ResolvedService) -> Option<SeenPeer> {
        let said = |key| service.get_property_val_str(key);
        if said("v") != Some(VERSION) {
            self.table.drop_one();
            return None;
        }
        let (id, name) = (said("id").unwrap_or(""), said("name").unwrap_or(""));
        let ips = service.get_addresses().iter().map(|ip| ip.to_ip_addr());
        let instance = service.get_fullname();
        self.table.note(instance, id, name, service.get_port(), ips)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // If it has ended already, nothing is left to end.
        let _ = self.daemon.shutdown();
    }
}

/// Multicast DNS on every interface but the loopback, which reaches nobody else.
fn daemon() -> Result<ServiceDaemon, DiscoverError> {
    check_port()?;
    let daemon = ServiceDaemon::new()?;
    daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
    Ok(daemon)
}

/// The daemon opens its sockets by itself later, and would keep to itself why it cannot.
fn check_port() -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    socket.bind(&any.into())
}
