//! `/v1/crl`, `/v1/circle`, `/v1/certs/renew` and `/v1/certs/leave`: the circle's business, if this machine has it.

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    ListError, RenewError, ServerState,
    accept::Connection,
    body,
    manifests::require_media,
    openapi::{BODY, problems},
    problem::{Answer, Failure, quote},
    text::Form,
};
use crate::{
    id::Short as _,
    name::Escaped,
    tls,
    wire::{self, Code, Pem, PutBody, PutResult, media, route},
};

/// Revocation lists that are looked at for one peer in a second: each costs a signature's check.
pub(super) const LISTS_PER_SECOND: u32 = 1;
/// And so many at once.
pub(super) const LIST_BURST: u32 = 8;
/// Renewals that one peer and its scripts may ask for in a second: each costs a signature's check and reading what was issued.
pub(super) const RENEWALS_PER_SECOND: u32 = 1;
/// And so many at once.
pub(super) const RENEWAL_BURST: u32 = 8;

/// What a body in PEM may be called. The contract names the second: generated clients can send no text, but bytes.
const PEM_BODY: &[&str] = &[media::PEM, media::CHUNK];

/// PEM, as what it is or as the text that it is too: generated clients know only that.
fn pem_answer(form: Form, pem: impl IntoResponse) -> Response {
    let media = match form {
        Form::Json => media::PEM,
        Form::Text => media::PLAIN,
    };
    let head = [(header::VARY, "accept"), (header::CONTENT_TYPE, media)];
    (head, pem).into_response()
}

problems!(CrlProblems: &[Code::NotTheCircle]);

/// Gives the revocation lists that are in force here: one, but for a while after a backup of the circle's key was restored.
#[utoipa::path(
    get,
    path = route::CRL,
    operation_id = "revocation_list",
    tag = "Circle",
    responses((status = 200, description = "The lists, as PEM.", content((String = "application/x-pem-file"), (String = "text/plain"))), CrlProblems)
)]
pub(super) async fn crl(State(state): State<ServerState>, form: Form) -> Answer {
    let pem = state.services().circle.revocation_list().await;
    let pem = pem.ok_or_else(|| Failure::new(Code::NotTheCircle, "no revocation list is here"))?;
    Ok(pem_answer(form, pem))
}

problems!(PutCrlProblems: BODY, &[Code::BadList]);

/// Takes over revocation lists that have something new.
///
/// The body has one or more lists in PEM, at most 8 MiB, signed by the circle. Members bring each other what they know.
/// Nothing that was revoked is let in again by it: what the lists here have stays in force.
#[utoipa::path(
    put,
    path = route::CRL,
    operation_id = "put_revocation_list",
    tag = "Circle",
    request_body(content = Pem, content_type = media::CHUNK),
    responses(
        (status = 200, description = "The lists here have everything that it has.", body = PutBody),
        (status = 201, description = "It is in force now.", body = PutBody),
        PutCrlProblems
    )
)]
pub(super) async fn put_crl(
    State(state): State<ServerState>,
    connection: Connection,
    request: Request,
) -> Answer {
    require_media(request.headers(), PEM_BODY)?;
    if !state.0.lists.has_turn(&connection.caller.peer_id) {
        let detail = "too many revocation lists of this peer; try again";
        return Err(Failure::busy(Code::TooManyRequests, detail));
    }
    let body = body::read(&state, &connection, request, tls::MAX_LISTS).await?;
    let bad = |reason: &str| Failure::new(Code::BadList, quote(reason));
    let pem = std::str::from_utf8(&body.bytes).map_err(|_| bad("not a list in PEM"))?;
    let taken = state.services().circle.take_revocation_list(pem).await;
    let is_new = taken.map_err(|e| match e {
        ListError::NotOurs(_) | ListError::NoneKept => bad(&e.to_string()),
        ListError::Failed(_) => Failure::internal(&e),
    })?;
    Ok(brought(&connection, is_new, "a revocation list"))
}

/// The answer to a member that has brought `what`, which is logged if it is in use now.
pub(super) fn brought(connection: &Connection, is_new: bool, what: &str) -> Response {
    if is_new {
        let caller = &connection.caller;
        let (peer, id) = (Escaped::new(&caller.name), caller.peer_id.short());
        tracing::info!(%peer, id, "{what} was brought");
    }
    let (status, result) = match is_new {
        true => (StatusCode::CREATED, PutResult::Stored),
        false => (StatusCode::OK, PutResult::AlreadyThere),
    };
    (status, Json(PutBody { result })).into_response()
}

