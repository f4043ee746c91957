//! Looking into a transfer: its entries one by one, and none of them kept.

use std::ops::ControlFlow;

use super::{
    Reader, TransferError,
    open::{check_origin, read_table, unwrap},
};
use crate::{
    manifest::{SignedManifest, table::Entry},
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
    check_origin(manifest, reader)?;
    let payload = manifest.payload();
    let key = unwrap(payload, reader).await?;
    let (chunk_size, table) = (payload.chunk_size, &payload.table);
    read_table(store, &key, chunk_size, table, at_most, each).await
}
