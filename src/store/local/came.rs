//! Which transfers have come here, whatever has become of them since.

use std::collections::HashMap;

use super::{Inner, LocalStore, PeerId, StoreError};
use crate::{id::TransferId, manifest::Timestamp};

/// A transfer that is asked about: its id, its sender if that is known, and since when.
pub(crate) type Asked = (TransferId, Option<PeerId>, Timestamp);

impl LocalStore {
    /// Says of each of `asked` whether it is stored, or was opened or let go, or deleted after the time beside it. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn that_came(&self, asked: &[Asked]) -> Result<Vec<bool>, StoreError> {
        match asked.is_empty() {
            true => Ok(Vec::new()),
            false => self.inner.that_came(asked),
        }
    }
}

impl Inner {
    fn that_came(&self, asked: &[Asked]) -> Result<Vec<bool>, StoreError> {
        // The senders of all transfers that came under such an id, each with when it was deleted, if so.
        let mut came: HashMap<TransferId, Vec<(PeerId, Option<Timestamp>)>> = HashMap::new();
        let mut note = |(id, sender), deleted| {
            if asked.iter().any(|(wanted, ..)| *wanted == id) {
                came.entry(id).or_default().push((sender, deleted));
            }
        };
        let stored = self.with_index(|known| {
            let infos = known.values().map(|known| &known.info);
            infos
                .map(|info| (info.transfer_id, info.sender))
                .collect::<Vec<_>>()
        })?;
        let bound = self.receipts.transfers()?;
        for transfer in stored.into_iter().chain(bound) {
            note(transfer, None);
        }
        for (transfer, at) in self.deleted.all()? {
            note(transfer, Some(at));
        }
        let is_here = |(id, sender, since): &Asked| {
            let senders = came.get(id).into_iter().flatten();
            // What was refused because it had been deleted has not come.
            let mut later = senders.filter(|(_, deleted)| deleted.is_none_or(|at| at >= *since));
            later.any(|(of, _)| sender.is_none_or(|sender| sender == *of))
        };
        Ok(asked.iter().map(is_here).collect())
    }
}
