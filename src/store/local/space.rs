//! How much may still be written: free space less a reserve, a quota, and what was promised to announced transfers.
//!
//! A promise has an owner, the sender of the transfer, and only chunks that the owner brings draw on it; a share, for the promises of one sender are together at most as
//! much as they leave; and an end, soon after the last chunk of it came. Beyond its share a sender may store what is free
//! at the time, as without a promise.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    disk::{Disk, Room},
    id::{PeerId, TransferId},
    manifest::{MIN_SEALED_CHUNK, Offer},
    store::{Promised, StoreError},
};

/// A promise of which nothing was taken for so long is forgotten: a chunk of a few MiB comes within minutes also on a
/// slow line.
const IDLE: Duration = Duration::from_secs(600);
/// The most promises to one sender, so that offers cannot fill our memory: the oldest gives way.
const PROMISES_PER_SENDER: usize = 64;
/// Counting the chunks of unfinished transfers reads every folder, so a peer cannot have it done at will.
const RECOUNT: Duration = Duration::from_secs(60);

/// A transfer: its id, and its sender, for anybody can copy an id.
pub(super) type Transfer = (TransferId, PeerId);

/// What may be written, and what was promised.
pub(super) struct Space {
    idle: Duration,
    state: Mutex<State>,
    unnamed: Mutex<Option<(u64, Instant)>>,
}

#[derive(Default)]
struct State {
    reserve: Option<u64>,
    quota: Option<u64>,
    promises: BTreeMap<Transfer, Promise>,
    /// Bytes in the store; counted only if there is a quota.
    used: u64,
}

struct Promise {
    /// Promised bytes that have not come.
    left: u64,
    /// Bytes of the transfer that have come, promised or not.
    taken: u64,
    /// When it was made, or last taken from.
    since: Instant,
}

/// The room that a transfer wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Its sealed bytes.
    pub(super) size: u64,
    /// What of them is known to have come.
    pub(super) there: u64,
    /// What the store can let go to make room in its quota.
    pub(super) beyond: u64,
}

/// What the announced transfer takes when it is sealed, less its sums, which are small; 0 if nobody knows.
pub(super) fn sealed_size(offer: &Offer) -> u64 {
    let Some(size) = offer.size else { return 0 };
    let chunks = size.div_ceil(u64::from(offer.chunk_size));
    // Beyond its one plain byte, the shortest sealed chunk is what sealing adds.
    size.saturating_add(chunks * (MIN_SEALED_CHUNK as u64 - 1))
}

/// Bytes that disk and quota leave beside the `used` ones.
pub(super) fn usable(room: Room, quota: Option<u64>, used: u64) -> u64 {
    let of_quota = quota.map_or(u64::MAX, |quota| quota.saturating_sub(used));
    match room.files {
        0 => 0,
        _ => room.usable().min(of_quota),
    }
}

impl Space {
    pub(super) fn new(reserve: Option<u64>, quota: Option<u64>, used: u64) -> Self {
        let state = State {
            reserve,
            quota,
            used,
            ..State::default()
        };
        Self {
            idle: IDLE,
            state: Mutex::new(state),
            unnamed: Mutex::default(),
        }
    }

    /// Whether the bytes in the store are counted.
    pub(super) fn counts(&self) -> bool {
        self.lock().quota.is_some()
    }

    /// The most bytes, if that is limited.
    pub(super) fn quota(&self) -> Option<u64> {
        self.lock().quota
    }

    /// From now on so much stays free, and so much is the most. `used` is what the store has, if that was counted anew.
    pub(super) fn limit(&self, reserve: Option<u64>, quota: Option<u64>, used: Option<u64>) {
        let mut state = self.lock();
        (state.reserve, state.quota) = (reserve, quota);
        state.used = used.unwrap_or(state.used);
    }

    /// Fails if a transfer does not fit, less what has come of it: what was taken of its promise, or what the caller knows to be
    /// there.
    pub(super) fn fits(
        &self,
        disk: Disk,
        transfer: Transfer,
        wanted: Wanted,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let before = state.promises.remove(&transfer);
        let needed = still_to_come(wanted, before.as_ref());
        let fits = self.check(&state, disk, needed, wanted.beyond);
        state.promises.extend(before.map(|p| (transfer, p)));
        fits
    }

