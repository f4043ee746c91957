//! What a narrow role hides changes no answer: the same requests, at a peer that has a transfer of another and at one that
//! does not, are answered byte by byte alike, whatever state the store is in.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId, TransferId},
    manifest::{SignedManifest, SignedOffer},
    store::{LocalStore, LocalStoreOptions, Store, TransferState},
    trust::Role,
    wire::{OFFER_HEADER, route},
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;

use testkit::server::{
    TestPeer,
    pki::{Circle, Identity, Validity},
    transfer::{chunk, manifest, offer, sign, sign_offer, wrap_for},
};

/// What the peer that is asked keeps besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Sound,
    /// Its quota is used up.
    Full,
    ReadOnly,
}

const CONDITIONS: [Condition; 3] = [Condition::Sound, Condition::Full, Condition::ReadOnly];

/// The transfers of a narrow peer and of another, the same at every peer that is asked.
struct Cast {
    circle: Arc<Circle>,
    who: Identity,
    /// Of another: what is hidden.
    hidden: SignedManifest,
    /// As long as the hidden one, with other chunks: it is hidden too, and nothing asks about it.
    filler: SignedManifest,
    /// Published by `who`.
    own: SignedManifest,
    /// Of `who`, opened at the peer and let go.
    received: SignedManifest,
    /// Of `who`, with chunks that are hidden and nothing else.
    claim: SignedManifest,
    /// The same under the transfer that was received.
    claim_of_received: SignedManifest,
    /// Of `who`, with a hidden chunk between its own.
    mixed: SignedManifest,
    offers: Vec<SignedOffer>,
}

fn ids(seeds: [u8; 3]) -> [ChunkId; 3] {
    seeds.map(|seed| chunk(seed, 100).0)
}

const HIDDEN: [u8; 3] = [1, 2, 3];
const FILLER: [u8; 3] = [4, 5, 6];
const OWN: [u8; 3] = [11, 12, 13];
const RECEIVED: [u8; 3] = [21, 22, 23];

impl Cast {
    fn new(for_who: bool) -> Self {
        let circle = Circle::new("test circle");
        let [who, other] = ["who", "other"].map(|name| circle.issue(name, Validity::Now));
        let mine = |seeds| sign(manifest(&who, ids(seeds)), &who);
        let received = mine(RECEIVED);
        let mut again = manifest(&who, ids(HIDDEN));
        again.transfer_id = received.payload().transfer_id;
        let mut own = mine(OWN);
        if for_who {
            let mut shown = manifest(&other, ids(OWN));
            shown.wraps.push(wrap_for(&who));
            own = sign(shown, &other);
        }
        let table = ids(HIDDEN)[0];
        let mut opened = offer(&who, table);
        opened.transfer_id = received.payload().transfer_id;
        let offers = vec![
            sign_offer(offer(&who, table), &who),
            sign_offer(opened, &who),
        ];
        let hidden = sign(manifest(&other, ids(HIDDEN)), &other);
        let length = |manifest: &SignedManifest| manifest.envelope().len();
        let filler = std::iter::repeat_with(|| sign(manifest(&other, ids(FILLER)), &other));
        let filler = filler.into_iter().find(|f| length(f) == length(&hidden));
        Self {
            filler: filler.unwrap(),
            hidden,
            own,
            claim: mine(HIDDEN),
            claim_of_received: sign(again, &who),
            mixed: mine([OWN[0], HIDDEN[1], OWN[2]]),
            received,
            offers,
            circle,
            who,
        }
    }

    async fn publish(&self, store: &LocalStore, manifest: &SignedManifest, seeds: [u8; 3]) {
        for (id, bytes) in seeds.map(|seed| chunk(seed, 100)) {
            store.put_chunk(id, bytes, None).await.unwrap();
        }
        store.put_manifest(manifest).await.unwrap();
    }

    /// A peer whose store is in `condition`, with what is hidden or without it.
    async fn peer(&self, root: &Path, condition: Condition, role: Role, hidden: bool) -> TestPeer {
        let store = LocalStore::open(root, LocalStoreOptions::default()).unwrap();
        self.publish(&store, &self.own, OWN).await;
        self.publish(&store, &self.received, RECEIVED).await;
        store
            .let_go(self.received.id(), TransferState::Opened)
            .unwrap();
        match hidden {
            true => self.publish(&store, &self.hidden, HIDDEN).await,
            false => self.publish(&store, &self.filler, FILLER).await,
        }
        let used = store.usage().unwrap().bytes;
        drop(store);
        let options = LocalStoreOptions {
            reserve: Some(0),
            quota: (condition == Condition::Full).then_some(used),
            relay: None,
        };
        let store = match condition {
            Condition::ReadOnly => LocalStore::open_read_only(root),
            _ => LocalStore::open(root, options),
        };
        let peer = TestPeer::with_store(self.circle.clone(), Arc::new(store.unwrap())).await;
        peer.roles.lock().unwrap().insert(self.who.id, role);
        peer
    }

