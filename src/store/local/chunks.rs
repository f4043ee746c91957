//! The chunks of a local store: put, read, listed; brought back from the trash; set aside when they are damaged.
//!
//! Whoever says that a chunk is there holds `presence` for reading while saying so; whoever takes one away holds it for
//! writing and looks again first, for what was bad a moment ago may have been put anew since.

use std::sync::RwLockReadGuard;

use rustix::io::Errno;

use super::{
    Bytes, ChunkId, ChunkInfo, Inner, Missing, Page, PageRequest, PartOf, PeerId, Put, StoreError,
    check_chunk,
    disk::{Created, Folder, Moved},
    io,
};
use crate::{
    manifest::{MAX_SEALED_CHUNK, MIN_SEALED_CHUNK},
    sabotage,
};

/// How often something in the way of a chunk is set aside before a put gives up.
const ATTEMPTS: usize = 3;
/// Chunks that are looked at under one lock.
const SLICE: usize = 256;

impl Inner {
    pub(super) fn shard(&self, id: ChunkId) -> &Folder {
        &self.shards[usize::from(id.as_bytes()[0])]
    }

    pub(super) fn put_chunk(
        &self,
        id: ChunkId,
        sealed: &[u8],
        part_of: Option<PartOf>,
        by: Option<PeerId>,
    ) -> Result<Put, StoreError> {
        check_chunk(id, sealed)?;
        self.writable()?;
        for _ in 0..ATTEMPTS {
            let put = || self.try_put_chunk(id, sealed, part_of, by);
            let what = self.room_for(by, part_of);
            if let Some(put) = self.with_room(what, || self.again_if_counted_anew(put))? {
                return Ok(put);
            }
            self.set_aside_bad_chunk(id)?;
        }
        let path = self.shard(id).path().join(id.to_string());
        Err(io(&path, Errno::EXIST.into()))
    }

    /// `None` if something else is in the chunk's place.
    fn try_put_chunk(
        &self,
        id: ChunkId,
        sealed: &[u8],
        part_of: Option<PartOf>,
        by: Option<PeerId>,
    ) -> Result<Option<Put>, StoreError> {
        let length = sealed.len() as u64;
        let (shard, name) = (self.shard(id), id.to_string());
        let failed = |error| self.write_failed(length, shard.path(), error);
        let _present = self.rely_on_presence();
        match self.length_of_present(id)? {
            // Whoever puts a chunk again may be healing it: what cannot be read as it was put does not count as there.
            Some(there) if there == length && self.read_good_chunk(id)?.is_some() => {
                shard.touch(&name).map_err(|e| failed(e.into()))?;
                shard.settle().map_err(failed)?;
                if let Some(peer) = by {
                    self.charges.note_another(peer, id);
                }
                return Ok(Some(Put::AlreadyThere));
            }
            Some(_) => return Ok(None),
            None => {}
        }
        let transfer = part_of.map(|part| (part.transfer_id, part.by));
        // What does not fit at all is refused for that.
        self.space.check_take(self.disk()?, transfer, length)?;
        let mark = by.map(|by| self.mark_for(by, part_of));
        let is_charged = self.charge(mark, id, length, part_of)?;
        let give_back = || {
            if let Some(peer) = by.filter(|_| is_charged) {
                self.charges.give_back(peer, id);
            }
        };
        let taken = self.space.take(self.disk()?, transfer, length);
        taken.inspect_err(|_| give_back())?;
        let created = shard.create(&name, sealed);
        if !matches!(created, Ok(Created::New)) {
            self.space.release(length);
            give_back();
        } else if let Some(mark) = mark {
            shard.set_mark(&name, mark);
            self.charges.note(mark, id, length);
        }
        Ok(match created.map_err(failed)? {
            Created::New => Some(Put::Stored),
            Created::WasThere => Some(Put::AlreadyThere),
            Created::InTheWay => None,
        })
    }

