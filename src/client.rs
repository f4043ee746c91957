//! A peer as a store: [`PeerClient`] speaks the contract of [`crate::wire`] and is one more [`Store`].
//!
//! An evil server is expected: lengths are checked before anything is read, at most what was announced is read, chunks are
//! verified, redirects, proxies and compression are off. Everything that is sent is idempotent, so what may help is tried
//! again, with full jitter.

mod address;
mod error;
mod reply;

use std::{future::Future, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

pub use address::{AddressError, PeerAddress};

use crate::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{SignedManifest, SignedOffer},
    store::{
        ChunkInfo, ManifestInfo, OfferAnswer, Page, PageRequest, PartOf, Put, PutManifest, StateAt,
        Store, StoreError, StoreFuture,
    },
    wire::{
        self, CLIENT_IDLE_TIMEOUT, CONNECT_TIMEOUT, ChunkList, Health, MAX_CHUNK_BODY,
        MAX_MANIFEST_BODY, MAX_MISSING_IDS, ManifestList, MissingAnswer, MissingQuestion,
        OFFER_HEADER, OfferBody, PeerBody, PutBody, PutResult, media, route,
    },
};
use reply::Reply;

/// The most bytes of a JSON answer: a page of 10,000 manifests.
const MAX_JSON: usize = 64 << 20;
/// The slowest rate at which a body is still waited for, in bytes a second.
const MIN_RATE: u64 = 32 << 10;

/// How patient a client is.
#[derive(Debug, Clone, Copy)]
pub struct ClientOptions {
    /// To connect, with the handshake.
    pub connect_timeout: Duration,
    /// For an answer to begin, or its body to go on.
    pub idle_timeout: Duration,
    /// How often something is tried again.
    pub retries: usize,
    /// The shortest and the longest pause before a retry, before jitter.
    pub pause: (Duration, Duration),
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            idle_timeout: Duration::from_secs(30),
            retries: 6,
            pause: (Duration::from_millis(200), Duration::from_secs(30)),
        }
    }
}

/// A remote peer.
#[derive(Debug, Clone)]
pub struct PeerClient {
    address: PeerAddress,
    base: String,
    http: Client,
    options: ClientOptions,
}

impl PeerClient {
    /// A client of the peer at `address`. Connects when it is first used. `tls` says who we are and whom we trust.
    ///
    /// # Errors
    /// [`StoreError::Network`] if the system cannot make a client.
    pub fn new(
        address: PeerAddress,
        tls: rustls::ClientConfig,
        options: ClientOptions,
    ) -> Result<Self, StoreError> {
        let http = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.idle_timeout)
            .pool_idle_timeout(CLIENT_IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .map_err(|e| StoreError::Network {
                reason: e.to_string(),
            })?;
        let base = address.base_url();
        Ok(Self {
            address,
            base,
            http,
            options,
        })
    }

    /// Where the peer is.
    pub fn address(&self) -> &PeerAddress {
        &self.address
    }

    /// Who the peer says it is, and what it takes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn peer(&self) -> Result<PeerBody, StoreError> {
        self.get_json(route::PEER.to_owned()).await
    }

    /// Whether the peer is well.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn health(&self) -> Result<Health, StoreError> {
        self.get_json(route::HEALTH.to_owned()).await
    }

    /// The newest revocation list that the peer has, as PEM.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn crl(&self) -> Result<Option<String>, StoreError> {
        match self.get_body(route::CRL, MAX_MANIFEST_BODY).await {
            Ok(body) => self.text(body).map(Some),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks the circle's machine for a new certificate for our key. Gives it as PEM.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the circle's key is not there; [`StoreError::Refused`].
    pub async fn renew(&self, signing_request: &str) -> Result<String, StoreError> {
        let request = self
            .request(Method::POST, route::RENEW)
            .header(header::CONTENT_TYPE, media::PEM);
        let body = self
            .send(request.body(signing_request.to_owned()))
            .await?
            .body(MAX_MANIFEST_BODY)
            .await?;
        self.text(body)
    }

    fn text(&self, body: Bytes) -> Result<String, StoreError> {
        String::from_utf8(body.into()).map_err(|_| self.protocol("a text that is not UTF-8"))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Reply, StoreError> {
        let response = request
            .send()
            .await
            .map_err(|e| error::classify(&self.address, &e))?;
        Reply::check(&self.address, response).await
    }

    async fn get_json<T: DeserializeOwned>(&self, path: String) -> Result<T, StoreError> {
        let path = path.as_str();
        self.retrying(move || async move {
            self.send(self.request(Method::GET, path))
                .await?
                .json(MAX_JSON)
                .await
        })
        .await
    }

    async fn get_body(&self, path: &str, max: usize) -> Result<Bytes, StoreError> {
        self.retrying(move || async move {
            let get = async {
                self.send(self.request(Method::GET, path))
                    .await?
                    .body(max)
                    .await
            };
            self.in_time(max, get).await
        })
        .await
    }

    async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &(impl Serialize + Sync),
    ) -> Result<T, StoreError> {
        self.retrying(move || async move {
            self.send(self.request(Method::POST, path).json(question))
                .await?
                .json(MAX_JSON)
                .await
        })
        .await
    }

    async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        body: &Bytes,
        offer: Option<&str>,
    ) -> Result<T, StoreError> {
        self.retrying(move || async move {
            let mut request = self
                .request(Method::PUT, path)
                .header(header::CONTENT_TYPE, media_type);
            if let Some(offer) = offer {
                request = request.header(OFFER_HEADER, offer);
            }
            let put = async {
                self.send(request.body(body.clone()))
                    .await?
                    .json(MAX_JSON)
                    .await
            };
            self.in_time(body.len(), put).await
        })
        .await
    }

    /// A body that trickles is given up: the next attempt has a new connection.
    async fn in_time<T>(
        &self,
        length: usize,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let deadline = self.options.idle_timeout + Duration::from_secs(length as u64 / MIN_RATE);
        let late = |_| StoreError::Network {
            reason: format!("{} has stalled", self.address),
        };
        tokio::time::timeout(deadline, work).await.map_err(late)?
    }

    /// Tries again what may help, as the peer asks or with full jitter (AWS architecture blog, 2015).
    async fn retrying<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let (shortest, longest) = self.options.pause;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(shortest)
            .with_max_delay(longest);
        let pauses = pauses
            .with_jitter()
            .with_max_times(self.options.retries)
            .build();
        for pause in pauses {
            match attempt().await {
                Err(StoreError::Busy { seconds }) => {
                    tokio::time::sleep(pause.max(Duration::from_secs(seconds))).await
                }
                Err(error) if error.is_retryable() => {
                    tracing::debug!(peer = %self.address, %error, "trying again");
                    tokio::time::sleep(pause).await;
                }
                result => return result,
            }
        }
        attempt().await
    }

    fn protocol(&self, reason: &str) -> StoreError {
        StoreError::Protocol {
            reason: format!("{} sent {reason}", self.address),
        }
    }
}

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
