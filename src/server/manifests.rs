//! `/v1/manifests`: published transfers.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{AppendHeaders, IntoResponse},
};
use bytes::Bytes;

use super::{
    ServerState,
    accept::Connection,
    arrivals::Arrival,
    body, chunks,
    extract::{ListQuery, PathId, none_match, single},
    openapi::{BODY, ENVELOPE, STORING, problems},
    problem::{Answer, Failure},
    sending::Granted,
    shares::Share,
    text::{self, Form},
    told::Refused,
};
use crate::{
    id::{ManifestId, PeerId, Short as _, TransferId},
    manifest::{MAX_WRAPS, Manifest, Payload, Signed, SignedManifest, Timestamp},
    name::Escaped,
    store::{ManifestInfo, Page, PageRequest, PutManifest, Store, StoreError, TransferState},
    tls::Caller,
    wire::{
        self, Code, Envelope, ManifestList, PutBody, PutResult, ServerEvent, StateBody, media,
        route,
    },
};

/// Bytes in JSON of an entry of the list without recipients, and of each of them.
const PLAIN_ENTRY: usize = 500;
const RECIPIENT: usize = 67;
const LONGEST_ENTRY: usize = PLAIN_ENTRY + MAX_WRAPS * RECIPIENT;
/// Entries that are taken from the store at a time.
const STEP: usize = 64;
/// What making a list takes for each byte of it in JSON: the entries, their columns, the text in a buffer that grows.
const LISTING: usize = 4;

problems!(PutProblems: BODY, ENVELOPE, STORING, &[Code::BadId, Code::MissingChunks, Code::Deleted, Code::Cancelled]);

/// Publishes a transfer: every chunk that it names must be here.
#[utoipa::path(
    put,
    path = route::MANIFEST,
    operation_id = "put_manifest",
    tag = "Manifests",
    params(("id" = ManifestId, Path, description = "The manifest: the SHA-256 of the body.")),
    request_body(content = Envelope, content_type = media::ENVELOPE),
    responses(
        (
            status = 200, description = "It was there, or was received before.", body = PutBody,
            headers(("Location" = String))
        ),
        (
            status = 201, description = "It is new, and durable; an event tells it.", body = PutBody,
            headers(("Location" = String))
        ),
        PutProblems
    )
)]
pub(super) async fn put(
    State(state): State<ServerState>,
    connection: Connection,
    PathId(id): PathId<ManifestId>,
    request: Request,
) -> Answer {
    require_media(request.headers(), &[media::ENVELOPE, media::JSON])?;
    let body = body::read_envelope(&state, &connection, request).await?;
    let of = |manifest: &Manifest| (manifest.transfer_id, Some(manifest.size));
    let (manifest, signer): (SignedManifest, _) =
        believe(&state, &connection, body.bytes, Some(id), of).await?;
    let (by, transfer) = (&connection.caller, manifest.payload().transfer_id);
    let sender = manifest.payload().sender;
    (state.0.arrivals).check_wanted_of(by.peer_id, sender, transfer)?;
    let store = state.store(&connection);
    let put = store.bring_manifest(&manifest, by.peer_id).await;
    let size = Some(manifest.payload().size);
    let put = put.map_err(|e| {
        Failure::from(e).about(Refused {
            transfer,
            size,
            sender: Some(sender),
        })
    })?;
    let arrival = state.0.arrivals.complete(by.peer_id, transfer);
    let (status, result) = match put {
        PutManifest::Stored => (StatusCode::CREATED, PutResult::Stored),
        PutManifest::AlreadyThere => (StatusCode::OK, PutResult::AlreadyThere),
        PutManifest::AlreadyReceived => (StatusCode::OK, PutResult::AlreadyReceived),
    };
    if result == PutResult::Stored {
        state.0.views.changed();
        log_stored(&state, &manifest, &signer, by, arrival.as_ref());
        let (sender, size) = (manifest.payload().sender, manifest.payload().size);
        // Nobody listens: then there is nobody to tell.
        let _ = state
            .services()
            .events
            .send(ServerEvent::Published { id, sender, size });
    }
    let location = [(header::LOCATION, format!("/v1/manifests/{id}"))];
    Ok((status, location, Json(PutBody { result })).into_response())
}

/// One line for a transfer that is complete and durable.
fn log_stored(
    state: &ServerState,
    manifest: &SignedManifest,
    signer: &str,
    by: &Caller,
    arrival: Option<&Arrival>,
) {
    let Some(silenced) = state.0.told.stored(&by.peer_id) else {
        return;
    };
    let payload = manifest.payload();
    let chunks = payload.all_chunks().count() as u64;
    let carrier = (by.peer_id != payload.sender).then(|| Escaped::new(&by.name).to_string());
    tracing::info!(
        transfer = payload.transfer_id.short(),
        manifest = manifest.id().short(),
        sender = %Escaped::new(signer),
        carrier = carrier.as_ref().map(tracing::field::display),
        bytes = payload.size,
        chunks,
        already_there = arrival.map(|a| chunks.saturating_sub(a.chunks)),
        seconds = arrival.map(Arrival::seconds),
        rate = arrival.and_then(Arrival::rate),
        connections = state.open_connections(),
        silenced = (silenced > 0).then_some(silenced),
        "stored"
    );
}

