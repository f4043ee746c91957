//! Who is charged for chunks that no manifest names: the peer that put them, or whose manifest named them until it was
//! deleted or expired.
//!
//! What one peer has here in this way is bounded, whatever its role: it leaves as much to the others as it takes. Beyond
//! that it may put what it has announced. The sums are kept in memory, chunk by chunk; after a restart they are made from
//! the [marks](super::marks) of the files, when somebody comes near a bound or when chunks are collected.

mod limits;
mod unannounced;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    Inner, LocalStore, ManifestId, SignedManifest, StoreError,
    announced::Sizes,
    disk::Folder,
    marks::{Mark, Why},
    space::Transfer,
};
use crate::id::{ChunkId, PeerId};

/// What a chunk takes of a disk beside its bytes, at most.
const OF_A_FILE: u64 = 4096;
/// On its way to others than the owner, a peer may have as much as its quota for that, or this: a table comes before its
/// transfer is announced.
const LEAST_UNDERWAY: u64 = 64 << 20;
/// Chunks of all peers that are remembered one by one. Those beyond it are charged until they are counted again.
const MAX_CHUNKS: usize = 1 << 19;
/// The part of a bound that is given before all was counted.
const UNCOUNTED: u64 = 16;
/// Counting again takes at most this part of the time.
const SELDOM: u32 = 20;
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// The chunks of one peer that no manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unnamed {
    /// Who put them; `None` if that is not known.
    pub peer_id: Option<PeerId>,
    /// How many.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Unnamed {
    /// Adds a chunk of `bytes` to what `list` has of `peer`.
    pub(super) fn add(list: &mut Vec<Self>, peer_id: Option<PeerId>, bytes: u64) {
        match list.iter_mut().find(|one| one.peer_id == peer_id) {
            Some(one) => (one.chunks, one.bytes) = (one.chunks + 1, one.bytes + bytes),
            None => list.push(Self {
                peer_id,
                chunks: 1,
                bytes,
            }),
        }
    }
}

/// All accounts of a store.
#[derive(Default)]
pub(super) struct Charges(Mutex<State>);

#[derive(Default)]
struct State {
    accounts: HashMap<PeerId, Account>,
    remembered: usize,
    counted: Option<Counted>,
    /// Chunks that are charged to one peer, and that another has put too.
    shared: HashSet<ChunkId>,
}

#[derive(Clone, Copy)]
struct Counted {
    at: Instant,
    took: Duration,
}

#[derive(Default)]
struct Account {
    chunks: HashMap<ChunkId, (u32, Why)>,
    sum: Sum,
    /// What of it is in `sum` only.
    not_remembered: Sum,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    chunks: u64,
    bytes: u64,
    /// Bytes that no manifest ever named.
    put: u64,
}

/// What a peer may have here unnamed.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Free bytes of the disk, of the quota, and free files.
    pub(super) disk: u64,
    pub(super) quota: Option<u64>,
    pub(super) files: Option<u64>,
    pub(super) relay: Option<u64>,
    pub(super) announced: Sizes,
}

impl Sum {
    fn add(&mut self, bytes: u64, why: Why) {
        self.chunks += 1;
        self.bytes += bytes;
        self.put += if why.is_put() { bytes } else { 0 };
    }

    fn less(self, other: Self) -> Self {
        Self {
            chunks: self.chunks.saturating_sub(other.chunks),
            bytes: self.bytes.saturating_sub(other.bytes),
            put: self.put.saturating_sub(other.put),
        }
    }

    /// Fails if `needed` bytes more are too many.
    fn check(self, needed: u64, limits: Limits, part: u64) -> Result<(), StoreError> {
        let announced = limits.announced;
        let share = |used: u64, free: u64| used.saturating_add(free) / 2 / part;
        let within = |used: u64, needed: u64, limit: u64| match used.saturating_add(needed) <= limit
        {
            true => Ok(()),
            false => Err(StoreError::TooMuchUnnamed {
                needed,
                free: limit.saturating_sub(used),
                limit,
            }),
        };
        let weight = self.bytes.saturating_add(self.chunks * OF_A_FILE);
        let limit = share(weight, limits.disk).saturating_add(announced.all);
        within(weight, needed + OF_A_FILE, limit)?;
        if let Some(free) = limits.quota {
            let limit = share(self.bytes, free).saturating_add(announced.all);
            within(self.bytes, needed, limit)?;
        }
        if let Some(free) = limits.files.filter(|_| announced.all == 0)
            && self.chunks >= share(self.chunks, free)
        {
            return within(self.bytes, needed, self.bytes);
        }
        if let Some(relay) = limits.relay {
            let limit = relay.max(LEAST_UNDERWAY) / part;
            within(self.put, needed, limit.saturating_add(announced.for_owner))?;
        }
        Ok(())
    }
}

