//! `check PEER TRANSFER`: whether a peer still has every byte of what it stores, compared with our own copy.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};

use super::{Error, Home, Session, all_manifests, store::look, which::if_long_enough};
use crate::{
    client::PeerClient,
    crypto::chunk::OVERHEAD,
    id::{ChunkId, Digest, ManifestId},
    manifest::{Manifest, SignedManifest, Timestamp},
    store::{LocalStore, ManifestInfo, PutManifest, Store, StoreError, TransferState, no_chunk},
    transfer::{KeptSends, Resealing},
    wire::{CustodyNonce, MAX_CUSTODY_BYTES, MAX_CUSTODY_IDS, custody_proof},
};

/// Which peer is asked, and for what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CustodyRequest {
    /// The peer that stores it: its name or address.
    pub peer: String,
    /// The transfer, of which the own store has a copy: its id or that of its manifest, the beginning of one, or a name
    /// at its top.
    pub transfer: String,
    /// Ask for so many chunks, chosen at random; for all without it.
    pub sample: Option<u32>,
    /// Whether what the peer lacks is put back.
    pub repair: bool,
}

impl CustodyRequest {
    /// Whether `peer` has all of `transfer`.
    pub fn of(peer: impl Into<String>, transfer: impl Into<String>) -> Self {
        Self {
            peer: peer.into(),
            transfer: transfer.into(),
            ..Self::default()
        }
    }
}

/// What a peer was found to have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// The peer.
    pub peer: String,
    /// The manifest of the transfer.
    #[serde(rename = "id")]
    pub manifest: Option<ManifestId>,
    /// Chunks that it has, every byte.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks that it does not have.
    pub missing: Vec<ChunkId>,
    /// For which it gave a proof that is not theirs.
    pub wrong: Vec<ChunkId>,
    /// Of which our own copy is not there or damaged.
    pub not_compared: Vec<ChunkId>,
    /// Whether it does not have the manifest, so that it may let go of the chunks at any time.
    pub manifest_missing: bool,
    /// Chunks that were put back.
    pub repaired: u64,
    /// When the peer has opened it: what it does not keep any more it has had.
    #[serde(default)]
    pub opened: Option<Timestamp>,
}

/// Our own copy of a transfer.
pub(super) enum OwnCopy {
    /// The own store has its chunks.
    Stored(LocalStore),
    /// It was sent from files, which are sealed again as they were.
    Sent(Arc<Resealing>),
}

impl OwnCopy {
    /// A chunk of it; `None` if it is not here or damaged.
    async fn chunk(&self, id: ChunkId) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Stored(store) => match store.get_chunk(id).await {
                Ok(sealed) => Ok(Some(sealed)),
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Sent(resealing) => Ok(Some(resealing.chunk(id).await?)),
        }
    }
}

/// A peer, and our own copy of what it is asked for.
struct Compare<'a> {
    peer: &'a PeerClient,
    own: &'a OwnCopy,
    /// Chunks of one question.
    at_once: usize,
}

impl Session {
    /// Whether a peer still has every byte of a transfer, compared with our own copy: that of the own store, or the files that it was
    /// sent from. What it has opened and does not keep is no loss.
    ///
    /// # Errors
    /// Fails if no copy is here, a file is not what was sent, or the peer does not answer. What it lacks is no error.
    pub async fn check_custody(&self, request: &CustodyRequest) -> Result<Custody, Error> {
        let (manifest, own) = self.own_copy(&request.transfer).await?;
        let reached = self.connect(&request.peer).await?;
        let payload = manifest.payload();
        let ids = self.manifests_of(&manifest);
        let stored = first_stored(&reached.client, &ids).await?;
        let (id, manifest_missing) = (stored.unwrap_or(manifest.id()), stored.is_none());
        // Of who cannot open it that would be no reason not to have it.
        let opens =
            payload.has_password() || payload.recipients().any(|id| id == reached.peer.peer_id);
        let opened = match opens {
            true => opened_at(&reached.client, &ids).await,
            false => None,
        };
        if manifest_missing && opened.is_some() {
            return Ok(Custody {
                peer: reached.peer.shown(),
                manifest: Some(id),
                manifest_missing,
                opened,
                ..Custody::default()
            });
        }
        let compare = Compare {
            peer: &reached.client,
            own: &own,
            at_once: at_once(payload),
        };
        let mut ids: Vec<_> = payload.all_chunks().collect();
        if let Some(sample) = request.sample {
            choose(&mut ids, sample)?;
        }
        let mut found = compare.ask(&ids).await?;
        (found.manifest_missing, found.opened) = (manifest_missing, opened);
        if request.repair {
            found = compare.repair(found, &manifest).await?;
        }
        found.peer = reached.peer.shown();
        found.manifest = Some(id);
        Ok(found)
    }

