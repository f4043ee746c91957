//! Where sealed bytes live: the [`Store`] trait, its promises, its implementations.
//!
//! A local directory, memory and a remote peer are all stores, so code that moves transfers never knows which one it
//! talks to. A store is blind: it keeps what is sealed, checks it by its SHA-256, and holds no file key.
//!
//! The promises, which `tests/claims/conformance.rs` holds every implementation to:
//!
//! - **Durable.** When a `put_*` future gives `Ok`, the bytes survive `kill -9` and loss of power (the memory store
//!   excepted, which says so).
//! - **Exact.** A chunk is stored under the SHA-256 of its bytes or not at all; what `get_chunk` gives has that digest.
//! - **Idempotent.** Putting again what is there is a success that says so; nothing is ever overwritten.
//! - **Complete.** `put_manifest` succeeds only when every chunk that it names is there. A visible manifest implies its
//!   chunks.
//! - **Leased.** A chunk that no manifest names is kept for a day after it was put, or reported present by
//!   `missing_chunks` or `put_chunk`.
//!
//! Trust is not decided here: whoever calls `put_offer` or `put_manifest` on a local store has verified the signature.

mod cause;
mod code;
mod error;
mod folder;
mod local;
mod memory;
mod paced;

use std::time::Duration;

use bytes::Bytes;
use futures::{TryStreamExt as _, future::BoxFuture, stream};
use serde::{Deserialize, Serialize};

pub use cause::{
    Alert, BadFormat, BadLength, Exhausted, InPlace, LockedBy, Missing, NetworkCause,
    ProtocolFault, ReadOnly, Rejection, Remote,
};
pub use code::{Code, NotACode, OwnCode, Refusal};
pub use error::{Promised, StoreError};
pub(crate) use error::{missing_chunks_error, no_chunk, no_manifest};
pub use folder::FolderStore;
pub(crate) use local::Expired;
pub use local::{
    CheckReport, Freed, GcReport, Holder, KeepSettled, LocalStore, LocalStoreOptions, Problem,
    Receipt, Relay, Unnamed, Usage,
};
pub use memory::MemoryStore;
pub(crate) use memory::take_page;
pub use paced::{Pace, PacedStore};
/// For stores of one's own, in the versions that the trait has.
pub use {bytes, futures};

use crate::{
    id::{ChunkId, ManifestId, PeerId, TransferId},
    manifest::{
        MAX_SEALED_CHUNK, MIN_SEALED_CHUNK, Manifest, SignedManifest, SignedOffer, Timestamp,
    },
    sabotage,
};

/// A transfer that is put ends no sooner than this.
pub const LEAST_LIFE: Duration = Duration::from_secs(60);

/// States that are asked for at a time, of a store that lists none.
const STATES_AT_ONCE: usize = 8;

/// What the methods of a [`Store`] give.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A place for sealed chunks and manifests. See the module for what every implementation promises.
pub trait Store: Send + Sync {
    /// Announces a transfer: reserves space, learns whether the recipient wants it. An offer that is refused, or fails,
    /// reserves nothing.
    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer>;

