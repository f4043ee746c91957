//! Where received files are: as a person chooses, else where a person looks; and never where something else is meant.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use testkit::{Homes, Ran, Serving, program, tree, wait_for};

const MARKER: &str = ".colis-received";

/// A user with a home folder and `colis` in the platform's place, who is the member u.
struct User {
    homes: Homes,
}

impl User {
    fn new() -> Self {
        let homes = Homes::new(&[]);
        let certs = homes.path("user/.local/share/colis/certs");
        let out = certs.to_str().unwrap();
        homes.ok("a", &["certs", "issue", "u", "--out", out]);
        Self { homes }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.homes.path("user").join(below)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).current_dir(self.homes.path(""));
        for variable in [
            "COLIS_HOME",
            "COLIS_LOG",
            "XDG_DATA_HOME",
            "XDG_CONFIG_HOME",
        ] {
            command.env_remove(variable);
        }
        command.env("HOME", self.path("")).stdin(Stdio::null());
        command.env("NO_COLOR", "1").env("COLIS_DISCOVERY", "false");
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// What `status` says that the folder is.
    fn received(&self) -> PathBuf {
        let ran = self.run(&["--json", "status"]);
        ran.object("status")["received"].as_str().unwrap().into()
    }

    fn serve(&self, args: &[&str]) -> Serving {
        let serve = [&["--json", "serve", "--listen", "127.0.0.1:0"], args].concat();
        self.homes.serve_by("u", self.command(&serve))
    }
}

/// a sends what is in these files, each called by its path.
fn send(homes: &Homes, to: &Serving, names: &[&str]) {
    for name in names {
        fs::write(homes.path(name), name).unwrap();
    }
    let to = to.to();
    homes.ok("a", &[&["send", "--to", &to, "--wait"], names].concat());
}

fn arrivals(serving: &Serving, count: usize) -> Vec<serde_json::Value> {
    let arrived = || {
        let mut said = serving.said();
        said.retain(|object| object["event"] == "arrival");
        said
    };
    wait_for("the arrivals are told", || arrived().len() == count);
    arrived()
}

#[test]
fn what_comes_to_the_platforms_home_is_among_the_downloads() {
    let user = User::new();
    let own = user.path(".local/share/colis/received");
    assert_eq!(user.received(), own, "there is no folder for downloads");
    fs::create_dir(user.path("Downloads")).unwrap();
    assert_eq!(user.received(), user.path("Downloads/colis"));
    fs::create_dir_all(user.path("T\u{e9}l\u{e9}")).unwrap();
    fs::create_dir_all(user.path(".config")).unwrap();
    let dirs = user.path(".config/user-dirs.dirs");
    fs::write(&dirs, "XDG_DOWNLOAD_DIR=\"$HOME/T\u{e9}l\u{e9}\"\n").unwrap();
    let received = user.path("T\u{e9}l\u{e9}/colis");
    assert_eq!(user.received(), received);
    let serving = user.serve(&[]);
    send(&user.homes, &serving, &["f.txt"]);
    assert!(received.join("f.txt").is_file() && received.join(MARKER).is_file());
    let told = arrivals(&serving, 1);
    assert_eq!(
        told[0]["paths"][0],
        received.join("f.txt").to_str().unwrap()
    );
    drop(serving);
    // Any other home has its own folder, and a home with files in that keeps it.
    assert!(!own.exists());
    assert_eq!(
        user.homes.run("a", &["--json", "status"]).object("status")["received"],
        user.homes.home("a").join("received").to_str().unwrap()
    );
    fs::create_dir(&own).unwrap();
    assert_eq!(user.received(), received);
    fs::write(own.join("old.txt"), "").unwrap();
    assert_eq!(user.received(), own);
}

#[test]
fn a_setting_a_variable_and_a_flag_say_where_files_go() {
    let homes = Homes::new(&["b"]);
    let status = |command: &mut Command| {
        let ran = Ran::from(command.output().unwrap());
        PathBuf::from(ran.object("status")["received"].as_str().unwrap())
    };
    let asks = || homes.command("b", &["--json", "status"]);
    let user = homes.path("user");
    // In the file it may be one from the home folder on.
    let file = homes.home("b").join("colis.toml");
    fs::write(&file, "received = \"in/here\"\n").unwrap();
    assert_eq!(status(&mut asks()), homes.home("b").join("in/here"));
    fs::create_dir_all(&user).unwrap();
    let mut set = homes.command("b", &["config", "set", "received", "~/in"]);
    assert!(set.env("HOME", &user).output().unwrap().status.success());
    assert_eq!(status(asks().env("HOME", &user)), user.join("in"));
    let other = homes.path("other");
    assert_eq!(status(asks().env("COLIS_RECEIVED", &other)), other);
    for wrong in ["", "~ben/in"] {
        let said = homes.fails("b", &["config", "set", "received", wrong], 3);
        assert!(said.contains("a folder is a whole path"), "{said}");
    }
    let serving = homes.serve("b", &["--received", "flag"]);
    send(&homes, &serving, &["f.txt"]);
    assert!(homes.path("flag/f.txt").is_file());
    // Staged beside what is received: the last step is a rename within one file system.
    assert!(!homes.home("b").join("received").exists() && !other.exists());
}

