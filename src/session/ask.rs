//! The questions of the circle's machine to the members before it signs or revokes: it may have been restored from an older
//! copy, and the members know more.

use std::{sync::Arc, time::Duration};

use futures::{
    FutureExt as _, StreamExt as _,
    stream::{self, FuturesUnordered},
};
use tokio::time::timeout;

use super::{Error, Event, Home, Reporter, Session};
use crate::{
    address::{PeerAddress, first_answer},
    client::PeerClient,
    config::Config,
    id::PeerId,
    pair::NameCheck,
    peer::others,
    tls::{CertsDir, CircleHandle, ca},
    trust::KnownPeer,
};

/// How many known peers are asked at once.
const AT_ONCE: usize = 16;
/// How long one of them may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How long all of them may.
const ALL: Duration = Duration::from_secs(10);

/// The known peers that have answered. Their revocation lists were taken over.
pub(super) struct Asked {
    reached: Vec<(String, PeerClient)>,
    circle: Option<CircleHandle>,
    dir: CertsDir,
}

impl Asked {
    /// Asks every known peer for its revocation list, side by side, and tells how many have answered. A home that cannot act
    /// asks nobody, which is told too: what is revoked there must not depend on its own certificate.
    pub(super) async fn known_peers(
        home: &Home,
        config: &Config,
        reporter: &Arc<dyn Reporter>,
    ) -> Self {
        let dir = home.dir();
        let session = Session::with(home.clone(), config.clone(), reporter.clone());
        let us = match session {
            Ok(us) => us,
            Err(error) => {
                let reason = error.to_string();
                reporter.tell(&Event::NotAsked { reason });
                return Self {
                    reached: Vec::new(),
                    circle: None,
                    dir,
                };
            }
        };
        let known = others(&us.book, us.peer_id(), &us.circle().now()).unwrap_or_default();
        let mut reached = Vec::new();
        let asking = async {
            let asked = known.iter().map(|peer| ask(&us, peer).boxed());
            let asked: Vec<_> = asked.collect();
            let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
            while let Some(answer) = asked.next().await {
                reached.extend(answer);
            }
        };
        let _ = timeout(ALL, asking).await;
        if !known.is_empty() {
            us.tell(Event::Asked {
                known: known.len(),
                reached: reached.len(),
            });
        }
        Self {
            reached,
            circle: Some(us.circle().clone()),
            dir,
        }
    }

    /// Fails if a member knows a peer of this name that is not revoked.
    pub(super) async fn check_free(&self, name: &str) -> Result<(), Error> {
        match self.holder(name).await {
            None => Ok(()),
            Some((by, peer)) => Err(Error::NameHeld {
                by,
                name: name.to_owned(),
                peer,
            }),
        }
    }

    /// The member that knows a peer of this name which is not revoked, and the id of that peer. An answer counts as far as the
    /// circle has signed it.
    async fn holder(&self, name: &str) -> Option<(String, PeerId)> {
        let asked = self.reached.iter().map(|(by, client)| async move {
            let named = timeout(ANSWER, client.named(name)).await.ok()?.ok()??;
            let id = ca::holder_of(&self.dir, name, &named)?;
            Some((by.clone(), id))
        });
        let circle = self.circle.as_ref();
        let is_live = |id: &PeerId| circle.is_none_or(|circle| !circle.now().is_key_revoked(id));
        let mut asked: FuturesUnordered<_> = asked.collect();
        while let Some(answer) = asked.next().await {
            if let Some(held) = answer.filter(|(_, id)| is_live(id)) {
                return Some(held);
            }
        }
        None
    }

    /// The same question, for a machine that will come later.
    pub(super) fn into_check(self) -> NameCheck {
        let asked = Arc::new(self);
        Arc::new(move |name| {
            let asked = asked.clone();
            async move { asked.holder(&name).await.map(|(_, id)| id) }.boxed()
        })
    }
}

async fn ask(us: &Session, peer: &KnownPeer) -> Option<(String, PeerClient)> {
    let addresses = peer.addresses.iter();
    let addresses: Vec<PeerAddress> = addresses.filter_map(|a| a.parse().ok()).collect();
    let tries = addresses.iter();
    let tries = tries.map(|address| us.connect_at(address, Some(peer.peer_id)).boxed());
    let tries: Vec<_> = tries.collect();
    match timeout(ANSWER, first_answer(tries)).await {
        Ok(Ok(reached)) => Some((reached.peer.shown(), reached.client.with_retries(0))),
        Ok(Err(_)) | Err(_) => None,
    }
}