    /// The manifests of a transfer of ours, the newest first. A peer has the one that was sent there: it is another one, with the same
    /// chunks, if others were granted to open it since.
    fn manifests_of(&self, manifest: &SignedManifest) -> Vec<ManifestId> {
        let sent = self.sent_before(&manifest.payload().transfer_id.to_string());
        let mut ids = vec![manifest.id()];
        ids.extend(sent.into_iter().filter(|id| *id != manifest.id()));
        ids
    }

    /// Our own copy of the transfer that is called so.
    async fn own_copy(&self, transfer: &str) -> Result<(SignedManifest, OwnCopy), Error> {
        // Our store, beside whoever is using it.
        let own = match look(&self.home) {
            Err(StoreError::NotFound { .. }) => None,
            opened => Some(opened?),
        };
        if let Some(own) = own {
            let infos = all_manifests(self, &own, None).await?;
            let infos: Vec<_> = infos.iter().collect();
            if let Some(info) = self.one_sent(&own, &infos, transfer).await? {
                let manifest = SignedManifest::parse(own.get_manifest(info.id).await?)?;
                return Ok((manifest, OwnCopy::Stored(own)));
            }
        }
        let sends = self.kept_sends().await?;
        let id = match self.sent_as(&sends, transfer).await? {
            Some(id) => id,
            None => {
                let transfer = transfer.to_owned();
                return Err(if_long_enough(&transfer.clone(), || Error::NoCopy {
                    transfer,
                }));
            }
        };
        let resealing = Resealing::open(&sends, id, &self.reader()).await?;
        Ok((resealing.manifest().clone(), OwnCopy::Sent(resealing)))
    }

    /// The one of `infos` that is meant by `text`, also by the id under which it was sent, if it has another manifest since.
    pub(super) async fn one_sent<'a>(
        &self,
        store: &dyn Store,
        infos: &[&'a ManifestInfo],
        text: &str,
    ) -> Result<Option<&'a ManifestInfo>, Error> {
        let meant = self.one_meant(store, infos, text).await?;
        match (meant, self.transfer_sent_as(text)) {
            (None, Some(transfer)) => self.one_meant(store, infos, &transfer.to_string()).await,
            (meant, _) => Ok(meant),
        }
    }

    /// What is kept of the transfers that were sent from here.
    pub(super) async fn kept_sends(&self) -> Result<KeptSends, Error> {
        let folder = self.home.sent();
        Ok(tokio::task::spawn_blocking(move || KeptSends::read(&folder)).await?)
    }

    /// The one of `sends` that is called so: by its id, the beginning of it, or a name at its top.
    pub(super) async fn sent_as(
        &self,
        sends: &KeptSends,
        text: &str,
    ) -> Result<Option<ManifestId>, Error> {
        let infos = sends.infos();
        let infos: Vec<_> = infos.iter().collect();
        let meant = self.one_sent(sends, &infos, text).await?;
        Ok(meant.map(|info| info.id))
    }
}

/// What is kept of the transfers that were sent from `home`.
pub(crate) fn kept_sends(home: &Home) -> KeptSends {
    KeptSends::read(&home.sent())
}

/// When a peer has opened a transfer, of which these are the manifests, as far as it says so.
async fn opened_at(peer: &PeerClient, ids: &[ManifestId]) -> Option<Timestamp> {
    for id in ids {
        if let Ok(at) = peer.manifest_state(*id).await
            && at.state == TransferState::Opened
        {
            return Some(at.since);
        }
    }
    None
}

/// The first of these manifests that a peer has.
async fn first_stored(
    peer: &PeerClient,
    ids: &[ManifestId],
) -> Result<Option<ManifestId>, StoreError> {
    for id in ids {
        if has_manifest(peer, *id).await? {
            return Ok(Some(*id));
        }
    }
    Ok(None)
}

/// As many chunks as a peer may be asked for in one question.
fn at_once(manifest: &Manifest) -> usize {
    let sealed = u64::from(manifest.chunk_size) + OVERHEAD as u64;
    let fit = usize::try_from(MAX_CUSTODY_BYTES / sealed).unwrap_or(MAX_CUSTODY_IDS);
    fit.clamp(1, MAX_CUSTODY_IDS)
}

/// Leaves `sample` of `ids`, which nobody can foretell.
fn choose(ids: &mut Vec<ChunkId>, sample: u32) -> Result<(), Error> {
    let sample = ids.len().min(sample as usize);
    for at in 0..sample {
        let left = (ids.len() - at) as u64;
        let other = usize::try_from(getrandom::u64().map_err(Error::NoRandom)?.rem_euclid(left))
            .unwrap_or(0);
        ids.swap(at, at + other);
    }
    ids.truncate(sample);
    Ok(())
}

