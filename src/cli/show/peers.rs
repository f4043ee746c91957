//! What is said of the peers that are known, and of those that are seen.

use std::collections::BTreeSet;

use super::{
    brief, certs,
    table::{Cell, Row},
};
use crate::{
    address::PeerAddress,
    cli::output::Output,
    name::Escaped,
    session::{Event, PeerHealth, PeerRow, RightsRow, RoleRow, SeenRow},
    trust::Right,
};

/// Says the events of the address book.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Peer(peer) => output.row(row(peer)),
        Event::Seen(row) if row.known => output.line(answer(row)),
        Event::Seen(row) => output.line(unknown(row, &what_to_do(row))),
        Event::Role(row) => output.line(role(row)),
        Event::Rights(row) => output.line(rights(row)),
        Event::Health(answer) => output.line(health(answer)),
        Event::Forgotten { name } => output.talk(format!(
            "forgot {}; its certificate still counts, see `colis certs revoke`, and so does its role",
            Escaped::new(name)
        )),
        _ => certs::say(output, event),
    }
}

/// Tells of a peer that is seen from a home without a certificate, where there is only one thing to do.
pub(in crate::cli) fn before_joining(output: Output, row: SeenRow) {
    let address = row.addresses.first();
    let address = address.and_then(|address| address.parse::<PeerAddress>().ok());
    let host = address.map_or("HOST".to_owned(), |address| address.bare_host());
    output.line(unknown(&row, &format!("not known: colis pair {host}")));
    output.event(&Event::Seen(row));
}

fn row(peer: &PeerRow) -> Row {
    let scripts = match peer.script_role == peer.role || peer.revoked {
        true => String::new(),
        false => format!(", its scripts {}", peer.script_role),
    };
    let rights = match peer.rights.is_empty() || peer.revoked {
        true => String::new(),
        false => format!(", {}", list(&peer.rights)),
    };
    let addresses = match peer.addresses.as_slice() {
        // Where this one serves is not in its own book.
        [] if peer.is_self => String::new(),
        [] => "no address yet".to_owned(),
        known => known.join(", "),
    };
    let me = if peer.is_self { " (this peer)" } else { "" };
    let name = peer.shown();
    let name = Escaped::new(&name);
    let role = match peer.revoked {
        true => "revoked".to_owned(),
        false => peer.role.to_string(),
    };
    let seen = match peer.in_directory {
        true => "by the circle's directory".to_owned(),
        false if peer.is_self => String::new(),
        false => format!("seen {}", brief::time(peer.seen)),
    };
    Row(vec![
        Cell::Names(format!("{name}{me}")),
        Cell::Id(peer.peer_id.to_string()),
        Cell::Names(format!("{role}{scripts}{rights}")),
        Cell::Names(Escaped::new(&addresses).to_string()),
        Cell::Word(seen),
    ])
}

fn role(row: &RoleRow) -> String {
    let (id, role) = (brief::id(row.peer_id), row.role);
    match &row.peer {
        None => format!("(not known)  {id}  {role}"),
        Some(peer) if row.script => format!("scripts of {}: {role}", Escaped::new(peer)),
        Some(peer) => format!("{}: {role}", Escaped::new(peer)),
    }
}

fn rights(row: &RightsRow) -> String {
    let who = match &row.peer {
        None => format!("(not known)  {} ", brief::id(row.peer_id)),
        Some(peer) => format!("{}:", Escaped::new(peer)),
    };
    match row.rights.is_empty() {
        true => format!("{who} no rights"),
        false => format!("{who} {}", list(&row.rights)),
    }
}

fn list(rights: &BTreeSet<Right>) -> String {
    let rights: Vec<_> = rights.iter().map(Right::as_str).collect();
    rights.join(", ")
}

fn health(answer: &PeerHealth) -> String {
    let status = format!("{:?}", answer.health.status).to_lowercase();
    let version = Escaped::new(&answer.health.version);
    format!("{} answers: {status}, colis {version}", answer.address)
}

fn answer(row: &SeenRow) -> String {
    match (&row.reachable, &row.reason) {
        (Some(address), _) => format!("  reachable at {}", Escaped::new(address)),
        (None, reason) => {
            let reason = reason.as_deref().unwrap_or_default();
            format!("  not reachable: {}", Escaped::new(reason))
        }
    }
}

fn what_to_do(row: &SeenRow) -> String {
    match (row.name_taken, row.addresses.first()) {
        (true, _) => format!("not the {} that is known here", Escaped::new(&row.name)),
        (false, Some(address)) => format!("not known: colis peers add {address}"),
        (false, None) => "not known".to_owned(),
    }
}

fn unknown(row: &SeenRow, what: &str) -> String {
    format!(
        "{}  {}  {}  {what}",
        Escaped::new(&row.name),
        brief::id(row.peer_id),
        row.addresses.join(", ")
    )
}