/// Folders that nothing can be received into by b, what is said of each, and what to do.
fn nowhere(homes: &Homes) -> Vec<(String, &'static str, String)> {
    let (home, root) = (homes.home("b"), homes.path(""));
    let at = |path: &Path| path.to_str().unwrap().to_owned();
    vec![
        (
            "in".to_owned(),
            "is not a whole path",
            at(&homes.path("in")),
        ),
        (
            at(&homes.path("no where/in")),
            "no where is not there",
            format!("mkdir -p '{}'", at(&homes.path("no where"))),
        ),
        (
            at(&homes.path("file")),
            "is not a folder",
            "folder of its own".to_owned(),
        ),
        (
            at(&homes.path("file/in")),
            "is not a folder",
            "folder of its own".to_owned(),
        ),
        (
            at(&homes.path("link")),
            "is a link",
            format!("it leads to: {}", at(&homes.path("real"))),
        ),
        (at(&home), "is the home", "folder of its own".to_owned()),
        (at(&root), "or around it", "folder of its own".to_owned()),
        (
            at(&homes.home("a")),
            "is the home",
            "folder of its own".to_owned(),
        ),
        (
            at(&home.join("certs")),
            "where colis keeps",
            "folder of its own".to_owned(),
        ),
        (
            at(&home.join("chunks/in")),
            "where colis keeps",
            "folder of its own".to_owned(),
        ),
        ("/proc/in".to_owned(), "cannot be written", String::new()),
    ]
}

#[test]
fn what_nothing_can_be_received_into_is_refused_when_it_is_chosen() {
    let homes = Homes::new(&["b"]);
    let root = homes.path("");
    fs::write(homes.path("file"), "").unwrap();
    fs::create_dir(homes.path("real")).unwrap();
    std::os::unix::fs::symlink(homes.path("real"), homes.path("link")).unwrap();
    homes.ok("b", &["share", "file", "--to", "a"]);
    let before = tree(&root);
    for (value, what, todo) in nowhere(&homes) {
        let said = homes.fails("b", &["config", "set", "received", &value], 3);
        assert!(
            said.contains(what) && said.contains(&todo),
            "{value}: {said}"
        );
        assert!(said.contains("hint: "), "{value}: {said}");
        if value.starts_with('/') {
            let serve = ["serve", "--listen", "127.0.0.1:0", "--received", &value];
            let said = homes.fails("b", &serve, 3);
            assert!(
                said.contains(what) && said.contains(&todo),
                "{value}: {said}"
            );
        }
    }
    assert_eq!(tree(&root), before, "nothing is left of it");
}

#[test]
fn another_folder_counts_at_once_and_the_one_in_force_is_said() {
    let homes = Homes::new(&["b"]);
    let serving = homes.serve("b", &[]);
    send(&homes, &serving, &["1.txt"]);
    let received = |homes: &Homes| {
        let status = homes.run("b", &["--json", "status"]).object("status");
        PathBuf::from(status["received"].as_str().unwrap())
    };
    let own = homes.home("b").join("received");
    assert_eq!(received(&homes), own);
    let other = homes.path("another one");
    let set = ["config", "set", "received", other.to_str().unwrap()];
    let ran = homes.run("b", &set);
    assert!(ran.err.contains("takes it from now on"), "{ran:?}");
    assert_eq!(received(&homes), other);
    send(&homes, &serving, &["2.txt"]);
    assert!(other.join("2.txt").is_file() && !own.join("2.txt").exists());
    let told = arrivals(&serving, 2);
    assert_eq!(told[1]["paths"][0], other.join("2.txt").to_str().unwrap());
    // Its disk is looked after as that of the first one: it may be taken away, and made again.
    fs::remove_dir_all(&other).unwrap();
    send(&homes, &serving, &["3.txt"]);
    assert!(other.join("3.txt").is_file());
    homes.ok("b", &["config", "unset", "received"]);
    assert_eq!(received(&homes), own);
    send(&homes, &serving, &["4.txt"]);
    assert!(own.join("4.txt").is_file());
    drop(serving);
    // A flag wins, and that is what is said.
    let serving = homes.serve("b", &["--received", "flag"]);
    let ran = homes.run("b", &set);
    assert!(ran.err.contains("was started with another"), "{ran:?}");
    assert_eq!(received(&homes), homes.path("flag"));
    send(&homes, &serving, &["5.txt"]);
    assert!(homes.path("flag/5.txt").is_file());
    drop(serving);
    assert_eq!(received(&homes), other);
}