async fn has_manifest(peer: &PeerClient, id: ManifestId) -> Result<bool, StoreError> {
    match peer.get_manifest(id).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Compare<'_> {
    /// Asks for the proofs of `ids` and makes our own meanwhile.
    async fn ask(&self, ids: &[ChunkId]) -> Result<Custody, Error> {
        let mut found = Custody::default();
        for ids in ids.chunks(self.at_once) {
            let mut nonce = CustodyNonce::default();
            getrandom::fill(&mut nonce).map_err(Error::NoRandom)?;
            let theirs = self.peer.custody(&nonce, ids).boxed();
            let ours = self.prove(&nonce, ids).boxed();
            let (theirs, ours) = futures::future::join(theirs, ours).await;
            let pairs = theirs?.into_iter().zip(ours?);
            for (id, (theirs, ours)) in ids.iter().zip(pairs) {
                found.note(*id, theirs, ours);
            }
        }
        Ok(found)
    }

    /// Our own proofs, with the lengths of the chunks.
    async fn prove(
        &self,
        nonce: &CustodyNonce,
        ids: &[ChunkId],
    ) -> Result<Vec<Option<(Digest, u64)>>, Error> {
        let mut proofs = Vec::with_capacity(ids.len());
        for id in ids {
            let sealed = self.own.chunk(*id).await?;
            let proof = |sealed: Bytes| (custody_proof(nonce, &sealed), sealed.len() as u64);
            proofs.push(sealed.map(proof));
        }
        Ok(proofs)
    }

    /// Puts back what is missing or wrong, and asks for that again.
    async fn repair(
        &self,
        mut found: Custody,
        manifest: &SignedManifest,
    ) -> Result<Custody, Error> {
        let bad = [found.missing.as_slice(), found.wrong.as_slice()].concat();
        for id in &bad {
            let sealed = self.own.chunk(*id).await?;
            let sealed = sealed.ok_or_else(|| no_chunk(*id))?;
            self.peer.put_chunk(*id, sealed, None).await?;
        }
        let again = self.ask(&bad).await?;
        found.repaired = again.chunks;
        found.chunks += again.chunks;
        found.bytes += again.bytes;
        (found.missing, found.wrong) = (again.missing, again.wrong);
        if found.manifest_missing {
            let put = self.peer.put_manifest(manifest).await?;
            found.manifest_missing = put == PutManifest::AlreadyReceived;
        }
        Ok(found)
    }
}

impl Custody {
    fn note(&mut self, id: ChunkId, theirs: Option<Digest>, ours: Option<(Digest, u64)>) {
        match (theirs, ours) {
            (_, None) => self.not_compared.push(id),
            (None, Some(_)) => self.missing.push(id),
            (Some(theirs), Some((ours, bytes))) if theirs == ours => {
                self.chunks += 1;
                self.bytes += bytes;
            }
            (Some(_), Some(_)) => self.wrong.push(id),
        }
    }

    /// Chunks that are missing or wrong.
    pub fn bad(&self) -> usize {
        self.missing.len() + self.wrong.len()
    }

    /// Whether it has all that it was asked for, and will keep it, as far as there was something to compare with; or has opened it.
    pub fn is_kept(&self) -> bool {
        self.bad() == 0 && (!self.manifest_missing || self.opened.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_proof_and_no_proof_are_told_apart_and_neither_counts() {
        let sealed = b"sealed";
        let proof = |nonce: u8| custody_proof(&[nonce; 32], sealed);
        let mut found = Custody::default();
        let [right, old, none, alone] = [b"1", b"2", b"3", b"4"].map(|text| ChunkId::of(text));
        let ours = Some((proof(2), 6));
        found.note(right, Some(proof(2)), ours);
        found.note(old, Some(proof(1)), ours);
        found.note(none, None, ours);
        found.note(alone, Some(proof(2)), None);
        assert_eq!((found.chunks, found.bytes), (1, 6));
        assert_eq!(found.wrong, [old]);
        assert_eq!(found.missing, [none]);
        assert_eq!(found.not_compared, [alone]);
    }

    #[test]
    fn a_sample_has_different_chunks_of_the_transfer() {
        let all: Vec<_> = (0..50_u8).map(|n| ChunkId::of(&[n])).collect();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut sample = all.clone();
            choose(&mut sample, 10).unwrap();
            let distinct: std::collections::BTreeSet<_> = sample.iter().collect();
            assert_eq!(distinct.len(), 10);
            seen.extend(sample);
        }
        assert_eq!(seen.len(), 50, "each is chosen sometimes");
        assert!(seen.iter().all(|id| all.contains(id)));
    }
}
