//! What peers with a narrow role may see: for each of them the manifests that its role shows, and the chunks that these
//! name; and what it has put itself.
//!
//! A view is made when it is first asked for, and brought up to date when something was published or removed, or when it
//! is a second old, because stores also change otherwise: what expires is collected. Only manifests that are new to a view
//! are read. Members have no view.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::narrow::Looker;
use crate::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::SignedManifest,
    store::{ManifestInfo, Page, PageRequest, Store, StoreError, take_page},
};

/// How long a view may lag behind a store that changed by itself.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Ids in all views together; one view always fits. The view that was used least recently makes way.
const MAX_IDS: usize = 1 << 20;
/// Manifests of one page while a view is made.
const PAGE: usize = 1_000;
/// For how long a peer sees what it has put, at least; a transfer that is not complete by then begins anew.
const PUT_SEEN: Duration = Duration::from_secs(24 * 3600);
/// What a peer has put that is remembered, for each of two periods: more than the largest transfer has.
const MAX_PUTS: usize = 96 << 10;
/// Of all peers together; whoever has put the most is forgotten first.
const MAX_PUTS_IN_ALL: usize = 1 << 20;

/// All views of a server.
#[derive(Default)]
pub(super) struct Views {
    changes: AtomicU64,
    slots: Mutex<HashMap<Looker, Slot>>,
    puts: Mutex<HashMap<PeerId, Puts>>,
}

struct Slot {
    view: Arc<AsyncMutex<View>>,
    used: Instant,
    ids: usize,
}

/// What one peer sees.
#[derive(Default)]
pub(super) struct View {
    /// Number of changes and time of the last look at the store.
    looked: Option<(u64, Instant)>,
    shown: BTreeMap<ManifestId, Shown>,
    /// How many of the manifests name a chunk.
    chunks: BTreeMap<ChunkId, u32>,
}

struct Shown {
    info: ManifestInfo,
    chunks: Box<[ChunkId]>,
}

/// What one peer has put, in this period and in the one before.
struct Puts {
    since: Instant,
    recent: HashSet<[u8; 32]>,
    older: HashSet<[u8; 32]>,
}

impl Views {
    /// Something was published or removed here.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// What `looker` sees in `store`, as of now. Requests of one peer wait for each other while it is brought up to date.
    pub(super) async fn of(
        &self,
        store: &dyn Store,
        looker: Looker,
    ) -> Result<OwnedMutexGuard<View>, StoreError> {
        let mut view = self.slot(looker).lock_owned().await;
        let changes = self.changes.load(Ordering::SeqCst);
        let is_current = view
            .looked
            .is_some_and(|(seen, at)| seen == changes && at.elapsed() < MAX_AGE);
        if !is_current {
            let now = Instant::now();
            view.update(store, looker).await?;
            view.looked = Some((changes, now));
            self.make_room(looker, view.ids());
        }
        Ok(view)
    }

    fn slot(&self, looker: Looker) -> Arc<AsyncMutex<View>> {
        let mut slots = lock(&self.slots);
        let slot = slots.entry(looker).or_insert_with(|| Slot {
            view: Arc::default(),
            used: Instant::now(),
            ids: 0,
        });
        slot.used = Instant::now();
        slot.view.clone()
    }

    fn make_room(&self, looker: Looker, ids: usize) {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get_mut(&looker) {
            slot.ids = ids;
        }
        while slots.values().map(|slot| slot.ids).sum::<usize>() > MAX_IDS {
            let others = slots.iter().filter(|(other, _)| **other != looker);
            let Some(oldest) = others.min_by_key(|(_, slot)| slot.used).map(|(l, _)| *l) else {
                return;
            };
            slots.remove(&oldest);
        }
    }

    /// Remembers that `peer` has put the chunk or manifest `id`.
    pub(super) fn note_put(&self, peer: PeerId, id: &[u8; 32]) {
        let (now, mut puts) = (Instant::now(), lock(&self.puts));
        let own = puts.entry(peer).or_insert_with(|| Puts::new(now));
        own.age(now);
        if own.recent.len() >= MAX_PUTS {
            own.turn(now);
        }
        own.recent.insert(*id);
        if puts.values().map(Puts::len).sum::<usize>() > MAX_PUTS_IN_ALL
            && let Some(most) = puts.values_mut().max_by_key(|puts| puts.len())
        {
            most.turn(now);
            most.older = HashSet::new();
        }
    }

    /// Whether `peer` has put it lately.
    pub(super) fn has_put(&self, peer: PeerId, id: &[u8; 32]) -> bool {
        let mut puts = lock(&self.puts);
        puts.get_mut(&peer).is_some_and(|own| {
            own.age(Instant::now());
            own.recent.contains(id) || own.older.contains(id)
        })
    }

    /// All that `peer` has put lately.
    pub(super) fn puts_of(&self, peer: PeerId) -> BTreeSet<[u8; 32]> {
        let mut puts = lock(&self.puts);
        puts.get_mut(&peer).map_or_else(BTreeSet::new, |own| {
            own.age(Instant::now());
            own.recent.union(&own.older).copied().collect()
        })
    }
}

impl Puts {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            recent: HashSet::new(),
            older: HashSet::new(),
        }
    }

    fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }

    /// Forgets what is two periods old.
    fn age(&mut self, now: Instant) {
        if now.duration_since(self.since) >= 2 * PUT_SEEN {
            *self = Self::new(now);
        } else if now.duration_since(self.since) >= PUT_SEEN {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Instant) {
        self.older = std::mem::take(&mut self.recent);
        self.since = now;
    }
}

