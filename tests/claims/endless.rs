//! A peer whose lists do not end.

use std::path::PathBuf;

use colis::{
    id::{ManifestId, PeerId},
    store::ManifestInfo,
    wire::{ManifestList, media},
};
use testkit::{Homes, memory::run_watched};

use super::{
    hostile::{Hostile, Reply},
    members::curl,
};

/// Transfers of a page, and recipients of a transfer: as much as a client reads.
const PAGE: u64 = 400;
const RECIPIENTS: u64 = 64;
/// Pages after which it gives up: far more than are to be asked for.
const PAGES: u64 = 200;
/// By how much a command may grow.
const GROWTH: u64 = 96 << 20;

fn page(after: u64) -> ManifestList {
    let id = |n: u64| format!("{n:064x}");
    let recipients: Vec<PeerId> = (0..RECIPIENTS).map(|n| id(n).parse().unwrap()).collect();
    let info = |n: u64| ManifestInfo {
        id: id(n).parse().unwrap(),
        transfer_id: format!("{n:032x}").parse().unwrap(),
        sender: recipients[0],
        created: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires: None,
        size: 1,
        chunks: 1,
        recipients: recipients.clone(),
        password: false,
        state: None,
    };
    let next: ManifestId = id(after + PAGE).parse().unwrap();
    ManifestList {
        manifests: (after + 1..=after + PAGE).map(info).collect(),
        next: Some(next),
    }
}

fn reply(path: &str, bundle: &[u8]) -> Reply {
    let Some((_, question)) = path.split_once("/v1/manifests?") else {
        let is_peer = path == "/v1/peer";
        let body = || Reply::Body(media::JSON, bundle.to_vec());
        return if is_peer { body() } else { Reply::Nothing };
    };
    let mut values = question.split('&').filter_map(|pair| pair.split_once('='));
    let after = values.find(|(key, _)| *key == "after");
    let after = after.map_or(0, |(_, id)| u64::from_str_radix(&id[48..], 16).unwrap());
    match after / PAGE < PAGES {
        true => Reply::Body(media::JSON, serde_json::to_vec(&page(after)).unwrap()),
        false => Reply::Nothing,
    }
}

#[test]
fn a_list_that_does_not_end_is_left_and_said_to_go_on() {
    let homes = Homes::new(&["e"]);
    let mut e = homes.serve("e", &[]);
    homes.ok("a", &["peers", "add", &e.to()]);
    let url = format!("https://localhost:{}/v1/peer", e.address.port());
    let bundle = curl(&homes, "a", &[&url]).out;
    let (_, quiet) = run_watched(&mut homes.command("a", &["list", "e"]));
    let at = e.address;
    e.kill();
    let e = Hostile::start(&homes, "e", at, move |path| reply(path, bundle.as_bytes()));
    for command in [
        &["list", "e"][..],
        &["receive", "--from", "e", "no-such-file"],
    ] {
        let before = e.asked("/v1/manifests?");
        let (ran, peak) = run_watched(&mut homes.command("a", command));
        assert!(ran.err.contains("the list goes on after "), "{}", ran.err);
        let pages = e.asked("/v1/manifests?") - before;
        assert!(pages < 100, "{pages} pages");
        let grown = peak.saturating_sub(quiet);
        assert!(grown < GROWTH, "{grown} bytes");
    }
    let received: PathBuf = homes.home("a").join("received");
    assert!(!received.join("no-such-file").exists());
}
