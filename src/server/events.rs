//! `/v1/events`: what happens here, as server-sent events.

use std::convert::Infallible;

use axum::{
    extract::State,
    response::{
        Sse,
        sse::{Event as SseEvent, KeepAlive},
    },
};
use futures::{Stream, stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::{
    ServerState,
    accept::Connection,
    openapi::problems,
    problem::{Answer, Failure},
    shares::Share,
};
use crate::{
    id::PeerId,
    wire::{Code, Event, media, route},
};

problems!(Problems);

/// Streams what happens here, as server-sent events, until either side ends it.
///
/// Events are `published` and `state`, whose data is an `Event`; after `resync` the listener has missed some, and asks the
/// catalogue again. A quiet stream carries a comment every 15 seconds. Nothing is repeated after a reconnection. A peer
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
    let subscription = Subscription {
        events: state.services().events.subscribe(),
        draining: connection.draining,
        _share: share.map_err(too_many)?,
    };
    let events = stream::unfold(subscription, |mut subscription| async {
        let event = subscription.next().await?;
        Some((Ok(event), subscription))
    });
    let alive = KeepAlive::new().interval(state.limits().event_keep_alive);
    Ok(Sse::new(events).keep_alive(alive))
}

struct Subscription {
    events: Receiver<Event>,
    draining: CancellationToken,
    _share: Share<PeerId>,
}

impl Subscription {
    async fn next(&mut self) -> Option<SseEvent> {
        let received = tokio::select! {
            biased;
            () = self.draining.cancelled() => return None,
            received = self.events.recv() => received,
        };
        match received {
            Ok(event) => Some(write(&event)),
            // The listener was too slow and has missed some: it must ask for the lists again.
            Err(RecvError::Lagged(_)) => Some(SseEvent::default().event("resync").data("{}")),
            Err(RecvError::Closed) => None,
        }
    }
}

fn write(event: &Event) -> SseEvent {
    let name = match event {
        Event::Published { .. } => "published",
        Event::State { .. } => "state",
    };
    let plain = SseEvent::default().event(name);
    plain
        .json_data(event)
        .unwrap_or_else(|_| SseEvent::default().event("resync").data("{}"))
}
