//! Fetching: from whom, and what of it.

use super::{
    Menu,
    ask::{self, Stop},
    peers, words,
};
use crate::{
    cli::{list, show::brief, terminal},
    config::units::Size,
    session::TransferRow,
};

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let peer = peers::choose(menu, "From whom?").await?;
    let session = menu.context()?.session()?;
    let rows = menu.watch(async { Ok(session.list_of(Some(&peer)).await?) });
    let rows = rows.await?;
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
    let marked = |row| ask::cut(&format!("{}  {}", list::mark(row), label(row)));
    let items = rows.iter().map(marked).collect();
    let chosen = ask::several("Which?", "fetches", items).await?;
    let chosen = chosen.into_iter().filter_map(|at| rows.get(at));
    let receive = ["receive", "--from", &peer];
    each(menu, &receive, chosen.collect()).await
}

/// Runs `command` on all that can be opened, then on each of the others: that has a password of its own.
pub(super) async fn each(
    menu: &Menu,
    command: &[&str],
    rows: Vec<&TransferRow>,
) -> Result<(), Stop> {
    let (open, locked): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.names.is_some());
    if !open.is_empty() {
        menu.run(words(command).ids(&open)).await?;
    }
    for row in locked {
        terminal::say(&label(row));
        menu.run(words(command).ids(&[row])).await?;
    }
    Ok(())
}

/// Name, size, sender, date.
pub(super) fn label(row: &TransferRow) -> String {
    let (size, from) = (Size(row.info.size), &row.from);
    format!(
        "{}  {size}  from {from}  {}",
        list::contents(row),
        brief::time(row.info.created)
    )
}
