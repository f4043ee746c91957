//! The peers that this one knows, and the way to each of them.

use std::sync::Arc;

use super::door::Door;
use crate::{
    client::{ClientOptions, PeerClient},
    id::PeerId,
    manifest::Signer as _,
    name::Escaped,
    store::StoreError,
    tls::{self, Circle, Expect, Identity, Seen},
    trust::{AddressBook, KnownPeer, TrustError},
};

/// Members that only the directory names, and that are asked all the same.
const MAX_MEMBERS: usize = 32;

/// Whom a serving peer may ask something, as what it is now.
pub(super) struct Known {
    pub(super) door: Arc<Door>,
    retries: usize,
}

impl Known {
    /// With so many tries after the first at each address.
    pub(super) fn new(door: &Arc<Door>, retries: usize) -> Self {
        let door = door.clone();
        Self { door, retries }
    }

    /// Those that may be asked.
    pub(super) fn others(&self) -> Result<Vec<KnownPeer>, TrustError> {
        let book = AddressBook::new(self.door.dir().peers());
        let (me, circle) = (self.door.identity().peer_id(), self.door.circle());
        let mut peers = others(&book, me, &circle.now())?;
        // Without the directory there are those of the book.
        let members = tls::other_members(self.door.dir(), circle, MAX_MEMBERS).unwrap_or_default();
        let is_other = |peer: &KnownPeer| peer.peer_id != me && !peer.addresses.is_empty();
        peers.extend(members.into_iter().filter(is_other));
        Ok(peers)
    }

    /// Clients of `peer`, one for each of its addresses. Whoever answers there must show the key that is known.
    pub(super) fn clients(&self, peer: &KnownPeer) -> impl Iterator<Item = PeerClient> {
        let identity = self.door.identity();
        peer.addresses.iter().filter_map(move |address| {
            let client = self.client(&identity, peer, address);
            let client = client.inspect_err(|error| {
                let (address, error) = (Escaped::new(address), error.to_string());
                tracing::debug!(%address, error = %Escaped::new(&error), "not asked");
            });
            client.ok()
        })
    }

    fn client(
        &self,
        identity: &Identity,
        peer: &KnownPeer,
        address: &str,
    ) -> Result<PeerClient, Box<dyn std::error::Error>> {
        let expect = Expect {
            peer: Some(peer.peer_id),
            ..Expect::default()
        };
        let seen = Seen::default();
        let config = tls::client_config(identity, self.door.circle(), expect, &seen)?;
        let options = ClientOptions {
            retries: self.retries,
            ..ClientOptions::default()
        };
        let client = PeerClient::new(address.parse()?, config, options)?;
        Ok(client.with_peer(Some(peer.peer_id), &seen))
    }
}

/// The peers of `book` that `me` may ask something: all but itself, those that were revoked, and those without an address.
pub(crate) fn others(
    book: &AddressBook,
    me: PeerId,
    circle: &Circle,
) -> Result<Vec<KnownPeer>, TrustError> {
    let mut peers = book.peers()?;
    peers.retain(|peer| {
        let is_other = peer.peer_id != me;
        is_other && !peer.addresses.is_empty() && !circle.is_known_out(peer)
    });
    Ok(peers)
}

/// Why a peer none of whose addresses could be tried was not asked.
pub(super) fn no_address(peer: PeerId) -> StoreError {
    StoreError::NobodyToAsk { peer: Some(peer) }
}
