//! Which transfers have come here, whatever has become of them since.

use std::collections::{BTreeMap, BTreeSet};

use super::{Inner, LocalStore, StoreError};
use crate::{id::TransferId, manifest::Timestamp};

impl LocalStore {
    /// Those of `asked` that are stored, or were opened or let go, or deleted after the time beside them. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn that_came(
        &self,
        asked: &BTreeMap<TransferId, Timestamp>,
    ) -> Result<BTreeSet<TransferId>, StoreError> {
        match asked.is_empty() {
            true => Ok(BTreeSet::new()),
            false => self.inner.that_came(asked),
        }
    }
}

impl Inner {
    fn that_came(
        &self,
        asked: &BTreeMap<TransferId, Timestamp>,
    ) -> Result<BTreeSet<TransferId>, StoreError> {
        let mut came: BTreeSet<_> = self.with_index(|known| {
            let stored = known.values().map(|known| known.info.transfer_id);
            stored.filter(|id| asked.contains_key(id)).collect()
        })?;
        let bound = self.receipts.transfers()?.into_iter();
        came.extend(bound.filter(|id| asked.contains_key(id)));
        let deleted = self.deleted.all()?.into_iter();
        // What was refused because it had been deleted has not come.
        let since = deleted.filter(|(id, at)| asked.get(id).is_some_and(|since| at >= since));
        came.extend(since.map(|(id, _)| id));
        Ok(came)
    }
}
