//! Lists of what is here and at peers.

use super::{Menu, ask::Stop, delete, desktop, entries::way, peers, words};

#[derive(Clone, Copy)]
enum What {
    Ours(&'static [&'static str]),
    Theirs(&'static [&'static str]),
    Folder,
    Delete,
}

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let mut ways = vec![
        (What::Ours(&["list"]), "Transfers here"),
        (
            What::Ours(&["history"]),
            "History: what was sent and received",
        ),
        (What::Ours(&["list", "--chunks"]), "Chunks here"),
    ];
    if !peers::others(menu)?.is_empty() {
        ways.push((What::Theirs(&["list"]), "Transfers at a peer"));
        ways.push((What::Theirs(&["list", "--chunks"]), "Chunks at a peer"));
    }
    if desktop::is_there() {
        ways.push((What::Folder, "Received files: open their folder"));
    }
    ways.push((What::Delete, "Delete: a transfer here, or what was sent"));
    match way("What of it?", &ways).await? {
        What::Delete => delete::run(menu).await,
        What::Folder => Ok(desktop::open_received(&menu.context()?)?),
        What::Ours(list) => menu.show(words(list)).await,
        What::Theirs(list) => {
            let peer = peers::choose(menu, "Whose?").await?;
            menu.show(words(&[list, &["--", &peer]].concat())).await
        }
    }
}
