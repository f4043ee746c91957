//! The peer as a [`Store`]: each method is one route.

use bytes::Bytes;
use reqwest::{Method, StatusCode};

use super::PeerClient;
use crate::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{SignedManifest, SignedOffer},
    store::{
        ChunkInfo, ManifestInfo, OfferAnswer, Page, PageRequest, PartOf, Put, PutManifest, StateAt,
        Store, StoreError, StoreFuture,
    },
    wire::{
        self, ChunkList, MAX_CHUNK_BODY, MAX_MANIFEST_BODY, MAX_MISSING_IDS, ManifestList,
        MissingAnswer, MissingQuestion, OfferBody, PutBody, PutResult, media, route,
    },
};

impl Store for PeerClient {
    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        Box::pin(async move {
            let path =
                route::OFFER.replace("{transfer_id}", &offer.payload().transfer_id.to_string());
            let body: OfferBody = self
                .put(&path, media::ENVELOPE, offer.envelope(), None)
                .await?;
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
            let offer = part_of.map(|part| match part.index {
                Some(index) => format!("{};index={index}", part.transfer_id),
                None => part.transfer_id.to_string(),
            });
            let body: PutBody = self
                .put(&chunk_path(id), media::CHUNK, &sealed, offer.as_deref())
                .await?;
            Ok(if body.result == PutResult::Stored {
                Put::Stored
            } else {
                Put::AlreadyThere
            })
        })
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            let sealed = self.get_body(&chunk_path(id), MAX_CHUNK_BODY).await?;
            // Hashing a large chunk takes a while: not on a thread that others wait for.
            let actual = {
                let sealed = sealed.clone();
                tokio::task::spawn_blocking(move || ChunkId::of(&sealed)).await
            };
            match actual {
                Ok(actual) if actual == id => Ok(sealed),
                _ => Err(self.protocol("a chunk that is not the one that was asked for")),
            }
        })
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        Box::pin(async move {
            let path = chunk_path(id);
            let path = path.as_str();
            let head = self.retrying(move || async move {
                self.send(self.request(Method::HEAD, path))
                    .await?
                    .declared_length()
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
                let answer: MissingAnswer = self.post_json(route::MISSING, &question).await?;
                missing.extend(answer.missing);
            }
            Ok(missing)
        })
    }

    fn list_chunks(&self, page: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        Box::pin(async move {
            let list: ChunkList = self.get_json(page_path(route::CHUNKS, &page, None)).await?;
            Ok(Page {
                items: list.chunks,
                more: list.next.is_some(),
            })
        })
    }

    fn put_manifest<'a>(&'a self, manifest: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        Box::pin(async move {
            let path = manifest_path(route::MANIFEST, manifest.id());
            let body: PutBody = self
                .put(&path, media::ENVELOPE, manifest.envelope(), None)
                .await?;
            Ok(match body.result {
                PutResult::Stored => PutManifest::Stored,
                PutResult::AlreadyThere => PutManifest::AlreadyThere,
                PutResult::AlreadyReceived => PutManifest::AlreadyReceived,
            })
        })
    }

    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            let envelope = self
                .get_body(&manifest_path(route::MANIFEST, id), MAX_MANIFEST_BODY)
                .await?;
            if ManifestId::of(&envelope) == id {
                return Ok(envelope);
            }
            Err(self.protocol("a manifest that is not the one that was asked for"))
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
            let list: ManifestList = self
                .get_json(page_path(route::MANIFESTS, &page, reader))
                .await?;
            Ok(Page {
                items: list.manifests,
                more: list.next.is_some(),
            })
        })
    }

    fn delete_manifest(&self, id: ManifestId) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let path = manifest_path(route::MANIFEST, id);
            let path = path.as_str();
            let reply = self
                .retrying(move || self.send(self.request(Method::DELETE, path)))
                .await?;
            match reply.status() {
                StatusCode::NO_CONTENT => Ok(()),
                _ => Err(self.protocol("something else than 204 for a deletion")),
            }
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
    let mut path = format!("{route}?limit={}", page.limit);
    if let Some(after) = &page.after {
        path.push_str(&format!("&after={after}"));
    }
    if let Some(reader) = reader {
        path.push_str(&format!("&for={reader}"));
    }
    path
}
