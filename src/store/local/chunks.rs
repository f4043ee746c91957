//! Chunks of a local store: put, found, read, listed.

use bytes::Bytes;

use super::super::{ChunkInfo, Page, PageRequest, PartOf, Put, StoreError, check_chunk, not_found};
use super::disk::Created;
use super::{Inner, io};
use crate::{
    id::ChunkId,
    manifest::{MAX_SEALED_CHUNK, MIN_SEALED_CHUNK},
};

impl Inner {
    pub(super) fn put_chunk(
        &self,
        id: ChunkId,
        sealed: &[u8],
        part_of: Option<PartOf>,
    ) -> Result<Put, StoreError> {
        check_chunk(id, sealed)?;
        self.writable()?;
        let length = sealed.len() as u64;
        let (shard, name) = (self.shard(id), id.to_string());
        let failed = |error| self.write_failed(length, shard.path(), error);
        let _present = self.rely_on_presence();
        match self.length_of_present(id)? {
            Some(there) if there == length => {
                shard.touch(&name).map_err(|e| failed(e.into()))?;
                shard.sync().map_err(failed)?;
                return Ok(Put::AlreadyThere);
            }
            Some(_) => self.set_aside(shard, &name)?,
            None => {}
        }
        self.space
            .take(self.disk()?, part_of.map(|part| part.transfer_id), length)?;
        let created = shard
            .create(&name, sealed)
            .inspect_err(|_| self.space.release(length))
            .map_err(failed)?;
        if created == Created::WasThere {
            self.space.release(length);
        }
        Ok(if created == Created::New {
            Put::Stored
        } else {
            Put::AlreadyThere
        })
    }

    pub(super) fn get_chunk(&self, id: ChunkId) -> Result<Bytes, StoreError> {
        let (shard, name) = (self.shard(id), id.to_string());
        let there = self.length_of(id)?.is_some();
        let read = shard
            .read(&name, MAX_SEALED_CHUNK)
            .map_err(|e| io(&shard.path().join(&name), e))?;
        match read {
            Some(bytes) if ChunkId::of(&bytes) == id => Ok(bytes.into()),
            None if !there => Err(not_found("chunk", &id)),
            _ => {
                tracing::error!(chunk = name, "damaged on disk, set aside");
                self.set_aside(shard, &name)?;
                Err(not_found("chunk", &id))
            }
        }
    }

    /// The length of a chunk, which is brought back if it was on its way out.
    pub(super) fn length_of(&self, id: ChunkId) -> Result<Option<u64>, StoreError> {
        let _present = self.rely_on_presence();
        self.length_of_present(id)
    }

    pub(super) fn length_of_present(&self, id: ChunkId) -> Result<Option<u64>, StoreError> {
        let (shard, name) = (self.shard(id), id.to_string());
        let length = || {
            shard
                .length(&name)
                .map_err(|e| io(&shard.path().join(&name), e))
        };
        if let Some(length) = length()? {
            return Ok(Some(length));
        }
        if self.lock.is_none()
            || !self
                .trash
                .move_to(&name, shard)
                .map_err(|e| io(self.trash.path(), e))?
        {
            return Ok(None);
        }
        shard.touch(&name).map_err(|e| io(shard.path(), e))?;
        shard
            .sync()
            .map_err(|e| self.write_failed(0, shard.path(), e))?;
        length()
    }

    pub(super) fn missing_chunks(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, StoreError> {
        let _present = self.rely_on_presence();
        self.missing_of(ids.iter().copied())
    }

    /// Which of `ids` are not there; renews the leases of the others. The caller relies on their presence.
    pub(super) fn missing_of(
        &self,
        ids: impl Iterator<Item = ChunkId>,
    ) -> Result<Vec<ChunkId>, StoreError> {
        let mut missing = Vec::new();
        for id in ids {
            let there = self
                .length_of_present(id)?
                .is_some_and(|length| length >= MIN_SEALED_CHUNK as u64);
            let shard = self.shard(id);
            if !there {
                missing.push(id);
            } else if self.lock.is_some() {
                shard
                    .touch(&id.to_string())
                    .map_err(|e| io(shard.path(), e))?;
            }
        }
        Ok(missing)
    }

    pub(super) fn list_chunks(
        &self,
        page: PageRequest<ChunkId>,
    ) -> Result<Page<ChunkInfo>, StoreError> {
        let first = page
            .after
            .map_or(0, |after| usize::from(after.as_bytes()[0]));
        let mut items = Vec::new();
        for shard in &self.shards[first..] {
            for name in shard.names().map_err(|e| io(shard.path(), e))? {
                let Ok(id) = name.parse::<ChunkId>() else {
                    continue;
                };
                if page.after.is_some_and(|after| id <= after) {
                    continue;
                }
                if items.len() == page.limit {
                    return Ok(Page { items, more: true });
                }
                if let Some(length) = shard.length(&name).map_err(|e| io(shard.path(), e))? {
                    items.push(ChunkInfo { id, length });
                }
            }
        }
        Ok(Page { items, more: false })
    }
}
