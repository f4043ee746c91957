//! Leaving the circle of this machine, and joining another one.

use super::{
    Menu,
    ask::{self, Stop},
    words,
};
use crate::{
    cli::{report::Failure, terminal},
    session::{certs, pair::Inviter},
    tls::CertsDir,
};

const JOIN: &str = "Join another circle by a code";
const LEAVE: &str = "Leave this circle";

/// What can be done with the circle: one that has no other member makes way for another.
pub(super) fn ways(menu: &Menu) -> Result<Vec<&'static str>, Failure> {
    Ok(match certs::is_alone(&menu.context()?.home) {
        true => vec![JOIN, LEAVE],
        false => vec![LEAVE],
    })
}

/// Does one of [`ways`], once the peer here has ended.
pub(super) async fn go(menu: &Menu, way: &str) -> Result<(), Stop> {
    match way {
        JOIN => join().await,
        _ => leave(menu),
    }
}

fn leave(menu: &Menu) -> Result<(), Stop> {
    let home = menu.context()?.home;
    let has_key = CertsDir::new(home.certs()).ca_key().exists();
    // Its name is typed where the circle would end for others.
    let ends_for_others = has_key && !certs::is_alone(&home);
    Err(Stop::Anew(match ends_for_others {
        true => words(&["certs", "leave", "--end-circle"]),
        false => words(&["certs", "leave"]),
    }))
}

async fn join() -> Result<(), Stop> {
    terminal::say("On the machine that made the other circle: `colis pair`, or 0 in its menu.");
    let check = |text: &str| {
        let parsed = text.trim().parse::<Inviter>();
        parsed.map(drop).map_err(|error| error.to_string())
    };
    let host = ask::text("The address or name that it shows", None, Box::new(check)).await?;
    let host = host.trim();
    let question = format!("This machine's circle has no other member: leave it and join {host}?");
    match ask::yes(&question).await? {
        true => Err(Stop::Anew(words(&["pair", "--", host]))),
        false => Err(Stop::Back),
    }
}
