//! Disks that are full, of bytes or of files, and a process without descriptors: it is said so, nothing is lost or left behind,
//! and it heals without a restart.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use colis::{
    client::{ClientOptions, PeerClient},
    id::ChunkId,
    store::{Put, Store as _, StoreError},
    transfer::TransferError,
};
use tokio::runtime::Runtime;

use crate::{
    disk::{Disk, MIB},
    inject::{Call, Injection, Wrong},
};
use harness::ledger::{KEEPING, Ledger};
use harness::load::{Load, content};
use testkit::{Homes, around, bytes, wait_for};

/// Chunks of a refused transfer that may still have been on their way.
const IN_FLIGHT: usize = 4;

/// What is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The part of the disk that the peer may use.
    Reserve,
    /// The disk, to its last block.
    Blocks,
    Inodes,
}

/// Sends files until there is no room, then a large one; makes room.
pub(crate) fn campaign(full: Full) {
    let homes = Homes::new(&["b"]);
    let load = Load::new(&homes);
    let store = homes.home("b").join("chunks");
    let options: &[&str] = match full {
        Full::Inodes => &["-N", "450"],
        _ => &["-m", "0"],
    };
    let _disk = Disk::of_size(24 * MIB, options, &homes.path("image"), &store);
    let reserve = if full == Full::Reserve { "8MiB" } else { "0" };
    homes.ok("b", &["config", "set", "reserve", reserve]);
    let serving = homes.serve("b", &KEEPING);
    let ballast = store.join("trash/ballast");
    if full == Full::Blocks {
        fs::write(&ballast, bytes(1, 12 << 20)).unwrap();
    }
    let client = load.client(&serving.to());
    let (ledger, runtime) = (Ledger::default(), Runtime::new().unwrap());
    let refused = runtime.block_on(fill(&load, &client, &ledger));
    let said = refused.to_string();
    assert!(said.contains("no space"), "{said}");
    let (_, transfers) = ledger.acknowledged();
    assert!(transfers > 10, "{transfers} transfers before {full:?}");
    assert_eq!(ledger.verify(&homes.home("b")), [""; 0]);
    let stored = files(&store.join("data")).len();

    fs::write(homes.path("large.bin"), bytes(2, 30 << 20)).unwrap();
    let send = ["send", "large.bin", "--to", &serving.to(), "--wait"];
    let said = homes.fails("a", &send, 7);
    assert!(said.contains("space"), "{said}");
    let left = files(&store.join("data")).len();
    assert!(left <= stored + IN_FLIGHT, "{left} chunks, not {stored}");

    let _ = fs::remove_file(&ballast);
    let data = files(&store.join("data"));
    data[..stored / 2]
        .iter()
        .for_each(|path| fs::remove_file(path).unwrap());
    let sealed = Bytes::from(content(1 << 40));
    let put = client.put_chunk(ChunkId::of(&sealed), sealed, None);
    assert_eq!(runtime.block_on(put).unwrap(), Put::Stored, "it has healed");
    fs::write(homes.path("small.bin"), bytes(3, 1 << 20)).unwrap();
    homes.ok("a", &["send", "small.bin", "--to", &serving.to(), "--wait"]);
}

/// Sends files until one is refused.
async fn fill(load: &Load, client: &PeerClient, ledger: &Ledger) -> TransferError {
    for number in 0.. {
        let (name, bytes) = (format!("{number}.bin"), content(number));
        ledger.sends(&name, &bytes);
        match load.send(client, &name, &bytes).await {
            Ok(manifest) => ledger.has_transfer(manifest, &name),
            Err(error) => return error,
        }
    }
    unreachable!("the loop has no end")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let shards = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let entries = shards.flat_map(|shard| fs::read_dir(shard).unwrap());
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// A disk that dies after a chunk has its name and before the folder is synced. XFS says then that it has synced it.
pub(crate) fn dies_before_the_folder_is_synced(kind: &str) {
    let homes = Homes::new(&["b"]);
    let load = Load::new(&homes);
    let store = homes.home("b").join("chunks");
    let disk = Disk::of_kind(kind, 640 * MIB, &[], &homes.path("image"), &store);
    let serving = homes.serve("b", &["--inbox", "off"]);
    let call = Call {
        name: "fsync",
        number: 1,
    };
    let injection = Injection::into(serving.id(), call, Wrong::Waits, homes.path("strace.log"));
    let sealed = Bytes::from(content(1));
    let id = ChunkId::of(&sealed);
    let client = load.client(&serving.to());
    let put = Runtime::new().unwrap().block_on(async {
        let put = tokio::spawn(async move { client.put_chunk(id, sealed, None).await });
        wait_for("the chunk's name", || {
            !files(&store.join("data")).is_empty()
        });
        disk.cut_power();
        put.await.unwrap()
    });
    injection.end();
    let refused = matches!(put, Err(StoreError::ReadOnly { .. }));
    assert!(refused, "{kind}: acknowledged without a disk: {put:?}");
}

/// With too few descriptors for its folders a peer does not start, and says what to do.
fn is_told_to_raise_the_limit(homes: &Homes) {
    let serve = homes.command("b", &["serve", "--listen", "127.0.0.1:0"]);
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=64");
    let said = around(limited, &serve).output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.contains("hint") && said.contains("ulimit -n"),
        "{said}"
    );
}

/// A peer that may open 400 files, and more connections than that: who came first is served, and when they are gone, all are.
pub(crate) fn of_descriptors() {
    let homes = Homes::new(&["b"]);
    is_told_to_raise_the_limit(&homes);
    let load = Load::new(&homes);
    let serve = homes.command("b", &["--json", "serve", "--listen", "127.0.0.1:0"]);
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=400");
    let serving = homes.serve_by("b", around(limited, &serve));
    let runtime = Runtime::new().unwrap();
    let put = |number, options| {
        let client = load.patient_client(&serving.to(), options);
        let sealed = Bytes::from(content(number));
        runtime.block_on(client.put_chunk(ChunkId::of(&sealed), sealed, None))
    };
    assert_eq!(put(1, ClientOptions::default()).unwrap(), Put::Stored);
    let connect = || TcpStream::connect(serving.address).unwrap();
    let held: Vec<_> = std::iter::repeat_with(connect).take(600).collect();
    let hasty = ClientOptions {
        retries: 0,
        ..ClientOptions::default()
    };
    let meanwhile = put(2, hasty);
    drop(held);
    assert_eq!(
        put(3, ClientOptions::default()).unwrap(),
        Put::Stored,
        "after {meanwhile:?}"
    );
    fs::write(homes.path("small.bin"), bytes(3, 1 << 20)).unwrap();
    homes.ok("a", &["send", "small.bin", "--to", &serving.to(), "--wait"]);
}
