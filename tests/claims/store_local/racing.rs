//! Collecting against uploads: writers put, publish, abandon, delete and let go while leases run out at once.
//!
//! 25 rounds a writer; `COLIS_ROUNDS=N` for another number, `COLIS_MINUTES=N` to go on for so long.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use colis::{
    id::ChunkId,
    manifest::SignedManifest,
    store::{Store as _, StoreError, TransferState},
};

use super::{Kept, age, age_all, now, path_of, signer};
use testkit::sealed::{Draft, TestSigner, chunk};

const WRITERS: u64 = 8;
/// Transfers of each writer that stay published; older ones go.
const STANDING: usize = 12;
/// The seeds of the chunks that all writers share.
const SHARED: Range<u64> = (1 << 40)..(1 << 40) + 8;

/// How long a writer goes on.
#[derive(Clone, Copy)]
enum Length {
    Rounds(u64),
    Until(Instant),
}

impl Length {
    fn asked() -> Self {
        match testkit::minutes() {
            Some(minutes) => Self::Until(Instant::now() + Duration::from_secs(60 * minutes)),
            None => Self::Rounds(testkit::rounds(25)),
        }
    }

    fn goes_on(self, round: u64) -> bool {
        match self {
            Self::Rounds(rounds) => round < rounds,
            Self::Until(end) => Instant::now() < end,
        }
    }
}

struct Race {
    kept: Kept,
    signer: TestSigner,
    shared: Vec<ChunkId>,
    published: AtomicUsize,
    gone: AtomicUsize,
    abandoned: AtomicUsize,
    /// Publications that found a chunk collected, and put it again.
    again: AtomicUsize,
}

impl Race {
    /// Puts chunks whose lease is over at once, until a transfer of them is published.
    async fn publish(&self, chunks: &[(ChunkId, Bytes)]) -> SignedManifest {
        let ids: Vec<_> = chunks.iter().map(|(id, _)| *id).collect();
        let manifest = Draft::new(&self.signer, &ids).sign(&self.signer);
        loop {
            self.put(chunks).await;
            match self.kept.store.put_manifest(&manifest).await {
                Ok(_) => return manifest,
                Err(StoreError::MissingChunks { .. }) => self.again.fetch_add(1, Ordering::Relaxed),
                Err(error) => panic!("{error}"),
            };
        }
    }

    async fn put(&self, chunks: &[(ChunkId, Bytes)]) {
        for (id, bytes) in chunks {
            let put = self.kept.store.put_chunk(*id, bytes.clone(), None).await;
            put.unwrap();
            // A lease that somebody else has just renewed by publishing lasts a day, not a moment.
            if !self.shared.contains(id) {
                age(&path_of(self.kept.root.path(), *id));
            }
        }
    }

    async fn assert_whole(&self, manifest: &SignedManifest) {
        for id in manifest.payload().all_chunks() {
            let given = self.kept.store.get_chunk(id).await;
            assert!(given.is_ok(), "acknowledged, then collected: {given:?}");
        }
    }

    /// Deletes it or lets it go with its chunks, which others may name too.
    async fn remove(&self, manifest: &SignedManifest, round: u64) {
        let (store, id) = (&self.kept.store, manifest.id());
        if round.is_multiple_of(4) {
            tokio::task::block_in_place(|| store.let_go(id, TransferState::Refused)).unwrap();
        } else {
            store.delete_manifest(id).await.unwrap();
        }
        self.gone.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives what is still published at the end.
    async fn write(self: Arc<Self>, writer: u64, length: Length) -> VecDeque<SignedManifest> {
        let (mut standing, mut round) = (VecDeque::new(), 0);
        while length.goes_on(round) {
            let first = (writer << 32) + 4 * round;
            let shared = SHARED.start + (round + writer) % 8;
            let seeds = (first..first + 3).chain([shared]);
            let chunks: Vec<_> = seeds.map(|seed| chunk(seed, 1000)).collect();
            if round % 5 == 4 {
                self.put(&chunks).await;
                self.abandoned.fetch_add(1, Ordering::Relaxed);
            } else {
                standing.push_back(self.publish(&chunks).await);
                self.published.fetch_add(1, Ordering::Relaxed);
            }
            if standing.len() > STANDING {
                let oldest = standing.pop_front().unwrap();
                self.assert_whole(&oldest).await;
                self.remove(&oldest, round).await;
            }
            round += 1;
        }
        standing
    }

    /// Collects, and empties the trash the next time, until `stop`. Gives how many chunks went.
    fn collect(&self, stop: &AtomicBool) -> usize {
        let mut collected = 0;
        while !stop.load(Ordering::Relaxed) {
            collected += self.kept.store.gc(now()).unwrap().chunks;
            age_all(&self.kept, "trash");
        }
        collected
    }

    fn count(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::Relaxed)
    }
}

/// Ends collecting also when a writer has found a loss: the test would wait for it.
struct StopsOnDrop(Arc<AtomicBool>);

impl Drop for StopsOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_published_chunk_is_never_collected() {
    let length = Length::asked();
    let race = Arc::new(Race {
        kept: Kept::new(),
        signer: signer(),
        shared: SHARED.map(|seed| chunk(seed, 1000).0).collect(),
        published: AtomicUsize::new(0),
        gone: AtomicUsize::new(0),
        abandoned: AtomicUsize::new(0),
        again: AtomicUsize::new(0),
    });
    let stop = Arc::new(AtomicBool::new(false));
    let _stops = StopsOnDrop(stop.clone());
    let collector = {
        let (race, stop) = (race.clone(), stop.clone());
        tokio::task::spawn_blocking(move || race.collect(&stop))
    };
    let writers = (0..WRITERS).map(|writer| tokio::spawn(race.clone().write(writer, length)));
    let mut standing = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        standing.extend(writer.await.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    let collected = collector.await.unwrap();
    eprintln!(
        "{} published, {} removed, {} abandoned, {} put again, {collected} chunks collected",
        Race::count(&race.published),
        Race::count(&race.gone),
        Race::count(&race.abandoned),
        Race::count(&race.again),
    );
    assert!(collected > 0, "nothing was collected, so nothing was tried");
    for _ in 0..2 {
        age_all(&race.kept, "trash");
        race.kept.store.gc(now()).unwrap();
    }
    for manifest in &standing {
        race.assert_whole(manifest).await;
    }
    let report = race.kept.store.check(true).unwrap();
    assert_eq!(
        (report.manifests, report.problems),
        (standing.len() as u64, vec![])
    );
}