problems!(GetProblems: &[Code::BadId, Code::NoSuchManifest]);

/// Gives a manifest's envelope, byte by byte as it was signed.
#[utoipa::path(
    get,
    path = route::MANIFEST,
    operation_id = "get_manifest",
    tag = "Manifests",
    params(
        ("id" = ManifestId, Path, description = "The manifest."),
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The `ETag` of what one has.")
    ),
    responses(
        (
            status = 200, description = "The envelope.", body = Envelope, content_type = media::ENVELOPE,
            headers(("ETag" = String, description = "The id, in quotes."))
        ),
        (status = 304, description = "`If-None-Match` names it.", headers(("ETag" = String))),
        GetProblems
    )
)]
pub(super) async fn get(
    State(state): State<ServerState>,
    connection: Connection,
    PathId(id): PathId<ManifestId>,
    headers: HeaderMap,
) -> Answer {
    let (envelope, memory) = fetch(&state, &connection, id).await?;
    let etag = format!("\"{id}\"");
    let cache = chunks::cache(&etag)?;
    if none_match(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, cache).into_response());
    }
    let media = [(header::CONTENT_TYPE, media::ENVELOPE)];
    Ok((Granted::new(memory), cache, media, envelope).into_response())
}

problems!(DeleteProblems: &[Code::BadId, Code::NotYours, Code::NoSuchManifest, Code::StorageFailed]);

/// Removes a transfer, for its sender and for the owner of the store only.
///
/// Its chunks go later, if no other manifest names them. Only its sender may put it again.
#[utoipa::path(
    delete,
    path = route::MANIFEST,
    operation_id = "delete_manifest",
    tag = "Manifests",
    params(("id" = ManifestId, Path, description = "The manifest.")),
    responses((status = 204, description = "Gone."), DeleteProblems)
)]
pub(super) async fn delete(
    State(state): State<ServerState>,
    connection: Connection,
    PathId(id): PathId<ManifestId>,
) -> Answer<StatusCode> {
    let (envelope, _memory) = fetch(&state, &connection, id).await?;
    let _checking = body::grant(&state, &connection, envelope.len() * (body::CHECKING - 1))?;
    let sender =
        in_background(move || SignedManifest::parse(envelope).map(|m| m.payload().sender)).await?;
    let caller = connection.caller.peer_id;
    if caller != sender? && caller != state.services().peer_id {
        let detail = "only the sender of a transfer and the owner of this store remove it";
        return Err(Failure::new(Code::NotYours, detail));
    }
    let deleted = state.store(&connection).delete_manifest(id).await;
    state.0.views.changed();
    deleted?;
    Ok(StatusCode::NO_CONTENT)
}

problems!(StateProblems: &[Code::BadId, Code::NoSuchManifest]);

/// Says how far a transfer has come at this peer.
#[utoipa::path(
    get,
    path = route::STATE,
    operation_id = "manifest_state",
    tag = "Manifests",
    params(("id" = ManifestId, Path, description = "The manifest.")),
    responses((status = 200, description = "The state.", body = StateBody), StateProblems)
)]
pub(super) async fn state(
    State(state): State<ServerState>,
    connection: Connection,
    PathId(id): PathId<ManifestId>,
) -> Answer<Json<StateBody>> {
    let found = state.store(&connection).manifest_state(id).await;
    let mut found = found?;
    add_reason(&state, connection.caller.peer_id, id, &mut found);
    Ok(Json(found))
}

/// Adds why a transfer waits, if `caller` is to know that.
fn add_reason(state: &ServerState, caller: PeerId, id: ManifestId, found: &mut StateBody) {
    if found.state == TransferState::Waiting {
        found.reason = state.services().offers.why_waits(id, caller);
    }
}

problems!(ListProblems: &[Code::BadLimit, Code::BadCursor, Code::BadQuery]);

/// Lists the transfers, by pages: what a blind store can tell of each.
#[utoipa::path(
    get,
    path = route::MANIFESTS,
    operation_id = "list_manifests",
    tag = "Manifests",
    params(
        ("after" = Option<ManifestId>, Query, description = "Only what comes after this one."),
        (
            "limit" = Option<usize>, Query, minimum = 1, maximum = 10_000,
            description = "At most so many; 1,000 if absent."
        ),
        (
            "for" = Option<PeerId>, Query,
            description = "Only what this peer can open by its seal key, or a password opens."
        )
    ),
    responses(
        (
            status = 200, description = "One page.", content((ManifestList), (String = "text/plain")),
            headers(("Link" = String, description = "The next page, with `rel=\"next\"`, if there is one."))
        ),
        ListProblems
    )
)]
pub(super) async fn list(
    State(state): State<ServerState>,
    connection: Connection,
    form: Form,
    uri: Uri,
) -> Answer {
    let ListQuery { page, reader } =
        ListQuery::<ManifestId>::parse(&uri, &["after", "limit", "for"])?;
    let limit = page.limit;
    let most = limit
        .saturating_mul(LONGEST_ENTRY)
        .min(wire::MAX_PAGE_BYTES);
    let memory = body::grant_response(&state, &connection, LISTING * most).await?;
    let mut page = page_of(&*state.store(&connection), page, reader).await?;
    for info in &mut page.items {
        if let Some(found) = &mut info.state {
            add_reason(&state, connection.caller.peer_id, info.id, found);
        }
    }
    let next = page.items.last().filter(|_| page.more).map(|m| m.id);
    let link = next.map(|after| next_link(&next_target(after, limit, reader)));
    let manifests = page.items;
    let list = form.answer(ManifestList { manifests, next }, text::manifests);
    Ok(Granted::written(memory, (link.transpose()?, list)))
}

