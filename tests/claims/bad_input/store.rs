//! Row 35 and rows 85 to 94: files that are not as the program left them, disks that fail.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use colis::{id::ChunkId, wire::Code};
use rustix::{
    fs::{CWD, FileType, mknodat},
    process::{Pid, Signal, kill_process},
};

use super::parcel::{Parcel, Plain};
use testkit::site::{Site, assert_clean, certificate, certs, key, shows};
use testkit::{Homes, Ran, around, bytes, tree, wait_for};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The same command, whose `calls` to the system fail with `error`.
fn failing(command: &Command, calls: &str, error: &str) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
    strace.arg(format!("inject={calls}:error={error}"));
    around(strace, command)
}

pub(crate) fn row_35_a_disk_that_fails() {
    let mut site = Site::default();
    let kept = bytes(1, 1000);
    let (id, put) = site.put_chunk(&kept);
    assert_eq!(put.status, 201);
    site.serving.kill();
    let serve = [
        "--json",
        "serve",
        "--listen",
        &site.serving.to(),
        "--inbox",
        "off",
    ];
    let serve = site.homes.command("a", &serve);
    let mut serve = failing(&serve, "fdatasync", "EIO");
    let mut tracing = serve
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(tracing.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let pid = fs::read_to_string(site.homes.home("a").join("chunks/LOCK")).unwrap();
    let pid = pid
        .lines()
        .find_map(|l| l.strip_prefix("pid "))
        .unwrap()
        .parse()
        .unwrap();
    let before = site.stored();
    // Once a sync has failed nothing is acknowledged any more, not even what might succeed.
    for seed in [2, 3] {
        let (lost, answer) = site.put_chunk(&bytes(seed, 1000));
        answer.is(Code::StorageFailed, "a put");
        site.get(&format!("/v1/chunks/{lost}"))
            .is(Code::NoSuchChunk, "what was refused");
    }
    let read = site.get(&format!("/v1/chunks/{id}"));
    assert_eq!((read.status, read.body), (200, kept));
    let health = String::from_utf8(site.get("/v1/health").body).unwrap();
    assert!(health.contains("\"status\":\"read-only\""), "{health}");
    assert_eq!(site.stored(), before);
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    tracing.wait().unwrap();
    // A healthy disk heals it.
    let again = site
        .homes
        .serve_on("a", &site.serving.to(), &["--inbox", "off"]);
    assert_eq!(site.put_chunk(&bytes(2, 1000)).1.status, 201);
    drop(again);
}

pub(crate) fn row_85_a_store_in_use() {
    let site = Site::default();
    let lock = fs::read_to_string(site.homes.home("a").join("chunks/LOCK")).unwrap();
    let pid = lock.lines().next().unwrap().strip_prefix("pid ").unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let said = site.homes.fails("a", &serve, 9);
    assert!(said.contains(&format!("in use by process {pid}")), "{said}");
    assert!(said.contains("hint: wait for it to end"), "{said}");
    // What can be asked of the peer that has it is.
    site.homes.ok("a", &["gc"]);
    site.is_well();
}

pub(crate) fn row_86_a_store_of_another_format() {
    let mut site = Site::default();
    assert_eq!(site.put_chunk(&bytes(1, 1000)).1.status, 201);
    site.serving.kill();
    let chunks = site.homes.home("a").join("chunks");
    for (format, what) in [
        (
            "colis store 2\n",
            "written by a later version of colis; not touched",
        ),
        (
            "colis store 99999999999999999999\n",
            "not the format of a store of colis",
        ),
        ("\u{1b}[31m\n", "not the format of a store of colis"),
        ("", "chunks/FORMAT: empty; not touched"),
    ] {
        fs::write(chunks.join("FORMAT"), format).unwrap();
        let before = tree(&chunks);
        for args in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["list"],
            &["check"],
            &["gc"],
        ] {
            let said = site.homes.fails("a", args, 3);
            assert!(said.contains(what), "{said}");
            assert_clean(&said);
        }
        assert_eq!(tree(&chunks), before, "it was touched");
    }
    fs::rename(&chunks, site.homes.path("disk")).unwrap();
    fs::create_dir(&chunks).unwrap();
    let said = site.homes.fails("a", &["gc"], 7);
    assert!(said.contains("is its disk mounted?"), "{said}");
    assert_eq!(fs::read_dir(&chunks).unwrap().count(), 0);
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn row_87_chunks_that_are_something_else() {
    let mut site = Site::default();
    let outside = site.homes.path("outside");
    fs::write(&outside, bytes(100, 1000)).unwrap();
    let outsider = ChunkId::of(&bytes(100, 1000));
    let ways: [&dyn Fn(&Path); 6] = [
        &|path| fs::write(path, &bytes(1, 1000)[..999]).unwrap(),
        &|path| fs::write(path, [bytes(2, 1000), vec![0]].concat()).unwrap(),
        &|path| fs::write(path, b"").unwrap(),
        &|path| fs::create_dir(path).unwrap(),
        &|path| mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap(),
        &|path| symlink(&outside, path).unwrap(),
    ];
    let damage = |site: &Site| {
        let mut ids = Vec::new();
        for (seed, way) in (1..).zip(ways) {
            let (id, put) = site.put_chunk(&bytes(seed, 1000));
            assert_eq!(put.status, 201, "it does not heal");
            let path = site.path_of(id);
            fs::remove_file(&path).unwrap();
            way(&path);
            ids.push(id);
        }
        // A link to bytes that would be right.
        symlink(&outside, site.path_of(outsider)).unwrap();
        ids.push(outsider);
        ids
    };
    for id in damage(&site) {
        for _ in 0..2 {
            site.get(&format!("/v1/chunks/{id}"))
                .is(Code::NoSuchChunk, "something else");
        }
    }
    let _ = fs::remove_file(site.path_of(outsider));
    let ids = damage(&site);
    site.is_well();
    site.serving.kill();
    let shard = site.homes.home("a").join("chunks/data/00");
    fs::write(shard.join("notes\u{1b}[31m\nFAKE"), "mine").unwrap();
    let ran = site.homes.run("a", &["check", "--read-data"]);
    assert_eq!(ran.code, 5, "{}", ran.out);
    assert!(
        ids.iter().all(|id| ran.out.contains(&id.to_string())),
        "{}",
        ran.out
    );
    assert_eq!(
        ran.out
            .matches("set aside, heals by being put again")
            .count(),
        ids.len()
    );
    assert!(
        ran.out.contains("left alone") && !ran.out.contains("\nFAKE"),
        "{}",
        ran.out
    );
    assert_clean(&ran.out);
    fs::remove_file(shard.join("notes\u{1b}[31m\nFAKE")).unwrap();
    site.homes.ok("a", &["check", "--read-data"]);
    assert_eq!(
        fs::read(&outside).unwrap(),
        bytes(100, 1000),
        "a link was followed"
    );
}

pub(crate) fn row_88_what_can_be_made_again() {
    let mut site = Site::default();
    let (a, b) = (site.identity("a"), site.identity("b"));
    let id = Parcel::seal(&b, &a, Plain::files(&["f.txt"])).send(&site, &b);
    site.serving.kill();
    // There is no index on disk. A backup leaves out what is empty, and a lock says nothing to a later process.
    let chunks = site.homes.home("a").join("chunks");
    for entry in fs::read_dir(chunks.join("data")).unwrap() {
        // Those that are not empty stay.
        let _ = fs::remove_dir(entry.unwrap().path());
    }
    for folder in ["trash", "corrupt", "state/sending"] {
        fs::remove_dir(chunks.join(folder)).unwrap();
    }
    fs::write(chunks.join("LOCK"), "pid \u{1b}[31m\nserving nowhere\n\0").unwrap();
    let serving = site
        .homes
        .serve_on("a", &site.serving.to(), &["--inbox", "off"]);
    assert_eq!(site.get(&format!("/v1/manifests/{id}")).status, 200);
    let listed = site.homes.ok("b", &["list", &serving.to()]);
    assert!(listed.contains(&id.to_string()[..8]), "{listed}");
    assert_eq!(site.put_chunk(&bytes(1, 1000)).1.status, 201);
    drop(serving);
    site.homes.ok("a", &["check", "--read-data"]);
}

pub(crate) fn row_89_trust_that_is_damaged() {
    let site = Site::of(Homes::new(&["b", "c"]), &[]);
    let (homes, dir) = (&site.homes, certs(&site.homes, "a"));
    // A serving peer goes on with what it knew: whoever was revoked stays so.
    homes.ok("a", &["certs", "revoke", "c"]);
    let list = ["list", &site.serving.to()];
    wait_for("c is out", || homes.run("c", &list).code == 4);
    let good = fs::read(dir.crl()).unwrap();
    for damage in [&good[..good.len() / 2], b"", b"garbage"] {
        fs::write(dir.crl(), damage).unwrap();
        let unchanged = || homes.log("a").contains("certificates unchanged");
        wait_for("it is noticed", unchanged);
        let c = certs(homes, "c");
        site.alert(shows(homes, vec![certificate(&c)], key(&c)));
        site.is_well();
        let said = homes.fails("a", &["serve", "--listen", "127.0.0.1:0"], 3);
        assert!(said.contains("crl.pem"), "{said}");
    }
    fs::write(dir.crl(), good).unwrap();
    for damage in ["", "{", "{\"v\":1,\"peers\":{},\"x\":1}", "\u{1b}[31m"] {
        for (file, args) in [
            (dir.peers(), &["peers"][..]),
            (dir.peers(), &["list", "b"]),
            (dir.peers(), &["peers", "forget", "b"]),
        ] {
            let good = fs::read(&file).unwrap();
            fs::write(&file, damage).unwrap();
            let said = homes.fails("a", args, 3);
            let is_newer = damage.contains("\"x\"");
            let [what, todo] = match is_newer {
                true => [
                    "peers.json was written by a newer colis",
                    "hint: use the colis that wrote it",
                ],
                false => ["peers.json is damaged", "hint: restore it from a backup"],
            };
            assert!(said.contains(what) && said.contains(todo), "{said}");
            assert_clean(&said);
            assert_eq!(
                fs::read_to_string(&file).unwrap(),
                damage,
                "it was written over"
            );
            fs::write(&file, good).unwrap();
        }
    }
    homes.ok("a", &["peers"]);
}

/// Everything of `out/.colis/KEY/` that has this name.
fn staged(out: &Path, name: &str) -> std::path::PathBuf {
    let mut keys = fs::read_dir(out.join(".colis")).unwrap();
    keys.next().unwrap().unwrap().path().join(name)
}

pub(crate) fn row_90_journals_that_are_damaged() {
    let site = Site::default();
    let (a, b, homes) = (site.identity("a"), site.identity("b"), &site.homes);
    let content = bytes(9, 5 << 16);
    let mut plain = Plain::default();
    plain.add("f.bin", &content);
    let parcel = Parcel::seal(&b, &a, plain);
    let lost = parcel.manifest.chunks[3];
    parcel.send(&site, &b);
    let (path, aside) = (site.path_of(lost), homes.path("aside"));
    for damage in [
        &|file: &Path| fs::write(file, "garbage").unwrap(),
        &cut,
        &flip,
        &wrong_data,
    ] as [&dyn Fn(&Path); 4]
    {
        // A receive that is stopped half-way, and continued after the damage.
        let out = homes.path("out");
        fs::rename(&path, &aside).unwrap();
        homes.fails("a", &["receive", "f.bin", "--out", "out"], 6);
        damage(&staged(&out, "progress"));
        fs::rename(&aside, &path).unwrap();
        homes.ok("a", &["receive", "f.bin", "--out", "out"]);
        assert!(fs::read(out.join("f.bin")).unwrap() == content);
        fs::remove_dir_all(&out).unwrap();
    }
    site.is_well();
}

fn cut(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() - 5]).unwrap();
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(file, bytes).unwrap();
}

