//! Rows 58 to 66: names from a stranger's table, on this disk and on this terminal.

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    process::Stdio,
};

use rustix::fs::{CWD, FileType, mknodat};

use super::parcel::{Parcel, Plain};
use testkit::site::{Site, assert_clean};
use testkit::{Ran, tree, wait_for};

/// Sends `plain` from `b` to `a`, whose inbox is off, and has `a` list and receive it, for people and for programs. Gives
/// the site, what the receive said, and what is in `out/` then.
fn receive(plain: Plain) -> (Site, Ran, Vec<String>) {
    let site = Site::default();
    let (a, b) = (site.identity("a"), site.identity("b"));
    Parcel::seal(&b, &a, plain).send(&site, &b);
    let homes = &site.homes;
    for flags in [&["list"][..], &["--json", "list"], &["-vv", "list"]] {
        is_harmless(&homes.run("a", flags));
    }
    let ran = homes.run("a", &["receive", "--all", "--out", "out"]);
    is_harmless(&ran);
    let again = ["--json", "-vv", "receive", "--all", "--out", "again"];
    is_harmless(&homes.run("a", &again));
    let mut found = Vec::new();
    if homes.path("out").exists() {
        found = tree(&homes.path("out"));
        found.retain(|line| line != "dir ");
    }
    site.is_well();
    (site, ran, found)
}

/// Nothing in it moves a cursor, hides, or begins a line that the sender wrote.
fn is_harmless(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        assert_clean(text);
        assert!(!text.contains("\nFAKE"), "{text}");
    }
}

/// Each name becomes the other; its content shows which is which.
fn become_others(names: &[(&str, &str)]) {
    let sent: Vec<_> = names.iter().map(|(name, _)| *name).collect();
    let (site, ran, found) = receive(Plain::files(&sent));
    assert_eq!(ran.code, 0, "{}", ran.err);
    for (name, became) in names {
        let path = site.homes.path("out").join(became);
        let content = fs::read_to_string(&path);
        assert_eq!(
            content.ok().as_deref(),
            Some(*name),
            "{path:?} in {found:?}"
        );
    }
    assert_eq!(found.len(), names.len(), "{found:?}");
}

/// Each of these transfers is refused whole: nothing is written, neither by a receive nor by the inbox.
fn are_refused(plains: impl IntoIterator<Item = Plain>, code: i32) {
    let site = Site::with(&["--inbox", "auto"]);
    let (a, b, homes) = (site.identity("a"), site.identity("b"), &site.homes);
    for plain in plains {
        let id = Parcel::seal(&b, &a, plain).send(&site, &b).to_string();
        let ran = homes.run("a", &["receive", &id, "--out", "out"]);
        is_harmless(&ran);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{}", ran.err);
        let short = id[..8].to_owned();
        let log = || homes.log("a");
        wait_for("the inbox refuses it", || {
            log()
                .lines()
                .any(|line| line.contains(&short) && line.contains("not opened"))
        });
    }
    is_harmless(&homes.run("a", &["list"]));
    is_harmless(&homes.run("a", &["--json", "list"]));
    for folder in [homes.home("a").join("received"), homes.path("out")] {
        let written = tree(&folder);
        assert!(written.iter().all(|line| line == "dir "), "{written:?}");
    }
    site.is_well();
}

fn are_refused_names(names: &[&str]) {
    are_refused(names.iter().map(|name| Plain::files(&[name])), 5);
}

pub(crate) fn row_58_no_name_or_dots() {
    are_refused_names(&["", ".", "..", "a/..", "./a", "../../x", "a/./b"]);
}

pub(crate) fn row_59_paths_that_lead_elsewhere() {
    // `a/b` needs its folder before it.
    are_refused_names(&["/abs", "/etc/passwd", "a//b", "a/", "a/b"]);
    become_others(&[
        ("a\\b", "a_b"),
        ("C:x", "C_x"),
        ("\\\\srv\\x", "__srv_x"),
        ("..\\up", "_.._up"),
    ]);
    let mut links = Plain::files(&["kept"]);
    links.link("out", "/etc/passwd");
    links.link("up", "../..");
    links.link("beside", "kept");
    links.folder("d");
    links.link("d/up", "a/../../../x");
    let (_, ran, found) = receive(links);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.err.matches("skipped the link").count(),
        4,
        "{}",
        ran.err
    );
    assert!(
        !found.iter().any(|line| line.starts_with("link")),
        "{found:?}"
    );
}

