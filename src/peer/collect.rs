//! What other peers store for us: asked for when this peer starts, and from time to time. A carrier is nobody to trust: the
//! signer counts, and the inbox opens it as if its sender had brought it.

use std::{sync::Arc, time::Duration};

use tokio::{sync::broadcast, time::sleep};

use super::known::Known;
use crate::{
    client::PeerClient,
    id::{PeerId, Short as _},
    manifest::{SignedManifest, Signer as _, Timestamp},
    name::Escaped,
    store::{LocalStore, ManifestInfo, PageRequest, PutManifest, Store as _, StoreError},
    transfer::{TransferError, carry},
    trust::KnownPeer,
    wire::{DEFAULT_PAGE, Event},
};

/// Chunks in flight.
const JOBS: usize = 4;
/// Pages of a catalogue that are read at one visit.
const MAX_PAGES: usize = 64;

/// Asks known peers.
pub(super) struct Collector {
    pub(super) known: Known,
    pub(super) store: Arc<LocalStore>,
    pub(super) events: broadcast::Sender<Event>,
    /// The pause between two rounds; zero for no round at all.
    pub(super) every: Duration,
}

impl Collector {
    /// Visits every known peer, round after round. Never ends.
    pub(super) async fn run(self) {
        if self.every.is_zero() {
            std::future::pending::<()>().await;
        }
        loop {
            match self.known.others() {
                Ok(peers) => {
                    for peer in peers {
                        self.visit(&peer).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "nobody is asked for what is stored for us"),
            }
            sleep(self.every).await;
        }
    }

    async fn visit(&self, peer: &KnownPeer) {
        for client in self.known.clients(peer) {
            match self.ask(&client, peer.peer_id).await {
                Ok(()) => return,
                Err(error) => {
                    let (name, error) = (Escaped::new(&peer.name), error.to_string());
                    tracing::debug!(peer = %name, error = %Escaped::new(&error), "not asked");
                }
            }
        }
    }

    async fn ask(&self, client: &PeerClient, carrier: PeerId) -> Result<(), StoreError> {
        let me = self.known.door.identity().peer_id();
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let page = PageRequest {
                after,
                limit: DEFAULT_PAGE,
            };
            let page = client.list_manifests(page, Some(me)).await?;
            let carried = |info: &&ManifestInfo| is_carried(info, me, carrier);
            for info in page.items.iter().filter(carried) {
                if !self.is_known(info).await
                    && let Err(error) = self.collect(client, carrier, info).await
                {
                    let error = error.to_string();
                    let (manifest, error) = (info.id.short(), Escaped::new(&error));
                    tracing::warn!(manifest, %error, "not collected; tried again later");
                }
            }
            let last = page.items.last().map(|info| info.id);
            if !page.more || last <= after {
                break;
            }
            after = last;
        }
        Ok(())
    }

    async fn is_known(&self, info: &ManifestInfo) -> bool {
        self.store
            .receipt_of(info.sender, info.transfer_id)
            .is_some()
            || self.store.was_deleted(info.sender, info.id)
            || self.store.manifest_state(info.id).await.is_ok()
    }

    async fn collect(
        &self,
        client: &PeerClient,
        carrier: PeerId,
        info: &ManifestInfo,
    ) -> Result<(), TransferError> {
        let manifest = SignedManifest::parse(client.get_manifest(info.id).await?)?;
        let signer = manifest.verify(&*self.known.door, Timestamp::now())?;
        let put = carry(&manifest, (carrier, client), &*self.store, JOBS).await?;
        if put == PutManifest::Stored {
            let (id, sender) = (manifest.id(), manifest.payload().sender);
            let (carrier, sender_name) = (client.address().to_string(), Escaped::new(&signer));
            tracing::info!(manifest = id.short(), sender = %sender_name, carrier, "collected");
            let size = manifest.payload().size;
            // Nobody listening is no error.
            let _ = self.events.send(Event::Published { id, sender, size });
        }
        Ok(())
    }
}

/// Whether `carrier` stores it for us, and does not only show what it shares itself.
fn is_carried(info: &ManifestInfo, me: PeerId, carrier: PeerId) -> bool {
    info.sender != me && info.sender != carrier && info.recipients.contains(&me)
}
