//! Looking into a transfer: its entries one by one, and none of them kept.

use std::ops::ControlFlow;

use super::{
    Reader, TransferError,
    open::{check_origin, read_table, unwrap},
};
use crate::{
    manifest::{SignedManifest, Timestamp, table::Entry},
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
    let (mut names, mut more) = (Vec::new(), false);
    let keep = |entry: Entry| {
        if entry.path().contains('/') {
            return ControlFlow::Continue(());
        }
        more = names.len() == MOST_NAMES;
        if more {
            return ControlFlow::Break(());
        }
        names.push(entry.path().to_owned());
        ControlFlow::Continue(())
    };
    let seen = browse_at(then, store, manifest, reader, GLANCE, keep).await;
    let seen = seen.ok()?;
    Some(TopNames {
        names,
        more_names: more || seen == Seen::Part,
    })
}
