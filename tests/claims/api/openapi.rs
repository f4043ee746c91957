//! The OpenAPI document: valid, served, and the same contract as the router's. That every answer of these tests stands in
//! it is checked by [`TestPeer`] itself.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::Timestamp,
    server,
    store::{OfferAnswer, StateAt, TransferState},
    wire::{Code, OfferBody, Problem, ServerEvent, route},
};
use data_encoding::BASE64;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use testkit::server::{
    TestPeer,
    pki::Identity,
    transfer::{chunk, manifest, offer, sign, sign_offer},
};

fn document() -> Value {
    serde_json::from_slice(&server::openapi()).unwrap()
}

#[tokio::test]
async fn the_document_is_served() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let response = client
        .get(peer.url("/v1/openapi.json"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    let served: Value = response.json().await.unwrap();
    assert_eq!(served, document());
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1."));
}

#[test]
fn every_route_is_described_with_its_purpose_and_every_code_is_named() {
    let document = document();
    let described: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(described, route::ALL.iter().copied().collect());
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let named = |field: &str| operation[field].as_str().is_some_and(|text| text.len() > 3);
        assert!(named("summary") && named("operationId"), "{method} {path}");
        assert!(
            ids.insert(operation["operationId"].to_string()),
            "{method} {path}"
        );
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(
                response["description"]
                    .as_str()
                    .is_some_and(|d| !d.is_empty()),
                "{method} {path} {status}"
            );
        }
    }
    // An address without a route and a wrong method belong to no operation.
    let text = document.to_string();
    for code in Code::ALL {
        let (spelling, _) = code.parts();
        assert!(
            text.contains(&format!("`{spelling}`")) || text.contains(&format!(" {spelling}`")),
            "{spelling}"
        );
    }
}

