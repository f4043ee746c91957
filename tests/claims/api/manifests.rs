//! `/v1/manifests` and `/v1/offers`.

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId, TransferId},
    manifest::{Manifest, SignedManifest, Timestamp, Wrap},
    store::{OfferAnswer, Promised, StateAt, StoreError, TransferState},
    wire::{Code, ManifestList, OfferBody, PutBody, PutResult, ServerEvent},
};
use reqwest::{Client, Response};

use testkit::server::{
    TestPeer,
    pki::{Circle, Identity, Validity},
    problem,
    transfer::{chunk, manifest, offer, sign, sign_offer, wrap_for},
};

const ENVELOPE: &str = "application/vnd.dsse+json";

#[tokio::test]
async fn a_published_manifest_comes_back_as_it_was_signed() {
    let a = Party::new().await;
    let mut events = a.peer.events.subscribe();
    let signed = a.upload().await;
    let url = a.url(signed.id());

    let first = a.put(&signed).await;
    assert_eq!(first.status(), 201);
    assert_eq!(
        first.headers()["location"],
        format!("/v1/manifests/{}", signed.id())
    );
    assert_eq!(result(first).await, PutResult::Stored);
    let ServerEvent::Published { id, sender, size } = events.try_recv().unwrap() else {
        panic!("another event");
    };
    assert_eq!((id, sender, size), (signed.id(), a.who.id, 1));

    let again = a.put(&signed).await;
    assert_eq!(again.status(), 200);
    assert_eq!(result(again).await, PutResult::AlreadyThere);
    assert!(events.try_recv().is_err(), "nothing new has arrived");

    let got = a.client.get(&url).send().await.unwrap();
    assert_eq!(got.status(), 200);
    assert_eq!(got.headers()["content-type"], ENVELOPE);
    assert_eq!(got.headers()["etag"], format!("\"{}\"", signed.id()));
    assert_eq!(got.bytes().await.unwrap(), *signed.envelope());
    let head = a.client.head(&url).send().await.unwrap();
    assert_eq!(
        head.headers()["content-length"],
        signed.envelope().len().to_string()
    );
    let tag = format!("\"{}\"", signed.id());
    let same = a
        .client
        .get(&url)
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(same.status(), 304);

    let state = a.client.get(format!("{url}/state")).send().await.unwrap();
    let state: StateAt = state.json().await.unwrap();
    assert_eq!(state.state, TransferState::Stored);
}

#[tokio::test]
async fn a_manifest_before_its_chunks_is_told_which_are_missing() {
    let a = Party::new().await;
    let ids = [b"1", b"2", b"3"].map(|b| ChunkId::of(b));
    let signed = sign(manifest(&a.who, ids), &a.who);
    let problem = problem(a.put(&signed).await, Code::MissingChunks).await;
    assert_eq!(problem.missing.unwrap(), ids);
    assert_eq!(problem.missing_count, Some(3));
}

#[tokio::test]
async fn a_transfer_that_was_received_is_not_taken_again() {
    let a = Party::new().await;
    let signed = a.upload().await;
    a.peer
        .store
        .received
        .lock()
        .unwrap()
        .push(signed.payload().transfer_id);
    let response = a.put(&signed).await;
    assert_eq!(response.status(), 200);
    assert_eq!(result(response).await, PutResult::AlreadyReceived);
}

#[tokio::test]
async fn what_is_wrong_with_a_manifest_has_its_own_code() {
    let a = Party::new().await;
    let good = a.upload().await;
    let text = String::from_utf8(good.envelope().to_vec()).unwrap();
    let longer = format!("{text} ");
    for (bytes, code) in [
        ("", Code::LengthRequired),
        ("{", Code::ManifestSyntax),
        (&longer, Code::ManifestSyntax),
        ("{\"payload\":\"\",\"payload\":\"\"}", Code::ManifestSyntax),
        (
            &text.replace("manifest.v1", "offer.v1"),
            Code::UnsupportedType,
        ),
        (
            &text
                .replace("\"sig\":\"", "\"sig\":\"AAAA")
                .replace("==\"}", "\"}"),
            Code::ManifestSyntax,
        ),
    ] {
        problem(
            a.put_bytes(ManifestId::of(bytes.as_bytes()), bytes.to_owned())
                .await,
            code,
        )
        .await;
    }
    let url_of_another = a
        .put_bytes(ManifestId::of(b"x"), good.envelope().clone())
        .await;
    problem(url_of_another, Code::IdMismatch).await;
    let url = a.url(good.id());
    let plain = a
        .client
        .put(url)
        .header("content-type", "text/plain")
        .body(good.envelope().clone());
    problem(plain.send().await.unwrap(), Code::UnsupportedMediaType).await;
    assert!(
        matches!(a.put(&good).await.status().as_u16(), 201),
        "the good one is good"
    );
}

