//! What is said of peers that are connected to.

use super::{brief, serve};
use crate::{cli::output::Output, name::Escaped, session::Event};

/// Says the events of connecting.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Remembered {
            name,
            peer_id,
            address,
        } => output.talk(format!(
            "{address} is {}, peer {}; remembered",
            Escaped::new(name),
            brief::id(peer_id)
        )),
        Event::NotRemembered { address, reason } => output.warn(format!(
            "colis: {address} is not remembered: {}",
            Escaped::new(reason)
        )),
        Event::Moved { name, address } => output.talk(format!(
            "{} is at {address} now; remembered",
            Escaped::new(name)
        )),
        Event::NameMoved { name, from, to } => {
            let shown = Escaped::new(name);
            let (from, to) = (brief::id(from), brief::id(to));
            output.warn(format!(
                "the name {shown} belongs to peer {to} now: peer {from}, which had it, is revoked; no role, right or \
                 [peers.{shown}] of the former counts for it, until you say so: colis peers add {shown}"
            ));
        }
        Event::Impostor {
            name,
            address,
            reason,
        } => output.warn(format!(
            "{address} says that it is {}, and is not: {}",
            Escaped::new(name),
            Escaped::new(reason)
        )),
        Event::RefusedThere {
            name,
            address,
            reason,
        } => output.warn(format!(
            "{} announces itself at {address}: {}",
            Escaped::new(name),
            Escaped::new(reason)
        )),
        Event::Recorded { name } => output.warn(format!(
            "{} was on no record here, and is recorded now: was this home restored?",
            Escaped::new(name)
        )),
        Event::Without { peer, reason } => output.warn(format!(
            "without {}: {}",
            Escaped::new(peer),
            Escaped::new(reason)
        )),
        _ => serve::say(output, event),
    }
}
