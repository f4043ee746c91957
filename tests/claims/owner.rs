//! What the owner asks of a peer that serves: by its own certificate, and by no other.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use colis::{
    client::PeerClient,
    session::Session,
    wire::{Code, route},
};
use testkit::{
    Homes, Serving, bytes,
    server::{
        TestPeer, problem,
        transfer::{chunk, offer, sign_offer},
    },
    wait_for,
};

/// A client of the peer that serves `home`, as its owner.
fn owner(homes: &Homes, home: &str) -> PeerClient {
    let session = Session::open(homes.home(home)).unwrap();
    session.serving().unwrap().unwrap()
}

/// The status that curl gets for a request of the peer with this certificate.
fn asked(
    homes: &Homes,
    home: &str,
    kind: &str,
    serving: &Serving,
    method: &str,
    path: &str,
) -> String {
    let certs: PathBuf = homes.home(home).join("certs");
    let mut curl = Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method]);
    curl.arg("--cacert").arg(certs.join("ca-cert.pem"));
    curl.arg("--cert")
        .arg(certs.join(format!("{kind}-cert.pem")));
    curl.arg("--key").arg(certs.join(format!("{kind}-key.pem")));
    let decided = format!(
        r#"{{"manifest":"{}","decision":"refused"}}"#,
        "0".repeat(64)
    );
    let delete = format!(r#"{{"manifest":"{}","dry_run":false}}"#, "0".repeat(64));
    let question = match path {
        route::GC => r#"{"unfinished":false}"#,
        route::DECIDED => &decided,
        route::OWNER_DELETE => &delete,
        _ => "",
    };
    if method == "POST" && !question.is_empty() {
        curl.args(["-H", "content-type: application/json", "-d", question]);
    }
    let out = curl.arg(format!("https://{}{path}", serving.to())).output();
    String::from_utf8(out.unwrap().stdout).unwrap()
}

#[test]
fn only_the_peers_own_certificate_is_its_owner() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let transfer = route::ARRIVING_TRANSFER.replace("{transfer_id}", &"0".repeat(32));
    let requests = [
        ("GET", route::ARRIVING, "200"),
        ("DELETE", &transfer, "404"),
        ("POST", route::GC, "200"),
        ("POST", route::DECIDED, "404"),
        ("POST", route::OWNER_DELETE, "404"),
        ("POST", route::RELOAD, "200"),
        ("POST", route::STOP, "202"),
    ];
    for (method, path, answer) in requests {
        for (home, kind) in [("b", "client"), ("a", "server"), ("a", "client")] {
            let status = asked(&homes, home, kind, &b, method, path);
            assert_eq!(status, "403", "{method} {path} as {kind} of {home}");
        }
        assert_eq!(
            asked(&homes, "b", "server", &b, method, path),
            answer,
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_arrives_is_listed_and_cancelled_and_its_sender_is_told() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("film"), bytes(1, 8 << 20)).unwrap();
    let args = ["send", "film", "--to", &b.to(), "--limit", "256KiB"];
    let mut sending = homes.command("a", &args);
    let sending = sending.stderr(Stdio::piped()).spawn().unwrap();
    let owner = owner(&homes, "b");
    let arriving = loop {
        let mut arriving = owner.arriving().await.unwrap();
        if let Some(one) = arriving.pop() {
            break one;
        }
    };
    assert_eq!((arriving.name.as_str(), arriving.of), ("a", Some(8 << 20)));
    let (id, sender) = (arriving.transfer, arriving.sender_id());
    owner.cancel_arriving(id, sender).await.unwrap();
    let ended = sending.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(10), "{said}");
    assert!(said.contains("stopped it"), "{said}");
    assert!(owner.arriving().await.unwrap().is_empty());
    let again = owner.cancel_arriving(id, sender).await;
    assert!(again.is_err(), "it is refused already");
    let said = homes.fails("a", &args, 10);
    assert!(said.contains("stopped it"), "the same again: {said}");
    wait_for("it is in the history", || {
        homes.ok("b", &["history"]).contains("cut")
    });
    assert!(
        fs::read_dir(homes.home("b").join("chunks/manifests"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[tokio::test]
async fn a_server_without_a_desk_for_its_owner_cancels_too() {
    let peer = TestPeer::start().await;
    let ann = peer.member("ann");
    let table = chunk(1, 300);
    let offer = sign_offer(offer(&ann, table.0), &ann);
    let id = offer.payload().transfer_id;
    let (client, owner) = (peer.client(&ann), peer.client(&peer.own));
    let put = |url: String| {
        let put = client.put(peer.url(&url));
        let put = put.header("content-type", "application/vnd.dsse+json");
        put.body(offer.envelope().clone()).send()
    };
    let url = format!("/v1/chunks/{}", table.0);
    let url = client.put(peer.url(&url));
    let brought = url.header("content-type", "application/octet-stream");
    let brought = brought.body(table.1).send().await.unwrap();
    assert_eq!(brought.status(), 201);
    let offered = format!("/v1/offers/{id}");
    assert_eq!(put(offered.clone()).await.unwrap().status(), 200);
    let arriving = peer.url(&route::ARRIVING_TRANSFER.replace("{transfer_id}", &id.to_string()));
    let cancelled = owner.delete(&arriving).send().await.unwrap();
    assert_eq!(cancelled.status(), 204);
    let again = owner.delete(&arriving).send().await.unwrap();
    problem(again, Code::NoSuchTransfer).await;
    problem(put(offered).await.unwrap(), Code::Cancelled).await;
}

#[tokio::test]
async fn settings_are_in_force_at_once_and_bad_ones_change_nothing() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let (owner, config) = (owner(&homes, "b"), homes.home("b").join("colis.toml"));
    fs::write(homes.path("f"), "x").unwrap();
    fs::write(&config, "inbox = \"ask\"\n").unwrap();
    owner.reload().await.unwrap();
    let sent = homes.ok("a", &["--json", "send", "f", "--to", &b.to()]);
    assert!(sent.contains("\"answers\":[\"waiting\"]"), "{sent}");
    fs::write(&config, "inbox = \"perhaps\"\n").unwrap();
    let refused = owner.reload().await.unwrap_err().to_string();
    assert!(
        refused.contains("settings-unusable") && refused.contains("perhaps"),
        "{refused}"
    );
    fs::write(homes.path("g"), "y").unwrap();
    let sent = homes.ok("a", &["--json", "send", "g", "--to", &b.to()]);
    assert!(
        sent.contains("\"answers\":[\"waiting\"]"),
        "as before: {sent}"
    );
}

#[tokio::test]
async fn a_peer_that_is_told_to_stop_ends_well() {
    let homes = Homes::new(&["b"]);
    let mut b = homes.serve("b", &[]);
    owner(&homes, "b").stop().await.unwrap();
    assert_eq!(b.end(), Some(0));
}
