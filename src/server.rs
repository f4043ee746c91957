//! A peer's HTTPS service: the routes of [`crate::wire`] over mutual TLS, in front of any [`Store`].
//!
//! The server is blind and knows no files. Certificates, revocation, the inbox and the circle's machine are reached
//! through small traits ([`Gate`], [`OfferDesk`], [`CircleDesk`], [`HealthDesk`]), so it can be started in a test with a store in
//! memory, and later with another back office, without being touched.
//!
//! How a request passes: `accept` lets a connection in (permits, handshake, who is it), `admit` lets a request
//! in (still trusted? well-formed? a turn for this peer?), one file per resource answers it from the store as this
//! caller's role shows it (`ServerState::store`, `narrow`), or a route of the embedding program does ([`OwnRoutes`]), and
//! `problem` is the only way to fail. Every wait has an end and every sum of memory has a bound, both in [`Limits`].

mod accept;
mod admit;
mod app;
mod arrivals;
mod body;
mod caller;
mod chunks;
mod circle;
mod custody;
mod desk;
mod directory;
mod events;
mod extract;
mod health;
mod limits;
mod link;
mod listen;
mod manifests;
mod meter;
mod narrow;
mod offers;
mod openapi;
mod own;
mod owner;
mod peer;
mod problem;
mod range;
mod rate;
mod registry;
mod sending;
mod shares;
mod strangers;
mod text;
mod told;
mod uptake;
mod view;

