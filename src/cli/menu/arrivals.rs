//! What waits for a yes, and the yes or no.

use super::{
    Menu,
    ask::{self, Stop},
    choose, fetch, words,
};
use crate::cli::terminal;

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let session = menu.context()?.session()?;
    let rows = menu.watch(async { Ok(session.inbox()?.rows().await?) });
    let rows = rows.await?;
    if rows.is_empty() {
        terminal::say("nothing waits");
        return Ok(());
    }
    let items = rows.iter().map(|row| ask::cut(&fetch::label(row)));
    let chosen = ask::several("Which?", "goes on", items.collect()).await?;
    let chosen: Vec<_> = chosen.into_iter().filter_map(|at| rows.get(at)).collect();
    loop {
        let ways = ["Open into received/", "Show what is in it", "Refuse"];
        match choose::one("What of it?", ways.map(str::to_owned).to_vec()).await? {
            0 => return fetch::each(menu, &["inbox", "accept"], chosen).await,
            1 => menu.run(words(&["inbox", "list"]).ids(&chosen)).await?,
            _ => return menu.run(words(&["inbox", "refuse"]).ids(&chosen)).await,
        }
    }
}
