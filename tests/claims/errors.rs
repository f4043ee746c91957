//! Errors say who misbehaved and where; what to do is chosen by that, and never by a word in a text.

use std::{collections::BTreeSet, fs, path::Path};

use colis::{
    id::PeerId,
    manifest::Signer as _,
    session::{Error, Event, Kind, SendRequest, Session},
    store::OfferAnswer,
    tls::Identity,
    transfer::{Sources, TransferError},
};
use testkit::{Homes, Serving, site::certs, wait_for};

use crate::layering::{program, sources};

/// Names that a peer may have, beside one that says nothing.
const NAMES: [&str; 4] = ["plain", "revoked", "blocked", "expired"];

const NOT_THERE: &str =
    "start it there: colis serve; if it serves, this says which step fails: colis doctor PEER";
const OUT: &str = "its owner has blocked this peer; only its owner can change that, there: colis peers role NAME member";
const OTHER_KEY: &str = "another machine is at that address now: give the new one; or if that peer really has a new key: colis peers \
     forget NAME";
const LEAVE_OUT: &str = "leave it out; or give that machine a new certificate: colis certs issue";
const NEW_CERTIFICATE: &str = "this peer is a member no more; to come in again as another one: colis certs leave, then colis pair on \
     the circle's machine, and here colis pair HOST";

/// The exit code, the hint, and the id of the peer that it is about.
type Told = (i32, Option<String>, Option<String>);

/// What is told of a send to `to` from `home`.
fn told(homes: &Homes, home: &str, to: &str) -> Told {
    let ran = homes.run(home, &["--json", "send", "f", "--to", to]);
    let last = ran.out.lines().last().unwrap_or_else(|| panic!("{ran:?}"));
    match serde_json::from_str(last).unwrap() {
        Event::Error(failed) => {
            assert_eq!(i32::from(failed.exit), ran.code, "{ran:?}");
            let peer = failed.peer_id.map(|id| id.to_string());
            (ran.code, failed.hint, peer)
        }
        _ => (ran.code, None, None),
    }
}

/// Gives `peer` a role at `home`, which serves and looks at its roles every few seconds; then a send from there is told so.
fn role(homes: &Homes, home: &str, peer: &str, role: &str, told_then: &Told) {
    homes.ok(home, &["peers", "role", peer, role]);
    wait_for(&format!("{home} has heard"), || {
        told(homes, "a", home) == *told_then
    });
}

fn identity_of(homes: &Homes, name: &str) -> PeerId {
    Identity::load(&certs(homes, name)).unwrap().peer_id()
}

fn id(homes: &Homes, name: &str) -> String {
    identity_of(homes, name).to_string()
}

/// Serves `name`, and lets `a` know where.
fn known(homes: &Homes, name: &str) -> Serving {
    let serving = homes.serve(name, &[]);
    homes.ok("a", &["peers", "add", &serving.to()]);
    serving
}

#[test]
fn what_to_do_does_not_come_from_the_name_of_a_peer() {
    let homes = Homes::new(&[&NAMES[..], &["other"]].concat());
    fs::write(homes.path("f"), "f").unwrap();
    let ours = homes.serve("a", &[]);
    for name in NAMES {
        let mut serving = known(&homes, name);
        let (address, peer) = (serving.to(), Some(id(&homes, name)));
        let expected = |code, hint: &str, culprit: &Option<String>| {
            (code, Some(hint.to_owned()), culprit.clone())
        };
        homes.ok(name, &["peers", "add", &ours.to()]);
        role(&homes, name, "a", "none", &expected(4, OUT, &peer));
        role(&homes, name, "a", "reader", &(4, None, peer.clone()));
        role(&homes, name, "a", "member", &(0, None, None));

        serving.kill();
        let not_there = expected(8, NOT_THERE, &peer);
        assert_eq!(told(&homes, "a", name), not_there, "{name}");
        let mut other = homes.serve_on("other", &address, &[]);
        let other_key = expected(4, OTHER_KEY, &Some(id(&homes, "other")));
        assert_eq!(told(&homes, "a", name), other_key, "{name}");
        other.kill();

        homes.ok("a", &["certs", "revoke", name]);
        let _serving = homes.serve_on(name, &address, &[]);
        let left_out = expected(4, LEAVE_OUT, &peer);
        assert_eq!(told(&homes, "a", name), left_out, "{name}");
        let new_certificate = expected(4, NEW_CERTIFICATE, &Some(id(&homes, "a")));
        let by = |to: &str| told(&homes, name, to);
        wait_for("the list is in force", || by(&ours.to()) == new_certificate);
    }
}

