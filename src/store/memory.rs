//! A store in memory: the same promises but durability, for tests and for programs that embed a peer.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{
    ChunkInfo, ManifestInfo, OfferAnswer, Page, PageRequest, PartOf, Put, PutManifest, StateAt,
    Store, StoreFuture, TransferState, check_chunk, missing_chunks_error, no_chunk, no_manifest,
};
use crate::{
    id::{ChunkId, Digest, ManifestId, PeerId, TransferId},
    manifest::{SignedManifest, SignedOffer, Timestamp},
};

/// Keeps everything in memory. What it holds is gone with it.
#[derive(Default)]
pub struct MemoryStore(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    chunks: BTreeMap<ChunkId, Bytes>,
    manifests: BTreeMap<ManifestId, (SignedManifest, StateAt)>,
    receipts: HashMap<(PeerId, TransferId), Opened>,
}

/// A transfer that was opened and let go.
struct Opened {
    manifest: ManifestId,
    since: StateAt,
    content: Digest,
    outline: Digest,
}

impl MemoryStore {
    /// Lets an opened transfer go: only its receipt stays.
    pub fn let_go(&self, id: ManifestId) {
        let mut contents = self.lock();
        if let Some((manifest, _)) = contents.manifests.remove(&id) {
            let payload = manifest.payload();
            let opened = Opened {
                manifest: id,
                since: StateAt::new(TransferState::Opened, Timestamp::now()),
                content: payload.content(),
                outline: payload.outline(),
            };
            contents
                .receipts
                .insert((payload.sender, payload.transfer_id), opened);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn known(&self, manifest: &SignedManifest) -> Option<PutManifest> {
        let payload = manifest.payload();
        if self.manifests.contains_key(&manifest.id()) {
            return Some(PutManifest::AlreadyThere);
        }
        let transfer = (payload.sender, payload.transfer_id);
        let opened = self.receipts.get(&transfer);
        let received = opened.is_some_and(|opened| opened.content == payload.content());
        received.then_some(PutManifest::AlreadyReceived)
    }
}

impl Store for MemoryStore {
    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        let payload = offer.payload();
        let transfer = (payload.sender, payload.transfer_id);
        let contents = self.lock();
        let opened = contents.receipts.get(&transfer);
        let received = opened.is_some_and(|opened| opened.outline == payload.outline());
        let answer = if received {
            OfferAnswer::AlreadyReceived
        } else {
            OfferAnswer::Accepted
        };
        Box::pin(async move { Ok(answer) })
    }

    fn put_chunk(&self, id: ChunkId, sealed: Bytes, _: Option<PartOf>) -> StoreFuture<'_, Put> {
        Box::pin(async move {
            check_chunk(id, &sealed)?;
            let before = self.lock().chunks.insert(id, sealed);
            Ok(if before.is_some() {
                Put::AlreadyThere
            } else {
                Put::Stored
            })
        })
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        let found = self.lock().chunks.get(&id).cloned();
        Box::pin(async move { found.ok_or_else(|| no_chunk(id)) })
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        let length = self
            .lock()
            .chunks
            .get(&id)
            .map(|sealed| sealed.len() as u64);
        Box::pin(async move { Ok(length) })
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        let contents = self.lock();
        let missing = ids
            .iter()
            .filter(|id| !contents.chunks.contains_key(id))
            .copied()
            .collect();
        Box::pin(async move { Ok(missing) })
    }

    fn list_chunks(&self, page: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        let contents = self.lock();
        let after = contents.chunks.range((after(page.after), Bound::Unbounded));
        let page = take_page(
            after.map(|(id, sealed)| ChunkInfo {
                id: *id,
                length: sealed.len() as u64,
            }),
            page.limit,
        );
        Box::pin(async move { Ok(page) })
    }

    fn check_manifest<'a>(
        &'a self,
        manifest: &'a SignedManifest,
    ) -> StoreFuture<'a, Option<PutManifest>> {
        Box::pin(async move { Ok(self.lock().known(manifest)) })
    }

    fn put_manifest<'a>(&'a self, manifest: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        Box::pin(async move {
            let (id, payload) = (manifest.id(), manifest.payload());
            let mut contents = self.lock();
            if let Some(known) = contents.known(manifest) {
                return Ok(known);
            }
            let missing: Vec<_> = payload
                .all_chunks()
                .filter(|id| !contents.chunks.contains_key(id))
                .collect();
            if !missing.is_empty() {
                return Err(missing_chunks_error(missing));
            }
            let stored = StateAt::new(TransferState::Stored, Timestamp::now());
            contents.manifests.insert(id, (manifest.clone(), stored));
            Ok(PutManifest::Stored)
        })
    }

    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes> {
        let found = self
            .lock()
            .manifests
            .get(&id)
            .map(|(manifest, _)| manifest.envelope().clone());
        Box::pin(async move { found.ok_or_else(|| no_manifest(id)) })
    }

    fn manifest_state(&self, id: ManifestId) -> StoreFuture<'_, StateAt> {
        let contents = self.lock();
        let stored = contents.manifests.get(&id).map(|(_, state)| *state);
        let found = stored.or_else(|| {
            contents
                .receipts
                .values()
                .find(|opened| opened.manifest == id)
                .map(|opened| opened.since)
        });
        Box::pin(async move { found.ok_or_else(|| no_manifest(id)) })
    }

    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        let contents = self.lock();
        let after = contents
            .manifests
            .range((after(page.after), Bound::Unbounded));
        let infos = after.map(|(id, (manifest, _))| ManifestInfo::new(*id, manifest.payload()));
        let page = take_page(
            infos.filter(|info| reader.is_none_or(|reader| info.is_for(reader))),
            page.limit,
        );
        Box::pin(async move { Ok(page) })
    }

    fn delete_manifest(&self, id: ManifestId) -> StoreFuture<'_, ()> {
        let removed = self.lock().manifests.remove(&id);
        Box::pin(async move { removed.map(drop).ok_or_else(|| no_manifest(id)) })
    }
}

fn after<K>(after: Option<K>) -> Bound<K> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}

/// The first `limit` of `items`, and whether there are more.
pub(crate) fn take_page<T>(mut items: impl Iterator<Item = T>, limit: usize) -> Page<T> {
    let taken = items.by_ref().take(limit).collect();
    Page {
        items: taken,
        more: items.next().is_some(),
    }
}
