//! What a peer says in problem documents, as errors of a store.

use colis::{
    store::{Promised, Store as _, StoreError},
    wire::{Code, media},
};
use serde_json::{Value, json};

use super::{
    error_of,
    evil::{Act, Evil, answer},
};
use testkit::server::transfer::chunk;

/// What a client that puts a chunk makes of the problem `code`.
async fn put_chunk_meets(code: Code, more: Value) -> StoreError {
    let (spelling, status) = code.parts();
    let mut problem = json!({
        "type": format!("urn:colis:problem:{spelling}"),
        "code": spelling, "title": "", "status": status, "detail": "do something else",
    });
    problem
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let problem = answer(&format!("{status} X"), media::PROBLEM, problem.to_string());
    let evil = Evil::start([Act::Answer(problem)]).await;
    let (id, sealed) = chunk(7, 1000);
    error_of(evil.client(0).put_chunk(id, sealed, None)).await
}

#[tokio::test]
async fn every_code_has_its_error() {
    for &code in Code::ALL {
        let error = put_chunk_meets(code, json!({})).await;
        let right = match code {
            Code::NoSuchChunk | Code::NoSuchManifest | Code::NotTheCircle => {
                matches!(error, StoreError::NotFound { .. })
            }
            Code::MissingChunks => matches!(error, StoreError::MissingChunks { .. }),
            // Bytes that are needed would be told.
            Code::NoSpace => matches!(error, StoreError::NoRoom { .. }),
            Code::QuotaExceeded => matches!(error, StoreError::NoSpace { .. }),
            Code::StorageFailed => matches!(error, StoreError::ReadOnly { .. }),
            Code::Busy | Code::TooManyRequests => matches!(error, StoreError::Busy { .. }),
            Code::CertificateExpired => matches!(error, StoreError::Untrusted { .. }),
            Code::SlowBody => matches!(error, StoreError::TooSlow { .. }),
            _ => {
                matches!(&error, StoreError::Refused { code: c, detail, .. }
                    if c.known() == Some(code) && detail == "do something else")
            }
        };
        assert!(right, "{code:?} became {error:?}");
    }
}

#[tokio::test]
async fn missing_chunks_are_named_and_counted() {
    let id = chunk(1, 100).0;
    let more = json!({ "missing": [id], "missing_count": 5 });
    let error = put_chunk_meets(Code::MissingChunks, more).await;
    assert!(
        matches!(&error, StoreError::MissingChunks { count: 5, first } if *first == [id]),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_full_peer_says_how_full_it_is() {
    let more =
        json!({ "needed": 10, "free": 4, "quota": 100, "promised": 3, "promised_seconds": 60 });
    let error = put_chunk_meets(Code::QuotaExceeded, more).await;
    assert!(
        matches!(
            error,
            StoreError::NoSpace {
                needed: 10,
                free: 4,
                quota: Some(100),
                promised: Promised {
                    bytes: 3,
                    seconds: 60
                },
                remote: Some(_),
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_peer_cannot_claim_that_right_bytes_hash_to_something_else() {
    let (id, _) = chunk(7, 1000);
    let more = json!({ "actual": chunk(8, 1000).0 });
    let error = put_chunk_meets(Code::HashMismatch, more).await;
    assert!(
        matches!(error, StoreError::Refused { .. }),
        "{id}: {error:?}"
    );
}
