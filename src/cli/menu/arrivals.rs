//! What waits for a yes, and the yes or no.

use super::{
    Menu,
    ask::{self, Stop},
    choose, fetch, words,
};
use crate::{
    cli::{Context, report::Failure, terminal},
    session::TransferRow,
};

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let context = menu.context()?;
    let rows = menu.watch(waiting(&context)).await?;
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
            0 => return accept(menu, &chosen).await,
            1 => menu.run(words(&["inbox", "list"]).ids(&chosen)).await?,
            _ => return menu.run(words(&["inbox", "refuse"]).ids(&chosen)).await,
        }
    }
}

async fn waiting(context: &Context) -> Result<Vec<TransferRow>, Failure> {
    Ok(context.session()?.inbox()?.rows().await?)
}

/// Each of those that are locked has a password of its own.
async fn accept(menu: &Menu, rows: &[&TransferRow]) -> Result<(), Stop> {
    let (open, locked): (Vec<&TransferRow>, Vec<&TransferRow>) =
        rows.iter().partition(|row| row.names.is_some());
    if !open.is_empty() {
        menu.run(words(&["inbox", "accept"]).ids(&open)).await?;
    }
    for row in locked {
        terminal::say(&fetch::label(row));
        menu.run(words(&["inbox", "accept"]).ids(&[row])).await?;
    }
    Ok(())
}