/// The journal is right, and what it speaks of is not.
fn wrong_data(journal: &Path) {
    let file = journal.with_file_name("tree").join("f.bin");
    let mut bytes = fs::read(&file).unwrap();
    bytes[70_000] ^= 1;
    fs::write(&file, bytes).unwrap();
}

pub(crate) fn row_91_what_other_receives_left() {
    let homes = Homes::new(&["b"]);
    let received = homes.home("a").join("received");
    let leave = |key: &str, age: Duration| {
        let folder = received.join(".colis").join(key);
        fs::create_dir_all(folder.join("tree")).unwrap();
        fs::write(folder.join("tree/part"), "part").unwrap();
        fs::write(folder.join("progress"), "").unwrap();
        let file = File::options()
            .write(true)
            .open(folder.join("progress"))
            .unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        folder
    };
    let (old, fresh) = (leave("00ab", 8 * DAY), leave("00cd", 6 * DAY));
    let strange = received.join(".colis/not-a-key!");
    fs::create_dir(&strange).unwrap();
    let site = Site::of(homes, &[]);
    wait_for("the old one goes", || !old.exists());
    assert!(fresh.exists() && strange.exists());
    fs::write(site.homes.path("f.txt"), "x").unwrap();
    let to = site.serving.to();
    site.homes
        .ok("b", &["send", "f.txt", "--to", &to, "--wait"]);
    assert_eq!(fs::read_to_string(received.join("f.txt")).unwrap(), "x");
    assert!(fresh.exists());
}

