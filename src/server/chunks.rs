//! `/v1/chunks`: sealed chunks, which the server cannot read.

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::IntoResponse,
};
use bytes::Bytes;
use data_encoding::BASE64;
use serde::de::DeserializeOwned;

use super::{
    Brought, ServerState,
    accept::Connection,
    arrivals::CameIn,
    body,
    extract::{ListQuery, PathId, none_match, single},
    manifests::{next_link, require_media},
    openapi::{BODY, STORING, problems},
    problem::{Answer, Failure, quote},
    range::{Wanted, wanted},
    sending::Granted,
    shares::Share,
    text::{self, Form},
};
use crate::{
    id::{ChunkId, Digest, PeerId},
    store::{PartOf, Put, StoreError},
    wire::{
        self, ChunkList, Code, MissingAnswer, MissingQuestion, OFFER_HEADER, PutBody, PutResult,
        Sealed, media, route,
    },
};

/// Bytes that a chunk in a list takes until the list is written: the entry, its columns, its line in a buffer that grows.
const LISTING: usize = 512;

problems!(PutProblems: BODY, STORING, &[
    Code::BadId, Code::HashMismatch, Code::ChunkTooShort, Code::Cancelled,
]);

/// Stores a chunk.
///
/// The body is its bytes; what is stored survives a loss of power.
#[utoipa::path(
    put,
    path = route::CHUNK,
    operation_id = "put_chunk",
    tag = "Chunks",
    params(
        ("id" = ChunkId, Path, description = "The chunk: the SHA-256 of the body."),
        (
            "Colis-Offer" = Option<String>, Header, nullable = false,
            pattern = "^[0-9a-f]{32}(;index=(0|[1-9][0-9]*))?$",
            description = "For which announced transfer it comes, and the place of a content chunk in it."
        )
    ),
    request_body(content = Sealed, content_type = media::CHUNK),
    responses(
        (status = 200, description = "It was there, just as safe.", body = PutBody, headers(("Location" = String))),
        (status = 201, description = "It is new, and durable.", body = PutBody, headers(("Location" = String))),
        PutProblems
    )
)]
pub(super) async fn put(
    State(state): State<ServerState>,
    connection: Connection,
    PathId(id): PathId<ChunkId>,
    request: Request,
) -> Answer {
    let part_of = single(request.headers(), &HeaderName::from_static(OFFER_HEADER))?;
    let by = connection.caller.peer_id;
    let part_of = part_of.map(|text| parse_part_of(text, by)).transpose()?;
    if let Some(part) = &part_of {
        state.0.arrivals.check_wanted(by, part.transfer_id)?;
    }
    let sealed = body::read(&state, &connection, request, wire::MAX_CHUNK_BODY).await?;
    let length = sealed.bytes.len() as u64;
    let body::Received { bytes, memory } = sealed;
    if let Some(part) = &part_of {
        let (arrivals, name) = (&state.0.arrivals, &connection.caller.name);
        arrivals.comes(by, name, part.transfer_id, id);
    }
    let put = state
        .store(&connection)
        .bring_chunk(id, bytes.clone(), part_of, by)
        .await;
    let put = put?;
    if let Some(PartOf {
        transfer_id, index, ..
    }) = part_of
    {
        let (caller, new) = (&connection.caller, (put == Put::Stored).then_some(length));
        let arrivals = &state.0.arrivals;
        if let Err(unwanted) = arrivals.check_wanted(by, transfer_id) {
            // It was stopped while this came.
            let owner = &state.services().owner;
            owner.cancel(by, transfer_id, vec![id]);
            return Err(unwanted);
        }
        let chunk = CameIn { index, new };
        arrivals.came(caller.peer_id, &caller.name, transfer_id, chunk);
        if let Some(index) = index {
            let offers = &state.services().offers;
            let chunk = Brought {
                id,
                sealed: bytes,
                charge: memory.into(),
            };
            offers.stored(caller, transfer_id, index, chunk);
        }
    }
    let (status, result) = match put {
        Put::Stored => (StatusCode::CREATED, PutResult::Stored),
        Put::AlreadyThere => (StatusCode::OK, PutResult::AlreadyThere),
    };
    let location = [(header::LOCATION, format!("/v1/chunks/{id}"))];
    Ok((status, location, Json(PutBody { result })).into_response())
}

problems!(GetProblems: &[Code::BadId, Code::NoSuchChunk, Code::RangeNotSatisfiable, Code::ChunkCorrupt]);