/// One page, which ends early when it gets long.
async fn page_of(
    store: &dyn Store,
    asked: PageRequest<ManifestId>,
    reader: Option<PeerId>,
) -> Result<Page<ManifestInfo>, StoreError> {
    let (mut items, mut bytes, mut more) = (Vec::new(), 0, true);
    let mut after = asked.after;
    while more && items.len() < asked.limit && bytes < wire::MAX_PAGE_BYTES {
        let limit = STEP.min(asked.limit - items.len());
        let step = store
            .list_with_states(PageRequest { after, limit }, reader)
            .await?;
        after = step.items.last().map(|info| info.id);
        more = step.more && after.is_some();
        bytes += step.items.iter().map(entry_bytes).sum::<usize>();
        items.extend(step.items);
    }
    Ok(Page { items, more })
}

/// Bytes of an entry in JSON, rounded up.
fn entry_bytes(info: &ManifestInfo) -> usize {
    PLAIN_ENTRY + info.recipients.len() * RECIPIENT
}

/// An envelope with the grant of its memory: the longest there can be is granted before we know how long this one is.
async fn fetch(
    state: &ServerState,
    connection: &Connection,
    id: ManifestId,
) -> Answer<(Bytes, Share<PeerId>)> {
    let longest = wire::MAX_MANIFEST_BODY;
    let mut memory = body::grant_response(state, connection, longest).await?;
    let envelope = state.store(connection).get_manifest(id).await;
    let envelope = envelope?;
    memory.shrink_to(envelope.len());
    Ok((envelope, memory))
}

/// Parses an envelope and decides whether to believe it and to take it from this caller; gives the signer's name too. `of` gives
/// its transfer and how much content that has. Off the event loop: eight megabytes of JSON take a while.
pub(super) async fn believe<T: Payload + Send + 'static>(
    state: &ServerState,
    connection: &Connection,
    envelope: Bytes,
    id: Option<ManifestId>,
    of: fn(&T) -> (TransferId, Option<u64>),
) -> Answer<(Signed<T>, String)> {
    let (verifier, looker) = (state.services().verifier.clone(), state.looker(connection));
    in_background(move || {
        if let Some(expected) = id {
            check_id(&envelope, expected)?;
        }
        let signed = Signed::<T>::parse(envelope)?;
        let payload = signed.payload();
        let (transfer, size) = of(payload);
        // What is not verified says nothing of who has signed it.
        let sender = None;
        let about = Refused {
            transfer,
            size,
            sender,
        };
        let refused = |failure: Failure| failure.about(about);
        let may_bring = looker.may_bring(payload.sender());
        may_bring.map_err(|e| refused(e.into()))?;
        let signer = signed.verify(&*verifier, Timestamp::now());
        let signer = signer.map_err(|e| refused(e.into()))?;
        Ok((signed, signer))
    })
    .await?
}

fn check_id(envelope: &[u8], expected: ManifestId) -> Answer<()> {
    let actual = ManifestId::of(envelope);
    if actual == expected {
        return Ok(());
    }
    let detail = format!("these bytes are manifest {actual}, not the one in the path");
    Err(Failure::new(Code::IdMismatch, detail))
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Failure::internal(&e))
}

/// Refuses a body whose media type is not one of `allowed`; parameters are ignored.
pub(super) fn require_media(headers: &HeaderMap, allowed: &[&str]) -> Answer<()> {
    let given = single(headers, &header::CONTENT_TYPE)?.unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    if allowed.iter().any(|a| a.eq_ignore_ascii_case(given)) {
        return Ok(());
    }
    let detail = format!("send it as {}", allowed.join(" or "));
    Err(Failure::new(Code::UnsupportedMediaType, detail))
}

/// `Link` to the next page (RFC 8288).
pub(super) fn next_link(target: &str) -> Answer<AppendHeaders<[(HeaderName, HeaderValue); 1]>> {
    let value = HeaderValue::try_from(format!("<{target}>; rel=\"next\""));
    let value = value.map_err(|e| Failure::internal(&e))?;
    Ok(AppendHeaders([(header::LINK, value)]))
}

fn next_target(after: ManifestId, limit: usize, reader: Option<PeerId>) -> String {
    let reader = reader.map(|r| format!("&for={r}")).unwrap_or_default();
    format!("/v1/manifests?after={after}&limit={limit}{reader}")
}
