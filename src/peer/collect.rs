//! What other peers store for us: asked for when this peer starts, and from time to time. A carrier is nobody to trust: what
//! it has is judged as if it and the sender had brought it here, and the inbox opens it as if its sender had.
//!
//! Peers are visited side by side, each for a time, so that one that is slow delays no other. A visit that was too short is
//! longer the next time, and finds the chunks of the last one: a large transfer over a slow line is collected by and by.

mod failures;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, FuturesUnordered},
};
use tokio::{
    sync::{Semaphore, broadcast},
    time::{Interval, MissedTickBehavior, interval, timeout},
};

use super::{
    Direction, History, HistoryEntry,
    adjust::{InForce, changed},
    known::Known,
};
use crate::{
    client::PeerClient,
    crypto::chunk::OVERHEAD,
    id::{ChunkId, ManifestId, PeerId, Short as _},
    manifest::{MAX_SEALED_CHUNK, SignedManifest, Signer as _, Timestamp},
    name::Escaped,
    store::{
        LocalStore, ManifestInfo, Missing, PageRequest, ProtocolFault, PutManifest, Store as _,
        StoreError,
    },
    transfer::TransferError,
    trust::{AddressBook, KnownPeer},
    wire::{DEFAULT_PAGE, ServerEvent},
};
use failures::Failures;

/// Peers that are visited at once; others wait for their turn.
const VISITS: usize = 16;
/// For how long a peer is visited. It doubles each time that this is too short, up to what the largest chunk takes at the
/// slowest rate that a client accepts.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_PATIENCE: Duration = Duration::from_secs(60 * 60);
/// Sealed bytes in flight of all visits, and of one.
const ROOM: usize = 2 * ROOM_OF_VISIT;
const ROOM_OF_VISIT: usize = MAX_SEALED_CHUNK;
/// Chunks in flight of one visit.
const JOBS: usize = 4;
/// Pages of a catalogue that are read at one visit.
const MAX_PAGES: usize = 64;
/// Manifests that are remembered to have been opened under another one; beyond these, they are read again.
const MAX_OPENED: usize = 1_000;

/// Asks known peers.
pub(super) struct Collector {
    known: Known,
    store: Arc<LocalStore>,
    events: broadcast::Sender<ServerEvent>,
    options: InForce,
    visits: Semaphore,
    room: Semaphore,
    failures: Failures,
    /// Manifests elsewhere whose content was opened here under another one.
    opened: Mutex<HashSet<ManifestId>>,
}

/// How a visit ended.
enum Visited {
    InTime,
    /// After so long, it was not over.
    Cut(Duration),
}

impl Collector {
    pub(super) fn new(
        known: Known,
        store: Arc<LocalStore>,
        events: broadcast::Sender<ServerEvent>,
        options: InForce,
    ) -> Self {
        Self {
            known,
            store,
            events,
            options,
            visits: Semaphore::new(VISITS),
            room: Semaphore::new(ROOM),
            failures: Failures::default(),
            opened: Mutex::default(),
        }
    }

    /// Visits every known peer from time to time, unless its last visit still goes on. Never ends.
    pub(super) async fn run(self) {
        let mut options = self.options.clone();
        let mut every = options.borrow_and_update().relay.collect;
        let mut rounds = rounds_of(every);
        let mut visits = FuturesUnordered::new();
        let mut visited: HashSet<PeerId> = HashSet::new();
        let mut patience: HashMap<PeerId, Duration> = HashMap::new();
        loop {
            tokio::select! {
                () = changed(&mut options) => {
                    let now = options.borrow_and_update().relay.collect;
                    if std::mem::replace(&mut every, now) != now {
                        rounds = rounds_of(now);
                    }
                }
                () = next(&mut rounds) => {
                    for peer in self.carriers() {
                        if visited.insert(peer.peer_id) {
                            let patience = patience.get(&peer.peer_id).copied();
                            visits.push(self.visit(peer, patience.unwrap_or(PATIENCE)));
                        }
                    }
                }
                Some((peer, ended)) = visits.next() => {
                    visited.remove(&peer);
                    match ended {
                        Visited::InTime => patience.remove(&peer),
                        Visited::Cut(after) => patience.insert(peer, MAX_PATIENCE.min(2 * after)),
                    };
                }
            }
        }
    }

