//! Waiting until recipients have opened a transfer.

use std::time::Duration;

use futures::future::try_join_all;

use super::meet::Destination;
use crate::{
    id::ManifestId,
    session::{Error, Event, Session},
    store::TransferState,
    transfer,
};

/// What is opened within this needs no waiting for.
const AT_ONCE: Duration = Duration::from_millis(300);
/// How often it is looked whether it waits for something else now.
const AGAIN: Duration = Duration::from_secs(2);

impl Session {
    /// The state that all recipients reach; none if it is stored with none of them.
    pub(super) async fn wait_for_all(
        &self,
        destinations: &[Destination],
        manifest: ManifestId,
    ) -> Result<Option<TransferState>, Error> {
        let recipients = destinations.iter().filter(|to| to.opens);
        let waits = recipients.map(|to| self.wait_for(to, manifest));
        let settled = try_join_all(waits).await?;
        let is_other = |state: &&TransferState| **state != TransferState::Opened;
        let other = settled.iter().rfind(is_other);
        Ok(other.or(settled.last()).copied())
    }

    /// The state that it reaches there. Tells at once what is waited for, for it may be for ever; and again if that changes.
    async fn wait_for(
        &self,
        to: &Destination,
        manifest: ManifestId,
    ) -> Result<TransferState, Error> {
        let settled = transfer::wait_until_settled(&*to.store, manifest);
        tokio::pin!(settled);
        let mut told = None;
        if let Ok(settled) = tokio::time::timeout(AT_ONCE, &mut settled).await {
            return Ok(settled?.state);
        }
        loop {
            let now = to.store.manifest_state(manifest).await?;
            if told.replace((now.state, now.reason)) != Some((now.state, now.reason)) {
                self.tell(Event::Pending {
                    peer: to.name.clone(),
                    manifest,
                    state: now.state,
                    reason: now.reason,
                });
            }
            if let Ok(settled) = tokio::time::timeout(AGAIN, &mut settled).await {
                return Ok(settled?.state);
            }
        }
    }
}
