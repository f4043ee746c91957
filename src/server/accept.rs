//! From a TCP connection to a known peer: permits, deadline, handshake, registration.
//!
//! axum-server runs the accept loop; it sleeps 50 ms after an error and goes on, so it survives a lack of descriptors.
//! It also drops the errors of acceptors without a word, so what went wrong is logged here.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Extension, middleware::AddExtension};
use axum_server::accept::Accept;
use futures::future::BoxFuture;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tracing::field::display;

use super::{ServerState, link::Link, strangers::Stranger};
use crate::{
    name::Escaped,
    sabotage,
    tls::{Caller, Standing, Untrusted, with_reason},
    wire,
};

/// At most so many failed handshakes are logged in [`LOG_WINDOW`].
const LOG_BURST: u32 = 10;
const LOG_WINDOW: Duration = Duration::from_secs(10);
/// Bytes of a connection in the kernel that are not on their way yet.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// What a request knows of its connection.
#[derive(Clone)]
pub(super) struct Connection {
    /// Who calls.
    pub(super) caller: Arc<Caller>,
    /// As what it was let in.
    pub(super) standing: Standing,
    /// Closes the connection at once.
    pub(super) cut: CancellationToken,
    /// The server is shutting down.
    pub(super) draining: CancellationToken,
}

/// Lets peers in.
#[derive(Clone)]
pub(super) struct Door {
    state: ServerState,
    draining: CancellationToken,
    log: Arc<FailureLog>,
}

impl Door {
    /// `draining` is told to the requests.
    pub(super) fn new(state: ServerState, draining: CancellationToken) -> Self {
        Self {
            state,
            draining,
            log: Arc::default(),
        }
    }

    async fn admit(
        self,
        tcp: TcpStream,
        address: IpAddr,
        stranger: Stranger,
    ) -> io::Result<(TlsStream<Link>, Connection)> {
        let limits = self.state.limits();
        let acceptor = TlsAcceptor::from(self.state.services().gate.server_config());
        let cut = CancellationToken::new();
        prepare(&tcp)?;
        let is_here = address.is_loopback() || tcp.local_addr()?.ip().to_canonical() == address;
        let traffic = self.state.0.meter.traffic();
        let link = Link::new(tcp, cut.clone(), limits.linger, traffic);
        let patience = match sabotage::without("handshake-timeout") {
            true => Duration::MAX,
            false => limits.handshake_timeout,
        };
        let handshake = timeout(patience, with_reason(acceptor.accept(link)));
        let result = match stranger.leave.run_until_cancelled(handshake).await {
            Some(Ok((Ok(stream), _))) => self.register(stream, (address, is_here), cut),
            Some(Ok((Err(e), None))) => Err(e),
            Some(Ok((Err(e), Some(untrusted)))) => {
                let kind = match untrusted.is_of_the_circle() {
                    true => io::ErrorKind::PermissionDenied,
                    false => e.kind(),
                };
                Err(io::Error::new(kind, untrusted))
            }
            Some(Err(_)) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no handshake in time",
            )),
            None => {
                let kind = io::ErrorKind::ConnectionRefused;
                Err(io::Error::new(kind, "it made way for others"))
            }
        };
        drop(stranger);
        result.inspect_err(|e| self.turn_away(address, e))
    }

    fn turn_away(&self, address: IpAddr, error: &io::Error) {
        self.state.0.meter.turned_away(match error.kind() {
            io::ErrorKind::TimedOut => "timeout",
            io::ErrorKind::ConnectionRefused => "crowded",
            io::ErrorKind::PermissionDenied => "not-allowed",
            _ => "handshake",
        });
        self.log.record(address, error);
    }

    fn register(
        &self,
        mut stream: TlsStream<Link>,
        (address, is_here): (IpAddr, bool),
        cut: CancellationToken,
    ) -> io::Result<(TlsStream<Link>, Connection)> {
        let refused = |why| io::Error::new(io::ErrorKind::PermissionDenied, why);
        let gate = &self.state.services().gate;
        let (link, tls) = stream.get_mut();
        let caller = tls
            .peer_certificates()
            .and_then(|chain| gate.caller(chain.first()?))
            .ok_or_else(|| refused("the certificate names no peer"))?;
        // A key that was lost, and revoked for it, opens nothing from elsewhere.
        let standing = self.state.standing(&caller);
        let standing = standing.filter(|standing| is_here || *standing != Standing::Owner);
        let standing =
            standing.ok_or_else(|| refused("the certificate is revoked, or has expired"))?;
        let caller = Arc::new(caller);
        let share = self.state.0.connections.take(caller.peer_id, 1);
        link.hold(share.map_err(|_| refused("too many connections"))?);
        let registry = &self.state.0.registry;
        link.hold(registry.enter(caller.clone(), standing, address, cut.clone()));
        link.count_for(self.state.0.uptake.enter(caller.peer_id, cut.clone()));
        let draining = self.draining.clone();
        let connection = Connection {
            caller,
            standing,
            cut,
            draining,
        };
        Ok((stream, connection))
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Door {
    type Stream = TlsStream<Link>;
    type Service = AddExtension<S, Connection>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, tcp: TcpStream, service: S) -> Self::Future {
        let door = self.clone();
        Box::pin(async move {
            let address = tcp.peer_addr()?.ip().to_canonical();
            let stranger = door.state.0.strangers.enter(neighbourhood(address));
            let stranger = stranger.ok_or_else(|| {
                let e = io::Error::new(io::ErrorKind::ConnectionRefused, "too many handshakes");
                door.turn_away(address, &e);
                e
            })?;
            let (stream, connection) = door.admit(tcp, address, stranger).await?;
            Ok((stream, Extension(connection).layer(service)))
        })
    }
}

