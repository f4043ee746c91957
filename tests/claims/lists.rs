//! Lists of many transfers cost a peer few requests, whatever version it has.

use colis::{
    client::PeerClient,
    id::TransferId,
    manifest::Timestamp,
    store::{ManifestInfo, PageRequest, StateAt, Store as _, TransferState},
    wire::{ManifestList, media},
};
use testkit::{Homes, Serving, person::set, sealed::Draft, wait_for};

use super::{
    fates::floods::unopenable,
    hostile::{Hostile, Reply},
    members::{curl, kept::client},
    metrics::url,
};

const COUNT: usize = 30;

async fn publish(homes: &Homes, b: &Serving) -> Vec<ManifestInfo> {
    let (c, _, client, mut draft): (_, _, PeerClient, Draft) = unopenable(homes, b).await;
    let mut published = Vec::new();
    for _ in 0..COUNT {
        draft.offer.transfer_id = TransferId::generate().unwrap();
        let manifest = draft.sign(&c);
        client.put_manifest(&manifest).await.unwrap();
        published.push(ManifestInfo::new(manifest.id(), manifest.payload()));
    }
    published
}

/// How many requests to this route the peer has answered.
fn asked(homes: &Homes, b: &Serving, route: &str) -> f64 {
    let metrics = curl(homes, "b", &[&url(&b.to(), "/v1/metrics")])
        .out
        .replace('"', "");
    let of_route = format!("route={route},");
    let lines = metrics.lines().filter(|line| {
        line.starts_with("colis_requests_total{method=GET") && line.contains(&of_route)
    });
    let counts = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    counts.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn states_come_with_the_list_and_an_own_store_is_not_asked_for_at_all() {
    let homes = Homes::new(&["b", "c"]);
    set(&homes, "b", "inbox", "ask");
    let b = homes.serve("b", &[]);
    publish(&homes, &b).await;
    let waiting = |out: String| out.matches("\"state\":\"waiting\"").count();
    wait_for("all wait", || {
        waiting(homes.ok("b", &["--json", "list"])) == COUNT
    });
    let (state, list) = ("/v1/manifests/{id}/state", "/v1/manifests");
    let before = asked(&homes, &b, list);
    homes.ok("a", &["peers", "add", &b.to()]);
    assert_eq!(waiting(homes.ok("a", &["--json", "list", "b"])), COUNT);
    assert_eq!(asked(&homes, &b, state), 0.0);
    assert_eq!(asked(&homes, &b, list) - before, 1.0);
    let inbox = homes.ok("b", &["--json", "inbox"]);
    assert_eq!(inbox.matches("\"event\":\"waiting\"").count(), COUNT);
    assert!(!inbox.contains("\"state\""), "{inbox}");
    assert_eq!(asked(&homes, &b, list) - before, 1.0);
    assert_eq!(
        asked(&homes, &b, "/v1/manifests/{id}"),
        COUNT as f64,
        "of a"
    );
}

/// A peer of the version before lists no states.
#[test]
fn a_peer_that_lists_no_states_is_asked_for_each() {
    let homes = Homes::new(&["b", "c"]);
    let mut b = homes.serve("b", &["--inbox", "ask"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut older = runtime.block_on(publish(&homes, &b));
    older.sort_by_key(|info| info.id);
    let to_b = client(&homes, "a", &b);
    let at = b.address;
    b.kill();
    let b = Hostile::start(&homes, "b", at, move |path| {
        if path.ends_with("/state") {
            let state = StateAt::new(TransferState::Waiting, Timestamp::now());
            return Reply::Body(media::JSON, serde_json::to_vec(&state).unwrap());
        }
        let (manifests, next) = (older.clone(), None);
        let list = serde_json::to_vec(&ManifestList { manifests, next }).unwrap();
        assert!(!String::from_utf8_lossy(&list).contains("state"));
        Reply::Body(media::JSON, list)
    });
    let page = PageRequest {
        after: None,
        limit: 1_000,
    };
    let listed = runtime.block_on(to_b.list_with_states(page, None));
    let states = listed
        .unwrap()
        .items
        .into_iter()
        .map(|info| info.state.unwrap().state);
    assert_eq!(states.collect::<Vec<_>>(), [TransferState::Waiting; COUNT]);
    assert_eq!(b.asked("/v1/manifests/"), COUNT);
}
