//! Opening a transfer while it arrives, from its offer on.
//!
//! The offer has the wraps and names the table, so names, sizes and the key are known before the first content byte.
//! Content is opened and staged as it comes, in any order. What each file must be is said only by the manifest, which
//! comes last: until then nothing counts, and whatever goes wrong is no loss, because the sealed chunks are stored
//! besides, and [`receive`](fn@super::receive) begins anew with them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{
    OpenedTransfer, Reader, ReceiveOptions, TransferError, blocking,
    open::{fetch_table, open_bytes, unwrap_by_key},
    plan::Plan,
    receive::staging_key,
    sink::Sink,
    sums::Spans,
};
use crate::{
    crypto::{ChunkOpener, ChunkPosition, Stream},
    id::{ChunkId, PeerId, TransferId},
    manifest::{SignedOffer, WrapScope, table::Entry},
    received::{self, Layout},
    store::Store,
};

/// A transfer that is being opened before its manifest is there.
pub struct Arriving {
    offer: SignedOffer,
    opener: ChunkOpener,
    count: u64,
    spans: Arc<Spans>,
    written: Mutex<Written>,
}

/// What was written of it.
struct Written {
    sink: Sink,
    /// The content chunks, by their indices.
    ids: BTreeMap<u64, ChunkId>,
}

impl Arriving {
    /// Begins with the table of `offer`, which `store` must have, and whose signature the caller has verified. `None` if
    /// it must be received when it is complete: it has no known size, is not for `reader`'s key, or was begun before.
    ///
    /// # Errors
    /// Every [`TransferError`] of opening the table and of beginning to write.
    pub async fn begin(
        offer: SignedOffer,
        store: &dyn Store,
        reader: &Reader,
        root: &Arc<received::Received>,
        options: ReceiveOptions,
    ) -> Result<Option<Self>, TransferError> {
        let payload = offer.payload();
        let scope = WrapScope {
            key_id: payload.key_id,
            transfer_id: payload.transfer_id,
            sender: payload.sender,
        };
        let Some(key) = unwrap_by_key(&payload.wraps, reader, scope).transpose()? else {
            return Ok(None);
        };
        let entries = fetch_table(store, &key, payload.chunk_size, &payload.table).await?;
        let opener = ChunkOpener::new(&key, Stream::Content, payload.chunk_size);
        let Some(size) = payload
            .size
            .filter(|size| content_size(&entries) == Some(*size))
        else {
            return Ok(None);
        };
        let count = size.div_ceil(u64::from(payload.chunk_size));
        let (root, staging) = (
            root.clone(),
            staging_key(payload.transfer_id, payload.sender),
        );
        let (bytes, created, chunk_size) = (size, payload.created, payload.chunk_size);
        let sink = blocking(move || {
            let size = |entry: &Entry| size_of(entry).unwrap_or(0);
            let plan = Plan::new(&entries, Layout::default(), created, size)?;
            let staging = root.stage(&staging)?;
            if !staging.is_new()? {
                return Ok(None);
            }
            // Before anything is made: if it does not fit, the transfer is opened when it is complete, or not at all.
            let room = staging.check_room(bytes, plan.made());
            let plan = room
                .map_err(TransferError::from)
                .and_then(|()| plan.for_staging(&staging, &entries, created, size));
            let plan = plan.inspect_err(|_| staging.discard())?;
            let sink = Sink::begin(Arc::new(staging), Arc::new(plan), chunk_size, options);
            Ok::<_, TransferError>(Some(sink))
        });
        Ok(sink.await?.map(|sink| Self {
            offer,
            opener,
            count,
            spans: sink.spans().clone(),
            written: Mutex::new(Written {
                sink,
                ids: BTreeMap::new(),
            }),
        }))
    }

    /// Opens and writes the content chunk at `index`. Several may be opened at the same time.
    ///
    /// # Errors
    /// [`TransferError::Crypto`], [`TransferError::Integrity`], [`TransferError::Received`]: then it must be given up, and nothing
    /// is lost.
    pub async fn write(
        self: Arc<Self>,
        index: u64,
        id: ChunkId,
        sealed: Bytes,
    ) -> Result<(), TransferError> {
        blocking(move || {
            let position = ChunkPosition {
                index,
                last: index + 1 == self.count,
            };
            let plain = open_bytes(&self.opener, position, sealed)?;
            let sums = self.spans.sum(position, &plain);
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.sink.write_chunk(index, &plain, sums)?;
            written.ids.entry(index).or_insert(id);
            Ok(())
        })
        .await
    }

    /// Gives it up: nothing of it is left.
    pub async fn discard(self) {
        blocking(move || self.into_written().sink.staging().discard()).await;
    }

    fn into_written(self) -> Written {
        let written = self.written.into_inner();
        written.unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written so far, if it is of `transfer`.
    pub(super) fn into_sink(
        self,
        transfer: &OpenedTransfer,
    ) -> Result<Option<Sink>, TransferError> {
        let offer = self.offer.clone();
        let (offer, manifest) = (offer.payload(), transfer.manifest.payload());
        let Written { sink, ids } = self.into_written();
        let mut ids = ids.into_iter();
        let is_named = |(index, id)| {
            let index = usize::try_from(index).ok();
            index.and_then(|index| manifest.chunks.get(index)) == Some(&id)
        };
        let same = offer.transfer_id == manifest.transfer_id
            && offer.sender == manifest.sender
            && offer.key_id == manifest.key_id
            && offer.chunk_size == manifest.chunk_size
            && offer.size == Some(manifest.size)
            && offer.table == manifest.table
            && ids.all(is_named);
        if same {
            return Ok(Some(sink));
        }
        sink.staging().discard();
        Ok(None)
    }
}

/// Removes what was staged in `root` of the transfer of `sender`, unless somebody goes on with it. Blocks.
pub fn discard_staged(root: &received::Received, sender: PeerId, transfer: TransferId) {
    root.discard(&staging_key(transfer, sender));
}

/// Bytes of content of all `entries`; `None` if one is a stream.
fn content_size(entries: &[Entry]) -> Option<u64> {
    let mut sizes = entries.iter().map(size_of);
    sizes.try_fold(0_u64, |sum, size| sum.checked_add(size?))
}

fn size_of(entry: &Entry) -> Option<u64> {
    match entry {
        Entry::File { size, .. } => *size,
        Entry::Directory { .. } | Entry::Symlink { .. } => Some(0),
    }
}