#[test]
fn lines_of_arrivals_say_the_whole_path_with_a_new_name() {
    let homes = Homes::new(&["b"]);
    let mut serve = homes.command("b", &["serve", "--listen", "127.0.0.1:0"]);
    let (out, err) = (homes.path("out"), homes.path("err"));
    let file = |path: &Path| fs::File::create(path).unwrap();
    let mut serving = serve.stdout(file(&out)).stderr(file(&err)).spawn().unwrap();
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    wait_for("it serves", || text(&err).contains("serves on 127.0.0.1:"));
    let to = text(&err);
    let to = to
        .split("serves on ")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    let received = homes.home("b").join("received");
    fs::write(received.join("f.txt"), "there before").unwrap();
    for name in ["f.txt", "g.txt"] {
        fs::write(homes.path(name), name).unwrap();
    }
    homes.ok("a", &["send", "f.txt", "--to", to, "--wait"]);
    // Other content: what is there already, under whatever number, is not written again.
    fs::write(homes.path("f.txt"), "other").unwrap();
    homes.ok("a", &["send", "f.txt", "g.txt", "--to", to, "--wait"]);
    let folder = received.display();
    let one = format!("received 5 B from a: {folder}/f (2).txt\n");
    let two = format!("received 10 B from a: {folder}: f (3).txt, g.txt\n");
    wait_for("both are told", || text(&out) == format!("{one}{two}"));
    serving.kill().unwrap();
    serving.wait().unwrap();
    // And what a command writes, wherever it was told to.
    homes.ok("a", &["share", "f.txt", "--to", "b"]);
    let a = homes.serve("a", &[]);
    let told = homes.ok(
        "b",
        &["receive", "--from", &a.to(), "--all", "--out", "out-dir"],
    );
    assert_eq!(told, format!("{}\n", homes.path("out-dir/f.txt").display()));
}

