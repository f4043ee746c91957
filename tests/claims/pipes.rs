//! A reader that stops reading costs lines: what is served, opened and asked by a signal goes on.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, PipeReader, Write as _},
    process::{Child, Command, Stdio},
};

use rexpect::process::{Signal as TerminalSignal, WaitStatus};
use rustix::process::{Pid, Signal, kill_process};
use testkit::{
    Homes, bytes,
    person::{Person, address_of},
    wait_for,
};

/// More than the rest of a pipe takes of what a peer says of so many.
const SENDS: usize = 16;
/// More than what may wait for a reader, of messages that are as long in an object as they can be.
const LONG_MESSAGES: usize = 24;
/// What a pipe of Linux holds, but for a page.
const ALL_BUT_A_PAGE: usize = 60 << 10;

/// A pipe that is nearly full, whose reader does not read.
fn unread() -> (PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'\n'; ALL_BUT_A_PAGE]).unwrap();
    (reader, writer.into())
}

fn file(homes: &Homes, name: &str) -> Stdio {
    File::create(homes.path(name)).unwrap().into()
}

fn served_at(homes: &Homes, home: &str) -> String {
    let said = || homes.run(home, &["--json", "status"]).out;
    wait_for("it serves", || said().contains("\"serving\":\"127"));
    address_of(homes, home)
}

/// Every send is opened: the peer takes it, and its inbox opens it.
fn send_many(homes: &Homes, to: &str) {
    for n in 0..SENDS {
        let name = format!("f{n}");
        fs::write(homes.path(&name), &name).unwrap();
        let mut send = homes.command("a", &["send", &name, "--to", to, "--wait"]);
        is_done(send.stdout(Stdio::null()).stderr(Stdio::null()));
        assert!(homes.home("b").join("received").join(&name).exists());
    }
}

/// Runs it to its end, which must come.
fn is_done(command: &mut Command) {
    let mut child = command.spawn().unwrap();
    wait_for("the end of a send", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success());
}

fn ends_well(mut child: Child) {
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_for("its end", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success());
}

#[test]
fn readers_that_stop_reading_stop_neither_serving_nor_the_inbox_nor_a_signal() {
    let (json, text) = (&["--json"][..], &[][..]);
    let rows = [
        (false, true, json),
        (true, false, json),
        (true, true, json),
        (true, true, text),
    ];
    for (out, err, form) in rows {
        let homes = Homes::new(&["b"]);
        let args = [form, &["serve", "--listen", "127.0.0.1:0"]].concat();
        let mut command = homes.command("b", &args);
        let (kept_out, out_pipe) = unread();
        let (kept_err, err_pipe) = unread();
        command.stdout(if out { out_pipe } else { file(&homes, "out") });
        command.stderr(if err { err_pipe } else { file(&homes, "err") });
        let child = command.spawn().unwrap();
        drop(command);
        let to = served_at(&homes, "b");
        send_many(&homes, &to);
        ends_well(child);
        drop((kept_out, kept_err));
    }
}

#[test]
fn a_terminal_that_is_held_stops_neither_serving_nor_a_signal() {
    let homes = Homes::new(&["b"]);
    let serve = homes.command("b", &["serve", "--listen", "127.0.0.1:0"]);
    let mut session = {
        let mut command = serve;
        command.stdin(Stdio::inherit());
        rexpect::session::spawn_command(command, Some(60_000)).unwrap()
    };
    session.exp_string("serves on").unwrap();
    // Ctrl-S.
    session.send("\u{13}").unwrap();
    session.flush().unwrap();
    let to = served_at(&homes, "b");
    send_many(&homes, &to);
    session
        .process_mut()
        .signal(TerminalSignal::SIGTERM)
        .unwrap();
    let ended = session.process().wait().unwrap();
    assert!(matches!(ended, WaitStatus::Exited(_, 0)), "{ended:?}");
}

#[test]
fn a_menu_on_a_terminal_that_is_held_serves_on_and_ends() {
    let homes = Homes::new(&["b"]);
    let mut person = Person::at_menu(&homes, "b");
    person.presses("\u{13}");
    send_many(&homes, &address_of(&homes, "b"));
    person.signal(TerminalSignal::SIGTERM);
    person.ends_held();
}

#[test]
fn a_reader_that_reads_again_is_told_how_much_it_missed() {
    let homes = Homes::new(&["b"]);
    let mut command = homes.command("b", &["--json", "serve", "--listen", "127.0.0.1:0"]);
    let (reader, out) = unread();
    let child = command
        .stdout(out)
        .stderr(file(&homes, "err"))
        .spawn()
        .unwrap();
    drop(command);
    let to = served_at(&homes, "b");
    // Each is an object of its length, and they are more than what may wait.
    let text = "\u{1}".repeat(8 << 10);
    fs::write(homes.path("text"), &text).unwrap();
    for _ in 0..LONG_MESSAGES {
        let mut send = homes.command("a", &["send", "--text", "-", "--to", &to, "--wait"]);
        send.stdin(File::open(homes.path("text")).unwrap());
        is_done(send.stdout(Stdio::null()).stderr(Stdio::null()));
    }
    let mut objects = BufReader::new(reader)
        .lines()
        .map_while(Result::ok)
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
    assert_eq!(objects.next().unwrap()["event"], "serving");
    let mut shown = 0;
    let dropped = objects.by_ref().find(|object| {
        shown += usize::from(object["event"] == "arrival");
        object["event"] == "dropped"
    });
    let dropped = dropped.unwrap()["count"].as_u64().unwrap();
    assert_eq!(shown as u64 + dropped, LONG_MESSAGES as u64);
    fs::write(homes.path("last"), "x").unwrap();
    homes.ok("a", &["send", "last", "--to", &to, "--wait"]);
    assert_eq!(objects.next().unwrap()["event"], "arrival");
    ends_well(child);
}

#[test]
fn a_command_whose_reader_does_not_read_ends_when_it_is_asked_to() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), bytes(1, 3_000_000)).unwrap();
    homes.ok("a", &["share", "f"]);
    let mut command = homes.command("a", &["receive", "f", "--out", "-"]);
    let (kept, out) = unread();
    let mut child = command.stdout(out).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let term = 1_u64 << (Signal::TERM.as_raw() - 1);
    wait_for("that it hears", || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        u64::from_str_radix(caught.unwrap().trim(), 16).unwrap() & term != 0
    });
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_for("its end", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    drop(kept);
}
