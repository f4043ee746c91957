//! The [`Store`] that a peer is: one request a method, and answers that are held to what was asked.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode};

use super::PeerClient;
use crate::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{MAX_SEALED_CHUNK, MIN_SEALED_CHUNK, SignedManifest, SignedOffer},
    store::{
        BadLength, ChunkInfo, ManifestInfo, OfferAnswer, Page, PageRequest, PartOf, ProtocolFault,
        Put, PutManifest, StateAt, Store, StoreError, StoreFuture,
    },
    wire::{
        self, ChunkList, Code, ID_IN_JSON, MAX_CHUNK_BODY, MAX_MANIFEST_BODY, MAX_MISSING_IDS,
        MAX_PAGE, ManifestList, MissingAnswer, MissingQuestion, OfferBody, PutBody, PutResult,
        media, route,
    },
};

impl Store for PeerClient {
    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        Box::pin(async move {
            let path =
                route::OFFER.replace("{transfer_id}", &offer.payload().transfer_id.to_string());
            let body: OfferBody = self.publish(&path, offer.envelope()).await?;
            Ok(body.answer)
        })
    }

    fn put_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
    ) -> StoreFuture<'_, Put> {
        Box::pin(async move {
            check_length(sealed.len())?;
            let offer = part_of.map(|part| match part.index {
                Some(index) => format!("{};index={index}", part.transfer_id),
                None => part.transfer_id.to_string(),
            });
            let path = chunk_path(id);
            let bounds = (self.options.idle_timeout, &self.question_of_chunk());
            let put = self.put::<PutBody>(&path, media::CHUNK, &sealed, offer.as_deref(), bounds);
            match put.await {
                Ok(body) if body.result == PutResult::Stored => Ok(Put::Stored),
                Ok(_) => Ok(Put::AlreadyThere),
                Err(error) => Err(mismatch(error, id, sealed).await),
            }
        })
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        Box::pin(self.get_chunk_up_to(id, MAX_CHUNK_BODY))
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        Box::pin(async move {
            let path = chunk_path(id);
            let path = path.as_str();
            let question = &self.question(Duration::ZERO);
            let head = self.retrying(question, move || async move {
                let request = self.request(Method::HEAD, path);
                let reply = self.send(request, self.patience(0), question).await?;
                reply.declared_length()
            });
            match head.await {
                Ok(length) => Ok(Some(length)),
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        Box::pin(async move {
            let mut missing = Vec::new();
            for ids in ids.chunks(MAX_MISSING_IDS) {
                let question = MissingQuestion { ids: ids.to_vec() };
                let patience = self.patience(ids.len() * ID_IN_JSON);
                let answer: MissingAnswer =
                    self.post_json(route::MISSING, &question, patience).await?;
                let mut asked = ids.iter();
                if !answer
                    .missing
                    .iter()
                    .all(|id| asked.any(|asked| asked == id))
                {
                    return Err(self.protocol(ProtocolFault::OtherIds));
                }
                missing.extend(answer.missing);
            }
            Ok(missing)
        })
    }

    fn list_chunks(&self, page: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        Box::pin(async move {
            let path = page_path(route::CHUNKS, &page, None);
            let list: ChunkList = self.get_json(path).await?;
            self.page(&page, list.chunks, list.next, |chunk| chunk.id)
        })
    }

    fn put_manifest<'a>(&'a self, manifest: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        Box::pin(async move {
            let path = manifest_path(route::MANIFEST, manifest.id());
            let body: PutBody = self.publish(&path, manifest.envelope()).await?;
            Ok(match body.result {
                PutResult::Stored => PutManifest::Stored,
                PutResult::AlreadyThere => PutManifest::AlreadyThere,
                PutResult::AlreadyReceived => PutManifest::AlreadyReceived,
            })
        })
    }

    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            let path = manifest_path(route::MANIFEST, id);
            let question = self.question(Duration::ZERO);
            let envelope = self
                .get_body(&path, media::ENVELOPE, MAX_MANIFEST_BODY, &question)
                .await?;
            if ManifestId::of(&envelope) == id {
                return Ok(envelope);
            }
            Err(self.protocol(ProtocolFault::OtherManifest))
        })
    }

    fn manifest_state(&self, id: ManifestId) -> StoreFuture<'_, StateAt> {
        Box::pin(async move {
            self.get_json::<wire::StateBody>(manifest_path(route::STATE, id))
                .await
        })
    }

    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        Box::pin(async move {
            let path = page_path(route::MANIFESTS, &page, reader);
            let list: ManifestList = self.get_json(path).await?;
            self.page(&page, list.manifests, list.next, |manifest| manifest.id)
        })
    }

    fn delete_manifest(&self, id: ManifestId) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let path = manifest_path(route::MANIFEST, id);
            let path = path.as_str();
            let question = &self.question(Duration::ZERO);
            let delete = || {
                let request = self.request(Method::DELETE, path);
                self.send(request, self.patience(0), question)
            };
            let reply = self.retrying(question, delete).await?;
            match reply.status() {
                StatusCode::NO_CONTENT => Ok(()),
                _ => Err(self.protocol(ProtocolFault::OtherStatus)),
            }
        })
    }

    fn waited_for(&self) -> Option<Duration> {
        (!self.is_own).then(|| self.waited.in_all())
    }
}

