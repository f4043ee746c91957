//! `/v1/directory`: who is in the circle, for its members.

use axum::{
    extract::{Request, State},
    http::header,
    response::IntoResponse,
};

use super::{
    DirectoryError, ServerState,
    accept::Connection,
    body,
    circle::brought,
    manifests::require_media,
    openapi::{BODY, problems},
    problem::{Answer, Failure, quote},
};
use crate::{
    trust::{MAX_DIRECTORY, Role},
    wire::{Code, Envelope, PutBody, media, route},
};

/// Directories that are looked at for one peer in a second: each costs the checks of many signatures.
pub(super) const DIRECTORIES_PER_SECOND: u32 = 1;
/// And so many at once.
pub(super) const DIRECTORY_BURST: u32 = 8;

problems!(DirectoryProblems: &[Code::NotAllowed, Code::NotTheCircle]);

/// Gives the circle's directory, in its envelope. Members are answered.
#[utoipa::path(
    get,
    path = route::DIRECTORY,
    operation_id = "directory",
    tag = "Circle",
    responses((status = 200, description = "The directory.", body = Envelope, content_type = media::ENVELOPE), DirectoryProblems)
)]
pub(super) async fn get(State(state): State<ServerState>, connection: Connection) -> Answer {
    check_role(&state, &connection)?;
    let directory = state.services().circle.directory().await;
    let none = || Failure::new(Code::NotTheCircle, "no directory of the circle is here");
    let (_, envelope) = directory.ok_or_else(none)?;
    Ok(([(header::CONTENT_TYPE, media::ENVELOPE)], envelope).into_response())
}

problems!(PutDirectoryProblems: BODY, &[Code::BadDirectory, Code::NotAllowed]);

/// Takes over a directory whose number is higher than that of the one here.
///
/// The body is its envelope, at most 8 MiB, signed by the circle's key. Members bring each other what they know.
#[utoipa::path(
    put,
    path = route::DIRECTORY,
    operation_id = "put_directory",
    tag = "Circle",
    request_body(content = Envelope, content_type = media::ENVELOPE),
    responses(
        (status = 200, description = "The one here is as new.", body = PutBody),
        (status = 201, description = "It is in use now.", body = PutBody),
        PutDirectoryProblems
    )
)]
pub(super) async fn put(
    State(state): State<ServerState>,
    connection: Connection,
    request: Request,
) -> Answer {
    check_role(&state, &connection)?;
    require_media(request.headers(), &[media::ENVELOPE])?;
    if !state.0.directories.has_turn(&connection.caller.peer_id) {
        let detail = "too many directories of this peer; try again";
        return Err(Failure::busy(Code::TooManyRequests, detail));
    }
    let body = body::read(&state, &connection, request, MAX_DIRECTORY).await?;
    let taken = state.services().circle.take_directory(&body.bytes).await;
    let is_new = taken.map_err(|e| match e {
        DirectoryError::NotOurs(_) | DirectoryError::NoneKept => {
            Failure::new(Code::BadDirectory, quote(&e.to_string()))
        }
        DirectoryError::Failed(_) => Failure::internal(&e),
    })?;
    Ok(brought(&connection, is_new, "a directory"))
}

/// A narrow role knows whom it deals with, and no others.
fn check_role(state: &ServerState, connection: &Connection) -> Answer<()> {
    match state.services().gate.role(&connection.caller) {
        Role::Member => Ok(()),
        role => {
            let detail =
                format!("your role here is {role}, which is not told who is in the circle");
            Err(Failure::new(Code::NotAllowed, detail))
        }
    }
}
