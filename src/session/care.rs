//! What a person should know of this home before it hurts: said by `serve`, `status` and the menu.

use std::path::{Path, PathBuf};

use super::{Home, damage::damages, nearest};
use crate::{
    config::Config,
    disk::{Lack, lacks},
    manifest::Timestamp,
    name::shell_word,
    peer::{self, Elsewhere, Notice},
    private,
    tls::{self, CertsDir, Circle, CircleHandle, Endings},
    trust::AddressBook,
};

/// Everybody but the owner and the group.
const EVERYBODY: u32 = 0o002;

/// What to do about a home that may be served twice.
pub(crate) const ONE_HOME: &str =
    "serve it on one machine only, see docs/operating.md; if it was a clock, all is well again";

/// What to do where a home has no keys.
pub(crate) const NO_HOME: &str = "is its disk mounted? For a new home: colis certs init --name NAME, or to join a circle: colis pair";

/// Less than this to write is worth a word.
pub(crate) const LITTLE: u64 = 1 << 30;

/// What to do about a store that was moved while it is in use.
pub(crate) const MOVED: &str = "move it back, or restart the peer";

/// What is wrong or will be soon, each with what to do. What cannot be read at all is for others to say.
pub fn notices(home: &Home, config: &Config) -> Vec<Notice> {
    of(home, config, &Endings::read(&home.dir()))
}

/// The same of a home whose certificates end then.
pub(super) fn of(home: &Home, config: &Config, endings: &Endings) -> Vec<Notice> {
    let dir = home.dir();
    let mut notices = peer::notices(&dir, endings, Timestamp::now());
    notices.extend(settings(home, config));
    notices
}

/// What is wrong with the settings and with who may write them. A peer that serves finds out the rest by itself.
pub fn settings(home: &Home, config: &Config) -> Vec<Notice> {
    let dir = home.dir();
    let book = AddressBook::new(dir.peers());
    let rules = config.peers.keys();
    let rules = rules.filter_map(|name| about_rule(&dir, &book, name));
    let copies = copies(home).into_iter();
    let unused = unused_settings(home, config);
    writable(home)
        .into_iter()
        .chain(unused)
        .chain(damages(home).into_iter().map(Notice::from))
        .chain(copies)
        .chain(rules)
        .collect()
}

/// What is said of an outside authority in a home that has a circle's own.
fn unused_settings(home: &Home, config: &Config) -> Option<Notice> {
    let is_unused = config.tls.is_some() && home.dir().outside().is_none() && !home.is_new();
    is_unused.then(|| {
        Notice::care(
            "tls-settings-unused",
            "[tls] in colis.toml does not count: the authority of this home is the circle's own; remove it, or leave the circle \
             and import certificates of that authority: colis certs leave, then colis certs import",
        )
    })
}

/// Signs that this home is served elsewhere too.
fn copies(home: &Home) -> Vec<Notice> {
    let now = Timestamp::now();
    let copied = home.copied(now).map(|at| format!(
        "this home is a copy, or was moved here ({at}): no other machine may serve it any more, see docs/operating.md"
    ));
    let elsewhere = Elsewhere::of_late(&home.dir(), now);
    let elsewhere = elsewhere.map(|note| format!("{}; {ONE_HOME}", note.meaning()));
    let copied = copied.map(|text| Notice::note("home-copied", text));
    let elsewhere = elsewhere.map(|text| Notice::care("served-twice", text));
    copied.into_iter().chain(elsewhere).collect()
}

/// What everybody can write beside `certs/`. A home that is shared by mistake goes on: its certificates are checked for themselves.
pub(crate) fn writable(home: &Home) -> Vec<Notice> {
    let paths = [home.root().to_owned(), home.config()];
    let written = paths.into_iter().filter_map(|path| {
        let mode = private::mode_if_written_by(EVERYBODY, &path).ok()??;
        let (shown, path) = (path.display(), shell_word(&path));
        let text = format!(
            "{shown} can be written by everybody (mode {mode:o}), who could replace what is in it: chmod go-w {path}"
        );
        Some(Notice::care("written-by-everybody", text))
    });
    written.collect()
}

/// A rule that applies to nobody must not look as if it did.
fn about_rule(dir: &CertsDir, book: &AddressBook, name: &str) -> Option<Notice> {
    match book.by_name(name).ok()? {
        Some(known) if known.moved.is_some() && known.name == name => {
            let text = format!(
                "[peers.{name}] in colis.toml does not count: another machine is called {name} now, for the former was revoked; if it \
                 shall: colis peers add {name}"
            );
            return Some(Notice::care("rule-of-former", text));
        }
        Some(_) => return None,
        None if is_member(dir, name) => return None,
        None => {}
    }
    let nearest = nearest(name, book.peers().ok()?);
    let nearest = nearest.map_or(String::new(), |near| format!("did you mean {near}? "));
    let text = format!(
        "[peers.{name}] in colis.toml applies to nobody who is known: no peer is called {name}; {nearest}see who is: colis peers"
    );
    Some(Notice::care("rule-for-nobody", text))
}

/// Whether the circle's directory has a member of this name.
fn is_member(dir: &CertsDir, name: &str) -> bool {
    let circle = Circle::load(dir).map(CircleHandle::new);
    let member = circle.and_then(|circle| tls::member_called(dir, &circle, name));
    member.is_ok_and(|member| member.is_some())
}

/// What `command` cannot mend of the mode of `path`, because the file system keeps none; else `command`.
pub(crate) fn unless_without_modes(path: &Path, command: String) -> String {
    let folder = path.parent().unwrap_or(path);
    match lacks(folder).is_ok_and(|lacks| lacks.contains(&Lack::Modes)) {
        false => command,
        true => format!(
            "the file system of {} keeps no modes, so chmod changes nothing there: keep the home on another (--home), such \
             as ext4, or mount that one for yourself alone (umask=077)",
            folder.display()
        ),
    }
}

/// A peer serves a store that was moved away `from` there.
pub(crate) fn moved(from: &Path) -> String {
    let from = from.display();
    format!(
        "a peer serves this store as {from}, which does not lead to it any more: it stores nothing"
    )
}

/// The folder at `path`, or the nearest above that is there.
pub(crate) fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|path| path.is_dir());
    found.unwrap_or(Path::new("/")).to_owned()
}
