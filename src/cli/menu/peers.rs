//! The address book: choosing from it, and looking after it.

use super::{
    Menu,
    ask::{self, Stop},
    choose,
    paths::{self, PathCompletion},
};
use crate::{
    cli::{
        args::{Certs, CertsCommand, Command, Peers, PeersCommand},
        connect::Us,
        report::Failure,
        terminal,
    },
    client::PeerAddress,
    name::Escaped,
    tls::CertsDir,
    trust::{KnownPeer, NAME_RULE, is_peer_name},
};

/// A peer to deal with: a known one by its name, or an address, which is remembered once it answers.
pub(super) async fn choose(menu: &Menu, prompt: &str) -> Result<String, Stop> {
    let known = others(menu)?;
    if known.is_empty() {
        terminal::say("no other peer is known yet");
        return address().await;
    }
    let mut items: Vec<_> = known.iter().map(label).collect();
    items.push("another address...".to_owned());
    let chosen = choose::one(prompt, items).await?;
    match known.get(chosen) {
        Some(peer) if peer.addresses.is_empty() => {
            terminal::say(&format!("no address of {} is known yet", peer.shown()));
            address().await
        }
        Some(peer) => Ok(peer.called().to_owned()),
        None => address().await,
    }
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
    let us = Us::load(&menu.context()?)?;
    let mut known = us.book.peers()?;
    known.retain(|peer| peer.name != us.identity.name());
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
    let mut items = vec!["List", "Add", "Check", "Rename", "Forget"];
    if holds_circle {
        items.push("Certificates for a new machine");
    }
    let items = items.into_iter().map(str::to_owned).collect();
    let command = match choose::one("Peers", items).await? {
        0 => PeersCommand::List,
        1 => PeersCommand::Add {
            address: address().await?,
        },
        2 => PeersCommand::Check {
            peer: choose(menu, "Check whom?").await?,
        },
        3 => rename(menu).await?,
        4 => forget(menu).await?,
        _ => return issue(menu).await,
    };
    let command = Some(command);
    menu.run(Command::Peers(Peers { command })).await
}

async fn rename(menu: &Menu) -> Result<PeersCommand, Stop> {
    let old = known(menu, "Rename whom?").await?;
    let new = ask::text("Call it", None, Box::new(check_name)).await?;
    Ok(PeersCommand::Rename {
        old,
        new: new.trim().to_owned(),
    })
}

async fn forget(menu: &Menu) -> Result<PeersCommand, Stop> {
    let name = known(menu, "Forget whom?").await?;
    if !ask::yes(&format!("Forget {name}?")).await? {
        return Err(Stop::Back);
    }
    Ok(PeersCommand::Forget { name })
}

/// One of those that are known.
async fn known(menu: &Menu, prompt: &str) -> Result<String, Stop> {
    let known = others(menu)?;
    if known.is_empty() {
        terminal::say("no other peer is known yet");
        return Err(Stop::Back);
    }
    let chosen = choose::one(prompt, known.iter().map(label).collect()).await?;
    let peer = known.get(chosen).ok_or(Stop::Back)?;
    Ok(peer.called().to_owned())
}

fn check_name(text: &str) -> Result<(), String> {
    let is_name = is_peer_name(text.trim());
    is_name.then_some(()).ok_or(NAME_RULE.to_owned())
}

/// Makes the folder that another machine takes over.
async fn issue(menu: &Menu) -> Result<(), Stop> {
    let name = ask::text("Name of the new machine", None, Box::new(check_name)).await?;
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
    let san = Vec::new();
    let command = CertsCommand::Issue { name, out, san };
    menu.run(Command::Certs(Certs { command })).await
}
