//! Each setting is in force at once while a peer serves, which is seen by what it does, or is said to need another start.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use colis::config::{Counts, SETTINGS};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::{
    Homes, Ran, Serving, bytes,
    net::{LEFT, Net, RIGHT},
    wait_for,
};

/// What sees a setting at work, and the one that is none of the table: what is said of single peers.
const TRIED: [(&str, fn()); 18] = [
    ("listen", listen),
    ("inbox", inbox),
    ("received", received),
    ("auto_up_to", auto_up_to),
    ("keep_opened", keep_opened),
    ("keep_refused", keep_refused),
    ("quota", quota),
    ("relay_quota", relay_quota),
    ("relay_keep", relay_keep),
    ("collect", collect),
    ("reserve", reserve),
    ("chunk_size", chunk_size),
    ("jobs", jobs),
    ("limit", limit),
    ("log_days", log_days),
    ("default_role", default_role),
    ("discovery", discovery),
    ("peers", peers),
];

#[test]
fn every_setting_is_in_force_at_once_or_is_said_to_need_another_start() {
    for setting in SETTINGS {
        let is_tried = TRIED.iter().any(|(key, _)| *key == setting.key);
        assert!(is_tried, "nothing sees {} at work", setting.key);
    }
    let running = TRIED.map(|(key, tried)| (key, thread::spawn(tried)));
    let failed = running.map(|(key, tried)| tried.join().is_err().then_some(key));
    let failed: Vec<_> = failed.into_iter().flatten().collect();
    assert!(failed.is_empty(), "not as they are set: {failed:?}");
}

/// `b`, who serves by its settings alone, without a flag.
struct Served {
    homes: Homes,
    b: Serving,
}

impl Served {
    fn new(others: &[&str], settings: &str) -> Self {
        let homes = Homes::new(&[&["b"], others].concat());
        let b = serve(&homes, "b", settings);
        fs::write(homes.path("f"), bytes(1, 300_000)).unwrap();
        fs::write(homes.path("g"), bytes(2, 300_000)).unwrap();
        Self { homes, b }
    }

    /// Sets it, and checks when that is said to count.
    fn set(&self, key: &str, value: &str) {
        let setting = SETTINGS.iter().find(|setting| setting.key == key).unwrap();
        let (home, holds) = match setting.counts {
            Counts::AtOnce => ("b", "now"),
            Counts::AtStart => ("b", "after-restart"),
            Counts::NextCommand => ("a", "next"),
        };
        assert_eq!(set(&self.homes, home, key, value), holds, "{key}");
    }

    fn send(&self, name: &str) -> Ran {
        self.homes
            .run("a", &["--json", "send", name, "--to", &self.b.to()])
    }
}

/// A peer that serves by the settings of its home.
fn serve(homes: &Homes, home: &str, settings: &str) -> Serving {
    let settings = format!("listen = \"127.0.0.1:0\"\n{settings}");
    fs::write(homes.home(home).join("colis.toml"), settings).unwrap();
    homes.serve_by(
        home,
        without_environment(homes.command(home, &["--json", "serve"])),
    )
}

/// Without the variable that tests have for all commands.
fn without_environment(mut command: Command) -> Command {
    command.env_remove("COLIS_DISCOVERY");
    command
}

/// Sets it, and gives what is said of when it counts.
fn set(homes: &Homes, home: &str, key: &str, value: &str) -> String {
    let said = homes.ok(home, &["--json", "config", "set", key, value]);
    let said: Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(
        (&said["event"], &said["key"]),
        (&"config-set".into(), &key.into())
    );
    said["holds"].as_str().unwrap().to_owned()
}

/// What the only recipient has answered to what was sent.
fn answer(ran: &Ran) -> Value {
    ran.object("sent")["answers"][0].clone()
}

fn listen() {
    let served = Served::new(&[], "");
    served.set("listen", "127.0.0.1:9");
    let said = served
        .homes
        .run("b", &["config", "set", "listen", "127.0.0.1:10"]);
    assert!(said.err.contains("when it is started again"), "{said:?}");
    let log = served.homes.log("b");
    assert!(
        log.contains("when this peer is started again settings=\"listen\""),
        "{log}"
    );
    // Back to what it was started with.
    assert_eq!(set(&served.homes, "b", "listen", "127.0.0.1:0"), "now");
    served.homes.ok("a", &["peers", "check", &served.b.to()]);
}

