//! `/v1/arriving` and `/v1/owner`: what the owner of this peer asks of it while it serves. Each route takes [`Owner`], which nobody
//! else is.

use axum::{
    Json,
    extract::{FromRequestParts, Request, State},
    http::{StatusCode, Uri, request::Parts},
};

use super::{
    ServerState,
    accept::Connection,
    arrivals::SeveralSenders,
    chunks,
    desk::OwnerError,
    extract::{self, PathId},
    note_cuts,
    openapi::{BODY, problems},
    problem::{Answer, Failure},
};
use crate::{
    id::{PeerId, TransferId},
    name::Escaped,
    store::Freed,
    wire::{
        Arriving, ArrivingList, Code, DecidedQuestion, DeleteQuestion, GcBody, GcQuestion,
        ReloadBody, route,
    },
};

/// The longest body of these routes.
const MAX_QUESTION: usize = 1024;

problems!(OwnerProblems: &[Code::NotAllowed, Code::NoSuchRoute]);
problems!(CancelProblems: &[Code::BadId, Code::BadQuery, Code::NotAllowed, Code::NoSuchTransfer]);
problems!(GcProblems: BODY, &[Code::BadJson, Code::NotAllowed, Code::NoSuchRoute, Code::StorageFailed]);
problems!(DecidedProblems: BODY, &[
    Code::BadJson, Code::NotAllowed, Code::NoSuchManifest, Code::NoSuchRoute, Code::StorageFailed,
]);
problems!(ReloadProblems: &[Code::NotAllowed, Code::NoSuchRoute, Code::SettingsUnusable]);

/// The caller, who is the owner of this peer: it has shown the peer's own certificate. Scripts act for their peer, and do not own
/// what it serves. Taken before what a route reads of its request.
pub(super) struct Owner;

impl FromRequestParts<ServerState> for Owner {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Answer<Self> {
        let connection = Connection::from_request_parts(parts, state).await?;
        if Self::is(state, &connection) {
            return Ok(Self);
        }
        let detail = "only the owner of this peer may do that, with the peer's own certificate";
        Err(Failure::new(Code::NotAllowed, detail))
    }
}

impl Owner {
    /// Whether it is who calls.
    pub(super) fn is(state: &ServerState, connection: &Connection) -> bool {
        let caller = &connection.caller;
        caller.peer_id == state.services().peer_id && !caller.script
    }
}

/// Lists the transfers that members are bringing now.
#[utoipa::path(
    get,
    path = route::ARRIVING,
    operation_id = "list_arriving",
    tag = "Owner",
    responses((status = 200, description = "The latest to move first.", body = ArrivingList), OwnerProblems)
)]
pub(super) async fn arriving(
    State(state): State<ServerState>,
    _: Owner,
) -> Answer<Json<ArrivingList>> {
    let arriving = arriving_now(&state).await;
    Ok(Json(ArrivingList { arriving }))
}

/// What is arriving, with the names that are known.
pub(super) async fn arriving_now(state: &ServerState) -> Vec<Arriving> {
    let mut arriving = state.0.arrivals.all();
    for one in &mut arriving {
        let offers = &state.services().offers;
        if let Some(names) = offers.names(one.peer_id, one.transfer).await {
            (one.names, one.more_names) = (Some(names.names), names.more);
        }
    }
    arriving
}