#[tokio::test]
async fn what_a_manifest_claims_falsely_has_its_own_code() {
    let a = Party::new().await;
    let base = a.upload().await.payload().clone();
    let password = |iterations| Wrap::Password {
        salt: [0; 32],
        iterations,
        check: [0; 32],
        ct: [0; 48],
    };
    type Change = Box<dyn Fn(&mut Manifest)>;
    let cases: [(Change, Code); 7] = [
        (Box::new(|m| m.v = 2), Code::UnsupportedVersion),
        (Box::new(|m| m.size = 1 << 40), Code::ManifestInvariant),
        (Box::new(|m| m.chunk_size = 65_537), Code::ManifestInvariant),
        (Box::new(|m| m.wraps.clear()), Code::BadWrap),
        (
            Box::new(move |m| m.wraps.push(password(599_999))),
            Code::KdfParams,
        ),
        (
            Box::new(|m| (m.created, m.expires) = (at(1_000), Some(at(2_000)))),
            Code::Expired,
        ),
        (
            Box::new(|m| (m.created, m.expires) = (Timestamp::now().plus_seconds(90_000), None)),
            Code::FromTheFuture,
        ),
    ];
    for (change, code) in cases {
        let mut manifest = base.clone();
        change(&mut manifest);
        let envelope = sign_anything(&manifest, &a.who);
        problem(a.put_bytes(ManifestId::of(&envelope), envelope).await, code).await;
    }
}

#[tokio::test]
async fn a_signature_that_is_not_the_senders_is_refused() {
    let a = Party::new().await;
    let other = a.peer.member("other");
    let base = a.upload().await.payload().clone();
    let foreign = Circle::new("elsewhere").issue("a", Validity::Now);

    let forged = sign_anything(&base, &other);
    problem(
        a.put_bytes(ManifestId::of(&forged), forged).await,
        Code::BadSignature,
    )
    .await;

    let mut claimed = base.clone();
    claimed.certificate = other.certificate.to_vec();
    let claimed = sign_anything(&claimed, &a.who);
    problem(
        a.put_bytes(ManifestId::of(&claimed), claimed).await,
        Code::SenderMismatch,
    )
    .await;

    let ids = base.all_chunks().collect::<Vec<_>>().try_into().unwrap();
    let stranger = sign(manifest(&foreign, ids), &foreign);
    problem(a.put(&stranger).await, Code::UntrustedSigner).await;

    let by_other = sign(manifest(&other, ids), &other);
    a.peer.circle.revoke(&other);
    problem(a.put(&by_other).await, Code::UntrustedSigner).await;
}