fn inbox() {
    let served = Served::new(&[], "");
    assert_eq!(answer(&served.send("f")), "accepted");
    served.set("inbox", "ask");
    assert_eq!(answer(&served.send("g")), "waiting");
}

#[test]
fn status_says_what_the_serving_peer_does_with_what_arrives() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.home("b").join("colis.toml"), "inbox = \"ask\"\n").unwrap();
    let said = |what: &str| homes.run("b", &["--json", "status"]).object("status")[what].clone();
    assert_eq!(said("inbox"), "ask");
    let b = homes.serve("b", &["--inbox", "off"]);
    assert_eq!(said("inbox"), "off");
    let shown = homes.run("b", &["status"]).out;
    assert!(shown.contains("inbox: off"), "{shown}");
    drop(b);
    wait_for("it serves no more", || said("serving").is_null());
    assert_eq!(said("inbox"), "ask");
}

fn received() {
    let served = Served::new(&[], "received = \"in\"\n");
    let other = served.homes.home("b").join("elsewhere");
    served.set("received", other.to_str().unwrap());
    assert_eq!(answer(&served.send("f")), "accepted");
    wait_for("what came is where it was set while it is served", || {
        other.join("f").exists()
    });
}

fn auto_up_to() {
    let served = Served::new(&[], "");
    served.set("auto_up_to", "100KiB");
    assert_eq!(answer(&served.send("f")), "waiting");
    served.set("auto_up_to", "1MiB");
    wait_for("what waited", || {
        served.homes.home("b").join("received/f").exists()
    });
    assert_eq!(answer(&served.send("g")), "accepted");
}

fn keep_refused() {
    let served = Served::new(&[], "inbox = \"off\"\n");
    let sent = served.homes.path("sent");
    let refused = |name| {
        let to = served.b.to();
        let sent = served.homes.ok("a", &["--json", "send", name, "--to", &to]);
        let sent = sent
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let sent = sent
            .into_iter()
            .find(|object| object["event"] == "sent")
            .unwrap();
        let id = sent["id"].as_str().unwrap().to_owned();
        served.homes.ok("b", &["inbox", "refuse", &id]);
        id
    };
    let id = refused("f");
    // It can still be accepted.
    served.homes.ok(
        "b",
        &["inbox", "accept", &id, "--out", sent.to_str().unwrap()],
    );
    refused("g");
    assert!(
        served.homes.ok("b", &["list"]).contains("refused"),
        "it is kept"
    );
    served.set("keep_refused", "0");
    wait_for("what was refused", || {
        served.homes.ok("b", &["list"]).is_empty()
    });
}

fn keep_opened() {
    let served = Served::new(&[], "keep_opened = \"1d\"\n");
    let opened = |name| {
        let to = served.b.to();
        served.homes.ok("a", &["send", name, "--to", &to, "--wait"]);
    };
    opened("f");
    assert!(served.homes.ok("b", &["list"]).contains("f"), "it is kept");
    served.set("keep_opened", "0");
    wait_for("what was kept", || {
        served.homes.ok("b", &["list"]).is_empty()
    });
    opened("g");
    assert_eq!(served.homes.ok("b", &["list"]), "");
}

fn quota() {
    let served = Served::new(&[], "inbox = \"off\"\n");
    assert_eq!(served.send("f").code, 0);
    served.set("quota", "400KiB");
    assert_eq!(served.send("g").code, 7, "what was there before counts");
    served.set("quota", "1MiB");
    assert_eq!(served.send("g").code, 0);
}

/// Sends to c by way of b.
fn relayed(served: &Served, name: &str) -> Ran {
    let to = served.b.to();
    served
        .homes
        .run("a", &["send", name, "--to", "c", "--via", &to])
}

/// `c` is known, and does not serve.
fn with_absent_c(settings: &str) -> Served {
    let served = Served::new(&["c"], settings);
    let c = served.homes.serve("c", &[]);
    served.homes.ok("a", &["peers", "add", &c.to()]);
    served
}

fn relay_quota() {
    let served = with_absent_c("");
    assert_eq!(relayed(&served, "f").code, 0);
    served.set("relay_quota", "400KiB");
    let refused = relayed(&served, "g");
    assert_eq!(refused.code, 7, "{refused:?}");
    served.set("relay_quota", "1MiB");
    assert_eq!(relayed(&served, "g").code, 0);
}

