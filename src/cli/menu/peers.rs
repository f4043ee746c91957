//! The address book: choosing from it, and looking after it.

use clap::{ValueEnum, builder::PossibleValue};

use super::{
    Menu,
    ask::{self, Stop},
    choose, circle,
    entries::way,
    paths::{self, PathCompletion},
    revoke, words,
};
use crate::{
    cli::{
        args::RoleArg,
        report::{ExitCode, Failure},
        terminal,
    },
    client::PeerAddress,
    name::Escaped,
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
        Some(peer) => {
            with_address(menu, peer).await?;
            Ok(peer.called().to_owned())
        }
        None => Ok(find(menu).await?.called().to_owned()),
    }
}

/// What stands for those that are not in the list.
const OTHERS: &str = "others: names or addresses, typed";

/// Some peers, by their names: known ones, and those that are typed, which are remembered once they answer.
pub(super) async fn several(menu: &Menu, prompt: &str) -> Result<Vec<String>, Stop> {
    let known = others(menu)?;
    if known.is_empty() {
        terminal::say("no other peer is known yet");
        return typed(menu, known).await;
    }
    let mut items: Vec<_> = known.iter().map(label).collect();
    items.push(OTHERS.to_owned());
    let chosen = choose::several(prompt, "goes on", items).await?;
    let named = chosen.iter().filter_map(|at| known.get(*at));
    let mut names: Vec<_> = named.map(|peer| peer.called().to_owned()).collect();
    if chosen.contains(&known.len()) {
        for name in typed(menu, known).await? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

async fn typed(menu: &Menu, known: Vec<KnownPeer>) -> Result<Vec<String>, Stop> {
    let names: Vec<_> = known.iter().map(|peer| peer.called().to_owned()).collect();
    let check = {
        let names = names.clone();
        move |text: &str| match parts(text).find(|part| !is_right(part, &names)) {
            Some(part) => Err(format!(
                "{part}: neither a known name nor an address (host:port)"
            )),
            None => Ok(()),
        }
    };
    let prompt = "Names or addresses, separated by commas";
    let text = ask::text(prompt, None, Box::new(check)).await?;
    let mut all = Vec::new();
    for part in parts(&text) {
        all.push(match names.iter().find(|name| *name == part) {
            Some(name) => name.clone(),
            None => remembered(menu, part).await?.called().to_owned(),
        });
    }
    Ok(all)
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn is_right(part: &str, names: &[String]) -> bool {
    // A bare name is never a guess at a host.
    let is_address = part.contains(['.', ':']) && part.parse::<PeerAddress>().is_ok();
    is_address || names.iter().any(|name| name == part)
}

/// Asks for the addresses of those that have none, so that they can be reached.
pub(super) async fn reach(menu: &Menu, names: &[String]) -> Result<(), Stop> {
    for peer in others(menu)? {
        if names.iter().any(|name| name == peer.called()) {
            with_address(menu, &peer).await?;
        }
    }
    Ok(())
}

/// Has the address of a peer typed, if none is known.
async fn with_address(menu: &Menu, peer: &KnownPeer) -> Result<(), Stop> {
    if !peer.addresses.is_empty() {
        return Ok(());
    }
    terminal::say(&format!("no address of {} is known yet", peer.shown()));
    let found = find(menu).await?;
    if found.peer_id != peer.peer_id {
        let what = format!("{} is there, and not {}", found.shown(), peer.shown());
        return Err(Failure::new(ExitCode::Trust, what).into());
    }
    Ok(())
}

/// Asks for an address, and who is there.
async fn find(menu: &Menu) -> Result<KnownPeer, Stop> {
    let address = address().await?;
    remembered(menu, &address).await
}

/// Who is at an address, and is known from now on.
async fn remembered(menu: &Menu, address: &str) -> Result<KnownPeer, Stop> {
    menu.run(words(&["peers", "add", "--", address])).await?;
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

/// Everybody but us who is not revoked.
pub(super) fn others(menu: &Menu) -> Result<Vec<KnownPeer>, Failure> {
    Ok(in_book(menu)?.0)
}

/// Everybody but us: those with whom something can be exchanged, and those that are revoked.
fn in_book(menu: &Menu) -> Result<(Vec<KnownPeer>, Vec<KnownPeer>), Failure> {
    let us = menu.context()?.session()?;
    let mut known = us.book.peers()?;
    known.extend(us.other_members()?);
    known.retain(|peer| peer.name != us.identity().name());
    let circle = us.circle().now();
    let is_live = |peer: &KnownPeer| !circle.is_key_revoked(&peer.peer_id);
    Ok(known.into_iter().partition(is_live))
}

fn label(peer: &KnownPeer) -> String {
    let shown = peer.shown();
    let address = peer
        .addresses
        .first()
        .map_or("no address yet", String::as_str);
    format!("{}  {}", Escaped::new(&shown), Escaped::new(address))
}

#[derive(Clone, Copy)]
enum What {
    List,
    Add,
    Check,
    Rename,
    Forget,
    Role,
    Block,
    Issue,
    Circle(circle::Way),
    Revoke,
}

/// What can be done with peers, and with the circle.
pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let holds_circle = menu.context()?.home.dir().ca_key().exists();
    let mut ways = vec![(What::List, "List"), (What::Add, "Add by its address")];
    let (live, revoked) = in_book(menu)?;
    if !live.is_empty() {
        ways.extend([
            (What::Check, "Check whether one answers"),
            (What::Rename, "Rename"),
            (What::Forget, "Forget"),
            (What::Role, "Role: what one may do here"),
            (What::Block, "Block: it may do nothing on this machine"),
        ]);
    } else if !revoked.is_empty() {
        ways.push((What::Forget, "Forget"));
    }
    if holds_circle {
        ways.push((
            What::Issue,
            "Certificates for a new machine, to carry there",
        ));
    }
    let circle = circle::ways(menu)?.into_iter();
    ways.extend(circle.map(|(way, label)| (What::Circle(way), label)));
    if holds_circle && !revoke::candidates(menu)?.is_empty() {
        ways.push((
            What::Revoke,
            "Revoke a machine that is lost: it is out of the circle, for good",
        ));
    }
    match way("Peers", &ways).await? {
        What::List => menu.show(words(&["peers", "list"])).await,
        What::Add => find(menu).await.map(drop),
        What::Check => {
            let peer = choose(menu, "Check whom?").await?;
            menu.run(words(&["peers", "check", "--", &peer])).await
        }
        What::Rename => rename(menu).await,
        What::Forget => forget(menu).await,
        What::Role => role(menu).await,
        What::Block => block(menu).await,
        What::Issue => issue(menu).await,
        What::Circle(way) => circle::go(menu, way).await,
        What::Revoke => revoke::run(menu).await,
    }
}

async fn rename(menu: &Menu) -> Result<(), Stop> {
    let old = known(menu, "Rename whom?").await?.called().to_owned();
    let taken: Vec<_> = others(menu)?
        .iter()
        .flat_map(|peer| [peer.name.clone(), peer.called().to_owned()])
        .chain([menu.context()?.session()?.identity().name().to_owned()])
        .filter(|name| *name != old)
        .collect();
    let check = move |text: &str| match check_name(text) {
        Ok(()) if taken.iter().any(|name| name == text.trim()) => {
            Err(format!("another machine is called {} already", text.trim()))
        }
        checked => checked,
    };
    let new = ask::proposed("Call it", Box::new(check), proposal).await?;
    let new = new.trim();
    menu.run(words(&["peers", "rename", "--", &old, new])).await
}

/// A name in the place of one that cannot be.
fn proposal(text: &str) -> Option<String> {
    match name_of(text) {
        Some(name) if name == text.trim() => name_of(&format!("{name}-2")),
        name => name,
    }
}

async fn forget(menu: &Menu) -> Result<(), Stop> {
    let (live, revoked) = in_book(menu)?;
    let labels = live.iter().map(label).chain(
        revoked
            .iter()
            .map(|peer| format!("{}  revoked", label(peer))),
    );
    let chosen = choose::one("Forget whom?", labels.collect()).await?;
    let chosen = live.iter().chain(&revoked).nth(chosen).ok_or(Stop::Back)?;
    let name = chosen.called().to_owned();
    if !ask::sure(&format!("Forget {name}?")).await? {
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
    terminal::say(revoke::INSTEAD);
    let prompt =
        format!("Block {name}? It may do nothing here any more, until it has another role");
    if !ask::sure(&prompt).await? {
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
    let text = text.trim();
    match is_new_peer_name(text) {
        true => Ok(()),
        false => Err(format!("{} is no name: {NAME_RULE}", Escaped::new(text))),
    }
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
