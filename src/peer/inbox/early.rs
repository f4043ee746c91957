//! Opening transfers while they arrive, so that they are there when their last chunk is.
//!
//! It is a head start and no more: whatever goes wrong here, the transfer is opened from the store when its manifest
//! comes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, task::JoinHandle, time::timeout};

use crate::{
    id::{ChunkId, PeerId, TransferId},
    manifest::SignedOffer,
    received::Received,
    store::LocalStore,
    transfer::{Arriving, Reader, ReceiveOptions, TransferError},
};

/// Transfers that are opened early at the same time; the others are opened when they are complete.
const MAX_EARLY: usize = 4;
/// Sealed bytes of one transfer that wait in memory; what is more is read from the store when its turn comes.
const MAX_HELD: usize = 8 << 20;
/// After so long without the chunk that is next, a head start is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The transfers that are being opened, by who brings them.
#[derive(Default)]
pub(super) struct Early(Mutex<HashMap<(PeerId, TransferId), HeadStart>>);

/// One of them.
struct HeadStart {
    sender: PeerId,
    queue: Arc<Queue>,
    opening: JoinHandle<Option<Arriving>>,
}

/// What opening needs.
pub(super) struct Opening {
    pub(super) offer: SignedOffer,
    pub(super) store: Arc<LocalStore>,
    pub(super) received: Arc<Received>,
    pub(super) reader: Reader,
    pub(super) options: ReceiveOptions,
}

impl Early {
    /// Opens what `caller` is about to bring, unless that is begun already.
    pub(super) fn begin(&self, caller: PeerId, opening: Opening) {
        let (sender, transfer) = {
            let payload = opening.offer.payload();
            (payload.sender, payload.transfer_id)
        };
        let mut all = self.lock();
        all.retain(|_, head_start| !head_start.opening.is_finished());
        if all.len() >= MAX_EARLY || all.contains_key(&(caller, transfer)) {
            return;
        }
        let queue = Arc::new(Queue::default());
        let opening = tokio::spawn(open(opening, queue.clone()));
        let head_start = HeadStart {
            sender,
            queue,
            opening,
        };
        all.insert((caller, transfer), head_start);
    }

    /// A content chunk that `caller` brought is stored.
    pub(super) fn stored(
        &self,
        caller: PeerId,
        transfer: TransferId,
        index: u64,
        chunk: (ChunkId, Bytes),
    ) {
        if let Some(head_start) = self.lock().get(&(caller, transfer)) {
            head_start.queue.push(index, chunk);
        }
    }

    /// What was opened so far of a transfer that is complete now.
    pub(super) async fn take(&self, sender: PeerId, transfer: TransferId) -> Option<Arriving> {
        let HeadStart { queue, opening, .. } = self.remove(sender, transfer)?;
        queue.close();
        opening.await.ok().flatten()
    }

    fn remove(&self, sender: PeerId, transfer: TransferId) -> Option<HeadStart> {
        let mut all = self.lock();
        let wanted = |(key, head_start): &(&(PeerId, TransferId), &HeadStart)| {
            key.1 == transfer && head_start.sender == sender
        };
        let key = *all.iter().find(wanted)?.0;
        all.remove(&key)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(PeerId, TransferId), HeadStart>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens chunk after chunk until the queue is closed. `None` if there is no head start.
async fn open(opening: Opening, queue: Arc<Queue>) -> Option<Arriving> {
    let opened = try_open(opening, &queue).await;
    opened.unwrap_or_else(|error| {
        tracing::debug!(%error, "no head start");
        None
    })
}

async fn try_open(opening: Opening, queue: &Queue) -> Result<Option<Arriving>, TransferError> {
    // The table comes before the content.
    if !queue.has(0).await {
        return Ok(None);
    }
    let Opening {
        offer,
        store,
        received,
        reader,
        options,
    } = opening;
    let begun = Arriving::begin(offer, &*store, &reader, &received, options).await?;
    let Some(mut arriving) = begun else {
        return Ok(None);
    };
    while let Some(index) = arriving.wants() {
        if !queue.has(index).await {
            break;
        }
        let (id, held) = queue.pop(index).ok_or(TransferError::Stopped)?;
        let sealed = match held {
            Some(sealed) => sealed,
            None => store.peek_chunk(id).await?,
        };
        arriving = arriving.write(id, sealed).await?;
    }
    if queue.is_closed().await {
        return Ok(Some(arriving));
    }
    arriving.discard().await?;
    Ok(None)
}

/// The chunks of one transfer, as they come; they are taken in their order.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    chunks: HashMap<u64, (ChunkId, Option<Bytes>)>,
    next: u64,
    held: usize,
    closed: bool,
}

impl Queue {
    fn push(&self, index: u64, (id, sealed): (ChunkId, Bytes)) {
        let mut state = self.lock();
        if index < state.next || state.chunks.contains_key(&index) {
            return;
        }
        let fits = state.held + sealed.len() <= MAX_HELD;
        if fits {
            state.held += sealed.len();
        }
        state.chunks.insert(index, (id, fits.then_some(sealed)));
        self.changed.notify_one();
    }

    /// Takes the chunk at `index`. Those before it are not wanted any more.
    fn pop(&self, index: u64) -> Option<(ChunkId, Option<Bytes>)> {
        let mut state = self.lock();
        let (id, sealed) = state.chunks.remove(&index)?;
        state.next = index + 1;
        state.held -= sealed.as_ref().map_or(0, Bytes::len);
        Some((id, sealed))
    }

    /// Waits for the chunk at `index`: whether it came before the queue was closed, and before patience was over.
    async fn has(&self, index: u64) -> bool {
        let here = |state: &State| !state.closed && state.chunks.contains_key(&index);
        self.wait_until(|state| state.closed || here(state)).await && here(&self.lock())
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

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
