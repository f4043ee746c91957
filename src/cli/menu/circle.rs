//! Leaving the circle of this machine, and joining another one.

use super::{
    Menu,
    ask::{self, Stop},
    words,
};
use crate::{
    cli::{report::Failure, terminal},
    session::{certs, pair::Inviter},
};

/// What can be done with the circle.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Join,
    Leave,
}

/// What can be done with it now: one that has no other member makes way for another.
pub(super) fn ways(menu: &Menu) -> Result<Vec<(Way, &'static str)>, Failure> {
    let mut ways = vec![(Way::Leave, "Leave this circle")];
    if certs::is_alone(&menu.context()?.home) {
        ways.insert(0, (Way::Join, "Join another circle by a code"));
    }
    Ok(ways)
}

/// Does it, once the peer here has ended.
pub(super) async fn go(menu: &Menu, way: Way) -> Result<(), Stop> {
    if menu.jobs.running() > 0 {
        terminal::say("transfers run, which end first: 5 Transfers cancels one");
        return Err(Stop::Back);
    }
    match way {
        Way::Join => join().await,
        Way::Leave => leave(menu),
    }
}

fn leave(menu: &Menu) -> Result<(), Stop> {
    let home = menu.context()?.home;
    let has_key = home.dir().ca_key().exists();
    // Its name is typed where the circle would end for others.
    let ends_for_others = has_key && !certs::is_alone(&home);
    Err(Stop::Anew(match ends_for_others {
        true => words(&["certs", "leave", "--end-circle"]),
        false => words(&["certs", "leave"]),
    }))
}

async fn join() -> Result<(), Stop> {
    terminal::say("On the machine that made the other circle: `colis pair`, or 1 in its menu.");
    let check = |text: &str| {
        let parsed = text.trim().parse::<Inviter>();
        parsed.map(drop).map_err(|error| error.to_string())
    };
    let host = ask::text("The address or name that it shows", None, Box::new(check)).await?;
    let host = host.trim();
    let question = format!("This machine's circle has no other member: leave it and join {host}?");
    match ask::sure(&question).await? {
        true => Err(Stop::Anew(words(&["pair", "--", host]))),
        false => Err(Stop::Back),
    }
}
