//! The walk of docs/scripting-with-curl.md, typed as it is written.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{Ran, examples};

/// The part of the page that needs programs that generate clients: a test of its own.
pub(super) const GENERATED: &str = "A client from the OpenAPI document";

/// What the page tells to type in the sections whose title is `wanted`, in its order.
pub(super) fn sections(wanted: impl Fn(&str) -> bool) -> String {
    let page = examples().with_file_name("docs/scripting-with-curl.md");
    let page = fs::read_to_string(page).unwrap();
    let sections = page.split("\n## ").skip(1);
    let sections = sections.filter(|section| wanted(section.lines().next().unwrap()));
    let blocks = sections.flat_map(|section| section.split("```sh\n").skip(1));
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

/// A shell that runs these commands of the page in a folder of its own, with a free port instead of the one of the page.
pub(super) fn typed(commands: &str, programs: &[&Path]) -> (TempDir, Command) {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    assert_eq!(commands.matches("8443").count(), 2);
    let commands = commands.replace("8443", &port.to_string());
    let root = tempfile::tempdir().unwrap();
    symlink(examples(), root.path().join("examples")).unwrap();
    let known = env::split_paths(&env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    let program = testkit::program().parent().unwrap();
    let ours = programs.iter().copied().chain([program]);
    let path = ours.map(Path::to_owned).chain(known);
    let mut shell = Command::new("bash");
    shell
        .arg("-c")
        .arg(format!("set -eu\ntrap 'kill $(jobs -p)' EXIT\n{commands}"))
        .current_dir(root.path())
        .env("PATH", env::join_paths(path).unwrap());
    shell.env_remove("COLIS_HOME").stdin(Stdio::null());
    (root, shell)
}

#[test]
fn the_page_does_what_it_says() {
    let commands = sections(|title| title != GENERATED);
    assert!(commands.lines().count() > 20, "{commands}");
    let (_root, mut shell) = typed(&commands, &[]);
    let ran = Ran::from(shell.output().unwrap());
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    for said in [
        r#""status":"ok""#,
        "sent 5 of 5 chunks",
        "sent 0 of 5 chunks",
        r#"{"result":"already-there"}"#,
        "fetched 5 of 5 chunks",
        "opened/a photo.jpg",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
}
