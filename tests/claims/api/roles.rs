//! What each role may do, route by route: every operation of the OpenAPI document has a row here. What a role hides must
//! answer exactly as what is not there.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId},
    manifest::SignedManifest,
    server,
    trust::Role,
    wire::route,
};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use testkit::server::{
    PATIENCE, TestPeer,
    pki::Identity,
    transfer::{chunk, manifest, offer, sign, sign_offer, wrap_for},
};

/// What a request is about: a transfer that the role shows, one that it hides, one that there is not.
const ABOUT: [About; 3] = [About::Shown, About::Hidden, About::Absent];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Shown,
    Hidden,
    Absent,
}

const ROLES: [Role; 3] = [Role::Member, Role::Sender, Role::Reader];
const SAME: [[u16; 3]; 3] = [[200; 3]; 3];
const SEEN: [[u16; 3]; 3] = [[200, 200, 404], [200, 404, 404], [200, 404, 404]];

/// Method, route, and the answers to a member, a sender and a reader.
const TABLE: [(&str, &str, [[u16; 3]; 3]); 41] = [
    // Shown: an own offer; hidden: that of another.
    (
        "put",
        route::OFFER,
        [[200, 200, 200], [200, 403, 200], [403; 3]],
    ),
    (
        "put",
        route::CHUNK,
        [[200, 200, 201], [200, 201, 201], [403; 3]],
    ),
    ("get", route::CHUNK, SEEN),
    ("head", route::CHUNK, SEEN),
    ("get", route::CHUNKS, SAME),
    ("head", route::CHUNKS, SAME),
    ("post", route::MISSING, SAME),
    ("post", route::CUSTODY, SAME),
    // Shown: again; hidden: an own manifest of chunks that are hidden.
    (
        "put",
        route::MANIFEST,
        [[200, 201, 409], [200, 409, 409], [403; 3]],
    ),
    ("get", route::MANIFEST, SEEN),
    ("head", route::MANIFEST, SEEN),
    (
        "delete",
        route::MANIFEST,
        [[403, 403, 404], [204, 404, 404], [403, 404, 404]],
    ),
    ("get", route::STATE, SEEN),
    ("head", route::STATE, SEEN),
    ("get", route::MANIFESTS, SAME),
    ("head", route::MANIFESTS, SAME),
    ("get", route::CRL, SAME),
    ("head", route::CRL, SAME),
    ("put", route::CRL, [[201; 3]; 3]),
    ("get", route::DIRECTORY, [[404; 3], [403; 3], [403; 3]]),
    ("head", route::DIRECTORY, [[404; 3], [403; 3], [403; 3]]),
    ("put", route::DIRECTORY, [[422; 3], [403; 3], [403; 3]]),
    ("get", route::CIRCLE, SAME),
    ("head", route::CIRCLE, SAME),
    ("post", route::RENEW, SAME),
    ("post", route::LEAVE, [[404; 3]; 3]),
    ("get", route::PEER, SAME),
    ("get", route::HEALTH, SAME),
    // For the owner, and for a role that sees nothing else.
    ("get", route::METRICS, [[403; 3]; 3]),
    ("head", route::METRICS, [[403; 3]; 3]),
    // For the owner alone.
    ("get", route::ARRIVING, [[403; 3]; 3]),
    ("head", route::ARRIVING, [[403; 3]; 3]),
    ("delete", route::ARRIVING_TRANSFER, [[403; 3]; 3]),
    ("post", route::GC, [[403; 3]; 3]),
    ("post", route::DECIDED, [[403; 3]; 3]),
    ("post", route::OWNER_DELETE, [[403; 3]; 3]),
    ("post", route::RELOAD, [[403; 3]; 3]),
    ("post", route::STOP, [[403; 3]; 3]),
    ("get", route::EVENTS, SAME),
    ("head", route::EVENTS, SAME),
    ("get", route::OPENAPI, SAME),
];

/// Asks the store, for the bytes have to be stored.
const PUT_CHUNK: (&str, &str) = ("put", route::CHUNK);

/// As `GET`, which is in the table.
const HEADS: [&str; 3] = [route::PEER, route::HEALTH, route::OPENAPI];

fn operations() -> BTreeSet<(String, String)> {
    let document: Value = serde_json::from_slice(&server::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let methods = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| (method.clone(), path.clone()))
    });
    methods.collect()
}

