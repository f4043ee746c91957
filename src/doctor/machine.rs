//! This machine: its home, its configuration, its store, its disk, its inbox.

use std::{io, path::Path};

use super::{Finding, Report, Subject, Verdict};
use crate::{
    config::{
        Config,
        units::{Size, count},
    },
    disk::{Lack, lacks},
    name::shell_word,
    received::Received,
    session::{
        Error, Home, Kind, LITTLE, MOVED, care::NO_HOME, damage::damages, existing, kept_sends,
        moved, store_options,
    },
    store::{Holder, LocalStore, StoreError},
};

/// Looks at the store, the disk and the inbox.
pub(super) fn examine(subject: &Subject<'_>, descriptors: Verdict, report: &mut Report<'_>) {
    if descriptors == Verdict::Fail {
        report.add(Finding::skip(
            "store",
            "cannot be opened with so few descriptors",
        ));
    } else {
        report.add(store(subject));
    }
    report.add(disk(subject));
    report.add(received(subject));
}

pub(super) fn home(subject: &Subject<'_>) -> Finding {
    const STEP: &str = "home";
    let (root, why) = (subject.home.root(), subject.home.chosen_by().describe());
    let detail = format!("{} ({why})", root.display());
    if subject.home.certs().is_dir() {
        return Finding::ok(STEP, detail);
    }
    if let Err(error @ Error::Leave(_)) = subject.home.check_there() {
        let hint =
            "join another circle: colis pair HOST; or make one: colis certs init --name NAME";
        return Finding::failure(STEP, error).hint(hint);
    }
    let what = if root.is_dir() {
        "has no certs/"
    } else {
        "is not there"
    };
    Finding::fail(STEP, Kind::Config, format!("{detail} {what}"))
        .hint(format!("{NO_HOME}; or name another home: --home DIR"))
}

pub(super) fn config(subject: &Subject<'_>) -> Finding {
    const STEP: &str = "config";
    let path = subject.home.config();
    match Config::load(&path, |name| std::env::var_os(name)) {
        Ok(_) if path.exists() => Finding::ok(STEP, path.display()),
        Ok(_) => Finding::ok(STEP, "no colis.toml; everything has its default"),
        Err(error) => {
            let path = shell_word(&path);
            let hint = format!(
                "correct that line; every setting and what it may be: mv {path} {path}.bad; colis config init"
            );
            Finding::failure(STEP, error).hint(hint)
        }
    }
}

/// What is damaged that belongs to this step.
pub(super) fn damaged(home: &Home, step: &'static str) -> Option<Finding> {
    let mut damages = damages(home).into_iter();
    let damage = damages.find(|damage| damage.step == step)?;
    let detail = format!("{}: {}", damage.loss, damage.error);
    let found = Finding {
        detail,
        ..Finding::failure(step, damage.error)
    };
    Some(match damage.hint {
        Some(hint) => found.hint(hint),
        None => found,
    })
}

fn store(subject: &Subject<'_>) -> Finding {
    const STEP: &str = "store";
    let path = subject.home.chunks();
    if let Some(found) = damaged(subject.home, STEP) {
        return found;
    }
    if !path.exists() {
        return match parent_writable(&path) {
            Ok(()) => Finding::ok(STEP, "none yet; it is made when it is first needed"),
            Err(error) => not_writable(STEP, subject.home.root(), &error),
        };
    }
    match LocalStore::open_read_only(&path) {
        Ok(_) | Err(StoreError::NotFound { .. }) => {}
        Err(error @ (StoreError::Format { .. } | StoreError::Later { .. })) => {
            return Finding::failure(STEP, error);
        }
        Err(error) => {
            let what = format!("{} cannot be opened: {error}", path.display());
            return Finding::fail(STEP, Kind::Storage, what)
                .hint("see who may read it and whether its disk is well; then: colis check. Only a backup brings back what is lost");
        }
    }
    let lacks = match lacks(&path) {
        Ok(lacks) => lacks,
        Err(error) => return not_writable(STEP, &path, &error),
    };
    let matters = |lack: &Lack| !matches!(lack, Lack::Symlinks | Lack::Times);
    let lacks: Vec<_> = lacks.into_iter().filter(matters).collect();
    let sends = match sends(subject) {
        Ok(sends) => sends,
        Err(damaged) => return damaged,
    };
    in_use(&path, &sends, &lacks)
}

/// Who uses the store.
fn in_use(path: &Path, sends: &str, lacks: &[Lack]) -> Finding {
    const STEP: &str = "store";
    match LocalStore::holder(path) {
        None => with_lacks(
            STEP,
            format!("{}, free to be used{sends}", path.display()),
            lacks,
        ),
        Some(Holder {
            moved_from: Some(from),
            ..
        }) => Finding::fail(STEP, Kind::Storage, moved(&from)).hint(MOVED),
        Some(holder) => {
            let who = match holder.process {
                Some(process) => format!("process {process}"),
                None => "another process".to_owned(),
            };
            let does = match holder.serving {
                Some(address) => format!("serves it on {address}"),
                None => "is using it".to_owned(),
            };
            with_lacks(
                STEP,
                format!("{}; {who} {does}{sends}", path.display()),
                lacks,
            )
        }
    }
}

