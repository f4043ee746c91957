//! How much may still be written: free space less a reserve, a quota, and what was promised to announced transfers.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{id::TransferId, store::StoreError};

/// A promise that nobody draws on is forgotten after this.
const PROMISE: Duration = Duration::from_secs(24 * 3600);
/// What is kept free for manifests, receipts and logs, unless the disk is small.
const RESERVE: u64 = 1 << 30;

/// What may be written, and what was promised.
pub(super) struct Space {
    reserve: Option<u64>,
    quota: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    promised: HashMap<TransferId, (u64, Instant)>,
    /// Bytes in the store; counted only if there is a quota.
    used: u64,
}

/// What the disk says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    pub(super) free: u64,
    pub(super) size: u64,
}

impl Space {
    pub(super) fn new(reserve: Option<u64>, quota: Option<u64>, used: u64) -> Self {
        Self {
            reserve,
            quota,
            state: Mutex::new(State {
                used,
                ..State::default()
            }),
        }
    }

    /// Promises `bytes` to a transfer; what was promised to it before is replaced.
    pub(super) fn promise(
        &self,
        disk: Disk,
        transfer: TransferId,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.promised.remove(&transfer);
        state
            .promised
            .retain(|_, (_, since)| since.elapsed() < PROMISE);
        self.check(&state, disk, bytes)?;
        state.promised.insert(transfer, (bytes, Instant::now()));
        Ok(())
    }

    /// Takes `bytes`, of what was promised to `transfer` first.
    pub(super) fn take(
        &self,
        disk: Disk,
        transfer: Option<TransferId>,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let promised = transfer
            .and_then(|transfer| state.promised.get(&transfer))
            .map_or(0, |(bytes, _)| *bytes);
        if promised < bytes {
            self.check(&state, disk, bytes - promised)?;
        }
        if let Some((left, since)) = transfer.and_then(|transfer| state.promised.get_mut(&transfer))
        {
            (*left, *since) = (left.saturating_sub(bytes), Instant::now());
        }
        state.used += bytes;
        Ok(())
    }

    /// A transfer is complete: nothing is promised to it any more.
    pub(super) fn settle(&self, transfer: TransferId) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .promised
            .remove(&transfer);
    }

    /// Gives `bytes` back.
    pub(super) fn release(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.used = state.used.saturating_sub(bytes);
    }

    fn check(&self, state: &State, disk: Disk, needed: u64) -> Result<(), StoreError> {
        let promised: u64 = state.promised.values().map(|(bytes, _)| *bytes).sum();
        let reserve = self.reserve.unwrap_or_else(|| RESERVE.min(disk.size / 50));
        let free = disk.free.saturating_sub(reserve).saturating_sub(promised);
        if needed > free {
            return Err(StoreError::NoSpace {
                needed,
                free,
                quota: None,
            });
        }
        match self.quota {
            Some(quota) if needed > quota.saturating_sub(state.used + promised) => {
                let free = quota.saturating_sub(state.used + promised);
                Err(StoreError::NoSpace {
                    needed,
                    free,
                    quota: Some(quota),
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Disk = Disk {
        free: 1_000,
        size: 2_000,
    };

    fn transfer(n: u8) -> TransferId {
        TransferId::from_bytes([n; 16])
    }

    #[test]
    fn what_is_promised_to_one_cannot_be_taken_by_another() {
        let space = Space::new(Some(100), None, 0);
        space.promise(DISK, transfer(1), 600).unwrap();
        assert!(space.promise(DISK, transfer(2), 400).is_err());
        assert!(space.take(DISK, Some(transfer(2)), 400).is_err());
        space.take(DISK, Some(transfer(1)), 600).unwrap();
        space.settle(transfer(1));
        space.promise(DISK, transfer(2), 900).unwrap();
    }

    #[test]
    fn a_quota_binds_and_says_so() {
        let space = Space::new(Some(0), Some(500), 300);
        let refused = space.take(DISK, None, 201).unwrap_err();
        assert!(matches!(
            refused,
            StoreError::NoSpace {
                needed: 201,
                free: 200,
                quota: Some(500)
            }
        ));
        space.take(DISK, None, 200).unwrap();
        space.release(100);
        space.take(DISK, None, 100).unwrap();
    }
}
