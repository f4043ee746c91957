//! Opening transfers while they arrive, so that they are there when their last chunk is.
//!
//! It is a head start and no more: whatever goes wrong here, the transfer is opened from the store when its manifest
//! comes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::{AbortHandle, JoinSet},
    time::timeout,
};

use super::table;
use crate::{
    id::{ChunkId, PeerId, TransferId},
    manifest::SignedOffer,
    received::Received,
    server::Brought,
    store::LocalStore,
    transfer::{Arriving, Reader, ReceiveOptions, TransferError},
};

/// Transfers that are opened early at the same time; the others are opened when they are complete.
const MAX_EARLY: usize = 4;
/// Chunks of a transfer that are opened at the same time: one more than a machine with two cores can, so that opening keeps up
/// with storing, and nothing needs to be read from the store.
const OPENED_AT_ONCE: usize = 3;
/// Sealed bytes of one caller that wait in memory, and count in what it may have there; what is more is read from the store
/// when its turn comes.
const MAX_HELD: usize = 8 << 20;
/// Larger chunks wait in the store only: what is held would take the room that the next ones need.
const MAX_HELD_CHUNK: usize = MAX_HELD / 4;
/// The longest sealed table that has a head start; nobody was asked whether the transfer is wanted.
const MAX_TABLE: u64 = 1 << 20;
/// Memory that the tables of all head starts take together.
const MAX_TABLES: u64 = 24 << 20;
/// Memory for a byte of a table: its shortest lines have 42 bytes; entry, plan and digest of one take less than 500.
const MEMORY_PER_BYTE: u64 = 12;
/// After so long without another chunk, a head start is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The transfers that are being opened, by who brings them.
pub(super) struct Early {
    all: Mutex<HashMap<(PeerId, TransferId), HeadStart>>,
    /// A permit for each byte that tables may take in memory.
    tables: Arc<Semaphore>,
}

/// One of them.
struct HeadStart {
    sender: PeerId,
    chunk_size: usize,
    queue: Arc<Queue>,
    /// Its one task, which ends when this is dropped.
    opening: JoinSet<Option<Begun>>,
    task: AbortHandle,
}

/// What was opened of a transfer, and what its table is charged.
pub(super) struct Begun {
    pub(super) arriving: Arriving,
    /// Where.
    pub(super) received: Arc<Received>,
    pub(super) charge: OwnedSemaphorePermit,
}

/// What opening needs.
pub(super) struct Opening {
    pub(super) offer: SignedOffer,
    pub(super) store: Arc<LocalStore>,
    pub(super) received: Arc<Received>,
    pub(super) reader: Reader,
    pub(super) options: ReceiveOptions,
}

impl Default for Early {
    fn default() -> Self {
        let permits = usize::try_from(MAX_TABLES).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            all: Mutex::default(),
            tables: Arc::new(Semaphore::new(permits)),
        }
    }
}

impl Early {
    /// Opens what `caller` is about to bring, unless that is begun already.
    pub(super) fn begin(&self, caller: PeerId, opening: Opening) {
        let payload = opening.offer.payload();
        let (sender, transfer) = (payload.sender, payload.transfer_id);
        let chunk_size = payload.chunk_size;
        // Of what has no known size nothing can be opened before the end.
        let Some(count) = payload
            .size
            .map(|size| size.div_ceil(u64::from(chunk_size)))
        else {
            return;
        };
        let mut all = self.lock();
        all.retain(|_, head_start| !head_start.task.is_finished());
        if all.len() >= MAX_EARLY || all.contains_key(&(caller, transfer)) {
            return;
        }
        let queue = Arc::new(Queue::new(count));
        let work = open(opening, queue.clone(), self.tables.clone());
        let mut opening = JoinSet::new();
        let task = opening.spawn(work);
        let head_start = HeadStart {
            sender,
            chunk_size: chunk_size as usize,
            queue,
            opening,
            task,
        };
        all.insert((caller, transfer), head_start);
    }

    /// A content chunk that `caller` brought is stored.
    pub(super) fn stored(&self, caller: PeerId, transfer: TransferId, index: u64, chunk: Brought) {
        let all = self.lock();
        if let Some(head_start) = all.get(&(caller, transfer)) {
            let of_caller = all.iter().filter(|((by, _), _)| *by == caller);
            let held: usize = of_caller.map(|(_, other)| other.queue.held()).sum();
            let room = match head_start.chunk_size {
                ..=MAX_HELD_CHUNK => MAX_HELD.saturating_sub(held),
                _ => 0,
            };
            head_start.queue.push(index, chunk, room);
        }
    }

    /// What was opened so far of a transfer that is complete now.
    pub(super) async fn take(&self, sender: PeerId, transfer: TransferId) -> Option<Begun> {
        let mut begun = None;
        // Several may bring it, or copies of its offer: one of them has the staging, and all must let go of it.
        for mut head_start in self.remove(sender, transfer) {
            head_start.queue.close();
            let opened = head_start.opening.join_next().await;
            begun = begun.or(opened.and_then(Result::ok).flatten());
        }
        begun
    }