    pub(super) fn check_new_chunk(
        &self,
        length: u64,
        part_of: Option<PartOf>,
        by: Option<PeerId>,
    ) -> Result<(), StoreError> {
        self.writable()?;
        let transfer = part_of.map(|part| (part.transfer_id, part.by));
        let what = self.room_for(by, part_of);
        self.with_room(what, || {
            self.space.check_take(self.disk()?, transfer, length)
        })?;
        self.check_charge(by, length, part_of)
    }

    /// What is in the place of a chunk, whatever it is.
    pub(super) fn peek_chunk(&self, id: ChunkId) -> Result<Bytes, StoreError> {
        let (shard, name) = (self.shard(id), id.to_string());
        let read = shard.read(&name, MAX_SEALED_CHUNK);
        let bytes = read.map_err(|e| io(&shard.path().join(&name), e))?;
        bytes.map(Bytes::from).ok_or_else(|| self.no_chunk(id))
    }

    pub(super) fn get_chunk(&self, id: ChunkId) -> Result<Bytes, StoreError> {
        let there = self.length_of(id)?;
        if there.is_some() {
            if let Some(good) = self.read_good_chunk(id)? {
                return Ok(good);
            }
            return match self.set_aside_bad_chunk(id)? {
                Some(good) => Ok(good),
                None => Err(StoreError::NotFound(Missing::Damaged(id))),
            };
        }
        Err(self.no_chunk(id))
    }

    /// The length of a chunk, which is brought back if it was on its way out.
    pub(super) fn length_of(&self, id: ChunkId) -> Result<Option<u64>, StoreError> {
        let _present = self.rely_on_presence();
        self.length_of_present(id)
    }

    /// The same for a caller who relies on its presence.
    pub(super) fn length_of_present(&self, id: ChunkId) -> Result<Option<u64>, StoreError> {
        match chunk_length(self.shard(id), &id.to_string())? {
            None if self.writable().is_ok() => self.bring_back(id),
            length => Ok(length),
        }
    }

    fn bring_back(&self, id: ChunkId) -> Result<Option<u64>, StoreError> {
        let (shard, name) = (self.shard(id), id.to_string());
        let failed = |error| self.write_failed(0, shard.path(), error);
        match shard.take_back(&name, &self.trash).map_err(failed)? {
            Moved::InTheWay => Ok(None),
            Moved::NotThere => chunk_length(shard, &name),
            Moved::Done => {
                let length = chunk_length(shard, &name)?;
                self.space.charge(length.unwrap_or(0));
                self.charge_by_mark(shard, id);
                Ok(length)
            }
        }
    }

