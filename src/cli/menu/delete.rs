//! Deleting: transfers that are here, or what was sent and is still stored by a peer.

use super::{
    Menu,
    ask::{self, Stop},
    choose,
    entries::way,
    fetch, peers, words,
};
use crate::{
    cli::{show, terminal},
    session::{DeleteRequest, TransferRow},
};

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let is_alone = peers::others(menu)?.is_empty();
    let ways = [
        (false, "Transfers here: their space becomes free"),
        (
            true,
            "What was sent: take it back from the peer that stores it",
        ),
    ];
    let is_at_peer = !is_alone && way("Delete what?", &ways).await?;
    let at = match is_at_peer {
        true => Some(peers::choose(menu, "Where is it stored?").await?),
        false => None,
    };
    let rows = stored(menu, at.as_deref()).await?;
    if rows.is_empty() {
        terminal::say(&match &at {
            Some(at) => format!("{at} stores nothing that was sent from here"),
            None => "no transfers are here".to_owned(),
        });
        return Ok(());
    }
    let labels = rows.iter().map(|row| ask::cut(&fetch::label(row)));
    let chosen = choose::several("Which?", "goes on", labels.collect()).await?;
    let chosen: Vec<_> = chosen.into_iter().filter_map(|at| rows.get(at)).collect();
    delete(menu, at.as_deref(), &chosen).await
}

/// What could be deleted: all that is here, and of a peer's what this one has sent.
async fn stored(menu: &Menu, at: Option<&str>) -> Result<Vec<TransferRow>, Stop> {
    let session = menu.context()?.session()?;
    let me = session.peer_id();
    let rows = menu.watch(async { Ok(session.list_of(at).await?) });
    let mut rows = rows.await?;
    rows.retain(|row| at.is_none() || row.info.sender == me);
    Ok(rows)
}

/// Says what goes and what stays, and deletes it after a yes.
async fn delete(menu: &Menu, at: Option<&str>, rows: &[&TransferRow]) -> Result<(), Stop> {
    let session = menu.context()?.session()?;
    let mut request = DeleteRequest::of(rows.iter().map(|row| row.info.id.to_string()));
    request.at = at.map(str::to_owned);
    let meant = menu.watch(async { Ok(session.deletable(&request).await?) });
    for one in meant.await? {
        terminal::say(&show::delete::meaning(&one));
    }
    let question = match (rows.len(), at) {
        (1, None) => "Delete it?".to_owned(),
        (_, None) => "Delete them?".to_owned(),
        (1, Some(at)) => format!("Delete it at {at}?"),
        (_, Some(at)) => format!("Delete them at {at}?"),
    };
    if !ask::sure(&question).await? {
        return Err(Stop::Back);
    }
    let command = match at {
        Some(at) => words(&["delete", "--yes", "--at", at]),
        None => words(&["delete", "--yes"]),
    };
    menu.run(command.ids(rows)).await
}
