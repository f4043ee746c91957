//! Things in a store that nobody of us put there: each is reported, none is followed, nothing waits for them.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId},
    store::{PageRequest, Put, Store as _, StoreError},
};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use tokio::runtime::Runtime;

use harness::load::{Load, content};
use testkit::{Homes, stretched};

/// What makes something that somebody puts in a store.
type Make = fn(&Path);

const THINGS: [(&str, Make); 10] = [
    ("empty", |path| fs::write(path, b"").unwrap()),
    ("text", |path| fs::write(path, b"mine").unwrap()),
    ("folder", |path| fs::create_dir(path).unwrap()),
    ("fifo", |path| node(path, FileType::Fifo)),
    ("socket", |path| drop(UnixListener::bind(path).unwrap())),
    ("device", |path| node(path, FileType::CharacterDevice)),
    ("link", |path| symlink("/etc/passwd", path).unwrap()),
    ("loop", |path| symlink(path, path).unwrap()),
    ("zeros", |path| symlink("/dev/zero", path).unwrap()),
    ("huge", |path| {
        fs::File::create(path).unwrap().set_len(1 << 40).unwrap()
    }),
];

fn node(path: &Path, kind: FileType) {
    let zero = makedev(1, 5);
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), zero).unwrap();
}

/// Puts each thing where a chunk, where a manifest, and where nothing of ours would be.
pub(crate) fn campaign() -> usize {
    let homes = Homes::new(&["b"]);
    let load = Load::new(&homes);
    drop(homes.serve("b", &[]));
    let store = homes.home("b").join("chunks");
    let mut paths = Vec::new();
    let mut chunks = Vec::new();
    for (number, (name, make)) in THINGS.into_iter().enumerate() {
        let bytes = content(number as u64);
        let chunk = ChunkId::of(&bytes);
        let shard = store.join("data").join(&chunk.to_string()[..2]);
        let manifest = ManifestId::of(&bytes).to_string();
        let places = [
            shard.join(chunk.to_string()),
            shard.join(name),
            store.join("manifests").join(manifest),
            store.join("manifests").join(name),
        ];
        paths.extend(places.map(|path| (path, make)));
        chunks.push(Bytes::from(bytes));
    }
    put(&paths);
    let begin = Instant::now();
    let mut serving = homes.serve("b", &[]);
    let took = begin.elapsed();
    assert!(took < stretched(Duration::from_secs(1)), "{took:?}");
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let client = load.client(&serving.to());
        for chunk in &chunks {
            let got = client.get_chunk(ChunkId::of(chunk)).await;
            assert!(
                matches!(
                    got,
                    Err(StoreError::NotFound { .. } | StoreError::Refused { .. })
                ),
                "{got:?}"
            );
        }
        let page = PageRequest {
            after: None,
            limit: 100,
        };
        assert_eq!(client.list_chunks(page).await.unwrap().items, []);
    });
    serving.kill();
    put(&paths);
    all_are_reported(&homes, &paths);
    let serving = homes.serve("b", &[]);
    let client = load.client(&serving.to());
    for chunk in chunks {
        let put = client.put_chunk(ChunkId::of(&chunk), chunk, None);
        assert_eq!(runtime.block_on(put).unwrap(), Put::Stored);
    }
    paths.len()
}

/// Makes what is not there, or was set aside.
fn put(paths: &[(PathBuf, Make)]) {
    let absent = paths
        .iter()
        .filter(|(path, _)| fs::symlink_metadata(path).is_err());
    absent.for_each(|(path, make)| make(path));
}

fn all_are_reported(homes: &Homes, paths: &[(PathBuf, Make)]) {
    let checked = homes.run("b", &["--json", "check", "--read-data"]);
    assert_eq!(checked.code, 5, "{}", checked.err);
    let store = homes.home("b").join("chunks");
    for (path, _) in paths {
        let path = path.strip_prefix(&store).unwrap().display().to_string();
        let reported = checked.out.contains(&format!("\"{path}\""));
        assert!(reported, "{path} is not in {}", checked.out);
    }
}