    pub(super) fn missing_chunks(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, StoreError> {
        Ok(self.missing_and_lock(ids.iter().copied())?.0)
    }

    /// Which of `ids` are not there; renews the leases of the others. Gives the lock under which the last of them were
    /// looked at: the others have leases.
    ///
    /// Somebody who waits to take things away keeps all others waiting with him, so no lock is held for long.
    pub(super) fn missing_and_lock(
        &self,
        ids: impl Iterator<Item = ChunkId>,
    ) -> Result<(Vec<ChunkId>, RwLockReadGuard<'_, ()>), StoreError> {
        let (mut missing, ids) = (Vec::new(), ids.collect::<Vec<_>>());
        let mut present = None;
        for slice in ids.chunks(SLICE) {
            drop(present.take());
            present = Some(self.rely_on_presence());
            missing.extend(self.missing_of(slice.iter().copied())?);
        }
        let present = present.unwrap_or_else(|| self.rely_on_presence());
        Ok((missing, present))
    }

    /// Which of `ids` are not there; renews the leases of the others. The caller relies on their presence.
    fn missing_of(&self, ids: impl Iterator<Item = ChunkId>) -> Result<Vec<ChunkId>, StoreError> {
        let writable = self.writable().is_ok();
        // Nothing goes to the trash meanwhile. It is empty mostly, and a large new transfer asks for many.
        let is_empty = self.trash.is_empty();
        let has_trash = writable && !is_empty.map_err(|e| io(self.trash.path(), e))?;
        let mut missing = Vec::new();
        for id in ids {
            let (shard, name) = (self.shard(id), id.to_string());
            let length = match chunk_length(shard, &name)? {
                None if has_trash => self.bring_back(id)?,
                length => length,
            };
            if length.is_none() {
                missing.push(id);
            } else if writable {
                shard
                    .touch(&name)
                    .map_err(|e| self.write_failed(0, shard.path(), e.into()))?;
            }
        }
        Ok(missing)
    }

    pub(super) fn list_chunks(
        &self,
        page: PageRequest<ChunkId>,
    ) -> Result<Page<ChunkInfo>, StoreError> {
        let first = page.after.map_or(0, |after| after.as_bytes()[0]);
        let mut items = Vec::new();
        for number in first..=u8::MAX {
            let shard = &self.shards[usize::from(number)];
            for id in self.chunks_of(number)? {
                if page.after.is_some_and(|after| id <= after) {
                    continue;
                }
                let Some(length) = chunk_length(shard, &id.to_string())? else {
                    continue;
                };
                if items.len() == page.limit {
                    return Ok(Page { items, more: true });
                }
                items.push(ChunkInfo { id, length });
            }
        }
        Ok(Page { items, more: false })
    }

    /// What is called like a chunk in its own shard, in order.
    pub(super) fn chunks_of(
        &self,
        number: u8,
    ) -> Result<impl Iterator<Item = ChunkId> + use<>, StoreError> {
        let shard = &self.shards[usize::from(number)];
        let names = shard.names().map_err(|e| io(shard.path(), e))?;
        let ids = names.into_iter().filter_map(|name| name.parse().ok());
        Ok(ids.filter(move |id: &ChunkId| id.as_bytes()[0] == number))
    }

    /// Moves what is in the place of a chunk out of the way, for somebody to look at, unless it is the chunk after all:
    /// then gives it. It heals by being put again.
    pub(super) fn set_aside_bad_chunk(&self, id: ChunkId) -> Result<Option<Bytes>, StoreError> {
        let _alone = self.take_presence_away();
        if let Some(good) = self.read_good_chunk(id)? {
            return Ok(Some(good));
        }
        let (shard, name) = (self.shard(id), id.to_string());
        if self.writable().is_ok() && shard.has(&name) {
            tracing::error!(chunk = name, "damaged on disk, set aside");
            let length = shard.length(&name).ok().flatten();
            shard
                .move_aside(&name, &self.corrupt)
                .map_err(|e| io(&shard.path().join(&name), e))?;
            self.space.release(length.unwrap_or(0));
            self.charges.release(id);
        }
        Ok(None)
    }

    pub(super) fn read_good_chunk(&self, id: ChunkId) -> Result<Option<Bytes>, StoreError> {
        let (shard, name) = (self.shard(id), id.to_string());
        match shard.read(&name, MAX_SEALED_CHUNK) {
            Ok(Some(bytes)) if ChunkId::of(&bytes) == id || sabotage::without("read-hash") => {
                Ok(Some(bytes.into()))
            }
            Ok(_) => Ok(None),
            // What the disk cannot read is as bad as what it reads wrong.
            Err(e) if Errno::from_io_error(&e) == Some(Errno::IO) => Ok(None),
            Err(e) => Err(io(&shard.path().join(&name), e)),
        }
    }
}

/// The length of the chunk `name`; `None` if what is there cannot be one.
fn chunk_length(shard: &Folder, name: &str) -> Result<Option<u64>, StoreError> {
    let length = shard
        .length(name)
        .map_err(|e| io(&shard.path().join(name), e))?;
    let possible = MIN_SEALED_CHUNK as u64..=MAX_SEALED_CHUNK as u64;
    Ok(length.filter(|length| possible.contains(length)))
}
