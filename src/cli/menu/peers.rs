//! The address book: choosing from it, and looking after it.

use clap::{ValueEnum, builder::PossibleValue};

use super::{
    Menu,
    ask::{self, Stop},
    choose, circle,
    paths::{self, PathCompletion},
    words,
};
use crate::{
    cli::{
        args::RoleArg,
        report::{ExitCode, Failure},
        terminal,
    },
    client::PeerAddress,
    name::Escaped,
    tls::CertsDir,
    trust::{Bearer, KnownPeer, NAME_RULE, is_new_peer_name, name_of},
};

/// A peer to deal with: a known one by its name, or an address, which is remembered once it answers.
pub(super) async fn choose(menu: &Menu, prompt: &str) -> Result<String, Stop> {
    let known = others(menu)?;
    if known.is_empty() {
        terminal::say("no other peer is known yet");
        return Ok(find(menu).await?.called().to_owned());
    }
    let mut items: Vec<_> = known.iter().map(label).collect();
    items.push("another address...".to_owned());
    let chosen = choose::one(prompt, items).await?;
    match known.get(chosen) {
        Some(peer) if peer.addresses.is_empty() => {
            terminal::say(&format!("no address of {} is known yet", peer.shown()));
            let found = find(menu).await?;
            if found.peer_id != peer.peer_id {
                let what = format!("{} is there, and not {}", found.shown(), peer.shown());
                return Err(Failure::new(ExitCode::Trust, what).into());
            }
            Ok(peer.called().to_owned())
        }
        Some(peer) => Ok(peer.called().to_owned()),
        None => Ok(find(menu).await?.called().to_owned()),
    }
}

/// Asks for an address, and who is there.
async fn find(menu: &Menu) -> Result<KnownPeer, Stop> {
    let address = address().await?;
    menu.run(words(&["peers", "add", "--", &address])).await?;
    let address = address.parse::<PeerAddress>().map_err(Failure::from)?;
    let address = address.to_string();
    let is_there = |peer: &KnownPeer| peer.addresses.first() == Some(&address);
    let found = others(menu)?.into_iter().find(is_there);
    let failure = || Failure::usage(format!("this peer itself is at {address}"));
    Ok(found.ok_or_else(failure)?)
}

async fn address() -> Result<String, Stop> {
    let check = |text: &str| {
        let parsed = text.trim().parse::<PeerAddress>();
        parsed.map(drop).map_err(|error| error.to_string())
    };
    let text = ask::text(
        "Its address (host, host:port or [v6]:port)",
        None,
        Box::new(check),
    )
    .await?;
    Ok(text.trim().to_owned())
}

/// Everybody but us.
fn others(menu: &Menu) -> Result<Vec<KnownPeer>, Failure> {
    let us = menu.context()?.session()?;
    let mut known = us.book.peers()?;
    known.extend(us.other_members()?);
    known.retain(|peer| peer.name != us.identity().name());
    Ok(known)
}

fn label(peer: &KnownPeer) -> String {
    let shown = peer.shown();
    let address = peer
        .addresses
        .first()
        .map_or("no address yet", String::as_str);
    format!("{}  {}", Escaped::new(&shown), Escaped::new(address))
}

/// What can be done with peers.
pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let holds_circle = CertsDir::new(menu.context()?.home.certs())
        .ca_key()
        .exists();
    let mut items = vec!["List", "Add", "Check", "Rename", "Forget", "Role", "Block"];
    if holds_circle {
        items.push("Certificates for a new machine");
    }
    items.extend(circle::ways(menu)?);
    let labels = items.iter().map(|item| (*item).to_owned()).collect();
    let chosen = choose::one("Peers", labels).await?;
    match chosen {
        0 => menu.run(words(&["peers", "list"])).await,
        1 => find(menu).await.map(drop),
        2 => {
            let peer = choose(menu, "Check whom?").await?;
            menu.run(words(&["peers", "check", "--", &peer])).await
        }
        3 => rename(menu).await,
        4 => forget(menu).await,
        5 => role(menu).await,
        6 => block(menu).await,
        7 if holds_circle => issue(menu).await,
        other => match items.get(other) {
            Some(way) => circle::go(menu, way).await,
            None => Err(Stop::Back),
        },
    }
}

