//! What became of transfers: the memory that outlives them, so that nothing is delivered twice.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    LocalStore, StateAt, StoreError, TransferState,
    disk::{DiskError, Folder},
    io,
};
use crate::{
    id::{ManifestId, PeerId, TransferId},
    manifest::{SignedManifest, Timestamp, to_json},
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
}

/// The files of `state/receipts/` and `state/transfers/`.
pub(super) struct Receipts {
    by_sender: Folder,
    by_manifest: Folder,
}

impl Receipts {
    pub(super) fn open(state: &Path) -> Result<Self, StoreError> {
        let folder = |path: PathBuf| Folder::open(path.clone()).map_err(|e| io(&path, e));
        Ok(Self {
            by_sender: folder(state.join("receipts"))?,
            by_manifest: folder(state.join("transfers"))?,
        })
    }

    /// Whether the transfer was received, whatever manifest it came with.
    pub(super) fn opened(
        &self,
        sender: PeerId,
        transfer_id: TransferId,
    ) -> Result<bool, StoreError> {
        Ok(self
            .receipt_of(sender, transfer_id)?
            .is_some_and(|receipt| receipt.state == TransferState::Opened))
    }

    pub(super) fn receipt_of(
        &self,
        sender: PeerId,
        transfer_id: TransferId,
    ) -> Result<Option<Receipt>, StoreError> {
        read(&self.by_sender, &receipt_name(sender, transfer_id))
    }

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
    pub(super) fn transfers(&self) -> Result<Vec<TransferId>, StoreError> {
        let folder = &self.by_sender;
        let names = folder.names().map_err(|e| io(folder.path(), e))?;
        let ids = names.iter().filter_map(|name| name.split_once('.'));
        Ok(ids.filter_map(|(_, id)| id.parse().ok()).collect())
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
            replace(&self.by_sender, &name, receipt)?;
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

impl LocalStore {
    /// Remembers what became of a stored transfer. Blocks until that is durable. Also for a store that was opened only
    /// to read: a receipt replaces a small file at once, whoever else uses the store.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is not stored, [`StoreError::ReadOnly`], [`StoreError::NoSpace`].
    pub fn record_state(&self, id: ManifestId, state: TransferState) -> Result<(), StoreError> {
        self.inner.record_state(id, state)
    }

    /// What became of a transfer, if it has a receipt.
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
        self.not_failed()?;
        let manifest = SignedManifest::parse(self.get_manifest(id)?)?;
        let (sender, transfer_id) = (manifest.payload().sender, manifest.payload().transfer_id);
        let receipt = Receipt {
            sender,
            transfer_id,
            manifest: id,
            state,
            since: Timestamp::now(),
        };
        self.write_surely(|| self.receipts.write(&receipt))
            .map_err(|(path, error)| self.write_failed(MAX_FILE as u64, &path, error))
    }
}

fn receipt_name(sender: PeerId, transfer_id: TransferId) -> String {
    format!("{sender}.{transfer_id}")
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
