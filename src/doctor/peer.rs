//! The way to a peer, step by step: name, route, port, TLS, certificates.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::{net::TcpStream, time::timeout};

use super::{Finding, Report, Subject, answer, certs};
use crate::{
    client::{AddressError, Handshake, HandshakeError, PeerAddress},
    config::units::count,
    id::{PeerId, Short as _},
    manifest::Timestamp,
    name::{Escaped, LibraryError},
    session::{Kind, Session, Whom, advice::distrusted},
    tls::{self, Caller, Expect, Seen, days_left},
    trust::AddressBook,
};

const STEPS: [&str; 10] = [
    "name",
    "route",
    "their-port",
    "tls",
    "their-certificate",
    "our-certificate",
    "answer",
    "their-clock",
    "their-revocation",
    "round-trip",
];

const NAME_TIME: Duration = Duration::from_secs(2);
const CONNECT_TIME: Duration = Duration::from_secs(4);
const HANDSHAKE_TIME: Duration = Duration::from_secs(3);
/// Addresses that are tried, at once.
const MAX_TRIED: usize = 16;

/// Where a peer may be, and who it must be.
struct Target {
    addresses: Vec<SocketAddr>,
    expected: Option<PeerId>,
}

/// A peer that we trust.
pub(super) struct Met {
    pub(super) address: SocketAddr,
    pub(super) handshake: Handshake,
    pub(super) caller: Caller,
}

/// What a step found, and what the next one needs; else why there is no next one.
type Step<T> = Result<(T, Finding), Finding>;

/// Goes as far as it can.
pub(super) async fn examine(
    subject: &Subject<'_>,
    us: Option<&Session>,
    peer: &str,
    report: &mut Report<'_>,
) {
    walk(subject, us, peer, report).await;
    for step in STEPS {
        if !report.has(step) {
            report.add(Finding::skip(step, "not reached"));
        }
    }
}

async fn walk(
    subject: &Subject<'_>,
    us: Option<&Session>,
    peer: &str,
    report: &mut Report<'_>,
) -> Option<()> {
    let book = AddressBook::new(subject.home.dir().peers());
    let target = take(report, name(us, &book, peer).await)?;
    let reached = take(report, route(&target, dial(&target).await))?;
    let Some(first) = reached.first().map(|(address, _)| *address) else {
        report.add(nobody_listens(&target));
        return None;
    };
    let Some(us) = us else {
        report.add(takes_connections(first));
        let why = "our own certificates cannot be used, see above";
        report.add(Finding::skip("tls", why));
        return None;
    };
    let met = shake_hands(us, &book, &target, reached).await;
    let met = met
        .map_err(|(address, error)| refused(address, &error, report))
        .ok()?;
    report.add(takes_connections(met.address));
    report.add(Finding::ok("tls", met.handshake.protocol()));
    report.add(their_certificate(&book, &met));
    answer::examine(us, met, report).await;
    Some(())
}

fn take<T>(report: &mut Report<'_>, step: Step<T>) -> Option<T> {
    match step {
        Ok((next, finding)) => {
            report.add(finding);
            Some(next)
        }
        Err(finding) => {
            report.add(finding);
            None
        }
    }
}

async fn name(us: Option<&Session>, book: &AddressBook, peer: &str) -> Step<Target> {
    const STEP: &str = "name";
    let failed = |what: String| Finding::fail(STEP, Kind::Network, what);
    let whom = match us {
        Some(us) => us.whom(peer).await,
        None => Whom::parse(peer, book),
    };
    let whom = whom.map_err(|failure| Finding::failure(STEP, failure))?;
    let (known, named) = match whom {
        Whom::Known(known) => (Some(*known), None),
        Whom::At(address) => (None, Some(address)),
    };
    let seen = known.iter().flat_map(|known| &known.addresses);
    let parsed = seen.map(|address| address.parse()).chain(named.map(Ok));
    let parsed = parsed.collect::<Result<Vec<PeerAddress>, AddressError>>();
    let parsed = parsed
        .map_err(|error| Finding::failure(STEP, error).hint("see who is known: colis peers"))?;
    if parsed.is_empty() {
        return Err(failed(format!("{peer} is known, but no address of it"))
            .hint("say where it is once: colis peers add HOST:PORT"));
    }
    let (addresses, why) = resolve(&parsed).await;
    if addresses.is_empty() {
        let whose = match known {
            Some(_) => "where it was seen",
            None => "no peer that we know",
        };
        let named: Vec<_> = parsed.iter().map(PeerAddress::to_string).collect();
        let what = format!("{} ({whose}) has no address: {why}", named.join(", "));
        return Err(failed(what)
            .hint("see who is known: colis peers; or give its address: colis doctor HOST:PORT"));
    }
    let at = shown(&addresses);
    let detail = match &known {
        Some(known) => format!("{peer}, peer {}, known at {at}", known.peer_id.short()),
        None if at == peer => format!("{at}, an address"),
        None => format!("{peer} is {at}"),
    };
    let expected = known.map(|known| known.peer_id);
    let target = Target {
        addresses,
        expected,
    };
    Ok((target, Finding::ok(STEP, detail)))
}

