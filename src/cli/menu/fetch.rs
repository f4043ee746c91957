//! Fetching: from whom, and what of it.

use super::{
    Menu,
    ask::{self, Stop},
    peers, words,
};
use crate::{
    cli::{
        list::{self},
        terminal,
    },
    config::units::Size,
    session::TransferRow,
};

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let peer = peers::choose(menu, "From whom?").await?;
    let context = menu.context()?;
    let rows = menu.watch(list::catalogue(&context, &peer)).await?;
    let (rows, others): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| row.names.is_some() || row.info.password);
    if !others.is_empty() {
        terminal::say(&format!("{} more are sealed for others", others.len()));
    }
    if rows.is_empty() {
        terminal::say(&format!(
            "nothing there that can be opened here: {peer} has to send or share it"
        ));
        return Ok(());
    }
    let items = rows.iter().map(|row| ask::cut(&label(row))).collect();
    let chosen = ask::several("Which?", "fetches", items).await?;
    let chosen = chosen.into_iter().filter_map(|at| rows.get(at));
    receive(menu, &peer, chosen.collect()).await
}

/// What can be opened is fetched at once; for each of the others there is a password of its own.
async fn receive(menu: &Menu, peer: &str, rows: Vec<&TransferRow>) -> Result<(), Stop> {
    let (open, locked): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.names.is_some());
    let receive = || words(&["receive", "--from", peer]);
    if !open.is_empty() {
        menu.run(receive().ids(&open)).await?;
    }
    for row in locked {
        terminal::say(&label(row));
        menu.run(receive().ids(&[row])).await?;
    }
    Ok(())
}

/// Name, size, sender, date.
pub(super) fn label(row: &TransferRow) -> String {
    let (size, from) = (Size(row.info.size), &row.from);
    format!(
        "{}  {size}  from {from}  {}",
        list::contents(row),
        row.info.created
    )
}
