//! A home that is served is acted on through the peer that serves it, which has the store; where nobody serves, it is done here.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    Candidate, Error, Event, Mistake, Session, meant,
    which::{begins, if_long_enough},
};
use crate::{
    client::PeerClient,
    id::Short as _,
    manifest::Timestamp,
    peer::Whereabouts,
    store::{LocalStore, StoreError},
    wire::Arriving,
};

/// How often who serves may change while something is asked for.
const TRIES: usize = 3;
/// How long a peer may take to end: its requests in work may finish, and it lets go of its home.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a peer is waited for that sees a change by itself in the end.
const READS_WITHIN: Duration = Duration::from_secs(3);

/// A peer that was to end. Nobody served the home if it was nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedPeer {
    /// Where it served.
    pub serving: Option<String>,
    /// Its process, if that is known.
    pub process: Option<u32>,
}

/// Has the peer that `serving` gives do something, and does it `here` if it gives none. That one begins or ends to serve
/// meanwhile is seen.
pub(super) async fn through_serving<T, A, H>(
    serving: impl Fn() -> Result<Option<PeerClient>, Error>,
    ask: impl Fn(PeerClient) -> A,
    here: impl Fn() -> H,
) -> Result<T, Error>
where
    A: Future<Output = Result<T, StoreError>>,
    H: Future<Output = Result<T, Error>>,
{
    let address = || serving().map(|peer| peer.map(|peer| peer.address().clone()));
    let mut left = TRIES;
    loop {
        left -= 1;
        let (done, asked) = match serving()? {
            Some(peer) => {
                let asked = peer.address().clone();
                let answer = ask(peer.with_retries(1)).await;
                (answer.map_err(Error::from), Some(asked))
            }
            None => (here().await, None),
        };
        let has_changed = match &done {
            // One that takes no connections any more is about to end, and the next one may begin.
            Err(Error::Store(StoreError::Network { .. })) if asked.is_some() => {
                let since = Instant::now();
                while address()? == asked && since.elapsed() < READS_WITHIN {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                address()? != asked
            }
            Err(Error::Store(StoreError::Locked { .. })) => asked.is_none() && address()?.is_some(),
            _ => false,
        };
        if !has_changed || left == 0 {
            return done;
        }
    }
}

impl Session {
    /// Lists what others are bringing to the peer that serves this home, the latest to move first. Nothing arrives where nobody
    /// serves.
    ///
    /// # Errors
    /// Fails if the serving peer does not answer.
    pub async fn arriving(&self) -> Result<Vec<Arriving>, Error> {
        let ask = |peer: PeerClient| async move { peer.arriving().await };
        through_serving(|| self.serving(), ask, || async { Ok(Vec::new()) }).await
    }

    /// Refuses what is arriving: its sender is told, and brings no more of it. Transfers are named by their ids, the beginnings
    /// of these, or names at their top, and are those of the peer `from` if one is named: anybody can copy an id. All are looked for
    /// first: if one is not there, nothing is cancelled. Each is told as [`Event::Cancelled`].
    ///
    /// # Errors
    /// Fails if nothing that is arriving has such an id, several have it, or the serving peer does not answer.
    pub async fn cancel_arriving(
        &self,
        transfers: &[String],
        from: Option<&str>,
    ) -> Result<Vec<Arriving>, Error> {
        let mut arriving = self.arriving().await?;
        if let Some(from) = from {
            arriving = self.arriving_from(arriving, from).await?;
        }
        once_each(&mut arriving);
        let named = transfers
            .iter()
            .map(|text| self.arriving_as(text, &arriving));
        let mut named: Vec<_> = named.collect::<Result<_, _>>()?;
        once_each(&mut named);
        for one in &named {
            let peer = self.serving()?.ok_or_else(|| Error::NothingArrives {
                text: one.transfer.to_string(),
            })?;
            peer.cancel_arriving(one.transfer, one.sender_id()).await?;
            self.tell(Event::Cancelled(one.clone()));
        }
        Ok(named)
    }

    /// Those of `arriving` that `from` has signed: as it is called among them, else as in [`Self::set_role`].
    async fn arriving_from(
        &self,
        mut arriving: Vec<Arriving>,
        from: &str,
    ) -> Result<Vec<Arriving>, Error> {
        let is_its = |one: &Arriving| begins(one.sender_id(), from) || self.called(one) == from;
        if arriving.iter().any(is_its) {
            arriving.retain(is_its);
        } else {
            let sender = meant::id_of(self, from).await?;
            arriving.retain(|one| one.sender_id() == sender);
        }
        Ok(arriving)
    }

    /// The one that is arriving and whose id is or begins with `text`, or that has a file of that name at its top.
    fn arriving_as(&self, text: &str, arriving: &[Arriving]) -> Result<Arriving, Error> {
        let by_id = |one: &&Arriving| begins(one.transfer, text);
        let by_name = |one: &&Arriving| one.names.iter().flatten().any(|name| name == text);
        let mut found: Vec<_> = arriving.iter().filter(by_id).collect();
        if found.is_empty() {
            found = arriving.iter().filter(by_name).collect();
        }
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(if_long_enough(text, || Error::NothingArrives {
                text: text.to_owned(),
            })),
            several => {
                let candidates = several.iter().map(|one| self.candidate_arriving(one));
                Err(Mistake::ambiguous(text, candidates.collect()).into())
            }
        }
    }

    /// What tells it from others that are arriving.
    fn candidate_arriving(&self, one: &Arriving) -> Candidate {
        let since = Timestamp::now().unix_seconds() as f64 - one.seconds;
        Candidate {
            id: one.transfer.to_string(),
            at: Timestamp::from_unix_seconds(since.max(0.0) as u64),
            bytes: one.of,
            who: format!("from {}", self.called(one)),
            names: one.names.clone().unwrap_or_default(),
        }
    }

    /// What the sender of a transfer is called here. Remote text.
    fn called(&self, one: &Arriving) -> String {
        let sender = one.sender_id();
        let own_name = (sender == one.peer_id).then(|| one.name.clone());
        let called = self.known_name(sender).or(own_name);
        called.unwrap_or_else(|| sender.short())
    }

    /// Has the peer that serves this home read the address book at once. It would see by itself within a second that it has changed, so
    /// that it does not answer is no failure.
    pub(super) async fn have_it_read(&self) {
        if let Ok(Some(peer)) = self.serving() {
            let _ = timeout(READS_WITHIN, peer.with_retries(0).reload()).await;
        }
    }

    /// Ends the peer that serves this home, and returns once the home can be served again. Where nobody serves nothing is done.
    ///
    /// # Errors
    /// Fails if the peer does not answer, has not ended after half a minute, or may serve a store that is not there.
    pub async fn stop_serving(&self) -> Result<StoppedPeer, Error> {
        let chunks = self.home.chunks();
        let Some(served) = LocalStore::holder(&chunks).filter(|holder| holder.serving.is_some())
        else {
            // Nobody may be serving only as far as can be seen.
            return match LocalStore::check_holder(&chunks, &self.home.store_mark()) {
                Ok(()) => Ok(StoppedPeer::default()),
                Err(error) => self.stop_noted(error).await,
            };
        };
        let ask = |peer: PeerClient| async move { peer.stop().await };
        let told = through_serving(|| self.serving(), ask, || async { Ok(()) }).await;
        if let Err(error) = &told
            && !matches!(error, Error::Store(StoreError::Network { .. }))
        {
            return told.map(|()| StoppedPeer::default());
        }
        // One that takes no connections may be ending, because another has told it to.
        let asked = Instant::now();
        // Whoever has the store after it is another one.
        while LocalStore::holder(&chunks)
            .is_some_and(|now| (now.process, &now.serving) == (served.process, &served.serving))
        {
            if asked.elapsed() > ENDS_WITHIN {
                told?;
                let serving = served.serving.unwrap_or_default();
                return Err(Error::StillServing { serving });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(StoppedPeer {
            serving: served.serving,
            process: served.process,
        })
    }
}

impl Session {
    /// Ends the peer that has noted in the home that it serves it, where its store, which tells it better, cannot be asked: `why`.
    async fn stop_noted(&self, why: StoreError) -> Result<StoppedPeer, Error> {
        let dir = self.home.dir();
        let Some(noted) = Whereabouts::load(&dir) else {
            return Err(Error::ServedUnknown(why));
        };
        // Whoever answers there has proved that it is this peer.
        let peer = self.own_client(&noted.address)?.with_retries(1);
        if peer.stop().await.is_err() {
            return Err(Error::ServedUnknown(why));
        }
        let asked = Instant::now();
        while Whereabouts::load(&dir).as_ref() == Some(&noted) {
            if asked.elapsed() > ENDS_WITHIN {
                let serving = noted.address;
                return Err(Error::StillServing { serving });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(StoppedPeer {
            serving: Some(noted.address),
            process: Some(noted.process),
        })
    }
}

/// Leaves one of each transfer: several peers may bring the same.
fn once_each(arriving: &mut Vec<Arriving>) {
    let transfer = |one: &mut Arriving| (one.transfer, one.sender_id());
    arriving.sort_by_key(|one| (one.transfer, one.sender_id()));
    arriving.dedup_by_key(transfer);
}
