//! Who can open what is sent, and where it is stored.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;

use super::{Fault, SendRequest, StoredAt};
use crate::{
    id::PeerId,
    session::{
        ConnectedPeer, Error, Missed, Mistake, NotReached, Recipients, Session,
        recipients::{LATER, is_of_one},
    },
    store::Store,
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
    /// Whether it is the store of this home.
    pub(super) is_own: bool,
}

/// Who can open it, where it goes, and who did not answer.
#[derive(Default)]
pub(super) struct Met {
    pub(super) recipients: Recipients,
    pub(super) destinations: Vec<Destination>,
    /// Every store that was asked for, in this order.
    pub(super) stores: Vec<StoredAt>,
    /// The peers that the destinations are.
    carriers: Vec<PeerId>,
    /// Stores that are not reached.
    pub(super) missed: Vec<Missed>,
    /// Why, of each that is not reached.
    tries: Vec<NotReached>,
}

/// For how long stores are waited for.
#[derive(Clone, Copy)]
struct Waits {
    /// As the request says.
    asked: Option<Duration>,
    /// Whether a transfer waits for one that answers no more: one of several is left behind instead, so that the others go on.
    for_one: bool,
}

impl Session {
    /// Connects to all that are needed, side by side: one that is off costs the others no time of their own. Of several those
    /// that are off, revoked or unknown are done without; recipients that are known need not answer now.
    pub(super) async fn meet(&self, request: &SendRequest) -> Result<Met, Error> {
        let mut met = match request.via.is_empty() {
            true => self.meet_recipients(request).await?,
            false => Met {
                recipients: self.recipients(&request.to).await?,
                ..Met::default()
            },
        };
        if request.wait && met.recipients.has(self.peer_id()) {
            return Err(Mistake::WaitsForItself.into());
        }
        self.meet_carriers(request, &mut met).await?;
        // Each of those that we met may have known of a revocation that we did not know of.
        met.recipients.drop_revoked(self);
        met.drop_revoked(self);
        let has_password = request.sealing.password.is_some();
        met.recipients = met.recipients.check_any(has_password)?;
        met.check_reached()
    }

    async fn meet_recipients(&self, request: &SendRequest) -> Result<Met, Error> {
        let (mut met, to) = (Met::default(), &request.to);
        let waits = Waits::of(request, to);
        let connected = self.connect_all(to, request.retry_for).await;
        for (text, connected) in to.iter().zip(connected) {
            match connected {
                Ok(connected) => {
                    met.recipients.add(text, connected.peer.clone());
                    met.add(text, self.patient(text, connected, waits));
                }
                Err(error) => self.do_without(text, error, &mut met).await?,
            }
        }
        Ok(met)
    }

    /// A recipient does not answer, or another machine in its place: a known peer is sealed for by its key all the same.
    async fn do_without(&self, text: &str, error: Error, met: &mut Met) -> Result<(), Error> {
        let known = self.known_here(text)?;
        let id = known.as_ref().map(|known| known.peer_id);
        if id.is_some_and(|id| met.recipients.has(id)) {
            return Ok(());
        }
        match known.map(|known| self.check_not_revoked(text, &known).map(|()| known)) {
            Some(Ok(known)) if is_of_one(&error) => {
                met.recipients.add(text, known);
                met.miss(text, id, error);
            }
            Some(Err(revoked)) => {
                met.stores.push(StoredAt::missed(text.trim(), id, &revoked));
                met.recipients.exclude(text, revoked)?;
            }
            _ => {
                met.stores.push(StoredAt::missed(text.trim(), id, &error));
                met.recipients.exclude(text, error)?;
            }
        }
        Ok(())
    }

