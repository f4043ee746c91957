//! Of several recipients and carriers some are off, revoked or unknown: the others get what is theirs, and the outcome says the rest.

use std::{fs, sync::Arc};

use colis::{
    peer::Peer,
    session::{Cause, Error, Kind, Sealing, SendRequest, Sent, Session, message},
    store::{LocalStoreOptions, MemoryStore},
    testing::Network,
};
use testkit::bytes;

fn text() -> colis::transfer::Sources {
    message("x").unwrap()
}

fn request<const N: usize, const M: usize>(to: [&str; N], via: [&str; M]) -> SendRequest {
    let mut request = SendRequest::to(to);
    request.via = via.map(str::to_owned).to_vec();
    request
}

/// Of each store its name and why it does not have the transfer.
fn stores(sent: &Sent) -> Vec<(&str, Option<Cause>)> {
    let stores = sent.stores.iter();
    stores
        .map(|at| (at.peer.as_str(), at.error.as_ref().map(|error| error.cause)))
        .collect()
}

fn excluded(sent: &Sent) -> Vec<(&str, Cause)> {
    let excluded = sent.excluded.iter();
    excluded
        .map(|missed| (missed.peer.as_deref().unwrap(), missed.cause))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_is_off_keeps_nothing_from_another() {
    let mut network = Network::of(3).await.unwrap();
    let sender = network.session(0).unwrap();
    network.stop(2).await.unwrap();
    for via in [["peer1", "peer2"], ["peer2", "peer1"]] {
        let sent = sender.send(text(), &request(["peer0"], via)).await.unwrap();
        let expected = via.map(|name| {
            let off = name == "peer2";
            (name, off.then_some(Cause::NotReached))
        });
        assert_eq!(stores(&sent), expected);
        assert!(!sent.complete && sent.manifest.is_some());
    }
    let to = request(["peer0"], ["peer1", "nobody"]);
    let sent = sender.send(text(), &to).await.unwrap();
    assert_eq!(
        stores(&sent),
        [("peer1", None), ("nobody", Some(Cause::UnknownPeer))]
    );
    let to = request(["peer0"], ["peer2", "nobody"]);
    let Err(Error::NobodyReached { tries }) = sender.send(text(), &to).await else {
        panic!("no carrier is there");
    };
    assert_eq!(tries.len(), 2);
    network.shutdown().await.unwrap();
}

async fn everywhere(sender: &Session) -> [Sent; 4] {
    let sealing = Sealing::default();
    let to = ["peer1", "peer2"].map(str::to_owned);
    let store = || Arc::new(MemoryStore::default());
    [
        sender.send(text(), &request(["peer1", "peer2"], [])).await,
        sender
            .send(text(), &request(["peer2", "peer1"], ["peer1"]))
            .await,
        sender.share(text(), &to, &sealing).await,
        sender.share_into(store(), text(), &to, &sealing).await,
    ]
    .map(Result::unwrap)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_gets_nothing_and_the_others_get_theirs() {
    let network = Network::of(3).await.unwrap();
    let sender = network.session(0).unwrap();
    let id = network.session(2).unwrap().peer_id();
    sender.connect("peer2").await.unwrap();
    sender.revoke("peer2").await.unwrap();
    for sent in everywhere(&sender).await {
        assert!(!sent.complete && sent.manifest.is_some());
        assert_eq!(excluded(&sent), [("peer2", Cause::Revoked)]);
        assert_eq!(sent.excluded[0].peer_id, Some(id));
        assert_eq!(sent.excluded[0].culprit, None);
        assert!(sent.to.iter().all(|name| name != "peer2"));
    }
    for row in sender.list_of(None).await.unwrap() {
        assert!(!row.info.recipients.contains(&id));
    }
    for row in sender.list_of(Some("peer1")).await.unwrap() {
        assert!(!row.info.recipients.contains(&id));
    }
    // Alone it is an error, which has the word of the request.
    let alone = sender.send(text(), &request(["peer2"], ["peer1"])).await;
    let error = alone.unwrap_err();
    assert!(matches!(&error, Error::Revoked { peer, .. } if peer == "peer2"));
    assert_eq!((error.peer(), error.culprit()), (Some(id), None));
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_says_whose_it_is_and_nobody_is_blamed() {
    let network = Network::open(3, |number, mut options| {
        if number == 2 {
            options.store = LocalStoreOptions {
                quota: Some(1 << 16),
                ..LocalStoreOptions::default()
            };
        }
        Peer::open(options)
    });
    let network = network.await.unwrap();
    let (sender, path) = (network.session(0).unwrap(), network.path("f"));
    let id = network.session(2).unwrap().peer_id();
    fs::write(&path, bytes(1, 1 << 20)).unwrap();
    let file = || sender.walk([&path]).unwrap();
    let error = sender.send(file(), &request(["peer2"], [])).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Storage);
    assert_eq!(error.cause(), Cause::QuotaExceeded);
    assert_eq!((error.peer(), error.culprit()), (Some(id), None));
    let at = network.entrance(0, 2).address().to_string();
    assert_eq!(error.address().map(ToString::to_string), Some(at.clone()));
    let to = request(["peer1", "peer2"], []);
    let sent = sender.send(file(), &to).await.unwrap();
    assert_eq!(
        stores(&sent),
        [("peer1", None), ("peer2", Some(Cause::QuotaExceeded))]
    );
    let fault = sent.stores[1].error.as_ref().unwrap();
    assert_eq!((fault.peer_id, fault.address.clone()), (Some(id), Some(at)));
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_off_has_not_misbehaved() {
    let mut network = Network::of(2).await.unwrap();
    let (sender, id) = (
        network.session(0).unwrap(),
        network.session(1).unwrap().peer_id(),
    );
    network.stop(1).await.unwrap();
    let error = sender.connect("peer1").await.err().unwrap();
    assert_eq!(
        (error.kind(), error.cause()),
        (Kind::Network, Cause::NotReached)
    );
    assert_eq!((error.peer(), error.culprit()), (Some(id), None));
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_bears_what_its_program_says() {
    let homes = testkit::Homes::new(&[]);
    let mut options = colis::peer::PeerOptions::at(homes.home("a"));
    options.discovery = colis::discover::Discovery::Off;
    options.limits.handshake_timeout = std::time::Duration::from_millis(100);
    let peer = colis::peer::Peer::open(options).unwrap();
    let (address, handle) = (peer.address(), peer.handle());
    let running = tokio::spawn(peer.run(std::future::pending()));
    let begun = std::time::Instant::now();
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let read = tokio::io::AsyncReadExt::read(&mut silent, &mut [0]).await;
    assert_eq!(read.unwrap_or(0), 0, "it is closed");
    assert!(begun.elapsed() < colis::wire::HANDSHAKE_TIMEOUT);
    handle.shutdown().await;
    running.await.unwrap().unwrap();
}
