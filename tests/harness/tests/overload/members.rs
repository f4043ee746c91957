//! Very many members at once, each with as many kept connections as it may have.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, time::sleep};

use crate::{
    FAST_MS,
    good::{Good, median},
    site::{Member, Site, background, get, mib, source, until},
};
use testkit::stretch;

const PER_MEMBER: usize = 62;
/// Each asks for something so often: before the peer takes it for idle.
const EVERY: Duration = Duration::from_secs(9);
/// Connections of good clients that were just open when it was looked.
const BRIEF: usize = 2;
/// Handshakes at once.
const AT_ONCE: usize = 8;

/// What became of the connections.
#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    failed: AtomicUsize,
}

/// Opens `count` connections, and looks at what they cost once all are open.
pub(crate) async fn measure(count: usize) {
    let site = Site::new();
    let identities = site.members("member", count.div_ceil(PER_MEMBER));
    let good = Good::start(&site).await;
    let base = good.watch(Duration::from_secs(5)).await;
    eprintln!("before: {}", base.show());
    let (memory, descriptors, sockets) = (site.resident(), site.descriptors(), site.sockets());

    let counts = Arc::new(Counts::default());
    let crowd = background();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    for number in 0..count {
        let kept = Kept {
            member: identities[number / PER_MEMBER].clone(),
            number,
            peer: site.serving.address,
            counts: counts.clone(),
        };
        crowd.spawn(kept.keep(turns.clone()));
    }
    let patience = Duration::from_secs(30 + count as u64 / 20);
    let begun = Instant::now();
    while counts.open.load(Ordering::SeqCst) + counts.failed.load(Ordering::SeqCst) < count {
        assert!(begun.elapsed() < patience, "they do not get in");
        sleep(Duration::from_millis(50)).await;
    }
    eprintln!("{count} connections made in {:?}", begun.elapsed());

    let mut slow = Vec::new();
    for _ in 0..3 {
        let seen = good.watch(EVERY * 4 / 10).await;
        eprintln!("with {} descriptors: {}", site.descriptors(), seen.show());
        assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
        slow.push(seen.p99());
    }
    let (resident, each) = (
        site.resident(),
        site.peak().saturating_sub(memory) / count as u64,
    );
    eprintln!(
        "{} MiB in all, {} KiB a connection",
        mib(resident),
        each >> 10
    );
    assert!(
        site.sockets() + BRIEF >= sockets + count,
        "some were closed: {sockets} sockets before, {} with them",
        site.sockets()
    );
    assert_eq!(counts.failed.load(Ordering::SeqCst), 0, "some failed");
    assert!(site.peak() <= 1 << 30, "{} MiB", mib(site.peak()));
    assert!(each <= 64 << 10, "{each} bytes a connection");
    let slow = median(slow);
    assert!(
        slow <= FAST_MS.max(2.0 * base.p99()) * stretch(),
        "{slow} ms"
    );
    crowd.shutdown_background();
    let is_base = || site.descriptors() <= descriptors + 2;
    let drained = until("every descriptor is free again", is_base).await;
    eprintln!("drained in {drained:?}");
}

/// One connection that is kept.
struct Kept {
    member: Member,
    number: usize,
    peer: SocketAddr,
    counts: Arc<Counts>,
}

impl Kept {
    async fn keep(self, turns: Arc<Semaphore>) {
        // Whatever it is that ended it.
        let _ = self.ask_on_and_on(turns).await;
        self.counts.failed.fetch_add(1, Ordering::SeqCst);
    }

    async fn ask_on_and_on(&self, turns: Arc<Semaphore>) -> std::io::Result<()> {
        let turn = turns.acquire_owned().await;
        let from = source(self.number / PER_MEMBER);
        let mut tls = self.member.connect(from, self.peer).await?;
        get(&mut tls, "/v1/health").await?;
        drop(turn);
        self.counts.open.fetch_add(1, Ordering::SeqCst);
        loop {
            sleep(EVERY).await;
            get(&mut tls, "/v1/health").await?;
        }
    }
}
