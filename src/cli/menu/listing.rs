//! Lists of what is here and at peers.

use super::{Menu, ask::Stop, choose, desktop, peers, words};

pub(super) async fn ours(menu: &Menu) -> Result<(), Stop> {
    list(menu, None).await
}

pub(super) async fn theirs(menu: &Menu) -> Result<(), Stop> {
    let peer = peers::choose(menu, "Whose?").await?;
    list(menu, Some(peer)).await
}

async fn list(menu: &Menu, peer: Option<String>) -> Result<(), Stop> {
    let mut kinds = vec!["Transfers", "Chunks"];
    if peer.is_none() {
        kinds.push("History: what was sent and received");
    }
    if peer.is_none() && desktop::is_there() {
        kinds.push("Received files: open their folder");
    }
    let kinds = kinds.into_iter().map(str::to_owned).collect();
    let what: &[&str] = match choose::one("What of it?", kinds).await? {
        0 => &["list"],
        1 => &["list", "--chunks"],
        2 => &["history"],
        _ => return Ok(desktop::open_received(&menu.context()?)?),
    };
    let peer = peer.as_deref();
    menu.run(words(&[what, peer.as_slice()].concat())).await
}
