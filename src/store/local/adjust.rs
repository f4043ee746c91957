//! Limits of a store that are changed while it is used.

use std::sync::PoisonError;

use super::{Inner, LocalStore, LocalStoreOptions, Relay, StoreError};

impl LocalStore {
    /// From now on `options` count, for what is stored already too. With a first quota what is there is counted, and meanwhile
    /// nothing else is stored. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it cannot be counted: then nothing is changed.
    pub fn adjust(&self, options: LocalStoreOptions) -> Result<(), StoreError> {
        let inner = &self.inner;
        let _alone = inner.take_presence_away();
        let used = match options.quota.is_some() && !inner.space.counts() {
            true => Some(inner.usage()?.bytes),
            false => None,
        };
        inner.space.limit(options.reserve, options.quota, used);
        *inner.relay.write().unwrap_or_else(PoisonError::into_inner) = options.relay;
        Ok(())
    }
}

impl Inner {
    pub(super) fn relay(&self) -> Option<Relay> {
        *self.relay.read().unwrap_or_else(PoisonError::into_inner)
    }
}
