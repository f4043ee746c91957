//! Why transfers are not opened, for their senders: a code, which says nothing of files or of this machine.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Waiting;
use crate::{
    id::{ManifestId, PeerId},
    received::ReceivedError,
    store::{StoreError, WaitReason},
    transfer::TransferError,
};

/// Transfers whose reason is known. Of more than that it is not told why they wait.
const MAX_KNOWN: usize = 10_000;

/// Why each transfer waits that was looked at, and whose it is. All are looked at again when a peer starts.
#[derive(Default)]
pub(super) struct WhyWaits(Mutex<HashMap<ManifestId, (PeerId, WaitReason)>>);

impl WhyWaits {
    pub(super) fn note(&self, id: ManifestId, sender: PeerId, why: &Waiting) {
        let mut known = self.lock();
        if known.len() >= MAX_KNOWN
            && let Some(other) = known.keys().next().copied()
        {
            known.remove(&other);
        }
        known.insert(id, (sender, why.code()));
    }

    /// Returns whether it was known.
    pub(super) fn forget(&self, id: ManifestId) -> bool {
        self.lock().remove(&id).is_some()
    }

    /// All of them, with their senders.
    pub(super) fn all(&self) -> Vec<(ManifestId, PeerId)> {
        let known = self.lock();
        known
            .iter()
            .map(|(id, (sender, _))| (*id, *sender))
            .collect()
    }

    /// Whose transfer it is and why it waits, if that is known.
    pub(super) fn of(&self, id: ManifestId) -> Option<(PeerId, WaitReason)> {
        self.lock().get(&id).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ManifestId, (PeerId, WaitReason)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// What its sender is told.
    fn code(&self) -> WaitReason {
        match self {
            Self::Asks => WaitReason::Asks,
            Self::Larger { .. } => WaitReason::Larger,
            Self::LongTable { .. } => WaitReason::LongTable,
            Self::Locked => WaitReason::Locked,
            Self::Off => WaitReason::Off,
            Self::Failed { code, .. } => *code,
        }
    }
}

/// What the sender of a transfer is told that cannot be opened now.
pub(super) fn code_of(error: &TransferError) -> WaitReason {
    match error {
        TransferError::Received(ReceivedError::NoRoom(_) | ReceivedError::NoSpace { .. })
        | TransferError::Store(StoreError::NoSpace { .. } | StoreError::NoRoom { .. }) => {
            WaitReason::NoSpace
        }
        TransferError::Received(_) | TransferError::Store(StoreError::ReadOnly { .. }) => {
            WaitReason::CannotWrite
        }
        _ => WaitReason::CannotOpen,
    }
}
