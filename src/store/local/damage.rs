//! Chunks that were damaged on disk and set aside, and the transfers that are not whole for want of them.

use std::collections::BTreeSet;

use super::{Inner, LocalStore, ManifestInfo, Missing, SignedManifest, StoreError, io};
use crate::id::{ChunkId, ManifestId};

impl LocalStore {
    /// The transfers of which a chunk was set aside and has not come again, unless they are over; each with such a chunk. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn damaged(&self) -> Result<Vec<(ManifestInfo, ChunkId)>, StoreError> {
        self.inner.damaged()
    }

    /// Whether this chunk was set aside and has not come again.
    pub fn is_damaged(&self, id: ChunkId) -> bool {
        self.inner.is_damaged(id)
    }
}

impl Inner {
    pub(super) fn is_damaged(&self, id: ChunkId) -> bool {
        let name = id.to_string();
        self.corrupt.has(&name) && !self.shard(id).has(&name)
    }

    /// That a chunk is not there, and why if that is known.
    pub(super) fn no_chunk(&self, id: ChunkId) -> StoreError {
        StoreError::NotFound(match self.is_damaged(id) {
            true => Missing::Damaged(id),
            false => Missing::Chunk(id),
        })
    }

    fn damaged(&self) -> Result<Vec<(ManifestInfo, ChunkId)>, StoreError> {
        let names = self.corrupt.names();
        let names = names.map_err(|e| io(self.corrupt.path(), e))?;
        let chunks = names.iter().filter_map(|name| name.parse::<ChunkId>().ok());
        let lost: BTreeSet<_> = chunks.filter(|id| self.is_damaged(*id)).collect();
        // Mostly so: no manifest is read then.
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        let stored = self.manifests.names();
        let stored = stored.map_err(|e| io(self.manifests.path(), e))?;
        let mut damaged = Vec::new();
        for id in stored
            .iter()
            .filter_map(|name| name.parse::<ManifestId>().ok())
        {
            let envelope = self.read_good_manifest(id)?;
            let Some(manifest) = envelope.and_then(|read| SignedManifest::parse(read).ok()) else {
                continue;
            };
            let payload = manifest.payload();
            let of_it = payload.all_chunks().find(|chunk| lost.contains(chunk));
            if let Some(chunk) = of_it
                && self.manifest_state(id)?.state.is_undecided()
            {
                damaged.push((ManifestInfo::new(id, payload), chunk));
            }
        }
        Ok(damaged)
    }
}
