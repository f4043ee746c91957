//! The lists, the peer and its health as text for a terminal.

use colis::{
    manifest::{Signed, Timestamp},
    trust::PeerBundle,
    wire::{ChunkList, Code, ManifestList},
};
use reqwest::{Client, Response};

use testkit::server::{
    TestPeer,
    pki::Identity,
    problem,
    transfer::{chunk, manifest, sign, wrap_for},
};

async fn get(client: &Client, url: &str, accept: &str) -> Response {
    client
        .get(url)
        .header("accept", accept)
        .send()
        .await
        .unwrap()
}

/// The text at `path`, which is fit for a terminal and ends its last line.
async fn text(peer: &TestPeer, client: &Client, path: &str) -> String {
    let response = get(client, &peer.url(path), "text/plain").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    assert_eq!(response.headers()["vary"], "accept");
    let text = response.text().await.unwrap();
    assert!(
        text.ends_with('\n') && text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)),
        "{text:?}"
    );
    text
}

#[tokio::test]
async fn json_comes_unless_text_is_preferred() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    for path in ["/v1/manifests", "/v1/chunks", "/v1/peer", "/v1/health"] {
        for (accept, media) in [
            ("*/*", "application/json"),
            ("application/json, text/plain", "application/json"),
            (
                "text/plain;q=0.4, application/json;q=0.5",
                "application/json",
            ),
            ("image/png", "application/json"),
            (
                "text/plain;q=0.5, application/json;q=0.4",
                "text/plain; charset=utf-8",
            ),
            ("text/plain", "text/plain; charset=utf-8"),
        ] {
            let response = get(&client, &peer.url(path), accept).await;
            assert_eq!(response.status(), 200, "{path} {accept}");
            assert_eq!(response.headers()["content-type"], media, "{path} {accept}");
            assert_eq!(response.headers()["vary"], "accept");
        }
        let silent = client.get(peer.url(path)).send().await.unwrap();
        assert_eq!(silent.headers()["content-type"], "application/json");
    }
    let wrong = get(&client, &peer.url("/v1/chunks?limit=0"), "text/plain").await;
    problem(wrong, Code::BadLimit).await;
}

#[tokio::test]
async fn chunks_stand_in_columns_with_their_exact_ids_and_lengths() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    assert_eq!(text(&peer, &client, "/v1/chunks").await, "# none\n");
    for (seed, length) in [(1, 100), (2, 70_000)] {
        let (id, bytes) = chunk(seed, length);
        client
            .put(peer.url(&format!("/v1/chunks/{id}")))
            .body(bytes)
            .send()
            .await
            .unwrap();
    }
    let list: ChunkList = client
        .get(peer.url("/v1/chunks"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let shown = text(&peer, &client, "/v1/chunks").await;
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 3, "{shown}");
    for (line, chunk) in lines[1..].iter().zip(&list.chunks) {
        let size = if chunk.length == 100 {
            "100 B"
        } else {
            "68.3 KiB"
        };
        assert_eq!(
            *line,
            format!("{}  {:>5}  {size:>8}", chunk.id, chunk.length)
        );
    }
    let first = text(&peer, &client, "/v1/chunks?limit=1").await;
    assert_eq!(first.lines().count(), 3, "{first}");
    assert!(
        first.lines().last().unwrap().starts_with("# more"),
        "{first}"
    );
    let page = get(&client, &peer.url("/v1/chunks?limit=1"), "text/plain").await;
    assert!(
        page.headers()["link"]
            .to_str()
            .unwrap()
            .contains(&list.chunks[0].id.to_string())
    );
}

#[tokio::test]
async fn transfers_stand_in_columns_with_their_dates_sizes_and_readers() {
    let peer = TestPeer::start().await;
    let (who, reader) = (peer.member("a"), peer.member("reader"));
    let client = peer.client(&who);
    publish(&peer, &client, &who, &[&who, &reader]).await;
    let list: ManifestList = client
        .get(peer.url("/v1/manifests"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let info = &list.manifests[0];
    let shown = text(&peer, &client, "/v1/manifests").await;
    let lines: Vec<Vec<_>> = shown
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|c| !c.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(
        lines[0],
        [
            "# manifest",
            "created",
            "expires",
            "bytes",
            "size",
            "chunks",
            "opened by",
            "sender"
        ]
    );
    let (id, sender) = (info.id.to_string(), who.id.to_string());
    let (created, expires) = (info.created.to_string(), info.expires.unwrap().to_string());
    assert_eq!(
        lines[1],
        [&*id, &created, &expires, "1", "1 B", "3", "2 keys", &sender]
    );
    let columns: Vec<_> = shown
        .lines()
        .map(|line| line.find("  2 keys").or(line.find("  opened by")))
        .collect();
    assert_eq!(columns[0], columns[1], "{shown}");
}

#[tokio::test]
async fn a_peer_introduces_itself_with_the_name_that_it_signs() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let shown = text(&peer, &client, "/v1/peer").await;
    assert!(
        shown.starts_with(&format!("peer      {}\n", peer.own.id)),
        "{shown}"
    );
    assert!(
        shown.contains("\nchunk     at most 67108892 bytes (64 MiB)\n"),
        "{shown}"
    );
    assert!(
        !shown.contains("name"),
        "its bundle cannot be read: {shown}"
    );

    *peer.bundle.lock().unwrap() = bundle(&peer.own);
    let shown = text(&peer, &client, "/v1/peer").await;
    assert!(shown.contains("\nname      owner\n"), "{shown}");
    let health = text(&peer, &client, "/v1/health").await;
    assert_eq!(
        health,
        format!("status   ok\nversion  {}\n", env!("CARGO_PKG_VERSION"))
    );
}

fn bundle(who: &Identity) -> String {
    let bundle = PeerBundle {
        v: 1,
        created: Timestamp::now(),
        peer_id: who.id,
        name: "owner".into(),
        certificate: who.certificate.to_vec(),
        seal_key: colis::id::SealPublicKey::from_bytes(&[0; 1216]).unwrap(),
        sequence: 1,
    };
    String::from_utf8(Signed::sign(bundle, who).unwrap().envelope().to_vec()).unwrap()
}

async fn publish(peer: &TestPeer, client: &Client, who: &Identity, readers: &[&Identity]) {
    let chunks = [1, 2, 3].map(|seed| chunk(seed, 284));
    for (id, bytes) in &chunks {
        client
            .put(peer.url(&format!("/v1/chunks/{id}")))
            .body(bytes.clone())
            .send()
            .await
            .unwrap();
    }
    let mut manifest = manifest(who, chunks.map(|(id, _)| id));
    manifest.wraps = readers.iter().map(|reader| wrap_for(reader)).collect();
    let signed = sign(manifest, who);
    let put = client.put(peer.url(&format!("/v1/manifests/{}", signed.id())));
    let put = put
        .header("content-type", "application/json")
        .body(signed.envelope().clone());
    assert_eq!(put.send().await.unwrap().status(), 201);
}