impl View {
    /// Whether one of its manifests names the chunk.
    pub(super) fn has_chunk(&self, id: ChunkId) -> bool {
        self.chunks.contains_key(&id)
    }

    /// How many ids it keeps: of each chunk, and once more for each manifest that names it.
    fn ids(&self) -> usize {
        let named = self.shown.values().map(|shown| shown.chunks.len());
        self.chunks.len() + named.sum::<usize>()
    }

    /// Whether the manifest is one of those.
    pub(super) fn has_manifest(&self, id: ManifestId) -> bool {
        self.shown.contains_key(&id)
    }

    /// The chunks after `after` in order, those in `own` among them. What of them is there is for the store to say.
    pub(super) fn chunks_after(
        &self,
        after: Option<ChunkId>,
        own: &BTreeSet<[u8; 32]>,
    ) -> impl Iterator<Item = ChunkId> + use<> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let named = self
            .chunks
            .range((from, Bound::Unbounded))
            .map(|(id, _)| *id);
        let put = own.iter().map(|id| ChunkId::from_bytes(*id));
        let put = put.filter(|id| after.is_none_or(|after| *id > after));
        let all: BTreeSet<_> = named.chain(put).collect();
        all.into_iter()
    }

    /// One page of its manifests; with `reader`, of those that this peer or a password opens.
    pub(super) fn page(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> Page<ManifestInfo> {
        let from = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let infos = self
            .shown
            .range((from, Bound::Unbounded))
            .map(|(_, s)| &s.info);
        let wanted = infos.filter(|info| reader.is_none_or(|reader| info.is_for(reader)));
        take_page(wanted.cloned(), page.limit)
    }

    /// Takes over what the store has by now.
    async fn update(&mut self, store: &dyn Store, looker: Looker) -> Result<(), StoreError> {
        let there = list(store, looker).await?;
        let gone = self.shown.keys().filter(|id| !there.contains_key(id));
        for id in gone.copied().collect::<Vec<_>>() {
            self.remove(id);
        }
        for (id, info) in there {
            if self.shown.contains_key(&id) {
                continue;
            }
            let envelope = match store.get_manifest(id).await {
                // It has gone since.
                Err(StoreError::NotFound { .. }) => continue,
                envelope => envelope?,
            };
            let parsed = tokio::task::spawn_blocking(move || SignedManifest::parse(envelope)).await;
            // What cannot be read shows nothing.
            if let Ok(Ok(manifest)) = parsed {
                self.insert(id, info, manifest.payload().all_chunks().collect());
            }
        }
        Ok(())
    }

    fn insert(&mut self, id: ManifestId, info: ManifestInfo, chunks: Box<[ChunkId]>) {
        for chunk in &chunks {
            *self.chunks.entry(*chunk).or_default() += 1;
        }
        self.shown.insert(id, Shown { info, chunks });
    }

    fn remove(&mut self, id: ManifestId) {
        let Some(shown) = self.shown.remove(&id) else {
            return;
        };
        for chunk in shown.chunks {
            if let Some(count) = self.chunks.get_mut(&chunk) {
                *count -= 1;
                if *count == 0 {
                    self.chunks.remove(&chunk);
                }
            }
        }
    }
}

/// The transfers in `store` that `looker` may see.
async fn list(
    store: &dyn Store,
    looker: Looker,
) -> Result<BTreeMap<ManifestId, ManifestInfo>, StoreError> {
    let mut there = BTreeMap::new();
    let mut after = None;
    loop {
        let page = PageRequest { after, limit: PAGE };
        let page = store.list_manifests(page, None).await?;
        after = page.items.last().map(|info| info.id);
        let seen = page.items.into_iter().filter(|info| looker.sees(info));
        there.extend(seen.map(|info| (info.id, info)));
        if !page.more {
            return Ok(there);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> [u8; 32] {
        *ChunkId::of(&number.to_be_bytes()).as_bytes()
    }

    #[test]
    fn what_was_put_is_seen_for_a_day_by_whoever_put_it() {
        let (views, a, b) = (Views::default(), PeerId::of(b"a"), PeerId::of(b"b"));
        views.note_put(a, &id(1));
        assert!(views.has_put(a, &id(1)) && !views.has_put(b, &id(1)) && !views.has_put(a, &id(2)));
        let mut puts = lock(&views.puts);
        let own = puts.get_mut(&a).unwrap();
        let since = own.since;
        own.age(since + PUT_SEEN);
        assert!(own.older.contains(&id(1)) && own.recent.is_empty());
        own.age(since + 2 * PUT_SEEN);
        assert_eq!(own.len(), 0);
    }

    #[test]
    fn what_is_remembered_of_puts_is_bounded_and_a_whole_transfer_fits() {
        let (views, a, b) = (Views::default(), PeerId::of(b"a"), PeerId::of(b"b"));
        views.note_put(b, &id(0));
        for number in 0..3 * MAX_PUTS as u32 {
            views.note_put(a, &id(number));
        }
        assert!(lock(&views.puts)[&a].len() <= 2 * MAX_PUTS);
        let last = 2 * MAX_PUTS as u32..3 * MAX_PUTS as u32;
        assert!(last.clone().all(|number| views.has_put(a, &id(number))));
        assert!(views.has_put(b, &id(0)), "others are not forgotten for it");
    }
}
