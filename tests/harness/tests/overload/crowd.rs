//! Connections that say nothing, stop, crawl or never read, from many addresses, and open again when they are closed.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use colis::{id::ChunkId, wire};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
    time::{sleep, timeout},
};
use tokio_rustls::client::TlsStream;

use crate::{
    FAST_MS, WINDOW,
    good::{Good, median},
    site::{Member, Site, background, connect_from, mib, source, until},
};
use testkit::{bytes, stretch};

/// Connections of one bad member: fewer than a peer may have.
const PER_MEMBER: usize = 60;
/// Strangers that all find a place.
const FEW: usize = 200;
/// How long the crowd takes to come, at most; each a millisecond after the other.
const RAMP: Duration = Duration::from_secs(8);
/// When somebody who was turned away comes again, at least.
const AGAIN: Duration = Duration::from_secs(4);
/// What a reader that does not read asks for: more than the buffers of both kernels hold.
const ASKED: usize = 8;
const NEVER: Duration = Duration::from_secs(3600);
/// The chunk that the good ones have put.
const CHUNK: usize = 1 << 20;

/// What is wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vice {
    Silent,
    HalfHello,
    SilentMember,
    SlowHead,
    SlowBody,
    NeverReads,
}

/// Holds the good ones before against those in the crowd: first of a few strangers, who all wait as long as they may, then of
/// so many `strangers` that they make way for each other, and `members`, for so many windows.
pub(crate) async fn measure(strangers: usize, members: usize, windows: u32) {
    let site = Site::new();
    let good = Good::start(&site).await;
    let seen = good.watch(WINDOW).await;
    eprintln!("before: {}", seen.show());
    let before = Before {
        p99: seen.p99(),
        memory: site.resident(),
        descriptors: site.descriptors(),
    };
    before.besiege(&site, &good, (FEW, 0), 2).await;
    before
        .besiege(&site, &good, (strangers, members), windows)
        .await;
}

/// How it was without them.
struct Before {
    p99: f64,
    memory: u64,
    descriptors: usize,
}

impl Before {
    async fn besiege(&self, site: &Site, good: &Good, count: (usize, usize), windows: u32) {
        let crowd = Crowd::gather(site, count.0, count.1);
        let (mut slow, mut failures, mut most) = (Vec::new(), Vec::new(), 0);
        let (mut let_in, mut kept_out) = (0, 0);
        for _ in 0..windows {
            let seen = good.watch(WINDOW).await;
            most = most.max(site.descriptors());
            eprintln!("with {most} descriptors: {}", seen.show());
            slow.push(seen.p99());
            let (made, failed) = seen.new_connections();
            (let_in, kept_out) = (let_in + made, kept_out + failed);
            failures.extend(seen.failures);
        }
        let grown = site.peak().saturating_sub(self.memory);
        let (opened, refused, late) = crowd.report();
        drop(crowd);
        let is_base = || site.descriptors() <= self.descriptors + 2;
        let drained = until("every descriptor is free again", is_base).await;
        let (slow, closed, grown) = (median(slow), late.len(), mib(grown));
        eprintln!(
            "{count:?}: {opened} connections, {refused} turned away, {closed} closed; \
             p99 {:.1} and {slow:.1} ms; {grown} MiB more; drained in {drained:?}",
            self.p99
        );
        let stretch = stretch();
        tell_lateness(&late, stretch);
        for vice in Vice::ALL {
            let must =
                vice.is_of(count) && vice.is_over_in(windows * WINDOW - ramp(count.0 + count.1));
            let closed = late.iter().any(|(other, _)| *other == vice);
            assert!(closed || !must, "{vice:?}: not one was closed");
        }
        assert!(failures.is_empty(), "{failures:#?}");
        // Who is slow in the handshake may make way for others, and tries again.
        assert!(kept_out * 10 <= let_in, "{kept_out} out, {let_in} let in");
        let limit = FAST_MS.max(3.0 * self.p99) * stretch;
        assert!(slow <= limit, "{slow} ms, the limit is {limit}");
        assert!(grown <= 200, "{grown} MiB more");
        let limit = Duration::from_secs(10).mul_f64(stretch);
        assert!(drained <= limit, "{drained:?}");
        let there = self.descriptors + count.0.min(FEW) / 2 + count.1 / 2;
        assert!(most > there, "nobody came: {most}");
    }
}

