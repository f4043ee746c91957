//! What the owner asks of a peer that serves: through the routes for him, or in this process.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{housekeeping::collect, inbox::Inbox};
use crate::{
    id::{PeerId, TransferId},
    server::{OwnerDesk, OwnerError},
    store::{LocalStore, StoreError},
    wire::GcBody,
};

/// Reads the settings again and takes them in force; else says why not. May block.
pub type Reload = dyn Fn() -> Result<(), String> + Send + Sync;

/// How they are read, once that is said.
pub(super) type Settings = Arc<OnceLock<Box<Reload>>>;

/// Does what the owner of a peer asks.
pub(super) struct Owner {
    store: Arc<LocalStore>,
    inbox: Arc<Inbox>,
    keep_opened: Duration,
    /// Ends the peer.
    pub(super) stop: CancellationToken,
    /// Set by the program that runs the peer, and knows where its settings are.
    pub(super) reload: Settings,
}

impl Owner {
    pub(super) fn new(store: Arc<LocalStore>, inbox: Arc<Inbox>, keep_opened: Duration) -> Self {
        Self {
            store,
            inbox,
            keep_opened,
            stop: CancellationToken::new(),
            reload: Arc::default(),
        }
    }
}

impl OwnerDesk for Owner {
    fn collect(&self, unfinished: bool) -> BoxFuture<'_, Result<GcBody, OwnerError>> {
        let (store, inbox, keep) = (self.store.clone(), self.inbox.clone(), self.keep_opened);
        blocking(move || Ok(collect(&store, &inbox, keep, unfinished)?))
    }

    fn cancel(&self, by: PeerId, transfer: TransferId) {
        self.store.release_promise(by, transfer);
        self.inbox.cancel(by, transfer);
    }

    fn reload(&self) -> BoxFuture<'_, Result<(), OwnerError>> {
        let reload = self.reload.clone();
        blocking(move || {
            let reload = reload.get().ok_or(OwnerError::Unsupported)?;
            reload().map_err(OwnerError::Settings)
        })
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
            let (path, source) = (std::path::PathBuf::new(), std::io::Error::from(error));
            Err(StoreError::Io { path, source }.into())
        })
    })
}
