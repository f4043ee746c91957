//! Members that answer nothing, a byte now and then, always later, or take what comes slowly: they hold up nobody else,
//! and no question for long.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use colis::{
    client::ClientOptions,
    id::ManifestId,
    manifest::{SignedManifest, Timestamp},
    session::{Cause, CustodyRequest, Error, Session},
    store::{ManifestInfo, StateAt, TransferState},
    wire::{ManifestList, media},
};
use testkit::{Homes, bytes, stretched, wait_for};

use super::hostile::{Hostile, Reply};

/// A free port.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What it answers then.
type Way = fn() -> Reply;

/// How each of them dawdles.
const WAYS: [(&str, Way); 4] = [
    ("silent", || Reply::Silence),
    ("dripping", || Reply::Trickle),
    ("later", || Reply::Later),
    ("slow", || Reply::TakenSlowly),
];

/// The member `name` at `address`, known to `a`, which does so from then on with what is asked at paths that begin with `at`, and
/// stores every other chunk.
fn dawdler(
    homes: &Homes,
    (name, address): (&str, SocketAddr),
    at: &'static str,
    way: Way,
) -> Hostile {
    let is_known = Arc::new(AtomicBool::new(false));
    let knows = is_known.clone();
    let hostile = Hostile::member(homes, name, address, move |path| {
        if path.starts_with(at) && knows.load(Ordering::Relaxed) {
            return Some(way());
        }
        let stored = || Reply::Body(media::JSON, br#"{"result":"stored"}"#.to_vec());
        path.starts_with("/v1/chunks/").then(stored)
    });
    homes.ok("a", &["peers", "add", &hostile.address.to_string()]);
    is_known.store(true, Ordering::Relaxed);
    hostile
}

#[test]
fn whoever_dawdles_is_left_behind_by_the_others_and_reached_later() {
    let names = WAYS.map(|(name, _)| name);
    let homes = Homes::new(&[&["b"], &names[..]].concat());
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let steps = ["/v1/offers/", "/v1/chunks/", "/v1/manifests/"];
    for (at, file) in steps.into_iter().zip(["offer", "chunk", "manifest"]) {
        fs::write(homes.path(file), bytes(at.len() as u64, 3 << 20)).unwrap();
        let there = WAYS.map(|(name, way)| dawdler(&homes, (name, ANYWHERE), at, way));
        let to = [&["b"], &names[..]].concat().join(",");
        let began = Instant::now();
        homes.ok("a", &["send", file, "--to", "b"]);
        // Who is 16 times as slow is left behind 5 s later.
        let bound = began.elapsed() * 16 + Duration::from_secs(15);
        let began = Instant::now();
        let args = ["--json", "send", file, "--to", &to, "--retry-for", "5s"];
        let ran = homes.run("a", &args);
        let took = began.elapsed();
        assert!(took < stretched(bound), "{at}: {took:?}, {ran:?}");
        assert_eq!(ran.code, 10, "{at}: {ran:?}");
        for store in ran.object("sent")["stores"].as_array().unwrap() {
            let (peer, cause) = (store["peer"].as_str().unwrap(), &store["error"]["cause"]);
            match peer {
                "b" => assert!(cause.is_null(), "{at}: {ran:?}"),
                _ => assert_eq!(
                    (cause, &store["error"]["peer_id"]),
                    (&"too-slow".into(), &store["peer_id"]),
                    "{at}, {peer}: {ran:?}"
                ),
            }
        }
        let received = homes.home("b").join("received").join(file);
        wait_for("b has it", || received.exists());
        drop(there);
    }
    let serving = names.map(|name| homes.serve(name, &[]));
    for peer in &serving {
        homes.ok("a", &["peers", "add", &peer.to()]);
    }
    homes.ok("a", &["send", "--resume", "chunk"]);
    for name in names {
        let received = homes.home(name).join("received/chunk");
        wait_for(name, || received.exists());
    }
}

/// Asserts that `error` says in so many words that it took too long, or that the peer was always busy.
fn is_unanswered(error: &Error, what: &str) {
    let said = error.to_string();
    match error.cause() {
        Cause::NotReached => assert!(said.contains("did not answer within 2 s"), "{what}: {said}"),
        cause => assert_eq!(cause, Cause::Busy, "{what}: {said}"),
    }
}

/// The manifest of the only transfer in the store of `a`, in its envelope.
fn shared(homes: &Homes) -> SignedManifest {
    fs::write(homes.path("f"), "f").unwrap();
    homes.ok("a", &["share", "f", "--to", "e"]);
    let folder = homes.home("a").join("chunks/manifests");
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    SignedManifest::parse(fs::read(file.path()).unwrap()).unwrap()
}

/// What `a` asks of `e` at paths that begin so.
async fn ask(a: &Session, at: &str, id: ManifestId) -> Result<(), Error> {
    match at {
        "/v1/manifests?" => a.list_of(Some("e")).await.map(drop),
        "/v1/chunks?" => {
            let store = a.store_of(Some("e")).await?;
            a.list_chunks(&*store).await.map(drop)
        }
        "/v1/manifests/" => {
            let request = CustodyRequest::of("e", id.to_string());
            a.check_custody(&request).await.map(drop)
        }
        _ => a.check_peer("e").await.map(drop),
    }
}

/// Asks so, with little patience for answers. Gives the error, and how long it took.
fn failed(homes: &Homes, at: &str, id: ManifestId) -> (Error, Duration) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = ClientOptions {
        question_timeout: Duration::from_secs(2),
        ..ClientOptions::default()
    };
    let began = Instant::now();
    let asked = runtime.block_on(async {
        let a = Session::open(homes.home("a")).unwrap();
        ask(&a.with_client_options(options), at, id).await
    });
    (asked.unwrap_err(), began.elapsed())
}

