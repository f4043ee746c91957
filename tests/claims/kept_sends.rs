//! What is kept of a plain send: enough to check it at a peer and to grant it later, from the files as they were, and from no others.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use colis::id::Digest;
use testkit::{Homes, Serving, bytes, wait_for};

/// `a` has sent `f` to `b`, who has opened it and keeps nothing of it sealed. `c` serves, and is known to `a`.
struct Sent {
    homes: Homes,
    b: Serving,
    _c: Serving,
    id: String,
}

const SIZE: usize = 300_000;

impl Sent {
    fn new(inbox: &str) -> Self {
        let homes = Homes::new(&["b", "c"]);
        let (b, c) = (homes.serve("b", &["--inbox", inbox]), homes.serve("c", &[]));
        fs::write(homes.path("f"), bytes(1, SIZE)).unwrap();
        homes.ok("a", &["peers", "add", &c.to()]);
        homes.ok("c", &["peers", "add", &b.to()]);
        let id = sent(
            &homes,
            &["send", "f", "--chunk-size", "64KiB", "--to", &b.to()],
        );
        let sent = Self {
            homes,
            b,
            _c: c,
            id,
        };
        if inbox == "auto" {
            wait_for("b to let go of it", || sent.list("b").is_empty());
        }
        sent
    }

    /// What is listed, without what is arriving: that nobody can open.
    fn list(&self, home: &str) -> String {
        let listed = self.homes.ok(home, &["list"]);
        let whole = listed
            .lines()
            .filter(|line| !line.starts_with("arriving: "));
        whole.map(|line| format!("{line}\n")).collect()
    }

    fn grant(&self, code: i32) -> String {
        let ran = self
            .homes
            .run("a", &["grant", "f", "--to", "c", "--at", "b"]);
        assert_eq!(ran.code, code, "{ran:?}");
        ran.out + &ran.err
    }

    /// The file in which it is kept.
    fn kept(&self) -> PathBuf {
        let kept = fs::read_dir(self.homes.home("a").join("chunks/state/sent"));
        let mut kept: Vec<_> = kept.unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
        kept.pop().unwrap()
    }

    /// Nothing of it was given to b.
    fn is_not_given_out(&self) {
        assert_eq!(self.list("b"), "");
        let data = self.homes.home("b").join("chunks/data");
        assert_eq!(files_below(&data), 0, "not a chunk");
    }
}

fn sent(homes: &Homes, args: &[&str]) -> String {
    let ran = homes.run("a", &[&["--json"], args].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.object("sent")["id"].as_str().unwrap().to_owned()
}

fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let counts = entries.map(|entry| match entry.path().is_dir() {
        true => files_below(&entry.path()),
        false => 1,
    });
    counts.sum()
}

#[test]
fn a_plain_send_is_checked_and_what_is_lost_is_put_back_from_the_files() {
    let sent = Sent::new("off");
    let whole = sent.homes.ok("a", &["check", "b", &sent.id[..8]]);
    assert!(
        whole.starts_with("b holds every byte of 7 chunks"),
        "{whole}"
    );
    assert_eq!(
        sent.homes.ok("a", &["check", "b", "f"]),
        whole,
        "by its name"
    );
    let data = sent.homes.home("b").join("chunks/data");
    let shards = fs::read_dir(&data).unwrap().flatten();
    let chunks = shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten());
    let chunk = chunks
        .max_by_key(|chunk| chunk.metadata().unwrap().len())
        .unwrap()
        .path();
    let before = fs::read(&chunk).unwrap();
    fs::remove_file(&chunk).unwrap();
    sent.homes.fails("a", &["check", "b", &sent.id], 5);
    sent.homes.ok("a", &["check", "b", &sent.id, "--repair"]);
    assert!(fs::read(&chunk).unwrap() == before, "byte for byte");
}

#[test]
fn what_was_opened_and_is_not_kept_is_no_failure_of_a_check() {
    let sent = Sent::new("auto");
    let said = sent.homes.ok("a", &["check", "b", &sent.id]);
    assert!(said.starts_with("b opened it today "), "{said}");
    // Of the file nothing is needed for that.
    fs::remove_file(sent.homes.path("f")).unwrap();
    assert_eq!(sent.homes.ok("a", &["check", "b", &sent.id]), said);
}

