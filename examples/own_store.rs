//! A transfer through a store in memory: sealed by one member of a circle, opened by another.
//!
//! `cargo run --example own_store`. Any other implementation of `Store` can stand where `MemoryStore` does.

#![allow(clippy::print_stdout, reason = "an example says what it did")]

use std::{error::Error, fs, sync::Arc};

use colis::{
    manifest::{SignedManifest, Signer as _},
    received::Received,
    store::{MemoryStore, Store},
    tls::{CertsDir, Circle, CircleHandle, ca},
    transfer::{
        self, OpenedTransfer, Reader, ReceiveOptions, Recipient, SendOptions, Sender, Silent,
        Sources,
    },
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let (a, b) = (
        CertsDir::new(root.path().join("anna")),
        CertsDir::new(root.path().join("ben")),
    );
    let anna = Arc::new(ca::init(&a, "anna", &ca::CertificateOptions::default())?);
    let ben = ca::issue(&a, "ben", &b, &ca::CertificateOptions::default())?;

    let path = root.path().join("letter.txt");
    fs::write(&path, "Dear Ben")?;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let seal_key = ben.seal_keys()[0].public().clone();
    let options = SendOptions {
        recipients: vec![Recipient {
            peer: ben.peer_id(),
            seal_key,
        }],
        ..SendOptions::default()
    };
    let sender = Sender {
        signer: anna.clone(),
        seal_keys: anna.seal_keys().clone(),
        journals: root.path().join("journals"),
    };
    let sources = Sources::walk(&[path])?;
    let stores = [store.clone()];
    let sent = transfer::send(&sender, sources, &options, &stores, &Silent).await?;
    let id = sent.manifest.ok_or("it was received before")?;

    let reader = Reader {
        me: ben.peer_id(),
        seal_keys: ben.seal_keys().clone(),
        password: None,
        verifier: Arc::new(CircleHandle::new(Circle::load(&b)?)),
    };
    let manifest = SignedManifest::parse(store.get_manifest(id).await?)?;
    let opened = Arc::new(OpenedTransfer::open(&*store, manifest, &reader).await?);
    let inbox = Arc::new(Received::open(&root.path().join("received"))?);
    let received =
        transfer::receive(&*store, &opened, &inbox, ReceiveOptions::default(), &Silent).await?;
    assert_eq!(fs::read_to_string(&received.paths[0])?, "Dear Ben");
    println!("{:?} sent {}", opened.origin, received.paths[0].display());
    Ok(())
}
