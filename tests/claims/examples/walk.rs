//! The walk of docs/scripting-with-curl.md, typed as it is written.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use super::{Ran, examples};

/// What the page tells to type, in its order.
fn commands(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

#[test]
fn the_page_does_what_it_says() {
    let page = examples().with_file_name("docs/scripting-with-curl.md");
    let typed = commands(&fs::read_to_string(page).unwrap());
    assert!(typed.lines().count() > 20, "{typed}");
    // A port that is free now instead of the one of the page.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    assert_eq!(typed.matches("8443").count(), 2);
    let typed = typed.replace("8443", &port.to_string());

    let root = tempfile::tempdir().unwrap();
    symlink(examples(), root.path().join("examples")).unwrap();
    let program = testkit::program().parent().unwrap();
    let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    let typed = format!("set -eu\ntrap 'kill $(jobs -p)' EXIT\n{typed}");
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &typed])
        .current_dir(root.path())
        .env("PATH", path);
    shell.env_remove("COLIS_HOME").stdin(Stdio::null());
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
