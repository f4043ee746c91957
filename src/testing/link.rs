//! A link that passes TCP both ways: slowly, not at all, wrongly, or only for a while.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::address::loopback;

/// What can be on its way in one direction.
const WINDOW: usize = 4 << 20;
/// The same where connections share a rate: what they give up would take its time.
const SHARED_WINDOW: usize = 16 << 10;

/// How fast a link is, and for how long.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LinkOptions {
    /// How long each byte is on its way, in one direction.
    pub latency: Duration,
    /// Up to so much more, at random for each piece.
    pub jitter: Duration,
    /// Bytes a second in each direction of each connection; 0 for no bound.
    pub rate: u64,
    /// Bytes a second in each direction of all connections together; 0 for no bound.
    pub shared_rate: u64,
    /// Each connection ends after so many bytes of one direction at most, at random; 0 for never.
    pub life: u64,
}

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To who is called.
    To,
    /// Back from it.
    Back,
}

/// What happens to one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One of its bits is another one.
    Flipped,
    /// It comes twice.
    Twice,
    /// One more comes before it.
    Inserted,
    /// It does not come.
    Lost,
}

/// What a link does with what would pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Whole,
    Stalled,
    Cut,
}

/// A link between two machines. Clones are the same link. What is changed counts at once, for connections that are open too.
#[derive(Clone, Default)]
pub struct Link(Arc<Shared>);

#[derive(Default)]
struct Shared {
    options: LinkOptions,
    state: watch::Sender<State>,
    /// When the next bytes may pass in each direction, if connections share a rate.
    turns: [Mutex<Option<Instant>>; 2],
    damage: Mutex<Option<(Way, u64, Damage)>>,
    /// At how many bytes it is cut.
    ends_at: Mutex<Option<u64>>,
    connections: AtomicUsize,
    came: [AtomicU64; 2],
    delivered: AtomicU64,
    noticed: AtomicUsize,
    ended: AtomicUsize,
}

/// One end of a link: whoever connects to its address reaches what it leads to. Dropped, it takes no more connections.
pub struct Entrance {
    address: SocketAddr,
    to: watch::Sender<SocketAddr>,
    _open: DropGuard,
}

impl Entrance {
    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads there from now on; open connections stay where they are.
    pub fn lead_to(&self, to: SocketAddr) {
        self.to.send_replace(to);
    }
}

impl Link {
    /// A link that is slow or ends.
    pub fn new(options: LinkOptions) -> Self {
        Self(Arc::new(Shared {
            options,
            ..Shared::default()
        }))
    }

    /// A way to `to` over this link, on a free port of the loopback. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// Those of taking a port.
    pub async fn lead_to(&self, to: SocketAddr) -> io::Result<Entrance> {
        let listener = TcpListener::bind((loopback(), 0)).await?;
        let address = listener.local_addr()?;
        let (to, open) = (watch::Sender::new(to), CancellationToken::new());
        let accepting = accept(listener, to.subscribe(), self.clone());
        tokio::spawn(open.clone().run_until_cancelled_owned(accepting));
        Ok(Entrance {
            address,
            to,
            _open: open.drop_guard(),
        })
    }

    /// Cuts every connection, which both ends notice, and each new one at once.
    pub fn cut(&self) {
        self.0.state.send_replace(State::Cut);
    }

    /// Cuts it as soon as so many more bytes have come to it on the way [`Way::To`], from who connects to who listens, in the middle of whatever they belong to.
    pub fn cut_after(&self, bytes: u64) {
        let came = self.passed(Way::To);
        *lock(&self.0.ends_at) = Some(came.saturating_add(bytes));
    }

    /// Passes nothing more, and nobody is told: connections stay open, and new ones get no answer.
    pub fn stall(&self) {
        self.0.state.send_replace(State::Stalled);
    }

    /// Passes everything again. What it held back is delivered; what was cut stays cut.
    pub fn restore(&self) {
        *lock(&self.0.ends_at) = None;
        self.0.state.send_replace(State::Whole);
    }

    /// Does this once to the byte of that number in a direction of a connection.
    pub fn damage(&self, way: Way, at: u64, damage: Damage) {
        *lock(&self.0.damage) = Some((way, at, damage));
    }

