//! Walks the README's walk-throughs: runs what it says to type, on two "machines" with homes of their own, and looks at
//! what is promised.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use testkit::{bytes, wait_for};

/// The `sh` blocks of the section called `title`, in order.
fn blocks(title: &str) -> Vec<String> {
    let readme = fs::read_to_string("README.md").unwrap();
    let section = readme.split(&format!("\n## {title}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("no section {title}"));
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

/// A shell on a machine whose home is `home`, with `colis` on its path.
fn shell(home: &Path, script: &str) -> Command {
    let program = testkit::program().parent().unwrap();
    let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command
        .arg("-euc")
        .arg(script)
        .current_dir(home)
        .stdin(Stdio::null());
    command
        .env("HOME", home)
        .env("PATH", path)
        .env("COLIS_DISCOVERY", "false")
        .env_remove("XDG_DATA_HOME")
        .env_remove("COLIS_HOME");
    command
}

fn run(home: &Path, script: &str) -> String {
    let output = shell(home, script).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{err}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Ends with the test, with the whole group that the shell started.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = Command::new("pkill")
            .args(["-P", &self.0.id().to_string()])
            .status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn the_walk_with_two_machines_does_what_it_says() {
    let root = tempfile::tempdir().unwrap();
    let (anna, ben) = (root.path().join("anna"), root.path().join("ben"));
    fs::create_dir_all(anna.join("photos")).unwrap();
    fs::create_dir(&ben).unwrap();
    let blocks = blocks("Two machines");
    let [first, second, third] = blocks.as_slice() else {
        panic!("three blocks: {blocks:?}");
    };
    // Both are one machine here, so each has a name and ports of its own.
    let shows = first.replace("colis pair", "exec colis --json pair --name anna --port 0");
    let showing = shell(&anna, &shows).stdout(Stdio::piped()).spawn().unwrap();
    let mut showing = Background(showing);
    let code = said(showing.0.stdout.take().unwrap(), "code");
    // Nobody answers the question of a terminal here: a flag does.
    let host = format!("127.0.0.1:{} --name ben --serve", code["port"]);
    let joins = second.replace("192.0.2.7", &host);
    let joins = joins.replace("colis pair", "exec colis pair");
    let port = free_port();
    let on_ben = |script: &str| {
        let mut command = shell(&ben, script);
        command.env("COLIS_LISTEN", format!("127.0.0.1:{port}"));
        command
    };
    let mut joining = on_ben(&joins);
    joining.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut joining = Background(joining.stderr(Stdio::null()).spawn().unwrap());
    let mut typed = joining.0.stdin.take().unwrap();
    writeln!(typed, "{}", code["code"].as_str().unwrap()).unwrap();
    assert!(showing.0.wait().unwrap().success());
    wait_for("ben serves", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    fs::write(anna.join("holiday.mov"), bytes(1, 3_000_000)).unwrap();
    fs::write(anna.join("photos/1.jpg"), bytes(2, 70_000)).unwrap();
    let listed = run(&anna, third);
    assert!(listed.contains("holiday.mov, photos"), "{listed}");
    let received = ben.join(".local/share/colis/received");
    for file in ["holiday.mov", "photos/1.jpg"] {
        assert!(
            fs::read(anna.join(file)).unwrap() == fs::read(received.join(file)).unwrap(),
            "{file}"
        );
    }
}

/// The first object of that event.
fn said(out: impl Read, event: &str) -> Value {
    let lines = BufReader::new(out).lines().map_while(Result::ok);
    let mut objects = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    objects.find(|said| said["event"] == event).unwrap()
}

#[test]
fn the_walk_with_two_folders_on_one_machine_does_what_it_says() {
    let root = tempfile::tempdir().unwrap();
    let blocks = blocks("Two folders on one machine");
    let [script] = blocks.as_slice() else {
        panic!("one block: {blocks:?}");
    };
    fs::write(root.path().join("PATH"), bytes(1, 2_000_000)).unwrap();
    let (before, after) = script.split_once("&\n").unwrap();
    let port = free_port().to_string();
    let before = before
        .replace("9443", &port)
        .replace("colis --home B serve", "exec colis --home B serve");
    let serving = shell(root.path(), &before)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _serving = Background(serving.unwrap());
    let port_number: u16 = port.parse().unwrap();
    wait_for("b serves", || {
        std::net::TcpStream::connect(("127.0.0.1", port_number)).is_ok()
    });
    run(root.path(), &after.replace("9443", &port));
    let sent = fs::read(root.path().join("PATH")).unwrap();
    for copy in ["B/received/PATH", "DIR/PATH"] {
        assert!(fs::read(root.path().join(copy)).unwrap() == sent, "{copy}");
    }
}

#[test]
fn the_curl_of_the_readme_is_answered() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path();
    let port = free_port();
    run(home, "colis --home ~/colis certs init --name anna");
    let serve = format!("exec colis --home ~/colis serve --listen 127.0.0.1:{port}");
    let serving = shell(home, &serve)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _serving = Background(serving.unwrap());
    wait_for("anna serves", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let blocks = blocks("curl");
    let said = run(home, &blocks[0].replace("8443", &port.to_string()));
    assert!(said.contains("\"manifests\""), "{said}");
}

#[test]
fn every_command_of_the_table_exists_and_every_command_is_in_it() {
    let readme = fs::read_to_string("README.md").unwrap();
    let table = readme
        .split("\n## Commands\n")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let root = tempfile::tempdir().unwrap();
    let help = run(root.path(), "colis --help");
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    for line in commands.lines() {
        let name = line.split_whitespace().next().unwrap();
        if name != "help" {
            let known =
                table.contains(&format!("`{name}")) || table.contains(&format!("\\|{name}"));
            assert!(known, "{name} is not in the README's table");
        }
    }
}