/// Gives a chunk, or one range of it.
///
/// Several ranges, other units and malformed ranges are ignored, as HTTP allows.
#[utoipa::path(
    get,
    path = route::CHUNK,
    operation_id = "get_chunk",
    tag = "Chunks",
    params(
        ("id" = ChunkId, Path, description = "The chunk."),
        ("Range" = Option<String>, Header, nullable = false, description = "One range of bytes."),
        ("If-Range" = Option<String>, Header, nullable = false, description = "The `ETag` for which `Range` counts."),
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The `ETag` of what one has.")
    ),
    responses(
        (
            status = 200, description = "All of it.", body = Sealed, content_type = media::CHUNK,
            headers(
                ("ETag" = String, description = "The id, in quotes."),
                ("Content-Digest" = String, description = "The SHA-256 of what is sent (RFC 9530).")
            )
        ),
        (
            status = 206, description = "The range.", body = Sealed, content_type = media::CHUNK,
            headers(
                ("ETag" = String, description = "The id, in quotes."),
                ("Content-Range" = String),
                ("Content-Digest" = String, description = "The SHA-256 of what is sent (RFC 9530).")
            )
        ),
        (status = 304, description = "`If-None-Match` names it.", headers(("ETag" = String))),
        GetProblems
    )
)]
pub(super) async fn get(
    State(state): State<ServerState>,
    connection: Connection,
    PathId(id): PathId<ChunkId>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let store = state.store(&connection);
    let length = store.head_chunk(id).await?;
    let length = length.ok_or_else(|| Failure::new(Code::NoSuchChunk, "this chunk is not here"))?;
    let length = usize::try_from(length).map_err(|e| Failure::internal(&e))?;
    let etag = format!("\"{id}\"");
    if none_match(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, cache(&etag)?).into_response());
    }
    if method == Method::HEAD {
        let digest = content_digest(Digest::from_bytes(*id.as_bytes()));
        let headers = [(header::CONTENT_LENGTH, length.to_string())];
        return Ok((cache(&etag)?, describe(&digest)?, headers).into_response());
    }
    let wanted = wanted(&headers, &etag, length);
    if wanted == Wanted::Unsatisfiable {
        return Err(unsatisfiable(length));
    }
    let memory = body::grant_response(&state, &connection, length).await?;
    let sealed = store.get_chunk(id).await.map_err(corrupt_is_not_missing)?;
    let response = match wanted {
        Wanted::Part(range) if range.end <= sealed.len() => part(sealed, range).await?,
        _ => whole(id, sealed)?,
    };
    Ok((Granted::new(memory), cache(&etag)?, response).into_response())
}

problems!(ListProblems: &[Code::BadLimit, Code::BadCursor, Code::BadQuery]);

/// Lists all chunks, by pages in order of their ids.
#[utoipa::path(
    get,
    path = route::CHUNKS,
    operation_id = "list_chunks",
    tag = "Chunks",
    params(
        ("after" = Option<ChunkId>, Query, description = "Only what comes after this one."),
        (
            "limit" = Option<usize>, Query, minimum = 1, maximum = 10_000,
            description = "At most so many; 1,000 if absent."
        )
    ),
    responses(
        (
            status = 200, description = "One page.", content((ChunkList), (String = "text/plain")),
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
    let query = ListQuery::<ChunkId>::parse(&uri, &["after", "limit"])?;
    let limit = query.page.limit;
    let memory = body::grant_response(&state, &connection, limit * LISTING).await?;
    let page = state.store(&connection).list_chunks(query.page).await?;
    let next = page.items.last().filter(|_| page.more).map(|c| c.id);
    let link = next.map(|after| next_link(&format!("/v1/chunks?after={after}&limit={limit}")));
    let chunks = page.items;
    let list = form.answer(ChunkList { chunks, next }, text::chunks);
    Ok(Granted::written(memory, (link.transpose()?, list)))
}

problems!(MissingProblems: BODY, &[Code::BadJson]);

/// Says which of these chunks are not here.
///
/// For those that are, the time for which unused chunks are kept begins anew. This is how every transfer begins, and all
/// that there is to resuming one.
#[utoipa::path(
    post,
    path = route::MISSING,
    operation_id = "missing_chunks",
    tag = "Chunks",
    request_body = MissingQuestion,
    responses(
        (status = 200, description = "Those that are missing, in the order asked.", body = MissingAnswer),
        MissingProblems
    )
)]
pub(super) async fn missing(
    State(state): State<ServerState>,
    connection: Connection,
    request: Request,
) -> Answer {
    let (question, memory): (MissingQuestion, _) =
        question(&state, &connection, request, wire::MAX_MISSING_BODY).await?;
    check_count(&question.ids, wire::MAX_MISSING_IDS)?;
    let missing = state
        .store(&connection)
        .missing_chunks(&question.ids)
        .await?;
    Ok(Granted::written(memory, Json(MissingAnswer { missing })))
}

/// Reads a question in JSON, of at most `max` bytes. Gives it with the memory for its answer.
pub(super) async fn question<T: DeserializeOwned>(
    state: &ServerState,
    connection: &Connection,
    request: Request,
    max: usize,
) -> Answer<(T, Share<PeerId>)> {
    require_media(request.headers(), &[media::JSON])?;
    let body = body::read_question(state, connection, request, max).await?;
    let question = serde_json::from_slice(&body.bytes);
    let question = question.map_err(|e| Failure::new(Code::BadJson, quote(&e.to_string())))?;
    Ok((question, body.memory))
}

