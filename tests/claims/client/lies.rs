//! Answers that are not what was asked for.

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId},
    store::{PageRequest, Store as _},
    wire::{MAX_CHUNK_BODY, media},
};

use super::{
    error_of,
    evil::{Act, Evil, answer, head},
    is_protocol,
};
use testkit::server::transfer::chunk;

const HTML: &str = "<!doctype html><title>Sign in to the network</title>";

#[tokio::test]
async fn a_wrong_byte_is_never_given_out_nor_asked_for_again() {
    let (id, sealed) = chunk(7, 1000);
    let mut wrong = sealed.to_vec();
    wrong[999] ^= 1;
    let evil = Evil::start([Act::Answer(answer("200 OK", media::CHUNK, wrong))]).await;
    is_protocol(&error_of(evil.client(3).get_chunk(id)).await, evil.port);
    assert_eq!(evil.requests(), 1);
}

#[tokio::test]
async fn another_chunk_than_asked_for_is_refused() {
    let (_, other) = chunk(8, 1000);
    let evil = Evil::start([Act::Answer(answer("200 OK", media::CHUNK, other))]).await;
    let asked = chunk(7, 1000).0;
    is_protocol(&error_of(evil.client(3).get_chunk(asked)).await, evil.port);
}

#[tokio::test]
async fn another_manifest_than_asked_for_is_refused() {
    let evil = Evil::start([Act::Answer(answer("200 OK", media::ENVELOPE, "{}"))]).await;
    let asked = ManifestId::of(b"asked");
    is_protocol(
        &error_of(evil.client(3).get_manifest(asked)).await,
        evil.port,
    );
}

#[tokio::test]
async fn a_page_for_people_is_no_answer_to_anything() {
    let html = || Act::Answer(answer("200 OK", "text/html", HTML));
    let evil = Evil::start((0..8).map(|_| html())).await;
    let client = evil.client(3);
    let (id, sealed) = chunk(7, 1000);
    is_protocol(&error_of(client.get_chunk(id)).await, evil.port);
    is_protocol(
        &error_of(client.put_chunk(id, sealed, None)).await,
        evil.port,
    );
    is_protocol(&error_of(client.missing_chunks(&[id])).await, evil.port);
    is_protocol(
        &error_of(client.get_manifest(ManifestId::of(b"x"))).await,
        evil.port,
    );
    is_protocol(&error_of(client.peer()).await, evil.port);
    is_protocol(&error_of(client.health()).await, evil.port);
    is_protocol(&error_of(client.crl()).await, evil.port);
    is_protocol(&error_of(client.renew("request")).await, evil.port);
    assert_eq!(evil.requests(), 8);
}

#[tokio::test]
async fn a_page_for_people_that_says_no_is_no_answer_either() {
    let evil = Evil::start([Act::Answer(answer("403 Forbidden", "text/html", HTML))]).await;
    is_protocol(&error_of(evil.client(3).peer()).await, evil.port);
}

