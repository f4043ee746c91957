//! What became of transfers: the memory that outlives them, so that nothing is delivered twice.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    LocalStore, StateAt, StoreError, TransferState,
    disk::{DiskError, Folder},
    io,
    space::Transfer,
};
use crate::{
    id::{Digest, ManifestId, PeerId, TransferId},
    manifest::{Offer, SignedManifest, SignedOffer, Timestamp, to_json},
    name::LibraryError,
};

/// The longest file of state.
const MAX_FILE: usize = 4096;

/// What became of a transfer, by sender and transfer id: anybody can copy an id, nobody a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Who sent it.
    pub sender: PeerId,
    /// Which of its transfers.
    pub transfer_id: TransferId,
    /// The manifest that it came with.
    pub manifest: ManifestId,
    /// What became of it.
    pub state: TransferState,
    /// When.
    pub since: Timestamp,
    /// When the last of its manifests ends that were here, after which nobody can bring it again. `None` if one of them does not
    /// end, or its end was not written down.
    #[serde(default)]
    pub ends: Option<Timestamp>,
    /// When that manifest was made, as it says itself. An earlier version did not write it down.
    #[serde(default)]
    pub created: Option<Timestamp>,
    /// Which [content](crate::manifest::Manifest::content) it has: the same id with another content is another transfer. Nor this.
    #[serde(default)]
    pub content: Option<Digest>,
    /// Its [outline](crate::manifest::Manifest::outline), by which an offer of the same is known.
    #[serde(default)]
    pub outline: Option<Digest>,
}

/// For how long a receipt is kept after the end of its transfer. A sender who lets others open it makes another manifest, which
/// ends as long after that as this one after it was made.
pub(super) const KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

/// The files of `state/receipts/` and `state/transfers/`.
pub(super) struct Receipts {
    by_sender: Folder,
    by_manifest: Folder,
}

