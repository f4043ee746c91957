//! Looking into a transfer: its entries one by one, and none of them kept.

use std::ops::ControlFlow;

use super::{
    Reader, TransferError,
    open::{check_origin, read_table, unwrap, unwrap_by_key},
};
use crate::{
    crypto::FileKey,
    id::ChunkId,
    manifest::{SignedManifest, SignedOffer, Timestamp, WrapScope, table::Entry},
    store::Store,
};

/// How much of a table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// All of it.
    All,
    /// Its beginning.
    Part,
}

/// Plain bytes of a table that a list reads: a sender chooses how long it is.
pub(crate) const GLANCE: u64 = 1 << 20;
/// Names at the top of a transfer that a list shows.
const MOST_NAMES: usize = 100;

/// Gives the entries in the first `at_most` bytes of a table to `each`, until `each` has seen enough. Dates, signature, our
/// wrap and the commitment are checked before; that table, sums and content agree is checked only by
/// [`OpenedTransfer::open`](super::OpenedTransfer::open). Memory does not depend on the length of the table.
///
/// # Errors
/// Those of [`OpenedTransfer::open`](super::OpenedTransfer::open), as far as it reads.
pub async fn browse(
    store: &dyn Store,
    manifest: &SignedManifest,
    reader: &Reader,
    at_most: u64,
    each: impl FnMut(Entry) -> ControlFlow<()> + Send,
) -> Result<Seen, TransferError> {
    browse_at(Timestamp::now(), store, manifest, reader, at_most, each).await
}

/// The same, as it was `then`.
async fn browse_at(
    then: Timestamp,
    store: &dyn Store,
    manifest: &SignedManifest,
    reader: &Reader,
    at_most: u64,
    each: impl FnMut(Entry) -> ControlFlow<()> + Send,
) -> Result<Seen, TransferError> {
    check_origin(manifest, reader, then)?;
    let payload = manifest.payload();
    let key = unwrap(payload, reader).await?;
    let (chunk_size, table) = (payload.chunk_size, &payload.table);
    read_table(store, &key, chunk_size, table, at_most, each).await
}

/// The first names at the top of a transfer.
pub(crate) struct TopNames {
    pub(crate) names: Vec<String>,
    /// Whether there may be others.
    pub(crate) more_names: bool,
}

impl TopNames {
    fn new() -> Self {
        Self {
            names: Vec::new(),
            more_names: false,
        }
    }

    fn keep(&mut self, entry: &Entry) -> ControlFlow<()> {
        if entry.path().contains('/') {
            return ControlFlow::Continue(());
        }
        self.more_names = self.names.len() == MOST_NAMES;
        if self.more_names {
            return ControlFlow::Break(());
        }
        self.names.push(entry.path().to_owned());
        ControlFlow::Continue(())
    }

    fn seen(mut self, seen: Seen) -> Self {
        self.more_names |= seen == Seen::Part;
        self
    }
}

/// The names at the top of a transfer, if `reader` can open it. However long its table is, only its beginning is read.
pub(crate) async fn top_names(
    store: &dyn Store,
    reader: &Reader,
    manifest: &SignedManifest,
) -> Option<TopNames> {
    top_names_at(Timestamp::now(), store, reader, manifest).await
}

/// The same, as it was `then`: of what has expired since.
pub(crate) async fn top_names_at(
    then: Timestamp,
    store: &dyn Store,
    reader: &Reader,
    manifest: &SignedManifest,
) -> Option<TopNames> {
    read_top_names(then, store, reader, manifest).await.ok()
}

/// The same; or why they cannot be read.
pub(crate) async fn read_top_names(
    then: Timestamp,
    store: &dyn Store,
    reader: &Reader,
    manifest: &SignedManifest,
) -> Result<TopNames, TransferError> {
    let mut top = TopNames::new();
    let keep = |entry: Entry| top.keep(&entry);
    let seen = browse_at(then, store, manifest, reader, GLANCE, keep).await;
    Ok(top.seen(seen?))
}

/// What is needed to read the names of a transfer that is announced and has no manifest yet.
pub(crate) struct Glimpse {
    key: FileKey,
    chunk_size: u32,
    /// The beginning of its table, and a chunk more.
    table: Vec<ChunkId>,
}

impl Glimpse {
    /// `None` if a key of `reader` does not open it.
    pub(crate) fn of(offer: &SignedOffer, reader: &Reader) -> Option<Self> {
        let payload = offer.payload();
        let scope = WrapScope {
            key_id: payload.key_id,
            transfer_id: payload.transfer_id,
            sender: payload.sender,
        };
        let key = unwrap_by_key(&payload.wraps, reader, scope)?.ok()?;
        let chunk_size = payload.chunk_size;
        let most = GLANCE / u64::from(chunk_size.max(1)) + 2;
        let table = payload.table.iter().copied();
        let table = table.take(usize::try_from(most).unwrap_or(usize::MAX));
        Some(Self {
            key,
            chunk_size,
            table: table.collect(),
        })
    }

    /// The names at its top; `None` until its table is in `store`.
    pub(crate) async fn names(&self, store: &dyn Store) -> Option<TopNames> {
        let mut top = TopNames::new();
        let keep = |entry: Entry| top.keep(&entry);
        let (key, table) = (&self.key, &self.table);
        let seen = read_table(store, key, self.chunk_size, table, GLANCE, keep).await;
        let seen = seen.ok()?;
        Some(top.seen(seen))
    }
}