fn relay_keep() {
    let served = with_absent_c("");
    assert_eq!(relayed(&served, "f").code, 0);
    assert!(!served.homes.ok("b", &["list"]).is_empty());
    served.set("relay_keep", "0");
    served.homes.ok("b", &["gc"]);
    assert_eq!(served.homes.ok("b", &["list"]), "");
}

fn collect() {
    let served = Served::new(&["c"], "collect = \"0\"\n");
    let c = served.homes.serve("c", &[]);
    served.homes.ok("b", &["peers", "add", &c.to()]);
    served.homes.ok("a", &["peers", "add", &served.b.to()]);
    let via = ["send", "f", "--to", "b", "--via", &c.to()];
    served.homes.ok("a", &via);
    let arrived = || served.homes.home("b").join("received/f").exists();
    thread::sleep(Duration::from_secs(1));
    assert!(!arrived(), "nobody is asked");
    served.set("collect", "1s");
    wait_for("what was left elsewhere", arrived);
}

fn reserve() {
    let served = Served::new(&[], "");
    assert_eq!(answer(&served.send("f")), "accepted");
    served.set("reserve", "1000TiB");
    assert_eq!(served.send("g").code, 7);
    served.set("reserve", "0");
    assert_eq!(served.send("g").code, 0);
}

fn chunk_size() {
    let served = Served::new(&[], "");
    assert_eq!(served.send("f").object("sent")["chunks"], 1);
    served.set("chunk_size", "64KiB");
    assert_eq!(served.send("g").object("sent")["chunks"], 5);
}

/// A way to `to` on which the connections are counted. What goes through them is held up a little, so that several are needed.
fn counted(to: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, count) = (
        listener.local_addr().unwrap(),
        Arc::new(AtomicUsize::new(0)),
    );
    let counter = count.clone();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            counter.fetch_add(1, Ordering::SeqCst);
            let far = TcpStream::connect(&to).unwrap();
            let (mut there, mut back) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let (mut from, mut into) = (near, far);
            thread::spawn(move || {
                let mut buffer = [0; 32 << 10];
                while let Ok(length @ 1..) = from.read(&mut buffer) {
                    thread::sleep(Duration::from_millis(5));
                    if into.write_all(&buffer[..length]).is_err() {
                        return;
                    }
                }
            });
            thread::spawn(move || io::copy(&mut back, &mut there));
        }
    });
    (at.to_string(), count)
}

fn jobs() {
    let served = Served::new(&[], "");
    served.set("jobs", "1");
    let (at, count) = counted(served.b.to());
    let connections = |jobs| {
        served.homes.ok("a", &["config", "set", "jobs", jobs]);
        fs::write(served.homes.path(jobs), bytes(jobs.len() as u64, 4 << 20)).unwrap();
        let before = count.load(Ordering::SeqCst);
        let args = ["send", jobs, "--to", &at, "--chunk-size", "64KiB"];
        served.homes.ok("a", &args);
        count.load(Ordering::SeqCst) - before
    };
    let (one, many) = (connections("1"), connections("16"));
    assert!(
        many >= one + 4,
        "{one} connections with one job, {many} with sixteen"
    );
}

fn limit() {
    let served = Served::new(&[], "");
    served.set("limit", "150KiB");
    let begun = Instant::now();
    assert_eq!(served.send("f").code, 0);
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(900), "{took:?}");
}

fn log_days() {
    let served = Served::new(&[], "");
    let logs = served.homes.home("b").join("logs");
    for day in 1..5 {
        fs::write(logs.join(format!("colis.2026-01-0{day}.jsonl")), "").unwrap();
    }
    let files = || fs::read_dir(&logs).unwrap().count();
    let written = || {
        let entries = fs::read_dir(&logs).unwrap();
        let lengths = entries.map(|entry| entry.unwrap().metadata().unwrap().len());
        lengths.sum::<u64>()
    };
    assert_eq!(files(), 5);
    served.set("log_days", "2");
    wait_for("old files go", || files() == 2);
    served.set("log_days", "0");
    let before = written();
    served.send("f");
    wait_for("the log for people", || {
        served.homes.log("b").contains("opened")
    });
    assert_eq!(written(), before, "no log");
    served.set("log_days", "3");
    served.send("g");
    wait_for("a log again", || written() > before);
}

fn default_role() {
    let served = Served::new(&[], "");
    assert_eq!(served.send("f").code, 0);
    served.set("default_role", "none");
    assert_eq!(served.send("g").code, 4);
    served.set("default_role", "member");
    assert_eq!(served.send("g").code, 0);
}

