//! Lists of what is here and at peers.

use super::{Menu, ask::Stop, choose, peers};
use crate::cli::args::{Command, List};

pub(super) async fn ours(menu: &Menu) -> Result<(), Stop> {
    list(menu, None).await
}

pub(super) async fn theirs(menu: &Menu) -> Result<(), Stop> {
    let peer = peers::choose(menu, "Whose?").await?;
    list(menu, Some(peer)).await
}

async fn list(menu: &Menu, peer: Option<String>) -> Result<(), Stop> {
    let kinds = ["Transfers", "Chunks"].map(str::to_owned).to_vec();
    let chunks = choose::one("What of it?", kinds).await? == 1;
    menu.run(Command::List(List { peer, chunks })).await
}
