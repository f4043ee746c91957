//! `colis seal` and `colis open`: a transfer as a folder, without a peer.

use std::{fs, io::Write as _, process::Stdio};

use super::{names, seal};
use testkit::{Homes, bytes, tree, wait_for};

const SMALL: &[&str] = &["--to", "b", "--chunk-size", "64KiB"];

#[test]
fn a_sealed_folder_is_what_a_shell_can_carry_and_opens_again() {
    let homes = Homes::new(&["b"]);
    fs::create_dir_all(homes.path("my files/empty")).unwrap();
    fs::write(homes.path("my files/big"), bytes(1, 200_000)).unwrap();
    let id = seal(&homes, "my files", "sealed here", SMALL);
    let sealed = homes.path("sealed here");
    let expected = ["chunks", "manifests", "offer.dsse", "transfer"];
    assert_eq!(names(&sealed), expected.map(str::to_owned).into());
    assert_eq!(
        names(sealed.join("manifests")),
        [format!("{id}.dsse")].into()
    );
    let transfer = fs::read_to_string(sealed.join("transfer")).unwrap();
    assert_eq!((transfer.len(), &transfer[32..]), (33, "\n"));
    for name in names(sealed.join("chunks")) {
        let bytes = fs::read(sealed.join("chunks").join(&name)).unwrap();
        assert_eq!(colis::id::ChunkId::of(&bytes).to_string(), name);
    }
    // What was only carried: chunks and manifest.
    fs::remove_file(sealed.join("offer.dsse")).unwrap();
    fs::remove_file(sealed.join("transfer")).unwrap();
    homes.ok("b", &["open", "sealed here", "--out", "opened"]);
    assert_eq!(
        tree(&homes.path("opened/my files")),
        tree(&homes.path("my files"))
    );
    let out = homes.ok("b", &["--json", "open", "sealed here"]);
    let last: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (last["event"].as_str(), last["id"].as_str()),
        (Some("received"), Some(&*id))
    );
}

#[test]
fn sealing_again_sends_nothing_and_changes_nothing() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), bytes(2, 200_000)).unwrap();
    fs::write(homes.path("g"), "another file, or a password").unwrap();
    seal(&homes, "f", "out", SMALL);
    let before = tree(&homes.path("out"));
    let args = [&["--json", "seal", "f", "--out", "out"], SMALL].concat();
    let told: serde_json::Value = serde_json::from_str(&homes.ok("a", &args)).unwrap();
    assert_eq!(told["event"], "sealed");
    assert_eq!(
        (&told["chunks"], &told["already_chunks"]),
        (&4.into(), &4.into())
    );
    for other in [
        &["seal", "g", "--to", "b"][..],
        &["seal", "f", "g", "--to", "b"],
        &["seal", "f", "--to", "a"],
        &["seal", "f", "--to", "b", "--password-file", "g"],
        &["seal", "-", "--to", "b"],
    ] {
        let said = homes.fails("a", &[other, &["--out", "out"]].concat(), 2);
        assert!(
            said.contains("has another sealed transfer in it") && said.contains("hint: "),
            "{other:?}: {said}"
        );
    }
    fs::write(homes.path("f"), "it has changed").unwrap();
    homes.fails("a", &["seal", "f", "--to", "b", "--out", "out"], 2);
    assert_eq!(tree(&homes.path("out")), before);
}

#[test]
fn a_sealing_that_was_killed_continues() {
    let homes = Homes::new(&["b"]);
    let content = bytes(3, 40_000_000);
    fs::write(homes.path("f"), &content).unwrap();
    let args = [&["--json", "seal", "f", "--out", "out"], SMALL].concat();
    let mut first = homes
        .command("a", &args)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let count = || fs::read_dir(homes.path("out/chunks")).map_or(0, Iterator::count);
    wait_for("some chunks are sealed", || count() > 20);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(
        names(homes.path("out/manifests")).is_empty(),
        "it was too fast to be killed"
    );
    let said = homes.fails("b", &["open", "out"], 6);
    assert!(
        said.contains("no manifest in out") && said.contains("run the same `colis seal`"),
        "{said}"
    );
    let left = names(homes.path("out/chunks"));

    let out = homes.ok("a", &args);
    let told: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let already = usize::try_from(told["already_chunks"].as_u64().unwrap()).unwrap();
    // One of them is the table.
    assert_eq!(already, left.len() - 1, "{out}");
    let after = names(homes.path("out/chunks"));
    assert!(left.is_subset(&after));
    assert_eq!(
        after.len() as u64,
        told["chunks"].as_u64().unwrap() + 2,
        "table and sums, and nothing else"
    );
    homes.ok("b", &["open", "out", "--out", "opened"]);
    assert!(fs::read(homes.path("opened/f")).unwrap() == content);
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "x").unwrap();
    fs::create_dir(homes.path("photos")).unwrap();
    fs::write(homes.path("photos/1.jpg"), "a photo").unwrap();
    let said = homes.fails("a", &["seal", "f", "--to", "b", "--out", "photos"], 3);
    assert!(
        said.contains("1.jpg") && said.contains("hint: choose another folder"),
        "{said}"
    );
    assert_eq!(names(homes.path("photos")), ["1.jpg".to_owned()].into());
    homes.fails("a", &["seal", "f", "--to", "b", "--out", "f"], 7);
    let said = homes.fails("b", &["open", "photos"], 3);
    assert!(
        said.contains("no folder chunks/") && said.contains("hint: "),
        "{said}"
    );
    homes.fails("b", &["open", "nothing"], 6);
    fs::create_dir(homes.path("empty")).unwrap();
    seal(&homes, "f", "empty", SMALL);
}

