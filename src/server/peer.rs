//! `/v1/peer`: who we are.

use axum::{extract::State, response::Response};

use super::{
    ServerState,
    openapi::problems,
    text::{self, Form},
};
use crate::wire::{self, Limits, PeerBody, route};

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