    /// Promises a transfer that [fits](Self::fits) what is still to come of it, as far as the share of its sender goes.
    pub(super) fn promise(
        &self,
        disk: Disk,
        transfer: Transfer,
        wanted: Wanted,
    ) -> Result<(), StoreError> {
        let Wanted { size, there, .. } = wanted;
        let mut state = self.lock();
        let before = state.promises.remove(&transfer);
        let needed = still_to_come(wanted, before.as_ref());
        if let Err(error) = self.check(&state, disk, needed, wanted.beyond) {
            state.promises.extend(before.map(|p| (transfer, p)));
            return Err(error);
        }
        if size > 0 {
            state.make_room(transfer.1);
            let promise = Promise {
                left: needed.min(self.share(&state, disk, transfer.1)),
                taken: before.map_or(there, |before| before.taken.max(there)),
                since: Instant::now(),
            };
            state.promises.insert(transfer, promise);
        }
        Ok(())
    }

    /// What may still be promised to `sender`: no more than it leaves to all others.
    fn share(&self, state: &State, disk: Disk, sender: PeerId) -> u64 {
        let of_sender = state.promised_to(sender);
        let not_of_others = self.free_of(state, disk).saturating_add(of_sender);
        (not_of_others / 2).saturating_sub(of_sender)
    }

    /// Takes `bytes`, of what was promised to `transfer` first.
    pub(super) fn take(
        &self,
        disk: Disk,
        transfer: Option<Transfer>,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        self.check_take_of(&mut state, disk, transfer, bytes)?;
        if let Some(promise) = transfer.and_then(|transfer| state.promises.get_mut(&transfer)) {
            promise.left = promise.left.saturating_sub(bytes);
            promise.taken = promise.taken.saturating_add(bytes);
            promise.since = Instant::now();
        }
        state.used = state.used.saturating_add(bytes);
        Ok(())
    }

    /// Fails as [`take`](Self::take) does. Takes nothing.
    pub(super) fn check_take(
        &self,
        disk: Disk,
        transfer: Option<Transfer>,
        bytes: u64,
    ) -> Result<(), StoreError> {
        self.check_take_of(&mut self.lock(), disk, transfer, bytes)
    }

    fn check_take_of(
        &self,
        state: &mut State,
        disk: Disk,
        transfer: Option<Transfer>,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let promised = transfer.and_then(|transfer| state.promises.get_mut(&transfer));
        let left = promised.map_or(0, |promise| promise.left);
        if left < bytes {
            self.check(state, disk, bytes - left, 0)?;
        }
        // Files are promised to nobody.
        disk.room(state.reserve).check(0, 1)?;
        Ok(())
    }

    /// Takes `bytes` for a manifest, which may use the reserve.
    pub(super) fn take_for_manifest(&self, bytes: u64) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.check_quota(state.used, bytes)?;
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

    /// How many bytes of `needed` the quota does not leave.
    pub(super) fn lacking(&self, needed: u64) -> u64 {
        let state = self.lock();
        let used = state.used.saturating_add(state.promised());
        let free = state
            .quota
            .map_or(u64::MAX, |quota| quota.saturating_sub(used));
        needed.saturating_sub(free)
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

    /// The state, without promises whose time is over.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_alive = |promise: &Promise| promise.since.elapsed() < self.idle;
        state.promises.retain(|_, promise| is_alive(promise));
        state
    }

    /// What may still be promised or taken.
    pub(super) fn free(&self, disk: Disk) -> u64 {
        self.free_of(&self.lock(), disk)
    }

    /// What disk and quota leave, each by itself, less what is promised.
    pub(super) fn beside_promises(&self, disk: Disk) -> (u64, Option<u64>) {
        let state = self.lock();
        let promised = state.promised();
        let left = |of: u64| of.saturating_sub(promised);
        let of_quota = state
            .quota
            .map(|quota| left(quota.saturating_sub(state.used)));
        (left(disk.room(state.reserve).usable()), of_quota)
    }

    fn free_of(&self, state: &State, disk: Disk) -> u64 {
        usable(disk.room(state.reserve), state.quota, state.used).saturating_sub(state.promised())
    }

