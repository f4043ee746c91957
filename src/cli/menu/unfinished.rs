//! Sends that were begun and not finished, by this menu or by a command: gone on with, or forgotten.

use std::sync::Arc;

use super::{
    Menu,
    ask::{self, Stop},
    choose,
    jobs::{self, Of, Request},
    words,
};
use crate::{
    cli::{password::Purpose, report::Failure, show::send, terminal},
    name::Escaped,
    session::UnfinishedSend,
};

/// Those that nothing is at, and that are not among the transfers of this menu.
pub(super) async fn list(menu: &Menu) -> Result<Vec<UnfinishedSend>, Failure> {
    let mut all = menu.context()?.session()?.unfinished().await?;
    all.retain(|one| !one.running && !menu.jobs.has(one));
    Ok(all)
}

pub(super) fn label(one: &UnfinishedSend) -> String {
    format!("not finished: {}", send::unfinished(one))
}

pub(super) async fn run(menu: &Menu, one: &UnfinishedSend) -> Result<(), Stop> {
    terminal::say(&label(one));
    if !one.resumable {
        terminal::say("it goes on when the same is sent again");
        return forget(menu, one).await;
    }
    let ways = ["Go on with it: only what is missing is sent", "Forget it"];
    match choose::one("What of it?", ways.map(str::to_owned).to_vec()).await? {
        0 => go_on(menu, one).await,
        _ => forget(menu, one).await,
    }
}

async fn go_on(menu: &Menu, one: &UnfinishedSend) -> Result<(), Stop> {
    let password = match one.password {
        true => Some(menu.password(Purpose::Open).await?),
        false => None,
    };
    let whom = if one.to.is_empty() { &one.via } else { &one.to };
    let (names, whom) = (one.names.join(", "), whom.join(", "));
    let request = Request {
        what: format!("{} to {}", Escaped::new(&names), Escaped::new(&whom)),
        words: words(&["send", "--resume", &one.transfer.to_string()]),
        password,
        of: Of::Unfinished(one.transfer),
    };
    jobs::start(menu, Arc::new(request))
}

async fn forget(menu: &Menu, one: &UnfinishedSend) -> Result<(), Stop> {
    let question = "Forget it? What was stored of it goes there after a day; the files here stay";
    match ask::sure(question).await? {
        true => {
            let drop = words(&["send", "--drop", &one.transfer.to_string()]);
            menu.run(drop).await
        }
        false => Err(Stop::Back),
    }
}