#[test]
fn nothing_that_others_sent_is_taken_as_a_home() {
    let homes = Homes::new(&["b"]);
    let serving = homes.serve("b", &[]);
    // A whole home that somebody sends, keys included.
    let evil = homes.path("evil");
    fs::create_dir(&evil).unwrap();
    homes.ok("evil", &["certs", "init", "--name", "eve"]);
    let to = serving.to();
    homes.ok("a", &["send", "evil", "--with-keys", "--to", &to, "--wait"]);
    let came = homes.home("b").join("received/evil");
    assert!(came.join("certs/ca-key.pem").is_file());
    let says = |ran: Ran| {
        assert_eq!(ran.code, 3, "{ran:?}");
        let (what, hint) = ("is no home: it is among received files", "move it out of");
        assert!(ran.err.contains(what) && ran.err.contains(hint), "{ran:?}");
    };
    for home in ["b/received/evil", "b/received/evil/new", "b/received"] {
        says(homes.run(home, &["status"]));
        says(homes.run(home, &["certs", "init", "--name", "x"]));
        assert!(!homes.path(home).join("new").exists());
    }
    std::os::unix::fs::symlink(&came, homes.path("link")).unwrap();
    says(homes.run("link", &["status"]));
    // As the folder that the program is started in it would be one, if its keys were private.
    for key in ["ca", "client", "seal", "server"] {
        let key = came.join(format!("certs/{key}-key.pem"));
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let in_it = User::new();
    let mut here = in_it.command(&["status"]);
    says(Ran::from(here.current_dir(&came).output().unwrap()));
    // Moved out of it, it is what its owner says.
    fs::rename(&came, homes.path("mine")).unwrap();
    homes.ok("mine", &["status"]);
}

#[test]
fn a_sender_cannot_write_the_marker_and_nobody_sends_it() {
    let homes = Homes::new(&["b"]);
    let serving = homes.serve("b", &[]);
    let received = homes.home("b").join("received");
    let marked = fs::read_to_string(received.join(MARKER)).unwrap();
    fs::create_dir(homes.path("hostile")).unwrap();
    fs::write(homes.path("hostile").join(MARKER), "not what it was").unwrap();
    send(&homes, &serving, &["f.txt"]);
    let to = serving.to();
    homes.ok(
        "a",
        &["send", "hostile/.colis-received", "--to", &to, "--wait"],
    );
    assert_eq!(fs::read_to_string(received.join(MARKER)).unwrap(), marked);
    let told = arrivals(&serving, 2);
    let path = told[1]["paths"][0].as_str().unwrap();
    assert!(path.ends_with("/_.colis-received"), "{path}");
    // The folder itself is sent without it, in silence.
    let out = homes.ok(
        "b",
        &[
            "send",
            received.to_str().unwrap(),
            "--to",
            "a",
            "--via",
            &to,
            "--dry-run",
        ],
    );
    assert!(out.contains("received/f.txt"), "{out}");
    assert!(!out.contains("/.colis-received"), "{out}");
}

#[test]
fn a_folder_whose_disk_is_not_mounted_is_not_made_anew() {
    let homes = Homes::new(&["b"]);
    let disk = homes.path("disk");
    let received = disk.join("in");
    fs::create_dir(&disk).unwrap();
    homes.ok(
        "b",
        &["config", "set", "received", received.to_str().unwrap()],
    );
    fs::remove_dir(&disk).unwrap();
    let refused = |what: &str| {
        let said = homes.fails("b", &["serve", "--listen", "127.0.0.1:0"], 7);
        assert!(
            said.contains("the folder of received files is not there"),
            "{said}"
        );
        assert!(
            said.contains(what) && said.contains("mount its disk"),
            "{said}"
        );
        let doctor = homes.run("b", &["doctor"]);
        assert!(doctor.out.contains(what), "{doctor:?}");
        let status = homes.run("b", &["status"]);
        assert!(status.err.contains("nothing can be received"), "{status:?}");
        assert!(!received.exists());
    };
    refused("the folder that it is in is not there");
    fs::create_dir(&disk).unwrap();
    let serving = homes.serve("b", &[]);
    send(&homes, &serving, &["f.txt"]);
    drop(serving);
    // Another folder is where the disk was.
    fs::rename(&disk, homes.path("away")).unwrap();
    fs::create_dir(&disk).unwrap();
    refused("another one than before");
    homes.ok("a", &["share", "f.txt", "--to", "b"]);
    let a = homes.serve("a", &[]);
    let said = homes.fails("b", &["receive", "--from", &a.to(), "f.txt"], 7);
    assert!(said.contains("is not there"), "{said}");
    fs::remove_dir(&disk).unwrap();
    fs::rename(homes.path("away"), &disk).unwrap();
    let serving = homes.serve("b", &[]);
    send(&homes, &serving, &["g.txt"]);
    assert!(received.join("g.txt").is_file());
    drop(serving);
    // Its owner has removed it, or sets it anew: then another one is made.
    fs::remove_dir_all(&received).unwrap();
    drop(homes.serve("b", &[]));
    assert!(received.join(MARKER).is_file());
    fs::remove_dir_all(&disk).unwrap();
    fs::create_dir(&disk).unwrap();
    refused("another one than before");
    homes.ok(
        "b",
        &["config", "set", "received", received.to_str().unwrap()],
    );
    drop(homes.serve("b", &[]));
    assert!(received.join(MARKER).is_file());
}

#[test]
fn the_home_and_what_colis_works_with_take_no_received_files() {
    let homes = Homes::new(&["b"]);
    let home = homes.home("b");
    drop(homes.serve("b", &["--inbox", "off"]));
    let around = homes.path("");
    for folder in [
        around,
        home.clone(),
        home.join("certs"),
        home.join("chunks/in"),
    ] {
        let folder = folder.to_str().unwrap();
        let args = ["serve", "--listen", "127.0.0.1:0", "--received", folder];
        let said = homes.fails("b", &args, 3);
        assert!(said.contains("nothing can be received there"), "{said}");
        // However it is set, it is not taken.
        let mut serve = homes.command("b", &args[..3]);
        let ran = Ran::from(serve.env("COLIS_RECEIVED", folder).output().unwrap());
        assert_eq!(ran.code, 7, "{ran:?}");
        assert!(ran.err.contains("unsafe destination"), "{ran:?}");
    }
    assert!(!home.join(MARKER).exists() && !home.join("chunks/in").exists());
    homes.ok("b", &["status"]);
}