    /// Whether `needed` bytes may be written to a file beside what was promised, if the store lets go of what is `beyond` its quota.
    fn check(&self, state: &State, disk: Disk, needed: u64, beyond: u64) -> Result<(), StoreError> {
        let promised = state.promised();
        let room = disk.room(state.reserve);
        let free = room.free.saturating_sub(promised);
        let fits = Room { free, ..room }.check(needed, 1);
        let fits = fits.map_err(StoreError::from).and_then(|()| {
            let used = state.used.saturating_add(promised);
            state.check_quota(used.saturating_sub(beyond), needed)
        });
        fits.map_err(|error| error.beside(self.promised(state)))
    }

    fn promised(&self, state: &State) -> Promised {
        let promises = state.promises.values().filter(|promise| promise.left > 0);
        let ends = promises.map(|promise| self.idle.saturating_sub(promise.since.elapsed()));
        Promised {
            bytes: state.promised(),
            seconds: ends.max().map_or(0, |end| end.as_secs() + 1),
        }
    }
}

/// What must be free for a transfer. Without a size nothing is known, but there must be space for something.
fn still_to_come(wanted: Wanted, before: Option<&Promise>) -> u64 {
    let Wanted { size, there, .. } = wanted;
    let come = before.map_or(there, |before| before.taken.max(there));
    size.saturating_sub(come).max(1)
}

