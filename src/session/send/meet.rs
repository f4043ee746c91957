//! Who can open what is sent, and where it is stored.

use std::sync::Arc;

use futures::future::{join_all, try_join_all};

use super::{SendRequest, StoredAt};
use crate::{
    id::PeerId,
    manifest::Signer as _,
    session::{ConnectedPeer, Error, Kind, Missed, Mistake, NotReached, Session, each_once},
    store::Store,
    trust::KnownPeer,
};

/// What the own store is called.
const OWN: &str = "the local store";
/// What a store is called that a program has given.
const GIVEN: &str = "the given store";

/// Where a transfer is stored.
pub(super) struct Destination {
    /// Who that is, in words.
    pub(super) name: String,
    pub(super) store: Arc<dyn Store>,
    /// Its number among all that were asked for.
    pub(super) place: usize,
    /// Whether it is opened there, so that what becomes of it can be waited for.
    pub(super) opens: bool,
}

/// Who can open it, where it goes, and who did not answer.
#[derive(Default)]
pub(super) struct Met {
    pub(super) known: Vec<KnownPeer>,
    pub(super) destinations: Vec<Destination>,
    /// Every store that was asked for, in this order.
    pub(super) stores: Vec<StoredAt>,
    /// The peers that the destinations are.
    carriers: Vec<PeerId>,
    pub(super) missed: Vec<Missed>,
}

impl Session {
    /// Connects to all that are needed, side by side: one that is off costs the others no time of their own. Of several recipients
    /// those that are known need not answer now.
    pub(super) async fn meet(&self, request: &SendRequest) -> Result<Met, Error> {
        let mut met = match request.via.is_empty() {
            true => self.meet_recipients(&request.to).await?,
            false => Met {
                known: try_join_all(request.to.iter().map(|text| self.recipient(text))).await?,
                ..Met::default()
            },
        };
        met.known = each_once(met.known, |peer| peer.peer_id);
        let ours = self.identity().peer_id();
        if request.wait && met.known.iter().any(|peer| peer.peer_id == ours) {
            return Err(Mistake::WaitsForItself.into());
        }
        let carriers = request.via.iter().map(|text| self.connect(text));
        for (text, connected) in request.via.iter().zip(try_join_all(carriers).await?) {
            let id = connected.peer.peer_id;
            if request.wait && !met.known.iter().any(|known| known.peer_id == id) {
                let peer = text.clone();
                return Err(Mistake::NotToldWhenOpened { peer }.into());
            }
            met.add(text, connected);
        }
        // Each of those that we met may have known of a revocation that we did not know of.
        for peer in &met.known {
            self.check_not_revoked(peer)?;
        }
        Ok(met)
    }

    async fn meet_recipients(&self, to: &[String]) -> Result<Met, Error> {
        let (mut met, mut tries) = (Met::default(), Vec::new());
        let connected = join_all(to.iter().map(|text| self.connect(text))).await;
        for (text, connected) in to.iter().zip(connected) {
            match connected {
                Ok(connected) => {
                    met.known.push(connected.peer.clone());
                    met.add(text, connected);
                }
                // Nothing answers there, or another machine: a known peer is sealed for by its key all the same.
                Err(error)
                    if matches!(error.kind(), Kind::Network | Kind::Trust)
                        && self.knows(text)? =>
                {
                    let known = self.recipient(text).await?;
                    if met.known.iter().all(|met| met.peer_id != known.peer_id) {
                        let missed = StoredAt::missed(text.trim(), known.peer_id, &error);
                        met.stores.push(missed);
                        met.known.push(known);
                        met.missed.push(Missed::peer(text.clone(), &error));
                    }
                    tries.push(NotReached {
                        peer: text.trim().to_owned(),
                        error: Box::new(error),
                    });
                }
                Err(error) => return Err(error),
            }
        }
        match tries.len() {
            _ if !met.destinations.is_empty() => Ok(met),
            0 => Ok(met),
            1 => Err(*tries.swap_remove(0).error),
            _ => Err(Error::NobodyReached { tries }),
        }
    }
}

impl Met {
    /// Stores it there too, unless it does already under another name.
    fn add(&mut self, text: &str, connected: ConnectedPeer) {
        let id = connected.peer.peer_id;
        if !self.carriers.contains(&id) {
            self.carriers.push(id);
            let stored = StoredAt::reached(text.trim(), id, Some(connected.client.address()));
            let opens = self.known.iter().any(|known| known.peer_id == id);
            self.push(stored, Arc::new(connected.client), opens);
        }
    }

    /// Stores it also in the own store. What is in it for others is never opened there.
    pub(super) fn add_own(&mut self, ours: PeerId, store: Arc<dyn Store>) {
        self.push(StoredAt::reached(OWN, ours, None), store, false);
    }

    /// Stores it in a store that a program has given. Who opens what is in it is not known here.
    pub(super) fn add_given(&mut self, store: Arc<dyn Store>) {
        self.push(StoredAt::given(GIVEN), store, false);
    }

    fn push(&mut self, stored: StoredAt, store: Arc<dyn Store>, opens: bool) {
        self.destinations.push(Destination {
            name: stored.peer.clone(),
            store,
            place: self.stores.len(),
            opens,
        });
        self.stores.push(stored);
    }
}
