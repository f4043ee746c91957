//! For whom something is sealed: of several that were named, those that it can be sealed for.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, timeout_at};

use super::{Error, Event, Kind, Missed, NotReached, Session};
use crate::{
    id::PeerId,
    store::{NetworkCause, Remote, StoreError},
    transfer::Recipient,
    trust::KnownPeer,
};

/// How much later than the first of several another may be met: a peer that says nothing must not hold up what goes to others. Known
/// ones are sealed for without having answered.
pub(super) const LATER: Duration = Duration::from_secs(10);

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
        let asked = to.iter().map(|text| self.recipient(text).boxed());
        let asked = self.met_together(to, asked.collect(), LATER).await;
        let mut recipients = Recipients::default();
        for (text, found) in to.iter().zip(asked) {
            match found {
                Ok(peer) => recipients.add(text, peer),
                Err(error) => recipients.exclude(text, error)?,
            }
        }
        Ok(recipients)
    }

    /// What each of `asked` gives for those that `texts` name, side by side. Once one is met the others have as long as `later`.
    pub(super) async fn met_together<T>(
        &self,
        texts: &[String],
        asked: Vec<BoxFuture<'_, Result<T, Error>>>,
        later: Duration,
    ) -> Vec<Result<T, Error>> {
        let asked = asked.into_iter().enumerate();
        let asked = asked.map(|(place, one)| one.map(move |done| (place, done)));
        let mut asked: FuturesUnordered<_> = asked.collect();
        let mut met: Vec<_> = texts.iter().map(|_| None).collect();
        let mut ends = None;
        loop {
            let next = match ends {
                Some(ends) => timeout_at(ends, asked.next()).await.ok().flatten(),
                None => asked.next().await,
            };
            let Some((place, done)) = next else { break };
            if done.is_ok() && ends.is_none() {
                ends = Some(Instant::now() + later);
            }
            met[place] = Some(done);
        }
        let each = texts.iter().zip(met);
        each.map(|(text, done)| done.unwrap_or_else(|| Err(self.said_nothing(text))))
            .collect()
    }

    fn said_nothing(&self, text: &str) -> Error {
        let known = self.known_here(text).ok().flatten();
        let id = known.as_ref().map(|known| known.peer_id);
        let addresses = known.map_or_else(|| vec![text.to_owned()], |known| known.addresses);
        let address = addresses.iter().find_map(|address| address.parse().ok());
        match address {
            Some(address) => Error::Store(StoreError::Network {
                remote: Remote::new(address, id),
                cause: NetworkCause::NoAnswer,
            }),
            None => Error::UnknownPeer {
                name: text.to_owned(),
                nearest: None,
            },
        }
    }

    /// The same without the network: only who is in the address book or the directory is found.
    pub(super) fn known_recipients(&self, to: &[String]) -> Result<Recipients, Error> {
        let mut recipients = Recipients::default();
        for text in to {
            let found = match self.known_here(text)? {
                Some(known) => self.check_not_revoked(text, &known).map(|()| known),
                None => Err(self.unknown(text.trim())?),
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
