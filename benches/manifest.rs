//! The largest manifest that a transfer can have: 65,536 chunks. Each end signs or reads it once.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where something fails")]

use std::{hint::black_box, time::Duration};

use colis::{
    crypto::FileKey,
    id::{ChunkId, TransferId},
    manifest::{
        DEFAULT_CHUNK_SIZE, MAX_CHUNKS, Manifest, SignedManifest, Signer as _, Timestamp, Wrap,
        WrapScope,
    },
    tls::{CertsDir, Circle, CircleHandle, Identity, ca},
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// What `sender` would publish, for itself.
fn largest(sender: &Identity) -> Manifest {
    let key = FileKey::generate().unwrap();
    let scope = WrapScope {
        key_id: key.commitment(),
        transfer_id: TransferId::generate().unwrap(),
        sender: sender.peer_id(),
    };
    let seal_key = sender.seal_keys()[0].public();
    let ids = |count: usize, what: &str| {
        let names = (0..count).map(|index| format!("{what} {index}"));
        names.map(|name| ChunkId::of(name.as_bytes())).collect()
    };
    let created = Timestamp::now();
    Manifest {
        v: 1,
        transfer_id: scope.transfer_id,
        created,
        expires: Some(created.plus_seconds(30 * 24 * 3600)),
        sender: scope.sender,
        certificate: sender.certificate(),
        key_id: scope.key_id,
        chunk_size: DEFAULT_CHUNK_SIZE,
        size: MAX_CHUNKS as u64 * u64::from(DEFAULT_CHUNK_SIZE),
        table: ids(1, "table"),
        wraps: vec![Wrap::to_recipient(&key, scope, scope.sender, seal_key).unwrap()],
        chunks: ids(MAX_CHUNKS, "chunk"),
        sums: ids(1, "sums"),
    }
}

fn manifests(c: &mut Criterion) {
    let root = tempfile::tempdir().unwrap();
    let certs = CertsDir::new(root.path());
    let sender = ca::init(&certs, "sender", &Default::default()).unwrap();
    let circle = CircleHandle::new(Circle::load(&certs).unwrap());
    let manifest = largest(&sender);
    let signed = SignedManifest::sign(manifest.clone(), &sender).unwrap();
    let envelope = signed.envelope().clone();

    let mut group = c.benchmark_group("65,536 chunks");
    group.throughput(Throughput::Bytes(envelope.len() as u64));
    group.bench_function("sign", |b| {
        b.iter_batched(
            || manifest.clone(),
            |manifest| SignedManifest::sign(manifest, &sender).unwrap(),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("parse and verify", |b| {
        b.iter(|| {
            let parsed = SignedManifest::parse(black_box(envelope.clone())).unwrap();
            parsed.verify(&circle, Timestamp::now()).unwrap()
        });
    });
    group.finish();
}

fn brief() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .sample_size(20)
}

criterion_group!(name = benches; config = brief(); targets = manifests);
criterion_main!(benches);
