//! What the serving side logs.

use colis::{
    id::{ChunkId, Short as _},
    manifest::SignedManifest,
};
use reqwest::Client;
use tracing::Level;

use testkit::server::{
    TestPeer,
    log::Log,
    pki::{Identity, Validity},
    read_to_close,
    transfer::{chunk, manifest, sign},
};

/// A member that brings a transfer of three chunks.
struct Sender {
    peer: TestPeer,
    client: Client,
    manifest: SignedManifest,
}

impl Sender {
    async fn new(name: &str) -> Self {
        let peer = TestPeer::start().await;
        let who = peer.member(name);
        let client = peer.client(&who);
        Self::with(peer, client, &who)
    }

    fn with(peer: TestPeer, client: Client, signer: &Identity) -> Self {
        let manifest = sign(manifest(signer, Self::chunks().map(|(id, _)| id)), signer);
        Self {
            peer,
            client,
            manifest,
        }
    }

    fn chunks() -> [(ChunkId, bytes::Bytes); 3] {
        [1, 2, 3].map(|seed| chunk(seed, 40_000))
    }

    async fn offer(&self, who: &Identity) {
        let mut offer = testkit::server::transfer::offer(who, Self::chunks()[0].0);
        offer.transfer_id = self.manifest.payload().transfer_id;
        let url = self.peer.url(&format!("/v1/offers/{}", offer.transfer_id));
        let offer = testkit::server::transfer::sign_offer(offer, who);
        self.put(url, offer.envelope().clone(), 200).await;
    }

    async fn chunk(&self, number: usize, status: u16) {
        let (id, bytes) = Self::chunks()[number].clone();
        self.put(self.peer.url(&format!("/v1/chunks/{id}")), bytes, status)
            .await;
    }

    async fn publish(&self, status: u16) {
        let url = self
            .peer
            .url(&format!("/v1/manifests/{}", self.manifest.id()));
        self.put(url, self.manifest.envelope().clone(), status)
            .await;
    }

    async fn put(&self, url: String, body: bytes::Bytes, status: u16) {
        let put = self
            .client
            .put(url)
            .header("content-type", "application/json");
        let put = put.header(
            "colis-offer",
            self.manifest.payload().transfer_id.to_string(),
        );
        assert_eq!(put.body(body).send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn a_transfer_that_is_stored_is_one_line_that_says_how_it_went() {
    let (log, _guard) = Log::of_this_thread(Level::INFO);
    let a = Sender::new("anna").await;
    a.chunk(0, 201).await;
    a.chunk(1, 201).await;
    a.publish(409).await;
    assert_eq!(log.lines("stored"), [""; 0], "it is not complete");
    a.chunk(1, 200).await;
    a.chunk(2, 201).await;
    a.publish(201).await;
    a.publish(200).await;
    let lines = log.lines("stored");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let ids = (
        a.manifest.payload().transfer_id.short(),
        a.manifest.id().short(),
    );
    let begins = format!(
        "INFO stored transfer=\"{}\" manifest=\"{}\" sender=anna bytes=1 chunks=3 already_there=0 seconds=",
        ids.0, ids.1
    );
    assert!(lines[0].starts_with(&begins), "{lines:?}");
    assert!(lines[0].contains("iB/s\" connections=1"), "{lines:?}");
    assert!(
        !lines[0].contains("carrier"),
        "the sender brought it: {lines:?}"
    );
}

#[tokio::test]
async fn a_resumed_transfer_says_how_much_was_there() {
    let (log, _guard) = Log::of_this_thread(Level::INFO);
    let peer = TestPeer::start().await;
    let who = peer.member("anna");
    let client = peer.client(&who);
    let a = Sender::with(peer, client, &who);
    a.offer(&who).await;
    a.chunk(0, 201).await;
    a.offer(&who).await;
    a.chunk(1, 201).await;
    a.chunk(2, 201).await;
    a.publish(201).await;
    let line = log.line("stored").await;
    assert!(line.contains(" chunks=3 already_there=1 "), "{line}");
}

#[tokio::test]
async fn who_carries_a_transfer_for_another_is_named() {
    let (log, _guard) = Log::of_this_thread(Level::INFO);
    let peer = TestPeer::start().await;
    let (signer, carrier) = (peer.member("anna"), peer.member("carla"));
    let client = peer.client(&carrier);
    let a = Sender::with(peer, client, &signer);
    for number in 0..3 {
        a.chunk(number, 201).await;
    }
    a.publish(201).await;
    let line = log.line("stored").await;
    assert!(line.contains(" sender=anna carrier=carla "), "{line}");
}

#[tokio::test]
async fn connections_are_counted_as_they_come_and_go() {
    let (log, _guard) = Log::of_this_thread(Level::DEBUG);
    let peer = TestPeer::start().await;
    let (one, two) = (
        peer.connect(&peer.member("anna")).await,
        peer.connect(&peer.member("ben")).await,
    );
    let opened = log.line("connection opened peer=anna").await;
    assert!(
        opened.contains("address=127.0.0.1 connections="),
        "{opened}"
    );
    log.line("connection opened peer=ben").await;
    log.line("connections=2").await;
    drop((one, two));
    log.line("connection closed peer=anna").await;
    log.line("connection closed peer=ben").await;
    log.line("connections=0").await;
}

#[tokio::test]
async fn a_refused_handshake_says_from_where_and_why() {
    let (log, _guard) = Log::of_this_thread(Level::INFO);
    let peer = TestPeer::start().await;
    let expired = peer.circle.issue("old", Validity::Past);
    for (who, why) in [
        (None, "peer sent no certificates"),
        (Some(&expired), "expired"),
    ] {
        // The client learns of it at its first read, if at all.
        let _ = peer.connect_with(peer.circle.client_config(who)).await;
        let line = log.line(why).await;
        assert!(
            line.starts_with("INFO connection refused address=127.0.0.1 cause="),
            "{line}"
        );
    }
    assert_eq!(log.lines("connection opened"), [""; 0]);
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_and_not_written() {
    let (log, _guard) = Log::of_this_thread(Level::INFO);
    let peer = TestPeer::start().await;
    let strangers = (0..40).map(|_| peer.connect_with(peer.circle.client_config(None)));
    for mut stream in futures::future::join_all(strangers)
        .await
        .into_iter()
        .flatten()
    {
        read_to_close(&mut stream).await;
    }
    log.line("connection refused").await;
    let lines = log.lines("connection refused");
    // Ten in ten seconds; this takes less, but a window may end within it.
    assert!(lines.len() <= 20, "{} lines of 40", lines.len());
}

#[tokio::test]
async fn a_name_cannot_command_the_terminal_of_who_reads_the_log() {
    let (log, _guard) = Log::of_this_thread(Level::TRACE);
    let a = Sender::new("\u{1b}[31mred").await;
    for number in 0..3 {
        a.chunk(number, 201).await;
    }
    a.publish(201).await;
    let line = log.line("INFO stored").await;
    assert!(line.contains("sender=\\u{1b}[31mred"), "{line}");
    let all = log.lines("").concat();
    assert!(!all.contains('\u{1b}'), "{all}");
    assert!(
        all.contains("connection opened") && all.contains("answered"),
        "everything is read here"
    );
}