/// What all of these stand for; and why one stands for nothing.
async fn resolve(names: &[PeerAddress]) -> (Vec<SocketAddr>, String) {
    let resolving = names.iter().map(|name| timeout(NAME_TIME, name.resolve()));
    let (mut addresses, mut why) = (Vec::new(), String::new());
    for resolved in join_all(resolving).await {
        match resolved {
            Ok(Ok(resolved)) => addresses.extend(resolved),
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => why = "nobody resolves it in time, look at the DNS of this machine".into(),
        }
    }
    addresses.truncate(MAX_TRIED);
    (addresses, why)
}

fn shown(addresses: &[SocketAddr]) -> String {
    let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    shown.join(", ")
}

type Dialled = Vec<(SocketAddr, io::Result<TcpStream>, Duration)>;

async fn dial(target: &Target) -> Dialled {
    let dialling = target.addresses.iter().map(|address| async move {
        let start = Instant::now();
        let connected = timeout(CONNECT_TIME, TcpStream::connect(address)).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        (*address, connected, start.elapsed())
    });
    join_all(dialling).await
}

/// What connecting tells of the way. Nobody who answers is no failure of the way.
fn route(target: &Target, dialled: Dialled) -> Step<Vec<(SocketAddr, TcpStream)>> {
    const STEP: &str = "route";
    let mut reached = Vec::new();
    let mut failed = Vec::new();
    let mut detail = String::new();
    for (address, connected, took) in dialled {
        match connected {
            Ok(tcp) => {
                if reached.is_empty() {
                    let from = tcp
                        .local_addr()
                        .map_or("?".into(), |from| from.ip().to_string());
                    detail = format!("{address} from {from} in {took:.1?}");
                }
                reached.push((address, tcp));
            }
            Err(error) => failed.push((address, error)),
        }
    }
    if !reached.is_empty() {
        for (address, error) in &failed {
            detail.push_str(&format!("; {address}: {error}"));
        }
        return Ok((reached, Finding::ok(STEP, detail)));
    }
    let refusing = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if let Some((address, _)) = failed.iter().find(|(_, error)| refusing(error)) {
        let detail = format!("{} answers: it refuses the connection", address.ip());
        return Ok((reached, Finding::ok(STEP, detail)));
    }
    Err(no_route(target, &failed))
}

fn no_route(target: &Target, failed: &[(SocketAddr, io::Error)]) -> Finding {
    let of_kind = |kind| failed.iter().any(|(_, error)| error.kind() == kind);
    let finding = |what: String| Finding::fail("route", Kind::Network, what);
    let addresses = shown(&target.addresses);
    let port = target.addresses.first().map_or(0, SocketAddr::port);
    if of_kind(io::ErrorKind::TimedOut) {
        return finding(format!(
            "no answer from {addresses} within {} s",
            CONNECT_TIME.as_secs()
        ))
        .hint(format!(
            "that machine is off, or a firewall drops what comes: let TCP port {port} in there \
                 (ufw allow {port}/tcp), and compare its address: ip address"
        ));
    }
    if of_kind(io::ErrorKind::NetworkUnreachable) || of_kind(io::ErrorKind::HostUnreachable) {
        return finding(format!("no route to {addresses}")).hint(
            "connect this machine to the same network or VPN, and compare addresses: ip route",
        );
    }
    let why = failed
        .first()
        .map_or(String::new(), |(_, error)| error.to_string());
    finding(format!("cannot connect to {addresses}: {why}"))
        .hint("a firewall on this machine may forbid it; compare the address: ip route")
}

