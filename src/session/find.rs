//! Finding a known peer again that answers at none of its addresses.

use futures::{StreamExt as _, stream::FuturesUnordered};

use super::{Cause, ConnectedPeer, Event, Kind, Session, discovery};
use crate::{
    address::PeerAddress,
    discover::{Browser, Discovery, MAX_ADDRESSES, PATIENCE, SeenPeer, Service},
    trust::KnownPeer,
};

impl Session {
    /// Looks in the network for a known peer that answers at none of its addresses. Whoever says to be it must show its key.
    pub(super) async fn find_again(&self, known: &KnownPeer) -> Option<ConnectedPeer> {
        if discovery(&self.config) == Discovery::Off {
            return None;
        }
        let mut browser = Browser::start(Service::Peer, PATIENCE)
            .inspect_err(|error| tracing::debug!(%error, "not looked for in the network"))
            .ok()?;
        let mut tried: Vec<PeerAddress> = known
            .addresses
            .iter()
            .filter_map(|address| address.parse().ok())
            .collect();
        let most = tried.len() + MAX_ADDRESSES;
        let (mut tries, mut is_over) = (FuturesUnordered::new(), false);
        loop {
            tokio::select! {
                seen = browser.next(), if !is_over => {
                    is_over = seen.is_none();
                    let is_it = |seen: &SeenPeer| seen.id == known.peer_id;
                    let found = seen.filter(is_it).into_iter().flat_map(|seen| seen.addresses);
                    for address in found.map(PeerAddress::from) {
                        if tried.len() < most && !tried.contains(&address) {
                            tried.push(address.clone());
                            tries.push(self.try_at(known, address));
                        }
                    }
                }
                Some(reached) = tries.next() => {
                    if reached.is_some() {
                        return reached;
                    }
                }
                else => return None,
            }
        }
    }

    async fn try_at(&self, known: &KnownPeer, address: PeerAddress) -> Option<ConnectedPeer> {
        let name = known.shown();
        match self.connect_at(&address, Some(known.peer_id)).await {
            Ok(connected) => {
                let address = address.to_string();
                self.tell(Event::Moved { name, address });
                Some(connected)
            }
            // Whoever refuses us has not been found to be another.
            Err(error) if matches!(error.cause(), Cause::RefusesUs | Cause::Refused) => {
                self.tell(Event::RefusedThere {
                    name,
                    address: address.to_string(),
                    reason: error.to_string(),
                });
                None
            }
            Err(error) if error.kind() == Kind::Trust => {
                self.tell(Event::Impostor {
                    name,
                    address: address.to_string(),
                    reason: error.to_string(),
                });
                None
            }
            Err(_) => None,
        }
    }
}
