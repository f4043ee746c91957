//! The inbox: opens what arrives for us. The server beside it stays blind.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    id::{ManifestId, PeerId, Short as _},
    manifest::{SignedManifest, SignedOffer, Signer as _, Timestamp},
    name::Escaped,
    received::Received,
    server::OfferDesk,
    store::{
        LocalStore, OfferAnswer, PageRequest, StateAt, Store as _, StoreError, StoreFuture,
        TransferState,
    },
    tls::{Caller, CircleHandle, Identity},
    transfer::{self, OpenedTransfer, Reader, ReceiveOptions, Silent, TransferError},
    wire::{DEFAULT_PAGE, Event},
};

/// How often what could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(600);

/// What to do with what arrives for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InboxMode {
    /// Open it on arrival.
    #[default]
    Auto,
    /// Leave it sealed, for an explicit receive.
    Off,
}

/// How the inbox behaves.
#[derive(Debug, Clone, Copy)]
pub struct InboxOptions {
    /// What to do with what arrives for us.
    pub mode: InboxMode,
    /// For how long sealed chunks stay after a transfer was opened; zero lets them go at once.
    pub keep_opened: Duration,
    /// How files are written.
    pub receive: ReceiveOptions,
}

impl Default for InboxOptions {
    fn default() -> Self {
        let keep_opened = Duration::from_secs(24 * 3600);
        Self {
            mode: InboxMode::default(),
            keep_opened,
            receive: ReceiveOptions::default(),
        }
    }
}

/// Opens arrivals, one after the other.
pub(super) struct Inbox {
    store: Arc<LocalStore>,
    received: Arc<Received>,
    reader: Reader,
    events: broadcast::Sender<Event>,
    options: InboxOptions,
}

impl Inbox {
    pub(super) fn new(
        store: Arc<LocalStore>,
        received: Arc<Received>,
        identity: &Identity,
        circle: CircleHandle,
        events: broadcast::Sender<Event>,
        options: InboxOptions,
    ) -> Self {
        let reader = Reader {
            me: identity.peer_id(),
            seal_keys: identity.seal_keys().clone(),
            password: None,
            verifier: Arc::new(circle),
        };
        Self {
            store,
            received,
            reader,
            events,
            options,
        }
    }

    /// Opens what came while nobody was here, then what arrives. Never ends.
    pub(super) async fn run(self: Arc<Self>) {
        let mut arrivals = self.events.subscribe();
        self.finish_interrupted().await;
        self.open_all().await;
        loop {
            let next = tokio::time::timeout(RETRY, arrivals.recv()).await;
            match next {
                Ok(Ok(Event::Published { id, .. })) => self.open(id).await,
                Ok(Ok(Event::State { .. })) => {}
                // Too many at once to be told one by one, or time to try again.
                Ok(Err(RecvError::Lagged(_))) | Err(_) => self.open_all().await,
                Ok(Err(RecvError::Closed)) => return std::future::pending().await,
            }
        }
    }

    pub(super) fn remove_stale(&self, now: SystemTime) {
        if let Err(error) = self.received.remove_stale(now) {
            tracing::warn!(%error, "stale receives stay");
        }
    }

    async fn finish_interrupted(&self) {
        let received = self.received.clone();
        match tokio::task::spawn_blocking(move || received.finish_interrupted()).await {
            Ok(Ok(paths)) if !paths.is_empty() => {
                tracing::info!(files = paths.len(), "finished an interrupted receive")
            }
            Ok(Err(error)) => tracing::error!(%error, "an interrupted receive cannot be finished"),
            _ => {}
        }
    }

    async fn open_all(&self) {
        let mut after = None;
        loop {
            let page = PageRequest {
                after,
                limit: DEFAULT_PAGE,
            };
            let page = match self.store.list_manifests(page, Some(self.reader.me)).await {
                Ok(page) => page,
                Err(error) => return tracing::error!(%error, "the inbox cannot be listed"),
            };
            after = page.items.last().map(|info| info.id);
            for info in page.items {
                self.open(info.id).await;
            }
            if !page.more {
                return;
            }
        }
    }