fn discovery() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&["b"]);
    let settings = "listen = \"0.0.0.0:0\"\ndiscovery = false\n";
    fs::write(homes.home("b").join("colis.toml"), settings).unwrap();
    let serve = net.command(&homes, "b", LEFT, &["--json", "serve"], true);
    let _b = homes.serve_by("b", without_environment(serve));
    let seen = || net.run(&homes, "a", RIGHT, &["--json", "peers", "--seen"]);
    // b is known to the circle's machine, seen or not.
    let is_seen = |ran: &Ran| ran.object("seen")["addresses"] != Value::Array(Vec::new());
    let before = seen();
    assert!(!is_seen(&before), "{before:?}");
    for (value, expected) in [("true", true), ("false", false)] {
        let args = ["--json", "config", "set", "discovery", value];
        let said = net.run(&homes, "b", LEFT, &args);
        assert_eq!(said.object("config-set")["holds"], "now");
        wait_for("it is told", || is_seen(&seen()) == expected);
    }
}

fn peers() {
    let served = Served::new(&["c"], "");
    let id = Pid::from_raw(i32::try_from(served.b.id()).unwrap()).unwrap();
    let path = served.homes.home("b").join("colis.toml");
    let rule = "listen = \"127.0.0.1:0\"\n[peers.a]\ninbox = \"ask\"\n";
    fs::write(path, rule).unwrap();
    kill_process(id, Signal::HUP).unwrap();
    let read = || served.homes.log("b").contains("changed=\"peers.a.inbox\"");
    wait_for("the rule", read);
    assert_eq!(answer(&served.send("f")), "waiting");
    let to = served.b.to();
    let sent = served.homes.run("c", &["--json", "send", "g", "--to", &to]);
    assert_eq!(answer(&sent), "accepted", "the rule is for another");
}

#[test]
fn what_is_no_setting_is_not_taken_for_a_misspelling_of_another() {
    let homes = Homes::new(&[]);
    let said = homes.fails("a", &["config", "set", "expires", "3d"], 3);
    assert!(!said.contains("did you mean"), "{said}");
    let said = homes.fails("a", &["config", "set", "peers.b.inbox", "ask"], 3);
    assert!(said.contains("[peers.ben]"), "{said}");
    let said = homes.fails("a", &["config", "set", "inbux", "ask"], 3);
    assert!(said.contains("did you mean `inbox`?"), "{said}");
}

#[test]
fn a_flag_and_the_environment_win_over_what_is_set_later() {
    let homes = Homes::new(&["b"]);
    let mut serve = homes.command("b", &["--json", "serve", "--listen", "127.0.0.1:0"]);
    serve.args(["--inbox", "off"]).env("COLIS_QUOTA", "1GiB");
    let b = homes.serve_by("b", serve);
    for (key, value) in [
        ("inbox", "auto"),
        ("listen", "127.0.0.1:9"),
        ("quota", "1KiB"),
    ] {
        assert_eq!(set(&homes, "b", key, value), "overruled", "{key}");
    }
    assert_eq!(set(&homes, "b", "reserve", "1MiB"), "now");
    fs::write(homes.path("f"), bytes(1, 300_000)).unwrap();
    let sent = homes.run("a", &["--json", "send", "f", "--to", &b.to()]);
    assert_eq!(
        answer(&sent),
        "waiting",
        "the inbox is off, and there is room"
    );
    drop(b);
    assert_eq!(set(&homes, "b", "inbox", "ask"), "next", "nobody serves");
}

#[test]
fn a_setting_that_is_taken_back_has_its_default_at_once() {
    let homes = Homes::new(&["b"]);
    let mut serve = homes.command("b", &["--json", "serve", "--listen", "127.0.0.1:0"]);
    serve.env("COLIS_QUOTA", "1GiB");
    let b = homes.serve_by("b", serve);
    fs::write(homes.path("f"), bytes(1, 300_000)).unwrap();
    let unset = |key| {
        let said = homes.run("b", &["--json", "config", "unset", key]);
        said.object("config-unset")["holds"].clone()
    };
    let send = || answer(&homes.run("a", &["--json", "send", "f", "--to", &b.to()]));
    set(&homes, "b", "inbox", "ask");
    assert_eq!(send(), "waiting");
    assert_eq!(unset("inbox"), "now");
    assert_eq!(send(), "accepted");
    set(&homes, "b", "quota", "1KiB");
    assert_eq!(unset("quota"), "overruled");
    assert_eq!(unset("log_days"), "now", "it was not set");
    drop(b);
    assert_eq!(unset("jobs"), "next", "nobody serves");
    let said = homes.run("b", &["config", "unset", "inbox"]);
    assert!(said.err.contains("inbox has its default"), "{said:?}");
    let shown = homes.ok("b", &["config"]);
    assert!(!shown.contains("colis.toml"), "nothing is set: {shown}");
    let said = homes.fails("b", &["config", "unset", "inbux"], 3);
    assert!(said.contains("did you mean `inbox`?"), "{said}");
}

