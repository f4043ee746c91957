//! Which transfers a sender has announced and not completed: what it may put beyond its share.
//!
//! Each has a small file in `state/announced/`, so that a transfer goes on after a restart. It is not synced: a sender that
//! continues announces again.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{gc::LEASE, space::Transfer};
use crate::{id::PeerId, manifest::to_json, private};

/// As many of one sender; then the oldest gives way.
const PER_SENDER: usize = 64;
/// How often a file is given a new time while chunks come.
const NOTED: Duration = Duration::from_secs(3600);

/// The announced transfers.
pub(super) struct Announced {
    folder: PathBuf,
    transfers: Mutex<BTreeMap<Transfer, Noted>>,
}

#[derive(Clone, Copy)]
struct Noted {
    what: Size,
    /// When it was announced, or a chunk of it came.
    since: SystemTime,
    /// The time of its file.
    written: SystemTime,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Size {
    /// Sealed.
    bytes: u64,
    /// Whether the owner of the store is a recipient.
    for_owner: bool,
}

/// Sealed bytes of all announced transfers of a sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) all: u64,
    pub(super) for_owner: u64,
}

impl Announced {
    pub(super) fn open(state: &Path) -> Self {
        let folder = state.join("announced");
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let transfers = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (sender, transfer) = name.split_once('.')?;
            let written = entry.metadata().ok()?.modified().ok()?;
            let noted = Noted {
                what: serde_json::from_slice(&private::read(&entry.path()).ok()?).ok()?,
                since: written,
                written,
            };
            Some(((transfer.parse().ok()?, sender.parse().ok()?), noted))
        });
        Self {
            transfers: Mutex::new(transfers.collect()),
            folder,
        }
    }

    /// Whether its sender has announced `transfer`, and something came of it lately.
    pub(super) fn has(&self, transfer: Transfer) -> bool {
        let noted = self.lock().get(&transfer).map(|noted| noted.since);
        noted.is_some_and(|since| age(since, SystemTime::now()) < LEASE)
    }

    /// Notes that its sender has announced `transfer`, of so many sealed bytes, as far as it knows.
    pub(super) fn note(&self, transfer: Transfer, bytes: u64, for_owner: bool) {
        let (what, now) = (Size { bytes, for_owner }, SystemTime::now());
        let noted = Noted {
            what,
            since: now,
            written: now,
        };
        let mut transfers = self.lock();
        transfers.insert(transfer, noted);
        let of_sender = transfers.iter().filter(|((_, s), _)| *s == transfer.1);
        let oldest = (of_sender.clone().count() > PER_SENDER)
            .then(|| of_sender.min_by_key(|(_, noted)| noted.since))
            .flatten();
        if let Some(oldest) = oldest.map(|(transfer, _)| *transfer) {
            self.remove(&mut transfers, oldest);
        }
        let mut options = private::file();
        options.create(true).truncate(true).write(true);
        let written = private::open_with(&mut options, &self.path(transfer))
            .and_then(|mut file| file.write_all(&to_json(&what)));
        if let Err(error) = written {
            tracing::debug!(%error, "an announced transfer is not noted");
        }
    }

    /// A chunk of it came.
    pub(super) fn came(&self, transfer: Transfer) {
        let (now, mut transfers) = (SystemTime::now(), self.lock());
        let Some(noted) = transfers.get_mut(&transfer) else {
            return;
        };
        noted.since = now;
        if age(noted.written, now) > NOTED {
            noted.written = now;
            let mut options = private::file();
            let file = private::open_with(options.write(true), &self.path(transfer));
            let _ = file.and_then(|file| file.set_modified(now));
        }
    }

    /// It is complete.
    pub(super) fn settle(&self, transfer: Transfer) {
        self.remove(&mut self.lock(), transfer);
    }

    /// What `sender` has announced of which something came lately.
    pub(super) fn of(&self, sender: PeerId) -> Sizes {
        let now = SystemTime::now();
        let mut sizes = Sizes::default();
        for ((_, by), noted) in &*self.lock() {
            if *by == sender && age(noted.since, now) < LEASE {
                let Size { bytes, for_owner } = noted.what;
                sizes.all = sizes.all.saturating_add(bytes);
                sizes.for_owner = match for_owner {
                    true => sizes.for_owner.saturating_add(bytes),
                    false => sizes.for_owner,
                };
            }
        }
        sizes
    }

    /// Forgets those of which nothing came for as long as an unnamed chunk is kept.
    pub(super) fn forget_old(&self, now: SystemTime) {
        let mut transfers = self.lock();
        let old = transfers.iter().filter(|(_, n)| age(n.since, now) >= LEASE);
        for transfer in old.map(|(t, _)| *t).collect::<Vec<_>>() {
            self.remove(&mut transfers, transfer);
        }
    }

    fn remove(&self, transfers: &mut BTreeMap<Transfer, Noted>, transfer: Transfer) {
        if transfers.remove(&transfer).is_some() {
            let _ = fs::remove_file(self.path(transfer));
        }
    }

    fn path(&self, (transfer, sender): Transfer) -> PathBuf {
        self.folder.join(format!("{sender}.{transfer}"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Transfer, Noted>> {
        self.transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn age(since: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(since).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TransferId;

    fn transfer(n: u8) -> Transfer {
        (TransferId::from_bytes([n; 16]), PeerId::of(b"sender"))
    }

    #[test]
    fn what_was_announced_is_known_after_a_restart_until_it_is_complete_or_a_day_old() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join("announced")).unwrap();
        let sender = transfer(1).1;
        let announced = Announced::open(state.path());
        announced.note(transfer(1), 10, true);
        announced.note(transfer(2), 5, false);
        let again = Announced::open(state.path());
        let (all, for_owner) = (15, 10);
        assert_eq!(again.of(sender), Sizes { all, for_owner });
        assert_eq!(again.of(PeerId::of(b"another")), Sizes::default());
        again.settle(transfer(1));
        again.forget_old(SystemTime::now() + LEASE);
        assert_eq!(again.of(sender), Sizes::default());
        assert_eq!(Announced::open(state.path()).of(sender), Sizes::default());
    }

    #[test]
    fn one_sender_has_a_bounded_number_of_them() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join("announced")).unwrap();
        let announced = Announced::open(state.path());
        for n in 0..=255 {
            announced.note(transfer(n), 1, false);
        }
        let files = fs::read_dir(&announced.folder).unwrap().count();
        assert_eq!(files, PER_SENDER);
    }
}
