//! Another process that swaps folders for links while files are received: nothing is ever written, or removed, where the
//! links lead.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::Dice;
use crate::bad_input::parcel::{Parcel, Plain};
use testkit::site::Site;
use testkit::{around, bytes, rounds, tree, wait_for};

/// What lies where links lead: the names that a receive makes, so that following one would change something.
fn victim(folder: &Path, keys: &[String]) {
    let names = ["d", "d/e", "d/e/f", "tree", "tree/d", "tree/d/e"];
    let homes = [String::new()].into_iter().chain(keys.iter().cloned());
    for home in homes {
        for name in names {
            fs::create_dir_all(folder.join(&home).join(name)).unwrap();
        }
        for name in [
            "progress",
            "publishing",
            "publishing.new",
            "lock",
            "tree/top-0",
            "d/0",
            "top-0",
        ] {
            fs::write(folder.join(&home).join(name), "precious").unwrap();
        }
    }
}

fn plain() -> Plain {
    let mut plain = Plain::default();
    for folder in ["d", "d/e", "d/e/f"] {
        plain.folder(folder);
        for number in 0..8 {
            plain.add(&format!("{folder}/{number}"), &bytes(number, 9_000));
        }
    }
    for number in 0..4 {
        plain.add(&format!("top-{number}"), &bytes(number, 70_000));
    }
    plain
}

/// Swaps whatever is below `out` for links to `victim`, one after the other, and back. Counts swaps.
fn race(out: &Path, victim: &Path, over: &AtomicBool, swaps: &AtomicUsize, seed: u64) {
    let (aside, mut dice) = (out.with_extension("aside"), Dice::new(seed));
    while !over.load(Ordering::SeqCst) {
        let mut places = Vec::new();
        find(out, &mut places);
        places.sort();
        if places.is_empty() {
            thread::yield_now();
            continue;
        }
        // Half of the time the folder that everything else is below: it is there only for a moment.
        let below = if dice.below(2) == 0 { 1 } else { places.len() };
        let place = &places[dice.below(below)];
        let is_file = fs::symlink_metadata(place).is_ok_and(|m| m.is_file());
        let name = place.file_name().unwrap();
        let target = if is_file {
            victim.join(name)
        } else {
            victim.to_owned()
        };
        let _ = symlink(target, &aside);
        let exchange = || renameat_with(CWD, &aside, CWD, place, RenameFlags::EXCHANGE).is_ok();
        if exchange() {
            swaps.fetch_add(1, Ordering::SeqCst);
            (0..dice.below(20_000)).for_each(|_| std::hint::spin_loop());
            exchange();
        }
        let _ = fs::remove_file(&aside);
        // A swap that could not be taken back leaves a folder here.
        let _ = fs::remove_dir_all(&aside);
    }
}

/// Real folders and journals below `folder`.
fn find(folder: &Path, places: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let path = entry.path();
        let journal = ["progress", "publishing", "publishing.new", "lock"]
            .iter()
            .any(|n| path.ends_with(n));
        if kind.is_dir() {
            places.push(path.clone());
            find(&path, places);
        } else if journal {
            places.push(path);
        }
    }
}

#[test]
fn a_link_put_in_the_way_at_any_moment_leads_nowhere() {
    let (site, rounds) = (Site::default(), rounds(30));
    let (a, b, homes) = (site.identity("a"), site.identity("b"), &site.homes);
    let id = Parcel::seal(&b, &a, plain()).send(&site, &b).to_string();
    let (folder, out) = (homes.path("victim"), homes.path("out"));
    // Once without anybody in the way, to learn the name of the staging, which a sender knows.
    let keys = keys_of(&site, &id, &out);
    victim(&folder, &keys);
    let before = tree(&folder);
    let (swaps, mut arrived, mut raced) = (AtomicUsize::new(0), 0, 0);
    for round in 0..rounds {
        let over = AtomicBool::new(false);
        let had = swaps.load(Ordering::SeqCst);
        let mut command = homes.command("a", &["receive", &id, "--out", "out"]);
        let code = thread::scope(|scope| {
            scope.spawn(|| race(&out, &folder, &over, &swaps, round as u64));
            let ran = command
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .output()
                .unwrap();
            over.store(true, Ordering::SeqCst);
            ran.status.code()
        });
        let now = tree(&folder);
        let differs: Vec<_> = before
            .iter()
            .filter(|l| !now.contains(l))
            .chain(now.iter().filter(|l| !before.contains(l)))
            .collect();
        assert!(
            differs.is_empty(),
            "round {round}, exit {code:?}: {differs:?}"
        );
        assert!(code.is_some_and(|code| code != 101), "it panicked");
        arrived += usize::from(code == Some(0));
        raced += usize::from(swaps.load(Ordering::SeqCst) > had);
        let _ = fs::remove_dir_all(&out);
    }
    let swaps = swaps.into_inner();
    eprintln!(
        "{rounds} receives, {raced} of them with {swaps} swaps, {arrived} arrived; nothing elsewhere was touched"
    );
    assert!(raced * 2 > rounds, "only {raced} were raced");
    assert!(
        site.homes
            .run("a", &["receive", &id, "--out", "quiet"])
            .code
            == 0
    );
}