#[test]
fn every_operation_has_a_row() {
    let rows = TABLE.map(|(method, path, _)| (method.to_owned(), path.to_owned()));
    let heads = HEADS.map(|path| ("head".to_owned(), path.to_owned()));
    let rows: BTreeSet<_> = rows.into_iter().chain(heads).collect();
    assert_eq!(rows, operations());
}

#[tokio::test]
async fn each_role_gets_what_its_row_says_and_hidden_is_as_absent() {
    for (method, path, expected) in TABLE {
        for (role, expected) in ROLES.into_iter().zip(expected) {
            let stage = Stage::new(role).await;
            let mut answers = Vec::new();
            for (about, expected) in ABOUT.into_iter().zip(expected) {
                let what = format!("{method} {path} as {role}, {about:?}");
                let response = stage.request(method, path, about).send().await.unwrap();
                assert_eq!(response.status(), expected, "{what}");
                if about != About::Shown && role != Role::Member && (method, path) != PUT_CHUNK {
                    let unseen = stage.unseen();
                    let asked = stage.peer.store.asked.lock().unwrap();
                    assert!(!asked.iter().any(|id| unseen.contains(id)), "{what}: asked");
                }
                answers.push(stage.answer(response, path, role, &what).await);
            }
            if role != Role::Member && path != route::OFFER {
                assert_eq!(answers[1], answers[2], "{method} {path} as {role}");
            }
        }
    }
}

#[tokio::test]
async fn whoever_may_do_nothing_gets_no_byte_of_http() {
    let stage = Stage::new(Role::Member).await;
    stage.become_a(Role::None);
    let before = stage.peer.requests_seen();
    for (method, path, _) in TABLE {
        let refused = stage.request(method, path, About::Shown).send().await;
        assert!(refused.is_err(), "{method} {path}: {refused:?}");
    }
    assert_eq!(stage.peer.requests_seen(), before);
}

#[tokio::test]
async fn a_role_counts_from_the_next_request_on_an_open_connection() {
    let stage = Stage::new(Role::Member).await;
    let status = async || {
        let request = stage.request("get", route::MANIFEST, About::Hidden);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status().await, 200);
    for (role, expected) in [
        (Role::Reader, 404),
        (Role::Sender, 404),
        (Role::Member, 200),
    ] {
        stage.become_a(role);
        assert_eq!(status().await, expected, "{role}");
        assert_eq!(
            stage.peer.state.open_connections(),
            2,
            "the other's and this one"
        );
    }
}