problems!(CircleProblems: &[Code::NotTheCircle]);

/// Gives the circle's own certificate.
///
/// Members ask each other for it when theirs is near its end. One of the same name and key that ends later takes the place of
/// the former.
#[utoipa::path(
    get,
    path = route::CIRCLE,
    operation_id = "circle_certificate",
    tag = "Circle",
    responses((status = 200, description = "The certificate, as PEM.", content((String = "application/x-pem-file"), (String = "text/plain"))), CircleProblems)
)]
pub(super) async fn certificate(State(state): State<ServerState>, form: Form) -> Answer {
    let pem = state.services().circle.circle_certificate();
    let none = || Failure::new(Code::NotTheCircle, "no certificate of the circle is here");
    Ok(pem_answer(form, pem.ok_or_else(none)?))
}

problems!(RenewProblems: BODY, &[Code::NotAllowed, Code::NotTheCircle]);

/// Gives a certificate for the key that the caller has.
///
/// The body is a signing request in PEM, at most 16 KiB. Only the machine with the circle's key can do this. It signs a new
/// certificate when a third of the newest one's life is over; before, it gives that one again.
#[utoipa::path(
    post,
    path = route::RENEW,
    operation_id = "renew_certificate",
    tag = "Circle",
    request_body(content = Pem, content_type = media::CHUNK),
    responses(
        (status = 200, description = "The certificate, as PEM.", content((String = "application/x-pem-file"), (String = "text/plain"))),
        RenewProblems
    )
)]
pub(super) async fn renew(
    State(state): State<ServerState>,
    connection: Connection,
    form: Form,
    request: Request,
) -> Answer {
    require_media(request.headers(), PEM_BODY)?;
    if !state.0.renewals.has_turn(&connection.caller.peer_id) {
        let detail = "too many renewals of this peer; try again";
        return Err(Failure::busy(Code::TooManyRequests, detail));
    }
    let body = body::read(&state, &connection, request, wire::MAX_RENEW_BODY).await?;
    let refused = |text: &str| Failure::new(Code::NotAllowed, quote(text));
    let pem =
        std::str::from_utf8(&body.bytes).map_err(|_| refused("not a signing request in PEM"))?;
    let renewed = state.services().circle.renew(&connection.caller, pem).await;
    let certificate = renewed.map_err(|e| match e {
        RenewError::NotTheCircle => Failure::new(
            Code::NotTheCircle,
            format!("{e}; ask the one that issued yours"),
        ),
        RenewError::Refused(_) => refused(&e.to_string()),
        RenewError::Failed(_) => Failure::internal(&e),
    })?;
    Ok(pem_answer(form, certificate))
}

problems!(LeaveProblems: &[Code::NotAllowed, Code::NotTheCircle, Code::TooLarge]);

/// Revokes the caller, which leaves the circle.
///
/// It takes no body: one is refused. Only the machine with the circle's key can do this. A peer asks for itself, with its own certificate and not with
/// that of its scripts; every certificate of it is revoked for good, and its connections are closed within a second.
#[utoipa::path(
    post,
    path = route::LEAVE,
    operation_id = "leave_circle",
    tag = "Circle",
    responses((status = 204, description = "It is revoked."), LeaveProblems)
)]
pub(super) async fn leave(
    State(state): State<ServerState>,
    connection: Connection,
) -> Answer<StatusCode> {
    let caller = &connection.caller;
    if caller.script {
        let detail = "a script cannot leave the circle for its peer";
        return Err(Failure::new(Code::NotAllowed, detail));
    }
    // Its own turns: scripts that renew must not keep their peer from leaving.
    if !state.0.leaves.has_turn(&caller.peer_id) {
        let detail = "too many requests of this peer to leave; try again";
        return Err(Failure::busy(Code::TooManyRequests, detail));
    }
    state
        .services()
        .circle
        .leave(caller)
        .await
        .map_err(|e| match e {
            RenewError::NotTheCircle => Failure::new(Code::NotTheCircle, e.to_string()),
            RenewError::Refused(_) => Failure::new(Code::NotAllowed, quote(&e.to_string())),
            RenewError::Failed(_) => Failure::internal(&e),
        })?;
    let (peer, id) = (Escaped::new(&caller.name), caller.peer_id.short());
    tracing::info!(%peer, id, "left the circle: its certificates are revoked");
    Ok(StatusCode::NO_CONTENT)
}