impl PeerClient {
    /// The chunk `id`, which must have at most `max` bytes: a longer one is refused before any of it is read.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_chunk_up_to(&self, id: ChunkId, max: usize) -> Result<Bytes, StoreError> {
        let path = chunk_path(id);
        let question = self.question_of_chunk();
        let sealed = self.get_body(&path, media::CHUNK, max, &question).await?;
        if chunk_id(sealed.clone()).await == Some(id) {
            return Ok(sealed);
        }
        Err(self.protocol(ProtocolFault::OtherChunk))
    }

    /// A page that is what was asked for, so that who reads on comes to an end.
    fn page<K: Ord + Copy, T>(
        &self,
        asked: &PageRequest<K>,
        items: Vec<T>,
        next: Option<K>,
        id: impl Fn(&T) -> K,
    ) -> Result<Page<T>, StoreError> {
        let after = asked.after.into_iter();
        let in_order = after
            .chain(items.iter().map(&id))
            .is_sorted_by(|a, b| a < b);
        let leads_on = next.is_none() || next == items.last().map(id);
        if !in_order || !leads_on || items.len() > asked.limit {
            return Err(self.protocol(ProtocolFault::OtherPage));
        }
        Ok(Page {
            items,
            more: next.is_some(),
        })
    }
}

fn chunk_path(id: ChunkId) -> String {
    route::CHUNK.replace("{id}", &id.to_string())
}

fn manifest_path(route: &str, id: ManifestId) -> String {
    route.replace("{id}", &id.to_string())
}

fn page_path<K: std::fmt::Display>(
    route: &str,
    page: &PageRequest<K>,
    reader: Option<PeerId>,
) -> String {
    let mut path = format!("{route}?limit={}", page.limit.min(MAX_PAGE));
    if let Some(after) = &page.after {
        path.push_str(&format!("&after={after}"));
    }
    if let Some(reader) = reader {
        path.push_str(&format!("&for={reader}"));
    }
    path
}

/// Without asking: an upload that no peer takes may end in a broken connection before the reason arrives.
fn check_length(length: usize) -> Result<(), StoreError> {
    let too = match length {
        ..MIN_SEALED_CHUNK => BadLength::Short,
        MIN_SEALED_CHUNK..=MAX_SEALED_CHUNK => return Ok(()),
        _ => BadLength::Long,
    };
    Err(StoreError::ChunkLength {
        length: length as u64,
        too,
    })
}

/// What a peer calls a mismatch is one only if our bytes are wrong.
async fn mismatch(error: StoreError, expected: ChunkId, sealed: Bytes) -> StoreError {
    match &error {
        StoreError::Refused { code, .. } if code.known() == Some(Code::HashMismatch) => {}
        _ => return error,
    }
    match chunk_id(sealed).await {
        Some(actual) if actual != expected => StoreError::HashMismatch { expected, actual },
        _ => error,
    }
}

/// Hashing a large chunk takes a while: not on a thread that others wait for.
async fn chunk_id(sealed: Bytes) -> Option<ChunkId> {
    tokio::task::spawn_blocking(move || ChunkId::of(&sealed))
        .await
        .ok()
}
