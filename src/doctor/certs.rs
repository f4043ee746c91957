//! The files of `certs/`: keys, our certificate, revocations, the rest; and the clock that they are held against.

use std::{env, path::Path, time::SystemTime};

use super::{Finding, Report, Subject, Verdict, machine::damaged};
use crate::{
    config::units::count,
    id::Short as _,
    manifest::Timestamp,
    name::shell_word,
    peer::{
        CircleEnds, Elsewhere, MOVE_OUT, after_the_end, circle_ends, directory_fault, early_list,
        holds_another, merging, moving_directory, renewal, said_revoked, second_key,
    },
    session::{
        Home, Kind,
        advice::{ASK_FOR_NEW, ASK_FOR_NEW_OUTSIDE, NO_LIST, ONE_CIRCLE, bad_file},
        care::{self, ONE_HOME, unless_without_modes},
    },
    store::LocalStore,
    tls::{
        self, Caller, CertsDir, Circle, Distrust, Endings, Identity, Inspected, Renewed, Scope,
        TlsError, ca, days_left,
    },
    trust::AddressBook,
};

/// A certificate that ends so soon is worth a word.
pub(super) const SOON_DAYS: i64 = ca::RENEW_DAYS.cast_signed();
/// Clocks of one minute's difference are told apart.
pub(super) const CLOCK_SECONDS: u64 = 60;
/// What to do where something begins later than now.
const SET_CLOCK: &str = "set the clock: timedatectl set-ntp true";
/// Looks at all of them.
pub(super) fn examine(subject: &Subject<'_>, report: &mut Report<'_>) {
    let dir = subject.home.dir();
    let now = Timestamp::now();
    if !dir.path().is_dir() {
        for step in [
            "keys",
            "certificate",
            "circle",
            "revocation",
            "files",
            "copies",
        ] {
            report.add(Finding::skip(step, "there is no certs/"));
        }
        report.add(clock(subject, None, now));
        return;
    }
    let keys = report.add(keys(subject, &dir));
    let own = Inspected::peer(&dir);
    let caller = own.as_ref().ok().map(|own| own.caller.clone());
    // Dates do not matter for whose it is.
    let is_of_circle = own.as_ref().is_ok_and(|own| {
        let judged = own.judge(&dir, own.caller.not_before);
        !matches!(
            judged,
            Err(TlsError::Distrusted(Distrust::Foreign { .. })
                | TlsError::Missing { .. }
                | TlsError::Malformed { .. })
        )
    });
    report.add(match own {
        Ok(own) => certificate(&dir, &own, keys, now),
        Err(error) => distrusted(&dir, "certificate", error, now),
    });
    report.add(circle(&dir, now));
    report.add(match &caller {
        Some(caller) if is_of_circle => revocation(&dir, caller, now),
        _ => Finding::skip(
            "revocation",
            "our certificate is not known to come from the circle",
        ),
    });
    report.add(files(subject.home, &dir, now));
    report.add(copies(&dir, subject.home.copied(now), now));
    report.add(clock(subject, caller.as_ref(), now));
}

/// What to do about our own certificate if it does not count.
pub(super) fn remedy(distrust: &Distrust) -> &'static str {
    match distrust {
        Distrust::Expired { .. } => "renew it: colis certs renew",
        Distrust::NotYetValid { .. } => SET_CLOCK,
        Distrust::Revoked { .. } => ASK_FOR_NEW,
        Distrust::Foreign { .. } => ONE_CIRCLE,
        Distrust::Unchecked { .. } => NO_LIST,
        Distrust::Malformed(_)
        | Distrust::NotAllowed { .. }
        | Distrust::SecondKey { .. }
        | Distrust::WrongUsage { .. }
        | Distrust::OtherPeer { .. }
        | Distrust::Blocked { .. } => "restore server-cert.pem from the folder that was issued",
    }
}

/// How a certificate that has ended is renewed: by way of ours, unless that is renewed no more.
pub(super) fn with_ours(dir: &CertsDir, which: Renewed, now: Timestamp) -> String {
    match Endings::read(dir).certificate {
        Some(end) if end < now => after_the_end(dir, Renewed::Peer, end, now),
        _ => renewal(dir, which),
    }
}

