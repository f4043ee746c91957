//! Good clients: each asks whether the peer is well every 50 ms, and reads a chunk of 1 MiB every second.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use colis::{client::PeerClient, id::ChunkId, store::Store as _};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::site::{Member, Site};
use testkit::bytes;

const CLIENTS: usize = 4;
const CHUNK: usize = 1 << 20;

/// They go on until they are dropped.
pub(crate) struct Good {
    seen: Arc<Mutex<Seen>>,
    _clients: JoinSet<()>,
}

/// What they have seen since they were last asked.
#[derive(Default)]
pub(crate) struct Seen {
    /// How long the answers took, over connections that are kept.
    health: Vec<Duration>,
    chunk: Vec<Duration>,
    /// How long connecting and asking took.
    fresh: Vec<Duration>,
    pub(crate) failures: Vec<String>,
    /// New connections that were turned away or failed.
    kept_out: Vec<String>,
}

impl Good {
    /// Lets them begin, each with its own certificate; one connects anew each time.
    pub(crate) async fn start(site: &Site) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut clients = JoinSet::new();
        let content = Bytes::from(bytes(1, CHUNK));
        let id = ChunkId::of(&content);
        for member in site.members("good", CLIENTS) {
            let client = site.client(&member);
            client.put_chunk(id, content.clone(), None).await.unwrap();
            clients.spawn(ask(client.clone(), seen.clone()));
            clients.spawn(read(client, id, seen.clone()));
        }
        let connect = {
            let (site, member) = (site.serving.address, site.member("fresh"));
            connect(member, site, seen.clone())
        };
        clients.spawn(connect);
        Self {
            seen,
            _clients: clients,
        }
    }

    /// What they see in so long.
    pub(crate) async fn watch(&self, time: Duration) -> Seen {
        drop(self.take());
        tokio::time::sleep(time).await;
        self.take()
    }

    fn take(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Seen {
    /// In milliseconds: the slowest but one in a hundred of the answers over kept connections.
    pub(crate) fn p99(&self) -> f64 {
        percentile(&self.health, 99)
    }

    /// New connections that were made, and those that were not.
    pub(crate) fn new_connections(&self) -> (usize, usize) {
        (self.fresh.len(), self.kept_out.len())
    }

    /// The middle and the slowest but one in a hundred of answers, chunks and new connections.
    pub(crate) fn show(&self) -> String {
        let pair = |times: &[Duration]| {
            let (middle, slow) = (percentile(times, 50), percentile(times, 99));
            format!("{middle:.1}/{slow:.1} ms of {}", times.len())
        };
        let (health, chunk, fresh) = (pair(&self.health), pair(&self.chunk), pair(&self.fresh));
        let (failed, out) = (self.failures.len(), self.kept_out.len());
        format!(
            "p50/p99: health {health}, chunk {chunk}, {failed} failed, new {fresh}, {out} kept out"
        )
    }
}

/// In milliseconds.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(place).map_or(f64::NAN, |t| t.as_secs_f64() * 1e3)
}

/// The middle of some numbers.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

async fn ask(client: PeerClient, seen: Arc<Mutex<Seen>>) {
    let mut ticks = ticks(50);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        let answer = client.health().await;
        let mut seen = seen.lock().unwrap();
        match answer {
            Ok(_) => seen.health.push(begun.elapsed()),
            Err(error) => seen.failures.push(format!("health: {error}")),
        }
    }
}

async fn read(client: PeerClient, id: ChunkId, seen: Arc<Mutex<Seen>>) {
    let mut ticks = ticks(1000);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        let answer = client.get_chunk(id).await;
        let mut seen = seen.lock().unwrap();
        match answer {
            Ok(_) => seen.chunk.push(begun.elapsed()),
            Err(error) => seen.failures.push(format!("chunk: {error}")),
        }
    }
}

async fn connect(member: Member, peer: std::net::SocketAddr, seen: Arc<Mutex<Seen>>) {
    let mut ticks = ticks(100);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        let answer = async {
            let mut tls = member.connect(std::net::Ipv4Addr::LOCALHOST, peer).await?;
            crate::site::get(&mut tls, "/v1/health").await
        };
        let answer = answer.await;
        let mut seen = seen.lock().unwrap();
        match answer {
            Ok(200) => seen.fresh.push(begun.elapsed()),
            other => seen.kept_out.push(format!("{other:?}")),
        }
    }
}

fn ticks(milliseconds: u64) -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_millis(milliseconds));
    // Nobody hurries to catch up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