    /// Whether that has not happened yet.
    pub fn will_damage(&self) -> bool {
        lock(&self.0.damage).is_some()
    }

    /// Connections that were asked for.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    /// Bytes that have come to it in this direction.
    pub fn passed(&self, way: Way) -> u64 {
        self.0.came[way as usize].load(Ordering::SeqCst)
    }

    /// Bytes that it has delivered, in both directions.
    pub fn delivered(&self) -> u64 {
        self.0.delivered.load(Ordering::SeqCst)
    }

    /// Connections that were damaged and then ended by one of the two.
    pub fn damage_noticed(&self) -> usize {
        self.0.noticed.load(Ordering::SeqCst)
    }

    /// Connections whose [life](LinkOptions::life) was over, or that were ended before.
    pub fn lives_ended(&self) -> usize {
        self.0.ended.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, to: watch::Receiver<SocketAddr>, link: Link) {
    while let Ok((client, _)) = listener.accept().await {
        link.0.connections.fetch_add(1, Ordering::SeqCst);
        let (to, link) = (*to.borrow(), link.clone());
        tokio::spawn(async move { link.0.carry(client, to).await });
    }
}

/// Ends a connection so that the other side takes it for cut, not for ended.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes on their way, and when they arrive.
#[derive(Default)]
struct Line {
    pieces: Mutex<VecDeque<(Instant, Vec<u8>)>>,
    waiting: AtomicUsize,
    ended: AtomicBool,
    changed: Notify,
}

/// One direction of a connection.
struct Direction<'a> {
    link: &'a Shared,
    way: Way,
    damaged: &'a AtomicBool,
    /// Bytes after which it ends.
    life: u64,
}

impl Shared {
    async fn carry(&self, mut client: TcpStream, to: SocketAddr) {
        let _ = client.set_nodelay(true);
        // Through a broken link no connection is made; the client's own kernel has taken it for one.
        let mut target = tokio::select! {
            () = self.until_cut() => return reset(&client),
            target = self.connect(to) => match target {
                Ok(target) => target,
                Err(_) => return reset(&client),
            },
        };
        let is_cut = {
            let pass = self.pass(&mut client, &mut target);
            tokio::select! {
                () = self.until_cut() => true,
                () = pass => false,
            }
        };
        if is_cut {
            reset(&client);
            reset(&target);
        }
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        self.until_whole().await;
        let target = TcpStream::connect(to).await?;
        target.set_nodelay(true)?;
        Ok(target)
    }

    async fn pass(&self, client: &mut TcpStream, target: &mut TcpStream) {
        let ((from_client, to_client), (from_target, to_target)) = (client.split(), target.split());
        let damaged = AtomicBool::new(false);
        let life = match self.options.life {
            0 => u64::MAX,
            most => 1 + random(most),
        };
        let direction = |way| Direction {
            link: self,
            way,
            damaged: &damaged,
            life,
        };
        let up = direction(Way::To).pass(from_client, to_target);
        let down = direction(Way::Back).pass(from_target, to_client);
        tokio::select! {
            Err(_) = up => {}
            Err(_) = down => {}
            else => {}
        }
        let noticed = usize::from(damaged.load(Ordering::SeqCst));
        self.noticed.fetch_add(noticed, Ordering::SeqCst);
        let lived = usize::from(self.options.life > 0);
        self.ended.fetch_add(lived, Ordering::SeqCst);
    }

    async fn until(&self, is_so: impl FnMut(&State) -> bool) {
        // The sender is ours.
        let _ = self.state.subscribe().wait_for(is_so).await;
    }

    async fn until_whole(&self) {
        self.until(|state| *state == State::Whole).await;
    }

    async fn until_cut(&self) {
        self.until(|state| *state == State::Cut).await;
    }

    fn came(&self, way: Way, bytes: usize) {
        let before = self.came[way as usize].fetch_add(bytes as u64, Ordering::SeqCst);
        let mut ends_at = lock(&self.ends_at);
        if way == Way::To && ends_at.is_some_and(|end| before + bytes as u64 >= end) {
            *ends_at = None;
            self.state.send_replace(State::Cut);
        }
    }