use std::{
    future::Future,
    io,
    net::TcpListener,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::broadcast;

pub use app::App;
pub use arrivals::Cut;
/// For routes of one's own, in the version that the server has.
pub use axum;
pub use caller::{CallerInfo, Denied};
pub use desk::{
    ArrivingNames, Brought, Charge, CircleDesk, DirectoryError, Gate, HealthDesk, ListError,
    NoCircle, NoOwner, OfferDesk, OwnerDesk, OwnerError, RenewError, StoreDesk,
};
pub use limits::Limits;
pub use listen::{BindError, bind, check_free};
pub use own::{GuardedRoutes, OwnRoutes, RoutesCollide};
pub(crate) use text::per_second;
pub use told::NotTaken;
pub(crate) use told::TellLimits;

use crate::{
    id::PeerId,
    manifest::{Timestamp, Verifier},
    store::Store,
    tls::{Caller, Standing},
    trust::{Right, Role},
    wire::ServerEvent,
};
use accept::Connection;
use arrivals::Arrivals;
use meter::Meter;
use narrow::{Looker, Narrow};
use rate::Rate;
use registry::Registry;
use shares::Shares;
use strangers::Strangers;
use told::Told;
use uptake::Uptake;
use view::Views;

/// A transfer whose peer is connected counts as cut only when nothing of it came for so long.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a server is made of.
#[derive(Clone)]
pub struct Services {
    /// Who we are: the owner of the store.
    pub peer_id: PeerId,
    /// Where chunks and manifests live.
    pub store: Arc<dyn Store>,
    /// Whose signatures count.
    pub verifier: Arc<dyn Verifier>,
    /// Who may connect.
    pub gate: Arc<dyn Gate>,
    /// Gives our signed bundle, as it is now: a DSSE envelope, as JSON text.
    pub bundle: Arc<dyn Fn() -> String + Send + Sync>,
    /// The revocation list, and renewal if the circle's key is here.
    pub circle: Arc<dyn CircleDesk>,
    /// How the rest of this peer is.
    pub health: Arc<dyn HealthDesk>,
    /// Does what the owner asks.
    pub owner: Arc<dyn OwnerDesk>,
    /// Decides about offers.
    pub offers: Arc<dyn OfferDesk>,
    /// What happens here; whoever changes the state of a transfer sends it too.
    pub events: broadcast::Sender<ServerEvent>,
    /// Bounds.
    pub limits: Limits,
}

/// What all connections of a server share. Cheap to clone.
#[derive(Clone)]
pub struct ServerState(Arc<Shared>);

/// A state that may be gone.
#[derive(Clone)]
pub(crate) struct WeakServerState(Weak<Shared>);

impl WeakServerState {
    /// As [`ServerState::drop_revoked`]; 0 if it is gone.
    pub(crate) fn drop_revoked(&self) -> usize {
        let state = self.0.upgrade();
        state.map_or(0, |shared| ServerState(shared).drop_revoked())
    }

    /// What is arriving; nothing if it is gone.
    pub(crate) async fn arriving(&self) -> Vec<crate::wire::Arriving> {
        match self.0.upgrade() {
            Some(shared) => owner::arriving_now(&ServerState(shared)).await,
            None => Vec::new(),
        }
    }
}

struct Shared {
    services: Services,
    registry: Registry,
    arrivals: Arrivals,
    strangers: Strangers,
    connections: Shares<PeerId>,
    requests: Shares<PeerId>,
    /// Of the program's own routes.
    own_requests: Shares<PeerId>,
    rate: Rate,
    memory: Shares<PeerId>,
    uptake: Uptake,
    event_streams: Shares<PeerId>,
    lists: Rate,
    renewals: Rate,
    leaves: Rate,
    directories: Rate,
    told: Told,
    views: Arc<Views>,
    meter: Meter,
}

impl ServerState {
    /// A server's state before its first connection.
    pub fn new(services: Services) -> Self {
        let l = &services.limits;
        Self(Arc::new(Shared {
            registry: Registry::default(),
            arrivals: Arrivals::default(),
            strangers: Strangers::new(l.handshakes, l.handshakes_per_address),
            connections: Shares::new(l.connections, l.connections_per_peer),
            requests: Shares::new(l.requests, l.requests_per_peer),
            own_requests: Shares::new(l.requests, l.requests_per_peer),
            rate: Rate::new(l.requests_per_second, l.request_burst),
            memory: Shares::new(l.body_memory, l.body_memory_per_peer),
            uptake: Uptake::new(l.response_stall, l.min_body_rate),
            event_streams: Shares::new(usize::MAX, l.event_streams_per_peer),
            lists: Rate::new(circle::LISTS_PER_SECOND, circle::LIST_BURST),
            renewals: Rate::new(circle::RENEWALS_PER_SECOND, circle::RENEWAL_BURST),
            leaves: Rate::new(circle::RENEWALS_PER_SECOND, circle::RENEWAL_BURST),
            directories: Rate::new(
                directory::DIRECTORIES_PER_SECOND,
                directory::DIRECTORY_BURST,
            ),
            told: Told::default(),
            views: Arc::default(),
            meter: Meter::new(),
            services,
        }))
    }

    /// The same, without keeping it alive.
    pub(crate) fn downgrade(&self) -> WeakServerState {
        WeakServerState(Arc::downgrade(&self.0))
    }

    /// Closes every connection whose certificate is revoked or has expired, and says how many there were. [`serve`] calls
    /// it twice a second; call it after a reload to be sooner.
    pub fn drop_revoked(&self) -> usize {
        self.0
            .registry
            .cut_if(|caller, standing| self.is_out(caller, standing))
    }

    /// As what this caller would be let in now, if at all.
    fn standing(&self, caller: &Caller) -> Option<Standing> {
        let gate = &self.services().gate;
        let (is_revoked, now) = (gate.is_revoked(caller), Timestamp::now());
        let counts = !is_revoked && (caller.not_before..=caller.not_after).contains(&now);
        let is_owner = caller.peer_id == self.services().peer_id && !caller.script;
        match caller.not_after < now {
            _ if is_owner && !counts => Some(Standing::Owner),
            _ if is_revoked => None,
            false => Some(Standing::Member),
            true => gate.may_renew(caller).then_some(Standing::Ended),
        }
    }

    /// Whether a connection gets no answer any more that was let in as this: an open one outlives nothing that would refuse a
    /// new one.
    fn is_out(&self, caller: &Caller, standing: Standing) -> bool {
        self.standing(caller) != Some(standing)
    }

    /// Whether this caller has `right` now: neither revoked nor with an ended certificate, and given it by the owner.
    pub fn may(&self, caller: &Caller, right: &Right) -> bool {
        let is_in = self.standing(caller) == Some(Standing::Member);
        is_in && self.services().gate.rights(caller).contains(right)
    }

    /// How many connections have passed the handshake and are open.
    pub fn open_connections(&self) -> usize {
        self.0.registry.len()
    }

    fn services(&self) -> &Services {
        &self.0.services
    }

    /// The store as this caller may see it, by the role that it has now: the one way to it for a request.
    fn store(&self, connection: &Connection) -> Arc<dyn Store> {
        let store = self.0.services.store.clone();
        let looker = self.looker(connection);
        match looker.role {
            Role::Member => store,
            Role::Sender | Role::Reader | Role::Monitor | Role::None => Arc::new(Narrow {
                store,
                views: self.0.views.clone(),
                looker,
            }),
        }
    }

    fn looker(&self, connection: &Connection) -> Looker {
        let caller = &connection.caller;
        Looker {
            peer: caller.peer_id,
            role: self.services().gate.role(caller),
        }
    }

    fn limits(&self) -> &Limits {
        &self.0.services.limits
    }
}

/// The contract as an OpenAPI 3.1 document, in JSON, as `GET /v1/openapi.json` gives it.
pub fn openapi() -> Bytes {
    openapi::finish(app::routes().into_openapi()).0
}

/// Serves `listener` until `shutdown` is ready; then accepts no more, ends event streams, lets requests in work finish
/// for [`Limits::drain`], and cuts the rest. Dropping the future cuts at once.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    state: ServerState,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let app = App::new(state, OwnRoutes::new());
    app.serve(listener, shutdown).await
}

/// Has the owner's history note them.
async fn note_cuts(state: &ServerState, cuts: Vec<Cut>) {
    if !cuts.is_empty() {
        told::note(state, move |desk| cuts.iter().for_each(|cut| desk.cut(cut))).await;
    }
}

async fn watch_connections(state: &ServerState) {
    let mut ticks = tokio::time::interval(state.limits().revocation_check);
    loop {
        ticks.tick().await;
        state.drop_revoked();
        state.0.uptake.cut_slow();
        let turns = [
            &state.0.lists,
            &state.0.renewals,
            &state.0.leaves,
            &state.0.directories,
        ];
        for rate in turns.into_iter().chain([&state.0.rate]) {
            rate.forget_rested();
        }
        state.0.told.forget_rested();
        let cuts = told::tell_cuts(state, |peer, idle| {
            let is_here = state.0.registry.has(peer);
            idle >= state.limits().cut_after && (!is_here || idle >= LONGEST_PAUSE)
        });
        note_cuts(state, cuts).await;
    }
}
