//! What waits for a yes, and the yes or no; what is still arriving, and the end of it.

use super::{
    Menu,
    ask::{self, Stop},
    choose, fetch, words,
};
use crate::{
    cli::{Context, report::Failure, show, terminal},
    session::TransferRow,
    wire::Arriving,
};

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let context = menu.context()?;
    let (rows, coming) = menu.watch(arrivals(&context)).await?;
    if rows.is_empty() && coming.is_empty() {
        terminal::say("nothing waits");
        return Ok(());
    }
    let waiting = rows.iter().map(fetch::label);
    let arriving = coming
        .iter()
        .map(|one| format!("arriving: {}", show::serve::arriving(one)));
    let items = waiting.chain(arriving).map(|text| ask::cut(&text));
    let chosen = choose::several("Which arrivals?", "goes on", items.collect()).await?;
    let of_coming = chosen
        .iter()
        .filter_map(|at| coming.get(at.checked_sub(rows.len())?));
    for one in of_coming {
        cancel(menu, one).await?;
    }
    let chosen: Vec<_> = chosen.into_iter().filter_map(|at| rows.get(at)).collect();
    if chosen.is_empty() {
        return Ok(());
    }
    loop {
        let ways = ["Open into received/", "Show what is in it", "Refuse"];
        match choose::one("What of it?", ways.map(str::to_owned).to_vec()).await? {
            0 => return fetch::each(menu, &["inbox", "accept"], "that waits", chosen).await,
            1 => menu.show(words(&["inbox", "list"]).ids(&chosen)).await?,
            _ => {
                let question = "Refuse it? Its sender is told";
                return match ask::sure(question).await? {
                    true => menu.run(words(&["inbox", "refuse"]).ids(&chosen)).await,
                    false => Err(Stop::Back),
                };
            }
        }
    }
}

/// How many wait and are coming.
pub(super) async fn count(context: &Context) -> Result<usize, Failure> {
    let session = context.session()?;
    let waiting = session.inbox()?.waiting().await?.len();
    Ok(waiting + session.arriving().await?.len())
}

/// What waits, and what is still coming.
async fn arrivals(context: &Context) -> Result<(Vec<TransferRow>, Vec<Arriving>), Failure> {
    let session = context.session()?;
    Ok((session.inbox()?.rows().await?, session.arriving().await?))
}

async fn cancel(menu: &Menu, one: &Arriving) -> Result<(), Stop> {
    let prompt = format!("What of {}?", show::serve::arriving(one));
    let ways = ["Let it come", "Take no more of it"];
    match choose::one(&ask::cut(&prompt), ways.map(str::to_owned).to_vec()).await? {
        0 => Ok(()),
        _ => {
            let (id, sender) = (one.transfer.to_string(), one.sender_id().to_string());
            menu.run(words(&["inbox", "cancel", &id, "--from", &sender]))
                .await
        }
    }
}
