//! `check PEER TRANSFER`: whether a peer still has every byte, without downloading one, and putting back what it lost.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use testkit::{Homes, Ran, Serving, bytes};

/// `a` has sent a file to `b` and kept the chunks.
struct Kept {
    homes: Homes,
    b: Serving,
    manifest: String,
    /// Table, content and sums.
    ids: BTreeSet<String>,
}

fn objects(out: &str) -> impl Iterator<Item = serde_json::Value> + '_ {
    out.lines().map(|line| serde_json::from_str(line).unwrap())
}

impl Kept {
    fn new() -> Self {
        let homes = Homes::new(&["b"]);
        let b = homes.serve("b", &["--inbox", "off"]);
        fs::write(homes.path("f.bin"), bytes(1, 300_000)).unwrap();
        let to = b.to();
        let args = ["--json", "send", "f.bin", "--to", &to, "--keep"];
        let sent = homes.ok("a", &[&args[..], &["--chunk-size", "64KiB"]].concat());
        let sent = objects(&sent).find(|o| o["event"] == "sent").unwrap();
        let manifest = sent["id"].as_str().unwrap().to_owned();
        let listed = homes.ok("a", &["--json", "list", "--chunks"]);
        let ids = objects(&listed).map(|o| o["id"].as_str().unwrap().to_owned());
        let ids = ids.collect::<BTreeSet<_>>();
        assert_eq!(ids.len(), 5 + 2);
        Self {
            homes,
            b,
            manifest,
            ids,
        }
    }

    fn check(&self, more: &[&str]) -> Ran {
        let args = [&["--full", "check", "b", &self.manifest[..8]], more].concat();
        self.homes.run("a", &args)
    }

    /// Where the store of `home` has a chunk.
    fn path(&self, home: &str, id: &str) -> PathBuf {
        let data = self.homes.home(home).join("chunks/data");
        data.join(&id[..2]).join(id)
    }
}

fn flip(path: &Path) {
    let mut sealed = fs::read(path).unwrap();
    let middle = sealed.len() / 2;
    sealed[middle] ^= 4;
    fs::write(path, sealed).unwrap();
}

/// The ids of the lines that name a chunk.
fn named(ran: &Ran) -> BTreeSet<String> {
    let ids = ran.out.lines().filter_map(|line| line.split_once("  "));
    ids.map(|(id, _)| id.to_owned()).collect()
}

#[test]
fn a_flipped_bit_and_a_lost_chunk_are_found_named_and_put_back() {
    let kept = Kept::new();
    let whole = kept.check(&[]);
    assert_eq!(whole.code, 0, "{whole:?}");
    let says = "b holds every byte of 7 chunks (";
    assert!(whole.out.starts_with(says), "{whole:?}");

    let bad: BTreeSet<_> = kept.ids.iter().take(2).cloned().collect();
    let [flipped, lost] = [0, 1].map(|at| kept.path("b", bad.iter().nth(at).unwrap()));
    let before = fs::read(&flipped).unwrap();
    flip(&flipped);
    fs::remove_file(&lost).unwrap();
    let ran = kept.check(&[]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert_eq!(named(&ran), bad);
    assert!(
        ran.out.contains("every byte of 5 chunks") && ran.out.contains("2 are missing or wrong"),
        "{ran:?}"
    );

    let repaired = kept.check(&["--repair"]);
    assert_eq!(
        (repaired.code, named(&repaired).len()),
        (0, 0),
        "{repaired:?}"
    );
    assert!(repaired.err.contains("2 chunks put back"), "{repaired:?}");
    assert!(fs::read(&flipped).unwrap() == before && lost.exists());
    let clean = kept.check(&[]);
    assert_eq!((clean.code, clean.out), (0, whole.out));
}

#[test]
fn every_chunk_of_table_content_and_sums_is_asked_for() {
    let kept = Kept::new();
    for id in &kept.ids {
        flip(&kept.path("b", id));
        let ran = kept
            .homes
            .run("a", &["--json", "check", "b", &kept.manifest, "--repair"]);
        let said = objects(&ran.out).next().unwrap();
        assert_eq!((ran.code, &said["repaired"]), (0, &1.into()), "{ran:?}");
        assert_eq!(said["chunks"], 7, "{said}");
    }
}

#[test]
fn a_sample_asks_for_as_many() {
    let kept = Kept::new();
    let ran = kept.check(&["--sample", "3"]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("every byte of 3 chunks ("), "{ran:?}");
    let more = kept.check(&["--sample", "1000"]);
    assert!(more.out.contains("every byte of 7 chunks ("), "{more:?}");
}

#[test]
fn a_manifest_that_the_peer_lost_is_said_and_put_back() {
    let mut kept = Kept::new();
    let path = kept
        .homes
        .home("b")
        .join("chunks/manifests")
        .join(&kept.manifest);
    kept.b.kill();
    fs::remove_file(path).unwrap();
    let at = kept.b.to();
    kept.b = kept.homes.serve_on("b", &at, &["--inbox", "off"]);
    let ran = kept.check(&[]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.out.contains("b does not have the manifest"), "{ran:?}");
    assert_eq!(kept.check(&["--repair"]).code, 0);
    assert_eq!(kept.check(&[]).code, 0);
}

#[test]
fn without_a_copy_nothing_is_claimed() {
    let kept = Kept::new();
    let none = kept
        .homes
        .fails("b", &["check", &kept.b.to(), "00000000"], 6);
    assert!(
        none.contains("no copy of the chunks of 00000000 is here"),
        "{none}"
    );
    // What is damaged here proves nothing about there.
    flip(&kept.path("a", kept.ids.first().unwrap()));
    let ran = kept.check(&["--repair"]);
    assert_eq!(ran.code, 10, "{ran:?}");
    assert!(
        ran.out.contains("not compared: no good copy is here"),
        "{ran:?}"
    );
    assert!(ran.out.contains("every byte of 6 chunks"), "{ran:?}");
    kept.homes.fails("a", &["check", "b"], 2);
    kept.homes.fails("a", &["check", "--repair"], 2);
}
