//! Events in words: the one place that says to a person what happened.

pub(super) mod brief;
mod certs;
mod connect;
pub(super) mod delete;
mod doctor;
mod home;
pub(super) mod pair;
pub(super) mod peers;
pub(super) mod receive;
pub(super) mod send;
pub(super) mod serve;
mod store;
pub(super) mod table;

use super::{list, output::Output};
use crate::{
    config::units::{Size, count},
    name::Escaped,
    session::Event,
    transfer::Share,
};

/// Tells programs, or says it to the person.
pub(super) fn tell(output: Output, event: &Event) {
    match output.json {
        true => output.event(event),
        false => say(output, event),
    }
}

/// Says it to the person. Each file says the events of one kind, and leaves the others to the next.
fn say(output: Output, event: &Event) {
    match event {
        Event::ListCut { count: listed } => output.warn(format!(
            "the list goes on after {}: those that follow are left out; name one by its whole id",
            count(*listed, "transfer", "transfers")
        )),
        Event::ChunksCut { pages } => output.warn(format!(
            "the list goes on after {pages} pages: the chunks that follow are not shown"
        )),
        Event::Transfer(row) => output.row(list::row(row)),
        Event::Chunk(chunk) => output.row(list::chunk(chunk)),
        Event::Source(share) => source(output, share),
        _ => send::say(output, event),
    }
}

/// How much a source gave, or why it was given up.
fn source(output: Output, share: &Share) {
    let name = Escaped::new(&share.name);
    if let Some(why) = &share.dropped {
        output.warn(format!("{name} was given up: {}", Escaped::new(why)));
    }
    if share.chunks > 0 {
        let chunks = count(share.chunks, "chunk", "chunks");
        output.talk(format!("{chunks} ({}) from {name}", Size(share.bytes)));
    }
}