    /// Every route that says something about chunks or manifests, about what is hidden, which is put in the end.
    fn requests(&self, peer: &TestPeer, client: &Client) -> Vec<(String, RequestBuilder)> {
        let mut script = Script {
            peer,
            client,
            requests: Vec::new(),
        };
        for offer in &self.offers {
            let path = format!("/v1/offers/{}", offer.payload().transfer_id);
            script.put(&path, offer.envelope());
        }
        for manifest in [&self.claim_of_received, &self.claim, &self.mixed] {
            script.put(
                &format!("/v1/manifests/{}", manifest.id()),
                manifest.envelope(),
            );
        }
        let absent = chunk(99, 100).0;
        script.look_at(ids(HIDDEN)[0], self.hidden.id());
        script.look_at(absent, ManifestId::of(b"absent"));
        script.ask_for(&[ids(HIDDEN)[0], absent, ids(OWN)[0]]);
        for seed in [1, 1, 2, 3] {
            script.put_chunk(seed, self.claim.payload().transfer_id);
            script.ask_for(&[ids(HIDDEN)[0], absent, ids(OWN)[0]]);
        }
        for manifest in [&self.claim, &self.mixed] {
            let path = format!("/v1/manifests/{}", manifest.id());
            script.put(&path, manifest.envelope());
            script.ask("GET", &format!("{path}/state"), |request| request);
        }
        script.requests
    }
}

/// Requests to one peer, in order.
struct Script<'a> {
    peer: &'a TestPeer,
    client: &'a Client,
    requests: Vec<(String, RequestBuilder)>,
}

impl Script<'_> {
    fn ask(
        &mut self,
        method: &str,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let what = format!("{method} {path}");
        let request = self.client.request(method, self.peer.url(path));
        self.requests.push((what, with(request)));
    }

    fn put(&mut self, path: &str, envelope: &Bytes) {
        let media = "application/vnd.dsse+json";
        self.ask("PUT", path, |request| {
            request.header("content-type", media).body(envelope.clone())
        });
    }

    fn look_at(&mut self, chunk: ChunkId, manifest: ManifestId) {
        let (at, tag) = (format!("/v1/chunks/{chunk}"), format!("\"{chunk}\""));
        let manifest = format!("/v1/manifests/{manifest}");
        for method in ["GET", "HEAD"] {
            self.ask(method, &at, |request| request);
            self.ask(method, &at, |r| r.header("range", "bytes=1-9"));
            self.ask(method, &at, |r| r.header("if-none-match", &tag));
            self.ask(method, &manifest, |request| request);
            self.ask(method, &format!("{manifest}/state"), |request| request);
        }
        self.ask("DELETE", &manifest, |request| request);
    }

    fn ask_for(&mut self, ids: &[ChunkId]) {
        let missing = json!({ "ids": ids });
        self.ask("POST", route::MISSING, |r| r.json(&missing));
        let nonce = format!("{}=", "A".repeat(43));
        let custody = json!({"nonce": nonce, "ids": ids});
        self.ask("POST", route::CUSTODY, |r| r.json(&custody));
        for list in [route::CHUNKS, route::MANIFESTS] {
            self.ask("GET", list, |request| request);
            self.ask("GET", &format!("{list}?limit=1"), |request| request);
        }
    }

    fn put_chunk(&mut self, seed: u8, transfer: TransferId) {
        let (id, bytes) = chunk(seed, 100);
        let at = format!("/v1/chunks/{id}");
        self.ask("PUT", &at, |r| r.body(bytes.clone()));
        self.ask("PUT", &at, |r| r.body(chunk(98, 100).1));
        let transfer = transfer.to_string();
        self.ask("PUT", &at, |r| r.header(OFFER_HEADER, transfer).body(bytes));
        self.ask("GET", &at, |request| request);
    }
}

/// Status, headers but the date, and body but the time since when a transfer has its state: the peers were made one after the other.
async fn answer(request: RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    let mut headers: Vec<_> = response.headers().iter().collect();
    headers.retain(|(name, _)| *name != "date");
    let head = format!("{} {headers:?}", response.status());
    let body = format!("{:?}", response.bytes().await.unwrap());
    let mut parts = body.split("since");
    let first = parts.next().unwrap().to_owned();
    let time = "\\\":\\\"2026-11-30T12:00:00Z".len();
    let body = parts.fold(first, |body, rest| body + &rest[time..]);
    format!("{head} {body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_to_a_narrow_role_depends_on_what_is_hidden() {
    for (role, for_who) in [(Role::Sender, false), (Role::Reader, true)] {
        for condition in CONDITIONS {
            let cast = Cast::new(for_who);
            let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let with = cast.peer(with.path(), condition, role, true).await;
            let without = cast.peer(without.path(), condition, role, false).await;
            let clients = [&with, &without].map(|peer| peer.client(&cast.who));
            let there = cast.requests(&with, &clients[0]);
            let absent = cast.requests(&without, &clients[1]);
            for ((what, there), (_, absent)) in there.into_iter().zip(absent) {
                let (there, absent) = (answer(there).await, answer(absent).await);
                assert_eq!(there, absent, "{what} as {role}, {condition:?}");
            }
        }
    }
}
