//! Somebody between two machines, who takes part in TLS with each of them.

use std::{net::SocketAddr, sync::Arc, thread};

use colis::tls::{pairing_client, pairing_server};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Inviting, join, live};
use testkit::Homes;

/// Answers as an inviting machine, calls the real one, and passes on what each says. Gives where it listens.
fn between(target: SocketAddr) -> SocketAddr {
    let (told, address) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            let acceptor = TlsAcceptor::from(pairing_server().unwrap());
            while let Ok((near, _)) = listener.accept().await {
                let mut near = acceptor.accept(near).await.unwrap();
                let (config, name) = pairing_client().unwrap();
                let connector = TlsConnector::from(Arc::clone(&config));
                let far = TcpStream::connect(target).await.unwrap();
                let mut far = connector.connect(name, far).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    });
    address.recv().unwrap()
}

#[test]
fn a_man_in_the_middle_who_passes_every_byte_on_fails_on_both_sides() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &[]);
    let middle = between(inviting.address).to_string();
    let refused = join(&homes, "b", &middle, &inviting.code);
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert_eq!(inviting.hears("wrong-code")["left"], 2);
    assert_eq!(live(&homes, "b"), 0);
    assert!(!homes.home("b").exists());
    // The same code from the same person, without him, counts.
    assert_eq!(join(&homes, "b", &inviting.to(), &inviting.code).code, 0);
    inviting.hears("paired");
    assert_eq!(live(&homes, "b"), 2);
}
