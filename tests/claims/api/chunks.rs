//! `/v1/chunks`.

use colis::{
    id::{ChunkId, Digest},
    store::StoreError,
    wire::{ChunkList, Code, MissingAnswer, PutBody, PutResult},
};
use data_encoding::BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use testkit::server::{TestPeer, problem, transfer::chunk};

#[tokio::test]
async fn a_chunk_is_stored_once_and_comes_back_byte_by_byte() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let (id, bytes) = chunk(7, 100_000);
    let url = peer.url(&format!("/v1/chunks/{id}"));

    let first = client.put(&url).body(bytes.clone()).send().await.unwrap();
    assert_eq!(first.status(), 201);
    assert_eq!(first.headers()["location"], format!("/v1/chunks/{id}"));
    assert_eq!(
        first.json::<PutBody>().await.unwrap().result,
        PutResult::Stored
    );
    let again = client.put(&url).body(bytes.clone()).send().await.unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(
        again.json::<PutBody>().await.unwrap().result,
        PutResult::AlreadyThere
    );

    let response = client.get(&url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let digest = format!("sha-256=:{}:", BASE64.encode(id.as_bytes()));
    for (name, value) in [
        ("etag", format!("\"{id}\"").as_str()),
        ("content-type", "application/octet-stream"),
        ("content-length", "100000"),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, max-age=31536000, immutable"),
        ("x-content-type-options", "nosniff"),
        ("content-digest", &digest),
    ] {
        assert_eq!(response.headers()[name], value, "{name}");
    }
    assert_eq!(response.bytes().await.unwrap(), bytes);
}

#[tokio::test]
async fn head_tells_the_same_without_the_bytes() {
    let (peer, client, id, _) = with_chunk(70_000).await;
    let response = client
        .head(peer.url(&format!("/v1/chunks/{id}")))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-length"], "70000");
    assert_eq!(response.headers()["etag"], format!("\"{id}\""));
    assert!(response.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_chunk_that_one_has_is_not_sent_again() {
    let (peer, client, id, _) = with_chunk(100).await;
    let url = peer.url(&format!("/v1/chunks/{id}"));
    for tag in [
        format!("\"{id}\""),
        format!("W/\"{id}\""),
        "*".into(),
        format!("\"x\", \"{id}\""),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let request = client.request(method, &url).header("if-none-match", &tag);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 304, "{tag}");
            assert_eq!(response.headers()["etag"], format!("\"{id}\""));
        }
    }
    let other = client
        .get(&url)
        .header("if-none-match", "\"x\"")
        .send()
        .await
        .unwrap();
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn a_range_is_that_part_with_its_own_digest() {
    let (peer, client, id, bytes) = with_chunk(1000).await;
    let url = peer.url(&format!("/v1/chunks/{id}"));
    let part = client
        .get(&url)
        .header("range", "bytes=10-19")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 10-19/1000");
    let digest = BASE64.encode(Digest::of(&bytes[10..20]).as_bytes());
    assert_eq!(
        part.headers()["content-digest"],
        format!("sha-256=:{digest}:")
    );
    assert_eq!(part.bytes().await.unwrap(), bytes[10..20]);

    for whole in ["bytes=0-1,5-6", "lines=0-1", "bytes=5-2"] {
        let response = client
            .get(&url)
            .header("range", whole)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{whole}");
        assert_eq!(response.bytes().await.unwrap(), bytes);
    }
    let beyond = client
        .get(&url)
        .header("range", "bytes=1000-")
        .send()
        .await
        .unwrap();
    assert_eq!(beyond.headers()["content-range"], "bytes */1000");
    problem(beyond, Code::RangeNotSatisfiable).await;
}

#[tokio::test]
async fn bytes_of_another_id_are_refused_and_not_stored() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let (id, _) = chunk(1, 100);
    let (actual, bytes) = chunk(2, 100);
    let url = peer.url(&format!("/v1/chunks/{id}"));
    let response = client.put(url).body(bytes).send().await.unwrap();
    assert_eq!(
        problem(response, Code::HashMismatch).await.actual,
        Some(actual)
    );
    assert_eq!(peer.store.chunk_count(), 0);
}

#[tokio::test]
async fn a_chunk_without_room_for_nonce_and_tag_is_too_short() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    for length in [1, 27] {
        let (id, bytes) = chunk(1, length);
        let url = peer.url(&format!("/v1/chunks/{id}"));
        problem(
            client.put(url).body(bytes).send().await.unwrap(),
            Code::ChunkTooShort,
        )
        .await;
    }
}

