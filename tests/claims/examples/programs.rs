//! The programs of `examples/`, as cargo builds them beside the tests.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Ran, Running, circle, ok, seal};
use testkit::bytes;

fn example(name: &str) -> Command {
    let program = testkit::program().with_file_name("examples").join(name);
    assert!(
        program.exists(),
        "{} is not built: cargo build --examples",
        program.display()
    );
    Command::new(program)
}

#[test]
fn two_peers_in_one_program_exchange_a_letter() {
    let ran = Ran::from(example("two_peers").output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("Opened at 127.0.0.1:"), "{}", ran.out);
    assert!(ran.out.ends_with("ben reads \"Dear Ben\"\n"), "{}", ran.out);
}

#[test]
fn a_store_of_ones_own_carries_a_transfer() {
    let ran = Ran::from(example("own_store").output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains("\"anna\"") && ran.out.contains("letter.txt"),
        "{}",
        ran.out
    );
}

#[test]
fn an_embedded_server_has_its_own_route_behind_the_same_door() {
    let homes = circle(&["b"]);
    let mut command = example("embedded_server");
    let command = command.arg(homes.home("b")).stdout(Stdio::piped());
    let mut server = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let peer = line.split("/hello").next().unwrap();
    let certs = homes.path("certs of a");
    let curl = |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--tlsv1.3",
            "--cacert",
        ]);
        curl.arg(certs.join("ca-cert.pem")).args(more);
        Ran::from(
            curl.arg(format!("{peer}/hello"))
                .current_dir(&certs)
                .output()
                .unwrap(),
        )
    };
    let member = curl(&["--cert", "client-cert.pem", "--key", "client-key.pem"]);
    assert_eq!(
        (member.code, member.out.as_str()),
        (0, "hello, a\n"),
        "{}",
        member.err
    );
    let stranger = curl(&[]);
    assert!(
        stranger.code != 0 && stranger.out.is_empty(),
        "{stranger:?}"
    );

    fs::write(homes.path("f"), "x").unwrap();
    let id = seal(&homes, "f", "sealed", &["--to", "b"]);
    let said = ok(&homes, "upload.sh", &[peer, "certs of a", "sealed"]);
    assert_eq!(said, format!("sent 3 of 3 chunks\n{id}  stored\n"));
    // It was opened, and nobody else could collect it.
    testkit::wait_for("it to be let go", || {
        ok(&homes, "list.sh", &[peer, "certs of b"]).is_empty()
    });

    let pid = Pid::from_raw(i32::try_from(server.0.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn a_peer_that_discards_takes_a_transfer_and_has_nothing_of_it() {
    let homes = circle(&["b"]);
    let mut command = example("discarding_peer");
    let command = command.arg(homes.path("certs of b")).stdout(Stdio::piped());
    let mut server = Running(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let said = line.strip_prefix("discards on ");
    let peer = said.and_then(|rest| rest.split(';').next()).unwrap();

    fs::write(homes.path("f"), bytes(7, (3 << 20) + 7)).unwrap();
    let said = homes.ok("a", &["--json", "send", "f", "--to", peer]);
    let sent: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(sent["chunks"], 4, "{said}");
    let listed = homes.ok("a", &["list", peer, "--chunks"]);
    assert_eq!(listed, "", "it keeps chunks");

    let pid = Pid::from_raw(i32::try_from(server.0.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert!(server.0.wait().unwrap().success());
}
