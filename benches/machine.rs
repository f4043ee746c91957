//! What the machine does at best: the steps of the ideal model of `docs/performance.md` that are not ours. All in one
//! thread, so that a rate is one of core-seconds, also where two ends take part.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where something fails")]

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt as _,
    time::Duration,
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::NamedTempFile;

const CHUNK: usize = 1 << 20;
/// The most bytes of a record of TLS.
const RECORD: usize = 16 << 10;
/// Fits into the buffers of a socket, so that one thread can be both ends.
const PIECE: usize = 64 << 10;

fn files(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chunk");
    let (content, mut buffer) = (vec![7; CHUNK], vec![0; CHUNK]);
    fs::write(&path, &content).unwrap();
    let file = File::open(&path).unwrap();

    let mut group = c.benchmark_group("file of 1 MiB");
    group.throughput(Throughput::Bytes(CHUNK as u64));
    group.bench_function("read, from the page cache", |b| {
        b.iter(|| file.read_exact_at(&mut buffer, 0).unwrap());
    });
    // What comes back is removed outside of the time. Never over a file: ext4 would begin to write it out.
    let write = || {
        let mut file = NamedTempFile::new_in(&folder).unwrap();
        file.write_all(&content).unwrap();
        file
    };
    group.bench_function("write, no sync", |b| {
        b.iter_batched(|| (), |()| write(), BatchSize::PerIteration);
    });
    let sync = || {
        let file = write();
        file.as_file().sync_data().unwrap();
        file
    };
    group.bench_function("write and sync", |b| {
        b.iter_batched(|| (), |()| sync(), BatchSize::PerIteration);
    });
    group.finish();
}

fn tcp(c: &mut Criterion) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    near.set_nodelay(true).unwrap();
    let (sent, mut arrived) = (vec![7; PIECE], vec![0; PIECE]);

    let mut group = c.benchmark_group("TCP over loopback");
    group.throughput(Throughput::Bytes(PIECE as u64));
    group.bench_function("64 KiB, both ends", |b| {
        b.iter(|| {
            near.write_all(&sent).unwrap();
            far.read_exact(&mut arrived).unwrap();
        });
    });
    group.finish();
}

fn records(c: &mut Criterion) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    let nonce = || Nonce::assume_unique_for_key([7; 12]);
    let mut record = vec![7; RECORD];
    let mut sealed = record.clone();
    key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed)
        .unwrap();

    let mut group = c.benchmark_group("TLS record of 16 KiB, AES-256-GCM");
    group.throughput(Throughput::Bytes(RECORD as u64));
    group.bench_function("seal", |b| {
        b.iter(|| key.seal_in_place_separate_tag(nonce(), Aad::empty(), &mut record));
    });
    group.bench_function("open", |b| {
        b.iter_batched_ref(
            || sealed.clone(),
            |sealed| {
                key.open_in_place(nonce(), Aad::empty(), sealed)
                    .unwrap()
                    .len()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn brief() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(30)
}

criterion_group!(name = benches; config = brief(); targets = files, tcp, records);
criterion_main!(benches);