#[tokio::test]
async fn router_and_document_agree_about_every_method() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let document = document();
    let id = ChunkId::of(b"x").to_string();
    for (path, item) in document["paths"].as_object().unwrap() {
        let url = peer.url(
            &path
                .replace("{id}", &id)
                .replace("{transfer_id}", &id[..32]),
        );
        let documented = |method: &Method| item.get(method.as_str().to_lowercase()).is_some();
        for method in [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::POST,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
            Method::TRACE,
        ] {
            let response = client.request(method.clone(), &url).send().await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            if documented(&method) {
                assert_ne!(status, 405, "{method} {path}");
                let problem = response.json::<Problem>().await.ok();
                assert!(
                    problem.is_none_or(|p| p.code != "no-such-route"),
                    "{method} {path}"
                );
            } else {
                assert_eq!(status, 405, "{method} {path}");
                let allow: BTreeSet<_> = headers["allow"]
                    .to_str()
                    .unwrap()
                    .split(',')
                    .map(str::to_owned)
                    .collect();
                let expected = item
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(|m| m.to_uppercase())
                    .collect();
                assert_eq!(allow, expected, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_validator_accepts_the_document_and_real_answers_fit_its_schemas() {
    let answers = answers().await;
    assert!(answers.len() >= 18, "{}", answers.len());
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &Value| {
        let path = folder.path().join(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    };
    let answers = Value::from(answers);
    let (good, answered) = (
        write("openapi.json", &document()),
        write("answers.json", &answers),
    );
    validate(&good, &answered).expect("the document is good");

    let mut broken = document();
    broken["paths"]["/v1/peer"]["get"]["responses"] = json!("none");
    let said =
        validate(&write("broken.json", &broken), &answered).expect_err("the validator sleeps");
    assert!(said.contains("OpenAPIValidationError"), "{said}");

    let mut narrow = document();
    narrow["components"]["schemas"]["ChunkInfo"]["properties"]["length"]["maximum"] = json!(1);
    let said = validate(&write("narrow.json", &narrow), &answered)
        .expect_err("the schemas are not looked at");
    assert!(said.contains("ValidationError"), "{said}");
}

/// Real answers: which operation, which status, which media type, which body.
async fn answers() -> Vec<Value> {
    let peer = TestPeer::start().await;
    let who = peer.member("a");
    let client = peer.client(&who);
    let mut asked = Asked {
        peer,
        client,
        answers: Vec::new(),
    };
    asked.transfer(&who).await;
    for (path, route) in [
        ("/v1/manifests", route::MANIFESTS),
        ("/v1/manifests?limit=1", route::MANIFESTS),
        ("/v1/chunks", route::CHUNKS),
        ("/v1/chunks?limit=1", route::CHUNKS),
        ("/v1/peer", route::PEER),
        ("/v1/health", route::HEALTH),
    ] {
        asked.get(path, route, 200).await;
    }
    asked.get("/v1/chunks?limit=0", route::CHUNKS, 400).await;
    asked.get("/v1/crl", route::CRL, 404).await;
    asked.answers.extend(events());
    asked.answers
}

/// A peer that is asked, and what it answered.
struct Asked {
    peer: TestPeer,
    client: reqwest::Client,
    answers: Vec<Value>,
}

impl Asked {
    /// The requests of a whole transfer, and some that fail.
    async fn transfer(&mut self, who: &Identity) {
        let chunks = [1, 2, 3].map(|seed| chunk(seed, 100));
        let signed = sign(manifest(who, chunks.clone().map(|(id, _)| id)), who);
        let (at, envelope) = (format!("/v1/manifests/{}", signed.id()), signed.envelope());
        self.put(&at, route::MANIFEST, envelope, 409).await;
        let announced = sign_offer(offer(who, chunks[0].0), who);
        let path = format!("/v1/offers/{}", announced.payload().transfer_id);
        self.put(&path, route::OFFER, announced.envelope(), 200)
            .await;
        self.put(&path, route::OFFER, envelope, 422).await;
        let question = json!({"ids": [chunks[0].0]});
        let request = self
            .client
            .post(self.peer.url(route::MISSING))
            .json(&question);
        self.ask("post", route::MISSING, request, 200).await;
        let question = json!({"nonce": BASE64.encode(&[7; 32]), "ids": [chunks[0].0]});
        let url = self.peer.url(route::CUSTODY);
        let request = self.client.post(url).json(&question);
        self.ask("post", route::CUSTODY, request, 200).await;
        for (id, bytes) in &chunks {
            for status in [201, 200] {
                self.put(&format!("/v1/chunks/{id}"), route::CHUNK, bytes, status)
                    .await;
            }
        }
        let other = format!("/v1/chunks/{}", ChunkId::of(b"other"));
        self.put(&other, route::CHUNK, &chunks[0].1, 422).await;
        self.get(&other, route::CHUNK, 404).await;
        self.put(&at, route::MANIFEST, envelope, 201).await;
        self.get(&at, route::MANIFEST, 200).await;
        self.get(&format!("{at}/state"), route::STATE, 200).await;
    }

    async fn get(&mut self, path: &str, route: &str, status: u16) {
        let request = self.client.get(self.peer.url(path));
        self.ask("get", route, request, status).await;
    }

    async fn put(&mut self, path: &str, route: &str, body: &Bytes, status: u16) {
        let request = self.client.put(self.peer.url(path));
        let request = request
            .header("content-type", "application/vnd.dsse+json")
            .body(body.clone());
        self.ask("put", route, request, status).await;
    }

    async fn ask(&mut self, method: &str, route: &str, request: RequestBuilder, status: u16) {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {route}");
        let media = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let body: Value = response.json().await.unwrap();
        let status = status.to_string();
        self.answers.push(json!({"path": route, "method": method, "status": status, "media": media, "body": body}));
    }
}

/// What goes over an event stream, and every answer to an offer and state of a transfer.
fn events() -> impl Iterator<Item = Value> {
    let (id, sender) = (ManifestId::of(b"m"), PeerId::of(b"p"));
    let states = [
        TransferState::Stored,
        TransferState::Waiting,
        TransferState::Opened,
        TransferState::Refused,
        TransferState::Expired,
    ];
    let changed = states.map(|state| ServerEvent::State {
        id,
        state: StateAt::new(state, Timestamp::now()),
    });
    let others = [
        ServerEvent::Published {
            id,
            sender,
            size: 1,
        },
        ServerEvent::Notice {
            code: "certificate-ends-soon".to_owned(),
            text: "the certificate ends soon".to_owned(),
        },
    ];
    let events = changed.into_iter().chain(others);
    let events = events.map(|event| json!({"schema": "ServerEvent", "body": event}));
    let answers = [
        OfferAnswer::Accepted,
        OfferAnswer::Waiting,
        OfferAnswer::Refused,
        OfferAnswer::AlreadyReceived,
    ];
    events.chain(answers.map(|answer| json!({"schema": "OfferBody", "body": OfferBody { answer }})))
}

fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (path, method, operation))
    })
}

/// Runs the validator of the OpenAPI project's Python tools. Gives what it complains of.
fn validate(document: &PathBuf, answers: &PathBuf) -> Result<(), String> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/claims/api/openapi");
    let programs = testkit::python::environment("openapi", &here.join("requirements.txt"));
    let mut python = Command::new(programs.join("python"));
    let validator = python
        .arg(here.join("validate.py"))
        .args([document, answers]);
    let output = validator.output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