#[test]
fn two_do_not_seal_into_one_folder_at_once() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "x").unwrap();
    let args = [
        "seal", "-", "--name", "dump.sql", "--to", "b", "--out", "out",
    ];
    let mut command = homes.command("a", &args);
    let mut first = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the first has begun", || {
        homes.path("out/transfer").exists()
    });
    let said = homes.fails("a", &["seal", "f", "--to", "b", "--out", "out"], 9);
    assert!(said.contains("sealing into out"), "{said}");
    let content = bytes(4, 100_000);
    first.stdin.take().unwrap().write_all(&content).unwrap();
    assert!(first.wait().unwrap().success());
    let opened = homes
        .command("b", &["open", "out", "--out", "-"])
        .output()
        .unwrap();
    assert!(opened.status.success() && opened.stdout == content);
}

#[test]
fn a_password_opens_the_folder_for_whoever_knows_it() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "for those who know").unwrap();
    fs::write(homes.path("pw"), "correct horse\n").unwrap();
    fs::write(homes.path("wrong"), "another horse\n").unwrap();
    seal(&homes, "f", "out", &["--password-file", "pw"]);
    seal(&homes, "f", "out", &["--password-file", "pw"]);
    let other = ["seal", "f", "--out", "out", "--password-file", "wrong"];
    let said = homes.fails("a", &other, 2);
    assert!(said.contains("another sealed transfer"), "{said}");
    let asked = homes.fails("b", &["open", "out"], 2);
    assert!(asked.contains("--password-file"), "{asked}");
    let wrong = homes.fails("b", &["open", "out", "--password-file", "wrong"], 4);
    assert!(wrong.contains("wrong password"), "{wrong}");
    homes.ok("b", &["open", "out", "--password-file", "pw"]);
    let received = homes.home("b").join("received/f");
    assert_eq!(fs::read_to_string(received).unwrap(), "for those who know");
}

#[test]
fn only_its_readers_open_a_folder() {
    let homes = Homes::new(&["b", "c"]);
    fs::write(homes.path("f"), "for b").unwrap();
    seal(&homes, "f", "out", &["--to", "b"]);
    let said = homes.fails("c", &["open", "out"], 4);
    assert!(
        said.contains("not addressed to us") && said.contains("hint: "),
        "{said}"
    );
    assert!(!homes.home("c").join("received/f").exists());
    homes.ok("a", &["open", "out", "--out", "back"]);
    let stranger = Homes::new(&[]);
    let out = homes.path("out");
    let said = stranger.fails("a", &["open", out.to_str().unwrap()], 4);
    assert!(
        said.contains("not come from our circle") || said.contains("trust"),
        "{said}"
    );
    for (args, code, says) in [
        (&["seal", "f", "--out", "new"][..], 2, "nobody but us"),
        (
            &["seal", "f", "--out", "new", "--to", "nobody"],
            6,
            "no peer is called nobody",
        ),
        (&["seal", "none", "--out", "new", "--to", "b"], 6, "none"),
        (&["seal", "f", "--to", "b"], 2, "--out"),
        (&["open"], 2, "<DIR>"),
    ] {
        let said = homes.fails("a", args, code);
        assert!(said.contains(says), "{args:?}: {said}");
        assert!(!homes.path("new").exists(), "{args:?} left a folder");
    }
}

#[test]
fn what_is_damaged_or_missing_is_named_and_nothing_is_released() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), bytes(5, 300_000)).unwrap();
    let id = seal(&homes, "f", "out", SMALL);
    let chunks = homes.path("out/chunks");
    let whole = |name: &str| fs::read(chunks.join(name)).unwrap();
    let mut tries = 0;
    for name in names(&chunks) {
        let good = whole(&name);
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        for (bytes, code, says) in [
            (Some(bad), 5, "is damaged"),
            (Some(good[..good.len() - 1].to_vec()), 5, "is damaged"),
            (Some(Vec::new()), 5, "is damaged"),
            (None, 6, "is missing"),
        ] {
            fs::remove_file(chunks.join(&name)).unwrap();
            if let Some(bytes) = bytes {
                fs::write(chunks.join(&name), bytes).unwrap();
            } else {
                let again = [&["seal", "f", "--out", "out"], SMALL].concat();
                let said = homes.fails("a", &again, 5);
                assert!(said.contains("out lacks 1 chunk of"), "{said}");
            }
            // What an earlier try has verified is kept, so each gets a place of its own.
            tries += 1;
            let opened = format!("opened {tries}");
            let said = homes.fails("b", &["open", "out", "--out", &opened], code);
            let path = format!("out/chunks/{name} {says}");
            assert!(said.contains(&path) && said.contains("hint: "), "{said}");
            assert!(!homes.path(&opened).join("f").exists());
            fs::write(chunks.join(&name), &good).unwrap();
        }
    }
    let manifest = homes.path(&format!("out/manifests/{id}.dsse"));
    let mut bad = fs::read(&manifest).unwrap();
    bad[100] ^= 1;
    fs::write(&manifest, bad).unwrap();
    let said = homes.fails("b", &["open", "out", "--out", "opened"], 5);
    assert!(
        said.contains("a manifest in out") && said.contains(&id),
        "{said}"
    );
    assert!(!homes.path("opened/f").exists());
}