    /// Announces a transfer that `by` brings, who may be another than its sender. A store that remembers deletions takes
    /// from another only what was made after its transfer was deleted: [`StoreError::Deleted`].
    fn bring_offer<'a>(
        &'a self,
        offer: &'a SignedOffer,
        _by: PeerId,
    ) -> StoreFuture<'a, OfferAnswer> {
        self.put_offer(offer)
    }

    /// Stores a sealed chunk under `id`, which must be its digest.
    fn put_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
    ) -> StoreFuture<'_, Put>;

    /// Stores a sealed chunk that `by` brings, who is charged for it until a manifest names it, by a store that counts.
    fn bring_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
        _by: PeerId,
    ) -> StoreFuture<'_, Put> {
        self.put_chunk(id, sealed, part_of)
    }

    /// Fails as [`bring_chunk`](Self::bring_chunk) does for a chunk of `length` bytes that is not there, for example for want
    /// of space; as [`put_chunk`](Self::put_chunk) if nobody brings it. Stores nothing.
    fn check_new_chunk(
        &self,
        _length: u64,
        _part_of: Option<PartOf>,
        _by: Option<PeerId>,
    ) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// The bytes of a sealed chunk, verified against `id`; [`StoreError::NotFound`] if it is not there.
    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes>;

    /// The length of a sealed chunk, if it is there.
    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>>;

    /// Which of `ids` are not there, in the order asked. Renews the lease of those that are.
    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>>;

    /// The chunks after `page.after`, in order of their ids.
    fn list_chunks(&self, page: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>>;

    /// Publishes a transfer. [`StoreError::MissingChunks`] if a chunk is not there yet.
    fn put_manifest<'a>(&'a self, manifest: &'a SignedManifest) -> StoreFuture<'a, PutManifest>;

    /// Publishes a transfer that `by` brings, who may be another than its sender. A store that remembers deletions takes
    /// from another only what was made after its transfer was deleted: [`StoreError::Deleted`].
    fn bring_manifest<'a>(
        &'a self,
        manifest: &'a SignedManifest,
        _by: PeerId,
    ) -> StoreFuture<'a, PutManifest> {
        self.put_manifest(manifest)
    }

    /// What [`put_manifest`](Self::put_manifest) answers, or fails with, whatever chunks are there; `None` if it depends on
    /// them. Stores nothing, and looks at no chunk.
    fn check_manifest<'a>(
        &'a self,
        _manifest: &'a SignedManifest,
    ) -> StoreFuture<'a, Option<PutManifest>> {
        Box::pin(async { Ok(None) })
    }

    /// The exact envelope of a manifest; [`StoreError::NotFound`] if it is not there.
    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes>;

    /// How far a transfer has come; [`StoreError::NotFound`] if nothing is known of it.
    fn manifest_state(&self, id: ManifestId) -> StoreFuture<'_, StateAt>;

    /// The manifests after `page.after`, in order of their ids; with `reader`, those that this peer can open by its
    /// seal key or that a password opens.
    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>>;

    /// The same, each with its [`state`](ManifestInfo::state): without one is what was let go since it was listed. A store that
    /// lists none, as a peer of an earlier version, is asked for each, a few at a time.
    fn list_with_states(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        Box::pin(async move {
            let mut page = self.list_manifests(page, reader).await?;
            let without = page.items.iter_mut().filter(|info| info.state.is_none());
            let asked = stream::iter(without.map(Ok::<_, StoreError>));
            asked
                .try_for_each_concurrent(STATES_AT_ONCE, |info| async move {
                    info.state = state_of(self.manifest_state(info.id).await)?;
                    Ok(())
                })
                .await?;
            Ok(page)
        })
    }

    /// Removes a manifest; its chunks go when no other manifest names them and their lease is over.
    /// [`StoreError::NotFound`] if it is not there.
    fn delete_manifest(&self, id: ManifestId) -> StoreFuture<'_, ()>;

    /// Bytes that may still be stored here; `None` if that is not known.
    fn free_space(&self) -> StoreFuture<'_, Option<u64>> {
        Box::pin(async { Ok(None) })
    }

    /// How long its answers were waited for in all, without what this machine waited for itself; `None` of a store of this machine. By
    /// it a send to several finds those that keep the others waiting.
    fn waited_for(&self) -> Option<Duration> {
        None
    }
}

/// Which announced transfer a chunk is put for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartOf {
    /// The transfer that was announced.
    pub transfer_id: TransferId,
    /// Who brings the chunk: what was reserved is for the sender of the transfer.
    pub by: PeerId,
    /// The index of a content chunk; `None` for table and sums.
    pub index: Option<u64>,
}

/// The answer to an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfferAnswer {
    /// Send it; the recipient opens it on arrival, or only stores it.
    Accepted,
    /// Send it; it waits for the recipient's person.
    Waiting,
    /// Do not send it.
    Refused,
    /// This transfer was received before: nothing to send.
    AlreadyReceived,
}

/// What became of a chunk that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is new, and durable.
    Stored,
    /// It was there, durable.
    AlreadyThere,
}

/// What became of a manifest that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutManifest {
    /// It is new, and durable.
    Stored,
    /// It was there, durable.
    AlreadyThere,
    /// This transfer was received and let go before: only its receipt is here.
    AlreadyReceived,
}

/// How far a transfer has come at the peer that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferState {
    /// Stored; nobody here opens it on arrival.
    Stored,
    /// Stored, and waits for the recipient's person.
    Waiting,
    /// The recipient has opened it.
    Opened,
    /// The recipient refused it, or could not open it.
    Refused,
    /// Its time was over.
    Expired,
}

impl TransferState {
    /// Whether its recipient has neither opened nor refused it.
    pub fn is_undecided(self) -> bool {
        matches!(self, Self::Stored | Self::Waiting)
    }
}

