//! What a person should know of certificates and revocations before it hurts: said by `serve`, `status` and the menu.

use std::fmt::{self, Display};

use serde::Serialize;

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

/// Something to know of this peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Notice {
    /// What it is about, for programs: never renamed.
    pub(super) code: &'static str,
    /// Whether somebody should do something about it.
    pub(super) care: bool,
    /// What is so, and what to do.
    pub(super) text: String,
}

impl Notice {
    /// Something to be done.
    pub(super) fn care(code: &'static str, text: impl Display) -> Self {
        let text = text.to_string();
        Self {
            code,
            care: true,
            text,
        }
    }

    /// Something to know.
    pub(super) fn note(code: &'static str, text: impl Display) -> Self {
        Self {
            care: false,
            ..Self::care(code, text)
        }
    }
}

impl Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is wrong or will be soon, each with what to do. What cannot be read at all is for others to say.
pub(super) fn notices(context: &Context) -> Vec<Notice> {
    let dir = CertsDir::new(context.home.certs());
    let now = Timestamp::now();
    let mut notices = Vec::new();
    if let Ok(own) = Inspected::peer(&dir) {
        let codes = ["certificate-expired", "certificate-expiring"];
        let todo = renewal(&dir, Renewed::Peer);
        notices.extend(ending(
            codes,
            "the certificate",
            own.caller.not_after,
            now,
            &todo,
        ));
    }
    if let Ok(script) = Inspected::script(&dir) {
        let codes = ["script-expired", "script-expiring"];
        let (what, until) = ("the certificate for scripts", script.caller.not_after);
        let todo = renewal(&dir, Renewed::Script);
        notices.extend(ending(codes, what, until, now, &todo));
    }
    if let Ok(circle) = Circle::load(&dir) {
        notices.extend(circle.conflict().map(|what| {
            let text = format!("{what}; {}", merging(&dir));
            Notice::care("lists-contradict", text)
        }));
        notices.extend(about_list(&circle, now));
    }
    let book = AddressBook::new(dir.peers());
    let rules = context.config.peers.keys();
    notices.extend(rules.filter_map(|name| about_rule(&book, name)));
    notices
}

/// `codes` are for what is over and what ends soon.
fn ending(
    codes: [&'static str; 2],
    what: &str,
    until: Timestamp,
    now: Timestamp,
    todo: &str,
) -> Option<Notice> {
    let [expired, expiring] = codes;
    match days_left(until, now) {
        _ if until < now => Some(Notice::care(
            expired,
            format!("{what} has expired ({until}); {todo}"),
        )),
        days if days < SOON_DAYS => Some(Notice::care(
            expiring,
            format!("{what} (until {until}) ends soon; {todo}"),
        )),
        _ => None,
    }
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
    Some(Notice::care("rule-unknown", text))
}

fn about_list(circle: &Circle, now: Timestamp) -> Option<Notice> {
    let number = circle.crl_number();
    match circle.crl_next_update() {
        _ if circle.crl_pem().is_none() => Some(Notice::care(
            "list-missing",
            "there is no revocation list (certs/crl.pem): whoever was revoked would be let in until a member brings one; \
             fetch it: colis peers check PEER",
        )),
        Some(next) if next < now => Some(Notice::care(
            "list-past",
            format!(
                "revocation list {number} is past its date ({next}); it still applies, but what was revoked since is not known \
             here; start the circle's machine and reach it: colis peers check PEER"
            ),
        )),
        _ => None,
    }
}
