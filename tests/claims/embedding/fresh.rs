//! A session that is open for long knows what was changed since.

use std::fs;

use colis::{
    session::{Error, ReceiveRequest, Sealing, SendRequest, Session, message},
    testing::Network,
    tls::{CertsDir, Renewed, ca},
    trust::{Bearer, Role},
};

async fn refuses_to_send(session: &Session, to: &str) {
    let sent = session
        .send(message("x").unwrap(), &SendRequest::to([to]))
        .await;
    assert!(
        matches!(&sent, Err(Error::Revoked { peer, .. }) if peer == to),
        "{sent:?}"
    );
    let (to, sealing) = ([to.to_owned()], Sealing::default());
    let shared = session.share(message("x").unwrap(), &to, &sealing);
    assert!(matches!(shared.await, Err(Error::Revoked { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_session_knows_who_was_revoked_since_and_carries_the_list() {
    let network = Network::of(3).await.unwrap();
    let (owner, another) = (network.session(0).unwrap(), network.session(0).unwrap());
    let (name, id) = (network.name(2), network.session(2).unwrap().peer_id());
    let theirs = network.session(2).unwrap();
    owner.connect(name).await.unwrap();
    another.connect(name).await.unwrap();

    owner.revoke(name).await.unwrap();
    for session in [&owner, &another] {
        assert!(session.circle().now().is_key_revoked(&id));
        refuses_to_send(session, name).await;
        assert!(session.connect(name).await.is_err());
    }
    // Who is met is told.
    let others = network.session(1).unwrap();
    another.connect(network.name(1)).await.unwrap();
    assert!(others.circle().now().is_key_revoked(&id));
    let sent = theirs
        .send(message("x").unwrap(), &SendRequest::to([network.name(1)]))
        .await;
    assert!(sent.is_err(), "{sent:?}");
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_session_knows_the_roles_that_were_given_since() {
    let network = Network::of(2).await.unwrap();
    let (old, sender) = (network.session(1).unwrap(), network.session(0).unwrap());
    let to = [network.name(1).to_owned()];
    sender
        .share(message("x").unwrap(), &to, &Sealing::default())
        .await
        .unwrap();
    let receive = || {
        let mut request = ReceiveRequest::default();
        (request.all, request.again) = (true, true);
        request.from = vec![network.name(0).to_owned()];
        old.receive(request)
    };
    assert_eq!(receive().await.unwrap().received.len(), 1);
    let other = network.session(1).unwrap();
    let set = |role| other.set_role(network.name(0), Bearer::Peer, role);
    set(Role::None).await.unwrap();
    let blocked = receive().await;
    assert!(
        !blocked.is_ok_and(|outcome| outcome.complete),
        "blocked here"
    );
    set(Role::Member).await.unwrap();
    assert_eq!(receive().await.unwrap().received.len(), 1);
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_session_acts_with_the_certificate_that_is_there() {
    let network = Network::of(1).await.unwrap();
    let session = network.session(0).unwrap();
    let before = session.identity().caller().serial.clone();
    let certs = CertsDir::new(network.home(0).join("certs"));
    let text = fs::read_to_string(certs.server_cert()).unwrap();
    ca::renew_own(&certs, Renewed::Peer).unwrap();
    assert_ne!(fs::read_to_string(certs.server_cert()).unwrap(), text);
    assert_ne!(session.identity().caller().serial, before);
    network.shutdown().await.unwrap();
}
