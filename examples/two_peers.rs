//! Two peers in one program, and a file from one to the other over mutual TLS: `cargo run --example two_peers`.

#![allow(clippy::print_stdout, reason = "an example says what it did")]

use std::{error::Error, fs, future::pending};

use colis::{
    peer::{Peer, PeerOptions},
    session::{Home, SendRequest, Session, certs},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let [anna, ben] = ["anna", "ben"].map(|name| root.path().join(name));
    certs::init(&Home::resolve(Some(&anna))?, "anna", Vec::new())?;
    let anna = Session::open(anna)?;
    let bens = certs::IssueRequest::new("ben", ben.join("certs"));
    anna.issue(&bens).await?;

    // Ben serves, and opens what arrives for him.
    let peer = Peer::open(PeerOptions::at(&ben))?;
    let address = peer.address();
    tokio::spawn(peer.run(pending()));

    let letter = root.path().join("letter.txt");
    fs::write(&letter, "Dear Ben")?;
    let mut request = SendRequest::to([address.to_string()]);
    request.wait = true;
    let sent = anna.send(anna.walk([letter])?, &request).await?;

    let state = sent.state.ok_or("nobody was to open it")?;
    let text = fs::read_to_string(ben.join("received/letter.txt"))?;
    assert_eq!(text, "Dear Ben");
    println!("{state:?} at {address}: ben reads {text:?}");
    Ok(())
}
