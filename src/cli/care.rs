//! What a person should know of certificates and revocations before it hurts: said by `serve`, `status` and the menu.

use super::{
    Context,
    doctor::{SOON_DAYS, days_left, merging, renewal},
    whom::nearest,
};
use crate::{
    manifest::Timestamp,
    tls::{CertsDir, Circle, Inspected, Renewed},
    trust::AddressBook,
};

/// What is wrong or will be soon, each with what to do. What cannot be read at all is for others to say.
pub(super) fn notices(context: &Context) -> Vec<String> {
    let dir = CertsDir::new(context.home.certs());
    let now = Timestamp::now();
    let mut notices = Vec::new();
    if let Ok(own) = Inspected::peer(&dir) {
        let ends = ending("the certificate", own.caller.not_after, now);
        notices.extend(ends.map(|what| format!("{what}; {}", renewal(&dir, Renewed::Peer))));
    }
    if let Ok(script) = Inspected::script(&dir) {
        let ends = ending("the certificate for scripts", script.caller.not_after, now);
        notices.extend(ends.map(|what| format!("{what}; {}", renewal(&dir, Renewed::Script))));
    }
    if let Ok(circle) = Circle::load(&dir) {
        notices.extend(
            circle
                .conflict()
                .map(|what| format!("{what}; {}", merging(&dir))),
        );
        notices.extend(about_list(&circle, now));
    }
    let book = AddressBook::new(dir.peers());
    let rules = context.config.peers.keys();
    notices.extend(rules.filter_map(|name| about_rule(&book, name)));
    notices
}

fn ending(what: &str, until: Timestamp, now: Timestamp) -> Option<String> {
    match days_left(until, now) {
        _ if until < now => Some(format!("{what} has expired ({until})")),
        days if days < SOON_DAYS => Some(format!("{what} (until {until}) ends soon")),
        _ => None,
    }
}

/// A rule that applies to nobody must not look as if it did.
fn about_rule(book: &AddressBook, name: &str) -> Option<String> {
    if book.by_name(name).ok()?.is_some() {
        return None;
    }
    let nearest = nearest(name, book.peers().ok()?);
    let nearest = nearest.map_or(String::new(), |near| format!("did you mean {near}? "));
    Some(format!(
        "[peers.{name}] in colis.toml applies to nobody who is known: no peer is called {name}; {nearest}see who is: colis peers"
    ))
}

fn about_list(circle: &Circle, now: Timestamp) -> Option<String> {
    let number = circle.crl_number();
    match circle.crl_next_update() {
        _ if circle.crl_pem().is_none() => Some(
            "there is no revocation list (certs/crl.pem): whoever was revoked would be let in until a member brings one; \
             fetch it: colis peers check PEER"
                .to_owned(),
        ),
        Some(next) if next < now => Some(format!(
            "revocation list {number} is past its date ({next}); it still applies, but what was revoked since is not known \
             here; start the circle's machine and reach it: colis peers check PEER"
        )),
        _ => None,
    }
}
