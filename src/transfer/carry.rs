//! A sealed transfer from one store to another, as it is: whoever carries it need not be able to open it.

use std::collections::BTreeSet;

use futures::{TryStreamExt as _, stream};

use super::TransferError;
use crate::{
    id::PeerId,
    manifest::SignedManifest,
    store::{PutManifest, Store},
};

/// Puts the chunks of `manifest` that `to` lacks, then the manifest, brought by `carrier`, whose store `from` is. The caller has checked who signed it.
///
/// # Errors
/// Those of the stores. What was stored stays; the same call continues it.
pub async fn carry(
    manifest: &SignedManifest,
    (carrier, from): (PeerId, &dyn Store),
    to: &dyn Store,
    jobs: usize,
) -> Result<PutManifest, TransferError> {
    let ids: BTreeSet<_> = manifest.payload().all_chunks().collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let missing = to.missing_chunks(&ids).await?;
    let carried = stream::iter(missing.into_iter().map(Ok));
    let carried = carried.try_for_each_concurrent(jobs.max(1), async |id| {
        let sealed = from.get_chunk(id).await?;
        to.put_chunk(id, sealed, None).await?;
        Ok::<_, TransferError>(())
    });
    carried.await?;
    Ok(to.bring_manifest(manifest, carrier).await?)
}
