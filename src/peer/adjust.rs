//! Options of a peer that are changed while it runs, and what announces it as they say.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{PeerHandle, PeerOptions, ReloadError};
use crate::{
    discover::{Announcement, Discovery, Service},
    manifest::Signer as _,
    store::LocalStoreOptions,
    tls::Identity,
};

/// The options in force. Parts of a peer look at them when they need one, or wait for another.
pub(super) type InForce = watch::Receiver<PeerOptions>;

impl PeerHandle {
    /// Takes of `options` in force what may be changed while the peer runs: inbox, store, relay, the default role, discovery and
    /// the folder of received files. Its other folders and its address stay as they are. With a first quota what is stored is counted.
    /// Blocks.
    ///
    /// # Errors
    /// [`ReloadError`]: then nothing is changed.
    pub fn adjust(&self, options: &PeerOptions) -> Result<(), ReloadError> {
        let parts = (
            self.store.upgrade(),
            self.inbox.upgrade(),
            self.door.upgrade(),
        );
        let (Some(store), Some(inbox), Some(door)) = parts else {
            return Err(ReloadError::Ended);
        };
        let (folder, owner) = (inbox.folder(), door.identity().peer_id());
        let received = folder.other(&options.received)?;
        store.adjust(LocalStoreOptions {
            relay: Some(options.relay.of(owner)),
            ..options.store
        })?;
        self.options.send_modify(|now| {
            let new = options.clone();
            (now.inbox, now.store, now.relay) = (new.inbox, new.store, new.relay);
            (now.default_role, now.discovery) = (new.default_role, new.discovery);
            (now.received, now.outside) = (new.received, new.outside);
        });
        folder.change(received, options.store.reserve);
        if let Some(noted) = self.noted.upgrade() {
            noted.set_received(&options.received);
        }
        inbox.rules().set(options.inbox.policy.clone());
        let is_other = door.set_default_role(options.default_role);
        if door.set_outside(&options.outside)? || is_other {
            self.state.drop_revoked();
        }
        Ok(())
    }
}

/// Announces a peer as long as discovery is on, until `stopping`. Says goodbye.
pub(super) async fn announce(
    mut options: InForce,
    who: Arc<Identity>,
    address: SocketAddr,
    stopping: CancellationToken,
) {
    let mut announced = None;
    loop {
        let wanted = options.borrow_and_update().discovery;
        announced = match (wanted, announced) {
            (Discovery::Off, Some(announced)) => {
                Announcement::end(announced).await;
                None
            }
            (Discovery::On, None) => {
                Announcement::start(wanted, Service::Peer, who.name(), who.peer_id(), address)
            }
            (_, announced) => announced,
        };
        tokio::select! {
            () = changed(&mut options) => {}
            () = stopping.cancelled() => break,
        }
    }
    if let Some(announced) = announced {
        announced.end().await;
    }
}

/// Returns once other options are in force.
pub(super) async fn changed(options: &mut InForce) {
    if options.changed().await.is_err() {
        // Nobody can change them any more.
        std::future::pending::<()>().await;
    }
}
