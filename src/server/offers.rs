//! `/v1/offers`: transfers that are announced.

use axum::{
    Json,
    extract::{Request, State},
};

use super::{
    ServerState,
    accept::Connection,
    arrivals::Announced,
    body,
    extract::PathId,
    manifests::{believe, require_media},
    openapi::{BODY, ENVELOPE, STORING, problems},
    problem::{Answer, Failure},
    told::Refused,
};
use crate::{
    id::TransferId,
    manifest::{Offer, SignedOffer},
    store::OfferAnswer,
    wire::{Code, Envelope, OfferBody, media, route},
};

problems!(PutProblems: BODY, ENVELOPE, STORING, &[Code::BadId, Code::Deleted, Code::Cancelled]);

/// Takes the offer of a transfer, and says what to do.
///
/// The envelope is checked like a manifest, space is reserved, and the inbox is asked. Nobody must announce: a script may
/// go straight to chunks and manifest.
#[utoipa::path(
    put,
    path = route::OFFER,
    operation_id = "put_offer",
    tag = "Offers",
    params(("transfer_id" = TransferId, Path, description = "The transfer that it announces.")),
    request_body(content = Envelope, content_type = media::ENVELOPE),
    responses((status = 200, description = "What to do now.", body = OfferBody), PutProblems)
)]
pub(super) async fn put(
    State(state): State<ServerState>,
    connection: Connection,
    PathId(id): PathId<TransferId>,
    request: Request,
) -> Answer<Json<OfferBody>> {
    require_media(request.headers(), &[media::ENVELOPE, media::JSON])?;
    let body = body::read_envelope(&state, &connection, request).await?;
    let of = |offer: &Offer| (offer.transfer_id, offer.size);
    let (offer, _): (SignedOffer, _) = believe(&state, &connection, body.bytes, None, of).await?;
    if offer.payload().transfer_id != id {
        let detail = format!(
            "this offer announces {}, not the transfer in the path",
            offer.payload().transfer_id
        );
        return Err(Failure::new(Code::IdMismatch, detail));
    }
    let (by, payload) = (connection.caller.peer_id, offer.payload());
    let announced = Announced {
        sender: payload.sender,
        transfer: id,
        size: payload.size,
        chunk_size: payload.chunk_size,
    };
    (state.0.arrivals).check_wanted_of(by, announced.sender, id)?;
    let answer = state
        .services()
        .offers
        .decide(&offer, &connection.caller)
        .await;
    let refused = Refused {
        transfer: id,
        size: announced.size,
        sender: Some(announced.sender),
    };
    let answer = answer.map_err(|e| Failure::from(e).about(refused))?;
    if matches!(answer, OfferAnswer::Accepted | OfferAnswer::Waiting) {
        let caller = &connection.caller;
        let arrivals = &state.0.arrivals;
        arrivals.offered(caller.peer_id, &caller.name, announced);
    }
    Ok(Json(OfferBody { answer }))
}
