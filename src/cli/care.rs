//! What a person should know of this home before it hurts: said by `serve`, `status` and the menu.

use super::{Context, output::Output};
use crate::{
    manifest::Timestamp,
    peer::{self, Elsewhere, Notice},
    private,
    session::nearest,
    tls::{CertsDir, Endings},
    trust::AddressBook,
};

/// Everybody but the owner and the group.
const EVERYBODY: u32 = 0o002;

/// What to do about a home that may be served twice.
pub(super) const ONE_HOME: &str =
    "serve it on one machine only, see docs/operating.md; if it was a clock, all is well again";

/// What is wrong or will be soon, each with what to do. What cannot be read at all is for others to say.
pub(super) fn notices(context: &Context) -> Vec<Notice> {
    let dir = CertsDir::new(context.home.certs());
    let now = Timestamp::now();
    let mut notices = peer::notices(&dir, &Endings::read(&dir), now);
    notices.extend(settings(context));
    notices
}

/// What is wrong with the settings and with who may write them. A peer that serves finds out the rest by itself.
pub(super) fn settings(context: &Context) -> Vec<Notice> {
    let book = AddressBook::new(CertsDir::new(context.home.certs()).peers());
    let rules = context.config.peers.keys();
    let rules = rules.filter_map(|name| about_rule(&book, name));
    let copies = copies(context).into_iter();
    writable(context)
        .into_iter()
        .chain(copies)
        .chain(rules)
        .collect()
}

/// Signs that this home is served elsewhere too.
fn copies(context: &Context) -> Vec<Notice> {
    let now = Timestamp::now();
    let copied = context.home.copied(now).map(|at| format!(
        "this home is a copy, or was moved here ({at}): no other machine may serve it any more, see docs/operating.md"
    ));
    let elsewhere = Elsewhere::of_late(&CertsDir::new(context.home.certs()), now);
    let elsewhere = elsewhere.map(|note| format!("{}; {ONE_HOME}", note.meaning()));
    let copied = copied.map(|text| Notice::note("home-copied", text));
    let elsewhere = elsewhere.map(|text| Notice::care("served-twice", text));
    copied.into_iter().chain(elsewhere).collect()
}

/// What everybody can write beside `certs/`. A home that is shared by mistake goes on: its certificates are checked for themselves.
pub(super) fn writable(context: &Context) -> Vec<Notice> {
    let paths = [context.home.root().to_owned(), context.home.config()];
    let written = paths.into_iter().filter_map(|path| {
        let mode = private::mode_if_written_by(EVERYBODY, &path).ok()??;
        let path = path.display();
        let text = format!(
            "{path} can be written by everybody (mode {mode:o}), who could replace what is in it: chmod go-w {path}"
        );
        Some(Notice::care("written-by-everybody", text))
    });
    written.collect()
}

/// Says a notice of a peer that serves. The log has those of certificates, and is on standard error too.
pub(super) fn tell(output: Output, notice: &Notice) {
    output.object("notice", notice);
}

/// A rule that applies to nobody must not look as if it did.
fn about_rule(book: &AddressBook, name: &str) -> Option<Notice> {
    if book.by_name(name).ok()?.is_some() {
        return None;
    }
    let nearest = nearest(name, book.peers().ok()?);
    let nearest = nearest.map_or(String::new(), |near| format!("did you mean {near}? "));
    let text = format!(
        "[peers.{name}] in colis.toml applies to nobody who is known: no peer is called {name}; {nearest}see who is: colis peers"
    );
    Some(Notice::care("rule-for-nobody", text))
}