/// What is kept of sends, in words; the finding of one that is damaged.
fn sends(subject: &Subject<'_>) -> Result<String, Finding> {
    let kept = kept_sends(subject.home);
    if let Some(damaged) = kept.damaged.first() {
        let what = format!(
            "{} is damaged: that send cannot be checked or granted later",
            damaged.display()
        );
        return Err(Finding::warn("store", what).hint("remove it; send it again if it must be"));
    }
    Ok(match kept.sends.len() {
        0 => String::new(),
        sends => format!(
            "; {} remembered, {}",
            count(sends, "send", "sends"),
            Size(kept.bytes)
        ),
    })
}

fn disk(subject: &Subject<'_>) -> Finding {
    const STEP: &str = "disk";
    let (chunks, options) = (subject.home.chunks(), store_options(subject.config));
    let room = match LocalStore::room(&existing(&chunks), options) {
        Ok(room) => room,
        Err(error) => return Finding::failure(STEP, error).hint("look at that disk"),
    };
    let used = match options.quota {
        Some(_) => used(&chunks),
        None => 0,
    };
    let mut detail = format!(
        "{} free, {} of it in reserve",
        Size(room.free),
        Size(room.reserve)
    );
    if room.free == u64::MAX {
        "this file system does not say how much is free".clone_into(&mut detail);
    }
    let mut enough = LITTLE;
    let mut hint = "free some space (colis list, colis gc; colis gc --unfinished while it is not served), or lower `reserve` in colis.toml";
    if let Some(quota) = options.quota {
        detail.push_str(&format!(", {} of the quota {}", Size(used), Size(quota)));
        if quota.saturating_sub(used) < room.usable() {
            enough = LITTLE.min(quota / 10);
            hint = "raise `quota` in colis.toml, or make room (colis list, colis gc; colis gc --unfinished while it is not served)";
        }
    }
    if room.files == 0 {
        detail.push_str(", no more files");
        hint = "remove some files on that disk";
    }
    match options.usable(room, used) {
        0 => {
            let what = format!("{detail}: nothing can be stored");
            Finding::fail(STEP, Kind::Storage, what).hint(hint)
        }
        little if little < enough => {
            let what = format!("{detail}: {} can be stored", Size(little));
            Finding::warn(STEP, what).hint(hint)
        }
        _ if room.free == u64::MAX && options.quota.is_none() => Finding::ok(STEP, detail),
        usable => Finding::ok(STEP, format!("{detail}: {} can be stored", Size(usable))),
    }
}

/// Bytes in the store; none if there is none, or it cannot be read, which another step says.
fn used(chunks: &Path) -> u64 {
    let usage = LocalStore::open_read_only(chunks).and_then(|store| store.usage());
    usage.map_or(0, |usage| usage.bytes)
}

fn received(subject: &Subject<'_>) -> Finding {
    const STEP: &str = "received";
    let path = subject.home.received(subject.config);
    if let Err(error) = Received::check_known(&path, &subject.home.received_mark()) {
        return Finding::failure(STEP, error);
    }
    let there = path.symlink_metadata().is_ok();
    if there {
        // Only opens what is there: a symbolic link or a file is refused.
        if let Err(error) = Received::open(&path) {
            return Finding::failure(STEP, error)
                .hint("move it away: what arrives is written into a real folder only");
        }
    }
    match lacks(&existing(&path)) {
        Ok(lacks) if there => with_lacks(STEP, path.display().to_string(), &lacks),
        Ok(lacks) => {
            let none = format!(
                "{}: none yet; it is made when something arrives",
                path.display()
            );
            with_lacks(STEP, none, &lacks)
        }
        Err(error) => not_writable(STEP, &path, &error),
    }
}

/// Says what the file system there cannot do.
fn with_lacks(step: &'static str, what: String, lacks: &[Lack]) -> Finding {
    if lacks.is_empty() {
        return Finding::ok(step, what);
    }
    let named: Vec<_> = lacks.iter().map(|lack| lack.describe()).collect();
    let what = format!("{what}; this file system has {}", named.join(", "));
    if !lacks.iter().any(|lack| lack.is_a_loss()) {
        return Finding::ok(step, what);
    }
    Finding::warn(step, what).hint("if that matters, use a folder on ext4, XFS or Btrfs")
}

fn not_writable(step: &'static str, path: &Path, error: &io::Error) -> Finding {
    let what = format!("{} cannot be written: {error}", path.display());
    let hint = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "that disk is mounted read-only: look at it (dmesg)",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space there",
        _ => "it must be a folder that belongs to the user who runs colis",
    };
    Finding::fail(step, Kind::Storage, what).hint(hint)
}

/// Tries everything that is needed there.
fn parent_writable(path: &Path) -> io::Result<()> {
    lacks(&existing(path)).map(drop)
}