    /// Opens no more of what `caller` brings of a transfer. What was opened of it is removed.
    pub(super) fn cancel(&self, caller: PeerId, transfer: TransferId) {
        if let Some(mut head_start) = self.lock().remove(&(caller, transfer)) {
            head_start.queue.stop();
            // It ends by itself, when it has removed that.
            head_start.opening.detach_all();
        }
    }

    fn remove(&self, sender: PeerId, transfer: TransferId) -> Vec<HeadStart> {
        let mut all = self.lock();
        let wanted = all.extract_if(|key, one| key.1 == transfer && one.sender == sender);
        wanted.map(|(_, head_start)| head_start).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(PeerId, TransferId), HeadStart>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens chunk after chunk until the queue is closed. `None` if there is no head start.
async fn open(opening: Opening, queue: Arc<Queue>, tables: Arc<Semaphore>) -> Option<Begun> {
    let opened = try_open(opening, &queue, tables).await;
    let begun = opened.unwrap_or_else(|error| {
        tracing::debug!(error = error.kind(), "no head start");
        None
    });
    if begun.is_none() {
        queue.give_up();
    }
    begun
}

async fn try_open(
    opening: Opening,
    queue: &Queue,
    tables: Arc<Semaphore>,
) -> Result<Option<Begun>, TransferError> {
    // The table comes before the content.
    if !queue.has_any().await {
        return Ok(None);
    }
    let Opening {
        offer,
        store,
        received,
        reader,
        options,
    } = opening;
    let Some(charge) = charge(&store, &offer.payload().table, tables).await? else {
        tracing::debug!("no head start: the table is too long for one");
        return Ok(None);
    };
    let begun = Arriving::begin(offer, &*store, &reader, &received, options).await?;
    let Some(arriving) = begun.map(Arc::new) else {
        return Ok(None);
    };
    let opened = open_all(&arriving, queue, &store).await;
    let is_stopped = queue.is_stopped();
    let is_whole = opened.is_ok() && !is_stopped && queue.is_closed().await;
    let Some(arriving) = Arc::into_inner(arriving) else {
        return Err(TransferError::Stopped);
    };
    if is_whole {
        return Ok(Some(Begun {
            arriving,
            received,
            charge,
        }));
    }
    arriving.discard().await;
    match is_stopped {
        true => Ok(None),
        false => opened.map(|()| None),
    }
}

/// Opens chunks as they come, a few at once, until all came, the queue is closed or one fails. All that was begun has ended then, so
/// that nothing writes into a staging that is given up.
async fn open_all(
    arriving: &Arc<Arriving>,
    queue: &Queue,
    store: &Arc<LocalStore>,
) -> Result<(), TransferError> {
    let (mut opening, mut opened) = (JoinSet::new(), Ok(()));
    while let Some((index, waiting)) = queue.next().await {
        if opening.len() == OPENED_AT_ONCE
            && let Some(done) = opening.join_next().await
        {
            opened = done.unwrap_or(Err(TransferError::Stopped));
        }
        if opened.is_err() {
            break;
        }
        opening.spawn(open_one(arriving.clone(), store.clone(), index, waiting));
    }
    while let Some(done) = opening.join_next().await {
        opened = opened.and(done.unwrap_or(Err(TransferError::Stopped)));
    }
    opened
}

/// Opens a chunk that came.
async fn open_one(
    arriving: Arc<Arriving>,
    store: Arc<LocalStore>,
    index: u64,
    waiting: Waiting,
) -> Result<(), TransferError> {
    let (id, sealed, _charge) = match waiting {
        Waiting::Held(chunk) => (chunk.id, chunk.sealed, Some(chunk.charge)),
        Waiting::Stored(id) => (id, store.peek_chunk(id).await?, None),
    };
    arriving.write(index, id, sealed).await
}

/// Charges what the entries of `table` will take in memory, before any of it is read. `None` if it is too long, or if the
/// tables that are in memory already leave too little.
async fn charge(
    store: &LocalStore,
    table: &[ChunkId],
    tables: Arc<Semaphore>,
) -> Result<Option<OwnedSemaphorePermit>, TransferError> {
    let Some(length) = table::length(store, table, MAX_TABLE).await? else {
        return Ok(None);
    };
    let memory = u32::try_from(length * MEMORY_PER_BYTE).unwrap_or(u32::MAX);
    Ok(tables.try_acquire_many_owned(memory).ok())
}

/// The chunks of one transfer, as they come; of those that are there the first is taken first.
struct Queue {
    /// How many chunks there are; others are not kept.
    count: u64,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    chunks: BTreeMap<u64, Waiting>,
    /// Those that were taken.
    taken: HashSet<u64>,
    held: usize,
    closed: bool,
    stopped: bool,
    given_up: bool,
}

/// A chunk whose turn comes.
enum Waiting {
    /// In memory.
    Held(Brought),
    /// In the store only.
    Stored(ChunkId),
}

impl Queue {
    fn new(count: u64) -> Self {
        Self {
            count,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Keeps the chunk in memory if it is within `room`.
    fn push(&self, index: u64, chunk: Brought, room: usize) {
        let mut state = self.lock();
        let is_wanted = index < self.count && !state.given_up;
        if !is_wanted || state.chunks.contains_key(&index) || state.taken.contains(&index) {
            return;
        }
        let waiting = match chunk.sealed.len() {
            length if length <= room => {
                state.held += length;
                Waiting::Held(chunk)
            }
            _ => Waiting::Stored(chunk.id),
        };
        state.chunks.insert(index, waiting);
        self.changed.notify_one();
    }

    /// Bytes in memory.
    fn held(&self) -> usize {
        self.lock().held
    }

    /// Takes the first of the chunks that are there.
    fn pop(&self) -> Option<(u64, Waiting)> {
        let mut state = self.lock();
        let (index, waiting) = state.chunks.pop_first()?;
        state.taken.insert(index);
        if let Waiting::Held(chunk) = &waiting {
            state.held -= chunk.sealed.len();
        }
        Some((index, waiting))
    }

    /// Waits for a chunk: whether one came before the queue was closed, and before patience was over.
    async fn has_any(&self) -> bool {
        let here = |state: &State| !state.chunks.is_empty();
        self.wait_until(|state| state.closed || here(state)).await && here(&self.lock())
    }

    /// Waits for a chunk and takes it. `None` when all were taken, the queue is stopped, or closed and empty, or patience is over.
    async fn next(&self) -> Option<(u64, Waiting)> {
        let done = |state: &State| state.taken.len() as u64 == self.count;
        let ready = |state: &State| state.closed || done(state) || !state.chunks.is_empty();
        let is_ready = self.wait_until(ready).await && !self.is_stopped();
        is_ready.then(|| self.pop()).flatten()
    }

    /// Waits until it is closed: whether it was, before patience was over.
    async fn is_closed(&self) -> bool {
        self.wait_until(|state| state.closed).await
    }

    async fn wait_until(&self, ready: impl Fn(&State) -> bool) -> bool {
        loop {
            // Made before looking, so that nothing that changes in between is missed.
            let changed = self.changed.notified();
            if ready(&self.lock()) {
                return true;
            }
            if timeout(PATIENCE, changed).await.is_err() {
                return false;
            }
        }
    }

    /// Nobody takes any more of it.
    fn give_up(&self) {
        let mut state = self.lock();
        state.chunks = BTreeMap::new();
        state.held = 0;
        state.given_up = true;
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Nothing of it is wanted any more.
    fn stop(&self) {
        self.lock().stopped = true;
        self.close();
    }

    fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::server::Charge;

    fn chunk(length: usize) -> Brought {
        let sealed = Bytes::from(vec![7; length]);
        Brought {
            id: ChunkId::of(&sealed),
            sealed,
            charge: Charge::default(),
        }
    }

    #[test]
    fn only_chunks_that_the_transfer_has_are_kept() {
        let queue = Queue::new(4);
        for index in (0..100_000).chain([u64::MAX]) {
            queue.push(index, chunk(10), MAX_HELD);
        }
        let kept = queue.lock().chunks.len();
        assert_eq!((kept, queue.held()), (4, 40));
        assert_eq!(queue.pop().map(|(index, _)| index), Some(0));
        queue.push(0, chunk(10), MAX_HELD);
        assert_eq!(queue.held(), 30, "1, 2 and 3");
    }

    #[tokio::test]
    async fn all_transfers_of_a_caller_share_what_is_held_in_memory() {
        let (early, caller) = (Early::default(), PeerId::of(b"caller"));
        let transfers: Vec<TransferId> = (0..3)
            .map(|n| format!("{n:032x}").parse().unwrap())
            .collect();
        for transfer in &transfers {
            let mut opening = JoinSet::new();
            let head_start = HeadStart {
                sender: caller,
                chunk_size: 1 << 20,
                queue: Arc::new(Queue::new(64)),
                task: opening.spawn(async { None }),
                opening,
            };
            early.lock().insert((caller, *transfer), head_start);
        }
        for index in 0..64 {
            for transfer in &transfers {
                early.stored(caller, *transfer, index, chunk(1 << 20));
            }
        }
        let all = early.lock();
        let held: usize = all.values().map(|one| one.queue.held()).sum();
        let waiting: usize = all.values().map(|one| one.queue.lock().chunks.len()).sum();
        assert_eq!((held, waiting), (MAX_HELD, 3 * 64));
    }
}