    /// Known peers that may bring something here.
    fn carriers(&self) -> Vec<KnownPeer> {
        let mut peers = self.known.others().unwrap_or_else(|error| {
            tracing::warn!(%error, "nobody is asked for what is stored for us");
            Vec::new()
        });
        peers.retain(|peer| self.known.door.role_of(peer.peer_id).may_put());
        peers
    }

    async fn visit(&self, peer: KnownPeer, patience: Duration) -> (PeerId, Visited) {
        let _turn = self.visits.acquire().await;
        let ended = match timeout(patience, self.ask_somewhere(&peer)).await {
            Ok(()) => Visited::InTime,
            Err(_) => {
                let name = Escaped::new(&peer.name);
                tracing::debug!(peer = %name, ?patience, "not all collected; more at the next visit");
                Visited::Cut(patience)
            }
        };
        (peer.peer_id, ended)
    }

    async fn ask_somewhere(&self, peer: &KnownPeer) {
        for client in self.known.clients(peer) {
            match self.ask(&client, peer.peer_id).await {
                Ok(()) => return,
                Err(error) => {
                    let (name, error) = (Escaped::new(&peer.name), error.to_string());
                    tracing::debug!(peer = %name, error = %Escaped::new(&error), "not asked");
                }
            }
        }
    }

