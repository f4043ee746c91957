//! The store on disk: durable puts, verified gets, and lists. `TMPDIR` says on which disk.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where something fails")]

use std::time::Duration;

use bytes::Bytes;
use colis::{
    id::ChunkId,
    store::{LocalStore, LocalStoreOptions, PageRequest, Put, Store as _},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::{StreamExt as _, stream};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SIZES: [(&str, usize); 2] = [("1 MiB", 1 << 20), ("10 KiB", 10 << 10)];

/// Chunks of the store whose list is asked for, and of a page of it.
const LISTED: usize = 20_000;
const PAGE: usize = 1_000;

/// Puts at once while a store is filled.
const FILLING: usize = 64;

/// A store in a folder that goes with it.
struct Site {
    runtime: Runtime,
    store: LocalStore,
    _folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(&folder.path().join("chunks"), LocalStoreOptions::default());
        Self {
            runtime: Runtime::new().unwrap(),
            store: store.unwrap(),
            _folder: folder,
        }
    }

    fn put(&self, chunk: (ChunkId, Bytes)) -> Put {
        let put = self.store.put_chunk(chunk.0, chunk.1, None);
        self.runtime.block_on(put).unwrap()
    }

    fn get(&self, id: ChunkId) -> Bytes {
        self.runtime.block_on(self.store.get_chunk(id)).unwrap()
    }

    fn fill(&self, chunks: Vec<(ChunkId, Bytes)>) {
        let puts = stream::iter(chunks).map(|(id, sealed)| self.store.put_chunk(id, sealed, None));
        let all = puts.buffer_unordered(FILLING).collect::<Vec<_>>();
        assert!(self.runtime.block_on(all).iter().all(Result::is_ok));
    }
}

/// The chunk of this number: no two are equal.
fn chunk(number: u64, length: usize) -> (ChunkId, Bytes) {
    let mut sealed = vec![0; length];
    sealed[..8].copy_from_slice(&number.to_le_bytes());
    (ChunkId::of(&sealed), sealed.into())
}

fn chunks(c: &mut Criterion) {
    for (name, length) in SIZES {
        let site = Site::new();
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(length as u64));
        let mut number = 0;
        group.bench_function("put", |b| {
            let next = || {
                number += 1;
                chunk(number, length)
            };
            b.iter_batched(next, |new| site.put(new), BatchSize::PerIteration);
        });
        let (id, sealed) = chunk(0, length);
        site.put((id, sealed.clone()));
        group.bench_function("put again", |b| {
            b.iter(|| site.put((id, sealed.clone())));
        });
        group.bench_function("get", |b| b.iter(|| site.get(id)));
        group.finish();
    }
}

fn lists(c: &mut Criterion) {
    let site = Site::new();
    let chunks: Vec<_> = (0..LISTED as u64).map(|n| chunk(n, 100)).collect();
    let mut ids: Vec<_> = chunks.iter().map(|(id, _)| *id).collect();
    ids.sort();
    site.fill(chunks);
    let middle = PageRequest {
        after: Some(ids[LISTED / 2]),
        limit: PAGE,
    };
    c.bench_function("list 1,000 of 20,000", |b| {
        b.iter(|| {
            let page = site.store.list_chunks(middle);
            let page = site.runtime.block_on(page).unwrap();
            assert_eq!(page.items[0].id, ids[LISTED / 2 + 1]);
            page
        });
    });
}

fn brief() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .sample_size(20)
}

criterion_group!(name = benches; config = brief(); targets = chunks, lists);
criterion_main!(benches);
