//! Sending to peers, and sharing into the own store.

mod content;
mod meet;
mod sealing;
mod stored;
mod unfinished;
mod wait;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{Cause, Error, LeftOut, Missed, Mistake, RETRY_FOR, Recipients, Session, Told, Work};
use crate::{
    id::{FileDigest, ManifestId, TransferId},
    peer::{Direction, HistoryEntry},
    store::{OfferAnswer, Pace, PacedStore, Store, TransferState},
    transfer::{self, SendOptions, Sources, TransferError},
};

pub use content::{message, walk};
use meet::{Destination, Met};
pub(crate) use sealing::tell_sources;
pub use sealing::{Lifetime, Planned, Sealing};
pub use stored::{Fault, StoredAt};
pub use unfinished::{ResumeRequest, UnfinishedSend};

/// The least time for which others wait for a store that is much slower: disks and links have their moments.
const LEAST_PATIENCE: Duration = Duration::from_secs(5);

/// To whom something is sent, and how.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SendRequest {
    /// The peers that can open it, and store it unless `via` names others: names or addresses.
    pub to: Vec<String>,
    /// The peers that store it without being able to open it.
    pub via: Vec<String>,
    /// Whether the own store keeps it too.
    pub keep: bool,
    /// Whether the operation ends only when the recipients have opened it, or will not.
    pub wait: bool,
    /// How it is sealed.
    pub sealing: Sealing,
    /// How many bytes a second go to others at most; as the settings say if it is not given.
    pub pace: Option<Pace>,
    /// For how long a peer is tried again that does not answer; [`RETRY_FOR`] once a transfer has begun if it is
    /// not given. If it is, a peer is waited for also before. For as long, and at least 5 s, others wait for one that is much slower than
    /// they are, which is left behind then.
    pub retry_for: Option<Duration>,
}