/// Why a transfer [waits](TransferState::Waiting).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WaitReason {
    /// The person there is asked about each transfer of its sender.
    Asks,
    /// It is larger than what is opened unasked.
    Larger,
    /// It has more files than what is opened unasked.
    LongTable,
    /// Only a password opens it.
    Locked,
    /// Nothing is opened unasked.
    Off,
    /// The disk for received files is full. It is tried again.
    NoSpace,
    /// The folder of received files cannot be written. It is tried again.
    CannotWrite,
    /// It could not be opened otherwise. It is tried again.
    CannotOpen,
}

/// A [`TransferState`] and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateAt {
    /// The state.
    pub state: TransferState,
    /// Since when.
    pub since: Timestamp,
    /// Why it waits, as a serving peer tells its sender and its owner; no store knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<WaitReason>,
}

impl StateAt {
    /// A state, and nothing of why.
    pub const fn new(state: TransferState, since: Timestamp) -> Self {
        Self {
            state,
            since,
            reason: None,
        }
    }
}

/// Asks for one page of a list.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<K> {
    /// Only what comes after this one.
    pub after: Option<K>,
    /// At most so many, at least 1.
    pub limit: usize,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it, in order.
    pub items: Vec<T>,
    /// Whether more comes after the last of `items`.
    pub more: bool,
}

/// A chunk in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkInfo {
    /// Its id.
    pub id: ChunkId,
    /// Bytes as stored.
    pub length: u64,
}

/// A manifest in a list: what a blind store can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestInfo {
    /// Its id.
    pub id: ManifestId,
    /// Names the transfer, together with its sender.
    pub transfer_id: TransferId,
    /// Who signed it.
    pub sender: PeerId,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Bytes of content.
    pub size: u64,
    /// Sealed chunks in all.
    pub chunks: u64,
    /// Who can open it by a seal key.
    pub recipients: Vec<PeerId>,
    /// Whether a password opens it.
    pub password: bool,
    /// How far it has come, in a list that was asked for [with states](Store::list_with_states).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateAt>,
}

impl ManifestInfo {
    /// What the catalogue tells of `manifest`.
    pub fn new(id: ManifestId, manifest: &Manifest) -> Self {
        Self {
            id,
            transfer_id: manifest.transfer_id,
            sender: manifest.sender,
            created: manifest.created,
            expires: manifest.expires,
            size: manifest.size,
            chunks: manifest.all_chunks().count() as u64,
            recipients: manifest.recipients().collect(),
            password: manifest.has_password(),
            state: None,
        }
    }

    /// Whether another has sealed it for `owner` and itself, so that nobody else can open it.
    pub fn is_only_for(&self, owner: PeerId) -> bool {
        let mut readers = self.recipients.iter();
        self.sender != owner
            && !self.password
            && self.recipients.contains(&owner)
            && readers.all(|reader| [owner, self.sender].contains(reader))
    }

    /// Whether `reader` may be able to open it.
    pub fn is_for(&self, reader: PeerId) -> bool {
        self.password || self.recipients.contains(&reader)
    }

    /// Whether its sender named itself as a recipient. Each sender can open what it sends: its own wrap comes first of several if
    /// it is there for that only, and alone beside a password.
    pub fn is_to_its_sender(&self) -> bool {
        match self.recipients.as_slice() {
            [only] => *only == self.sender && !self.password,
            [_, others @ ..] => others.contains(&self.sender),
            [] => false,
        }
    }
}

/// The state of a transfer, unless it is gone.
pub(crate) fn state_of(found: Result<StateAt, StoreError>) -> Result<Option<StateAt>, StoreError> {
    match found {
        Ok(state) => Ok(Some(state)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Refuses bytes that are no sealed chunk, or not the one that `id` names.
fn check_chunk(id: ChunkId, sealed: &[u8]) -> Result<(), StoreError> {
    let length = sealed.len() as u64;
    if sealed.len() < MIN_SEALED_CHUNK {
        return Err(StoreError::ChunkLength {
            length,
            too: BadLength::Short,
        });
    }
    if sealed.len() > MAX_SEALED_CHUNK {
        return Err(StoreError::ChunkLength {
            length,
            too: BadLength::Long,
        });
    }
    let actual = ChunkId::of(sealed);
    if actual == id || sabotage::without("hash-check") {
        Ok(())
    } else {
        Err(StoreError::HashMismatch {
            expected: id,
            actual,
        })
    }
}
