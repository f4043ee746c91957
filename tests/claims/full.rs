//! A disk that is full or only to be read keeps nobody from sending, from looking, or from receiving to another disk.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use testkit::{
    Homes, around,
    disk::{self, Disk},
    wait_for,
};

/// A circle of `b` and of a peer whose home is on `disk`, in which there is a file and something for it.
fn on(disk: &Path) -> (Homes, String) {
    let (homes, home) = (Homes::new(&[]), disk.join("h"));
    let home = home.to_str().unwrap().to_owned();
    homes.ok(&home, &["certs", "init", "--name", "h"]);
    let certs = homes.home("b").join("certs");
    homes.ok(
        &home,
        &["certs", "issue", "b", "--out", certs.to_str().unwrap()],
    );
    fs::write(disk.join("data"), vec![7; 100_000]).unwrap();
    fs::write(homes.path("f"), "for h").unwrap();
    let serving = homes.serve(&home, &["--inbox", "off"]);
    homes.ok("b", &["send", "f", "--to", &serving.to()]);
    drop(serving);
    (homes, home)
}

#[test]
fn a_disk_that_takes_nothing_keeps_nobody_from_exchanging() {
    let ways: [fn(&Disk); 2] = [Disk::fill, Disk::freeze];
    for (number, wrong) in ways.into_iter().enumerate() {
        let Some(disk) = Disk::mount(disk::exact, 10_000) else {
            return;
        };
        let (homes, home) = on(&disk.path());
        wrong(&disk);
        let serving = homes.serve("b", &[]);
        let data = disk.path().join("data");
        let to = serving.to();
        homes.ok(
            &home,
            &["send", data.to_str().unwrap(), "--to", &to, "--wait"],
        );
        assert_eq!(
            fs::metadata(homes.home("b").join("received/data"))
                .unwrap()
                .len(),
            100_000
        );
        homes.ok(&home, &["list", &to]);
        homes.ok(&home, &["list"]);
        homes.ok(&home, &["inbox"]);
        let is_frozen = number == 1;
        let status = homes.run(&home, &["status"]);
        assert_eq!(status.code, if is_frozen { 11 } else { 0 }, "{status:?}");
        let out = homes.path("o");
        homes.ok(&home, &["receive", "--all", "--out", out.to_str().unwrap()]);
        assert_eq!(
            fs::read_to_string(out.join("f")).unwrap(),
            "for h",
            "{number}"
        );
    }
}

/// A small disk in memory, which is really full when it is full.
struct Tmpfs(PathBuf, Option<TempDir>);

