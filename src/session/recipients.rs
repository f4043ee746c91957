//! For whom something is sealed: of several that were named, those that it can be sealed for.

use futures::future::join_all;

use super::{Error, Event, Kind, Missed, NotReached, Session, known, unknown};
use crate::{id::PeerId, transfer::Recipient, trust::KnownPeer};

/// The peers that were named, as far as something can be sealed for them, and why not for the others.
#[derive(Default)]
pub(crate) struct Recipients {
    peers: Vec<(String, KnownPeer)>,
    excluded: Vec<NotReached>,
}

/// Whether `error` is about one peer, so that what was asked for can be done for the others.
pub(super) fn is_of_one(error: &Error) -> bool {
    matches!(error.kind(), Kind::Network | Kind::Trust | Kind::NotFound)
}

impl Recipients {
    /// Adds a peer that was named `text`, unless it was under another name.
    pub(super) fn add(&mut self, text: &str, peer: KnownPeer) {
        if !self.has(peer.peer_id) {
            self.peers.push((text.trim().to_owned(), peer));
        }
    }

    /// Notes that nothing is sealed for whoever was named `text`. Fails if the error is not about that one alone.
    pub(super) fn exclude(&mut self, text: &str, error: Error) -> Result<(), Error> {
        if !is_of_one(&error) {
            return Err(error);
        }
        self.excluded.push(NotReached {
            peer: text.trim().to_owned(),
            error: Box::new(error),
        });
        Ok(())
    }

    /// Takes out who is revoked by now.
    pub(super) fn drop_revoked(&mut self, us: &Session) {
        for (text, peer) in std::mem::take(&mut self.peers) {
            match us.check_not_revoked(&text, &peer) {
                Ok(()) => self.peers.push((text, peer)),
                Err(error) => self.excluded.push(NotReached {
                    peer: text,
                    error: Box::new(error),
                }),
            }
        }
    }

    /// Fails if nobody is left of those that were named, and there is no other way to open it.
    pub(super) fn check_any(self, has_password: bool) -> Result<Self, Error> {
        match self.peers.is_empty() && !has_password && !self.excluded.is_empty() {
            true => Err(Error::of_several(self.excluded)),
            false => Ok(self),
        }
    }

    pub(super) fn into_excluded(self) -> Vec<NotReached> {
        self.excluded
    }

    pub(super) fn has(&self, id: PeerId) -> bool {
        self.peers.iter().any(|(_, peer)| peer.peer_id == id)
    }

    /// What they are called here.
    pub(super) fn shown(&self) -> Vec<String> {
        self.peers.iter().map(|(_, peer)| peer.shown()).collect()
    }

    /// Why it is not sealed for the others that were named.
    pub(super) fn excluded(&self) -> Vec<Missed> {
        let missed = |one: &NotReached| Missed::peer(one.peer.clone(), &one.error);
        self.excluded.iter().map(missed).collect()
    }

    /// The keys that it is sealed to.
    pub(super) fn keys(&self) -> Vec<Recipient> {
        let key = |(_, peer): &(String, KnownPeer)| Recipient {
            peer: peer.peer_id,
            seal_key: peer.seal_key.clone(),
        };
        self.peers.iter().map(key).collect()
    }
}

impl Session {
    /// Those of `to` that something can be sealed for, whether they answer or not.
    pub(super) async fn recipients(&self, to: &[String]) -> Result<Recipients, Error> {
        let asked = join_all(to.iter().map(|text| self.recipient(text))).await;
        let mut recipients = Recipients::default();
        for (text, found) in to.iter().zip(asked) {
            match found {
                Ok(peer) => recipients.add(text, peer),
                Err(error) => recipients.exclude(text, error)?,
            }
        }
        Ok(recipients)
    }

    /// The same without the network: only who is in the address book is found.
    pub(super) fn known_recipients(&self, to: &[String]) -> Result<Recipients, Error> {
        let mut recipients = Recipients::default();
        for text in to {
            let found = match known(text, &self.book)? {
                Some(known) => self.check_not_revoked(text, &known).map(|()| known),
                None => Err(unknown(text.trim(), &self.book)?),
            };
            match found {
                Ok(peer) => recipients.add(text, peer),
                Err(error) => recipients.exclude(text, error)?,
            }
        }
        Ok(recipients)
    }

    /// Tells who does not have it, or cannot open it.
    pub(super) fn tell_missed(&self, missed: &[Missed]) {
        for missed in missed {
            self.tell(Event::Missed(missed.clone()));
        }
    }
}
