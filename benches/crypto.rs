//! The scheme alone, in memory: what sealing, opening, hashing and wrapping cost a core.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where something fails")]

use std::{hint::black_box, time::Duration};

use colis::{
    crypto::{
        ChunkOpener, ChunkPosition, ChunkSealer, FileKey, SealKey, Stream, chunk::PlainBuffer,
        key::WrapContext, recipient,
    },
    id::{Digest, FileDigest, PeerId, Piece, TransferId},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

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
    let buffer = || {
        let mut buffer = PlainBuffer::with_capacity(CHUNK);
        buffer.extend_by(|bytes| bytes.extend_from_slice(&plain));
        buffer
    };

    let mut group = c.benchmark_group("1 MiB");
    group.throughput(Throughput::Bytes(CHUNK as u64));
    group.bench_function("seal", |b| {
        b.iter_batched(
            buffer,
            |plain| sealer.seal_buffer(FIRST, plain).unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("open", |b| {
        b.iter_batched_ref(
            || sealed.clone(),
            |sealed| opener.open(FIRST, sealed).unwrap().len(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// One after the other, and as many side by side as processors without SHA instructions like.
fn digests(c: &mut Criterion) {
    let messages = vec![vec![7; CHUNK]; 16];
    let mut group = c.benchmark_group("SHA-256");
    for count in [1, 4, 8, 16] {
        let messages: Vec<&[u8]> = messages[..count].iter().map(Vec::as_slice).collect();
        group.throughput(Throughput::Bytes((count * CHUNK) as u64));
        group.bench_function(format!("{count} of 1 MiB"), |b| {
            b.iter(|| Digest::of_each(black_box(&messages)));
        });
    }
    group.bench_function("16 of 1 MiB, one after the other", |b| {
        b.iter(|| {
            for message in &messages {
                black_box(Digest::of(message));
            }
        });
    });
    group.finish();
}

/// The digests of files: what a chunk tells of the file in it, where the file begins at a border of BLAKE3's tree and where not.
fn file_digests(c: &mut Criterion) {
    let (bytes, size) = (vec![7; CHUNK], 1 << 40);
    let mut group = c.benchmark_group("BLAKE3");
    group.throughput(Throughput::Bytes(CHUNK as u64));
    for (name, start) in [
        ("1 MiB at a border", 5 << 20),
        ("1 MiB off a border", (5 << 20) + 500_001),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| Piece::of(black_box(&bytes), start, size))
        });
    }
    group.bench_function("file of 1 MiB", |b| {
        b.iter(|| FileDigest::of(black_box(&bytes)))
    });
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

criterion_group!(name = benches; config = brief(); targets = chunks, digests, file_digests, wraps);
criterion_main!(benches);