/// The names of stagings, seen while one is there: the folder is made unwritable for its content by a full tree.
fn keys_of(site: &Site, id: &str, out: &Path) -> Vec<String> {
    let (over, found) = (AtomicBool::new(false), std::sync::Mutex::new(Vec::new()));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let stagings = fs::read_dir(out.join(".colis"))
                    .into_iter()
                    .flatten()
                    .flatten();
                let names = stagings.filter_map(|entry| entry.file_name().into_string().ok());
                let mut found = found.lock().unwrap();
                names.for_each(|name| found.push(name));
                found.dedup();
            }
        });
        site.homes.ok("a", &["receive", id, "--out", "out"]);
        over.store(true, Ordering::SeqCst);
    });
    fs::remove_dir_all(out).unwrap();
    let found = found.into_inner().unwrap();
    assert!(!found.is_empty(), "the staging was never seen");
    found
}

/// In a folder that others can write to, somebody may have made our staging before us.
#[test]
fn a_staging_that_somebody_else_has_prepared_is_not_used() {
    let site = Site::default();
    let (a, b, homes) = (site.identity("a"), site.identity("b"), &site.homes);
    let id = Parcel::seal(&b, &a, plain()).send(&site, &b).to_string();
    let (folder, out) = (homes.path("victim"), homes.path("out"));
    let keys = keys_of(&site, &id, &out);
    victim(&folder, &[]);
    let before = tree(&folder);
    for name in ["progress", "publishing.new", "publishing", "lock", "tree"] {
        let staging = out.join(".colis").join(&keys[0]);
        fs::create_dir_all(&staging).unwrap();
        fs::set_permissions(out.join(".colis"), fs::Permissions::from_mode(0o777)).unwrap();
        symlink(folder.join(name), staging.join(name)).unwrap();
        let ran = homes.run("a", &["receive", &id, "--out", "out"]);
        assert_eq!(
            tree(&folder),
            before,
            "{name}, exit {}: {}",
            ran.code,
            ran.err
        );
        fs::remove_dir_all(&out).unwrap();
    }
}

/// A name that was free when it was chosen and is taken when it is given: strace holds the rename back meanwhile.
#[test]
fn a_name_that_is_taken_in_the_last_moment_is_not_replaced() {
    let site = Site::default();
    let (a, b, homes) = (site.identity("a"), site.identity("b"), &site.homes);
    let mut one = Plain::default();
    one.add("one", b"sent");
    let id = Parcel::seal(&b, &a, one).send(&site, &b).to_string();
    let out = homes.path("out");
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e"]);
    strace.arg("inject=renameat2:delay_enter=1000000");
    let receive = homes.command("a", &["receive", &id, "--out", "out"]);
    let mut receiving = around(strace, &receive)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the choice of a name", || {
        let stagings = fs::read_dir(out.join(".colis")).into_iter().flatten();
        let mut stagings = stagings.flatten().map(|entry| entry.path());
        stagings.any(|staging| staging.join("publishing").exists())
    });
    fs::write(out.join("one"), "mine").unwrap();
    assert!(receiving.wait().unwrap().success());
    let read = |name| fs::read_to_string(out.join(name)).unwrap();
    assert_eq!(read("one"), "mine", "it was replaced");
    assert_eq!(read("one (2)"), "sent");
}
