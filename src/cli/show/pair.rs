//! What is said while two machines pair.

use super::brief;
use crate::{
    cli::output::Output,
    name::Escaped,
    session::{
        Event,
        certs::MadePeer,
        pair::{ITS_INTERFACE, JoinedCircle, NotPaired, PairedPeer, ShownCode},
    },
};

/// Says the events of pairing.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Code(shown) => code(output, shown),
        Event::Inviter { name, address } => {
            output.talk(format!("{name} shows a code at {address}"));
        }
        Event::Called {
            wanted,
            name,
            taken,
        } => output.talk(match taken {
            true => format!("{wanted} is taken there: this machine is called {name}"),
            false => format!("{} is called {name}", Escaped::new(wanted)),
        }),
        Event::WrongCode { from, left, tries } => output.warn(format!(
            "a wrong code was tried from {from} ({left} of {tries} tries left)"
        )),
        Event::NotPaired(not_paired) => output.warn(in_vain(not_paired)),
        Event::TakenBack { name } => output.warn(format!(
            "{} did not say that it has its certificates, so they are revoked again",
            Escaped::new(name)
        )),
        Event::Paired(paired) => say_paired(output, paired),
        Event::Joined(joined) => say_joined(output, joined),
        _ => {}
    }
}

/// Tells that the first of two new machines has made the circle.
pub(in crate::cli) fn made_circle(output: Output, made: MadePeer) {
    output.talk(format!(
        "made a circle; this machine is {}, its certificates are in {}",
        made.name, made.folder
    ));
    output.event(&Event::Made(made));
}

/// Says the code, and what to type where.
fn code(output: Output, shown: &ShownCode) {
    output.talk("On the new machine type:");
    for way in shown.hosts.iter().chain(&shown.name) {
        output.line(format!("  colis pair {way}"));
    }
    let is_scoped = |host: &String| host.contains(ITS_INTERFACE);
    if shown.hosts.iter().any(is_scoped) {
        output.talk(format!(
            "with its network interface for {ITS_INTERFACE}, for instance eth0,"
        ));
    }
    output.talk("and then the code:");
    output.line(format!("  {}", shown.code));
    let (minutes, tries) = (shown.seconds.div_ceil(60), shown.tries);
    output.talk(format!(
        "It counts for one machine, {minutes} minutes and {tries} tries. Ctrl-C ends it."
    ));
    let port = shown.port;
    output.talk(match shown.serving_port {
        Some(serving) => format!(
            "A firewall here must let TCP port {port} pass for this, and {serving} for what is sent to this machine."
        ),
        None => format!("A firewall here must let TCP port {port} pass for this."),
    });
}

fn in_vain(not_paired: &NotPaired) -> String {
    let NotPaired { from, reason, more } = not_paired;
    match (from, reason, more) {
        (Some(from), Some(reason), _) => {
            format!("{from} came and did not join: {}", Escaped::new(reason))
        }
        _ => format!("{} more came and did not join", more.unwrap_or(1)),
    }
}

fn say_paired(output: Output, paired: &PairedPeer) {
    let peer = &paired.peer;
    let name = Escaped::new(&peer.name);
    let address = peer.addresses.first();
    let address = address.map_or("no address yet", String::as_str);
    output.line(format!("{name}  {}  {address}", brief::id(peer.peer_id)));
    let from = paired.from;
    output.talk(format!("{name} has joined from {from}"));
}

fn say_joined(output: Output, joined: &JoinedCircle) {
    let (name, id, folder) = (&joined.name, brief::id(joined.peer_id), &joined.folder);
    output.line(format!("{name}  {id}  {folder}"));
    if let Some(left) = &joined.left {
        output.talk(format!(
            "the circle that this machine had alone was left; its keys are in {left}"
        ));
    }
    if !joined.rules.is_empty() {
        output.warn(format!(
            "the rules of colis.toml stay, and count for whoever is called so in this circle: {}",
            Escaped::new(&joined.rules.join(", "))
        ));
    }
    let issuer = Escaped::new(&joined.issuer);
    output.talk(format!("joined the circle of {issuer}"));
}
