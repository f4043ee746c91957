//! `/v1/crl` and `/v1/certs/renew`: the circle's business, if this machine has it.

use axum::{
    extract::{Request, State},
    http::header,
    response::IntoResponse,
};

use super::{
    RenewError, ServerState,
    accept::Connection,
    body,
    manifests::require_media,
    openapi::{BODY, problems},
    problem::{Answer, Failure, quote},
};
use crate::wire::{self, Code, media, route};

problems!(CrlProblems: &[Code::NotTheCircle]);

/// Gives the newest revocation list that this peer has.
#[utoipa::path(
    get,
    path = route::CRL,
    operation_id = "revocation_list",
    tag = "Circle",
    responses((status = 200, description = "The list, as PEM.", body = String, content_type = media::PEM), CrlProblems)
)]
pub(super) async fn crl(State(state): State<ServerState>) -> Answer {
    let pem = state.services().circle.revocation_list();
    let pem = pem.ok_or_else(|| Failure::new(Code::NotTheCircle, "no revocation list is here"))?;
    Ok(([(header::CONTENT_TYPE, media::PEM)], pem).into_response())
}

problems!(RenewProblems: BODY, &[Code::NotAllowed, Code::NotTheCircle]);

/// Gives a new certificate for the key that the caller has.
///
/// The body is a signing request in PEM, at most 16 KiB. Only the machine with the circle's key can do this.
#[utoipa::path(
    post,
    path = route::RENEW,
    operation_id = "renew_certificate",
    tag = "Circle",
    request_body(content = String, content_type = media::PEM),
    responses(
        (status = 200, description = "The certificate, as PEM.", body = String, content_type = media::PEM),
        RenewProblems
    )
)]
pub(super) async fn renew(
    State(state): State<ServerState>,
    connection: Connection,
    request: Request,
) -> Answer {
    require_media(request.headers(), &[media::PEM])?;
    let body = body::read(&state, &connection, request, wire::MAX_RENEW_BODY).await?;
    let refused = |reason: String| Failure::new(Code::NotAllowed, quote(&reason));
    let pem = std::str::from_utf8(&body.bytes)
        .map_err(|_| refused("not a signing request in PEM".into()))?;
    let renewed = state.services().circle.renew(&connection.caller, pem).await;
    let certificate = renewed.map_err(|e| match e {
        RenewError::NotTheCircle => Failure::new(
            Code::NotTheCircle,
            format!("{e}; ask the one that issued yours"),
        ),
        RenewError::Refused { reason } => refused(reason),
        RenewError::Failed { .. } => Failure::internal(&e),
    })?;
    Ok(([(header::CONTENT_TYPE, media::PEM)], certificate).into_response())
}
