//! What the owner of a home should know of its certificates before it hurts, each with what to do.

use std::{
    borrow::Cow,
    fmt::{self, Display},
};

use serde::{Deserialize, Serialize};

use super::SaidRevoked;
use crate::{
    id::{PeerId, Short as _},
    manifest::Timestamp,
    name::shell_word,
    tls::{
        self, Begins, CertsDir, Circle, Endings, Inspected, Renewed, TlsError, ca, days_left,
        load_directory,
    },
    trust::{AddressBook, is_peer_name},
};

/// Days before the end of the circle's own certificate from which that is worth a word: members that meet seldom take the new
/// one too.
const CIRCLE_DAYS: i64 = 365;

/// What to do about a certificate that ends with the circle's.
const WITH_THE_CIRCLE: &str = "the circle's own certificate, with which it ends, is renewed first";

/// What to do about the folder of another circle in `certs/`.
pub const MOVE_OUT: &str =
    "move it back to left/; to use it, leave this circle first: colis certs leave";

/// What to do where our certificate is revoked.
const REVOKED: &str =
    "no member accepts it; to come in again as another peer: colis certs leave, then pair";
const REVOKED_OUTSIDE: &str = "no member accepts it; to come in again as another peer: colis certs leave, then colis certs import, with \
     another key";

/// Something for the owner to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is about, for programs: never renamed.
    pub code: Cow<'static, str>,
    /// Whether the owner should do something about it.
    pub care: bool,
    /// What is so, and what to do.
    pub text: String,
}

/// What is about a certificate of this peer or of its scripts.
const OF_OWN: [&str; 4] = [SOON, OVER, SCRIPTS_SOON, SCRIPTS_OVER];
const EARLY: &str = "certificate-not-yet-valid";
const EARLY_LIST: &str = "revocation-list-not-yet-valid";
const SOON: &str = "certificate-ends-soon";
const OVER: &str = "certificate-expired";
const SCRIPTS_SOON: &str = "scripts-certificate-ends-soon";
const SCRIPTS_OVER: &str = "scripts-certificate-expired";

impl Notice {
    /// Whether it is about a certificate of this peer or of its scripts, which is renewed by itself if it can be.
    pub(super) fn is_of_own_certificate(&self) -> bool {
        OF_OWN.contains(&&*self.code)
    }

