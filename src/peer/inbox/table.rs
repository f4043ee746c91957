//! How long the table of a transfer is, which its sender chooses and whoever opens it has in memory.

use super::Waiting;
use crate::{
    id::ChunkId,
    store::{LocalStore, Store as _, StoreError},
};

/// The longest sealed table that is opened unasked. Its shortest lines have 42 bytes and take up to 500 in memory, so that one
/// takes at most 96 MiB; usual ones with 100,000 entries take half of it.
const MAX_UNASKED: u64 = 8 << 20;

/// Sealed bytes of the table, unless they are more than `most`.
pub(super) async fn length(
    store: &LocalStore,
    table: &[ChunkId],
    most: u64,
) -> Result<Option<u64>, StoreError> {
    let mut length = 0;
    for id in table {
        length += store.head_chunk(*id).await?.unwrap_or(0);
        if length > most {
            return Ok(None);
        }
    }
    Ok(Some(length))
}

/// Why a transfer with this table is not opened unasked, if so.
pub(super) async fn waits(
    store: &LocalStore,
    table: &[ChunkId],
) -> Result<Option<Waiting>, StoreError> {
    let length = length(store, table, MAX_UNASKED).await?;
    let than = MAX_UNASKED;
    Ok(length.is_none().then_some(Waiting::LongTable { than }))
}