pub(crate) fn row_60_controls() {
    are_refused_names(&["nul\0", "\u{1b}[31m\nFAKE/\u{202e}x", "/\u{9b}31m"]);
    become_others(&[
        ("line\nFAKE-LINE", "line_FAKE-LINE"),
        ("\u{1b}[2J\u{1b}[31mred", "_[2J_[31mred"),
        ("\u{1b}]0;title\u{7}", "_]0;title_"),
        ("c1\u{9b}31m", "c1_31m"),
        ("del\u{7f}", "del_"),
        ("cr\rFAKE", "cr_FAKE"),
        ("tab\tx", "tab_x"),
        ("ls\u{2028}ps\u{2029}", "ls_ps_"),
    ]);
}

pub(crate) fn row_61_what_hides_or_reorders() {
    become_others(&[
        ("photo\u{202e}gpj.exe", "photo_gpj.exe"),
        ("a\u{202a}b\u{202b}c\u{202c}d\u{202d}e", "a_b_c_d_e"),
        ("i\u{2066}j\u{2067}k\u{2068}l\u{2069}", "i_j_k_l_"),
        ("zero\u{200b}\u{200c}\u{200d}width", "zero___width"),
        ("\u{feff}bom", "_bom"),
        ("soft\u{ad}hyphen", "soft_hyphen"),
        ("tag\u{e0041}", "tag_"),
        ("selector\u{fe00}\u{e0100}\u{180b}", "selector___"),
        ("blank\u{a0}\u{2003}\u{3000}\u{2800}", "blank____"),
        ("joiner\u{34f}", "joiner_"),
        ("heart\u{2764}\u{fe0f}", "heart\u{2764}\u{fe0f}"),
    ]);
}

pub(crate) fn row_62_names_of_devices() {
    become_others(&[
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("COM\u{b9}", "_COM\u{b9}"),
        ("LPT0", "_LPT0"),
        ("aux .tar.gz", "_aux .tar.gz"),
        ("dot.", "dot_"),
        ("space ", "space_"),
        ("a:b", "a_b"),
        ("CONSOLE", "CONSOLE"),
    ]);
}

pub(crate) fn row_63_leading_dashes_and_dots() {
    become_others(&[
        (".bashrc", "_.bashrc"),
        ("-rf", "_-rf"),
        ("--help", "_--help"),
        (".colis", "_.colis"),
        ("...", "_.._"),
    ]);
}

pub(crate) fn row_64_long_names_and_names_that_are_no_text() {
    are_refused_names(&[&"x".repeat(256), &"d/".repeat(3000)]);
    become_others(&[(&"x".repeat(255), &"x".repeat(255))]);
    let mut surrogate = Plain::files(&["x"]);
    surrogate.table = surrogate.table.replace_once(b"\"x\"", b"\"\\ud800\"");
    let mut invalid = Plain::files(&["x"]);
    invalid.table = invalid.table.replace_once(b"\"x\"", b"\"\xff\"");
    are_refused([surrogate, invalid], 3);
    let site = Site::default();
    let homes = &site.homes;
    let odd = |bytes: &[u8]| homes.path("").join(std::ffi::OsStr::from_bytes(bytes));
    fs::write(odd(b"a\xff\xc3\xa9.txt"), "odd").unwrap();
    fs::write(odd(&[0xff; 200]), "odd").unwrap();
    let send = |name: &[u8]| {
        let mut command = homes.command("b", &["send", "--to", &site.serving.to()]);
        Ran::from(
            command
                .arg(odd(name))
                .stdin(Stdio::null())
                .output()
                .unwrap(),
        )
    };
    assert_eq!(send(b"a\xff\xc3\xa9.txt").code, 0);
    homes.ok("a", &["receive", "--all", "--out", "out"]);
    assert!(homes.path("out/a%FF\u{e9}.txt").exists());
    // As text it is three times as long: said to the sender, not to the recipient.
    let long = send(&[0xff; 200]);
    assert_eq!(long.code, 2, "{}", long.err);
    assert!(long.err.contains("too long") && long.err.contains("hint: rename it"));
}

