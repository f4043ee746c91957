//! Many manifests that name the same chunks, and end together.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use colis::{id::ChunkId, store::Store as _};
use tokio::runtime::Handle;

use super::{HOUR, Kept, now, signer};
use testkit::sealed::{Draft, chunk};

const MANIFESTS: usize = 40;
const CHUNKS: u64 = 3_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_put_does_not_wait_until_all_that_ends_together_is_gone() {
    let kept = Kept::new();
    let ids: Vec<ChunkId> = (0..CHUNKS)
        .map(|seed| {
            let (id, bytes) = chunk(seed, 29);
            fs::write(kept.path_of(id), bytes).unwrap();
            id
        })
        .collect();
    for _ in 0..MANIFESTS {
        let manifest = Draft::new(&signer(), &ids).sign(&signer());
        kept.store.put_manifest(&manifest).await.unwrap();
    }
    let (store, here, done) = (&kept.store, Handle::current(), AtomicBool::new(false));
    let (longest, whole) = thread::scope(|scope| {
        let putting = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            for seed in CHUNKS.. {
                let (id, bytes) = chunk(seed, 100);
                let start = Instant::now();
                here.block_on(store.put_chunk(id, bytes, None)).unwrap();
                longest = longest.max(start.elapsed());
                if done.load(Ordering::SeqCst) {
                    break;
                }
            }
            longest
        });
        let start = Instant::now();
        let gone = store.let_expired_go(now().plus_seconds(2 * HOUR)).unwrap();
        let whole = start.elapsed();
        done.store(true, Ordering::SeqCst);
        assert_eq!(gone, MANIFESTS);
        (putting.join().unwrap(), whole)
    });
    assert!(longest < whole / 4, "a put waited {longest:?} of {whole:?}");
}
