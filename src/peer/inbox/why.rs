//! Why transfers are not opened, for their senders: a code, which says nothing of files or of this machine.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Waiting, said::About};
use crate::{
    id::{ManifestId, PeerId, TransferId},
    received::ReceivedError,
    store::{StoreError, WaitReason},
    transfer::TransferError,
};

/// Transfers whose reason is known. Of more than that it is not told why they wait.
const MAX_KNOWN: usize = 10_000;

/// Why each transfer waits that was looked at, and whose it is. All are looked at again when a peer starts.
#[derive(Default)]
pub(super) struct WhyWaits(Mutex<HashMap<ManifestId, Waits>>);

/// A transfer that waits.
#[derive(Debug, Clone)]
pub(super) struct Waits {
    pub(super) sender: PeerId,
    /// The name in its sender's certificate, if the circle vouches for it.
    pub(super) name: Option<String>,
    pub(super) transfer: TransferId,
    pub(super) bytes: u64,
    code: WaitReason,
}

impl Waits {
    pub(super) fn new(about: &About<'_>, why: &Waiting) -> Self {
        let payload = about.manifest.payload();
        Self {
            sender: payload.sender,
            name: about.sender.map(str::to_owned),
            transfer: payload.transfer_id,
            bytes: payload.size,
            code: why.code(),
        }
    }
}

impl WhyWaits {
    pub(super) fn note(&self, id: ManifestId, waits: Waits) {
        let mut known = self.lock();
        if known.len() >= MAX_KNOWN
            && let Some(other) = known.keys().next().copied()
        {
            known.remove(&other);
        }
        known.insert(id, waits);
    }

    /// Returns what was known of it.
    pub(super) fn forget(&self, id: ManifestId) -> Option<Waits> {
        self.lock().remove(&id)
    }

    /// All of them, with their senders.
    pub(super) fn all(&self) -> Vec<(ManifestId, PeerId)> {
        let known = self.lock();
        known
            .iter()
            .map(|(id, waits)| (*id, waits.sender))
            .collect()
    }

    /// Whose transfer it is and why it waits, if that is known.
    pub(super) fn of(&self, id: ManifestId) -> Option<(PeerId, WaitReason)> {
        self.lock().get(&id).map(|waits| (waits.sender, waits.code))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ManifestId, Waits>> {
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