#[test]
fn settings_that_cannot_be_used_keep_nobody_from_looking_and_from_stopping() {
    let homes = Homes::new(&["b"]);
    let mut b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    homes.ok("b", &["peers", "role", "a", "sender"]);
    fs::write(homes.path("f"), "f").unwrap();
    homes.ok("b", &["share", "f"]);
    let looking: [&[&str]; 9] = [
        &["status"],
        &["history"],
        &["list"],
        &["peers"],
        &["inbox"],
        &["check"],
        &["certs", "show"],
        &["peers", "block", "a"],
        &["peers", "role", "a", "sender"],
    ];
    let good: Vec<_> = looking.map(|args| homes.run("b", args)).into();
    fs::write(homes.home("b").join("colis.toml"), "inbox = \"perhaps\"\n").unwrap();
    for (args, good) in looking.into_iter().zip(good) {
        let ran = homes.run("b", args);
        let lines = |ran: &Ran| ran.out.lines().count();
        assert_eq!(lines(&ran), lines(&good), "{args:?}: {ran:?} {good:?}");
        assert!(lines(&good) > 0 || args == ["inbox"], "{args:?}");
        assert_eq!(ran.code, 3, "{args:?}: {ran:?}");
        assert!(ran.err.contains("colis.toml:1:9"), "{args:?}: {ran:?}");
    }
    let doctor = homes.run("b", &["doctor"]);
    assert!(doctor.out.contains("colis.toml:1:9"), "{doctor:?}");
    for args in [
        &["send", "f", "--to", "a"][..],
        &["share", "f"],
        &["list", "a"],
    ] {
        let ran = homes.run("b", args);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{args:?}: {ran:?}");
    }
    let stopped = homes.run("b", &["stop"]);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert!(!stopped.err.contains("colis.toml"), "{stopped:?}");
    assert_eq!(b.end(), Some(0));
}

#[test]
fn the_log_says_of_settings_what_is_new_and_nothing_twice() {
    let homes = Homes::new(&["b"]);
    let mut serve = homes.command("b", &["--json", "serve", "--listen", "127.0.0.1:0"]);
    serve.env("COLIS_QUOTA", "1GiB");
    let _b = homes.serve_by("b", serve);
    let lines = |word: &str| homes.log("b").matches(word).count();
    let (read, wins) = ("settings read again", "which win over the file");
    for right in ["bank:atm", "bank:desk", "bank:atm"] {
        homes.ok("b", &["peers", "allow", "a", right]);
    }
    homes.ok("b", &["peers", "role", "a", "sender"]);
    assert_eq!((lines(read), lines(wins)), (0, 0), "{}", homes.log("b"));
    set(&homes, "b", "quota", "1KiB");
    homes.ok("b", &["peers", "block", "a"]);
    set(&homes, "b", "reserve", "1MiB");
    assert_eq!((lines(read), lines(wins)), (1, 1), "{}", homes.log("b"));
    set(&homes, "b", "quota", "2KiB");
    assert_eq!((lines(read), lines(wins)), (1, 2), "{}", homes.log("b"));
}

#[test]
fn what_the_environment_wins_over_is_said_where_nobody_serves() {
    let homes = Homes::new(&[]);
    for (key, variable, ours, value) in [
        ("inbox", "COLIS_INBOX", "off", "auto"),
        ("limit", "COLIS_LIMIT", "1MiB", "2MiB"),
        ("listen", "COLIS_LISTEN", "127.0.0.1:1", "127.0.0.1:2"),
    ] {
        let mut command = homes.command("a", &["config", "set", key, value]);
        let said = Ran::from(command.env(variable, ours).output().unwrap());
        assert_eq!(said.code, 0, "{said:?}");
        let wins = format!("{variable} is set in this environment, which wins");
        assert!(said.err.contains(&wins), "{said:?}");
        let said = homes.run("a", &["config", "set", key, value]);
        assert!(said.err.contains("counts from now on"), "{said:?}");
    }
}
