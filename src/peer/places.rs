//! The folders that a running peer holds, and whether they are where they were when it opened them.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use super::folder::Folder;
use crate::{
    disk::{Held, Link},
    id::PeerId,
    manifest::Signer as _,
    store::LocalStore,
    tls::{CertsDir, Identity},
};

/// What the folder of certificates is called.
pub(super) const CERTS: &str = "certs/";

pub(super) struct Places {
    certs: Arc<Certs>,
    store: Arc<LocalStore>,
    received: Arc<Folder>,
}

/// The folder of certificates of `owner`.
struct Certs {
    dir: CertsDir,
    owner: PeerId,
    held: Mutex<Held>,
}

impl Places {
    pub(super) fn open(
        dir: &CertsDir,
        owner: PeerId,
        store: Arc<LocalStore>,
        received: Arc<Folder>,
    ) -> io::Result<Self> {
        let certs = Arc::new(Certs {
            dir: dir.clone(),
            owner,
            held: Mutex::new(Held::open(dir.path(), Link::Followed)?),
        });
        // Nothing is kept for a peer whose home is being moved.
        let beside = certs.clone();
        store.write_only_beside(move || match beside.is_in_place() {
            true => None,
            false => Some(beside.dir.path().to_owned()),
        });
        Ok(Self {
            certs,
            store,
            received,
        })
    }

    /// Whether the folder of certificates is in place.
    pub(super) fn has_certs(&self) -> bool {
        self.certs.is_in_place()
    }

    /// The folders that are not where they were.
    pub(super) fn displaced(&self) -> Vec<&'static str> {
        let places = [
            (self.has_certs(), CERTS),
            (self.store.is_in_place(), "chunks/"),
            (self.received.now().can_be_in_place(), "received/"),
        ];
        let displaced = places.into_iter().filter(|(is_in_place, _)| !is_in_place);
        displaced.map(|(_, name)| name).collect()
    }
}

impl Certs {
    /// Whether it is where it was. Another one there with the keys of its peer is taken for it, as after a restore.
    fn is_in_place(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_in_place() {
            return true;
        }
        let is_ours = |found: Identity| found.peer_id() == self.owner;
        if !Identity::load(&self.dir).is_ok_and(is_ours) {
            return false;
        }
        match Held::open(self.dir.path(), Link::Followed) {
            Ok(there) => {
                *held = there;
                true
            }
            Err(_) => false,
        }
    }
}

/// Says once that folders have gone, and that they are back.
pub(super) fn tell(before: &[&str], now: &[&str]) {
    if before == now {
        return;
    }
    if now.is_empty() {
        tracing::info!("every folder is where it was again");
        return;
    }
    let folders = now.join(", ");
    tracing::error!(%folders, "moved or removed while they are in use, or their disk is not mounted: move them back, or restart");
}
