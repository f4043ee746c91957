//! `check PEER TRANSFER`: whether a peer still has every byte of what it stores, compared with our own copy.

use serde::Serialize;

use super::{
    Context,
    args::Check,
    output::{Output, count},
    report::{ExitCode, Failure},
};
use crate::{
    client::PeerClient,
    config::units::Size,
    crypto::chunk::OVERHEAD,
    id::{ChunkId, Digest, ManifestId},
    manifest::{Manifest, SignedManifest},
    name::Escaped,
    session::{Session, TransferSelector, all_manifests, store::look},
    store::{LocalStore, PutManifest, Store as _, StoreError},
    wire::{CustodyNonce, MAX_CUSTODY_BYTES, MAX_CUSTODY_IDS, custody_proof},
};

/// What a peer was found to have.
#[derive(Default, Serialize)]
struct Custody {
    peer: String,
    manifest: Option<ManifestId>,
    /// Chunks that it has, every byte.
    chunks: u64,
    /// Their bytes.
    bytes: u64,
    missing: Vec<ChunkId>,
    /// For which it gave a proof that is not theirs.
    wrong: Vec<ChunkId>,
    /// Of which our own copy is not there or damaged.
    not_compared: Vec<ChunkId>,
    manifest_missing: bool,
    repaired: u64,
}

/// A peer, and our own copy of what it is asked for.
struct Compare<'a> {
    peer: &'a PeerClient,
    own: &'a LocalStore,
    /// Chunks of one question.
    at_once: usize,
}

pub(super) async fn run(
    context: &Context,
    peer: &str,
    transfer: &str,
    args: &Check,
) -> Result<ExitCode, Failure> {
    let us = context.session()?;
    let own = own_copies(context, transfer)?;
    let manifest = find(&us, &own, transfer).await?;
    let reached = us.connect(peer).await?;
    let payload = manifest.payload();
    let compare = Compare {
        peer: &reached.client,
        own: &own,
        at_once: at_once(payload),
    };
    let mut ids: Vec<_> = payload.all_chunks().collect();
    if let Some(sample) = args.sample {
        choose(&mut ids, sample)?;
    }
    let mut found = compare.ask(&ids).await?;
    found.manifest_missing = !has_manifest(&reached.client, manifest.id()).await?;
    if args.repair {
        found = compare.repair(found, &manifest).await?;
    }
    found.peer = reached.peer.shown();
    found.manifest = Some(manifest.id());
    Ok(found.report(context.output))
}

/// Our store, if there is one, beside whoever is using it.
fn own_copies(context: &Context, transfer: &str) -> Result<LocalStore, Failure> {
    match look(&context.home) {
        Err(StoreError::NotFound { .. }) => Err(no_copy(transfer)),
        opened => Ok(opened?),
    }
}

fn no_copy(transfer: &str) -> Failure {
    let what = format!("no copy of the chunks of {transfer} is here to compare with");
    Failure::new(ExitCode::NotFound, what).hint(
        "what was shared is here, and what was sent with --keep; see what is: colis list; or fetch it: colis receive --from",
    )
}

/// The transfer of ours that `text` names: by the id of its manifest or its own, or the beginning of one.
async fn find(us: &Session, own: &LocalStore, text: &str) -> Result<SignedManifest, Failure> {
    let infos = all_manifests(us, own, None).await?;
    let info = TransferSelector::new(text).one_of(&infos)?;
    let info = info.ok_or_else(|| no_copy(text))?;
    Ok(SignedManifest::parse(own.get_manifest(info.id).await?)?)
}

/// As many chunks as a peer may be asked for in one question.
fn at_once(manifest: &Manifest) -> usize {
    let sealed = u64::from(manifest.chunk_size) + OVERHEAD as u64;
    let fit = usize::try_from(MAX_CUSTODY_BYTES / sealed).unwrap_or(MAX_CUSTODY_IDS);
    fit.clamp(1, MAX_CUSTODY_IDS)
}

/// Leaves `sample` of `ids`, which nobody can foretell.
fn choose(ids: &mut Vec<ChunkId>, sample: u32) -> Result<(), Failure> {
    let sample = ids.len().min(sample as usize);
    for at in 0..sample {
        let left = (ids.len() - at) as u64;
        let other = usize::try_from(random()?.rem_euclid(left)).unwrap_or(0);
        ids.swap(at, at + other);
    }
    ids.truncate(sample);
    Ok(())
}

fn random() -> Result<u64, Failure> {
    getrandom::u64().map_err(no_random)
}

fn no_random(error: getrandom::Error) -> Failure {
    let what = format!("the system has no random numbers: {error}");
    Failure::new(ExitCode::Storage, what)
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
    async fn ask(&self, ids: &[ChunkId]) -> Result<Custody, Failure> {
        let mut found = Custody::default();
        for ids in ids.chunks(self.at_once) {
            let mut nonce = CustodyNonce::default();
            getrandom::fill(&mut nonce).map_err(no_random)?;
            let (theirs, ours) =
                futures::future::join(self.peer.custody(&nonce, ids), self.prove(&nonce, ids))
                    .await;
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
    ) -> Result<Custody, Failure> {
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

    fn report(&self, output: Output) -> ExitCode {
        output.object("custody", self);
        let lists = [
            (&self.missing, "missing"),
            (&self.wrong, "wrong"),
            (&self.not_compared, "not compared: no good copy is here"),
        ];
        for (ids, what) in lists {
            for id in ids {
                output.line(format!("{id}  {what}"));
            }
        }
        let peer = Escaped::new(&self.peer);
        if self.manifest_missing {
            output.line(format!(
                "{peer} does not have the manifest, so it may let go of the chunks at any time"
            ));
        }
        if self.repaired > 0 {
            let chunks = count(self.repaired, "chunk", "chunks");
            output.talk(format!("{chunks} put back"));
        }
        let (chunks, size) = (count(self.chunks, "chunk", "chunks"), Size(self.bytes));
        let held = format!("{peer} holds every byte of {chunks} ({size})");
        let bad = (self.missing.len() + self.wrong.len()) as u64;
        if bad > 0 {
            let bad = count(bad, "is", "are");
            output.line(format!("{held}; {bad} missing or wrong"));
        } else {
            output.line(held);
        }
        match (bad > 0 || self.manifest_missing, &*self.not_compared) {
            (true, _) => ExitCode::Integrity,
            (false, []) => ExitCode::Ok,
            (false, _) => ExitCode::Partial,
        }
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