#[test]
fn no_question_to_one_who_dawdles_takes_longer_than_it_may() {
    let homes = Homes::new(&["e"]);
    let id = shared(&homes).id();
    let questions = [
        "/v1/peer",
        "/v1/health",
        "/v1/manifests?",
        "/v1/manifests/",
        "/v1/chunks?",
    ];
    let mut address = ANYWHERE;
    for at in questions {
        for (name, way) in &WAYS[..3] {
            let e = dawdler(&homes, ("e", address), at, *way);
            address = e.address;
            let (error, took) = failed(&homes, at, id);
            is_unanswered(&error, &format!("{name} at {at}"));
            assert!(
                took < stretched(Duration::from_secs(12)),
                "{name} at {at}: {took:?}"
            );
        }
    }
}

#[test]
fn a_long_list_of_transfers_that_never_come_is_given_up_at_once() {
    let homes = Homes::new(&["e"]);
    let manifest = shared(&homes);
    let envelope = manifest.envelope().to_vec();
    let state = StateAt::new(TransferState::Stored, Timestamp::now());
    let mut ids: Vec<_> = (0..100_u8).map(|n| ManifestId::of(&[n])).collect();
    ids.push(manifest.id());
    ids.sort_unstable();
    let listed = |id| ManifestInfo {
        state: Some(state),
        ..ManifestInfo::new(id, manifest.payload())
    };
    let list = ManifestList {
        manifests: ids.into_iter().map(listed).collect(),
        next: None,
    };
    let list = serde_json::to_vec(&list).unwrap();
    // Of the second only the table does not come.
    let mut address = ANYWHERE;
    for has_manifests in [false, true] {
        let (list, envelope, id) = (list.clone(), envelope.clone(), manifest.id().to_string());
        let e = Hostile::member(&homes, "e", address, move |path| match path {
            _ if path.starts_with("/v1/manifests?") => Some(Reply::Body(media::JSON, list.clone())),
            _ if has_manifests && path.ends_with(&id) => {
                Some(Reply::Body(media::ENVELOPE, envelope.clone()))
            }
            _ if has_manifests && path.starts_with("/v1/manifests/") => None,
            _ if path.starts_with("/v1/manifests/") || path.starts_with("/v1/chunks/") => {
                Some(Reply::Silence)
            }
            _ => None,
        });
        homes.ok("a", &["peers", "add", &e.address.to_string()]);
        address = e.address;
        let (error, took) = failed(&homes, "/v1/manifests?", manifest.id());
        is_unanswered(&error, "a list");
        assert!(took < stretched(Duration::from_secs(12)), "{took:?}");
    }
}
