//! Fetching: from whom, and what of it.

use std::sync::Arc;

use super::{
    Menu,
    ask::{self, Stop},
    choose,
    jobs::{self, Of, Request},
    peers, words,
};
use crate::{
    cli::{list, password::Purpose, show::brief, terminal},
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
    let chosen = choose::several("Which?", "fetches", items).await?;
    let chosen = chosen.into_iter().filter_map(|at| rows.get(at));
    let receive = ["receive", "--from", &peer];
    each(menu, &receive, &format!("from {peer}"), chosen.collect()).await
}

/// Runs `command` in the background on all that can be opened, then on each of the others: that has a password of its own.
pub(super) async fn each(
    menu: &Menu,
    command: &[&str],
    from: &str,
    rows: Vec<&TransferRow>,
) -> Result<(), Stop> {
    let (open, locked): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.names.is_some());
    if let Some(first) = open.first() {
        let more = match open.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let request = Request {
            what: format!("{}{more} {from}", list::contents(first)),
            words: words(command).ids(&open),
            password: None,
            of: Of::Unknown,
        };
        jobs::start(menu, Arc::new(request))?;
    }
    for row in locked {
        terminal::say(&label(row));
        let password = menu.password(Purpose::Open).await?;
        let request = Request {
            what: format!("{} {from}", list::contents(row)),
            words: words(command).ids(&[row]),
            password: Some(password),
            of: Of::Unknown,
        };
        jobs::start(menu, Arc::new(request))?;
    }
    Ok(())
}

/// Name, size, sender or recipients, date.
pub(super) fn label(row: &TransferRow) -> String {
    let (size, whom) = (Size(row.info.size), list::whom(row));
    format!(
        "{}  {size}  {whom}  {}",
        list::contents(row),
        brief::time(row.info.created)
    )
}