impl Receipts {
    pub(super) fn open(
        state: &Path,
        folder: impl Fn(PathBuf) -> Result<Folder, StoreError>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            by_sender: folder(state.join("receipts"))?,
            by_manifest: folder(state.join("transfers"))?,
        })
    }

    /// The receipt of the content of `manifest`, if it was opened, whatever manifest it came with.
    pub(super) fn opened(&self, manifest: &SignedManifest) -> Result<Option<Receipt>, StoreError> {
        // One that cannot be read must not keep the transfer from being known by its sender and id.
        let by_manifest = read(&self.by_manifest, &manifest.id().to_string());
        let by_manifest: Option<Receipt> = by_manifest.unwrap_or_default();
        let is_opened = |receipt: &Receipt| receipt.state == TransferState::Opened;
        if let Some(opened) = by_manifest.filter(is_opened) {
            return Ok(Some(opened));
        }
        let payload = manifest.payload();
        let receipt = self.receipt_of(payload.sender, payload.transfer_id)?;
        let same = |known: Option<Digest>| known.is_none_or(|known| known == payload.content());
        Ok(receipt.filter(|known| is_opened(known) && same(known.content)))
    }

    /// The receipt of what `offer` announces, as far as can be known before its content has come.
    pub(super) fn opened_as(&self, offer: &Offer) -> Result<Option<Receipt>, StoreError> {
        let receipt = self.receipt_of(offer.sender, offer.transfer_id)?;
        let same = |known: Option<Digest>| known.is_none_or(|known| known == offer.outline());
        Ok(receipt.filter(|known| known.state == TransferState::Opened && same(known.outline)))
    }

    pub(super) fn receipt_of(
        &self,
        sender: PeerId,
        transfer_id: TransferId,
    ) -> Result<Option<Receipt>, StoreError> {
        read(&self.by_sender, &receipt_name(sender, transfer_id))
    }

    /// What became of the transfer with this manifest.
    pub(super) fn state_of(&self, id: ManifestId) -> Result<Option<StateAt>, StoreError> {
        let receipt: Option<Receipt> = read(&self.by_manifest, &id.to_string())?;
        Ok(receipt.map(|receipt| StateAt::new(receipt.state, receipt.since)))
    }

    /// Every receipt by manifest. One that cannot be read is left out: it must not keep the others from being used.
    pub(super) fn all(&self) -> Result<Vec<Receipt>, StoreError> {
        let folder = &self.by_manifest;
        let mut all = Vec::new();
        for name in folder.names().map_err(|e| io(folder.path(), e))? {
            if name.parse::<ManifestId>().is_err() {
                continue;
            }
            match read::<Receipt>(folder, &name) {
                Ok(receipt) => all.extend(receipt),
                Err(error) => tracing::error!(%error, "a receipt cannot be read"),
            }
        }
        Ok(all)
    }

    /// The transfers that were opened, or whose time was over.
    pub(super) fn transfers(&self) -> Result<Vec<Transfer>, StoreError> {
        let folder = &self.by_sender;
        let names = folder.names().map_err(|e| io(folder.path(), e))?;
        Ok(names.iter().filter_map(|name| transfer_of(name)).collect())
    }

    /// Remembers durably. What is final also binds the transfer's sender and id.
    pub(super) fn write(&self, receipt: &Receipt) -> Result<(), (PathBuf, DiskError)> {
        let name = receipt_name(receipt.sender, receipt.transfer_id);
        let binds = match receipt.state {
            TransferState::Opened => true,
            // What was opened under another manifest stays so.
            TransferState::Expired => !self.has_opened(&name),
            _ => false,
        };
        if binds {
            let ends = self.latest_end(&name, receipt);
            replace(&self.by_sender, &name, &Receipt { ends, ..*receipt })?;
        }
        replace(&self.by_manifest, &receipt.manifest.to_string(), receipt)
    }

    /// Forgets the state of a manifest that its sender deletes, unless it was opened or let go: what could not be opened is
    /// nothing that must not come twice.
    pub(super) fn forget_unopened(&self, id: ManifestId) -> Result<(), (PathBuf, DiskError)> {
        let unopened = self.state_of(id).is_ok_and(|known| {
            known.is_some_and(|known| {
                let state = known.state;
                matches!(
                    state,
                    TransferState::Stored | TransferState::Waiting | TransferState::Refused
                )
            })
        });
        if !unopened {
            return Ok(());
        }
        let folder = &self.by_manifest;
        folder
            .remove_durably(&id.to_string())
            .map_err(|e| (folder.path().to_owned(), e))
    }

    /// When the last of the manifests of a transfer ends, those of before among them.
    fn latest_end(&self, name: &str, receipt: &Receipt) -> Option<Timestamp> {
        match read::<Receipt>(&self.by_sender, name) {
            Ok(None) => receipt.ends,
            Ok(Some(before)) => before.ends.zip(receipt.ends).map(|(a, b)| a.max(b)),
            Err(_) => None,
        }
    }

    /// Forgets what can be brought by nobody any more. Of a manifest that is `stored` nothing is forgotten, and what has no end is
    /// remembered for ever if it was opened. Gives how many files went.
    pub(super) fn forget_ended(
        &self,
        now: Timestamp,
        stored: impl Fn(ManifestId) -> bool,
    ) -> Result<usize, StoreError> {
        let mut gone = 0;
        for folder in self.folders() {
            for name in folder.names().map_err(|e| io(folder.path(), e))? {
                // What cannot be read may have been opened.
                let Ok(Some(receipt)) = read::<Receipt>(folder, &name) else {
                    continue;
                };
                if receipt.is_over(now) && !stored(receipt.manifest) {
                    folder.remove(&name).map_err(|e| io(folder.path(), e))?;
                    gone += 1;
                }
            }
        }
        Ok(gone)
    }

    /// Both folders, for clearing what crashes have left in them.
    pub(super) fn folders(&self) -> [&Folder; 2] {
        [&self.by_sender, &self.by_manifest]
    }

    /// What cannot be read may have been opened.
    fn has_opened(&self, name: &str) -> bool {
        let known: Result<Option<Receipt>, _> = read(&self.by_sender, name);
        known.map_or(true, |known| {
            known.is_some_and(|known| known.state == TransferState::Opened)
        })
    }
}

