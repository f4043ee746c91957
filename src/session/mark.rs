//! What a transfer is to this home: new, opened or refused before, or sent from here.

use serde::{Deserialize, Serialize};

use super::{Error, Session, store, which::manifest_of};
use crate::{
    store::{LocalStore, ManifestInfo, Missing, Store, StoreError, TransferState},
    transfer::OpenedTransfer,
};

/// What a transfer is to this home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// It is for this peer, and was not opened here yet.
    New,
    /// It was opened here, from wherever it came.
    Opened,
    /// Its arrival was answered with a no here.
    Refused,
    /// This peer sent it, and did not name itself as a recipient.
    Mine,
}

impl Mark {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Opened => "opened",
            Self::Refused => "refused",
            Self::Mine => "mine",
        }
    }
}

/// What is known of transfers here.
pub(super) struct Marks<'a> {
    us: &'a Session,
    /// `None` if this home never had a store: then nothing was opened.
    own: Option<LocalStore>,
}

impl Marks<'_> {
    /// What a transfer of `store` is to this home; `None` if it says that it is sealed for others.
    pub(super) async fn of(&self, store: &dyn Store, info: &ManifestInfo) -> Option<Mark> {
        if self.us.is_us(info.sender) && !info.is_to_its_sender() {
            return Some(Mark::Mine);
        }
        let is_for_us = info.password || info.recipients.iter().any(|id| self.us.is_us(*id));
        match is_for_us {
            true => Some(self.became(store, info).await),
            false => None,
        }
    }

    async fn became(&self, store: &dyn Store, info: &ManifestInfo) -> Mark {
        let Some(own) = &self.own else {
            return Mark::New;
        };
        match own.decided(info.id) {
            Some(TransferState::Opened) => return Mark::Opened,
            Some(TransferState::Refused) => return Mark::Refused,
            _ => {}
        }
        let receipt = own.receipt_of(info.sender, info.transfer_id);
        if !receipt.is_some_and(|receipt| receipt.state == TransferState::Opened) {
            return Mark::New;
        }
        // Its sender may have let others open it, or have signed something else under the same id.
        match manifest_of(store, info.id).await {
            Some(manifest) if own.was_opened(&manifest) => Mark::Opened,
            _ => Mark::New,
        }
    }
}

impl Session {
    /// Opens what tells of each transfer what it is to this home.
    ///
    /// # Errors
    /// Fails if the own store cannot be read, or is on a disk that is not mounted.
    pub(super) fn marks(&self) -> Result<Marks<'_>, Error> {
        let own = match store::look(&self.home) {
            Ok(store) => Some(store),
            Err(StoreError::NotFound(Missing::Store(_))) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Marks { us: self, own })
    }

    /// Remembers that `transfer` was opened, which came from elsewhere than the own store. What this peer sent to others stays
    /// unremembered: it may be stored here again, to grant it to others.
    pub(super) async fn record_opened(&self, transfer: &OpenedTransfer) -> Result<(), Error> {
        let manifest = transfer.manifest.clone();
        let info = ManifestInfo::new(manifest.id(), manifest.payload());
        if self.is_us(info.sender) && !info.is_to_its_sender() {
            return Ok(());
        }
        let (home, config) = (self.home.clone(), self.config.clone());
        store::blocking(move || {
            // A receipt is written beside whatever has the store. One is made for it if this home never had one.
            match store::look(&home) {
                Ok(store) => store.record_opened_elsewhere(&manifest),
                Err(StoreError::NotFound(Missing::Store(_))) => {
                    store::open(&home, &config)?.record_opened_elsewhere(&manifest)
                }
                Err(error) => Err(error),
            }
        })
        .await
    }
}
