//! `/v1/peer`: who we are.

use axum::{extract::State, http::Uri};

use super::{
    ServerState,
    accept::Connection,
    extract,
    openapi::problems,
    problem::Answer,
    text::{self, Form},
};
use crate::{
    trust::Role,
    wire::{self, CertificateText, Code, Limits, PeerBody, route},
};

problems!(PeerProblems: &[Code::BadQuery]);

/// Says who this is, and what it takes.
///
/// Programs take the peer's id from `bundle`, after checking the signature. Members are also told what this peer knows of them,
/// and who has a name.
#[utoipa::path(
    get,
    path = route::PEER,
    operation_id = "peer",
    tag = "Peer",
    params(("name" = Option<String>, Query, description = "Who is called so? Members are answered.")),
    responses((status = 200, description = "This peer.", content((PeerBody), (String = "text/plain"))), PeerProblems)
)]
pub(super) async fn describe(
    State(state): State<ServerState>,
    connection: Connection,
    uri: Uri,
    form: Form,
) -> Answer {
    let (services, caller) = (state.services(), &connection.caller);
    let is_member = services.gate.role(caller) == Role::Member;
    let asked = extract::name(&uri)?.filter(|_| is_member);
    let directory = match is_member {
        true => services.circle.directory_number().await,
        false => None,
    };
    let body = PeerBody {
        bundle: (services.bundle)(),
        peer_id: services.peer_id,
        limits: Limits {
            chunk_bytes: wire::MAX_CHUNK_BODY,
            manifest_bytes: wire::MAX_MANIFEST_BODY,
            missing_ids: wire::MAX_MISSING_IDS,
            requests: services.limits.requests_per_peer,
        },
        your_bundle: services.circle.bundle_of(caller.peer_id),
        named: asked
            .and_then(|name| services.circle.named(name))
            .map(CertificateText),
        directory,
    };
    Ok(form.answer(body, text::peer))
}
