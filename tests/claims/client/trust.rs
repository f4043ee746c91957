//! Connections that do not come about, and what the client says of the reason.

use colis::{
    client::{PeerAddress, PeerClient},
    manifest::Distrust,
    store::{Alert, NetworkCause, ProtocolFault, Rejection, StoreError},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpSocket},
};

use super::{error_of, evil::hasty};
use testkit::server::{
    TestPeer,
    pki::{Circle, Identity, Validity},
};

fn client(peer: &TestPeer, tls: rustls::ClientConfig) -> PeerClient {
    let address = peer.address.to_string().parse().unwrap();
    PeerClient::new(address, tls, hasty(6)).unwrap()
}

fn to(address: &str) -> PeerClient {
    let circle = Circle::new("test circle");
    let member = circle.issue("a", Validity::Now);
    let address: PeerAddress = address.parse().unwrap();
    PeerClient::new(address, circle.client_config(Some(&member)), hasty(0)).unwrap()
}

/// Which side refuses the other, and why; the address is the one that was asked.
async fn rejection(peer: &TestPeer, tls: rustls::ClientConfig) -> Rejection {
    match error_of(client(peer, tls).health()).await {
        StoreError::Untrusted { remote, cause } => {
            assert_eq!(remote.address().to_string(), peer.address.to_string());
            cause
        }
        other => panic!("{other:?}"),
    }
}

async fn is_shut_out(who: impl Fn(&TestPeer) -> Option<Identity>, expected: Alert) {
    // Whether the alert or the end of the connection comes first is a race.
    for _ in 0..20 {
        let peer = TestPeer::start().await;
        let who = who(&peer);
        let rejection = rejection(&peer, peer.circle.client_config(who.as_ref())).await;
        assert_eq!(rejection, Rejection::TheyRefusedUs(expected));
    }
}

#[tokio::test]
async fn who_is_revoked_is_told_so() {
    let revoked = |peer: &TestPeer| {
        let who = peer.member("a");
        peer.circle.revoke(&who);
        Some(who)
    };
    is_shut_out(revoked, Alert::Revoked).await;
}

#[tokio::test]
async fn who_is_late_is_told_so() {
    let late = |peer: &TestPeer| Some(peer.circle.issue("a", Validity::Past));
    is_shut_out(late, Alert::Expired).await;
}

#[tokio::test]
async fn who_shows_nothing_is_told_so() {
    is_shut_out(|_| None, Alert::NoneShown).await;
}

#[tokio::test]
async fn a_peer_of_another_circle_is_not_trusted() {
    let peer = TestPeer::start().await;
    let elsewhere = Circle::new("elsewhere");
    let member = elsewhere.issue("a", Validity::Now);
    let rejection = rejection(&peer, elsewhere.client_config(Some(&member))).await;
    assert!(
        matches!(
            rejection,
            Rejection::WeRefusedThem(Distrust::Foreign { .. })
        ),
        "{rejection:?}"
    );
    assert_eq!(peer.requests_seen(), 0);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_said_so() {
    // Bound and not listening: nobody else gets it, and it refuses.
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = error_of(to(&address).health()).await;
    assert!(
        matches!(&error, StoreError::Network { remote, cause: NetworkCause::Refused(_) } if remote.address().to_string() == address),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_name_that_nobody_has_is_said_so() {
    let error = error_of(to("nobody.invalid").health()).await;
    assert!(
        matches!(&error, StoreError::Network { remote, cause: NetworkCause::UnknownHost(_) } if remote.address().bare_host() == "nobody.invalid"),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_speaks_no_tls_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let plain = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        tcp
    });
    let error = error_of(to(&address).health()).await;
    assert!(
        matches!(
            &error,
            StoreError::Protocol {
                fault: ProtocolFault::NoTls,
                ..
            }
        ),
        "{error:?}"
    );
    drop(plain.await);
}

#[tokio::test]
async fn an_address_that_no_url_can_hold_is_refused_before_anything_is_tried() {
    let circle = Circle::new("test circle");
    for text in ["256.1.1.1", "1.2.3", "0x7f.1", "xn--a"] {
        let refused = text.parse::<PeerAddress>().map_err(|e| e.to_string());
        let refused = refused.and_then(|address| {
            PeerClient::new(address, circle.client_config(None), hasty(6))
                .map_err(|e| e.to_string())
        });
        assert!(refused.is_err(), "{text}");
    }
}
