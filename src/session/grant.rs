//! Others may open a transfer that was sent before.

use serde::{Deserialize, Serialize};

use super::{
    Error, Missed, Session, Told, TransferSelector, Work, all_manifests, list::manifests_here,
    manifest_of, named,
};
use crate::{
    id::ManifestId,
    manifest::Manifest,
    store::Store,
    transfer::{self, KeptSend, Recipient, Resealing, TransferError},
};

/// Who may open which transfer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantRequest {
    /// The transfer: the id of its manifest, the beginning of it, or a name at its top.
    pub which: String,
    /// The peers that can open it from now on: names or addresses.
    pub to: Vec<String>,
    /// The peer that stores it, or is to store it again; without one the own store.
    pub at: Option<String>,
}

impl GrantRequest {
    /// To the peers that are called so, of what is in the own store.
    pub fn of<T: Into<String>>(which: impl Into<String>, to: impl IntoIterator<Item = T>) -> Self {
        Self {
            which: which.into(),
            to: to.into_iter().map(Into::into).collect(),
            at: None,
        }
    }
}

/// A transfer that others can open now too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Its new manifest; the old one, if all of them could open it already.
    #[serde(rename = "id")]
    pub manifest: ManifestId,
    /// The manifest that it had before.
    pub replaces: ManifestId,
    /// As many peers more can open it.
    pub added: usize,
    /// Who was meant, as it was asked.
    pub to: Vec<String>,
    /// Those of them that cannot open it, and why: each is told as [`Event::Missed`](super::Event::Missed) too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<Missed>,
    /// Whether all of them can open it.
    #[serde(default = "yes")]
    pub complete: bool,
    /// Who has it for them: the peer that was named, else this one.
    #[serde(default)]
    pub from: String,
    /// Whether that is the own store.
    #[serde(default)]
    pub here: bool,
}

/// What earlier versions say with every event of a grant.
fn yes() -> bool {
    true
}

impl Session {
    /// Lets others open a transfer that this peer has sealed, which stays as it is.
    ///
    /// # Errors
    /// Fails if every recipient is unknown or revoked, if there is no such transfer of ours or several, or if the store does
    /// not take the new manifest.
    pub async fn grant(&self, request: &GrantRequest) -> Result<Granted, Error> {
        let recipients = self.recipients(&request.to).await?.check_any(false)?;
        let store = self.store_of(request.at.as_deref()).await?;
        let mut recipients = recipients;
        // Whoever stores it may have known of a revocation that we did not know of.
        recipients.drop_revoked(self);
        let recipients = recipients.check_any(false)?;
        let (keys, excluded) = (recipients.keys(), recipients.excluded());
        let (reader, signer) = (self.reader(), &*self.identity());
        let (replaces, granted) = match self.to_grant(&*store, request).await {
            Ok(replaces) => {
                let granted = transfer::grant(&reader, signer, &*store, replaces, &keys).await?;
                self.keep_granted(&*store, granted.manifest).await;
                (replaces, granted)
            }
            Err(error @ Error::NothingOfOurs { .. }) => {
                let granted = self.grant_sent(&*store, request, &keys).await?;
                granted.ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        self.tell_missed(&excluded);
        let own = || self.identity().name().to_owned();
        Ok(Granted {
            from: request.at.clone().unwrap_or_else(own),
            here: request.at.is_none(),
            manifest: granted.manifest,
            replaces,
            added: granted.added,
            to: request.to.clone(),
            complete: excluded.is_empty(),
            excluded,
        })
    }

    /// Grants what is not in `store` any more, or never was, and was sent from files: they are sealed again as they were. Returns what
    /// was replaced; `None` if nothing is kept of such a transfer.
    async fn grant_sent(
        &self,
        store: &dyn Store,
        request: &GrantRequest,
        keys: &[Recipient],
    ) -> Result<Option<(ManifestId, transfer::Granted)>, Error> {
        let sends = self.kept_sends().await?;
        let Some(id) = self.sent_as(&sends, &request.which).await? else {
            return Ok(None);
        };
        let resealing = Resealing::open(&sends, id, &self.reader()).await?;
        let told = Told::to(self.reporter.clone(), Work::Sending);
        let signer = &*self.identity();
        let granted = transfer::grant_again(&resealing, signer, store, keys, &told).await?;
        let (granted, kept) = granted;
        self.keep(kept).await;
        Ok(Some((id, granted)))
    }

    /// What is kept of a send has the manifest that counts now.
    async fn keep_granted(&self, store: &dyn Store, id: ManifestId) {
        let Some(manifest) = manifest_of(store, id).await else {
            return;
        };
        let transfer = manifest.payload().transfer_id;
        let sends = self.kept_sends().await.unwrap_or_default();
        if let Some(kept) = sends.of(transfer) {
            self.keep(kept.with(manifest)).await;
        }
    }

    /// Without it only a later grant and check fail.
    async fn keep(&self, kept: KeptSend) {
        let folder = self.home.sent();
        let written = tokio::task::spawn_blocking(move || kept.write(&folder)).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(error.into())) {
            tracing::warn!(%error, "what was granted cannot be kept");
        }
    }

    /// The one transfer of ours that is meant.
    async fn to_grant(
        &self,
        store: &dyn Store,
        request: &GrantRequest,
    ) -> Result<ManifestId, Error> {
        let (me, text) = (self.peer_id(), &request.which);
        let infos = all_manifests(self, store, Some(me)).await?;
        let ours: Vec<_> = infos.iter().filter(|info| info.sender == me).collect();
        let which = TransferSelector::new(text);
        let is_ours = !which.matching(ours.iter().copied()).is_empty();
        if !is_ours && !which.matching(&infos).is_empty() {
            return Err(TransferError::NotOurs { sender: me }.into());
        }
        match self.one_sent(store, &ours, text).await? {
            Some(info) => Ok(info.id),
            None if self.was_sent_before(store, text).await? => {
                Err(Error::OfAFormerSelf { text: text.clone() })
            }
            None => Err(Error::NothingOfOurs {
                at: request.at.clone(),
                text: text.clone(),
            }),
        }
    }

    /// Whether this peer has sealed such a transfer in a circle that it has left.
    async fn was_sent_before(&self, store: &dyn Store, text: &str) -> Result<bool, Error> {
        let former = self.former_ids();
        let infos = manifests_here(self, store).await?;
        let sent = || infos.iter().filter(|info| former.contains(&info.sender));
        let reader_of = |manifest: &Manifest| self.reader_of(manifest);
        let is_meant = !TransferSelector::new(text).matching(sent()).is_empty();
        let is_named = async || named(store, &reader_of, sent().collect(), text).await;
        Ok(is_meant || !is_named().await?.is_empty())
    }
}
