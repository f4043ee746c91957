//! `/v1/offers`: transfers that are announced.

use axum::{
    Json,
    extract::{Request, State},
};

use super::{
    ServerState,
    accept::Connection,
    body,
    extract::PathId,
    manifests::{believe, require_media},
    problem::{Answer, Failure},
};
use crate::{
    id::TransferId,
    manifest::SignedOffer,
    wire::{self, Code, OfferBody, media},
};

/// Takes an offer, and says what to do.
pub(super) async fn put(
    State(state): State<ServerState>,
    connection: Connection,
    PathId(id): PathId<TransferId>,
    request: Request,
) -> Answer<Json<OfferBody>> {
    require_media(request.headers(), &[media::ENVELOPE, media::JSON])?;
    let body = body::read(&state, &connection, request, wire::MAX_MANIFEST_BODY).await?;
    let offer: SignedOffer = believe(&state, body.bytes, None).await?;
    if offer.payload().transfer_id != id {
        let detail = format!(
            "this offer announces {}, not the transfer in the path",
            offer.payload().transfer_id
        );
        return Err(Failure::new(Code::IdMismatch, detail));
    }
    let answer = state
        .services()
        .offers
        .decide(&offer, &connection.caller)
        .await;
    let answer = answer.inspect_err(|e| state.note(e))?;
    Ok(Json(OfferBody { answer }))
}
