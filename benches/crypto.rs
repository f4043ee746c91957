//! The scheme alone, in memory: what sealing, opening, hashing and wrapping cost a core.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where something fails")]

use std::{hint::black_box, time::Duration};

use colis::{
    crypto::{
        ChunkOpener, ChunkPosition, ChunkSealer, FileKey, SealKey, Stream, key::WrapContext,
        recipient,
    },
    id::{Digest, PeerId, TransferId},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const CHUNK: usize = 1 << 20;

const FIRST: ChunkPosition = ChunkPosition {
    index: 0,
    last: false,
};

fn chunks(c: &mut Criterion) {
    let key = FileKey::generate().unwrap();
    let plain = vec![7; CHUNK];
    let sealer = ChunkSealer::new(&key, Stream::Content, CHUNK as u32);
    let opener = ChunkOpener::new(&key, Stream::Content, CHUNK as u32);
    let sealed = sealer.seal(FIRST, &plain).unwrap();

    let mut group = c.benchmark_group("1 MiB");
    group.throughput(Throughput::Bytes(CHUNK as u64));
    group.bench_function("seal", |b| {
        b.iter(|| sealer.seal(FIRST, black_box(&plain)).unwrap());
    });
    group.bench_function("open", |b| {
        b.iter(|| opener.open(FIRST, black_box(&sealed)).unwrap());
    });
    group.bench_function("SHA-256", |b| b.iter(|| Digest::of(black_box(&plain))));
    group.finish();
}

fn wraps(c: &mut Criterion) {
    let key = FileKey::generate().unwrap();
    let reader = SealKey::generate().unwrap();
    let context = WrapContext {
        key_id: key.commitment(),
        transfer_id: TransferId::generate().unwrap(),
        sender: PeerId::of(b"sender"),
        recipient: Some((PeerId::of(b"reader"), reader.public().id())),
    };
    let wrapped = recipient::wrap(&key, reader.public(), &context).unwrap();
    assert!(reader.unwrap(&wrapped, &context).is_ok());

    let mut group = c.benchmark_group("file key");
    group.bench_function("generate", |b| b.iter(|| FileKey::generate().unwrap()));
    group.bench_function("wrap", |b| {
        b.iter(|| recipient::wrap(&key, reader.public(), &context).unwrap());
    });
    group.bench_function("unwrap", |b| {
        b.iter(|| reader.unwrap(&wrapped, &context).unwrap());
    });
    group.finish();
}

fn brief() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(30)
}

criterion_group!(name = benches; config = brief(); targets = chunks, wraps);
criterion_main!(benches);