trait ReplaceOnce {
    fn replace_once(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl ReplaceOnce for Vec<u8> {
    fn replace_once(&self, from: &[u8], to: &[u8]) -> Self {
        let at = self.windows(from.len()).position(|w| w == from).unwrap();
        [&self[..at], to, &self[at + from.len()..]].concat()
    }
}

pub(crate) fn row_65_names_that_are_taken() {
    let site = Site::default();
    let out = site.homes.path("out");
    fs::create_dir(&out).unwrap();
    for name in ["f.txt", "\u{e9}t\u{e9}", "Case"] {
        fs::write(out.join(name), "mine").unwrap();
    }
    fs::create_dir(out.join("folder")).unwrap();
    symlink("/nowhere", out.join("link")).unwrap();
    let before = tree(&out);
    let (a, b) = (site.identity("a"), site.identity("b"));
    let names = [
        "f.txt",
        "e\u{301}te\u{301}",
        "\u{e9}t\u{e9}",
        "CASE",
        "folder",
        "link",
    ];
    Parcel::seal(&b, &a, Plain::files(&names)).send(&site, &b);
    site.homes.ok("a", &["receive", "--all", "--out", "out"]);
    let after = tree(&out);
    let lost: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    for (name, sent) in [
        ("f (2).txt", "f.txt"),
        ("\u{e9}t\u{e9} (2)", "\u{e9}t\u{e9}"),
        ("e\u{301}te\u{301}", "e\u{301}te\u{301}"),
        ("CASE", "CASE"),
        ("folder (2)", "folder"),
        ("link (2)", "link"),
    ] {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), sent, "{name}");
    }
    // A table that has one name twice is no honest one.
    are_refused([Plain::files(&["twice", "twice"])], 5);
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap();
}

pub(crate) fn row_66_a_destination_that_is_no_folder() {
    let site = Site::default();
    let (a, b) = (site.identity("a"), site.identity("b"));
    Parcel::seal(&b, &a, Plain::files(&["f.txt"])).send(&site, &b);
    let homes = &site.homes;
    let elsewhere = homes.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, homes.path("a-link")).unwrap();
    fifo(&homes.path("a-fifo"));
    fs::write(homes.path("a-file"), "").unwrap();
    for name in ["a-link", "a-fifo", "a-file"] {
        let said = homes.fails("a", &["receive", "--all", "--out", name], 7);
        assert!(
            said.contains("unsafe destination") && said.contains("hint: "),
            "{said}"
        );
    }
    // Where files are staged, a link is not followed either.
    fs::create_dir(homes.path("trap")).unwrap();
    symlink(&elsewhere, homes.path("trap/.colis")).unwrap();
    let said = homes.fails("a", &["receive", "--all", "--out", "trap"], 7);
    assert!(said.contains("unsafe destination"), "{said}");
    assert_eq!(
        fs::read_dir(&elsewhere).unwrap().count(),
        0,
        "a link was followed"
    );
    // What is in the way of a name stays what it is.
    fs::create_dir(homes.path("out")).unwrap();
    fifo(&homes.path("out/f.txt"));
    homes.ok("a", &["receive", "--all", "--out", "out"]);
    assert_eq!(
        fs::read_to_string(homes.path("out/f (2).txt")).unwrap(),
        "f.txt"
    );
    // A peer whose `received/` is a link does not even start.
    let received = homes.home("b").join("received");
    symlink(&elsewhere, &received).unwrap();
    let said = homes.fails("b", &["serve", "--listen", "127.0.0.1:0"], 7);
    assert!(said.contains("unsafe destination"), "{said}");
    // The hint is for `serve`, which has no --out.
    assert!(said.contains("hint: ") && !said.contains("--out"), "{said}");
    wait_for("the peer is well", || site.get("/v1/health").status == 200);
}