#[tokio::test]
async fn more_or_fewer_proofs_than_were_asked_for_are_none() {
    for proofs in ["[]", "[null,null]", "[\"00\"]", "[0]", "null"] {
        let body = format!("{{\"proofs\":{proofs}}}");
        let evil = Evil::start([Act::Answer(answer("200 OK", media::JSON, body))]).await;
        let asked = chunk(7, 1000).0;
        let client = evil.client(3);
        let error = error_of(client.custody(&[1; 32], &[asked])).await;
        is_protocol(&error, evil.port);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Evil::start([]).await;
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let redirect = format!(
            "HTTP/1.1 {status}\r\nlocation: https://127.0.0.1:{}/v1/peer\r\ncontent-length: 0\r\n\r\n",
            other.port
        );
        let evil = Evil::start([Act::Answer(redirect.into_bytes())]).await;
        is_protocol(&error_of(evil.client(3).peer()).await, evil.port);
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_compressed_answer_is_not_unpacked() {
    // `{"status":"ok","version":"1"}`, by gzip.
    const GZIP: &str = "1f8b0800000000000203ab562a2e492c292d56b252cacf56d2512a4b2d2a\
                        cecccf03720d956a01aaff331a1d000000";
    let body: Vec<u8> = GZIP
        .as_bytes()
        .chunks(2)
        .map(|hex| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap())
        .collect();
    let mut reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    reply.extend(body);
    let evil = Evil::start([Act::Answer(reply)]).await;
    is_protocol(&error_of(evil.client(3).health()).await, evil.port);
}

#[tokio::test]
async fn a_body_longer_than_any_chunk_is_not_begun() {
    let announced = head("200 OK", media::CHUNK, MAX_CHUNK_BODY + 1);
    let evil = Evil::start([Act::Stall(announced)]).await;
    let asked = chunk(7, 1000).0;
    is_protocol(&error_of(evil.client(0).get_chunk(asked)).await, evil.port);
}

#[tokio::test]
async fn a_body_without_a_length_is_not_begun() {
    let announced = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n";
    let endless = Act::Endless(announced.to_vec(), b"4\r\nmore\r\n");
    let evil = Evil::start([endless]).await;
    let asked = chunk(7, 1000).0;
    is_protocol(&error_of(evil.client(3).get_chunk(asked)).await, evil.port);
}

#[tokio::test]
async fn endless_headers_come_to_an_end() {
    let evil = Evil::start([Act::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n")]).await;
    is_protocol(&error_of(evil.client(3).peer()).await, evil.port);
}

#[tokio::test]
async fn one_endless_header_comes_to_an_end() {
    let evil = Evil::start([Act::Endless(
        b"HTTP/1.1 200 OK\r\nx: ".to_vec(),
        &[b'y'; 4096],
    )])
    .await;
    is_protocol(&error_of(evil.client(3).peer()).await, evil.port);
}

#[tokio::test]
async fn what_comes_after_an_answer_never_answers_the_next_question() {
    let health = |version: &str| {
        let body = format!(r#"{{"status":"ok","version":"{version}"}}"#);
        answer("200 OK", media::JSON, body)
    };
    let two = [health("first"), health("smuggled")].concat();
    let evil = Evil::start([Act::Answer(two), Act::Answer(health("second"))]).await;
    let client = evil.client(3);
    assert_eq!(client.health().await.unwrap().version, "first");
    assert_eq!(client.health().await.unwrap().version, "second");
}

#[tokio::test]
async fn ids_that_were_not_asked_for_are_not_missing() {
    let asked = [1, 2, 3].map(|seed| chunk(seed, 100).0);
    let other = chunk(9, 100).0;
    for lie in [
        vec![other],
        vec![asked[0], other],
        vec![asked[1], asked[0]],
        vec![asked[0], asked[0]],
    ] {
        let body = serde_json::json!({ "missing": lie }).to_string();
        let evil = Evil::start([Act::Answer(answer("200 OK", media::JSON, body))]).await;
        is_protocol(
            &error_of(evil.client(3).missing_chunks(&asked)).await,
            evil.port,
        );
    }
}

#[tokio::test]
async fn a_list_that_leads_nowhere_is_refused() {
    let mut ids = [1, 2, 3, 4].map(|seed| chunk(seed, 100).0);
    ids.sort();
    let [first, second, third, fourth] = ids;
    let page = PageRequest {
        after: Some(first),
        limit: 2,
    };
    let list = |ids: &[ChunkId], next: Option<ChunkId>| {
        let chunks: Vec<_> = ids
            .iter()
            .map(|id| serde_json::json!({ "id": id, "length": 100 }))
            .collect();
        serde_json::json!({ "chunks": chunks, "next": next }).to_string()
    };
    for (lie, why) in [
        (list(&[], Some(first)), "more follows nothing"),
        (list(&[first, second], None), "it begins before its place"),
        (list(&[third, second], None), "it is out of order"),
        (list(&[second, second], None), "one is named twice"),
        (
            list(&[second, third, fourth], None),
            "it is longer than asked",
        ),
        (list(&[second, third], Some(first)), "it leads back"),
    ] {
        let evil = Evil::start([Act::Answer(answer("200 OK", media::JSON, lie))]).await;
        let error = error_of(evil.client(3).list_chunks(page)).await;
        println!("{why}: {error}");
        is_protocol(&error, evil.port);
    }
    let honest = list(&[second, third], Some(third));
    let evil = Evil::start([Act::Answer(answer("200 OK", media::JSON, honest))]).await;
    let page = evil.client(0).list_chunks(page).await.unwrap();
    assert_eq!((page.items.len(), page.more), (2, true));
}

#[tokio::test]
async fn what_no_peer_can_take_is_not_sent() {
    let evil = Evil::start([]).await;
    let long = Bytes::from(vec![0; MAX_CHUNK_BODY + 1]);
    for (sealed, expected) in [(Bytes::from_static(b"short"), "short"), (long, "long")] {
        let error = error_of(evil.client(3).put_chunk(ChunkId::of(&sealed), sealed, None)).await;
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(evil.connections(), 0);
}