impl Receipt {
    /// Whether something that says `created` is no newer than what was opened: what its sender has made later lets others collect it.
    pub(super) fn is_as_new(&self, created: Timestamp) -> bool {
        created <= self.created.unwrap_or(self.since)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        let kept = match (self.ends, self.state) {
            (Some(ends), _) => ends.max(self.since).plus_seconds(KEPT.as_secs()),
            (None, TransferState::Opened) => return false,
            // Nothing of it was delivered.
            (None, _) => self.since.plus_seconds(KEPT.as_secs()),
        };
        kept < now
    }
}

impl LocalStore {
    /// Remembers what became of a stored transfer. Blocks until that is durable. Also for a store that was opened only
    /// to read: a receipt replaces a small file at once, whoever else uses the store.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is not stored, [`StoreError::ReadOnly`], [`StoreError::NoSpace`].
    pub fn record_state(&self, id: ManifestId, state: TransferState) -> Result<(), StoreError> {
        self.inner.record_state(id, state)
    }

    /// Remembers that a transfer was opened that may be stored elsewhere only. Blocks until that is durable. Also for a store that
    /// was opened only to read, as [`record_state`](Self::record_state).
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], [`StoreError::NoSpace`].
    pub fn record_opened_elsewhere(&self, manifest: &SignedManifest) -> Result<(), StoreError> {
        self.inner.record(manifest, TransferState::Opened)
    }

    /// What was decided about the transfer with this manifest, if anything was.
    pub(crate) fn decided(&self, id: ManifestId) -> Option<TransferState> {
        let known = self.inner.receipts.state_of(id).ok().flatten();
        known.map(|known| known.state)
    }

    /// Whether the content of `manifest` was opened, whatever manifest it came with. Another content that its sender has signed under
    /// the same id was not.
    pub fn was_opened(&self, manifest: &SignedManifest) -> bool {
        let opened = self.inner.receipts.opened(manifest);
        opened.is_ok_and(|receipt| receipt.is_some())
    }

    /// Whether what `offer` announces was opened, as far as can be known before its content has come.
    pub fn was_opened_as(&self, offer: &SignedOffer) -> bool {
        let opened = self.inner.receipts.opened_as(offer.payload());
        opened.is_ok_and(|receipt| receipt.is_some())
    }

    /// What became of the last transfer of `sender` with this id, if it has a receipt.
    pub fn receipt_of(&self, sender: PeerId, transfer_id: TransferId) -> Option<Receipt> {
        self.inner
            .receipts
            .receipt_of(sender, transfer_id)
            .ok()
            .flatten()
    }
}

impl super::Inner {
    pub(super) fn record_state(
        &self,
        id: ManifestId,
        state: TransferState,
    ) -> Result<(), StoreError> {
        let manifest = SignedManifest::parse(self.get_manifest(id)?)?;
        self.record(&manifest, state)
    }

    fn record(&self, manifest: &SignedManifest, state: TransferState) -> Result<(), StoreError> {
        self.not_failed()?;
        let (sender, transfer_id) = (manifest.payload().sender, manifest.payload().transfer_id);
        let receipt = Receipt {
            sender,
            transfer_id,
            manifest: manifest.id(),
            state,
            since: Timestamp::now(),
            ends: manifest.payload().expires,
            created: Some(manifest.payload().created),
            content: Some(manifest.payload().content()),
            outline: Some(manifest.payload().outline()),
        };
        let written = self.write_surely(|| self.receipts.write(&receipt));
        self.opened.changed();
        written.map_err(|(path, error)| self.write_failed(MAX_FILE as u64, &path, error))
    }
}