impl SendRequest {
    /// To the peers that are called so, with the defaults.
    pub fn to<T: Into<String>>(peers: impl IntoIterator<Item = T>) -> Self {
        Self {
            to: peers.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

/// A transfer that was sent or shared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sent {
    /// The transfer.
    pub transfer: TransferId,
    /// Its manifest; none if every recipient had received it before.
    #[serde(rename = "id")]
    pub manifest: Option<ManifestId>,
    /// Bytes of content.
    pub bytes: u64,
    /// Chunks of content.
    pub chunks: u64,
    /// Those of them that were there already.
    pub already_chunks: u64,
    /// The files at its top, and the BLAKE3 digest of each, as `b3sum` prints it; none if every recipient had received it before.
    #[serde(default)]
    pub blake3: Vec<(String, FileDigest)>,
    /// What the stores answered that have it: the answers of `stores`.
    pub answers: Vec<OfferAnswer>,
    /// What became of it at each store that it was for, in the order in which they were named; the own store is the last.
    #[serde(default)]
    pub stores: Vec<StoredAt>,
    /// How long it took.
    pub seconds: f64,
    /// With `wait`: opened, or the other state that a recipient's ended in.
    pub state: Option<TransferState>,
    /// The recipients, as they are called here; none if it was only shared.
    pub to: Vec<String>,
    /// The peers that store it for them, if others do.
    pub via: Vec<String>,
    /// Those that were named as recipients and cannot open it, and why: they are revoked, or not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<Missed>,
    /// Whether all of it went to all of them, and none has refused it.
    pub complete: bool,
}

/// Where a transfer goes.
struct Way {
    options: SendOptions,
    destinations: Vec<Destination>,
    stores: Vec<StoredAt>,
    missed: Vec<Missed>,
    excluded: Vec<Missed>,
    to: Vec<String>,
    via: Vec<String>,
    wait: bool,
}

impl Way {
    /// Notes what became of it at each destination, and leaves those that have it.
    fn note(&mut self, results: Vec<Result<OfferAnswer, TransferError>>) {
        let destinations = std::mem::take(&mut self.destinations);
        for (to, result) in destinations.into_iter().zip(results) {
            let stored = &mut self.stores[to.place];
            match result {
                Ok(answer) => {
                    stored.answer = Some(answer);
                    self.destinations.push(to);
                }
                Err(error) => {
                    let error = stopped_by(&to.name, error.into());
                    let mut missed = Missed::peer(to.name, &error);
                    let mut fault = Fault::of(&error);
                    if missed.cause == Cause::TooSlow {
                        // The transfer knows its stores by their speed alone.
                        (missed.peer_id, missed.address) = (stored.peer_id, stored.address.clone());
                        (fault.peer_id, fault.address) = (stored.peer_id, stored.address.clone());
                    }
                    stored.error = Some(fault);
                    self.missed.push(missed);
                }
            }
        }
    }
}

impl Session {
    /// Sends `sources` as a request says. Recipients that are known need not answer if another does, or if `via` names who stores
    /// it for them. Of several recipients and carriers, those that are off, revoked or unknown keep nothing from the others: they are in
    /// the outcome, which is not complete then, and told as [`Event::Missed`](super::Event::Missed).
    ///
    /// # Errors
    /// Fails if nobody could open it, every recipient is unknown or revoked, none of the stores takes it, or a source cannot be read.
    pub async fn send(&self, sources: Sources, request: &SendRequest) -> Result<Sent, Error> {
        request.check()?;
        let pace = self.pace(request.pace.as_ref())?;
        let way = self.way(&sources, request, request.keep).await?;
        self.deliver(sources, way, pace.as_ref()).await
    }

    /// Says what [`Self::send`] would send, and to whom. Recipients are reached, nothing is stored.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn plan(&self, sources: &Sources, request: &SendRequest) -> Result<Planned, Error> {
        request.check()?;
        let Way {
            options, to, via, ..
        } = self.way(sources, request, false).await?;
        sealing::tell_sources(self, sources, &options);
        Ok(Planned::of(sources, &options, to, via))
    }

    /// Seals `sources` into the own store for `to` to fetch; for every known peer that is not revoked, if it names none.
    ///
    /// # Errors
    /// Fails if every recipient is unknown or revoked, or the own store or a source cannot be used.
    pub async fn share(
        &self,
        sources: Sources,
        to: &[String],
        sealing: &Sealing,
    ) -> Result<Sent, Error> {
        self.share_to(None, sources, to, sealing).await
    }

    /// Does the same with a `store` of any kind: one that the program has made, or one that several people can reach.
    ///
    /// # Errors
    /// Fails if every recipient is unknown or revoked, or the store or a source cannot be used.
    pub async fn share_into(
        &self,
        store: Arc<dyn Store>,
        sources: Sources,
        to: &[String],
        sealing: &Sealing,
    ) -> Result<Sent, Error> {
        self.share_to(Some(store), sources, to, sealing).await
    }

    async fn share_to(
        &self,
        given: Option<Arc<dyn Store>>,
        sources: Sources,
        to: &[String],
        sealing: &Sealing,
    ) -> Result<Sent, Error> {
        let mut options = sealing.options(self, &sources)?;
        let recipients = self.recipients_of_share(to).await?;
        let recipients = recipients.check_any(sealing.password.is_some())?;
        options.recipients = recipients.keys();
        let excluded = recipients.excluded();
        let mut met = Met::default();
        match given {
            Some(store) => met.add_given(store),
            None => met.add_own(self.peer_id(), self.own().await?.as_store()),
        }
        let way = Way {
            options,
            destinations: met.destinations,
            stores: met.stores,
            missed: Vec::new(),
            excluded,
            to: Vec::new(),
            via: Vec::new(),
            wait: false,
        };
        self.deliver(sources, way, None).await
    }

    async fn recipients_of_share(&self, to: &[String]) -> Result<Recipients, Error> {
        if !to.is_empty() {
            return self.recipients(to).await;
        }
        let mut every = Recipients::default();
        let others = self.members_to_share_with()?;
        for peer in others.into_iter().filter(|peer| !self.is_us(peer.peer_id)) {
            every.add(&peer.shown(), peer);
        }
        Ok(every)
    }

    /// `keep` says whether the own store has it too, which is made for that.
    async fn way(
        &self,
        sources: &Sources,
        request: &SendRequest,
        keep: bool,
    ) -> Result<Way, Error> {
        let mut options = request.sealing.options(self, sources)?;
        let mut met = self.meet(request).await?;
        if keep {
            met.add_own(self.peer_id(), self.own().await?.as_store());
        }
        let Met {
            recipients,
            destinations,
            stores,
            missed,
            ..
        } = met;
        options.recipients = recipients.keys();
        options.patience = request.patience();
        options.unreached = !missed.is_empty();
        // What the own store has needs no files to be had again.
        options.remember = (!keep).then(|| self.home.sent());
        options.note = unfinished::Note::of(sources, request);
        Ok(Way {
            options,
            destinations,
            stores,
            missed,
            excluded: recipients.excluded(),
            to: recipients.shown(),
            via: request.via.clone(),
            wait: request.wait,
        })
    }

    async fn deliver(
        &self,
        sources: Sources,
        mut way: Way,
        pace: Option<&Pace>,
    ) -> Result<Sent, Error> {
        sealing::tell_sources(self, &sources, &way.options);
        let mut complete = LeftOut::is_all_sent(sources.left_out());
        let (names, start) = (sources.top_names(), Instant::now());
        let stores = way.destinations.iter();
        // A limit is for the network.
        let paced = |to: &Destination| paced(to.store.clone(), pace.filter(|_| !to.is_own));
        let stores: Vec<_> = stores.map(paced).collect();
        let told = Told::to(self.reporter.clone(), Work::Sending);
        let sent = transfer::send(&self.sender(), sources, &way.options, &stores, &told).await;
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) => {
                self.tell_unfinished(way.options.note.as_deref()).await;
                let error = Error::from(error);
                return Err(match way.destinations.as_slice() {
                    [to] => stopped_by(&to.name, error),
                    _ => error,
                });
            }
        };
        complete &= LeftOut::tell(self, &sent.left_out);
        way.note(sent.stores);
        let seconds = start.elapsed().as_secs_f64();
        let state = match sent.manifest {
            Some(manifest) if way.wait => self.wait_for_all(&way.destinations, manifest).await?,
            _ => None,
        };
        complete &= !matches!(state, Some(TransferState::Refused | TransferState::Expired));
        let outcome = Sent {
            transfer: sent.transfer_id,
            manifest: sent.manifest,
            bytes: sent.size,
            chunks: sent.chunks,
            already_chunks: sent.already_chunks,
            blake3: sent.blake3,
            answers: way.stores.iter().filter_map(|at| at.answer).collect(),
            stores: way.stores,
            seconds,
            state,
            complete: complete && way.missed.is_empty() && way.excluded.is_empty(),
            excluded: way.excluded,
            to: way.to,
            via: way.via,
        };
        self.remember_sent(&outcome, &way.missed, names);
        self.tell_missed(&outcome.excluded);
        self.tell_missed(&way.missed);
        Ok(outcome)
    }

    fn remember_sent(&self, sent: &Sent, missed: &[Missed], names: Vec<String>) {
        let Some(manifest) = sent.manifest else {
            return;
        };
        let mut peers = if sent.to.is_empty() {
            sent.via.clone()
        } else {
            sent.to.clone()
        };
        peers.retain(|name| {
            missed
                .iter()
                .all(|missed| missed.peer.as_ref() != Some(name))
        });
        self.remember(&HistoryEntry {
            sender: Some(self.peer_id()),
            manifest: Some(manifest),
            peers,
            bytes: sent.bytes,
            seconds: Some(sent.seconds),
            names,
            blake3: sent.blake3.clone(),
            ..HistoryEntry::new(Direction::Sent, sent.transfer)
        });
    }
}

impl SendRequest {
    /// How long the others wait for one that is much slower.
    fn patience(&self) -> Duration {
        let patience = self.retry_for.unwrap_or(RETRY_FOR);
        patience.max(LEAST_PATIENCE)
    }

    fn check(&self) -> Result<(), Mistake> {
        match (self.to.is_empty(), self.via.is_empty()) {
            (true, true) => Err(Mistake::NobodyToSendTo),
            (true, false) if self.sealing.password.is_none() => Err(Mistake::NobodyCouldOpen),
            _ => Ok(()),
        }
    }
}

/// The same error; if the owner of `peer` has stopped the transfer, in these words.
fn stopped_by(peer: &str, error: Error) -> Error {
    match error.cause() {
        Cause::Stopped => Error::StoppedBy {
            peer: peer.to_owned(),
            source: Box::new(error),
        },
        _ => error,
    }
}

/// `store`, at that pace.
pub(crate) fn paced(store: Arc<dyn Store>, pace: Option<&Pace>) -> Arc<dyn Store> {
    match pace {
        Some(pace) => Arc::new(PacedStore::new(store, pace.clone())),
        None => store,
    }
}