#[tokio::test]
async fn what_is_published_for_a_reader_is_seen_at_once_and_gone_when_it_is_removed() {
    let stage = Stage::new(Role::Reader).await;
    let seen = async |id| {
        let url = stage.peer.url(&format!("/v1/manifests/{id}"));
        stage.client.get(url).send().await.unwrap().status() == 200
    };
    let [_, content, _] = [21, 22, 23].map(|seed| chunk(seed, 100));
    let (signed, unseen) = (stage.publish([21, 22, 23], true).await, stage.hidden.id());
    assert!(seen(signed.id()).await && !seen(unseen).await);
    let url = stage.peer.url(&format!("/v1/chunks/{}", content.0));
    let fetched = stage.client.get(&url).send().await.unwrap();
    assert_eq!(fetched.bytes().await.unwrap(), content.1);
    let at = stage.peer.url(&format!("/v1/manifests/{}", signed.id()));
    assert_eq!(stage.others.delete(at).send().await.unwrap().status(), 204);
    assert!(!seen(signed.id()).await);
    assert_eq!(stage.client.get(&url).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn an_event_stream_tells_what_the_role_of_the_moment_shows() {
    let stage = Stage::new(Role::Reader).await;
    let mut stream = stage
        .client
        .get(stage.peer.url(route::EVENTS))
        .send()
        .await
        .unwrap();
    let hidden = stage.publish([31, 32, 33], false).await;
    let shown = stage.publish([34, 35, 36], true).await;
    let told = next_event(&mut stream).await;
    assert!(told.contains(&shown.id().to_string()), "{told}");
    assert!(!told.contains(&hidden.id().to_string()), "{told}");
    stage.become_a(Role::Member);
    let now_shown = stage.publish([37, 38, 39], false).await;
    let told = next_event(&mut stream).await;
    assert!(told.contains(&now_shown.id().to_string()), "{told}");
}

async fn next_event(stream: &mut Response) -> String {
    let mut text = String::new();
    while !text.contains("data:") {
        let part = tokio::time::timeout(PATIENCE, stream.chunk())
            .await
            .unwrap();
        text.push_str(&String::from_utf8_lossy(&part.unwrap().unwrap()));
    }
    text
}

/// A peer with a transfer that somebody sees and one that it does not.
struct Stage {
    peer: TestPeer,
    who: Identity,
    client: Client,
    other: Identity,
    others: Client,
    shown: SignedManifest,
    hidden: SignedManifest,
}

impl Stage {
    async fn new(role: Role) -> Self {
        let peer = TestPeer::start().await;
        let (who, other) = (peer.member("who"), peer.member("other"));
        let (client, others) = (peer.client(&who), peer.client(&other));
        *peer.desk.list.lock().unwrap() = Some("the list".to_owned());
        *peer.desk.taken.lock().unwrap() = Some(Ok(true));
        *peer.desk.renewal.lock().unwrap() = Some(Ok("a certificate".to_owned()));
        peer.roles.lock().unwrap().insert(who.id, role);
        let nothing = sign(
            manifest(&other, [1, 2, 3].map(|seed| chunk(seed, 100).0)),
            &other,
        );
        let mut stage = Self {
            shown: nothing.clone(),
            hidden: nothing,
            peer,
            who,
            client,
            other,
            others,
        };
        stage.hidden = stage.publish([1, 2, 3], false).await;
        stage.peer.store.asked.lock().unwrap().clear();
        stage.shown = match role {
            Role::Sender => {
                let seeds = [11, 12, 13];
                let ids = seeds.map(|seed| chunk(seed, 100).0);
                let signed = sign(manifest(&stage.who, ids), &stage.who);
                stage.put(&stage.client, seeds, &signed).await;
                signed
            }
            _ => stage.publish([11, 12, 13], true).await,
        };
        stage
    }

    fn become_a(&self, role: Role) {
        self.peer.roles.lock().unwrap().insert(self.who.id, role);
    }

    /// A transfer of the other, for `who` as well or not.
    async fn publish(&self, seeds: [u8; 3], for_who: bool) -> SignedManifest {
        let mut manifest = manifest(&self.other, seeds.map(|seed| chunk(seed, 100).0));
        if for_who {
            manifest.wraps.push(wrap_for(&self.who));
        }
        let signed = sign(manifest, &self.other);
        self.put(&self.others, seeds, &signed).await;
        signed
    }

    async fn put(&self, client: &Client, seeds: [u8; 3], signed: &SignedManifest) {
        for (id, bytes) in seeds.map(|seed| chunk(seed, 100)) {
            let put = client
                .put(self.peer.url(&format!("/v1/chunks/{id}")))
                .body(bytes);
            assert_eq!(put.send().await.unwrap().status(), 201);
        }
        let url = self.peer.url(&format!("/v1/manifests/{}", signed.id()));
        let put = with_envelope(client.put(url), signed.envelope());
        assert_eq!(put.send().await.unwrap().status(), 201);
    }

    fn request(&self, method: &str, path: &str, about: About) -> RequestBuilder {
        let (chunk, manifest) = match about {
            About::Shown => (chunk(11, 100), self.shown.id()),
            About::Hidden => (chunk(1, 100), self.hidden.id()),
            About::Absent => (chunk(99, 100), ManifestId::of(b"absent")),
        };
        let named = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let with_id = |id: &dyn ToString| {
            let path = path.replace("{id}", &id.to_string());
            let path = path.replace("{transfer_id}", &"0".repeat(32));
            self.client.request(named.clone(), self.peer.url(&path))
        };
        let pem = |request: RequestBuilder| {
            request
                .header("content-type", "application/x-pem-file")
                .body("pem")
        };
        match (method, path) {
            ("put", route::OFFER) => self.bring_offer(about),
            ("put", route::MANIFEST) => self.bring_manifest(about),
            ("put", route::CHUNK) => with_id(&chunk.0).body(chunk.1),
            ("post", route::MISSING) => with_id(&"").json(&json!({"ids": [chunk.0]})),
            ("post", route::CUSTODY) => {
                let nonce = format!("{}=", "A".repeat(43));
                with_id(&"").json(&json!({"nonce": nonce, "ids": [chunk.0]}))
            }
            ("put", route::CRL) | ("post", route::RENEW) => pem(with_id(&"")),
            ("put", route::DIRECTORY) => with_envelope(with_id(&""), &"not an envelope".into()),
            (_, route::CHUNK) => with_id(&chunk.0),
            _ => with_id(&manifest),
        }
    }

    fn bring_offer(&self, about: About) -> RequestBuilder {
        let signer = match about {
            About::Hidden => &self.other,
            About::Shown | About::Absent => &self.who,
        };
        let signed = sign_offer(offer(signer, ChunkId::of(b"table")), signer);
        let path = format!("/v1/offers/{}", signed.payload().transfer_id);
        with_envelope(self.client.put(self.peer.url(&path)), signed.envelope())
    }

    fn bring_manifest(&self, about: About) -> RequestBuilder {
        let of = |seeds: [u8; 3]| {
            sign(
                manifest(&self.who, seeds.map(|seed| chunk(seed, 100).0)),
                &self.who,
            )
        };
        let signed = match about {
            About::Shown => self.shown.clone(),
            About::Hidden => of([1, 2, 3]),
            About::Absent => of([97, 98, 99]),
        };
        let path = format!("/v1/manifests/{}", signed.id());
        with_envelope(self.client.put(self.peer.url(&path)), signed.envelope())
    }

    /// Chunks that a narrow role does not see.
    fn unseen(&self) -> Vec<ChunkId> {
        let absent = [97, 98, 99].map(|seed| chunk(seed, 100).0);
        self.hidden.payload().all_chunks().chain(absent).collect()
    }

    /// What can be told from an answer, with ids that were asked for made one.
    async fn answer(&self, response: Response, path: &str, role: Role, what: &str) -> String {
        let mut headers: Vec<_> = response.headers().iter().collect();
        headers.retain(|(name, _)| *name != "date");
        let mut text = format!("{} {headers:?} ", response.status());
        if path == route::EVENTS {
            return text;
        }
        let body = response.bytes().await.unwrap();
        text.push_str(&String::from_utf8_lossy(&body));
        let hidden: Vec<_> = self
            .hidden
            .payload()
            .all_chunks()
            .map(|id| id.to_string())
            .collect();
        let echoes = [route::MISSING, route::MANIFEST, route::CHUNK].contains(&path);
        if role != Role::Member && !echoes {
            let names = hidden.iter().any(|id| text.contains(id));
            assert!(
                !names && !text.contains(&self.hidden.id().to_string()),
                "{what}: {text}"
            );
        }
        let absent = [97, 98, 99].map(|seed| chunk(seed, 100).0.to_string());
        for id in hidden.iter().chain(&absent) {
            text = text.replace(id, "ID");
        }
        text
    }
}

fn with_envelope(request: RequestBuilder, envelope: &Bytes) -> RequestBuilder {
    let request = request.header("content-type", "application/vnd.dsse+json");
    request.body(envelope.clone())
}

#[tokio::test]
async fn a_sender_sees_what_it_puts_and_only_it() {
    let stage = Stage::new(Role::Sender).await;
    let third = stage.peer.member("third");
    stage
        .peer
        .roles
        .lock()
        .unwrap()
        .insert(third.id, Role::Sender);
    let (id, bytes) = chunk(50, 100);
    let url = stage.peer.url(&format!("/v1/chunks/{id}"));
    let put = stage.client.put(&url).body(bytes.clone());
    assert_eq!(put.send().await.unwrap().status(), 201);
    let third = stage.peer.client(&third);
    let missing = async |client: &Client| {
        let asked = client
            .post(stage.peer.url(route::MISSING))
            .json(&json!({"ids": [id]}));
        let answer: Value = asked.send().await.unwrap().json().await.unwrap();
        answer["missing"].as_array().unwrap().len()
    };
    assert_eq!(
        (missing(&stage.client).await, missing(&third).await),
        (0, 1)
    );
    for (client, expected) in [(&stage.client, 200), (&third, 404)] {
        let got = client
            .get(&url)
            .timeout(Duration::from_secs(20))
            .send()
            .await
            .unwrap();
        assert_eq!(got.status(), expected);
    }
    let listed = stage
        .client
        .get(stage.peer.url(route::CHUNKS))
        .send()
        .await
        .unwrap();
    let listed: Value = listed.json().await.unwrap();
    assert_eq!(
        listed["chunks"].as_array().unwrap().len(),
        4,
        "its transfer's and this one"
    );
    assert_eq!(
        third.put(&url).body(bytes).send().await.unwrap().status(),
        201
    );
}
