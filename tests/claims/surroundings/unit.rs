//! `serve --install`: the unit does what the command line beside it says, or is not written.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, chown},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use testkit::{Homes, Ran, copy_program, has};

fn install(homes: &Homes, home: &str, args: &[&str], set: &[(&str, &str)]) -> Ran {
    let mut command = homes.command(home, &[args, &["serve", "--install"]].concat());
    command.env("XDG_CONFIG_HOME", homes.path("cfg"));
    Ran::from(command.envs(set.iter().copied()).output().unwrap())
}

fn unit(homes: &Homes) -> PathBuf {
    homes.path("cfg/systemd/user/colis.service")
}

#[test]
fn the_unit_has_the_options_and_variables_beside_it() {
    let homes = Homes::new(&[]);
    let mut command = homes.command("a", &["-v", "serve", "--install"]);
    command.args(["--listen", "127.0.0.1:9443", "--inbox", "ask"]);
    command.args(["--auto-up-to", "1GiB", "--keep-opened", "2d", "--keep-exec"]);
    command.env("XDG_CONFIG_HOME", homes.path("cfg"));
    command.envs([("COLIS_RESERVE", "2GiB"), ("COLIS_LOG", "colis=debug")]);
    assert!(command.output().unwrap().status.success());
    let text = fs::read_to_string(unit(&homes)).unwrap();
    let options = "\"-v\" \"serve\" \"--listen\" \"127.0.0.1:9443\" \"--inbox\" \"ask\" \"--auto-up-to\" \"1GiB\" \
                   \"--keep-opened\" \"2d\" \"--keep-exec\"\n";
    assert!(text.contains(options), "{text}");
    for line in ["RESERVE=2GiB", "LOG=colis=debug", "DISCOVERY=false"] {
        assert!(
            text.contains(&format!("\nEnvironment=\"COLIS_{line}\"\n")),
            "{text}"
        );
    }
}

#[test]
fn what_would_not_serve_is_not_installed() {
    let homes = Homes::new(&[]);
    for (home, args, code) in [
        ("nobody", &[][..], 3),
        ("a", &["--keep-opened", "soon"], 2),
        ("a", &["--auto-up-to", "much"], 2),
    ] {
        let mut command = homes.command(home, &["serve", "--install"]);
        command.args(args).env("XDG_CONFIG_HOME", homes.path("cfg"));
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, code, "{home} {args:?}: {}", ran.err);
        assert!(!unit(&homes).exists(), "{home} {args:?}");
    }
}

#[test]
fn what_a_unit_cannot_say_is_refused() {
    let homes = Homes::new(&["b"]);
    for home in [&b"h\xe9"[..], b"h\nExecStop=x"] {
        let named = homes.path("b").with_file_name(OsStr::from_bytes(home));
        fs::rename(homes.home("b"), &named).unwrap();
        let mut command = homes.command("a", &[]);
        command
            .arg("--home")
            .arg(&named)
            .args(["serve", "--install"]);
        let mut alone = Command::new(testkit::program());
        alone.arg("--home").arg(&named).args(["serve", "--install"]);
        alone
            .env("XDG_CONFIG_HOME", homes.path("cfg"))
            .stdin(Stdio::null());
        let ran = Ran::from(alone.output().unwrap());
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("no unit was written") && !ran.err.contains("panicked"));
        assert!(!unit(&homes).exists());
        fs::rename(&named, homes.home("b")).unwrap();
    }
    let ran = install(&homes, "a", &[], &[("COLIS_LOG", "a\nb")]);
    assert_eq!(ran.code, 2, "{ran:?}");
    // A folder of units that is no UTF-8 is as good as another.
    let mut command = homes.command("a", &["--json", "serve", "--install"]);
    command.env(
        "XDG_CONFIG_HOME",
        homes
            .path("cfg")
            .with_file_name(OsStr::from_bytes(b"c\xe9")),
    );
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("c\u{fffd}/systemd/user/colis.service"),
        "{ran:?}"
    );
}

#[test]
fn systemd_takes_the_unit_of_a_program_with_any_name_that_it_can_start() {
    let homes = Homes::new(&[]);
    for (folder, code) in [
        ("plain", 0),
        ("with space", 0),
        ("50%h;x", 0),
        ("$HOME", 0),
        ("a\"b", 2),
        ("a'b", 2),
        ("a\\b", 2),
    ] {
        let program = homes.path(folder).join("colis");
        fs::create_dir(homes.path(folder)).unwrap();
        copy_program(&program);
        let mut command = Command::new(&program);
        command
            .arg("--home")
            .arg(homes.home("a"))
            .args(["serve", "--install"]);
        command
            .env("XDG_CONFIG_HOME", homes.path("cfg"))
            .env("HOME", homes.path(""));
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, code, "{folder}: {}", ran.err);
        if code == 0 && has("systemd-analyze") {
            verify(&unit(&homes));
        }
        fs::remove_file(&program).unwrap();
    }
}

