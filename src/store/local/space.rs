//! How much may still be written: free space less a reserve, a quota, and what was promised to announced transfers.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    id::{PeerId, TransferId},
    manifest::{MIN_SEALED_CHUNK, Offer},
    store::StoreError,
};

/// A promise that nobody draws on is forgotten after this.
const PROMISE: Duration = Duration::from_secs(24 * 3600);
/// The most promises to one sender, so that offers cannot fill our memory: the oldest gives way.
const PROMISES_PER_SENDER: usize = 64;
/// What is kept free for manifests, receipts and logs, unless the disk is small.
const RESERVE: u64 = 1 << 30;
/// Counting the chunks of unfinished transfers reads every folder, so a peer cannot have it done at will.
const RECOUNT: Duration = Duration::from_secs(60);

/// A transfer: its id, and its sender, for anybody can copy an id.
pub(super) type Transfer = (TransferId, PeerId);

/// What may be written, and what was promised.
pub(super) struct Space {
    reserve: Option<u64>,
    quota: Option<u64>,
    state: Mutex<State>,
    unnamed: Mutex<Option<(u64, Instant)>>,
}

#[derive(Default)]
struct State {
    promises: BTreeMap<Transfer, Promise>,
    /// Bytes in the store; counted only if there is a quota.
    used: u64,
}

struct Promise {
    size: u64,
    /// What has come of it.
    taken: u64,
    since: Instant,
}

impl Promise {
    fn left(&self) -> u64 {
        self.size.saturating_sub(self.taken)
    }
}

/// What the disk says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    pub(super) free: u64,
    pub(super) size: u64,
}

impl Disk {
    /// The disk that `folder` is on.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(folder)?;
        Ok(Self {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            size: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}

/// What a disk has for a store, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Free on the disk, for us.
    pub free: u64,
    /// What stays free.
    pub reserve: u64,
}

impl Room {
    /// What may still be written.
    pub fn usable(self) -> u64 {
        self.free.saturating_sub(self.reserve)
    }
}

pub(super) fn room(disk: Disk, reserve: Option<u64>) -> Room {
    Room {
        free: disk.free,
        reserve: reserve.unwrap_or_else(|| RESERVE.min(disk.size / 50)),
    }
}

/// What the announced transfer takes when it is sealed, less its sums, which are small; 0 if nobody knows.
pub(super) fn sealed_size(offer: &Offer) -> u64 {
    let Some(size) = offer.size else { return 0 };
    let chunks = size.div_ceil(u64::from(offer.chunk_size));
    // Beyond its one plain byte, the shortest sealed chunk is what sealing adds.
    size.saturating_add(chunks * (MIN_SEALED_CHUNK as u64 - 1))
}

impl Space {
    pub(super) fn new(reserve: Option<u64>, quota: Option<u64>, used: u64) -> Self {
        let state = State {
            used,
            ..State::default()
        };
        Self {
            reserve,
            quota,
            state: Mutex::new(state),
            unnamed: Mutex::default(),
        }
    }

    /// Promises `size` bytes to a transfer, less what has come of it: what was taken of an earlier promise, or what
    /// the caller knows to be `there`.
    pub(super) fn promise(
        &self,
        disk: Disk,
        transfer: Transfer,
        size: u64,
        there: u64,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        state
            .promises
            .retain(|_, promise| promise.since.elapsed() < PROMISE);
        let before = state.promises.remove(&transfer);
        let promise = Promise {
            size,
            taken: before.as_ref().map_or(there, |b| b.taken.max(there)),
            since: Instant::now(),
        };
        // Without a size nothing can be promised, but there must be space for something.
        let checked = self.check(&state, disk, promise.left().max(1));
        if let Err(error) = checked {
            state
                .promises
                .extend(before.map(|before| (transfer, before)));
            return Err(error);
        }
        if size > 0 {
            state.make_room(transfer.1);
            state.promises.insert(transfer, promise);
        }
        Ok(())
    }

    /// Takes `bytes`, of what was promised to `transfer` first.
    pub(super) fn take(
        &self,
        disk: Disk,
        transfer: Option<TransferId>,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let promised = transfer.and_then(|transfer| state.promise_to(transfer));
        let left = promised.map_or(0, |promise| promise.left());
        if left < bytes {
            self.check(&state, disk, bytes - left)?;
        }
        if let Some(promise) = transfer.and_then(|transfer| state.promise_to(transfer)) {
            promise.taken = promise.taken.saturating_add(bytes);
            promise.since = Instant::now();
        }
        state.used = state.used.saturating_add(bytes);
        Ok(())
    }

    /// Takes `bytes` for a manifest, which may use the reserve.
    pub(super) fn take_for_manifest(&self, bytes: u64) -> Result<(), StoreError> {
        let mut state = self.lock();
        self.check_quota(state.used, bytes)?;
        state.used = state.used.saturating_add(bytes);
        Ok(())
    }

    /// Counts `bytes` that are here anyway.
    pub(super) fn charge(&self, bytes: u64) {
        let mut state = self.lock();
        state.used = state.used.saturating_add(bytes);
    }

    /// A transfer is complete: nothing is promised to it any more.
    pub(super) fn settle(&self, transfer: Transfer) {
        self.lock().promises.remove(&transfer);
    }

    /// Gives `bytes` back.
    pub(super) fn release(&self, bytes: u64) {
        let mut state = self.lock();
        state.used = state.used.saturating_sub(bytes);
    }