impl State {
    fn add(&mut self, peer: PeerId, id: ChunkId, bytes: u64, why: Why) -> bool {
        let account = self.accounts.entry(peer).or_default();
        if account.chunks.contains_key(&id) {
            return false;
        }
        account.sum.add(bytes, why);
        match u32::try_from(bytes) {
            Ok(length) if self.remembered < MAX_CHUNKS => {
                self.remembered += 1;
                account.chunks.insert(id, (length, why));
            }
            _ => account.not_remembered.add(bytes, why),
        }
        true
    }

    fn remove(&mut self, id: ChunkId, of: impl Fn(PeerId) -> bool) -> bool {
        let mut found = false;
        for (_, account) in self.accounts.iter_mut().filter(|(peer, _)| of(**peer)) {
            if let Some((length, why)) = account.chunks.remove(&id) {
                let mut one = Sum::default();
                one.add(u64::from(length), why);
                account.sum = account.sum.less(one);
                self.remembered -= 1;
                found = true;
            }
        }
        if found {
            self.shared.remove(&id);
        }
        found
    }
}

impl Charges {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges a chunk that `peer` puts. Gives whether it was not charged to it before.
    pub(super) fn charge(
        &self,
        Mark { peer, why }: Mark,
        id: ChunkId,
        bytes: u64,
        limits: Option<Limits>,
    ) -> Result<bool, StoreError> {
        let mut state = self.lock();
        if let Some(limits) = limits {
            check(&state, peer, bytes, limits)?;
        }
        Ok(state.add(peer, id, bytes, why))
    }

    /// Fails as [`charge`](Self::charge) does.
    pub(super) fn check(&self, peer: PeerId, bytes: u64, limits: Limits) -> Result<(), StoreError> {
        check(&self.lock(), peer, bytes, limits)
    }

    /// Charges what is here, as its mark says.
    pub(super) fn note(&self, mark: Mark, id: ChunkId, bytes: u64) {
        self.lock().add(mark.peer, id, bytes, mark.why);
    }

    /// `peer` has not stored it after all.
    pub(super) fn give_back(&self, peer: PeerId, id: ChunkId) {
        self.lock().remove(id, |other| other == peer);
    }

    /// Whether `id` is charged to `peer`, because that has put it.
    pub(super) fn has(&self, peer: PeerId, id: ChunkId) -> bool {
        let state = self.lock();
        let account = state.accounts.get(&peer);
        let found = account.and_then(|account| account.chunks.get(&id));
        found.is_some_and(|(_, why)| why.is_put())
    }

    /// It is gone, or named. Gives whether it was charged to somebody.
    pub(super) fn release(&self, id: ChunkId) -> bool {
        self.lock().remove(id, |_| true)
    }

    /// `peer` has put a chunk that was there.
    pub(super) fn note_another(&self, peer: PeerId, id: ChunkId) {
        let mut state = self.lock();
        let mut others = state.accounts.iter().filter(|(other, _)| **other != peer);
        if others.any(|(_, account)| account.chunks.contains_key(&id)) {
            state.shared.insert(id);
        }
    }

    /// Whether `peer` has put a chunk that no manifest has named yet, and nobody else has.
    fn is_put_by_alone(&self, peer: PeerId, id: ChunkId) -> bool {
        let state = self.lock();
        let mut others = state.accounts.iter().filter(|(other, _)| **other != peer);
        let own = state.accounts.get(&peer);
        let own = own.and_then(|account| account.chunks.get(&id));
        own.is_some_and(|(_, why)| why.is_put())
            && !state.shared.contains(&id)
            && !others.any(|(_, account)| account.chunks.contains_key(&id))
    }