impl Tmpfs {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mounted = Self::mount_at(folder.path())?;
        mounted.1 = Some(folder);
        Some(mounted)
    }

    fn mount_at(folder: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=3m", "none"]);
        match mount.arg(folder).output() {
            Ok(done) if done.status.success() => Some(Self(folder.to_owned(), None)),
            _ => {
                eprintln!("not tried: nothing can be mounted here");
                None
            }
        }
    }

    fn fill(&self) {
        let mut file = File::create(self.0.join("fill")).unwrap();
        for size in [65_536, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn freeze(&self) {
        let frozen = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&self.0)
            .status();
        assert!(frozen.unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn what_an_upload_that_failed_left_can_be_freed_at_once() {
    let Some(disk) = Tmpfs::mount() else {
        return;
    };
    let (homes, home) = on(&disk.0);
    let data = Path::new(&home).join("chunks/data");
    fs::write(homes.path("big"), vec![7; 4 << 20]).unwrap();
    let serving = homes.serve(&home, &["--inbox", "off"]);
    let (to, before) = (serving.to(), bytes_in(&data));
    let args = [
        "send",
        "-",
        "--name",
        "s",
        "--to",
        &to,
        "--chunk-size",
        "64KiB",
    ];
    let mut send = homes.command("b", &args);
    let sent = send.stdin(File::open(homes.path("big")).unwrap()).output();
    assert_eq!(sent.unwrap().status.code(), Some(7));
    drop(serving);
    homes.ok(&home, &["gc"]);
    assert!(bytes_in(&data) > before + (1 << 20), "its sender may go on");
    homes.ok(&home, &["gc", "--unfinished"]);
    assert_eq!(bytes_in(&data), before);
    homes.ok(&home, &["check", "--read-data"]);
}

/// Bytes of the files in the folders of `folder`.
fn bytes_in(folder: &Path) -> u64 {
    let entries = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries(folder).flat_map(|shard| entries(&shard.path()));
    files.map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn each_disk_of_a_peer_is_asked_for_what_comes_to_it() {
    let homes = Homes::new(&["b"]);
    let received = homes.home("a").join("received");
    fs::create_dir(&received).unwrap();
    let Some(disk) = Tmpfs::mount_at(&received) else {
        return;
    };
    // It fits once beside the reserve of such a disk, and not twice.
    fs::write(homes.path("f"), vec![7; 2 << 20]).unwrap();
    let serving = homes.serve("a", &[]);
    homes.ok("b", &["send", "f", "--to", &serving.to(), "--wait"]);
    assert_eq!(fs::metadata(disk.0.join("f")).unwrap().len(), 2 << 20);
    fs::write(homes.path("g"), vec![8; 2 << 20]).unwrap();
    let said = homes.fails("b", &["send", "g", "--to", &serving.to()], 7);
    assert!(said.contains("no space"), "{said}");
}

/// What only looks.
const LOOKS: [&[&str]; 6] = [
    &["list"],
    &["inbox"],
    &["check", "--read-data"],
    &["status"],
    &["history"],
    &["peers"],
];

#[test]
fn what_waits_can_be_let_go_on_a_disk_that_is_full() {
    let Some(disk) = Tmpfs::mount() else {
        return;
    };
    let (homes, home) = on(&disk.0);
    let id = peer_id(&homes, "b");
    let waiting = homes.ok(&home, &["--json", "inbox"]);
    let waiting: serde_json::Value = serde_json::from_str(waiting.lines().next().unwrap()).unwrap();
    let transfer = waiting["id"].as_str().unwrap();
    disk.fill();
    for args in LOOKS {
        let needs_care = if args == ["status"] { 11 } else { 0 };
        let ran = homes.run(&home, args);
        assert_eq!(ran.code, needs_care, "{args:?}: {}", ran.err);
    }
    homes.ok(&home, &["inbox", "refuse", transfer]);
    homes.ok(&home, &["gc"]);
    homes.ok(&home, &["peers", "block", &id]);
    homes.ok(&home, &["certs", "revoke", "b"]);
    let serving = homes.serve(&home, &["--inbox", "off"]);
    let refused = homes.run("b", &["list", &serving.to()]);
    assert_eq!(refused.code, 4, "{refused:?}");
}

#[test]
fn a_home_to_read_only_is_looked_at() {
    let Some(disk) = Tmpfs::mount() else {
        return;
    };
    let (homes, home) = on(&disk.0);
    disk.freeze();
    for args in LOOKS {
        let ran = homes.run(&home, args);
        let needs_care = args == ["status"];
        assert_eq!(
            ran.code,
            if needs_care { 11 } else { 0 },
            "{args:?}: {ran:?}"
        );
        assert_eq!(ran.err.contains("nothing can be received: "), needs_care);
    }
    let status = homes.run(&home, &["--json", "status"]).out;
    assert!(status.contains("store-read-only"), "{status}");
    for (args, code) in [(&["gc"][..], 7), (&["serve", "--listen", "127.0.0.1:0"], 7)] {
        let said = homes.fails(&home, args, code);
        assert!(said.contains("Read-only file system"), "{args:?}: {said}");
    }
}

#[test]
fn a_home_whose_folders_belong_to_us_to_read_only_is_looked_at() {
    let (homes, home) = (Homes::new(&["b"]), "b");
    let serving = homes.serve("a", &[]);
    fs::write(homes.path("f"), "f").unwrap();
    homes.ok("b", &["send", "f", "--to", &serving.to(), "--wait"]);
    homes.ok("b", &["share", "f"]);
    let root = homes.home(home);
    let owned = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(&root)
        .status();
    if !owned.unwrap().success() {
        eprintln!("not tried: only root can run it as another user");
        return;
    }
    fs::set_permissions(homes.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    for folder in ["certs", "chunks"] {
        let folder = root.join(folder);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
        for args in LOOKS.iter().copied().chain([&["list", "a"][..]]) {
            let mut other = Command::new("setpriv");
            other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
            let ran = around(other, &homes.command(home, args)).output().unwrap();
            let said = String::from_utf8_lossy(&ran.stderr);
            let cares = folder.ends_with("chunks") && args == ["status"];
            let code = if cares { 11 } else { 0 };
            assert_eq!(
                ran.status.code(),
                Some(code),
                "{folder:?}, {args:?}: {said}"
            );
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn a_log_that_cannot_be_written_keeps_nobody_from_being_served() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "f").unwrap();
    fs::write(homes.home("a").join("logs"), "a file is in the way").unwrap();
    let serving = homes.serve("a", &[]);
    homes.ok("b", &["send", "f", "--to", &serving.to(), "--wait"]);
    wait_for("it is said", || {
        homes.log("a").contains("no log is written")
    });
}

/// The id of the peer whose home it is.
fn peer_id(homes: &Homes, home: &str) -> String {
    let status = homes.ok(home, &["--json", "status"]);
    let status: serde_json::Value = serde_json::from_str(status.lines().next().unwrap()).unwrap();
    status["peer_id"].as_str().unwrap().to_owned()
}