#[tokio::test]
async fn the_offer_header_reaches_the_store_or_is_refused() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let (id, bytes) = chunk(1, 100);
    let url = peer.url(&format!("/v1/chunks/{id}"));
    let put = |value: &str| {
        client
            .put(&url)
            .header("colis-offer", value)
            .body(bytes.clone())
            .send()
    };
    for wrong in [
        "x",
        "00112233445566778899aabbccddeeff;index=-1",
        "00112233445566778899aabbccddeeff; index=1",
    ] {
        problem(put(wrong).await.unwrap(), Code::BadHeader).await;
    }
    assert_eq!(
        put("00112233445566778899aabbccddeeff;index=3")
            .await
            .unwrap()
            .status(),
        201
    );
    let part = peer.store.parts.lock().unwrap()[&id];
    assert_eq!(part.index, Some(3));
    assert_eq!(
        part.transfer_id.to_string(),
        "00112233445566778899aabbccddeeff"
    );
}

#[tokio::test]
async fn an_id_has_one_spelling_in_a_path() {
    let (peer, client, id, _) = with_chunk(100).await;
    let text = id.to_string();
    let escaped = format!("%{:02x}{}", text.as_bytes()[0], &text[1..]);
    for wrong in [
        &text[1..],
        &format!("{text}0"),
        &text.to_uppercase(),
        &escaped,
        "..%2f..%2fetc%2fpasswd",
        "%00",
    ] {
        let response = client
            .get(peer.url(&format!("/v1/chunks/{wrong}")))
            .send()
            .await
            .unwrap();
        problem(response, Code::BadId).await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let url = peer.url(&format!("/v1/chunks/{}", ChunkId::of(b"x")));
    problem(client.get(&url).send().await.unwrap(), Code::NoSuchChunk).await;
    assert_eq!(client.head(&url).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn chunks_are_listed_by_pages_in_order() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    for seed in 0..5 {
        let (id, bytes) = chunk(seed, 100 + usize::from(seed));
        client
            .put(peer.url(&format!("/v1/chunks/{id}")))
            .body(bytes)
            .send()
            .await
            .unwrap();
    }
    let (mut path, mut found, mut pages) = ("/v1/chunks?limit=2".to_owned(), Vec::new(), 0);
    loop {
        let response = client.get(peer.url(&path)).send().await.unwrap();
        let link = response
            .headers()
            .get("link")
            .map(|l| l.to_str().unwrap().to_owned());
        let list: ChunkList = response.json().await.unwrap();
        found.extend(list.chunks);
        pages += 1;
        let Some(next) = list.next else {
            assert_eq!(link, None);
            break;
        };
        path = format!("/v1/chunks?after={next}&limit=2");
        assert_eq!(link.unwrap(), format!("<{path}>; rel=\"next\""));
    }
    assert_eq!((pages, found.len()), (3, 5));
    assert!(found.is_sorted_by_key(|c| c.id));
    assert_eq!(found.iter().map(|c| c.length).sum::<u64>(), 510);
}

#[tokio::test]
async fn a_list_takes_only_its_own_questions() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    for (query, code) in [
        ("limit=0", Code::BadLimit),
        ("limit=10001", Code::BadLimit),
        ("limit=1000000000000000000000", Code::BadLimit),
        ("limit=abc", Code::BadLimit),
        ("limit=%2b5", Code::BadLimit),
        ("limit=", Code::BadLimit),
        ("after=abc", Code::BadCursor),
        ("x=1", Code::BadQuery),
        ("limit", Code::BadQuery),
        ("limit=1&limit=2", Code::BadQuery),
        ("for=abc", Code::BadQuery),
    ] {
        let response = client
            .get(peer.url(&format!("/v1/chunks?{query}")))
            .send()
            .await
            .unwrap();
        problem(response, code).await;
    }
    assert_eq!(
        client
            .get(peer.url("/v1/chunks?limit=10000"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn missing_names_what_is_not_there_in_the_order_asked() {
    let (peer, client, id, _) = with_chunk(100).await;
    let url = peer.url("/v1/chunks/missing");
    let (x, y) = (ChunkId::of(b"x"), ChunkId::of(b"y"));
    let question = serde_json::json!({ "ids": [y, id, x] });
    let answer = client.post(&url).json(&question).send().await.unwrap();
    assert_eq!(
        answer.json::<MissingAnswer>().await.unwrap().missing,
        [y, x]
    );

    for wrong in [
        " ",
        "{}",
        "[]",
        "{\"ids\":[\"x\"]}",
        "{\"ids\":[],\"more\":1}",
    ] {
        let request = client
            .post(&url)
            .header("content-type", "application/json")
            .body(wrong);
        problem(request.send().await.unwrap(), Code::BadJson).await;
    }
    let field = format!("{{\"{}\":1}}", "x".repeat(100_000));
    let request = client
        .post(&url)
        .header("content-type", "application/json")
        .body(field);
    let refused = problem(request.send().await.unwrap(), Code::BadJson).await;
    let length = refused.detail.len();
    assert!(length < 300, "{length} bytes of the question came back");
    let plain = client.post(&url).body("{\"ids\":[]}").send().await.unwrap();
    problem(plain, Code::UnsupportedMediaType).await;
    let many = serde_json::json!({ "ids": vec![x; 10_000] });
    assert_eq!(
        client.post(&url).json(&many).send().await.unwrap().status(),
        200
    );
    // As other writers of JSON have it: Python's, and one with lines and an indentation.
    for between in [", ", ",\n        "] {
        let ids = vec![format!("\"{x}\""); 10_000].join(between);
        let request = client.post(&url).header("content-type", "application/json");
        let request = request.body(format!("{{\"ids\": [{ids}]}}"));
        assert_eq!(request.send().await.unwrap().status(), 200, "{between:?}");
    }
    let too_many = serde_json::json!({ "ids": vec![x; 10_001] });
    problem(
        client.post(&url).json(&too_many).send().await.unwrap(),
        Code::TooLarge,
    )
    .await;
}

/// Asks for proofs of `ids`.
async fn custody(peer: &TestPeer, client: &reqwest::Client, nonce: u8, ids: &[ChunkId]) -> Value {
    let question = json!({ "nonce": BASE64.encode(&[nonce; 32]), "ids": ids });
    let asked = client.post(peer.url("/v1/chunks/custody")).json(&question);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json::<Value>().await.unwrap()["proofs"].take()
}

#[tokio::test]
async fn custody_is_proved_over_every_byte_for_this_nonce_alone() {
    let (peer, client, id, bytes) = with_chunk(100).await;
    let nothing = ChunkId::of(b"x");
    let proofs = custody(&peer, &client, 7, &[nothing, id, nothing]).await;
    let proved = [b"colis/v1/custody\0".as_slice(), &[7; 32], &bytes].concat();
    assert_eq!(proofs, json!([null, Digest::of(&proved), null]));
    // Whoever keeps only digests, also those of earlier answers, cannot answer the next question.
    let again = custody(&peer, &client, 8, &[id]).await;
    assert!(again[0].is_string() && again[0] != proofs[1], "{again}");

    let actual = ChunkId::of(b"damaged");
    *peer.store.fault.lock().unwrap() = Some(StoreError::HashMismatch {
        expected: id,
        actual,
    });
    assert_eq!(custody(&peer, &client, 9, &[id]).await, json!([null]));
}

#[tokio::test]
async fn custody_costs_the_peer_no_more_than_its_bounds() {
    let (peer, client, id, _) = with_chunk(1 << 20).await;
    let url = peer.url("/v1/chunks/custody");
    let ask = |ids: Vec<ChunkId>| {
        let question = json!({ "nonce": BASE64.encode(&[1; 32]), "ids": ids });
        client.post(&url).json(&question).send()
    };
    assert_eq!(ask(vec![id; 128]).await.unwrap().status(), 200);
    let before = *peer.store.calls.lock().unwrap();
    problem(ask(vec![id; 129]).await.unwrap(), Code::TooLarge).await;
    let nothing = ChunkId::of(b"x");
    assert_eq!(ask(vec![nothing; 1024]).await.unwrap().status(), 200);
    problem(ask(vec![nothing; 1025]).await.unwrap(), Code::TooLarge).await;
    let spaced = vec![format!("\"{nothing}\""); 1024].join(", ");
    let nonce = BASE64.encode(&[1; 32]);
    let spaced = format!("{{\"nonce\": \"{nonce}\", \"ids\": [{spaced}]}}");
    let request = client.post(&url).header("content-type", "application/json");
    let answer = request.body(spaced).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        *peer.store.calls.lock().unwrap(),
        before,
        "a chunk was read"
    );

    let (short, long) = (BASE64.encode(&[1; 31]), BASE64.encode(&[1; 33]));
    for nonce in ["", "x", &short, &long] {
        let question = json!({ "nonce": nonce, "ids": [] });
        let asked = client.post(&url).json(&question).send().await.unwrap();
        problem(asked, Code::BadJson).await;
    }
}

#[tokio::test]
async fn a_damaged_chunk_is_never_sent() {
    let (peer, client, id, _) = with_chunk(100).await;
    let actual = ChunkId::of(b"damaged");
    *peer.store.fault.lock().unwrap() = Some(StoreError::HashMismatch {
        expected: id,
        actual,
    });
    let response = client
        .get(peer.url(&format!("/v1/chunks/{id}")))
        .send()
        .await
        .unwrap();
    problem(response, Code::ChunkCorrupt).await;
}

async fn with_chunk(length: usize) -> (TestPeer, reqwest::Client, ChunkId, Vec<u8>) {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
    let id = ChunkId::of(&bytes);
    let url = peer.url(&format!("/v1/chunks/{id}"));
    let put = client.put(url).body(bytes.clone()).send().await.unwrap();
    assert_eq!(put.status(), 201);
    (peer, client, id, bytes)
}
