//! `/v1/peer` and `/v1/health`: who we are, and how.

use axum::{extract::State, response::Response};

use super::{
    ServerState,
    openapi::problems,
    text::{self, Form},
};
use crate::{
    manifest::Timestamp,
    store::StoreError,
    tls::days_left,
    wire::{self, Health, HealthStatus, Limits, PeerBody, route},
};

problems!(PeerProblems);

/// Says who this is, and what it takes.
///
/// Programs take the peer's id from `bundle`, after checking the signature.
#[utoipa::path(
    get,
    path = route::PEER,
    operation_id = "peer",
    tag = "Peer",
    responses((status = 200, description = "This peer.", content((PeerBody), (String = "text/plain"))), PeerProblems)
)]
pub(super) async fn describe(State(state): State<ServerState>, form: Form) -> Response {
    let services = state.services();
    let body = PeerBody {
        bundle: (services.bundle)(),
        peer_id: services.peer_id,
        limits: Limits {
            chunk_bytes: wire::MAX_CHUNK_BODY,
            manifest_bytes: wire::MAX_MANIFEST_BODY,
            missing_ids: wire::MAX_MISSING_IDS,
            requests: services.limits.requests_per_peer,
        },
    };
    form.answer(body, text::peer)
}

problems!(HealthProblems);

/// Says whether this peer is well.
#[utoipa::path(
    get,
    path = route::HEALTH,
    operation_id = "health",
    tag = "Peer",
    responses((status = 200, description = "How it is.", content((Health), (String = "text/plain"))), HealthProblems)
)]
pub(super) async fn health(State(state): State<ServerState>, form: Form) -> Response {
    // Asked anew each time: a store whose folder was moved away writes again when it is back.
    let status = match state.services().store.check_new_chunk(0, None).await {
        Err(StoreError::ReadOnly { .. }) => HealthStatus::ReadOnly,
        _ if !state.services().gate.is_in_place() => HealthStatus::ReadOnly,
        _ => HealthStatus::Ok,
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    // A disk that cannot be asked has nothing to tell; that it fails shows when something is written.
    let free = state
        .services()
        .store
        .free_space()
        .await
        .unwrap_or_default();
    let (endings, now) = (state.services().circle.endings(), Timestamp::now());
    let days = |end: Option<Timestamp>| end.map(|end| days_left(end, now));
    let health = Health {
        status,
        version,
        free,
        certificate_days: days(endings.certificate),
        scripts_certificate_days: days(endings.scripts_certificate),
        circle_days: days(endings.circle),
        revocation_list_days: days(endings.revocation_list),
    };
    form.answer(health, text::health)
}
