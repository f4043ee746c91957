//! What the owner decides with a command beside this peer: it is asked to record that. What another process has written to the store
//! before this peer had it, or beside it, is looked at.

use std::time::Duration;

use super::{Inbox, gone::DeletedBy};
use crate::{
    id::{ManifestId, PeerId, Short as _},
    manifest::{SignedManifest, Timestamp},
    peer::stamps::{Stamp, stamps_of},
    store::{StateAt, Store as _, StoreError, TransferState},
    wire::ServerEvent,
};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(500);

impl Inbox {
    /// Tells what the owner decided about transfers that wait, as if it had been decided here. Never ends.
    pub(super) async fn heed(&self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut seen, mut again) = (self.written().await, true);
        loop {
            ticks.tick().await;
            let now = self.written().await;
            let changed = now != seen;
            // Once more after a change: the next one may have the same time.
            if !changed && !again {
                continue;
            }
            (seen, again) = (now, changed);
            for (id, sender) in self.why.all() {
                match self.store.manifest_state(id).await {
                    Ok(at) => self.heed_one(id, sender, at),
                    Err(StoreError::NotFound(_)) => self.deleted_unopened(id, DeletedBy::Sender),
                    Err(_) => {}
                }
            }
        }
    }

    /// Records what a command of the owner has done with a transfer.
    pub(in crate::peer) async fn decided(
        &self,
        id: ManifestId,
        state: TransferState,
    ) -> Result<(), StoreError> {
        let manifest = self.store.get_manifest(id).await?;
        let sender = SignedManifest::parse(manifest)?.payload().sender;
        self.record(id, state).await?;
        self.reasons.forget(id);
        self.heed_one(id, sender, StateAt::new(state, Timestamp::now()));
        Ok(())
    }

    /// The owner has deleted a transfer: nothing of it waits any more.
    pub(in crate::peer) fn deleted(&self, id: ManifestId) {
        self.reasons.forget(id);
        self.deleted_unopened(id, DeletedBy::Owner);
    }

    fn heed_one(&self, id: ManifestId, sender: PeerId, at: StateAt) {
        let decided = match at.state {
            TransferState::Refused => "refused by the owner",
            TransferState::Opened => "opened by the owner",
            // Who lets it go tells it.
            TransferState::Stored | TransferState::Waiting | TransferState::Expired => return,
        };
        // What this peer itself has settled meanwhile is forgotten already.
        let Some(waited) = self.why.forget(id) else {
            return;
        };
        if at.state == TransferState::Refused {
            self.tally.refused_by_owner();
            self.drop_staged(sender, waited.transfer);
        }
        let (manifest, sender) = (id.short(), sender.short());
        tracing::info!(manifest, sender, "{decided}");
        // Nobody listening is no error.
        let _ = self.events.send(ServerEvent::State { id, state: at });
    }

    /// Changes whenever the state of a transfer is written.
    async fn written(&self) -> Vec<Stamp> {
        let states = self.store.state_dir().join("transfers");
        let stamp = tokio::task::spawn_blocking(move || stamps_of(&[states]));
        stamp.await.unwrap_or_default()
    }
}