    /// Whether another look at the store may find less, and is not too soon.
    fn may_be_wrong(&self) -> bool {
        let counted = self.lock().counted;
        counted
            .is_none_or(|counted| counted.at.elapsed() > (counted.took * SELDOM).max(LEAST_PAUSE))
    }

    /// Everything is looked at again: what is named is charged to nobody.
    pub(super) fn begin_count(&self, named: &HashSet<ChunkId>) {
        let mut state = self.lock();
        let mut wrong = Vec::new();
        for account in state.accounts.values_mut() {
            let beyond = std::mem::take(&mut account.not_remembered);
            account.sum = account.sum.less(beyond);
            wrong.extend(account.chunks.keys().filter(|id| named.contains(id)));
        }
        for id in wrong {
            state.remove(id, |_| true);
        }
        state.accounts.retain(|_, account| account.sum.chunks > 0);
    }

    pub(super) fn end_count(&self, began: Instant) {
        let (at, took) = (Instant::now(), began.elapsed());
        self.lock().counted = Some(Counted { at, took });
    }
}

fn check(state: &State, peer: PeerId, bytes: u64, limits: Limits) -> Result<(), StoreError> {
    let sum = state.accounts.get(&peer).map(|account| account.sum);
    let part = if state.counted.is_some() {
        1
    } else {
        UNCOUNTED
    };
    sum.unwrap_or_default().check(bytes, limits, part)
}

impl LocalStore {
    /// Who put the chunks that no manifest names, the largest sum first. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn unnamed(&self) -> Result<Vec<Unnamed>, StoreError> {
        let (inner, mut list) = (&self.inner, Vec::new());
        inner.each_unnamed(&inner.named_chunks()?, |shard, id| {
            let name = id.to_string();
            if let Ok(Some(length)) = shard.length(&name) {
                let peer = shard.mark_of(&name).map(|mark| mark.peer);
                Unnamed::add(&mut list, peer, length);
            }
        })?;
        list.sort_by_key(|one| std::cmp::Reverse(one.bytes));
        Ok(list)
    }
}

impl Inner {
    /// What was refused because of a sum that may be too large is tried again once it was counted. The caller must not rely
    /// on presence.
    pub(super) fn again_if_counted_anew<T>(
        &self,
        work: impl Fn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match work() {
            Err(StoreError::TooMuchUnnamed { .. }) if self.charges.may_be_wrong() => {
                self.count_charges()?;
                work()
            }
            done => done,
        }
    }

    /// Counts again, if what was counted may be wrong by now. The caller must not rely on presence.
    pub(super) fn count_charges_anew(&self) -> Result<(), StoreError> {
        match self.charges.may_be_wrong() {
            true => self.count_charges(),
            false => Ok(()),
        }
    }

    fn count_charges(&self) -> Result<(), StoreError> {
        let began = Instant::now();
        let named = self.named_chunks()?;
        self.charges.begin_count(&named);
        self.each_unnamed(&named, |shard, id| self.charge_by_mark(shard, id))?;
        self.charges.end_count(began);
        Ok(())
    }

    pub(super) fn charge_by_mark(&self, shard: &Folder, id: ChunkId) {
        let name = id.to_string();
        if let Some(mark) = shard.mark_of(&name)
            && let Ok(Some(length)) = shard.length(&name)
        {
            self.charges.note(mark, id, length);
        }
    }

    fn each_unnamed(
        &self,
        named: &HashSet<ChunkId>,
        mut see: impl FnMut(&Folder, ChunkId),
    ) -> Result<(), StoreError> {
        for (number, shard) in (0..=u8::MAX).zip(&self.shards) {
            let unnamed = self.chunks_of(number)?.filter(|id| !named.contains(id));
            unnamed.for_each(|id| see(shard, id));
        }
        Ok(())
    }

    /// A manifest that was published names them: from now on its sender is charged for them by that. Returns whether nobody but its
    /// sender has put them, and nothing named them.
    pub(super) fn chunks_are_named(&self, manifest: &SignedManifest) -> bool {
        let (payload, mut own) = (manifest.payload(), true);
        for id in payload.all_chunks() {
            own &= self.charges.is_put_by_alone(payload.sender, id);
            if self.charges.release(id) {
                self.shard(id).remove_mark(&id.to_string());
            }
        }
        self.settle_transfer((payload.transfer_id, payload.sender));
        own
    }

