//! What is stored here for others: so much for each sender, for so long.

use std::time::Duration;

use super::{Inner, ManifestInfo, PeerId, StoreError};
use crate::{
    id::TransferId,
    manifest::{Timestamp, Wrap},
};

/// Bounds for what is not addressed to the owner of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// Whose store it is.
    pub owner: PeerId,
    /// The most bytes of content that one sender may store for others.
    pub quota: Option<u64>,
    /// After so long it goes, if it has not expired before.
    pub keep: Option<Duration>,
}

impl Relay {
    fn carries(&self, sender: PeerId, mut recipients: impl Iterator<Item = PeerId>) -> bool {
        sender != self.owner && recipients.all(|recipient| recipient != self.owner)
    }

    fn has_ended(&self, info: &ManifestInfo, now: Timestamp) -> bool {
        let Some(keep) = self.keep else {
            return false;
        };
        let end = info.created.plus_seconds(keep.as_secs());
        end <= now && self.carries(info.sender, info.recipients.iter().copied())
    }
}

impl Inner {
    /// Refuses what would be more than its sender may store here for others.
    pub(super) fn check_relay(
        &self,
        transfer: (TransferId, PeerId),
        wraps: &[Wrap],
        size: u64,
    ) -> Result<(), StoreError> {
        let (Some(relay), (_, sender)) = (self.relay, transfer) else {
            return Ok(());
        };
        let Some(quota) = relay.quota else {
            return Ok(());
        };
        if !relay.carries(sender, wraps.iter().filter_map(Wrap::recipient)) {
            return Ok(());
        }
        let used: u64 = self.with_index(|known| {
            let infos = known.values().map(|known| &known.info);
            let others = infos.filter(|info| {
                info.sender == sender
                    && (info.transfer_id, info.sender) != transfer
                    && relay.carries(sender, info.recipients.iter().copied())
            });
            others.map(|info| info.size).sum()
        })?;
        let free = quota.saturating_sub(used);
        if size <= free {
            return Ok(());
        }
        Err(StoreError::NoSpace {
            needed: size,
            free,
            quota: Some(quota),
        })
    }

    /// Whether the time of a transfer is over.
    pub(super) fn has_ended(&self, info: &ManifestInfo, now: Timestamp) -> bool {
        info.expires.is_some_and(|expires| expires <= now)
            || self.relay.is_some_and(|relay| relay.has_ended(info, now))
    }
}