fn receipt_name(sender: PeerId, transfer_id: TransferId) -> String {
    format!("{sender}.{transfer_id}")
}

/// The transfer that a file is named by.
pub(super) fn transfer_of(name: &str) -> Option<Transfer> {
    let (sender, id) = name.split_once('.')?;
    Some((id.parse().ok()?, sender.parse().ok()?))
}

fn read<T: DeserializeOwned>(folder: &Folder, name: &str) -> Result<Option<T>, StoreError> {
    let path = || folder.path().join(name);
    let Some(bytes) = folder.read(name, MAX_FILE).map_err(|e| io(&path(), e))? else {
        return Ok(None);
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|e| StoreError::Format {
        path: path(),
        fault: LibraryError::new(e).into(),
    })
}

fn replace(folder: &Folder, name: &str, receipt: &Receipt) -> Result<(), (PathBuf, DiskError)> {
    let failed = |e| (folder.path().join(name), e);
    folder.replace(name, &to_json(receipt)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn a_receipt_is_forgotten_a_year_after_nobody_can_bring_its_transfer_any_more() {
        let state = tempfile::tempdir().unwrap();
        for folder in ["receipts", "transfers"] {
            std::fs::create_dir(state.path().join(folder)).unwrap();
        }
        let receipts =
            Receipts::open(state.path(), |path| Ok(Folder::open(path).unwrap())).unwrap();
        let sender = PeerId::of(b"sender");
        let ids = [0, 1, 2, 3].map(|_| TransferId::generate().unwrap());
        let write = |n: usize, manifest: &[u8], state, ends: Option<u64>| {
            let receipt = Receipt {
                sender,
                transfer_id: ids[n],
                manifest: ManifestId::of(manifest),
                state,
                since: at(1),
                ends: ends.map(at),
                created: None,
                content: None,
                outline: None,
            };
            receipts.write(&receipt).unwrap();
        };
        use TransferState::{Expired, Opened, Waiting};
        write(0, b"0", Opened, Some(100));
        // A copy under another manifest ends later.
        write(1, b"1", Opened, Some(200));
        write(1, b"1 again", Opened, Some(50));
        write(2, b"2", Opened, None);
        write(3, b"3", Waiting, Some(100));
        write(3, b"carried", Expired, None);
        let opened = || {
            ids.map(|id| {
                let receipt = receipts.receipt_of(sender, id).unwrap();
                receipt.is_some_and(|receipt| receipt.state == Opened)
            })
        };
        let forget = |seconds, stored: &[u8]| {
            let stored = ManifestId::of(stored);
            let now = at(KEPT.as_secs() + seconds);
            receipts.forget_ended(now, |id| id == stored).unwrap()
        };
        assert_eq!(forget(1, b"none"), 0);
        // "1 again" ended, and what was carried went a year ago, in both folders.
        assert_eq!(forget(51, b"0"), 3);
        assert_eq!(opened(), [true, true, true, false]);
        assert_eq!(forget(101, b"0"), 1, "that one is stored");
        assert_eq!(opened(), [true, true, true, false]);
        assert_eq!(forget(101, b"none"), 2);
        assert_eq!(opened(), [false, true, true, false]);
        assert_eq!(forget(1_000_000_000, b"none"), 2);
        assert_eq!(opened(), [false, false, true, false], "it has no end");
        // What an earlier version wrote has none that is known.
        let name = receipt_name(sender, ids[0]);
        let before =
            std::fs::read_to_string(receipts.by_sender.path().join(receipt_name(sender, ids[2])));
        let before = before.unwrap().replace(",\"ends\":null", "");
        assert!(!before.contains("ends"));
        std::fs::write(receipts.by_sender.path().join(name), before).unwrap();
        assert_eq!(forget(1_000_000_000, b"none"), 0);
    }
}