/// The kernel keeps little that is not yet on its way, so that what it takes from us is what the peer takes, and so that slow
/// readers fill no memory there.
///
/// Without the last option, a peer that vanished keeps its event streams until the kernel gives up, a quarter of an hour later:
/// what we send to it is so little that it never fills a buffer and so never stalls.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(tcp).set_tcp_notsent_lowat(UNSENT)?;
    if sabotage::without("user-timeout") {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(tcp).set_tcp_user_timeout(Some(wire::RESPONSE_STALL_TIMEOUT))?;
    Ok(())
}

/// What one stranger may be assumed to own: an IPv4 address, or a /64 in IPv6.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// Logs failed handshakes, but lets nobody fill the disk with them.
#[derive(Default)]
struct FailureLog(Mutex<Option<Window>>);

struct Window {
    began: Instant,
    logged: u32,
    silenced: u32,
}

impl FailureLog {
    fn record(&self, address: IpAddr, error: &io::Error) {
        if let Some(silenced) = self.turn(Instant::now()) {
            // The text may quote names from a stranger's certificate.
            let cause = error.to_string();
            let cause = Escaped::new(&cause);
            let untrusted = error.get_ref().and_then(|e| e.downcast_ref::<Untrusted>());
            let (peer, id) = untrusted.and_then(Untrusted::member).unzip();
            let (peer, id) = (peer.map(Escaped::new).map(display), id.map(display));
            tracing::info!(%address, peer, id, %cause, silenced, "connection refused");
        }
    }

    /// Whether to log now, with the number of those that were not.
    fn turn(&self, now: Instant) -> Option<u32> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Window {
            began: now,
            logged: 0,
            silenced: 0,
        };
        let window = slot.get_or_insert(fresh);
        if now.duration_since(window.began) >= LOG_WINDOW {
            window.began = now;
            window.logged = 0;
        }
        if window.logged == LOG_BURST {
            window.silenced = window.silenced.saturating_add(1);
            return None;
        }
        window.logged += 1;
        Some(std::mem::take(&mut window.silenced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ipv6_network_counts_as_one_stranger() {
        let one = neighbourhood("2001:db8:0:1::1".parse().unwrap());
        assert_eq!(one, neighbourhood("2001:db8:0:1:ffff::9".parse().unwrap()));
        assert_ne!(one, neighbourhood("2001:db8:0:2::1".parse().unwrap()));
        let v4 = |text: &str| neighbourhood(text.parse().unwrap());
        assert_ne!(v4("192.0.2.1"), v4("192.0.2.2"));
    }

    #[test]
    fn failures_beyond_the_burst_are_counted_and_not_logged() {
        let log = FailureLog::default();
        let start = Instant::now();
        let logged = (0..30).filter(|_| log.turn(start).is_some()).count();
        assert_eq!(logged, LOG_BURST as usize);
        assert_eq!(log.turn(start + LOG_WINDOW), Some(20));
    }
}
