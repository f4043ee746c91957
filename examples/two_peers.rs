//! Two peers in one program, and a file from one to the other over mutual TLS: `cargo run --example two_peers`.

#![allow(clippy::print_stdout, reason = "an example says what it did")]

use std::{error::Error, fs, net::SocketAddr, path::Path, sync::Arc};

use colis::{
    client::PeerClient,
    manifest::Signer as _,
    peer::{Peer, PeerError, PeerOptions},
    store::Store,
    tls::{self, CertsDir, Circle, CircleHandle, Expect, Seen, ca},
    transfer::{self, Recipient, SendOptions, Sender, Silent, Sources},
};
use tokio::task::JoinHandle;

/// Runs the peer of `home` on a port of its own; it opens what arrives for it.
fn run(home: &Path) -> Result<(SocketAddr, JoinHandle<Result<(), PeerError>>), PeerError> {
    let peer = Peer::open(PeerOptions::at(home))?;
    Ok((
        peer.address(),
        tokio::spawn(peer.run(std::future::pending())),
    ))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let homes = ["anna", "ben"].map(|name| root.path().join(name));
    let certs = homes
        .each_ref()
        .map(|home| CertsDir::new(home.join("certs")));
    let anna = ca::init(&certs[0], "anna", &Default::default())?;
    let ben = ca::issue(&certs[0], "ben", &certs[1], &Default::default())?;
    let (_, _annas_peer) = run(&homes[0])?;
    let (address, _bens_peer) = run(&homes[1])?;

    // A peer that is reached is one more store. Whoever else answers there is refused.
    let circle = CircleHandle::new(Circle::load(&certs[0])?);
    let (peer, known) = (Some(ben.peer_id()), Default::default());
    let config = tls::client_config(&anna, &circle, Expect { peer, known }, &Seen::default())?;
    let client = PeerClient::new(address.into(), config, Default::default())?;
    let stores: [Arc<dyn Store>; 1] = [Arc::new(client)];

    let letter = root.path().join("letter.txt");
    fs::write(&letter, "Dear Ben")?;
    let (peer, seal_key) = (ben.peer_id(), ben.seal_keys()[0].public().clone());
    let mut options = SendOptions::default();
    options.recipients.push(Recipient { peer, seal_key });
    let sender = Sender {
        seal_keys: anna.seal_keys().clone(),
        signer: Arc::new(anna),
        journals: root.path().join("journals"),
    };
    let sources = Sources::walk(&[letter])?;
    let sent = transfer::send(&sender, sources, &options, &stores, &Silent).await?;
    let id = sent.manifest.ok_or("it was received before")?;
    let settled = transfer::wait_until_settled(&*stores[0], id).await?;

    let text = fs::read_to_string(homes[1].join("received/letter.txt"))?;
    assert_eq!(text, "Dear Ben");
    println!("{:?} at {address}: ben reads {text:?}", settled.state);
    Ok(())
}
