//! Bytes that change on the disk: they are never given out, `check` finds each, and putting the chunk again heals it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use colis::{
    id::ChunkId,
    store::{Put, Store as _, StoreError},
};
use tokio::runtime::Runtime;

use crate::rand;
use harness::load::{Load, content};
use testkit::Homes;

const CHUNKS: u64 = 50;

/// Damages chunks of a peer so many times. A peer that serves must notice each by itself, `check` all of them.
pub(crate) fn campaign(damages: usize) {
    let homes = Homes::new(&["b"]);
    let load = Load::new(&homes);
    let runtime = Runtime::new().unwrap();
    let mut serving = homes.serve("b", &["--inbox", "off"]);
    let client = load.client(&serving.to());
    let chunks: Vec<_> = (0..CHUNKS).map(|n| Bytes::from(content(n))).collect();
    let put = |chunk: &Bytes| client.put_chunk(ChunkId::of(chunk), chunk.clone(), None);
    for chunk in &chunks {
        assert_eq!(runtime.block_on(put(chunk)).unwrap(), Put::Stored);
    }
    let path = |chunk: &Bytes| place(&homes.home("b"), ChunkId::of(chunk));
    for number in 0..damages {
        let chunk = &chunks[number % chunks.len()];
        let how = damage(
            number,
            &path(chunk),
            chunk,
            &chunks[(number + 1) % chunks.len()],
        );
        match runtime.block_on(client.get_chunk(ChunkId::of(chunk))) {
            Err(StoreError::Refused { code, .. })
                if code.known() == Some(colis::store::Code::ChunkCorrupt) => {}
            Err(StoreError::NotFound { .. }) => {}
            other => panic!("{how}: {:?}", other.map(|bytes| bytes.len())),
        }
        assert_eq!(runtime.block_on(put(chunk)).unwrap(), Put::Stored, "{how}");
        let healed = runtime.block_on(client.get_chunk(ChunkId::of(chunk)));
        assert!(healed.unwrap() == *chunk, "{how}");
    }
    serving.kill();
    for number in 0..damages.div_ceil(chunks.len()) {
        for (at, chunk) in chunks.iter().enumerate() {
            let kind = number * chunks.len() + at;
            damage(kind, &path(chunk), chunk, &chunks[(at + 1) % chunks.len()]);
        }
        let found = homes.run("b", &["--json", "check", "--read-data"]);
        assert_eq!(found.code, 5, "{}", found.err);
        for chunk in &chunks {
            let id = ChunkId::of(chunk).to_string();
            assert!(found.out.contains(&id), "{id} is not in {}", found.out);
            fs::write(path(chunk), chunk).unwrap();
        }
    }
}

fn place(home: &Path, id: ChunkId) -> PathBuf {
    let text = id.to_string();
    home.join("chunks/data").join(&text[..2]).join(&text)
}

/// Changes the file at `path` in one of five ways. Gives which.
fn damage(number: usize, path: &Path, chunk: &[u8], other: &[u8]) -> String {
    let mut bytes = chunk.to_vec();
    let at = usize::try_from(rand(chunk.len() as u64)).unwrap();
    let how = match number % 5 {
        0 => {
            bytes[at] ^= 1 << rand(8);
            "one bit"
        }
        1 => {
            bytes.truncate(at);
            "cut"
        }
        2 => {
            let end = bytes.len().min(at + 4096);
            bytes[at..end].fill(0);
            bytes[at] = !chunk[at];
            "a block"
        }
        3 => {
            bytes = other.to_vec();
            "another chunk"
        }
        _ => {
            bytes.push(0);
            "one byte more"
        }
    };
    fs::write(path, bytes).unwrap();
    format!("{how} at {at} of {}", path.display())
}