#[tokio::test]
async fn a_send_to_several_tells_what_became_of_it_at_each() {
    let homes = Homes::new(&["b", "c", "d", "e", "other"]);
    fs::write(homes.path("f"), "f").unwrap();
    let _b = known(&homes, "b");
    let (mut c, mut d) = (known(&homes, "c"), known(&homes, "d"));
    let _e = known(&homes, "e");
    let refused = |name| (4, None, Some(id(&homes, name)));
    role(&homes, "e", &id(&homes, "a"), "reader", &refused("e"));
    let (at_c, at_d) = (c.to(), d.to());
    c.kill();
    d.kill();
    let _other = homes.serve_on("other", &at_d, &[]);
    let a = Session::open(homes.home("a")).unwrap();
    let send = async |to: &[&str]| {
        let file = Sources::walk(&[homes.path("f")]).unwrap();
        let mut request = SendRequest::to(to.iter().copied());
        request.keep = true;
        a.send(file, &request).await
    };

    let sent = send(&["c", "e", "b", "d"]).await.unwrap();
    assert!(!sent.complete);
    assert_eq!(sent.answers.len(), 2, "{:?}", sent.answers);
    let names: Vec<_> = sent.stores.iter().map(|at| at.peer.as_str()).collect();
    assert_eq!(names, ["c", "e", "b", "d", "the local store"]);
    let of = |place: usize| sent.stores[place].error.clone().unwrap();
    let (of_c, of_e, of_d) = (of(0), of(1), of(3));
    assert_eq!((of_c.kind, of_c.address), (Kind::Network, Some(at_c)));
    assert_eq!((of_e.kind, of_e.exit), (Kind::Trust, 4));
    assert_eq!(of_e.peer_id, Some(identity_of(&homes, "e")));
    assert_eq!(of_e.culprit, None, "it refuses us, as it may");
    assert_eq!((of_d.kind, of_d.address), (Kind::Trust, Some(at_d)));
    assert_eq!(of_d.culprit, Some(identity_of(&homes, "other")));
    assert!(sent.stores[2].error.is_none() && sent.stores[2].answer.is_some());
    assert_eq!(sent.stores[2].peer_id, Some(identity_of(&homes, "b")));
    assert_eq!(sent.stores[4].answer, Some(OfferAnswer::Accepted));

    // None of them: the error has each.
    let mut request = SendRequest::to(["d", "c"]);
    let file = || Sources::walk(&[homes.path("f")]).unwrap();
    let Err(Error::NobodyReached { tries }) = a.send(file(), &request).await else {
        panic!("nobody answers");
    };
    let tried: Vec<_> = tries.iter().map(|try_| try_.peer.as_str()).collect();
    assert_eq!(tried, ["d", "c"]);
    assert_eq!(tries[0].error.culprit(), Some(identity_of(&homes, "other")));
    role(&homes, "b", &id(&homes, "a"), "reader", &refused("b"));
    request.to = ["e", "b"].map(str::to_owned).to_vec();
    let Err(Error::Transfer(TransferError::NoStore { failures })) = a.send(file(), &request).await
    else {
        panic!("nobody takes it");
    };
    let culprits: Vec<_> = failures.iter().map(TransferError::peer).collect();
    let expected = ["e", "b"].map(|name| Some(identity_of(&homes, name)));
    assert_eq!(culprits, expected);
}

/// Fields for a text that says why, and why they may be: nothing is chosen by them.
const TEXTS: [(&str, &str); 12] = [
    (
        "server/told.rs",
        "what a peer was told, for the history: its code stands before it",
    ),
    (
        "session/event.rs",
        "what --json has for a person, beside what happened",
    ),
    (
        "session/event/missed.rs",
        "the same, beside a cause in one word",
    ),
    ("session/inbox.rs", "the same, of what waits"),
    (
        "session/look_around.rs",
        "the same, of a peer that does not answer",
    ),
    (
        "session/pair.rs",
        "the same, of a machine that did not join",
    ),
    ("session/serve.rs", "the same, of an arrival"),
    (
        "session/settings.rs",
        "the same, of a setting that was changed",
    ),
    ("peer/history.rs", "what the history has for a person"),
    ("peer/inbox/arrival.rs", "the same, as it is told at once"),
    (
        "peer/inbox/policy.rs",
        "the same: its code stands beside it",
    ),
    (
        "pair/card.rs",
        "a message of the pairing protocol, from a peer",
    ),
];