/// How long so many take to come.
fn ramp(count: usize) -> Duration {
    RAMP.min(Duration::from_millis(count as u64))
}

/// Says how late bad connections were closed, of each kind; it may be a second.
fn tell_lateness(late: &[(Vice, Duration)], stretch: f64) {
    let limit = Duration::from_secs(1).mul_f64(stretch);
    for vice in Vice::ALL {
        let times = late.iter().filter(|(other, _)| *other == vice);
        let mut times: Vec<_> = times.map(|(_, late)| *late).collect();
        times.sort();
        let count = times.len();
        let over = times.iter().filter(|late| **late > limit).count();
        let most = times.last().copied().unwrap_or_default();
        eprintln!("{vice:?}: {count} closed, {over} of them too late, at most {most:?}");
        // One in a hundred may be late because this machine was busy when it was looked at.
        assert!(over * 100 <= count, "{vice:?}: {over} of {count} too late");
        assert!(most <= 5 * limit, "{vice:?}: {most:?}");
    }
}

impl Vice {
    const ALL: [Self; 6] = [
        Self::Silent,
        Self::HalfHello,
        Self::SilentMember,
        Self::SlowHead,
        Self::SlowBody,
        Self::NeverReads,
    ];

    /// What the peer bears.
    fn patience(self) -> Duration {
        match self {
            Self::Silent | Self::HalfHello => wire::HANDSHAKE_TIMEOUT,
            Self::SilentMember | Self::SlowHead => wire::HEAD_TIMEOUT,
            Self::SlowBody => wire::BODY_GRACE,
            Self::NeverReads => wire::RESPONSE_STALL_TIMEOUT,
        }
    }

    /// Whether so many strangers and members have it; and too many strangers make way before their time is over.
    fn is_of(self, (_, members): (usize, usize)) -> bool {
        let is_stranger = matches!(self, Self::Silent | Self::HalfHello);
        is_stranger == (members == 0)
    }

    /// Whether some must have been closed when all have been there for so long.
    fn is_over_in(self, time: Duration) -> bool {
        self.patience() + Duration::from_secs(2) < time
    }
}

/// The bad ones. They go when it is dropped.
struct Crowd {
    runtime: Option<Runtime>,
    deeds: Arc<Deeds>,
}

/// What they have seen.
#[derive(Default)]
struct Deeds {
    opened: AtomicUsize,
    refused: AtomicUsize,
    /// How much later than it may be a connection was closed, or that one never was.
    late: Mutex<Vec<(Vice, Duration)>>,
}

impl Crowd {
    /// `strangers` come without a certificate, so many `members` with one; few of those do not read or send bodies, for all
    /// bodies of a peer together have a bound.
    fn gather(site: &Site, strangers: usize, members: usize) -> Self {
        let runtime = background();
        let deeds = Arc::new(Deeds::default());
        let identities = site.members("bad", members.div_ceil(PER_MEMBER));
        let total = u32::try_from(strangers + members).unwrap();
        let ramp = ramp(strangers + members);
        for number in 0..strangers + members {
            let member = number.checked_sub(strangers);
            let member = member.map(|n| (identities[n / PER_MEMBER].clone(), n / PER_MEMBER));
            let bad = Bad {
                vice: vice(number, member.as_ref().map(|(_, group)| *group)),
                member: member.map(|(member, _)| member),
                source: source(number),
                peer: site.serving.address,
                deeds: deeds.clone(),
            };
            let first = ramp * u32::try_from(number).unwrap() / total;
            runtime.spawn(bad.again_and_again(first));
        }
        Self {
            runtime: Some(runtime),
            deeds,
        }
    }