    /// What a connection may have on its way.
    fn window(&self) -> usize {
        match self.options.shared_rate {
            0 => WINDOW,
            _ => SHARED_WINDOW,
        }
    }

    async fn wait_for_turn(&self, way: Way, length: usize) {
        let rate = self.options.shared_rate;
        if rate == 0 {
            return;
        }
        let turn = {
            let mut next = lock(&self.turns[way as usize]);
            let begins = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            *next.insert(begins + time_at(rate, length))
        };
        sleep_until(turn).await;
    }

    fn delay(&self) -> Duration {
        let most = u64::try_from(self.options.jitter.as_nanos()).unwrap_or(u64::MAX - 1);
        self.options.latency + Duration::from_nanos(random(most + 1))
    }

    /// `bytes`, of which the first is number `passed` of its direction, as they arrive; and whether they are damaged.
    fn damaged(&self, way: Way, passed: u64, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut bytes = bytes.to_vec();
        let mut damage = lock(&self.damage);
        let here = |at: &u64| (passed..passed + bytes.len() as u64).contains(at);
        let Some((_, at, what)) = damage.filter(|(to, at, _)| *to == way && here(at)) else {
            return (bytes, false);
        };
        let place = usize::try_from(at - passed).unwrap_or(0);
        match what {
            Damage::Flipped => bytes[place] ^= 1 << random(8),
            Damage::Twice => bytes.insert(place, bytes[place]),
            Damage::Inserted => bytes.insert(place, random(256) as u8),
            Damage::Lost => drop(bytes.remove(place)),
        }
        *damage = None;
        (bytes, true)
    }
}

impl Direction<'_> {
    /// Both ends, until it is at its end; it fails if the connection is to be cut. They are one task, so neither misses what the
    /// other tells.
    async fn pass(self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
        let line = Line::default();
        tokio::try_join!(self.take(&line, from), self.give(&line, to))?;
        Ok(())
    }

    async fn take(&self, line: &Line, mut from: ReadHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; 16 << 10];
        let (mut passed, mut life, mut free_at) = (0, self.life, Instant::now());
        loop {
            while line.waiting.load(Ordering::SeqCst) > self.link.window() {
                line.changed.notified().await;
            }
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                line.ended.store(true, Ordering::SeqCst);
                line.changed.notify_waiters();
                return Ok(());
            }
            self.link.came(self.way, read);
            let (piece, is_damaged) = self.link.damaged(self.way, passed, &buffer[..read]);
            self.damaged.fetch_or(is_damaged, Ordering::SeqCst);
            passed += read as u64;
            life = life
                .checked_sub(read as u64)
                .ok_or(io::ErrorKind::BrokenPipe)?;
            free_at = free_at.max(Instant::now()) + time_at(self.link.options.rate, read);
            line.waiting.fetch_add(piece.len(), Ordering::SeqCst);
            let arrival = free_at + self.link.delay();
            lock(&line.pieces).push_back((arrival, piece));
            line.changed.notify_waiters();
        }
    }

    async fn give(&self, line: &Line, mut to: WriteHalf<'_>) -> io::Result<()> {
        loop {
            let piece = lock(&line.pieces).pop_front();
            let Some((arrival, piece)) = piece else {
                if line.ended.load(Ordering::SeqCst) {
                    return to.shutdown().await;
                }
                line.changed.notified().await;
                continue;
            };
            sleep_until(arrival).await;
            self.link.wait_for_turn(self.way, piece.len()).await;
            self.link.until_whole().await;
            to.write_all(&piece).await?;
            let delivered = piece.len() as u64;
            self.link.delivered.fetch_add(delivered, Ordering::SeqCst);
            line.waiting.fetch_sub(piece.len(), Ordering::SeqCst);
            line.changed.notify_waiters();
        }
    }
}

fn time_at(rate: u64, length: usize) -> Duration {
    let nanoseconds = (length as u64 * 1_000_000_000).checked_div(rate);
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Some number below `limit`.
fn random(limit: u64) -> u64 {
    getrandom::u64().map_or(0, |number| number % limit)
}