fn nobody_listens(target: &Target) -> Finding {
    let what = format!("nobody listens on {}", shown(&target.addresses));
    Finding::fail("their-port", Kind::Network, what)
        .hint("start `colis serve` there; if it runs, `colis status` there says on which port")
}

fn takes_connections(address: SocketAddr) -> Finding {
    Finding::ok("their-port", format!("{address} takes connections"))
}

/// The first that shows a certificate which we trust; else why the first one does not.
async fn shake_hands(
    us: &Session,
    book: &AddressBook,
    target: &Target,
    reached: Vec<(SocketAddr, TcpStream)>,
) -> Result<Met, (SocketAddr, HandshakeError)> {
    let (mut known, circle) = (book.names().unwrap_or_default(), us.circle().now());
    known.retain(|_, id| !circle.is_key_revoked(id));
    let shaking = reached.into_iter().map(|(address, tcp)| {
        let (seen, known) = (Seen::default(), known.clone());
        async move {
            let expect = Expect {
                peer: target.expected,
                known,
            };
            let config = tls::client_config(&us.identity(), us.circle(), expect, &seen)
                .map_err(|error| (address, HandshakeError::Failed(LibraryError::new(error))))?;
            let handshake = Handshake::make(tcp, config, HANDSHAKE_TIME)
                .await
                .map_err(|e| (address, e))?;
            let caller = seen.caller();
            let caller = caller.ok_or_else(|| {
                let unread = LibraryError::new("it showed no certificate");
                (address, HandshakeError::Failed(unread))
            })?;
            Ok(Met {
                address,
                handshake,
                caller,
            })
        }
    });
    let mut first = None;
    for shaken in join_all(shaking).await {
        match shaken {
            Ok(met) => return Ok(met),
            Err(error) => first = first.or(Some(error)),
        }
    }
    // There was at least one to try.
    Err(first.unwrap_or((SocketAddr::from(([0, 0, 0, 0], 0)), HandshakeError::Closed)))
}

/// Says at which step a handshake failed.
fn refused(address: SocketAddr, error: &HandshakeError, report: &mut Report<'_>) {
    if let HandshakeError::NotTls { beginning } = error {
        let said = String::from_utf8_lossy(beginning);
        let said = said.lines().next().unwrap_or_default();
        let what = format!(
            "{address} answers with something else than TLS: {}",
            Escaped::new(said)
        );
        report.add(
            Finding::fail("their-port", Kind::Network, what).hint(
                "another program has that port: `colis status` there says where colis listens",
            ),
        );
        return;
    }
    report.add(takes_connections(address));
    if let HandshakeError::Distrusted(distrust) = error {
        report.add(Finding::ok("tls", format!("{address} speaks it")));
        report.add(
            Finding::fail("their-certificate", Kind::Trust, distrust).hint(distrusted(distrust)),
        );
        return;
    }
    let hint = match error {
        HandshakeError::Silent => {
            "large packets may be lost on the way, as through a VPN or tunnel: make the MTU smaller, sudo ip link set dev DEVICE mtu 1280; \
             or another program has that port, or the peer is overloaded: restart it"
        }
        HandshakeError::Refused { .. } => "is it a colis peer, of a like version?",
        _ => "is it a colis peer? It may be busy: try again in a minute, and look at its log",
    };
    report.add(Finding::fail("tls", Kind::Network, format!("{address}: {error}")).hint(hint));
}

fn their_certificate(book: &AddressBook, met: &Met) -> Finding {
    const STEP: &str = "their-certificate";
    let caller = &met.caller;
    let days = days_left(caller.not_after, Timestamp::now());
    let known = book.by_name(&caller.name);
    let known = matches!(known, Ok(Some(known)) if known.peer_id == caller.key_id);
    let whether = if known { "known" } else { "not met before" };
    let detail = format!(
        "{}, peer {}, {whether}, of our circle, {} left",
        caller.name,
        caller.key_id.short(),
        count(days, "day", "days")
    );
    if days < certs::SOON_DAYS {
        return Finding::warn(STEP, detail).hint("renew it on that machine: colis certs renew");
    }
    Finding::ok(STEP, detail)
}