/// Texts that may be looked into, and why: none of them is an error's.
const LOOKED_INTO: [(&str, &str); 3] = [
    ("address.rs", "an address that a person typed"),
    (
        "session/meant.rs",
        "lines of the log, before they are parsed as JSON",
    ),
    ("tls.rs", "the name of a file, and whether a key is in it"),
];

/// Whether `line` declares a field for a reason in words.
fn is_prose(line: &str) -> bool {
    if line.contains("{ reason: String }") {
        return true;
    }
    let field = line.trim_start();
    let field = field.strip_prefix("pub ").unwrap_or(field);
    let Some((name, kind)) = field.split_once(": ") else {
        return false;
    };
    let is_text = [
        "String,",
        "Option<String>,",
        "&'static str,",
        "Cow<'static, str>,",
    ];
    ["reason", "why"].contains(&name) && is_text.contains(&kind)
}

/// Whether `line` looks for words of its own in a text.
fn looks_for_words(line: &str) -> bool {
    let says = [
        "reason", "message", "error", "detail", "said", "why", "code",
    ];
    let of_an_error = says.iter().any(|name| {
        let asks = [
            ".starts_with(\"",
            ".ends_with(\"",
            ".strip_prefix(\"",
            ".split_once(\"",
        ];
        asks.iter().any(|ask| {
            line.contains(&format!("{name}{ask}")) || line.contains(&format!("{name}(){ask}"))
        })
    });
    of_an_error || line.contains(".contains(\"")
}

/// The files, below `src`, that have such a line, and the first of each.
fn found(is_such: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources().into_iter().filter_map(|(path, text)| {
        let inside = path.strip_prefix(&root).unwrap();
        let is_test = path.ends_with("tests.rs");
        let lines = program(&text).lines();
        let mut lines = lines.filter(|line| !line.trim_start().starts_with("//"));
        let line = lines.find(|line| !is_test && is_such(line))?.to_owned();
        Some((inside.to_str().unwrap().to_owned(), line))
    });
    files.collect()
}

fn only_in(found: &[(String, String)], allowed: &[(&str, &str)]) {
    for (file, line) in found {
        let is_allowed = allowed.iter().any(|(known, _)| known == file);
        assert!(is_allowed, "{file}: {line}");
    }
    let files: BTreeSet<_> = found.iter().map(|(file, _)| file.as_str()).collect();
    for (known, reason) in allowed {
        assert!(
            files.contains(known),
            "not needed any more: {known}, {reason}"
        );
    }
}

#[test]
fn why_something_failed_is_a_variant_and_no_text() {
    for such in [
        "        reason: String,",
        "    pub why: Option<String>,",
        "    reason: &'static str,",
    ] {
        assert!(is_prose(such), "{such}");
    }
    assert!(!is_prose("    reason: WaitReason,") && !is_prose("    fn f(reason: String) {"));
    only_in(&found(is_prose), &TEXTS);
}

/// A new reason is no break for whoever matches those of today.
#[test]
fn every_error_of_the_library_may_get_more_reasons() {
    let mut count = 0;
    for (path, text) in sources() {
        for (at, _) in text.match_indices("\npub enum ") {
            let attributes = text[..at].rsplit("\n\n").next().unwrap();
            if attributes.contains("thiserror::Error") {
                count += 1;
                let may = attributes.contains("#[non_exhaustive]");
                let name = text[at + 1..].lines().next().unwrap();
                assert!(may, "{}: {name}", path.display());
            }
        }
    }
    assert!(count > 40, "{count}");
}

#[test]
fn nothing_is_chosen_by_a_word_in_a_text() {
    for such in [
        "if error.to_string().contains(\"revoked\") {",
        "ConfigError::Invalid { reason, .. } if reason.starts_with(\"unknown key\") => x,",
        "let rest = error.message().strip_prefix(\"unknown field\")",
    ] {
        assert!(looks_for_words(such), "{such}");
    }
    only_in(&found(looks_for_words), &LOOKED_INTO);
}