pub(crate) fn row_92_file_systems_that_cannot() {
    let site = Site::default();
    let (a, b, homes) = (site.identity("a"), site.identity("b"), &site.homes);
    Parcel::seal(&b, &a, Plain::files(&["f.txt"])).send(&site, &b);
    let fails = |home: &str, args: &[&str], calls: &str, error: &str, what: &str| {
        let mut command = failing(&homes.command(home, args), calls, error);
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, 7, "{args:?}: {} {}", ran.out, ran.err);
        let said = ran.err.to_lowercase();
        assert!(said.contains(what), "{args:?}: {}", ran.err);
    };
    let receive = ["receive", "--all", "--out", "out"];
    let making = "mkdir,mkdirat";
    fails("a", &receive, making, "EROFS", "read-only file system");
    fails("a", &receive, making, "ENOSPC", "no space left");
    fails("a", &receive, "openat2", "ENOSYS", "not implemented");
    fails(
        "b",
        &["serve", "--listen", "127.0.0.1:0"],
        making,
        "EROFS",
        "read-only file system",
    );
    assert!(!homes.path("out/f.txt").exists());
    // Without files that have no name yet, the store stages under another name.
    fs::write(homes.path("f.txt"), "x").unwrap();
    let share = homes.command("b", &["share", "f.txt"]);
    let ran = Ran::from(failing(&share, "linkat", "EPERM").output().unwrap());
    assert!([0, 7].contains(&ran.code), "{}", ran.err);
    homes.ok("a", &receive);
    assert_eq!(
        fs::read_to_string(homes.path("out/f.txt")).unwrap(),
        "f.txt"
    );
    site.is_well();
}

