//! A network in one process: passes TCP both ways, slowly, not at all, wrongly, or only for a while.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    time::{Instant, sleep_until},
};

/// What can be on its way in one direction.
const WINDOW: usize = 4 << 20;

/// A link, and what it does with what passes.
#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    pub link: Arc<Link>,
}

/// All that can be changed while it passes bytes.
#[derive(Default)]
pub struct Link {
    /// How long each byte is on its way, in one direction.
    pub latency: Duration,
    /// Up to so much more, at random for each piece.
    pub jitter: Duration,
    /// Bytes a second in each direction of each connection; 0 for no bound.
    pub rate: u64,
    /// Bytes a second in each direction of all connections together; 0 for no bound.
    pub shared_rate: u64,
    /// When the next bytes may pass in each direction, if connections share a rate.
    pub turns: [Mutex<Option<Instant>>; 2],
    /// Nothing passes, nobody is told.
    pub broken: AtomicBool,
    /// Each connection ends after so many bytes of one direction at most; 0 for never.
    pub life: u64,
    /// Done to the bytes once, when so many have passed to the peer or from it.
    pub damage: Mutex<Option<(Way, u64, Damage)>>,
    /// Connections that were asked for.
    pub connections: AtomicUsize,
    /// Bytes that came from clients.
    pub to_peer: AtomicU64,
    /// Bytes that were given to somebody.
    pub arrived: AtomicU64,
    /// Connections that were damaged and ended by one of the two.
    pub noticed: AtomicUsize,
    /// Connections that were ended.
    pub cuts: AtomicUsize,
}

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToPeer,
    FromPeer,
}

/// What happens to one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    Flipped,
    Twice,
    Inserted,
    Lost,
}

/// Bytes on their way, and when they arrive.
#[derive(Default)]
struct Line {
    pieces: Mutex<VecDeque<(Instant, Vec<u8>)>>,
    waiting: AtomicUsize,
    ended: AtomicBool,
    changed: Notify,
}

impl Proxy {
    pub async fn start(peer: SocketAddr, link: Link) -> Self {
        Self::over(peer, Arc::new(link)).await
    }

    /// A way to another peer over a link that is there already.
    pub async fn over(peer: SocketAddr, link: Arc<Link>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, peer, link.clone()));
        Self { address, link }
    }

    /// Whether anything passes from now on.
    pub fn set_broken(&self, broken: bool) {
        self.link.broken.store(broken, Ordering::SeqCst);
    }

    pub fn connections(&self) -> usize {
        self.link.connections.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, peer: SocketAddr, link: Arc<Link>) {
    while let Ok((client, _)) = listener.accept().await {
        link.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(pass(client, peer, link.clone()));
    }
}

async fn pass(client: TcpStream, peer: SocketAddr, link: Arc<Link>) {
    client.set_nodelay(true).unwrap();
    // Through a broken link no connection is made; the client's own kernel has taken it for one.
    link.wait_until_whole().await;
    let Ok(peer) = TcpStream::connect(peer).await else {
        return;
    };
    peer.set_nodelay(true).unwrap();
    let ((from_client, to_client), (from_peer, to_peer)) = (client.into_split(), peer.into_split());
    let damaged = AtomicBool::new(false);
    let life = match link.life {
        0 => u64::MAX,
        most => 1 + rand(most),
    };
    let up = direction(from_client, to_peer, &link, &damaged, Way::ToPeer, life);
    let down = direction(from_peer, to_client, &link, &damaged, Way::FromPeer, life);
    tokio::select! {
        Err(_) = up => {}
        Err(_) = down => {}
        else => {}
    }
    let noticed = usize::from(damaged.load(Ordering::SeqCst));
    link.noticed.fetch_add(noticed, Ordering::SeqCst);
    link.cuts
        .fetch_add(usize::from(link.life > 0), Ordering::SeqCst);
}

/// Both ends of one direction, until it is at its end; it fails if the connection is to be cut. They are one task, so
/// neither misses what the other tells.
async fn direction(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    link: &Link,
    damaged: &AtomicBool,
    way: Way,
    life: u64,
) -> io::Result<()> {
    let line = Line::default();
    tokio::try_join!(
        line.take(from, link, damaged, way, life),
        line.give(to, link, way)
    )?;
    Ok(())
}