    /// Opens a transfer if it is for us and not yet settled, and remembers what became of it.
    ///
    /// Boxed, because the compiler cannot see that the loop around it is `Send`.
    fn open(&self, id: ManifestId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match self.try_open(id).await {
                Ok(Some(state)) => self.settle(id, state).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(transfer = id.short(), error = %Escaped::new(&error.to_string()), "not opened");
                    let state = if is_final(&error) {
                        TransferState::Refused
                    } else {
                        TransferState::Waiting
                    };
                    self.settle(id, state).await;
                }
            }
        })
    }

    async fn try_open(&self, id: ManifestId) -> Result<Option<TransferState>, TransferError> {
        let manifest = SignedManifest::parse(self.store.get_manifest(id).await?)?;
        let payload = manifest.payload();
        let for_us = payload.sender != self.reader.me
            && payload.recipients().any(|peer| peer == self.reader.me);
        let before = self.store.manifest_state(id).await?.state;
        let settled = !matches!(before, TransferState::Stored | TransferState::Waiting);
        if settled || self.was_opened(payload.sender, &manifest) {
            return Ok(None);
        }
        if !for_us || self.options.mode == InboxMode::Off {
            let waits = for_us && before == TransferState::Stored;
            return Ok(waits.then_some(TransferState::Waiting));
        }
        let start = std::time::Instant::now();
        let transfer = Arc::new(OpenedTransfer::open(&*self.store, manifest, &self.reader).await?);
        let written = transfer::receive(
            &*self.store,
            &transfer,
            &self.received,
            self.options.receive,
            &Silent,
        )
        .await?;
        let seconds = start.elapsed().as_secs_f64();
        tracing::info!(
            transfer = id.short(),
            bytes = written.size,
            seconds,
            "opened"
        );
        if !written.skipped_links.is_empty() {
            tracing::warn!(
                transfer = id.short(),
                links = written.skipped_links.len(),
                "links that lead out were skipped"
            );
        }
        Ok(Some(TransferState::Opened))
    }

    /// A copy of a transfer id under another manifest must not deliver twice.
    fn was_opened(&self, sender: PeerId, manifest: &SignedManifest) -> bool {
        let receipt = self
            .store
            .receipt_of(sender, manifest.payload().transfer_id);
        receipt.is_some_and(|receipt| receipt.state == TransferState::Opened)
    }

    async fn settle(&self, id: ManifestId, state: TransferState) {
        let (store, keep) = (self.store.clone(), self.options.keep_opened);
        let settled = tokio::task::spawn_blocking(move || {
            if state == TransferState::Opened && keep.is_zero() {
                store.let_go(id, state)
            } else {
                store.record_state(id, state)
            }
        });
        if let Ok(Err(error)) = settled.await {
            return tracing::error!(transfer = id.short(), %error, "the state of a transfer is not recorded");
        }
        let state = StateAt {
            state,
            since: Timestamp::now(),
        };
        // Nobody listening is no error.
        let _ = self.events.send(Event::State { id, state });
    }
}

/// Whether trying again cannot help: the transfer itself is wrong.
fn is_final(error: &TransferError) -> bool {
    matches!(
        error,
        TransferError::Manifest(_)
            | TransferError::Crypto(_)
            | TransferError::Integrity { .. }
            | TransferError::Name(_)
            | TransferError::NotForUs { .. }
    )
}

impl OfferDesk for Inbox {
    /// Besides the sealed chunks, the plain files must fit too: that is said before the first content byte.
    fn decide<'a>(&'a self, offer: &'a SignedOffer, _: &'a Caller) -> StoreFuture<'a, OfferAnswer> {
        Box::pin(async move {
            let answer = self.store.put_offer(offer).await?;
            let payload = offer.payload();
            let for_us = payload
                .wraps
                .iter()
                .any(|wrap| wrap.recipient() == Some(self.reader.me));
            if answer != OfferAnswer::Accepted || !for_us || payload.sender == self.reader.me {
                return Ok(answer);
            }
            if self.options.mode == InboxMode::Off {
                return Ok(OfferAnswer::Waiting);
            }
            let (needed, free) = (
                payload.size.unwrap_or(0).saturating_mul(2),
                self.free_space().await?,
            );
            if needed > free {
                Err(StoreError::NoSpace {
                    needed,
                    free,
                    quota: None,
                })
            } else {
                Ok(answer)
            }
        })
    }
}

impl Inbox {
    async fn free_space(&self) -> Result<u64, StoreError> {
        let received = self.received.clone();
        let free = tokio::task::spawn_blocking(move || received.free_space()).await;
        let path = || self.received.path().to_owned();
        let free = free.map_err(|e| StoreError::Io {
            path: path(),
            source: e.into(),
        })?;
        free.map_err(|e| StoreError::Io {
            path: path(),
            source: std::io::Error::other(e),
        })
    }
}