    /// Connections made, those turned away at once, and how late the others were closed: all that are.
    fn report(&self) -> (usize, usize, Vec<(Vice, Duration)>) {
        let (opened, refused) = (&self.deeds.opened, &self.deeds.refused);
        let late = std::mem::take(&mut *self.deeds.late.lock().unwrap());
        let count = |number: &AtomicUsize| number.load(Ordering::SeqCst);
        (count(opened), count(refused), late)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The second and third group of members send bodies and do not read, the others are of all other kinds.
fn vice(number: usize, group: Option<usize>) -> Vice {
    match (group, number % 2) {
        (None, 0) => Vice::Silent,
        (None, _) => Vice::HalfHello,
        (Some(1), _) => Vice::SlowBody,
        (Some(2), 0) => Vice::NeverReads,
        (Some(_), 0) => Vice::SilentMember,
        (Some(_), _) => Vice::SlowHead,
    }
}

/// One bad client.
struct Bad {
    vice: Vice,
    member: Option<Member>,
    source: Ipv4Addr,
    peer: SocketAddr,
    deeds: Arc<Deeds>,
}

impl Bad {
    async fn again_and_again(self, first: Duration) {
        sleep(first).await;
        loop {
            let begun = Instant::now();
            // Whatever ends it is an end.
            let end = self.once().await;
            let late = match end {
                Ok(closed) => closed.checked_sub(self.vice.patience()),
                Err(_) => None,
            };
            match late {
                Some(late) => {
                    let mut all = self.deeds.late.lock().unwrap();
                    all.push((self.vice, late));
                }
                None => {
                    self.deeds.refused.fetch_add(1, Ordering::SeqCst);
                }
            }
            if begun.elapsed() < AGAIN {
                sleep(AGAIN + Duration::from_millis(u64::from(rand()) % 2000)).await;
            }
        }
    }

    /// One connection until the peer closes it. Gives how long that took, once it had begun to be bad.
    async fn once(&self) -> io::Result<Duration> {
        let buffer = (self.vice == Vice::NeverReads).then_some(4096);
        let tcp = connect_from(self.source, self.peer, buffer).await?;
        self.deeds.opened.fetch_add(1, Ordering::SeqCst);
        let Some(member) = &self.member else {
            let hello: &[u8] = match self.vice {
                Vice::HalfHello => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half of a hello",
                _ => b"",
            };
            return drip(tcp, hello, NEVER).await;
        };
        let tls = member.over(tcp).await?;
        match self.vice {
            Vice::SlowHead => drip(tls, b"GET /v1/hea", Duration::from_secs(10)).await,
            Vice::SlowBody => {
                let id = ChunkId::of(b"never");
                let head = format!(
                    "PUT /v1/chunks/{id} HTTP/1.1\r\nhost: x\r\ncontent-length: 1048576\r\n\r\n"
                );
                drip(tls, head.as_bytes(), Duration::from_secs(1)).await
            }
            Vice::NeverReads => read_nothing(tls).await,
            _ => drip(tls, b"", NEVER).await,
        }
    }
}

/// Says `beginning`, then a letter from time to time, until the other side has closed.
async fn drip<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    beginning: &[u8],
    every: Duration,
) -> io::Result<Duration> {
    stream.write_all(beginning).await?;
    stream.flush().await?;
    let (begun, mut answer) = (Instant::now(), [0; 1024]);
    loop {
        match timeout(every, stream.read(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => return Ok(begun.elapsed()),
            Ok(Ok(_)) => {}
            Err(_) => {
                if stream.write_all(b"x").await.is_err() || stream.flush().await.is_err() {
                    return Ok(begun.elapsed());
                }
            }
        }
    }
}

/// Asks for more than is in any buffer, and looks for it only when the peer must have given up.
async fn read_nothing(mut tls: TlsStream<TcpStream>) -> io::Result<Duration> {
    let id = ChunkId::of(&bytes(1, CHUNK));
    let ask = format!("GET /v1/chunks/{id} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(ASKED);
    tls.write_all(ask.as_bytes()).await?;
    tls.flush().await?;
    sleep(wire::RESPONSE_STALL_TIMEOUT + Duration::from_secs(1)).await;
    let mut all = Vec::new();
    let _ = tls.read_to_end(&mut all).await;
    // What the peer had no memory for was answered at once.
    if all.starts_with(b"HTTP/1.1 429") || all.starts_with(b"HTTP/1.1 503") {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let is_cut = all.len() < ASKED * CHUNK;
    // When exactly cannot be seen from here: less than a second ago.
    Ok(if is_cut {
        wire::RESPONSE_STALL_TIMEOUT
    } else {
        NEVER
    })
}

fn rand() -> u16 {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).unwrap();
    u16::from_le_bytes(bytes)
}
