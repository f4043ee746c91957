//! The transfers that were deleted here: only their sender may bring them back, or another who kept a copy would undo the
//! deletion.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{
    LocalStore, StoreError,
    disk::{DiskError, Folder},
    io,
};
use crate::{
    id::{ManifestId, PeerId},
    manifest::{Timestamp, to_json},
};

/// The most transfers of one sender that are remembered, so that deleting does not fill the disk: the oldest gives way.
const PER_SENDER: usize = 1_000;
/// The longest file.
const MAX_FILE: usize = 256;

/// The files of `state/deleted/`, each named by sender and manifest.
pub(super) struct Deleted(Folder);

/// A transfer that was deleted.
#[derive(Serialize, Deserialize)]
struct Tombstone {
    /// After this it is refused anyway.
    expires: Option<Timestamp>,
}

impl Deleted {
    pub(super) fn open(state: &Path) -> Result<Self, StoreError> {
        let path = state.join("deleted");
        let folder = Folder::open(path.clone()).map_err(|e| io(&path, e))?;
        Ok(Self(folder))
    }

    pub(super) fn has(&self, sender: PeerId, id: ManifestId) -> bool {
        self.0.has(&name_of(sender, id))
    }

    /// Remembers durably that this transfer, which ends at `expires`, is deleted.
    pub(super) fn note(
        &self,
        sender: PeerId,
        id: ManifestId,
        expires: Option<Timestamp>,
    ) -> Result<(), (PathBuf, DiskError)> {
        let name = name_of(sender, id);
        let failed = |e| (self.0.path().join(&name), e);
        self.make_room(sender).map_err(|e| failed(e.into()))?;
        let tombstone = to_json(&Tombstone { expires });
        self.0.replace(&name, &tombstone).map_err(failed)
    }

    /// Its sender has brought it back.
    pub(super) fn forget(&self, sender: PeerId, id: ManifestId) -> Result<(), StoreError> {
        let name = name_of(sender, id);
        if !self.0.has(&name) {
            return Ok(());
        }
        let removed = self.0.remove(&name);
        removed.map_err(|e| io(&self.0.path().join(&name), e))
    }

    /// Forgets the transfers whose time is over.
    pub(super) fn forget_expired(&self, now: Timestamp) -> Result<(), StoreError> {
        for name in self.0.names().map_err(|e| io(self.0.path(), e))? {
            let failed = |e| io(&self.0.path().join(&name), e);
            let bytes = self.0.read(&name, MAX_FILE).map_err(failed)?;
            let tombstone: Option<Tombstone> = bytes.and_then(|b| serde_json::from_slice(&b).ok());
            let expires = tombstone.and_then(|tombstone| tombstone.expires);
            if expires.is_some_and(|expires| expires <= now) {
                self.0.remove(&name).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// For clearing what crashes have left in it.
    pub(super) fn folder(&self) -> &Folder {
        &self.0
    }

    fn make_room(&self, sender: PeerId) -> std::io::Result<()> {
        let mut names = self.0.names()?;
        names.retain(|name| name.starts_with(&sender.to_string()));
        if names.len() < PER_SENDER {
            return Ok(());
        }
        let now = SystemTime::now();
        let age = |name: &String| self.0.age(name, now).ok().flatten();
        match names.iter().max_by_key(|name| age(name)) {
            Some(oldest) => self.0.remove(oldest),
            None => Ok(()),
        }
    }
}

impl LocalStore {
    /// Whether this transfer of `sender` was deleted here, so that only its sender may bring it back.
    pub fn was_deleted(&self, sender: PeerId, id: ManifestId) -> bool {
        self.inner.deleted.has(sender, id)
    }
}

fn name_of(sender: PeerId, id: ManifestId) -> String {
    format!("{sender}.{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sender_makes_a_bounded_number_of_tombstones_and_takes_none_of_another() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join("deleted")).unwrap();
        let deleted = Deleted::open(state.path()).unwrap();
        let (busy, other) = (PeerId::of(b"busy"), PeerId::of(b"other"));
        let id = |n: usize| ManifestId::of(&n.to_be_bytes());
        deleted.note(other, id(0), None).unwrap();
        for n in 0..=PER_SENDER {
            deleted.note(busy, id(n), None).unwrap();
        }
        let kept = (0..=PER_SENDER).filter(|n| deleted.has(busy, id(*n)));
        assert_eq!(kept.count(), PER_SENDER);
        assert!(deleted.has(busy, id(PER_SENDER)) && deleted.has(other, id(0)));
    }
}