/// Refuses what is arriving: no more of it is taken, and its chunks are let go.
///
/// Its sender is answered `cancelled` until this peer is started again. The same id of another sender is another transfer: if
/// several are arriving that have it, `sender` says which is meant.
#[utoipa::path(
    delete,
    path = route::ARRIVING_TRANSFER,
    operation_id = "cancel_arriving",
    tag = "Owner",
    params(
        ("transfer_id" = TransferId, Path, description = "The transfer."),
        (
            "sender" = Option<PeerId>, Query, nullable = false,
            description = "Who has signed it; of what was not announced, who brings it."
        )
    ),
    responses((status = 204, description = "It is refused."), CancelProblems)
)]
pub(super) async fn cancel(
    State(state): State<ServerState>,
    _: Owner,
    PathId(id): PathId<TransferId>,
    uri: Uri,
) -> Answer<StatusCode> {
    let cancelled = state.0.arrivals.cancel(id, extract::sender(&uri)?);
    let cancelled = cancelled.map_err(|SeveralSenders| {
        let detail =
            "transfers of several senders have this id; say which is meant: ?sender=PEER_ID";
        Failure::new(Code::BadQuery, detail)
    })?;
    if cancelled.is_empty() {
        let detail = format!("nothing of a transfer {id} is arriving");
        return Err(Failure::new(Code::NoSuchTransfer, detail));
    }
    for cut in &cancelled {
        let owner = &state.services().owner;
        owner.cancel(cut.peer, id, cut.chunks.clone());
        tracing::info!(peer = %Escaped::new(&cut.name), sender = %cut.sender, transfer = %id, bytes = cut.bytes, "cancelled by the owner");
    }
    note_cuts(&state, cancelled).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Collects what no transfer needs any more.
#[utoipa::path(
    post,
    path = route::GC,
    operation_id = "collect",
    tag = "Owner",
    request_body = GcQuestion,
    responses((status = 200, description = "What was collected.", body = GcBody), GcProblems)
)]
pub(super) async fn gc(
    State(state): State<ServerState>,
    _: Owner,
    connection: Connection,
    request: Request,
) -> Answer<Json<GcBody>> {
    let (question, _memory): (GcQuestion, _) =
        chunks::question(&state, &connection, request, MAX_QUESTION).await?;
    Ok(Json(
        state.services().owner.collect(question.unfinished).await?,
    ))
}

/// Records what the owner has decided about a transfer for this peer, and tells those who wait for it.
///
/// Whoever opens a transfer writes its files and the history himself.
#[utoipa::path(
    post,
    path = route::DECIDED,
    operation_id = "decide",
    tag = "Owner",
    request_body = DecidedQuestion,
    responses((status = 204, description = "It is recorded."), DecidedProblems)
)]
pub(super) async fn decided(
    State(state): State<ServerState>,
    _: Owner,
    connection: Connection,
    request: Request,
) -> Answer<StatusCode> {
    let (question, _memory): (DecidedQuestion, _) =
        chunks::question(&state, &connection, request, MAX_QUESTION).await?;
    state.services().owner.decided(question).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a transfer from this store, and moves the chunks that only it needs to the trash.
///
/// Only its sender brings it back. With `dry_run` nothing is done.
#[utoipa::path(
    post,
    path = route::OWNER_DELETE,
    operation_id = "delete_own",
    tag = "Owner",
    request_body = DeleteQuestion,
    responses((status = 200, description = "What it leaves.", body = Freed), DecidedProblems)
)]
pub(super) async fn delete(
    State(state): State<ServerState>,
    _: Owner,
    connection: Connection,
    request: Request,
) -> Answer<Json<Freed>> {
    let (question, _memory): (DeleteQuestion, _) =
        chunks::question(&state, &connection, request, MAX_QUESTION).await?;
    let freed = state.services().owner.delete(question).await;
    state.0.views.changed();
    Ok(Json(freed?))
}

/// Reads the settings again, and certificates, revocations, roles and rights.
#[utoipa::path(
    post,
    path = route::RELOAD,
    operation_id = "reload",
    tag = "Owner",
    responses((status = 200, description = "They are read.", body = ReloadBody), ReloadProblems)
)]
pub(super) async fn reload(State(state): State<ServerState>, _: Owner) -> Answer<Json<ReloadBody>> {
    Ok(Json(state.services().owner.reload().await?))
}

/// Ends the peer: it lets requests in work finish, and takes no new ones.
#[utoipa::path(
    post,
    path = route::STOP,
    operation_id = "stop",
    tag = "Owner",
    responses((status = 202, description = "It is stopping."), OwnerProblems)
)]
pub(super) async fn stop(State(state): State<ServerState>, _: Owner) -> Answer<StatusCode> {
    state.services().owner.stop().await?;
    Ok(StatusCode::ACCEPTED)
}

impl From<OwnerError> for Failure {
    fn from(error: OwnerError) -> Self {
        match error {
            OwnerError::Store(error) => error.into(),
            OwnerError::Settings(_) => Self::new(Code::SettingsUnusable, error.to_string()),
            OwnerError::Unsupported => Self::new(Code::NoSuchRoute, error.to_string()),
        }
    }
}
