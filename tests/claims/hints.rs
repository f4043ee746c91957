//! What fails says what to do about it, in the situation that the person is in.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use testkit::{Homes, Ran, around};

#[test]
fn to_send_to_oneself_is_to_share() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), "f").unwrap();
    for serves in [false, true] {
        let _serving = serves.then(|| homes.serve("a", &[]));
        let said = homes.fails("a", &["send", "f", "--to", "a"], 6);
        assert!(said.contains("a is this peer itself"), "{said}");
        assert!(said.contains("colis share PATH --to a"), "{said}");
    }
    homes.ok("a", &["share", "f", "--to", "a"]);
}

#[test]
fn the_home_of_another_user_is_said_to_be_one() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: only root can become another user");
        return;
    }
    let (homes, elsewhere) = (Homes::new(&[]), tempfile::tempdir().unwrap());
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let colis = elsewhere.path().join("colis");
    testkit::copy_program(&colis);
    for words in [&["status"][..], &["serve"], &["list"]] {
        let mut command = Command::new(&colis);
        command.arg("--home").arg(homes.home("a")).args(words);
        command.uid(65534).gid(65534).current_dir(elsewhere.path());
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(
            ran.err.contains("hint: a home is for its owner"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_umask_takes_nothing_from_the_owner() {
    let homes = Homes::new(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0777; exec \"$0\" \"$@\""]);
    let init = homes.command("n", &["certs", "init", "--name", "n"]);
    let ran = Ran::from(around(shell, &init).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    for (name, mode) in [("certs", 0o700), ("certs/server-key.pem", 0o600)] {
        let metadata = fs::metadata(homes.home("n").join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
}