    /// What `count` gave, a while ago at most.
    pub(super) fn unnamed(
        &self,
        count: impl FnOnce() -> Result<u64, StoreError>,
    ) -> Result<u64, StoreError> {
        let mut cached = self.unnamed.lock().unwrap_or_else(PoisonError::into_inner);
        match *cached {
            Some((bytes, when)) if when.elapsed() < RECOUNT => Ok(bytes),
            _ => {
                let bytes = count()?;
                *cached = Some((bytes, Instant::now()));
                Ok(bytes)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may still be promised or taken.
    pub(super) fn free(&self, disk: Disk) -> u64 {
        let state = self.lock();
        let of_disk = room(disk, self.reserve).usable();
        let of_quota = self
            .quota
            .map_or(u64::MAX, |quota| quota.saturating_sub(state.used));
        of_disk.min(of_quota).saturating_sub(state.promised())
    }

    fn check(&self, state: &State, disk: Disk, needed: u64) -> Result<(), StoreError> {
        let promised = state.promised();
        let free = room(disk, self.reserve).usable().saturating_sub(promised);
        if needed > free {
            return Err(StoreError::NoSpace {
                needed,
                free,
                quota: None,
            });
        }
        self.check_quota(state.used.saturating_add(promised), needed)
    }

    fn check_quota(&self, used: u64, needed: u64) -> Result<(), StoreError> {
        let Some(quota) = self.quota else {
            return Ok(());
        };
        let free = quota.saturating_sub(used);
        if needed <= free {
            return Ok(());
        }
        Err(StoreError::NoSpace {
            needed,
            free,
            quota: Some(quota),
        })
    }
}

impl State {
    fn promised(&self) -> u64 {
        self.promises
            .values()
            .fold(0, |sum, promise| sum.saturating_add(promise.left()))
    }

    /// A chunk names its transfer but not the sender: whoever was promised something by that id.
    fn promise_to(&mut self, transfer: TransferId) -> Option<&mut Promise> {
        let first = (transfer, PeerId::from_bytes([0; 32]));
        let last = (transfer, PeerId::from_bytes([0xff; 32]));
        self.promises
            .range_mut(first..=last)
            .map(|(_, promise)| promise)
            .find(|promise| promise.left() > 0)
    }

    fn make_room(&mut self, sender: PeerId) {
        let of_sender = self.promises.iter().filter(|((_, s), _)| *s == sender);
        if of_sender.clone().count() < PROMISES_PER_SENDER {
            return;
        }
        let oldest = of_sender.min_by_key(|(_, promise)| promise.since);
        if let Some(oldest) = oldest.map(|(transfer, _)| *transfer) {
            self.promises.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Disk = Disk {
        free: 1_000,
        size: 2_000,
    };

    fn transfer(n: u8) -> Transfer {
        (TransferId::from_bytes([n; 16]), PeerId::of(b"sender"))
    }

    #[test]
    fn what_is_promised_to_one_cannot_be_taken_by_another() {
        let space = Space::new(Some(100), None, 0);
        assert_eq!(space.free(DISK), 900);
        space.promise(DISK, transfer(1), 600, 0).unwrap();
        assert_eq!(space.free(DISK), 300);
        assert!(space.promise(DISK, transfer(2), 400, 0).is_err());
        assert!(space.take(DISK, Some(transfer(2).0), 400).is_err());
        space.take(DISK, Some(transfer(1).0), 600).unwrap();
        space.settle(transfer(1));
        space.promise(DISK, transfer(2), 900, 0).unwrap();
    }

    #[test]
    fn what_has_come_is_not_asked_for_again() {
        let space = Space::new(Some(0), None, 0);
        space.promise(DISK, transfer(1), 900, 0).unwrap();
        space.take(DISK, Some(transfer(1).0), 600).unwrap();
        let disk = Disk { free: 400, ..DISK };
        space.promise(disk, transfer(1), 900, 0).unwrap();
        let after_a_restart = Space::new(Some(0), None, 0);
        assert!(after_a_restart.promise(disk, transfer(1), 900, 0).is_err());
        after_a_restart
            .promise(disk, transfer(1), 900, 600)
            .unwrap();
    }

    #[test]
    fn a_copied_transfer_id_takes_no_promise_away() {
        let space = Space::new(Some(0), None, 0);
        space.promise(DISK, transfer(1), 900, 0).unwrap();
        let copied = (transfer(1).0, PeerId::of(b"another"));
        space.promise(DISK, copied, 1, 0).unwrap();
        space.settle(copied);
        assert!(space.take(DISK, None, 101).is_err());
        space.take(DISK, Some(transfer(1).0), 900).unwrap();
    }

    #[test]
    fn one_sender_has_a_bounded_number_of_promises() {
        let space = Space::new(Some(0), None, 0);
        for n in 0..=255 {
            space.promise(DISK, transfer(n), 1, 0).unwrap();
        }
        assert_eq!(space.lock().promises.len(), PROMISES_PER_SENDER);
    }

    #[test]
    fn a_quota_binds_and_says_so() {
        let space = Space::new(Some(0), Some(500), 300);
        let refused = space.take(DISK, None, 201).unwrap_err();
        assert!(matches!(
            refused,
            StoreError::NoSpace {
                needed: 201,
                free: 200,
                quota: Some(500)
            }
        ));
        assert_eq!(space.free(DISK), 200);
        space.take(DISK, None, 200).unwrap();
        assert_eq!(space.free(DISK), 0);
        space.release(100);
        space.take(DISK, None, 100).unwrap();
        assert!(space.take_for_manifest(1).is_err());
    }

    #[test]
    fn what_was_counted_is_not_counted_again_at_once() {
        let space = Space::new(None, None, 0);
        assert_eq!(space.unnamed(|| Ok(7)).unwrap(), 7);
        assert_eq!(space.unnamed(|| Ok(8)).unwrap(), 7);
    }
}