#[tokio::test]
async fn only_the_sender_and_the_owner_remove_a_manifest() {
    let a = Party::new().await;
    let owner = a.peer.client(&a.peer.own);
    let other = a.peer.client(&a.peer.member("other"));
    let signed = a.upload().await;
    let url = a.url(signed.id());
    for who in [&a.client, &owner] {
        assert_eq!(a.put(&signed).await.status(), 201);
        problem(other.delete(&url).send().await.unwrap(), Code::NotYours).await;
        assert_eq!(who.delete(&url).send().await.unwrap().status(), 204);
        problem(who.delete(&url).send().await.unwrap(), Code::NoSuchManifest).await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let a = Party::new().await;
    let url = a.url(ManifestId::of(b"x"));
    for path in [url.clone(), format!("{url}/state")] {
        problem(
            a.client.get(path).send().await.unwrap(),
            Code::NoSuchManifest,
        )
        .await;
    }
    let bad = a
        .client
        .get(a.peer.url("/v1/manifests/xyz/state"))
        .send()
        .await
        .unwrap();
    problem(bad, Code::BadId).await;
}

#[tokio::test]
async fn the_catalogue_shows_by_pages_what_one_can_open() {
    let a = Party::new().await;
    let reader = a.peer.member("reader");
    for seed in 0..4 {
        let mut manifest = a.upload_seed(seed).await.payload().clone();
        if seed == 2 {
            manifest.wraps.push(wrap_for(&reader));
        }
        assert_eq!(a.put(&sign(manifest, &a.who)).await.status(), 201);
    }
    let first = a.catalogue("?limit=3").await;
    assert_eq!(first.manifests.len(), 3);
    let rest = a
        .catalogue(&format!("?limit=3&after={}", first.next.unwrap()))
        .await;
    assert_eq!((rest.manifests.len(), rest.next), (1, None));
    let his = a.catalogue(&format!("?for={}", reader.id)).await;
    assert_eq!(his.manifests.len(), 1);
    assert_eq!(his.manifests[0].recipients, [a.who.id, reader.id]);

    for (query, code) in [
        ("for=x", Code::BadQuery),
        ("limit=0", Code::BadLimit),
        ("after=x", Code::BadCursor),
    ] {
        let url = a.peer.url(&format!("/v1/manifests?{query}"));
        problem(a.client.get(url).send().await.unwrap(), code).await;
    }
}

#[tokio::test]
async fn an_offer_is_answered() {
    let a = Party::new().await;
    let signed = sign_offer(offer(&a.who, ChunkId::of(b"table")), &a.who);
    let id = signed.payload().transfer_id;
    let put = async |id: TransferId| a.put_offer(id, signed.envelope().clone()).await;
    assert_eq!(answer(put(id).await).await, OfferAnswer::Accepted);

    problem(put(TransferId::from_bytes([0; 16])).await, Code::IdMismatch).await;
    a.peer.store.received.lock().unwrap().push(id);
    assert_eq!(answer(put(id).await).await, OfferAnswer::AlreadyReceived);

    let fault = |quota| StoreError::NoSpace {
        needed: 10,
        free: 5,
        quota,
        promised: Promised {
            bytes: 3,
            seconds: 600,
        },
        remote: None,
    };
    for (quota, code) in [(None, Code::NoSpace), (Some(7), Code::QuotaExceeded)] {
        *a.peer.store.fault.lock().unwrap() = Some(fault(quota));
        let problem = problem(put(id).await, code).await;
        assert_eq!(
            (problem.needed, problem.free, problem.quota),
            (Some(10), Some(5), quota)
        );
        assert_eq!(
            (problem.promised, problem.promised_seconds),
            (Some(3), Some(600))
        );
    }
    a.peer.circle.revoke(&a.who);
}

#[tokio::test]
async fn an_offer_is_checked_like_a_manifest() {
    let a = Party::new().await;
    let stranger = Circle::new("elsewhere").issue("a", Validity::Now);
    let foreign = sign_offer(offer(&stranger, ChunkId::of(b"table")), &stranger);
    let id = foreign.payload().transfer_id;
    problem(
        a.put_offer(id, foreign.envelope().clone()).await,
        Code::UntrustedSigner,
    )
    .await;
    let manifest = a.upload().await;
    problem(
        a.put_offer(id, manifest.envelope().clone()).await,
        Code::UnsupportedType,
    )
    .await;
    problem(a.put_offer(id, "{}".into()).await, Code::ManifestSyntax).await;
    let bad_id = a
        .client
        .put(a.peer.url("/v1/offers/xyz"))
        .header("content-type", ENVELOPE)
        .body("{}");
    problem(bad_id.send().await.unwrap(), Code::BadId).await;
}

/// A peer, and a member that sends to it.
struct Party {
    peer: TestPeer,
    who: Identity,
    client: Client,
}

impl Party {
    async fn new() -> Self {
        let peer = TestPeer::start().await;
        let who = peer.member("a");
        let client = peer.client(&who);
        Self { peer, who, client }
    }

    fn url(&self, id: ManifestId) -> String {
        self.peer.url(&format!("/v1/manifests/{id}"))
    }

    /// Puts three chunks, and gives the manifest that names them.
    async fn upload(&self) -> SignedManifest {
        self.upload_seed(0).await
    }

    async fn upload_seed(&self, seed: u8) -> SignedManifest {
        let chunks = [0, 1, 2].map(|i| chunk(3 * seed + i, 284));
        for (id, bytes) in &chunks {
            let url = self.peer.url(&format!("/v1/chunks/{id}"));
            self.client
                .put(url)
                .body(bytes.clone())
                .send()
                .await
                .unwrap();
        }
        sign(manifest(&self.who, chunks.map(|(id, _)| id)), &self.who)
    }

    async fn put(&self, manifest: &SignedManifest) -> Response {
        self.put_bytes(manifest.id(), manifest.envelope().clone())
            .await
    }

    async fn put_bytes(&self, id: ManifestId, bytes: impl Into<Bytes>) -> Response {
        let put = self
            .client
            .put(self.url(id))
            .header("content-type", ENVELOPE);
        put.body(bytes.into()).send().await.unwrap()
    }

    async fn put_offer(&self, id: TransferId, bytes: Bytes) -> Response {
        let put = self.client.put(self.peer.url(&format!("/v1/offers/{id}")));
        put.header("content-type", ENVELOPE)
            .body(bytes)
            .send()
            .await
            .unwrap()
    }

    async fn catalogue(&self, query: &str) -> ManifestList {
        let url = self.peer.url(&format!("/v1/manifests{query}"));
        self.client
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }
}

/// An envelope as a hostile sender would make it, whatever it contains.
fn sign_anything(manifest: &Manifest, signer: &Identity) -> Vec<u8> {
    use colis::manifest::{Payload as _, Signer as _, dsse};
    let body = serde_json::to_vec(manifest).unwrap();
    let signature = signer.sign(&dsse::pae(Manifest::TYPE, &body)).unwrap();
    dsse::write(Manifest::TYPE, &body, manifest.sender, &signature)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

async fn result(response: Response) -> PutResult {
    response.json::<PutBody>().await.unwrap().result
}

async fn answer(response: Response) -> OfferAnswer {
    assert_eq!(response.status(), 200);
    response.json::<OfferBody>().await.unwrap().answer
}
