//! PEM, as programs send and take it that know no type for it.

use colis::wire::{Code, route};
use testkit::server::{TestPeer, problem};

#[tokio::test]
async fn pem_is_taken_as_bytes_and_given_as_text_to_who_asks_for_text() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    *peer.desk.list.lock().unwrap() = Some("the list".into());
    for (accept, given) in [
        ("*/*", "application/x-pem-file"),
        ("application/x-pem-file", "application/x-pem-file"),
        ("text/plain", "text/plain; charset=utf-8"),
    ] {
        let request = client.get(peer.url(route::CRL)).header("accept", accept);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], given);
        assert_eq!(response.headers()["vary"], "accept");
        assert_eq!(response.text().await.unwrap(), "the list");
    }
    let renew = async |media: &str| {
        *peer.desk.renewal.lock().unwrap() = Some(Ok("certificate for ".into()));
        let request = client.post(peer.url(route::RENEW));
        let request = request.header("content-type", media);
        request.body("request").send().await.unwrap()
    };
    for media in ["application/x-pem-file", "application/octet-stream"] {
        let renewed = renew(media).await;
        assert_eq!(renewed.status(), 200, "{media}");
        assert_eq!(renewed.text().await.unwrap(), "certificate for request");
    }
    problem(renew("application/json").await, Code::UnsupportedMediaType).await;
}