    fn settle_transfer(&self, transfer: Transfer) {
        self.space.settle(transfer);
        self.announced.settle(transfer);
    }

    /// The chunks of a manifest that is about to go are charged to its sender, as those were that it had only put. One that
    /// another manifest names is charged until it is counted again.
    pub(super) fn charge_what_is_left(&self, id: ManifestId) -> Result<(), StoreError> {
        let Some(envelope) = self.read_good_manifest(id)? else {
            return Ok(());
        };
        let manifest = SignedManifest::parse(envelope)?;
        let (peer, why) = (manifest.payload().sender, Why::Left);
        let mark = Mark { peer, why };
        for id in manifest.payload().all_chunks() {
            let (shard, name) = (self.shard(id), id.to_string());
            if let Ok(Some(length)) = shard.length(&name) {
                shard.set_mark(&name, mark);
                self.charges.note(mark, id, length);
            }
        }
        Ok(())
    }

    /// After collecting: what was announced long ago and never came counts no more.
    pub(super) fn forget_announced(&self, now: SystemTime) {
        self.announced.forget_old(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Limits = Limits {
        disk: 1 << 30,
        quota: Some(1_000),
        files: None,
        relay: None,
        announced: Sizes {
            all: 0,
            for_owner: 0,
        },
    };

    fn id(number: u64) -> ChunkId {
        ChunkId::of(&number.to_be_bytes())
    }

    /// How much a peer can put in chunks of ten bytes, where what it puts is taken from the quota.
    fn fills(charges: &Charges, peer: PeerId, limits: Limits) -> u64 {
        let quota = limits.quota.unwrap();
        for number in 0.. {
            let left = Some(quota.saturating_sub(number * 10));
            let limits = Limits {
                quota: left,
                ..limits
            };
            let mark = Mark {
                peer,
                why: Why::Put,
            };
            if charges.charge(mark, id(number), 10, Some(limits)).is_err() {
                return number * 10;
            }
        }
        0
    }

    #[test]
    fn a_peer_leaves_as_much_as_it_takes_and_may_put_what_it_has_announced() {
        let peer = PeerId::of(b"p");
        let counted = || {
            let charges = Charges::default();
            charges.end_count(Instant::now());
            charges
        };
        assert_eq!(fills(&counted(), peer, FREE), 500);
        let announced = Sizes {
            all: 300,
            for_owner: 0,
        };
        assert_eq!(fills(&counted(), peer, Limits { announced, ..FREE }), 800);
        assert_eq!(fills(&Charges::default(), peer, FREE), 30, "not counted");
    }

    #[test]
    fn what_is_on_its_way_to_others_stays_within_the_quota_for_it() {
        let (charges, peer) = (Charges::default(), PeerId::of(b"p"));
        charges.end_count(Instant::now());
        let limits = Limits {
            quota: None,
            relay: Some(10),
            ..FREE
        };
        let why = Why::Put;
        let put = |number, bytes| {
            let mark = Mark { peer, why };
            charges.charge(mark, id(number), bytes, Some(limits))
        };
        put(1, LEAST_UNDERWAY).unwrap();
        assert!(put(2, 1).is_err());
        charges.release(id(1));
        put(3, 1).unwrap();
        let why = Why::Left;
        charges.note(Mark { peer, why }, id(4), LEAST_UNDERWAY);
        put(5, 1).unwrap();
    }

    #[test]
    fn a_chunk_is_charged_once_and_to_nobody_when_it_is_named() {
        let (charges, peer) = (Charges::default(), PeerId::of(b"p"));
        let why = Why::Put;
        let mark = Mark { peer, why };
        assert!(charges.charge(mark, id(1), 10, None).unwrap());
        assert!(!charges.charge(mark, id(1), 10, None).unwrap());
        charges.begin_count(&HashSet::from([id(1)]));
        assert!(!charges.release(id(1)));
        assert!(charges.lock().accounts.is_empty());
    }
}