/// What to do about the file that `error` names.
fn of_file(error: &TlsError) -> String {
    match error {
        TlsError::Malformed { path, .. }
        | TlsError::Missing { path }
        | TlsError::KeyForm { path, .. } => bad_file(path),
        _ => "restore certs/ from one folder, the one that was issued or a backup".to_owned(),
    }
}

fn keys(subject: &Subject<'_>, dir: &CertsDir) -> Finding {
    const STEP: &str = "keys";
    let keys = dir.private_keys();
    let private = keys.iter().map(|path| tls::check_private(path));
    let mut wrong: Vec<TlsError> = private.filter_map(Result::err).collect();
    let written = tls::written_by_others(dir);
    if wrong.is_empty() && written.is_empty() {
        if let Some(error) = ca::key_fault(dir) {
            let hint = of_file(&error);
            return Finding::failure(STEP, error).hint(hint);
        }
        let closed = match tls::needs_passphrase(dir, Scope::Circle) {
            true => "; under a passphrase that was not given, so it was not looked into them",
            false => "",
        };
        return match care::writable(subject.home).as_slice() {
            [] => {
                let count = keys.len();
                Finding::ok(STEP, format!("{count} private keys, ours alone{closed}"))
            }
            notices => {
                let texts: Vec<_> = notices.iter().map(|notice| notice.text.as_str()).collect();
                Finding::warn(STEP, texts.join("; "))
            }
        };
    }
    wrong.extend(written);
    let open = wrong.iter().filter_map(|error| match error {
        TlsError::TooOpen { path, .. } => Some(path.as_path()),
        _ => None,
    });
    let writable = wrong.iter().filter_map(|error| match error {
        TlsError::Writable { path, .. } => Some(path.as_path()),
        _ => None,
    });
    let (open, writable): (Vec<_>, Vec<_>) = (open.collect(), writable.collect());
    let change = |mode: &str, paths: &[&Path]| {
        let words: Vec<_> = paths.iter().map(shell_word).collect();
        (!paths.is_empty()).then(|| format!("chmod {mode} {}", words.join(" ")))
    };
    let changes = [change("600", &open), change("go-w", &writable)];
    let changes: Vec<_> = changes.into_iter().flatten().collect();
    let hint = match open.first().or(writable.first()) {
        Some(first) => unless_without_modes(first, changes.join("; ")),
        None => "a key must be a regular file of the user who runs colis: restore it, and chown it"
            .to_owned(),
    };
    Finding::fail(STEP, Kind::Config, listed(&wrong)).hint(hint)
}

fn certificate(dir: &CertsDir, own: &Inspected, keys: Verdict, now: Timestamp) -> Finding {
    const STEP: &str = "certificate";
    let caller = &own.caller;
    if let Err(error) = own.judge(dir, now) {
        return distrusted(dir, STEP, error, now);
    }
    match Identity::load(dir) {
        // It was said of the key already.
        Err(_) if keys == Verdict::Fail => {}
        Err(TlsError::Locked { .. }) => {}
        Err(error @ TlsError::KeyForm { .. }) => return Finding::failure(STEP, error),
        Err(error) => {
            let hint = of_file(&error);
            return Finding::failure(STEP, error).hint(hint);
        }
        Ok(_) => {}
    }
    let days = days_left(caller.not_after, now);
    let detail = format!(
        "{}, peer {}, of this circle, {} left (until {}), for {}",
        caller.name,
        caller.key_id.short(),
        count(days, "day", "days"),
        caller.not_after,
        own.names.join(" ")
    );
    if days < SOON_DAYS {
        return Finding::warn(STEP, detail).hint(renewal(dir, Renewed::Peer));
    }
    Finding::ok(STEP, detail)
}

/// The circle's own certificate. Nothing that it has signed counts longer.
fn circle(dir: &CertsDir, now: Timestamp) -> Finding {
    const STEP: &str = "circle";
    let endings = Endings::read(dir);
    let Some(end) = endings.circle else {
        return Finding::skip(STEP, "it cannot be read");
    };
    if let Some(begin) = endings.begins.circle.filter(|begin| *begin > now) {
        let (begin, now) = (begin.for_clocks(), now.for_clocks());
        let what =
            format!("its own certificate counts from {begin}, and the clock here says {now}");
        return Finding::warn(STEP, what).hint(SET_CLOCK);
    }
    match circle_ends(dir, end, now) {
        Some(CircleEnds { what, todo, .. }) if end < now => {
            Finding::fail(STEP, Kind::Trust, what).hint(todo)
        }
        Some(CircleEnds { what, todo, .. }) => Finding::warn(STEP, what).hint(todo),
        None => Finding::ok(
            STEP,
            match Circle::authority_of(dir) {
                Some(name) => {
                    format!("an outside authority signs ({name}), which counts until {end}")
                }
                None => format!("its own certificate counts until {end}"),
            },
        ),
    }
}

