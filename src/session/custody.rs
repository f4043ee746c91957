//! `check PEER TRANSFER`: whether a peer still has every byte of what it stores, compared with our own copy.

use futures::FutureExt as _;
use serde::{Deserialize, Serialize};

use super::{Error, Session, all_manifests, store::look, which::if_long_enough};
use crate::{
    client::PeerClient,
    crypto::chunk::OVERHEAD,
    id::{ChunkId, Digest, ManifestId},
    manifest::{Manifest, SignedManifest},
    store::{LocalStore, PutManifest, Store as _, StoreError},
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
}

/// A peer, and our own copy of what it is asked for.
struct Compare<'a> {
    peer: &'a PeerClient,
    own: &'a LocalStore,
    /// Chunks of one question.
    at_once: usize,
}

impl Session {
    /// Whether a peer still has every byte of a transfer, compared with our own copy.
    ///
    /// # Errors
    /// Fails if no copy is here, or the peer does not answer. What it lacks is no error.
    pub async fn check_custody(&self, request: &CustodyRequest) -> Result<Custody, Error> {
        let no_copy = || Error::NoCopy {
            transfer: request.transfer.clone(),
        };
        // Our store, beside whoever is using it.
        let own = match look(&self.home) {
            Err(StoreError::NotFound { .. }) => return Err(no_copy()),
            opened => opened?,
        };
        let infos = all_manifests(self, &own, None).await?;
        let infos: Vec<_> = infos.iter().collect();
        let info = self.one_meant(&own, &infos, &request.transfer);
        let id = info
            .await?
            .ok_or_else(|| if_long_enough(&request.transfer, no_copy))?
            .id;
        let manifest = SignedManifest::parse(own.get_manifest(id).await?)?;
        let reached = self.connect(&request.peer).await?;
        let payload = manifest.payload();
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
        found.manifest_missing = !has_manifest(&reached.client, id).await?;
        if request.repair {
            found = compare.repair(found, &manifest).await?;
        }
        found.peer = reached.peer.shown();
        found.manifest = Some(id);
        Ok(found)
    }
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
    ) -> Result<Vec<Option<(Digest, u64)>>, StoreError> {
        let mut proofs = Vec::with_capacity(ids.len());
        for id in ids {
            proofs.push(match self.own.get_chunk(*id).await {
                Ok(sealed) => Some((custody_proof(nonce, &sealed), sealed.len() as u64)),
                Err(StoreError::NotFound { .. }) => None,
                Err(error) => return Err(error),
            });
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
            self.peer
                .put_chunk(*id, self.own.get_chunk(*id).await?, None)
                .await?;
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

    /// Whether it has all that it was asked for, and will keep it, as far as there was something to compare with.
    pub fn is_kept(&self) -> bool {
        self.bad() == 0 && !self.manifest_missing
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
