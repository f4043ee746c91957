//! What a peer acknowledged, kept where no fault reaches it, and held against what is on its disk.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::Path,
    sync::{Mutex, MutexGuard},
};

use colis::id::{ChunkId, Digest, ManifestId};

/// How a peer is served that keeps what it opens, so that it can be looked at.
pub const KEEPING: [&str; 2] = ["--keep-opened", "1d"];

/// What one peer has promised.
#[derive(Default)]
pub struct Ledger(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    chunks: Vec<ChunkId>,
    transfers: Vec<(ManifestId, String)>,
    /// Whatever was ever sent, acknowledged or not, by name.
    sent: HashMap<String, Digest>,
    /// How many chunks and transfers were verified before, and which received files.
    verified: (usize, usize, HashSet<String>),
}

impl Ledger {
    /// `content` is about to be sent as the file `name`.
    pub fn sends(&self, name: &str, content: &[u8]) {
        let digest = Digest::of(content);
        self.lock().sent.insert(name.to_owned(), digest);
    }

    /// The peer said that it has the chunk.
    pub fn has_chunk(&self, id: ChunkId) {
        self.lock().chunks.push(id);
    }

    /// The peer said that it has the transfer of the file `name`.
    pub fn has_transfer(&self, id: ManifestId, name: &str) {
        self.lock().transfers.push((id, name.to_owned()));
    }

    /// A chunk that the peer has, chosen by `number`.
    pub fn some_chunk(&self, number: usize) -> Option<ChunkId> {
        let entries = self.lock();
        let count = entries.chunks.len().max(1);
        entries.chunks.get(number % count).copied()
    }

    /// How many acknowledgements there are.
    pub fn acknowledged(&self) -> (usize, usize) {
        let entries = self.lock();
        (entries.chunks.len(), entries.transfers.len())
    }

    /// Looks whether the promises since the last look are kept in `home`. Gives those that are not.
    pub fn verify(&self, home: &Path) -> Vec<String> {
        let mut entries = self.lock();
        let mut broken = Vec::new();
        let (chunks, transfers, _) = entries.verified;
        for id in &entries.chunks[chunks..] {
            let text = id.to_string();
            let path = home.join("chunks/data").join(&text[..2]).join(&text);
            broken.extend(differs(&path, |bytes| ChunkId::of(bytes) == *id));
        }
        for (id, _) in &entries.transfers[transfers..] {
            let path = home.join("chunks/manifests").join(id.to_string());
            broken.extend(differs(&path, |bytes| ManifestId::of(bytes) == *id));
        }
        (entries.verified.0, entries.verified.1) = (entries.chunks.len(), entries.transfers.len());
        for name in received(home) {
            if entries.verified.2.contains(&name) {
                continue;
            }
            let path = home.join("received").join(&name);
            let is_sent = |bytes: &[u8]| entries.sent.get(&name) == Some(&Digest::of(bytes));
            broken.extend(differs(&path, is_sent));
            entries.verified.2.insert(name);
        }
        broken
    }

    /// Forgets what was verified, so that the next look is at everything.
    pub fn doubt(&self) {
        self.lock().verified = Default::default();
    }

    /// Transfers that the peer has and has not opened.
    pub fn unopened(&self, home: &Path) -> Vec<String> {
        let received: HashSet<_> = received(home).into_iter().collect();
        let entries = self.lock();
        let names = entries.transfers.iter().map(|(_, name)| name);
        names
            .filter(|name| !received.contains(*name))
            .cloned()
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap()
    }
}

/// What has a final name.
fn received(home: &Path) -> Vec<String> {
    let entries = fs::read_dir(home.join("received"));
    let names = entries.into_iter().flatten().map(|entry| entry.unwrap());
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    names
        .filter(|name| ![".colis", testkit::MARKER].contains(&name.as_str()))
        .collect()
}

fn differs(path: &Path, is_right: impl Fn(&[u8]) -> bool) -> Option<String> {
    let shown = path.display();
    match fs::read(path) {
        Ok(bytes) if is_right(&bytes) => None,
        Ok(bytes) => Some(format!("{shown} is wrong, it has {} bytes", bytes.len())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Some(format!("{shown} is lost")),
        Err(e) => Some(format!("{shown}: {e}")),
    }
}