    /// Something to be done.
    pub fn care(code: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            code: code.into(),
            care: true,
            text,
        }
    }

    /// Something to know.
    pub fn note(code: &'static str, text: impl Into<String>) -> Self {
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

/// What is wrong or will be soon with the certificates in `dir`, which end then. What cannot be read at all is for others to
/// say.
pub fn notices(dir: &CertsDir, endings: &Endings, now: Timestamp) -> Vec<Notice> {
    // No longer than the circle's own: renewing it alone would change nothing.
    let is_last = |end| {
        endings
            .circle
            .is_some_and(|circle| circle <= end || circle < now)
    };
    // Scripts have theirs by way of the peer's: where that is renewed no more, theirs is not either.
    let peers_end = endings.certificate;
    let is_lost = |end: &Timestamp| {
        now > ca::last_renewal(*end) && !dir.ca_key().exists() && dir.outside().is_none()
    };
    let peers_end = peers_end.filter(is_lost);
    let lost = peers_end.map(|end| after_the_end(dir, Renewed::Peer, end, now));
    let about_own = |which, end: Option<Timestamp>| match end {
        Some(end) if is_last(end) => about_own(dir, which, end, now, Some(WITH_THE_CIRCLE)),
        Some(end) => about_own(dir, which, end, now, lost.as_deref()),
        None => None,
    };
    let own = about_own(Renewed::Peer, endings.certificate);
    let script = about_own(Renewed::Script, endings.scripts_certificate);
    let circle = endings.circle.and_then(|end| about_circle(dir, end, now));
    let list = endings.circle.and_then(|_| about_list(dir, endings, now));
    let conflict = endings.conflict.as_ref().map(|conflict| {
        let text = format!("{conflict}; {}", merging(dir));
        Notice::care("lists-contradict", text)
    });
    // First what everything else waits for.
    let all = [circle, own, script, list, conflict];
    let early = not_yet(dir, &endings.begins, now);
    let unusable = unusable(dir);
    all.into_iter()
        .flatten()
        .chain(early)
        .chain(unusable)
        .collect()
}

/// Files that serving does without, and something else cannot.
fn unusable(dir: &CertsDir) -> impl Iterator<Item = Notice> {
    let key = ca::key_fault(dir).map(|error| {
        let text = format!("the circle's key cannot be used: {error}; restore it from a backup");
        Notice::care("circle-key-unusable", text)
    });
    let script = Inspected::script(dir).err();
    let script = script.filter(|_| dir.client_cert().exists() || dir.client_key().exists());
    let script = script.map(|error| {
        let text = format!(
            "curl and scripts cannot call: {error}; restore client-cert.pem and client-key.pem from one folder"
        );
        Notice::care("scripts-certificate-unusable", text)
    });
    let nested = tls::nested(dir).map(|nested| {
        let text = format!("{}; {MOVE_OUT}", holds_another(&nested));
        Notice::care("certs-nested", text)
    });
    let again = match dir.outside() {
        Some(_) => REVOKED_OUTSIDE,
        None => REVOKED,
    };
    let revoked = tls::is_known_revoked(dir).then(|| {
        let text = format!("the certificate of this peer is revoked: {again}");
        Notice::care("certificate-revoked", text)
    });
    let said = said_revoked(dir).filter(|_| revoked.is_none());
    let said = said.map(|said| {
        let text = format!("{}; if it is so, {again}", said.meaning());
        Notice::care("certificate-said-revoked", text)
    });
    let directory = directory_fault(dir).map(|error| {
        let text = format!(
            "the circle's directory cannot be used: {error}; {}",
            moving_directory(dir)
        );
        Notice::care("directory-unusable", text)
    });
    let certificates = key.into_iter().chain(script).chain(nested);
    let certificates = certificates.chain(revoked).chain(said);
    certificates.chain(directory).chain(second_keys(dir))
}

/// The names of an outside authority that a second key has shown.
fn second_keys(dir: &CertsDir) -> impl Iterator<Item = Notice> + use<> {
    let second = AddressBook::new(dir.peers()).second_keys();
    let second = second.unwrap_or_default().into_iter();
    second.map(|second| Notice::care("second-key", second_key(&second)))
}

/// That a second key has shown a name, and what to do.
pub(crate) fn second_key((name, pinned, second): &(String, PeerId, PeerId)) -> String {
    format!(
        "a second key showed the name {name} and was refused: it belongs to peer {}, and peer {} showed it; if that machine has a \
         new key: colis peers forget {name}; if not, the authority gave its name to somebody else",
        pinned.short(),
        second.short()
    )
}

/// Who has said of late that this peer is revoked.
pub(crate) fn said_revoked(dir: &CertsDir) -> Option<SaidRevoked> {
    let us = Inspected::peer(dir).ok()?.caller.peer_id;
    SaidRevoked::of_late(dir, us, Timestamp::now())
}

/// That `certs/` has the folder of another circle in it.
pub fn holds_another(nested: &CertsDir) -> String {
    let folder = nested.path().display();
    format!(
        "{folder} is another circle's folder, which was moved in beside the files of this one and is not in use"
    )
}

/// Why the directory in `dir` cannot be used, if it is there. What is wrong with the circle itself is said elsewhere.
pub(crate) fn directory_fault(dir: &CertsDir) -> Option<TlsError> {
    load_directory(dir, &Circle::load(dir).ok()?).err()
}

/// What to do about a directory that cannot be used.
pub(crate) fn moving_directory(dir: &CertsDir) -> String {
    let path = shell_word(dir.directory());
    let next = match dir.ca_key().exists() {
        true => "this machine signs a new one",
        false => "a newer one comes from the members",
    };
    format!("move it away, {next}: mv {path} {path}.bad")
}

/// What begins later than now. A clock is wrong then, this one or that of the circle's machine when it was made.
fn not_yet(dir: &CertsDir, begins: &Begins, now: Timestamp) -> impl Iterator<Item = Notice> {
    let all = [
        (EARLY, "the certificate counts from", begins.certificate),
        (
            "scripts-certificate-not-yet-valid",
            "the certificate for scripts counts from",
            begins.scripts_certificate,
        ),
        (
            "circle-not-yet-valid",
            "the circle's own certificate counts from",
            begins.circle,
        ),
        (
            EARLY_LIST,
            "the revocation list, which applies all the same, is dated",
            begins.revocation_list,
        ),
    ];
    let early = all.into_iter().filter_map(move |(code, what, begin)| {
        Some((code, what, begin.filter(|begin| *begin > now)?))
    });
    let list = early_list(dir);
    early.map(move |(code, what, begin)| {
        let then = match code {
            EARLY_LIST => format!("; if both are right now, {list}"),
            _ => String::new(),
        };
        let (begin, now) = (begin.for_clocks(), now.for_clocks());
        let text = format!(
            "{what} {begin}, and the clock here says {now}: set the clock that is wrong, here or on the circle's machine \
             (timedatectl set-ntp true){then}"
        );
        Notice::care(code, text)
    })
}

/// What ends it that the revocation list was signed by a clock that was ahead.
pub fn early_list(dir: &CertsDir) -> &'static str {
    if dir.outside().is_some() {
        return "the authority has signed it with a clock that is ahead: put a newer one in its place";
    }
    match dir.ca_key().exists() {
        true => "the list is signed again when this home is served: colis serve",
        false => {
            "the circle's machine signs it again when it is served (there: colis serve); then here: colis peers check PEER"
        }
    }
}

