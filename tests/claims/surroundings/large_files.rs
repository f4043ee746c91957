//! A limit of how large a file may be (`ulimit -f`, LimitFSIZE= of a service): said as what it is, and nothing ends by it.

use std::{fs, process::Command};

use testkit::{Homes, Ran, around, bytes};

/// The limit, in bytes, and a file that is larger.
const LIMIT: usize = 512 * 1024;
const SIZE: usize = 3 * LIMIT;

/// `inner`, which may write no file of more than [`LIMIT`].
fn limited(inner: &Command) -> Command {
    let mut shell = Command::new("sh");
    // In the unit of POSIX, 512 bytes.
    let script = format!("ulimit -f {}; exec \"$0\" \"$@\"", LIMIT / 512);
    shell.args(["-c", &script]);
    around(shell, inner)
}

#[test]
fn a_command_that_may_not_write_so_large_a_file_says_so() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), bytes(1, SIZE)).unwrap();
    homes.ok("a", &["share", "f", "--to", "a", "--chunk-size", "64KiB"]);
    let receive = ["receive", "f", "--out", "out"];
    let ran = Ran::from(limited(&homes.command("a", &receive)).output().unwrap());
    assert_eq!(ran.code, 7, "{}", ran.err);
    assert!(ran.err.contains("ulimit -f"), "{}", ran.err);
    homes.ok("a", &receive);
    assert!(fs::read(homes.path("out/f")).unwrap() == bytes(1, SIZE));
}

#[test]
fn a_peer_that_may_not_write_so_large_a_file_serves_on() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), bytes(1, SIZE)).unwrap();
    let serve = ["--json", "serve", "--listen", "127.0.0.1:0"];
    let b = homes.serve_by("b", limited(&homes.command("b", &serve)));
    let to = b.to();
    homes.ok("a", &["peers", "add", &to]);
    let send = ["send", "f", "--to", &to, "--chunk-size"];
    let said = homes.fails("a", &[&send[..], &["1MiB"]].concat(), 7);
    assert!(
        said.contains("ulimit -f") && said.contains("hint: "),
        "{said}"
    );
    // It is the chunk that is too large there, not the store that is full.
    homes.ok("a", &[&send[..], &["64KiB"]].concat());
}