    async fn ask(&self, client: &PeerClient, carrier: PeerId) -> Result<(), StoreError> {
        let me = self.known.door.identity().peer_id();
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let page = PageRequest {
                after,
                limit: DEFAULT_PAGE,
            };
            let page = client.list_manifests(page, Some(me)).await?;
            let carried = |info: &&ManifestInfo| self.is_carried(info, me, carrier);
            for info in page.items.iter().filter(carried) {
                if !self.is_known(info).await
                    && let Err(error) = self.collect(client, carrier, info).await
                {
                    self.tell(carrier, info, &error);
                }
            }
            let last = page.items.last().map(|info| info.id);
            if !page.more || last <= after {
                break;
            }
            after = last;
        }
        Ok(())
    }

    fn tell(&self, carrier: PeerId, info: &ManifestInfo, error: &TransferError) {
        if let Some(silenced) = self.failures.turn(&carrier, (info.id, error.kind())) {
            let said = error.to_string();
            tracing::warn!(
                manifest = info.id.short(),
                sender = %info.sender,
                carrier = %carrier,
                error = %Escaped::new(&said),
                silenced,
                "not collected; tried again later"
            );
            if matches!(
                error,
                TransferError::Store(StoreError::NotFound(Missing::Chunk(_)))
            ) {
                self.remember_lost(carrier, info);
            }
        }
    }

    /// The history says of a transfer that cannot come that it did not, and why.
    fn remember_lost(&self, carrier: PeerId, info: &ManifestInfo) {
        let known = AddressBook::new(self.known.door.dir().peers()).peers();
        let known = known.unwrap_or_default();
        let name = |id: PeerId| {
            let known = known.iter().find(|peer| peer.peer_id == id);
            known.map_or_else(|| id.short(), |peer| peer.called().to_owned())
        };
        let reason = format!(
            "a chunk of it is lost at {}, which stores it for this peer: let its sender send it again",
            name(carrier)
        );
        let entry = HistoryEntry {
            sender: Some(info.sender),
            peers: vec![name(info.sender)],
            of: Some(info.size),
            reason: Some(reason),
            ..HistoryEntry::new(Direction::Refused, info.transfer_id)
        };
        if let Some(chunks) = self.store.state_dir().parent()
            && let Err(error) = History::new(chunks).append(&entry)
        {
            tracing::warn!(%error, "the history is not written");
        }
    }

    /// Whether `carrier` stores it for us, and may bring it, and does not only show what it shares itself.
    fn is_carried(&self, info: &ManifestInfo, me: PeerId, carrier: PeerId) -> bool {
        let role = self.known.door.role_of(carrier);
        let is_of_others = info.sender != me && info.sender != carrier;
        is_of_others && info.recipients.contains(&me) && role.may_bring(carrier, info.sender)
    }

    /// What was opened under another manifest is known only once that was read: anything may have the same id.
    async fn is_known(&self, info: &ManifestInfo) -> bool {
        let is_opened = lock(&self.opened).contains(&info.id);
        is_opened
            || self
                .store
                .was_deleted(info.sender, info.transfer_id, info.created)
            || self.store.manifest_state(info.id).await.is_ok()
    }

    async fn collect(
        &self,
        client: &PeerClient,
        carrier: PeerId,
        info: &ManifestInfo,
    ) -> Result<(), TransferError> {
        let manifest = SignedManifest::parse(client.get_manifest(info.id).await?)?;
        check_listed(client, info, &manifest)?;
        let signer = manifest.verify(&*self.known.door, Timestamp::now())?;
        if self.store.was_opened(&manifest) {
            let mut opened = lock(&self.opened);
            if opened.len() >= MAX_OPENED {
                opened.clear();
            }
            opened.insert(info.id);
            return Ok(());
        }
        let put = self.carry(&manifest, carrier, client).await?;
        if put == PutManifest::Stored {
            let (id, sender) = (manifest.id(), manifest.payload().sender);
            let (carrier, sender_name) = (client.address().to_string(), Escaped::new(&signer));
            tracing::info!(manifest = id.short(), sender = %sender_name, carrier, "collected");
            let size = manifest.payload().size;
            // Nobody listening is no error.
            let _ = self
                .events
                .send(ServerEvent::Published { id, sender, size });
        }
        Ok(())
    }

    /// Puts the chunks of `manifest` that are not here, then the manifest. What was stored stays, also if this is dropped.
    async fn carry(
        &self,
        manifest: &SignedManifest,
        carrier: PeerId,
        from: &PeerClient,
    ) -> Result<PutManifest, StoreError> {
        let ids: BTreeSet<_> = manifest.payload().all_chunks().collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let missing = self.store.missing_chunks(&ids).await?;
        let max = manifest.payload().chunk_size as usize + OVERHEAD;
        let jobs = (ROOM_OF_VISIT / max).clamp(1, JOBS);
        let carried = stream::iter(missing.into_iter().map(Ok));
        let carried = carried.try_for_each_concurrent(jobs, |id| self.carry_chunk(id, max, from));
        carried.await?;
        self.store.bring_manifest(manifest, carrier).await
    }

    async fn carry_chunk(
        &self,
        id: ChunkId,
        max: usize,
        from: &PeerClient,
    ) -> Result<(), StoreError> {
        let room = u32::try_from(max).unwrap_or(u32::MAX);
        let _room = self.room.acquire_many(room).await;
        let sealed: Bytes = from.get_chunk_up_to(id, max).await?;
        self.store.put_chunk(id, sealed, None).await?;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The times of visits that are so far apart; none if that is zero.
fn rounds_of(every: Duration) -> Option<Interval> {
    let mut rounds = (!every.is_zero()).then(|| interval(every))?;
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(rounds)
}

async fn next(rounds: &mut Option<Interval>) {
    match rounds {
        Some(rounds) => {
            rounds.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// The catalogue says whose it is and for whom, and the signature too: what they say must be one.
fn check_listed(
    client: &PeerClient,
    info: &ManifestInfo,
    manifest: &SignedManifest,
) -> Result<(), StoreError> {
    let signed = ManifestInfo::new(manifest.id(), manifest.payload());
    let said = |info: &ManifestInfo| {
        let recipients = info.recipients.clone();
        (info.sender, info.transfer_id, info.created, recipients)
    };
    match said(info) == said(&signed) {
        true => Ok(()),
        false => Err(StoreError::Protocol {
            remote: client.remote(),
            fault: ProtocolFault::OtherListing,
        }),
    }
}
