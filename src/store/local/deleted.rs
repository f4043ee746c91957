//! The transfers that were deleted here: another than their sender brings them back only by a manifest that is made after
//! the deletion, or anybody who kept a copy would undo it. A transfer may have many manifests, so it is the transfer that is
//! remembered.

use std::{
    cmp::Reverse,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{
    LocalStore, StoreError,
    disk::{DiskError, Folder},
    io,
    receipts::{KEPT, transfer_of},
    space::Transfer,
};
use crate::{
    id::{PeerId, TransferId},
    manifest::{Timestamp, to_json},
};

/// The most transfers of one sender that are remembered, so that deleting does not fill the disk: the oldest gives way.
const PER_SENDER: usize = 1_000;
/// The longest file.
const MAX_FILE: usize = 256;

/// The files of `state/deleted/`, each named by sender and transfer.
pub(super) struct Deleted {
    folder: Folder,
    /// Held from making room for a file until it is there, so that no more than may be are.
    turn: Mutex<()>,
}

/// A transfer that was deleted.
#[derive(Serialize, Deserialize)]
struct Tombstone {
    /// What was made later was made after the deletion.
    deleted: Timestamp,
    /// When the last of its manifests ends that were here; `None` as in a receipt.
    #[serde(default)]
    ends: Option<Timestamp>,
}

impl Deleted {
    pub(super) fn in_folder(folder: Folder) -> Self {
        let turn = Mutex::new(());
        Self { folder, turn }
    }

    /// Whether this transfer was deleted when, or after, something of it that says `created` was made. Times are whole
    /// seconds: one that is equal counts as older. A tombstone that cannot be read covers everything.
    pub(super) fn covers(&self, sender: PeerId, transfer: TransferId, created: Timestamp) -> bool {
        match self.folder.read(&name_of(sender, transfer), MAX_FILE) {
            Ok(None) => false,
            Ok(Some(bytes)) => serde_json::from_slice(&bytes)
                .map_or(true, |Tombstone { deleted, .. }| created <= deleted),
            Err(_) => true,
        }
    }

    /// Remembers durably that this transfer is deleted `now`, by a manifest that says `created`. A signer's clock may be
    /// ahead of ours, and ours may have been set back: the latest of all times counts.
    pub(super) fn note(
        &self,
        sender: PeerId,
        transfer: TransferId,
        (created, ends): (Timestamp, Option<Timestamp>),
        now: Timestamp,
    ) -> Result<(), (PathBuf, DiskError)> {
        let name = name_of(sender, transfer);
        let failed = |e| (self.folder.path().join(&name), e);
        let before = self.folder.read(&name, MAX_FILE);
        let before = before.map_err(|e| failed(e.into()))?;
        let is_new = before.is_none();
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if is_new {
            self.make_room(sender).map_err(|e| failed(e.into()))?;
        }
        let before = before.and_then(|bytes| serde_json::from_slice::<Tombstone>(&bytes).ok());
        let ends = match &before {
            Some(before) => before.ends.zip(ends).map(|(a, b)| a.max(b)),
            None => ends.filter(|_| is_new),
        };
        let before = before.map_or(created, |before| before.deleted);
        let deleted = now.max(created).max(before);
        let tombstone = Tombstone { deleted, ends };
        self.folder
            .replace(&name, &to_json(&tombstone))
            .map_err(failed)
    }

    /// Forgets what was deleted a year after the last of its manifests that were here has ended.
    pub(super) fn forget_old(&self, now: Timestamp) -> Result<usize, StoreError> {
        let folder = &self.folder;
        let mut gone = 0;
        for name in folder.names().map_err(|e| io(folder.path(), e))? {
            let bytes = folder.read(&name, MAX_FILE).ok().flatten();
            let known = bytes.and_then(|bytes| serde_json::from_slice::<Tombstone>(&bytes).ok());
            let ends = known.and_then(|known| Some(known.ends?.max(known.deleted)));
            if ends.is_some_and(|ends| ends.plus_seconds(KEPT.as_secs()) < now) {
                folder.remove(&name).map_err(|e| io(folder.path(), e))?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// When each of the transfers was deleted whose file is there and can be read.
    pub(super) fn all(&self) -> Result<Vec<(Transfer, Timestamp)>, StoreError> {
        let folder = &self.folder;
        let names = folder.names().map_err(|e| io(folder.path(), e))?;
        let all = names.into_iter().filter_map(|name| {
            let transfer = transfer_of(&name)?;
            let bytes = folder.read(&name, MAX_FILE).ok()??;
            let Tombstone { deleted, .. } = serde_json::from_slice(&bytes).ok()?;
            Some((transfer, deleted))
        });
        Ok(all.collect())
    }

    /// For clearing what crashes have left in it.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    fn make_room(&self, sender: PeerId) -> std::io::Result<()> {
        let mut names = self.folder.names()?;
        names.retain(|name| name.starts_with(&sender.to_string()));
        if names.len() < PER_SENDER {
            return Ok(());
        }
        let now = SystemTime::now();
        let age = |name: &String| self.folder.age(name, now).ok().flatten();
        names.sort_by_cached_key(|name| Reverse(age(name)));
        // An older version may have let more of them stand.
        let excess = names.len() + 1 - PER_SENDER;
        names[..excess]
            .iter()
            .try_for_each(|oldest| self.folder.remove(oldest))
    }
}

impl LocalStore {
    /// Promises no more space to a transfer that `sender` has announced.
    pub fn release_promise(&self, sender: PeerId, transfer: TransferId) {
        self.inner.space.settle((transfer, sender));
        self.inner.announced.settle((transfer, sender));
    }

    /// Whether this transfer of `sender` was deleted here after a manifest of it was made that says `created`, so that only
    /// its sender may bring that manifest.
    pub fn was_deleted(&self, sender: PeerId, transfer: TransferId, created: Timestamp) -> bool {
        self.inner.deleted.covers(sender, transfer, created)
    }
}

fn name_of(sender: PeerId, transfer: TransferId) -> String {
    format!("{sender}.{transfer}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted() -> (tempfile::TempDir, Deleted) {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join("deleted")).unwrap();
        let deleted = Deleted::in_folder(Folder::open(state.path().join("deleted")).unwrap());
        (state, deleted)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn one_sender_makes_a_bounded_number_of_tombstones_and_takes_none_of_another() {
        let (_state, deleted) = deleted();
        let (busy, other) = (PeerId::of(b"busy"), PeerId::of(b"other"));
        let ids: Vec<_> = (0..=PER_SENDER)
            .map(|_| TransferId::generate().unwrap())
            .collect();
        let note = |sender, id| deleted.note(sender, id, (at(1), None), at(2)).unwrap();
        let has = |sender, id| deleted.covers(sender, id, at(1));
        note(other, ids[0]);
        for id in &ids {
            note(busy, *id);
        }
        note(busy, ids[PER_SENDER]);
        let kept = ids.iter().filter(|id| has(busy, **id));
        assert_eq!(kept.count(), PER_SENDER);
        assert!(has(busy, ids[PER_SENDER]) && has(other, ids[0]));
    }

    #[test]
    fn a_deletion_is_forgotten_a_year_after_all_that_was_here_has_ended() {
        let (_state, deleted) = deleted();
        let ids = [0, 1, 2].map(|_| TransferId::generate().unwrap());
        let sender = PeerId::of(b"sender");
        let note = |id, ends| deleted.note(sender, id, (at(1), ends), at(2)).unwrap();
        note(ids[0], Some(at(100)));
        note(ids[1], Some(at(200)));
        note(ids[1], Some(at(50)));
        note(ids[2], Some(at(100)));
        note(ids[2], None);
        let kept = || ids.map(|id| deleted.covers(sender, id, at(1)));
        let later = |seconds| at(KEPT.as_secs() + seconds);
        assert_eq!(deleted.forget_old(later(100)).unwrap(), 0);
        assert_eq!(deleted.forget_old(later(101)).unwrap(), 1);
        assert_eq!(kept(), [false, true, true]);
        assert_eq!(deleted.forget_old(later(201)).unwrap(), 1);
        assert_eq!(kept(), [false, false, true], "one of them has no end");
    }

    #[test]
    fn a_deletion_covers_what_was_made_before_it_by_whatever_clock() {
        let (state, deleted) = deleted();
        let (sender, id) = (PeerId::of(b"sender"), TransferId::generate().unwrap());
        let covers = |created| deleted.covers(sender, id, at(created));
        let note = |created, now| {
            deleted
                .note(sender, id, (at(created), None), at(now))
                .unwrap()
        };
        assert!(!covers(0), "nothing is deleted");
        note(50, 100);
        assert!(covers(1) && covers(100) && !covers(101));
        note(150, 110);
        assert!(covers(150) && !covers(151), "the signer's clock is ahead");
        note(40, 90);
        assert!(covers(150), "our clock was set back");
        let path = state.path().join("deleted").join(name_of(sender, id));
        std::fs::write(path, "broken").unwrap();
        assert!(covers(u64::MAX), "nobody knows when");
        note(150, 200);
        assert!(covers(200) && !covers(201));
    }
}
