//! `/v1/chunks/custody`: proving that chunks are here, byte by byte.

use axum::{
    Json,
    extract::{Request, State},
};

use super::{
    ServerState,
    accept::Connection,
    body, chunks,
    openapi::{BODY, problems},
    problem::{Answer, Failure},
    sending::Granted,
};
use crate::{
    id::{ChunkId, Digest},
    store::{Store, StoreError},
    wire::{
        self, Code, CustodyAnswer, CustodyNonce, CustodyQuestion, MAX_CUSTODY_BYTES, custody_proof,
        route,
    },
};

problems!(CustodyProblems: BODY, &[Code::BadJson]);

/// Proves that every byte of these chunks is here.
///
/// Each chunk is read now, so a question may name at most 128 MiB of them. A damaged chunk counts as missing, is set aside,
/// and heals by being put again.
#[utoipa::path(
    post,
    path = route::CUSTODY,
    operation_id = "prove_custody",
    tag = "Chunks",
    request_body = CustodyQuestion,
    responses(
        (status = 200, description = "A proof for each, in the order asked.", body = CustodyAnswer),
        CustodyProblems
    )
)]
pub(super) async fn prove(
    State(state): State<ServerState>,
    connection: Connection,
    request: Request,
) -> Answer {
    let (question, memory): (CustodyQuestion, _) =
        chunks::question(&state, &connection, request, wire::MAX_CUSTODY_BODY).await?;
    chunks::check_count(&question.ids, wire::MAX_CUSTODY_IDS)?;
    let store = state.store(&connection);
    let lengths = lengths(&*store, &question.ids).await?;
    let mut proofs = Vec::with_capacity(lengths.len());
    for (id, length) in question.ids.into_iter().zip(lengths) {
        proofs.push(match length {
            Some(length) => proof(&state, &connection, &question.nonce, id, length).await?,
            None => None,
        });
    }
    Ok(Granted::written(memory, Json(CustodyAnswer { proofs })))
}

/// Of the chunks that are here, before one is read: what is too much is refused, not begun.
async fn lengths(store: &dyn Store, ids: &[ChunkId]) -> Answer<Vec<Option<u64>>> {
    let (mut lengths, mut sum) = (Vec::with_capacity(ids.len()), 0);
    for id in ids {
        let length = store.head_chunk(*id).await?;
        sum += length.unwrap_or(0);
        lengths.push(length);
    }
    if sum <= MAX_CUSTODY_BYTES {
        return Ok(lengths);
    }
    let detail = format!(
        "these chunks have {sum} bytes; ask for at most {MAX_CUSTODY_BYTES} bytes of them at once"
    );
    Err(Failure::new(Code::TooLarge, detail))
}

async fn proof(
    state: &ServerState,
    connection: &Connection,
    nonce: &CustodyNonce,
    id: ChunkId,
    length: u64,
) -> Answer<Option<Digest>> {
    let length = usize::try_from(length).map_err(|e| Failure::internal(&e))?;
    let _memory = body::grant(state, connection, length)?;
    let sealed = match state.store(connection).get_chunk(id).await {
        Ok(sealed) => sealed,
        // A store that knows that it is damaged has it no more than one that never had it.
        Err(StoreError::NotFound { .. } | StoreError::HashMismatch { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let nonce = *nonce;
    let proof = tokio::task::spawn_blocking(move || custody_proof(&nonce, &sealed)).await;
    proof.map(Some).map_err(|e| Failure::internal(&e))
}