impl State {
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
            promised: Promised::default(),
            remote: None,
        })
    }

    fn promised(&self) -> u64 {
        let left = self.promises.values().map(|promise| promise.left);
        left.fold(0, u64::saturating_add)
    }

    fn promised_to(&self, sender: PeerId) -> u64 {
        let of_sender = self.promises.iter().filter(|((_, s), _)| *s == sender);
        let left = of_sender.map(|(_, promise)| promise.left);
        left.fold(0, u64::saturating_add)
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
        files: None,
    };

    /// A transfer of this size of which so much has come.
    fn of(size: u64, there: u64) -> Wanted {
        let beyond = 0;
        Wanted {
            size,
            there,
            beyond,
        }
    }

    fn transfer(n: u8) -> Transfer {
        (TransferId::from_bytes([n; 16]), PeerId::of(b"sender"))
    }

    fn of_another(n: u8) -> Transfer {
        (TransferId::from_bytes([n; 16]), PeerId::of(b"another"))
    }

    #[test]
    fn a_disk_with_few_files_left_takes_no_chunk_more() {
        let space = Space::new(Some(0), None, 0);
        space.promise(DISK, transfer(1), of(400, 0)).unwrap();
        let disk = Disk {
            files: Some((100, 5_000)),
            ..DISK
        };
        let refused = space.take(disk, Some(transfer(1)), 1).unwrap_err();
        assert!(matches!(refused, StoreError::NoRoom { .. }), "{refused}");
        let refused = space.fits(disk, transfer(2), of(1, 0)).unwrap_err();
        assert!(matches!(refused, StoreError::NoRoom { .. }), "{refused}");
    }

    #[test]
    fn what_is_promised_to_one_cannot_be_taken_by_another() {
        let space = Space::new(Some(100), None, 0);
        assert_eq!(space.free(DISK), 900);
        space.promise(DISK, transfer(1), of(400, 0)).unwrap();
        assert_eq!(space.free(DISK), 500);
        assert!(space.promise(DISK, of_another(2), of(501, 0)).is_err());
        assert!(space.take(DISK, Some(transfer(2)), 501).is_err());
        space.take(DISK, Some(transfer(1)), 400).unwrap();
        space.settle(transfer(1));
        space.promise(DISK, of_another(2), of(900, 0)).unwrap();
    }

    #[test]
    fn the_promises_of_a_sender_leave_as_much_to_the_others() {
        for sizes in [&[900][..], &[1; 900], &[500, 400], &[450, 450, 450]] {
            let space = Space::new(Some(100), None, 0);
            for (n, size) in (0..).zip(sizes) {
                let id = TransferId::from_bytes(u128::to_be_bytes(n));
                // It may be refused in the end; what it had then counts.
                let _ = space.promise(DISK, (id, PeerId::of(b"sender")), of(*size, 0));
            }
            assert!(space.free(DISK) >= 450, "{sizes:?}");
            space.promise(DISK, of_another(1), of(450, 0)).unwrap();
            assert!(space.free(DISK) >= 225, "{sizes:?}");
            space.take(DISK, None, 225).unwrap();
        }
    }

    #[test]
    fn a_refusal_says_how_much_is_promised_and_for_how_long() {
        let promised = |space: &Space| match space.take(DISK, None, 901) {
            Err(StoreError::NoSpace { promised, .. }) => promised,
            other => panic!("{other:?}"),
        };
        for quota in [None, Some(1_000)] {
            let space = Space::new(Some(100), quota, 0);
            assert_eq!(promised(&space), Promised::default());
            space.promise(DISK, transfer(1), of(400, 0)).unwrap();
            let found = promised(&space);
            assert_eq!(found.bytes, 400);
            assert!(
                (1..=IDLE.as_secs() + 1).contains(&found.seconds),
                "{found:?}"
            );
        }
    }

    #[test]
    fn beyond_its_share_a_transfer_may_use_what_is_free() {
        let space = Space::new(Some(100), None, 0);
        space.promise(DISK, transfer(1), of(900, 0)).unwrap();
        space.take(DISK, Some(transfer(1)), 900).unwrap();
    }

    #[test]
    fn a_promise_without_chunks_ends_and_each_chunk_renews_it() {
        let space = Space::new(Some(100), None, 0);
        space.promise(DISK, transfer(1), of(400, 0)).unwrap();
        let made = space.lock().promises[&transfer(1)].since;
        space.take(DISK, Some(transfer(1)), 1).unwrap();
        assert!(space.lock().promises[&transfer(1)].since > made);
        let idle = Duration::ZERO;
        let space = Space { idle, ..space };
        assert_eq!(space.free(DISK), 900, "nothing came for so long");
        assert!(space.state.lock().unwrap().promises.is_empty());
    }

    #[test]
    fn a_refused_offer_leaves_no_promise_and_takes_none_away() {
        let space = Space::new(Some(100), None, 0);
        assert!(space.promise(DISK, transfer(1), of(901, 0)).is_err());
        assert_eq!(space.free(DISK), 900);
        space.promise(DISK, transfer(1), of(400, 0)).unwrap();
        assert!(space.promise(DISK, transfer(1), of(901, 0)).is_err());
        assert!(space.fits(DISK, transfer(1), of(901, 0)).is_err());
        space.fits(DISK, transfer(1), of(900, 0)).unwrap();
        assert_eq!(space.free(DISK), 500, "as it was");
    }

    #[test]
    fn what_has_come_is_not_asked_for_again() {
        let space = Space::new(Some(0), None, 0);
        space.promise(DISK, transfer(1), of(900, 0)).unwrap();
        space.take(DISK, Some(transfer(1)), 600).unwrap();
        let disk = Disk { free: 400, ..DISK };
        space.promise(disk, transfer(1), of(900, 0)).unwrap();
        let after_a_restart = Space::new(Some(0), None, 0);
        assert!(
            after_a_restart
                .promise(disk, transfer(1), of(900, 0))
                .is_err()
        );
        after_a_restart
            .promise(disk, transfer(1), of(900, 600))
            .unwrap();
    }

    #[test]
    fn a_copied_transfer_id_takes_no_promise_away() {
        let space = Space::new(Some(0), None, 0);
        space.promise(DISK, transfer(1), of(400, 0)).unwrap();
        let copied = of_another(1);
        assert!(space.take(DISK, Some(copied), 601).is_err());
        space.promise(DISK, copied, of(1, 0)).unwrap();
        space.settle(copied);
        assert!(space.take(DISK, None, 601).is_err());
        space.take(DISK, Some(transfer(1)), 400).unwrap();
    }

    #[test]
    fn one_sender_has_a_bounded_number_of_promises() {
        let space = Space::new(Some(0), None, 0);
        for n in 0..=255 {
            space.promise(DISK, transfer(n), of(1, 0)).unwrap();
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
                quota: Some(500),
                promised: Promised {
                    bytes: 0,
                    seconds: 0
                },
                remote: None,
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