pub(crate) fn row_93_a_clock_that_went_back() {
    let mut site = Site::default();
    assert_eq!(site.put_chunk(&bytes(1, 1000)).1.status, 201);
    assert!(!site.homes.log("a").contains("the clock is"));
    site.serving.kill();
    let before = site.stored();
    let lock = site.homes.home("a").join("chunks/LOCK");
    let file = File::options().write(true).open(lock).unwrap();
    file.set_modified(SystemTime::now() + 2 * DAY).unwrap();
    let serving = site
        .homes
        .serve_on("a", &site.serving.to(), &["--inbox", "off"]);
    let warned = || {
        site.homes
            .log("a")
            .contains("the clock is more than a day earlier")
    };
    wait_for("it warns", warned);
    site.is_well();
    assert_eq!(site.stored(), before, "something was given up");
    drop(serving);
}

pub(crate) fn row_94_what_was_kept_of_a_send() {
    let site = Site::of(Homes::new(&["b"]), &["--inbox", "off"]);
    let homes = &site.homes;
    fs::write(homes.path("f.txt"), bytes(1, 1000)).unwrap();
    homes.ok("b", &["send", "f.txt", "--to", &site.serving.to()]);
    let folder = homes.home("b").join("chunks/state/sent");
    let path = fs::read_dir(&folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let good = fs::read(&path).unwrap();
    let check = |code: i32| homes.fails("b", &["check", "a", "f.txt"], code);
    homes.ok("b", &["check", "a", "f.txt"]);
    let longer = [&good[..], b"x"].concat();
    for bad in [&good[..good.len() - 1], b"", b"colis sent 2\n", &longer] {
        fs::write(&path, bad).unwrap();
        let said = check(6);
        assert!(said.contains("no copy of the chunks"), "{said}");
        let doctor = homes.run("b", &["doctor"]);
        assert!(doctor.out.contains("is damaged"), "{doctor:?}");
    }
    // Under another name it is of another transfer, and another end.
    fs::write(&path, &good).unwrap();
    let other = folder.join(format!("{}.never", "0".repeat(32)));
    fs::rename(&path, &other).unwrap();
    check(6);
    fs::rename(&other, &path).unwrap();
    homes.ok("b", &["check", "a", "f.txt"]);
}
