//! Letting others open a transfer that was sent before: another manifest with their wraps, and no byte of data that is there.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};

use super::{
    KeptSend, Progress, Reader, Recipient, Resealing, TransferError, TransferEvent,
    open::{check_origin, unwrap},
};
use crate::{
    crypto::{FileKey, chunk::OVERHEAD},
    id::ManifestId,
    manifest::{Manifest, SignedManifest, SignedOffer, Signer, Timestamp, Wrap, WrapScope},
    store::{OfferAnswer, PartOf, PutManifest, Store, StoreError},
};

/// Chunks in flight.
const AT_ONCE: usize = 4;
/// How often a transfer whose chunks vanished before its manifest came is tried.
const ROUNDS: usize = 3;

/// What a grant did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The manifest that counts now.
    pub manifest: ManifestId,
    /// How many can open it who could not before.
    pub added: usize,
}

/// Publishes our transfer `id` in `store` once more, so that `recipients` can open it too; it is kept for as long as it was to
/// be kept, from now on. The manifest that it replaces is removed.
///
/// # Errors
/// [`TransferError::NotOurs`]; [`TransferError::LetGo`] if that store has opened it and keeps it for nobody;
/// [`TransferError::Manifest`], also if it would have too many recipients; those of the store.
pub async fn grant(
    reader: &Reader,
    signer: &dyn Signer,
    store: &dyn Store,
    id: ManifestId,
    recipients: &[Recipient],
) -> Result<Granted, TransferError> {
    let old = SignedManifest::parse(store.get_manifest(id).await?)?;
    // A store could show us what we never signed, so that we sign it now.
    check_origin(&old, reader, Timestamp::now())?;
    let mut manifest = old.payload().clone();
    if manifest.sender != signer.peer_id() {
        let sender = manifest.sender;
        return Err(TransferError::NotOurs { sender });
    }
    let key = unwrap(&manifest, reader).await?;
    let added = add_wraps(&mut manifest, &key, recipients)?;
    if added == 0 {
        return Ok(Granted {
            manifest: id,
            added,
        });
    }
    renew(&mut manifest, signer);
    let manifest = SignedManifest::sign(manifest, signer)?;
    if store.put_manifest(&manifest).await? == PutManifest::AlreadyReceived {
        return Err(TransferError::LetGo);
    }
    match store.delete_manifest(id).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Granted {
        manifest: manifest.id(),
        added,
    })
}

/// Wraps `key` for those of `recipients` for whom it is not yet. Returns how many these are.
fn add_wraps(
    manifest: &mut Manifest,
    key: &FileKey,
    recipients: &[Recipient],
) -> Result<usize, TransferError> {
    let scope = WrapScope {
        key_id: manifest.key_id,
        transfer_id: manifest.transfer_id,
        sender: manifest.sender,
    };
    let before = manifest.wraps.len();
    for recipient in recipients {
        let (to, key_id) = (recipient.peer, recipient.seal_key.id());
        // A peer whose seal key is another now needs another wrap.
        let is_its = |wrap: &Wrap| matches!(wrap, Wrap::Recipient { peer, kid, .. } if (*peer, *kid) == (to, key_id));
        if !manifest.wraps.iter().any(is_its) {
            let wrap = Wrap::to_recipient(key, scope, to, &recipient.seal_key)?;
            manifest.wraps.push(wrap);
        }
    }
    Ok(manifest.wraps.len() - before)
}

/// It is made now, and kept for as long as it was to be kept. It is newer than what it replaces, whatever the clock says: by that a
/// store that has opened the transfer takes it in for the others.
fn renew(manifest: &mut Manifest, signer: &dyn Signer) {
    let lifetime = manifest
        .expires
        .map(|expires| expires.unix_seconds() - manifest.created.unix_seconds());
    let now = Timestamp::now().max(manifest.created.plus_seconds(1));
    manifest.expires = lifetime.map(|lifetime| now.plus_seconds(lifetime));
    (manifest.created, manifest.certificate) = (now, signer.certificate());
}

/// Publishes a transfer in `store` that was sent before, so that `recipients` can open it too, and puts there again what it lacks of
/// it: each chunk as it was sent, or none. Returns what is to be kept of it from now on, if its manifest is another.
///
/// # Errors
/// [`TransferError::NotAsSent`] if a file that is needed has changed: then nothing is published; [`TransferError::LetGo`] if that
/// store takes it no more; [`TransferError::NotAccepted`]; those of the store.
pub async fn grant_again(
    resealing: &Arc<Resealing>,
    signer: &dyn Signer,
    store: &dyn Store,
    recipients: &[Recipient],
    progress: &dyn Progress,
) -> Result<(Granted, KeptSend), TransferError> {
    let mut manifest = resealing.manifest().payload().clone();
    if manifest.sender != signer.peer_id() {
        let sender = manifest.sender;
        return Err(TransferError::NotOurs { sender });
    }
    let added = add_wraps(&mut manifest, resealing.key(), recipients)?;
    renew(&mut manifest, signer);
    let manifest = SignedManifest::sign(manifest, signer)?;
    let offer = SignedOffer::sign(manifest.payload().to_offer(), signer)?;
    match store.put_offer(&offer).await? {
        OfferAnswer::Accepted | OfferAnswer::Waiting => {}
        OfferAnswer::AlreadyReceived => return Err(TransferError::LetGo),
        answer => return Err(TransferError::NotAccepted { answer }),
    }
    for round in 1.. {
        put_missing(resealing, &manifest, store, progress).await?;
        match store.put_manifest(&manifest).await {
            Ok(PutManifest::AlreadyReceived) => return Err(TransferError::LetGo),
            Ok(_) => break,
            Err(StoreError::MissingChunks { .. }) if round < ROUNDS => {}
            Err(error) => return Err(error.into()),
        }
    }
    progress.event(TransferEvent::Finished);
    let granted = Granted {
        manifest: manifest.id(),
        added,
    };
    Ok((granted, resealing.kept_as(manifest)))
}

/// Puts what `store` lacks, a few chunks at once.
async fn put_missing(
    resealing: &Arc<Resealing>,
    manifest: &SignedManifest,
    store: &dyn Store,
    progress: &dyn Progress,
) -> Result<(), TransferError> {
    let payload = manifest.payload();
    let ids: Vec<_> = payload.all_chunks().collect();
    let missing = store.missing_chunks(&ids).await?;
    let content: HashMap<_, _> = payload.chunks.iter().zip(0_u64..).collect();
    let lacks = missing.iter().filter(|id| content.contains_key(id)).count() as u64;
    let already = payload.chunks.len() as u64 - lacks;
    let chunk_size = u64::from(payload.chunk_size);
    progress.event(TransferEvent::Started {
        total_bytes: Some(payload.size),
        total_chunks: Some(payload.chunks.len() as u64),
        already_chunks: already,
        already_bytes: (already * chunk_size).min(payload.size),
    });
    let content = &content;
    let puts = missing.into_iter().map(|id| async move {
        let index = content.get(&id).copied();
        let part_of = PartOf {
            transfer_id: payload.transfer_id,
            by: payload.sender,
            index,
        };
        let sealed = resealing.chunk(id).await?;
        let bytes = (sealed.len() - OVERHEAD) as u64;
        store.put_chunk(id, sealed, Some(part_of)).await?;
        if index.is_some() {
            let already = false;
            progress.event(TransferEvent::Advanced { bytes, already });
        }
        Ok::<_, TransferError>(())
    });
    let puts: BoxFuture<'_, Result<(), TransferError>> = Box::pin(
        stream::iter(puts)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>(),
    );
    puts.await
}