fn distrusted(dir: &CertsDir, step: &'static str, error: TlsError, now: Timestamp) -> Finding {
    match &error {
        TlsError::Distrusted(Distrust::Expired { not_after, .. }) => {
            let todo = after_the_end(dir, Renewed::Peer, *not_after, now);
            let hint = format!("{todo}; or set the clock, if it is wrong");
            Finding::fail(step, Kind::Trust, &error).hint(hint)
        }
        TlsError::Distrusted(distrust) => {
            Finding::fail(step, Kind::Trust, &error).hint(remedy(distrust))
        }
        _ => {
            let hint = of_file(&error);
            Finding::failure(step, error).hint(hint)
        }
    }
}

/// That this peer is revoked: by the list, by what was noted, or by what a member has said.
fn own_revocation(dir: &CertsDir, own: &Caller, circle: &Circle) -> Option<String> {
    if circle.is_revoked(own) {
        let list = match circle.is_outside() {
            true => "a list of the authority".to_owned(),
            false => format!("list {} of the circle", circle.crl_number()),
        };
        return Some(format!("{list} revokes our own certificate"));
    }
    if tls::is_known_revoked(dir) {
        let what = "the circle's machine has revoked our certificate when this home left";
        return Some(what.to_owned());
    }
    said_revoked(dir).map(|said| format!("{}; no list here says so", said.meaning()))
}

fn revocation(dir: &CertsDir, own: &Caller, now: Timestamp) -> Finding {
    const STEP: &str = "revocation";
    if !dir.crl().exists() && dir.outside().is_some() {
        return Finding::warn(
            STEP,
            "no list of the authority: whom it revokes would be let in",
        )
        .hint("fetch its lists, then: colis certs import --crl FILE");
    }
    if !dir.crl().exists() {
        return Finding::warn(STEP, "no list: a revoked peer would be let in")
            .hint("fetch it from a member: colis peers check PEER");
    }
    let circle = match Circle::load(dir) {
        Ok(circle) => circle,
        Err(TlsError::Writable { .. }) => {
            return Finding::skip(STEP, "others can write what decides who is a member");
        }
        Err(error) => {
            let hint = of_file(&error);
            return Finding::fail(STEP, Kind::Config, error).hint(hint);
        }
    };
    let list = name_of_list(&circle);
    if let Some(what) = own_revocation(dir, own, &circle) {
        return Finding::fail(STEP, Kind::Trust, what).hint(match circle.is_outside() {
            true => ASK_FOR_NEW_OUTSIDE,
            false => ASK_FOR_NEW,
        });
    }
    if let Some(conflict) = circle.conflict() {
        return Finding::fail(STEP, Kind::Trust, conflict).hint(merging(dir));
    }
    if let Some(signed) = circle.crl_this_update().filter(|signed| *signed > now) {
        let (signed, now) = (signed.for_clocks(), now.for_clocks());
        let what = format!(
            "{list} is dated {signed}, and the clock here says {now}; it applies all the same"
        );
        let hint = format!("{SET_CLOCK}; if it is right, {}", early_list(dir));
        return Finding::warn(STEP, what).hint(hint);
    }
    match circle.crl_next_update() {
        Some(next) if next < now => Finding::warn(
            STEP,
            format!("{list} is past its date ({next}); it still applies"),
        )
        .hint(match dir.ca_key().exists() {
            _ if circle.is_outside() => NO_LIST,
            true => "it is signed again when this home is served: colis serve",
            false => "start the circle's machine, and reach it once: colis peers check PEER",
        }),
        Some(next) => Finding::ok(STEP, format!("{list}, good until {next}")),
        None => Finding::ok(STEP, list),
    }
}

/// What the lists of the circle are called here.
fn name_of_list(circle: &Circle) -> String {
    match circle.is_outside() {
        true => "a list of the authority".to_owned(),
        false => format!("list {}", circle.crl_number()),
    }
}