    async fn meet_carriers(&self, request: &SendRequest, met: &mut Met) -> Result<(), Error> {
        let waits = Waits::of(request, &request.via);
        let carriers = self.connect_all(&request.via, request.retry_for).await;
        for (text, connected) in request.via.iter().zip(carriers) {
            let id = match &connected {
                Ok(connected) => Some(connected.peer.peer_id),
                Err(_) => self.known_here(text)?.map(|known| known.peer_id),
            };
            if request.wait && id.is_some_and(|id| !met.recipients.has(id)) {
                let peer = text.clone();
                return Err(Mistake::NotToldWhenOpened { peer }.into());
            }
            match connected {
                Ok(connected) => met.add(text, self.patient(text, connected, waits)),
                Err(error) if is_of_one(&error) => met.miss(text, id, error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Session {
    /// Connects to each, side by side.
    async fn connect_all(
        &self,
        texts: &[String],
        retry_for: Option<Duration>,
    ) -> Vec<Result<ConnectedPeer, Error>> {
        let asked = texts.iter();
        let asked = asked.map(|text| self.connect_within(text, retry_for).boxed());
        let later = LATER.max(retry_for.unwrap_or_default());
        self.met_together(texts, asked.collect(), later).await
    }

    /// The same peer, whose client waits as `waits` says.
    fn patient(&self, text: &str, connected: ConnectedPeer, waits: Waits) -> ConnectedPeer {
        let ConnectedPeer { mut client, peer } = connected;
        if waits.for_one {
            client = self.watched(client, text, waits.asked);
        }
        ConnectedPeer { client, peer }
    }
}

impl Waits {
    fn of(request: &SendRequest, stores: &[String]) -> Self {
        let asked = request.retry_for;
        let for_one = stores.len() == 1 || asked.is_some();
        Self { asked, for_one }
    }
}

impl Met {
    /// Stores it there too, unless it does already under another name.
    fn add(&mut self, text: &str, connected: ConnectedPeer) {
        let id = connected.peer.peer_id;
        if !self.carriers.contains(&id) {
            self.carriers.push(id);
            let stored = StoredAt::reached(text.trim(), id, Some(connected.client.address()));
            let opens = self.recipients.has(id);
            self.push(stored, Arc::new(connected.client), opens);
        }
    }

    /// Notes a store that is not reached.
    fn miss(&mut self, text: &str, id: Option<PeerId>, error: Error) {
        self.stores.push(StoredAt::missed(text.trim(), id, &error));
        self.missed
            .push(Missed::peer(text.trim().to_owned(), &error));
        self.tries.push(NotReached {
            peer: text.trim().to_owned(),
            error: Box::new(error),
        });
    }

    /// Takes out the stores of peers that are revoked by now.
    fn drop_revoked(&mut self, us: &Session) {
        let circle = us.circle().now();
        for to in std::mem::take(&mut self.destinations) {
            let stored = &mut self.stores[to.place];
            let Some(id) = stored.peer_id.filter(|id| circle.is_key_revoked(id)) else {
                self.destinations.push(to);
                continue;
            };
            let error = Error::Revoked {
                peer: to.name.clone(),
                peer_id: id,
                list: circle.crl_number(),
            };
            stored.error = Some(Fault::of(&error));
            // Of a recipient it is said as such.
            if !to.opens {
                self.missed.push(Missed::peer(to.name.clone(), &error));
            }
            self.tries.push(NotReached {
                peer: to.name,
                error: Box::new(error),
            });
        }
    }

    /// Fails if stores were asked for and none is reached.
    fn check_reached(self) -> Result<Self, Error> {
        if !self.destinations.is_empty() {
            return Ok(self);
        }
        let mut tries = self.tries;
        // With a password somebody could open it, but nobody stores it.
        tries.extend(self.recipients.into_excluded());
        Err(Error::of_several(tries))
    }

    /// Stores it also in the own store. What is in it for others is never opened there.
    pub(super) fn add_own(&mut self, ours: PeerId, store: Arc<dyn Store>) {
        self.push(StoredAt::reached(OWN, ours, None), store, false);
        if let Some(own) = self.destinations.last_mut() {
            own.is_own = true;
        }
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
            is_own: false,
        });
        self.stores.push(stored);
    }
}