/// systemd finds the program that the unit names: it would say that it is not executable.
fn verify(unit: &Path) {
    let mut verify = Command::new("systemd-analyze");
    let ran = verify
        .args(["verify", "--user"])
        .arg(unit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    let ours = said.lines().filter(|line| line.contains("colis"));
    let ours: Vec<_> = ours.collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn a_unit_is_kept_apart_from_those_of_other_homes() {
    let homes = Homes::new(&["b"]);
    let first = install(&homes, "a", &[], &[]);
    assert_eq!(first.code, 0, "{first:?}");
    let text = fs::read_to_string(unit(&homes)).unwrap();
    let ran = |home, args: &[&str]| {
        let mut command = homes.command(home, &[&["serve"], args].concat());
        Ran::from(
            command
                .env("XDG_CONFIG_HOME", homes.path("cfg"))
                .output()
                .unwrap(),
        )
    };
    for args in [&["--install"][..], &["--uninstall"]] {
        let other = ran("b", args);
        assert_eq!(other.code, 3, "{other:?}");
        assert!(other.err.contains("--unit NAME"), "{other:?}");
        assert_eq!(fs::read_to_string(unit(&homes)).unwrap(), text);
    }
    assert_eq!(ran("b", &["--install", "--unit", "other"]).code, 0);
    assert_eq!(ran("b", &["--install", "--unit", "../x"]).code, 2);
    assert!(homes.path("cfg/systemd/user/other.service").exists());
    assert_eq!(install(&homes, "a", &[], &[]).code, 0, "again");
    // As `systemctl enable` does it.
    let link = homes.path("cfg/systemd/user/default.target.wants/colis.service");
    fs::create_dir(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(unit(&homes), &link).unwrap();
    let before = testkit::tree(&homes.home("a"));
    let removed = ran("a", &["--uninstall"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    for gone in [unit(&homes), link] {
        assert!(!gone.exists() && !gone.is_symlink());
        let said = format!("removed {}\n", gone.display());
        assert!(removed.out.contains(&said), "{removed:?}");
    }
    assert_eq!(testkit::tree(&homes.home("a")), before, "the home stays");
    let stays = format!(
        "the home stays, with keys and files: {}",
        homes.home("a").display()
    );
    assert!(removed.err.contains(&stays), "{removed:?}");
    let none = ran("a", &["--uninstall"]);
    assert_eq!(none.code, 6);
    assert!(none.err.starts_with("colis: there is no unit "), "{none:?}");
    assert!(homes.path("cfg/systemd/user/other.service").exists());
}

#[test]
fn units_are_restarted_and_confined() {
    let homes = Homes::new(&[]);
    assert_eq!(install(&homes, "a", &[], &[]).code, 0);
    let user = fs::read_to_string(unit(&homes)).unwrap();
    let printed = homes.run(
        "a",
        &["serve", "--install", "--system", "--listen", "[::]:443"],
    );
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(
        printed
            .out
            .contains("\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n")
    );
    let system = homes.ok("a", &["serve", "--install", "--system"]);
    let home = homes.home("a");
    assert!(system.contains(&format!("\nUser={}\n", fs::metadata(&home).unwrap().uid())));
    if rustix::process::geteuid().is_root() {
        // An administrator writes it for the account that owns the home.
        chown(&home, Some(65534), None).unwrap();
        let given = homes.run("a", &["serve", "--install", "--system"]);
        assert!(given.out.contains("\nUser=65534\n"), "{given:?}");
        assert!(!given.err.contains("root"), "{given:?}");
        chown(&home, Some(0), None).unwrap();
    }
    for text in [&user, &system] {
        for line in [
            &format!("RequiresMountsFor=\"{}\"", home.display()),
            "Restart=always",
            "UMask=0077",
            "ExecReload=/bin/kill -HUP $MAINPID",
            "LimitNOFILE=65536",
            "Type=notify",
            // Arrivals are printed with names and messages, and others read the journal.
            "StandardOutput=null",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
        }
    }
    if !has("systemd-analyze") {
        return println!("not tried: systemd-analyze is not here");
    }
    let path = homes.path("colis.service");
    fs::write(&path, &system).unwrap();
    analyze(&["verify"], &path);
    // In tenths: a service account is shut in, and a user's manager has fewer means.
    analyze(&["security", "--offline=true", "--threshold=20"], &path);
    analyze(&["verify", "--user"], &unit(&homes));
    analyze(
        &["security", "--offline=true", "--threshold=65"],
        &unit(&homes),
    );
}

fn analyze(args: &[&str], unit: &Path) {
    let mut command = Command::new("systemd-analyze");
    let ran = Ran::from(command.args(args).arg(unit).output().unwrap());
    let ours: Vec<_> = ran
        .err
        .lines()
        .filter(|line| line.contains("colis.service:"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
    assert!(args[0] == "verify" || ran.code == 0, "{ran:?}");
}