/// What follows from a revocation list past its date, and what to do.
pub fn old_list(dir: &CertsDir) -> &'static str {
    if dir.outside().is_some() {
        return ", but what was revoked since is not known here; put the newest lists of the authority in its place";
    }
    match dir.ca_key().exists() {
        true => ", and is signed again when this home is served: colis serve",
        false => {
            ", but what was revoked since is not known here; start the circle's machine and reach it: colis peers check PEER"
        }
    }
}

fn about_own(
    dir: &CertsDir,
    which: Renewed,
    end: Timestamp,
    now: Timestamp,
    todo: Option<&str>,
) -> Option<Notice> {
    let (what, soon, over) = match which {
        Renewed::Peer => ("the certificate", SOON, OVER),
        Renewed::Script => ("the certificate for scripts", SCRIPTS_SOON, SCRIPTS_OVER),
    };
    if end < now {
        let todo = todo.map_or_else(|| after_the_end(dir, which, end, now), str::to_owned);
        return Some(Notice::care(
            over,
            format!("{what} expired on {end}; {todo}"),
        ));
    }
    let is_soon = days_left(end, now) < ca::RENEW_DAYS.cast_signed();
    is_soon.then(|| {
        let todo = todo.map_or_else(|| renewal(dir, which), str::to_owned);
        Notice::care(soon, format!("{what} (until {end}) ends soon; {todo}"))
    })
}

/// What to do about a certificate of this home that ended at `end`.
pub fn after_the_end(dir: &CertsDir, which: Renewed, end: Timestamp, now: Timestamp) -> String {
    if dir.outside().is_some() {
        return renewal(dir, which);
    }
    let grace = ca::last_renewal(end);
    match which {
        Renewed::Peer if now > grace && !dir.ca_key().exists() => {
            let name = Inspected::peer(dir).ok().map(|own| own.caller.name);
            let name = name.filter(|name| is_peer_name(name));
            let name = name.as_deref().unwrap_or("NAME");
            format!(
                "it could be renewed until {grace}. On the circle's machine: colis certs revoke {name}, then colis pair; here: colis \
                 certs leave, then colis pair HOST. It becomes another peer; the old keys stay, and open what was sealed for them"
            )
        }
        Renewed::Peer if !dir.ca_key().exists() => {
            format!("{} (possible until {grace})", renewal(dir, which))
        }
        _ => renewal(dir, which),
    }
}