async fn rename(menu: &Menu) -> Result<(), Stop> {
    let old = known(menu, "Rename whom?").await?.called().to_owned();
    let new = ask::text("Call it", None, Box::new(check_name)).await?;
    let new = new.trim();
    menu.run(words(&["peers", "rename", "--", &old, new])).await
}

async fn forget(menu: &Menu) -> Result<(), Stop> {
    let name = known(menu, "Forget whom?").await?.called().to_owned();
    if !ask::yes(&format!("Forget {name}?")).await? {
        return Err(Stop::Back);
    }
    menu.run(words(&["peers", "forget", "--", &name])).await
}

/// What a peer may do with our store: shows it, and changes it to what is chosen.
async fn role(menu: &Menu) -> Result<(), Stop> {
    let peer = known(menu, "Whose role?").await?;
    let us = menu.context()?.session()?;
    let now = us
        .role_of(peer.peer_id, Bearer::Peer)
        .map_err(Failure::from)?;
    let name = peer.called();
    let values = RoleArg::value_variants().iter();
    let values: Vec<_> = values.filter_map(ValueEnum::to_possible_value).collect();
    let item = |value: &PossibleValue| match value.get_help() {
        Some(help) => format!("{}: {help}", value.get_name()),
        None => value.get_name().to_owned(),
    };
    let prompt = format!("What may {name} do here? Its role is {now} now");
    let chosen = choose::one(&prompt, values.iter().map(item).collect()).await?;
    let role = values.get(chosen).ok_or(Stop::Back)?.get_name();
    menu.run(words(&["peers", "role", "--", name, role])).await
}

async fn block(menu: &Menu) -> Result<(), Stop> {
    let name = known(menu, "Block whom?").await?.called().to_owned();
    let prompt =
        format!("Block {name}? It may do nothing here any more, until it has another role");
    if !ask::yes(&prompt).await? {
        return Err(Stop::Back);
    }
    menu.run(words(&["peers", "block", "--", &name])).await
}

/// One of those that are known.
async fn known(menu: &Menu, prompt: &str) -> Result<KnownPeer, Stop> {
    let mut known = others(menu)?;
    if known.is_empty() {
        terminal::say("no other peer is known yet");
        return Err(Stop::Back);
    }
    let chosen = choose::one(prompt, known.iter().map(label).collect()).await?;
    match chosen < known.len() {
        true => Ok(known.swap_remove(chosen)),
        false => Err(Stop::Back),
    }
}

/// Whether a machine can be called so, or nearly so.
pub(super) fn check_called(text: &str) -> Result<(), String> {
    let name = name_of(text);
    name.map(drop).ok_or(NAME_RULE.to_owned())
}

fn check_name(text: &str) -> Result<(), String> {
    let is_name = is_new_peer_name(text.trim());
    is_name.then_some(()).ok_or(NAME_RULE.to_owned())
}

/// Makes the folder that another machine takes over.
async fn issue(menu: &Menu) -> Result<(), Stop> {
    let name = ask::text("Name of the new machine", None, Box::new(check_called)).await?;
    let name = name.trim().to_owned();
    let home = std::env::home_dir();
    let completion = PathCompletion { home: home.clone() };
    let check = {
        let home = home.clone();
        move |text: &str| paths::one(text, home.as_deref()).map(drop)
    };
    let prompt = "Where to put its folder (it must not be there yet)";
    let line = ask::completed(prompt, Box::new(check), completion).await?;
    let out = paths::one(&line, home.as_deref()).map_err(Failure::usage)?;
    let issue = words(&["certs", "issue", &name, "--out"]);
    menu.run(issue.paths(vec![out])).await
}
