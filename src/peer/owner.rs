//! What the owner asks of a peer that serves: through the routes for him, or in this process.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{adjust::InForce, housekeeping::collect, inbox::Inbox, reread::Reread};
use crate::{
    id::{ChunkId, PeerId, TransferId},
    server::{Limits, OwnerDesk, OwnerError},
    store::{Freed, LocalStore, StoreError, TransferState},
    wire::{DecidedQuestion, Decision, DeleteQuestion, GcBody, ReloadBody},
};

/// When the chunks of a transfer that was stopped are let go.
const LATER: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(10),
];

/// Reads the settings again and takes them in force; else says why not. May block.
pub type Reload = dyn Fn() -> Result<ReloadBody, String> + Send + Sync;

/// Does what the owner of a peer asks.
pub(super) struct Owner {
    store: Arc<LocalStore>,
    inbox: Arc<Inbox>,
    options: InForce,
    /// Ends the peer.
    pub(super) stop: CancellationToken,
    reading: Arc<Reading>,
}

/// What reads again what a peer has read.
#[derive(Default)]
pub(super) struct Reading {
    /// Certificates, revocations, roles and rights. Set as soon as there is a server that can be told of them.
    pub(super) trust: OnceLock<Arc<Reread>>,
    /// Set by the program that runs the peer, and knows where its settings are.
    pub(super) settings: OnceLock<Box<Reload>>,
}

impl Reading {
    /// Blocks.
    pub(super) fn read(&self) -> Result<ReloadBody, OwnerError> {
        if let Some(trust) = self.trust.get() {
            trust.look();
        }
        match self.settings.get() {
            Some(settings) => settings().map_err(OwnerError::Settings),
            None => Ok(ReloadBody::default()),
        }
    }
}

impl Owner {
    pub(super) fn new(store: &Arc<LocalStore>, inbox: &Arc<Inbox>, options: InForce) -> Self {
        Self {
            store: store.clone(),
            inbox: inbox.clone(),
            options,
            stop: CancellationToken::new(),
            reading: Arc::default(),
        }
    }

    /// What the server bears, by the options that the peer was opened with.
    pub(super) fn limits(&self) -> Limits {
        self.options.borrow().limits.clone()
    }

    pub(super) fn reading(&self) -> &Arc<Reading> {
        &self.reading
    }
}

impl OwnerDesk for Owner {
    fn collect(&self, unfinished: bool) -> BoxFuture<'_, Result<GcBody, OwnerError>> {
        let keep = self.options.borrow().inbox.keep;
        let (store, inbox) = (self.store.clone(), self.inbox.clone());
        blocking(move || Ok(collect(&store, &inbox, keep, unfinished)?))
    }

    fn cancel(&self, by: PeerId, transfer: TransferId, chunks: Vec<ChunkId>) {
        self.store.release_promise(by, transfer);
        self.inbox.cancel(by, transfer);
        let (store, chunks) = (Arc::downgrade(&self.store), Arc::new(chunks));
        tokio::spawn(async move {
            // What was being stored at that moment is there a little later.
            for pause in LATER {
                tokio::time::sleep(pause).await;
                let Some(store) = store.upgrade() else { return };
                let chunks = chunks.clone();
                let work = move || store.let_unnamed_go(by, &chunks);
                if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
                    tracing::warn!(%error, "the chunks of a transfer that was stopped stay for a day");
                    return;
                }
            }
        });
    }

    fn decided(&self, question: DecidedQuestion) -> BoxFuture<'_, Result<(), OwnerError>> {
        let state = match question.decision {
            Decision::Opened => TransferState::Opened,
            Decision::Refused => TransferState::Refused,
        };
        Box::pin(async move { Ok(self.inbox.decided(question.manifest, state).await?) })
    }

    fn delete(&self, question: DeleteQuestion) -> BoxFuture<'_, Result<Freed, OwnerError>> {
        let (store, inbox) = (self.store.clone(), self.inbox.clone());
        blocking(move || {
            let freed = store.delete(question.manifest, question.dry_run)?;
            if !question.dry_run {
                inbox.deleted(question.manifest);
            }
            Ok(freed)
        })
    }

    fn reload(&self) -> BoxFuture<'_, Result<ReloadBody, OwnerError>> {
        let reading = self.reading.clone();
        blocking(move || reading.read())
    }

    fn stop(&self) -> BoxFuture<'_, Result<(), OwnerError>> {
        self.stop.cancel();
        Box::pin(async { Ok(()) })
    }
}

fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OwnerError> + Send + 'static,
) -> BoxFuture<'static, Result<T, OwnerError>> {
    Box::pin(async {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| {
            let (path, source) = (PathBuf::new(), std::io::Error::from(error));
            Err(StoreError::Io { path, source }.into())
        })
    })
}
