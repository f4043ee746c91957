//! The folder of received files of a running peer, which may become another one while it runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;

use super::PeerOptions;
use crate::received::{Received, ReceivedError};

/// The folder that counts now. What was begun in another one ends there.
pub(super) struct Folder {
    now: ArcSwap<Received>,
    /// Where its home remembers it.
    mark: PathBuf,
}

impl Folder {
    pub(super) fn open(options: &PeerOptions, mark: PathBuf) -> Result<Self, ReceivedError> {
        let received = Received::open_known(&options.received, &mark)?;
        let received = received.with_reserve(options.store.reserve);
        let now = ArcSwap::from_pointee(received);
        Ok(Self { now, mark })
    }

    pub(super) fn now(&self) -> Arc<Received> {
        self.now.load_full()
    }

    /// The folder at `path`, to become the one that counts; `None` if it is that already.
    pub(super) fn other(&self, path: &Path) -> Result<Option<Received>, ReceivedError> {
        match self.now.load().path() == path {
            true => Ok(None),
            false => Received::open_known(path, &self.mark).map(Some),
        }
    }

    /// From now on `other` counts, if there is one, and leaves so much free on its disk.
    pub(super) fn change(&self, other: Option<Received>, reserve: Option<u64>) {
        match other {
            Some(other) => self.now.store(Arc::new(other.with_reserve(reserve))),
            None => self.now.load().keep_free(reserve),
        }
    }
}
