//! A transfer through a store in memory: sealed by one member of a circle, opened by another.
//!
//! `cargo run --example own_store`. Any other implementation of `Store` can stand where `MemoryStore` does.

#![allow(clippy::print_stdout, reason = "an example says what it did")]

use std::{error::Error, fs, sync::Arc};

use colis::{
    session::{Home, ReceiveRequest, Sealing, Session, certs},
    store::{MemoryStore, Store},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let [anna, ben] = ["anna", "ben"].map(|name| root.path().join(name));
    certs::init(&Home::resolve(Some(&anna))?, "anna", Vec::new())?;
    let anna = Session::open(anna)?;
    let bens = certs::IssueRequest::new("ben", ben.join("certs"));
    anna.issue(&bens).await?;
    let ben = Session::open(ben)?;

    let letter = root.path().join("letter.txt");
    fs::write(&letter, "Dear Ben")?;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (sources, to) = (anna.walk([letter])?, ["ben".to_owned()]);
    let sealing = Sealing::default();
    anna.share_into(store.clone(), sources, &to, &sealing)
        .await?;

    let letter = ReceiveRequest::named(["letter.txt"]);
    let outcome = ben.receive_from(store, letter).await?;
    let received = &outcome.received[0];
    assert_eq!(fs::read_to_string(&received.paths[0])?, "Dear Ben");
    println!("{:?} sent {}", received.sender, received.paths[0]);
    Ok(())
}