#[test]
fn a_grant_seals_the_files_again_and_the_other_fetches_them_where_it_was_let_go() {
    let sent = Sent::new("auto");
    let said = sent.grant(0);
    let id = said.split_whitespace().next().unwrap().to_owned();
    assert_ne!(id, sent.id);
    assert!(
        said.contains(&format!("c: colis receive --from b {}", &id[..8])),
        "{said}"
    );
    let out = sent.homes.path("out");
    sent.homes.ok(
        "c",
        &[
            "receive",
            "--from",
            "b",
            &id[..8],
            "--out",
            out.to_str().unwrap(),
        ],
    );
    assert!(fs::read(out.join("f")).unwrap() == bytes(1, SIZE));
    // It is not opened at b again, and does not wait there.
    assert!(
        sent.homes
            .run("b", &["inbox"])
            .err
            .contains("nothing waits")
    );
    assert_eq!(
        fs::read_dir(sent.homes.home("b").join("received"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name != ".colis-received")
            .collect::<Vec<_>>(),
        ["f"]
    );
    assert!(sent.list("b").contains("opened"));
    // What counts from now on is kept, and a third one is let in without a byte more.
    let again = sent.grant(0);
    assert!(again.contains("can open it already"), "{again}");
    let whole = sent.homes.ok("a", &["check", "b", &id]);
    assert!(whole.contains("every byte"), "{whole}");
}

#[test]
fn what_was_granted_to_a_third_is_checked_at_each_who_has_it() {
    for (inbox, at) in [
        ("auto", None),
        ("off", None),
        ("auto", Some("b")),
        ("off", Some("b")),
    ] {
        let sent = Sent::new(inbox);
        let (homes, before) = (&sent.homes, sent.homes.ok("a", &["check", "b", "f"]));
        let grant = ["grant", "f", "--to", "c"].into_iter();
        let grant: Vec<_> = grant
            .chain(at.into_iter().flat_map(|at| ["--at", at]))
            .collect();
        let granted = homes.ok("a", &grant);
        let id = granted.split_whitespace().next().unwrap();
        for name in ["f", &sent.id[..8], id] {
            let ran = homes.run("a", &["check", "b", name]);
            assert_eq!(ran.code, 0, "{inbox} {at:?} {name}: {ran:?}");
            if at.is_none() && name == "f" {
                assert_eq!(ran.out, before, "{inbox}: nothing has changed there");
            }
        }
        let a = homes.serve("a", &[]);
        homes.ok("c", &["peers", "add", &a.to()]);
        let from = at.unwrap_or("a");
        homes.ok("c", &["receive", "--from", from, "f"]);
        let said = homes.ok("a", &["check", "c", "f"]);
        assert!(said.starts_with("c opened it today "), "{said}");
    }
}

#[test]
fn a_source_that_changed_by_one_byte_is_named_and_nothing_is_given_out() {
    let sent = Sent::new("auto");
    let path = sent.homes.path("f");
    let original = bytes(1, SIZE);
    let mut changed = original.clone();
    changed[SIZE - 1] ^= 1;
    fs::write(&path, &changed).unwrap();
    let said = sent.grant(6);
    assert!(said.contains("/f was sent with other content"), "{said}");
    assert_eq!(sent.list("b"), "");
    fs::write(&path, &changed[1..]).unwrap();
    let said = sent.grant(6);
    assert!(
        said.contains("was sent with 300000 bytes, and has 299999 now"),
        "{said}"
    );
    fs::remove_file(&path).unwrap();
    let said = sent.grant(6);
    assert!(said.contains("is not there any more"), "{said}");
    fs::create_dir(&path).unwrap();
    assert!(sent.grant(6).contains("no regular file"));
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert!(sent.grant(6).contains("is not there any more"));
    fs::remove_file(&path).unwrap();
    // As it was it can be granted, whatever its times say.
    fs::write(&path, &original).unwrap();
    sent.grant(0);
}

#[test]
fn a_check_of_a_changed_source_says_which_file_it_is() {
    let sent = Sent::new("off");
    let mut changed = bytes(1, SIZE);
    changed[0] ^= 1;
    fs::write(sent.homes.path("f"), changed).unwrap();
    let said = sent.homes.fails("a", &["check", "b", &sent.id], 6);
    assert!(said.contains("/f was sent with other content"), "{said}");
}

#[test]
fn a_kept_send_that_was_altered_gives_nothing_out() {
    let sent = Sent::new("auto");
    let path = sent.kept();
    let good = fs::read(&path).unwrap();
    let mut torn = good.clone();
    let middle = torn.len() / 2;
    torn[middle] ^= 1;
    fs::write(&path, &torn).unwrap();
    sent.grant(6);
    sent.is_not_given_out();
    let said = sent.homes.run("a", &["doctor"]);
    assert!(said.out.contains("is damaged"), "{said:?}");
    // By somebody who knows the format: another nonce, with a sum that fits.
    let envelope = u64::from_be_bytes(good[13..21].try_into().unwrap()) as usize;
    let mut forged = good[..good.len() - 32].to_vec();
    forged[21 + envelope + 8] ^= 1;
    let sum = Digest::of(&forged);
    forged.extend_from_slice(sum.as_bytes());
    fs::write(&path, &forged).unwrap();
    let said = sent.grant(6);
    assert!(
        said.contains("what was kept of this transfer is damaged"),
        "{said}"
    );
    assert_eq!(sent.list("b"), "");
    fs::write(&path, &good).unwrap();
    sent.grant(0);
}

#[test]
fn it_is_small_and_private_and_forgotten_when_the_transfer_ends() {
    let sent = Sent::new("auto");
    let path = sent.kept();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    // Two wraps, a certificate, table and sums; and five chunks.
    assert!(metadata.len() < 12 << 10, "{}", metadata.len());
    let doctor = sent.homes.run("a", &["doctor"]).out;
    assert!(doctor.contains("1 send remembered"), "{doctor}");
    let status = sent.homes.ok("a", &["status"]);
    assert!(status.contains("what 1 send need"), "{status}");
    let gc = |count: u64| {
        let ran = sent.homes.run("a", &["--json", "gc"]);
        assert_eq!(ran.object("gc")["sends"], count, "{ran:?}");
    };
    gc(0);
    let name = path.file_name().unwrap().to_str().unwrap();
    let over = format!("{}.1000000000", name.split_once('.').unwrap().0);
    fs::rename(&path, path.with_file_name(over)).unwrap();
    gc(1);
    let none = sent.homes.fails("a", &["check", "b", &sent.id], 6);
    assert!(none.contains("no copy of the chunks"), "{none}");
}

#[test]
fn a_folder_with_strange_names_is_granted_and_a_stream_cannot_be() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let sent = Sent::new("auto");
    let homes = &sent.homes;
    let folder = homes.path("folder");
    fs::create_dir_all(folder.join("deep/er")).unwrap();
    fs::write(folder.join("deep/er/x"), bytes(2, 70_000)).unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    fs::write(folder.join(OsStr::from_bytes(b"not\xffutf8")), "odd").unwrap();
    fs::write(folder.join("y"), bytes(3, 100)).unwrap();
    sent_quietly(homes, &["send", "folder", "--to", &sent.b.to(), "--wait"]);
    let granted = homes.ok("a", &["grant", "folder", "--to", "c", "--at", "b"]);
    let id = granted.split_whitespace().next().unwrap();
    let out = homes.path("out");
    homes.ok(
        "c",
        &["receive", "--from", "b", id, "--out", out.to_str().unwrap()],
    );
    assert!(fs::read(out.join("folder/deep/er/x")).unwrap() == bytes(2, 70_000));
    assert_eq!(files_below(&out.join("folder")), 4);

    let mut piped = homes.command("a", &["send", "-", "--name", "log", "--to", "b", "--wait"]);
    let mut piped = piped
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all(b"once").unwrap();
    assert!(piped.wait().unwrap().success());
    let said = homes.fails("a", &["grant", "log", "--to", "c", "--at", "b"], 6);
    assert!(
        said.contains("log was sent from what cannot be read again"),
        "{said}"
    );
}

fn sent_quietly(homes: &Homes, args: &[&str]) {
    let ran = homes.run("a", args);
    assert_eq!(ran.code, 0, "{ran:?}");
}