impl Line {
    async fn take(
        &self,
        mut from: OwnedReadHalf,
        link: &Link,
        damaged: &AtomicBool,
        way: Way,
        mut life: u64,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 16 << 10];
        let (mut passed, mut free_at) = (0, Instant::now());
        loop {
            while self.waiting.load(Ordering::SeqCst) > link.window() {
                self.changed.notified().await;
            }
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                self.ended.store(true, Ordering::SeqCst);
                self.changed.notify_waiters();
                return Ok(());
            }
            if way == Way::ToPeer {
                link.to_peer.fetch_add(read as u64, Ordering::SeqCst);
            }
            let (piece, is_damaged) = link.carry(way, passed, &buffer[..read]);
            damaged.fetch_or(is_damaged, Ordering::SeqCst);
            passed += read as u64;
            life = life
                .checked_sub(read as u64)
                .ok_or(io::ErrorKind::BrokenPipe)?;
            free_at = free_at.max(Instant::now()) + link.time_for(read);
            self.waiting.fetch_add(piece.len(), Ordering::SeqCst);
            let arrival = free_at + link.delay();
            self.pieces.lock().unwrap().push_back((arrival, piece));
            self.changed.notify_waiters();
        }
    }

    async fn give(&self, mut to: OwnedWriteHalf, link: &Link, way: Way) -> io::Result<()> {
        loop {
            let piece = self.pieces.lock().unwrap().pop_front();
            let Some((arrival, piece)) = piece else {
                if self.ended.load(Ordering::SeqCst) {
                    return to.shutdown().await;
                }
                self.changed.notified().await;
                continue;
            };
            sleep_until(arrival).await;
            link.wait_for_turn(way, piece.len()).await;
            link.wait_until_whole().await;
            to.write_all(&piece).await?;
            link.arrived.fetch_add(piece.len() as u64, Ordering::SeqCst);
            self.waiting.fetch_sub(piece.len(), Ordering::SeqCst);
            self.changed.notify_waiters();
        }
    }
}

impl Link {
    async fn wait_until_whole(&self) {
        while self.broken.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn time_for(&self, length: usize) -> Duration {
        time_at(self.rate, length)
    }

    /// What a connection may have on its way. Of a shared line it is little, or what is given up would take its time.
    fn window(&self) -> usize {
        match self.shared_rate {
            0 => WINDOW,
            _ => 16 << 10,
        }
    }

    async fn wait_for_turn(&self, way: Way, length: usize) {
        if self.shared_rate == 0 {
            return;
        }
        let turn = {
            let mut next = self.turns[way as usize].lock().unwrap();
            let begins = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            *next.insert(begins + time_at(self.shared_rate, length))
        };
        sleep_until(turn).await;
    }

    fn delay(&self) -> Duration {
        let most = u64::try_from(self.jitter.as_nanos()).unwrap();
        self.latency + Duration::from_nanos(rand(most + 1))
    }

    /// `bytes`, of which the first is number `passed` of its direction, as they arrive; and whether they are damaged.
    fn carry(&self, way: Way, passed: u64, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut bytes = bytes.to_vec();
        let mut damage = self.damage.lock().unwrap();
        let here = |at: &u64| (passed..passed + bytes.len() as u64).contains(at);
        if let Some((_, at, what)) = damage.filter(|(to, at, _)| *to == way && here(at)) {
            let place = usize::try_from(at - passed).unwrap();
            match what {
                Damage::Flipped => bytes[place] ^= 1 << rand(8),
                Damage::Twice => bytes.insert(place, bytes[place]),
                Damage::Inserted => bytes.insert(place, u8::try_from(rand(256)).unwrap()),
                Damage::Lost => drop(bytes.remove(place)),
            }
            *damage = None;
            return (bytes, true);
        }
        (bytes, false)
    }
}

fn time_at(rate: u64, length: usize) -> Duration {
    let nanoseconds = (length as u64 * 1_000_000_000).checked_div(rate);
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Some number below `limit`.
pub fn rand(limit: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % limit
}
