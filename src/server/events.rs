//! `/v1/events`: what happens here, as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::{
        Sse,
        sse::{Event as SseEvent, KeepAlive},
    },
};
use futures::{Stream, StreamExt as _, stream};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Interval, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    ServerState,
    accept::Connection,
    openapi::problems,
    owner::{Owner, arriving_now},
    problem::{Answer, Failure},
    shares::Share,
};
use crate::{
    id::PeerId,
    trust::Role,
    wire::{ArrivingList, Code, ServerEvent, media, route},
};

problems!(Problems);

/// Streams what happens here, as server-sent events, until either side ends it.
///
/// Events are `published`, `state` and `notice`, whose data is an `ServerEvent`. The owner is also told `arriving`, whose data is an
/// `ArrivingList`, each second while something is arriving, and once when nothing is any more. After `resync` the listener has missed some, and asks the
/// catalogue again. A stream begins with a comment, and a quiet one carries another every 15 seconds. Nothing is repeated after a reconnection. A peer
/// has at most two streams.
#[utoipa::path(
    get,
    path = route::EVENTS,
    operation_id = "events",
    tag = "Peer",
    responses((status = 200, description = "Events.", body = String, content_type = media::EVENTS), Problems)
)]
pub(super) async fn stream(
    State(state): State<ServerState>,
    connection: Connection,
) -> Answer<Sse<impl Stream<Item = Result<SseEvent, Infallible>> + use<>>> {
    let share = state.0.event_streams.take(connection.caller.peer_id, 1);
    let too_many = |_| {
        Failure::busy(
            Code::TooManyRequests,
            "this peer has its event streams open already; close one",
        )
    };
    let is_owner = Owner::is(&state, &connection);
    let subscription = Subscription {
        arriving: is_owner.then(|| interval(ARRIVING_EACH)),
        has_told: false,
        events: state.services().events.subscribe(),
        draining: connection.draining.clone(),
        state: state.clone(),
        connection,
        _share: share.map_err(too_many)?,
    };
    let events = stream::unfold(subscription, |mut subscription| async {
        let event = subscription.next().await?;
        Some((Ok(event), subscription))
    });
    // curl shows the head of a response only with the first byte of its body.
    let listening = SseEvent::default().comment("listening");
    let events = stream::iter([Ok(listening)]).chain(events);
    let alive = KeepAlive::new().interval(state.limits().event_keep_alive);
    Ok(Sse::new(events).keep_alive(alive))
}

/// How often the owner is told what is arriving.
const ARRIVING_EACH: Duration = Duration::from_secs(1);

struct Subscription {
    events: Receiver<ServerEvent>,
    /// Of the owner alone: when what is arriving is told.
    arriving: Option<Interval>,
    /// Whether something was arriving the last time.
    has_told: bool,
    draining: CancellationToken,
    state: ServerState,
    connection: Connection,
    _share: Share<PeerId>,
}

impl Subscription {
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            let received = tokio::select! {
                biased;
                () = self.draining.cancelled() => return None,
                received = self.events.recv() => received,
                () = tick(&mut self.arriving) => match self.arriving().await {
                    Some(event) => return Some(event),
                    None => continue,
                },
            };
            match received {
                Ok(event) if self.shows(&event).await => return Some(write(&event)),
                Ok(_) => {}
                // The listener was too slow and has missed some: it must ask for the lists again.
                Err(RecvError::Lagged(_)) => {
                    return Some(SseEvent::default().event("resync").data("{}"));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// What is arriving, as long as something is, and once more when nothing is.
    async fn arriving(&mut self) -> Option<SseEvent> {
        let arriving = arriving_now(&self.state).await;
        let is_worth = !arriving.is_empty() || self.has_told;
        self.has_told = !arriving.is_empty();
        let event = SseEvent::default().event("arriving");
        let event = event.json_data(ArrivingList { arriving }).ok()?;
        is_worth.then_some(event)
    }

    /// A stream stays open while roles change: each event is judged by the role of its moment.
    async fn shows(&self, event: &ServerEvent) -> bool {
        let role = self.state.looker(&self.connection).role;
        let store = self.state.store(&self.connection);
        match event {
            _ if role == Role::Member => true,
            ServerEvent::Published { id, .. } | ServerEvent::State { id, .. } => {
                store.manifest_state(*id).await.is_ok()
            }
            ServerEvent::Notice { .. } => false,
        }
    }
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

fn write(event: &ServerEvent) -> SseEvent {
    let name = match event {
        ServerEvent::Published { .. } => "published",
        ServerEvent::State { .. } => "state",
        ServerEvent::Notice { .. } => "notice",
    };
    let plain = SseEvent::default().event(name);
    plain
        .json_data(event)
        .unwrap_or_else(|_| SseEvent::default().event("resync").data("{}"))
}