fn files(home: &Home, dir: &CertsDir, now: Timestamp) -> Finding {
    const STEP: &str = "files";
    if let Some(nested) = tls::nested(dir) {
        return Finding::warn(STEP, holds_another(&nested)).hint(MOVE_OUT);
    }
    let book = AddressBook::new(dir.peers());
    if let Some(second) = book.second_keys().unwrap_or_default().first() {
        return Finding::fail(STEP, Kind::Trust, second_key(second));
    }
    let peers = match book.peers() {
        Ok(peers) => count(peers.len(), "peer", "peers"),
        Err(error) => return Finding::failure(STEP, error),
    };
    if let Some(found) = damaged(home, STEP) {
        return found;
    }
    if let Some(error) = directory_fault(dir) {
        let what = format!("the circle's directory cannot be used: {error}");
        return Finding::fail(STEP, Kind::Config, what).hint(moving_directory(dir));
    }
    // What is wrong with the circle itself is said elsewhere.
    let issued = ca::list(dir).ok().filter(|_| dir.ca_key().exists());
    let issued = issued.map_or_else(String::new, |issued| {
        let issued = count(issued.len(), "certificate", "certificates");
        format!(", {issued} issued")
    });
    if !dir.client_cert().exists() {
        let what = format!("{peers} known{issued}; no certificate for scripts");
        return Finding::ok(STEP, what);
    }
    let script = Inspected::script(dir).and_then(|script| {
        script.judge(dir, now)?;
        Ok(days_left(script.caller.not_after, now))
    });
    match script {
        Ok(days) if days < SOON_DAYS => {
            let what = format!(
                "the certificate for scripts ends in {}",
                count(days, "day", "days")
            );
            Finding::warn(STEP, what).hint(renewal(dir, Renewed::Script))
        }
        Ok(days) => Finding::ok(
            STEP,
            format!(
                "{peers} known{issued}, {} left for scripts",
                count(days, "day", "days")
            ),
        ),
        Err(error) => {
            let hint = match &error {
                TlsError::Distrusted(Distrust::Expired { .. }) => {
                    with_ours(dir, Renewed::Script, now)
                }
                TlsError::Distrusted(Distrust::NotYetValid { .. }) => SET_CLOCK.to_owned(),
                TlsError::Distrusted(_) => ASK_FOR_NEW.to_owned(),
                error => of_file(error),
            };
            Finding::warn(STEP, format!("curl and scripts cannot call: {error}")).hint(hint)
        }
    }
}

/// Whether other peers have met another machine with this home.
fn copies(dir: &CertsDir, copied: Option<Timestamp>, now: Timestamp) -> Finding {
    const STEP: &str = "copies";
    match Elsewhere::of_late(dir, now) {
        Some(note) => Finding::warn(STEP, note.meaning()).hint(ONE_HOME),
        None if copied.is_some() => Finding::ok(
            STEP,
            "this home is a copy; no other machine is known to serve it",
        ),
        None => Finding::ok(STEP, "no other machine is known to serve this home"),
    }
}

fn clock(subject: &Subject<'_>, caller: Option<&tls::Caller>, now: Timestamp) -> Finding {
    const STEP: &str = "clock";
    let set = SET_CLOCK;
    if let Some(caller) = caller.filter(|caller| now < caller.not_before) {
        let what = format!(
            "it says {}, before our certificate begins ({})",
            now.for_clocks(),
            caller.not_before.for_clocks()
        );
        return Finding::fail(STEP, Kind::Trust, what).hint(set);
    }
    let earlier = |than: Timestamp| now.plus_seconds(CLOCK_SECONDS) < than;
    if let Some(made) = made().filter(|made| earlier(*made)) {
        let (now, made) = (now.for_clocks(), made.for_clocks());
        let what = format!("it says {now}, before this program was made ({made})");
        return Finding::warn(STEP, what).hint(set);
    }
    if let Some(opened) = LocalStore::last_opened(&subject.home.chunks()).filter(|o| earlier(*o)) {
        let (now, opened) = (now.for_clocks(), opened.for_clocks());
        let what = format!("it says {now}, before the store was last opened ({opened})");
        return Finding::warn(STEP, what).hint(set);
    }
    Finding::ok(STEP, now.for_clocks())
}

/// The date of the program's own file: no clock that is right is before it.
fn made() -> Option<Timestamp> {
    let modified = env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix_seconds(since.as_secs()))
}

fn listed(errors: &[TlsError]) -> String {
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