pub(super) fn check_count(ids: &[ChunkId], max: usize) -> Answer<()> {
    if ids.len() <= max {
        return Ok(());
    }
    let detail = format!("ask for at most {max} ids at once");
    Err(Failure::new(Code::TooLarge, detail))
}

/// `TRANSFER_ID` or `TRANSFER_ID;index=N`, in exactly this spelling, of a chunk that `by` brings.
fn parse_part_of(text: &str, by: PeerId) -> Answer<PartOf> {
    let bad = || {
        Failure::new(
            Code::BadHeader,
            "Colis-Offer is TRANSFER_ID or TRANSFER_ID;index=N",
        )
    };
    let (transfer_id, index) = match text.split_once(";index=") {
        Some((id, index)) => (id, Some(index)),
        None => (text, None),
    };
    let transfer_id = transfer_id.parse().map_err(|_| bad())?;
    let index = index.map(|i| parse_index(i).ok_or_else(bad)).transpose()?;
    Ok(PartOf {
        transfer_id,
        by,
        index,
    })
}

fn parse_index(text: &str) -> Option<u64> {
    let index: u64 = text.parse().ok()?;
    (index.to_string() == text).then_some(index)
}

/// A chunk that the store lists but cannot give has been set aside since: it is gone, not "never there".
fn corrupt_is_not_missing(error: StoreError) -> Failure {
    match error {
        StoreError::HashMismatch { .. } => {
            tracing::error!(cause = %error, "a stored chunk is damaged");
            let detail = "the stored bytes are damaged; put the chunk again to heal it";
            Failure::new(Code::ChunkCorrupt, detail)
        }
        other => other.into(),
    }
}

fn unsatisfiable(length: usize) -> Failure {
    let failure = Failure::new(
        Code::RangeNotSatisfiable,
        format!("the chunk has {length} bytes"),
    );
    match HeaderValue::try_from(format!("bytes */{length}")) {
        Ok(value) => failure.header(header::CONTENT_RANGE, value),
        Err(_) => failure,
    }
}

fn whole(id: ChunkId, sealed: Bytes) -> Answer {
    let digest = content_digest(Digest::from_bytes(*id.as_bytes()));
    Ok((describe(&digest)?, Body::from(sealed)).into_response())
}

async fn part(sealed: Bytes, range: std::ops::Range<usize>) -> Answer {
    let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, sealed.len());
    let bytes = sealed.slice(range);
    let hashed = bytes.clone();
    let digest = tokio::task::spawn_blocking(move || Digest::of(&hashed)).await;
    let digest = content_digest(digest.map_err(|e| Failure::internal(&e))?);
    let headers = [(header::CONTENT_RANGE, content_range)];
    let described = describe(&digest)?;
    Ok((
        StatusCode::PARTIAL_CONTENT,
        described,
        headers,
        Body::from(bytes),
    )
        .into_response())
}

/// Of the bytes that are sent (RFC 9530).
fn content_digest(digest: Digest) -> String {
    format!("sha-256=:{}:", BASE64.encode(digest.as_bytes()))
}

fn describe(digest: &str) -> Answer<[(HeaderName, HeaderValue); 3]> {
    Ok([
        (header::CONTENT_TYPE, HeaderValue::from_static(media::CHUNK)),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (
            HeaderName::from_static("content-digest"),
            header_value(digest)?,
        ),
    ])
}

/// Named by their content, they never change.
pub(super) fn cache(etag: &str) -> Answer<[(HeaderName, HeaderValue); 2]> {
    let forever = "private, max-age=31536000, immutable";
    Ok([
        (header::ETAG, header_value(etag)?),
        (header::CACHE_CONTROL, HeaderValue::from_static(forever)),
    ])
}

fn header_value(value: &str) -> Answer<HeaderValue> {
    HeaderValue::from_str(value).map_err(|e| Failure::internal(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_has_one_spelling() {
        let by = PeerId::of(b"p");
        let id = "00112233445566778899aabbccddeeff";
        let part = parse_part_of(&format!("{id};index=7"), by).unwrap();
        assert_eq!(
            (part.transfer_id.to_string().as_str(), part.index),
            (id, Some(7))
        );
        assert_eq!(parse_part_of(id, by).unwrap().index, None);
        for wrong in [
            String::new(),
            format!("{id};"),
            format!("{id};index="),
            format!("{id};index=+7"),
            format!("{id};index=07"),
            format!("{id}; index=7"),
            format!("{id};index=18446744073709551616"),
            id.to_uppercase(),
        ] {
            assert!(parse_part_of(&wrong, by).is_err(), "{wrong}");
        }
    }
}
