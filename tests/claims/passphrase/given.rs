//! How it is given where nobody is asked: a file, a descriptor, a credential of systemd, and the unit that names it.

use std::{
    fs,
    process::{Command, Stdio},
};

use testkit::{Homes, Ran, has};

use super::{OTHER, PASSPHRASE, locked, secret, with};

/// `colis` started by a shell that opens descriptor 3 on what `redirect` says.
fn by_shell(homes: &Homes, redirect: &str, args: &[&str]) -> Ran {
    let colis = homes.command("a", args);
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("exec \"$0\" \"$@\" {redirect}")]);
    Ran::from(testkit::around(shell, &colis).output().unwrap())
}

#[test]
fn a_descriptor_gives_it_once_and_a_closed_one_is_a_mistake() {
    let homes = locked(&[]);
    let args = ["--key-passphrase-fd", "3", "list"];
    for redirect in [
        "3<secret",
        "3<<<canary-passphrase-93d1f0",
        "3< <(cat secret)",
    ] {
        let ran = by_shell(&homes, redirect, &args);
        assert_eq!(ran.code, 0, "{redirect}: {ran:?}");
    }
    let ran = by_shell(&homes, "3<&-", &args);
    let todo = "--key-passphrase-fd 3 3<FILE";
    assert!(ran.code == 2 && ran.err.contains(todo), "{ran:?}");
    let both = with(&["--key-passphrase-fd", "3", "list"]);
    assert_eq!(by_shell(&homes, "3<secret", &both).code, 2);
}

#[test]
fn a_service_is_given_it_by_systemd_and_ends_with_9_without_it() {
    let homes = locked(&[]);
    secret(&homes, "other", OTHER);
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let said = homes.fails("a", &serve, 9);
    assert!(
        said.contains("under a passphrase") && said.contains("--key-passphrase-file"),
        "{said}"
    );
    let credentials = homes.path("credentials");
    fs::create_dir(&credentials).unwrap();
    let run = |args: &[&str]| {
        let mut command = homes.command("a", args);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        Ran::from(command.output().unwrap())
    };
    assert_eq!(run(&serve).code, 9);
    fs::copy(
        homes.path("other"),
        credentials.join("colis-key-passphrase"),
    )
    .unwrap();
    let ran = run(&serve);
    assert!(
        ran.code == 9 && ran.err.contains("wrong passphrase"),
        "{ran:?}"
    );
    fs::copy(
        homes.path("secret"),
        credentials.join("colis-key-passphrase"),
    )
    .unwrap();
    assert_eq!(run(&["list"]).code, 0);
    let mut command = homes.command("a", &["--json", "serve", "--listen", "127.0.0.1:0"]);
    command.env("CREDENTIALS_DIRECTORY", &credentials);
    let mut serving = homes.serve_by("a", command);
    homes.ok("a", &["stop"]);
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn a_unit_names_the_file_and_is_not_started_again_without_it() {
    let homes = locked(&[]);
    secret(&homes, "other", OTHER);
    let install = |args: &[&str]| {
        let mut command = homes.command("a", &[args, &["serve", "--install"]].concat());
        command.env("XDG_CONFIG_HOME", homes.path("cfg"));
        Ran::from(command.output().unwrap())
    };
    let unit = homes.path("cfg/systemd/user/colis.service");
    let ran = install(&[]);
    assert!(
        ran.code == 2 && ran.err.contains("--key-passphrase-file FILE"),
        "{ran:?}"
    );
    let ran = install(&["--key-passphrase-file", "other"]);
    assert!(ran.code == 9 && !unit.exists(), "{ran:?}");
    let ran = install(&with(&[]));
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = fs::read_to_string(&unit).unwrap();
    let file = homes.path("secret");
    let credential = format!(
        "\nLoadCredential=\"colis-key-passphrase:{}\"\n",
        file.display()
    );
    assert!(text.contains(&credential), "{text}");
    assert!(text.contains("\nRestartPreventExitStatus=9\n"), "{text}");
    assert!(
        !text.contains(PASSPHRASE) && !text.contains("--key-passphrase"),
        "{text}"
    );
    if has("systemd-analyze") {
        let mut verify = Command::new("systemd-analyze");
        let verify = verify.args(["verify", "--man=no"]).arg(&unit);
        let said = verify.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(
            !said.contains("LoadCredential") && !said.contains("RestartPrevent"),
            "{said}"
        );
    }
    let ran = Ran::from(
        homes
            .command("a", &with(&["certs", "passphrase", "remove"]))
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(install(&[]).code, 0);
    let text = fs::read_to_string(&unit).unwrap();
    assert!(
        !text.contains("LoadCredential") && !text.contains("RestartPrevent"),
        "{text}"
    );
}