/// How a certificate of this home is renewed.
pub fn renewal(dir: &CertsDir, which: Renewed) -> String {
    let script = match which {
        Renewed::Peer => "",
        Renewed::Script => " --script",
    };
    if dir.outside().is_some() {
        return "the authority renews it for the same key; what to type: colis certs renew"
            .to_owned();
    }
    let ended = Endings::read(dir).circle;
    if ended.is_some_and(|end| end < Timestamp::now()) {
        return match dir.ca_key().exists() {
            true => format!(
                "renew the circle's own first: colis certs renew-circle; then this: colis certs renew{script}"
            ),
            false => WITH_THE_CIRCLE.to_owned(),
        };
    }
    match dir.ca_key().exists() || knows_maker(dir) {
        true => format!("renew it: colis certs renew{script}"),
        false => {
            format!(
                "renew it: colis certs renew{script} --from PEER, the machine that made the circle"
            )
        }
    }
}

/// What ends it that revocation lists contradict each other.
pub fn merging(dir: &CertsDir) -> &'static str {
    match dir.ca_key().exists() {
        true => "merge them into one list: colis peers check PEER, any member that answers",
        false => "start the circle's machine, and reach it once: colis peers check PEER",
    }
}

/// Whether it is known where the machine is that made the circle.
fn knows_maker(dir: &CertsDir) -> bool {
    let name = Circle::maker_of(dir).unwrap_or_default();
    let known = AddressBook::new(dir.peers()).by_certificate_name(&name);
    known.is_ok_and(|known| known.is_some_and(|known| !known.addresses.is_empty()))
}

fn about_circle(dir: &CertsDir, end: Timestamp, now: Timestamp) -> Option<Notice> {
    let CircleEnds { code, what, todo } = circle_ends(dir, end, now)?;
    Some(Notice::care(code, format!("{what}; {todo}")))
}

/// That the circle's own certificate ends soon, or has ended.
#[derive(Debug)]
pub struct CircleEnds {
    code: &'static str,
    /// What is so.
    pub what: String,
    /// What to do.
    pub todo: String,
}

/// Whether that is so of the circle of `dir`, whose certificate ends at `end`.
pub fn circle_ends(dir: &CertsDir, end: Timestamp, now: Timestamp) -> Option<CircleEnds> {
    let what = "the circle's own certificate";
    let todo = match dir.ca_key().exists() {
        _ if dir.outside().is_some() => {
            "the authority renews its own certificates; then on each machine: colis certs import --ca FILE".to_owned()
        }
        true => "renew it: colis certs renew-circle".to_owned(),
        false => "its owner renews it on the machine that made the circle: colis certs renew-circle; the others take it over from those that they meet: colis peers check PEER".to_owned(),
    };
    if end < now {
        return Some(CircleEnds {
            code: "circle-expired",
            what: format!("{what} expired on {end}, and with it every certificate"),
            todo,
        });
    }
    let is_soon = days_left(end, now) < CIRCLE_DAYS;
    is_soon.then(|| CircleEnds {
        code: "circle-ends-soon",
        what: format!("{what} ends on {end}, and every certificate with it"),
        todo,
    })
}

fn about_list(dir: &CertsDir, endings: &Endings, now: Timestamp) -> Option<Notice> {
    match endings.revocation_list {
        // None was ever asked for, or it has no date.
        None if dir.outside().is_some() => (!dir.crl().exists()).then(|| {
            Notice::note(
                "no-revocation-list",
                "no revocation list of the authority is here: what it revokes counts here when a list does, colis certs import --crl FILE",
            )
        }),
        None => Some(Notice::care(
            "no-revocation-list",
            "there is no revocation list (certs/crl.pem): whoever was revoked would be let in until a member brings one; \
             fetch it: colis peers check PEER",
        )),
        Some(next) if next < now => {
            let text = format!(
                "the revocation list is past its date ({next}); it still applies{}",
                old_list(dir)
            );
            Some(Notice::care("revocation-list-old", text))
        }
        Some(_) => None,
    }
}
