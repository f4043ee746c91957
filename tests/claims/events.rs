//! What `--json` prints is events of a session, and nothing else: every command, where it succeeds and where it fails.

use std::{
    collections::BTreeSet,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use colis::session::Event;
use serde_json::Value;
use testkit::{Homes, Ran, wait_for};

/// What they print is for a shell and for `man`.
const NO_OBJECTS: [&str; 2] = ["completions", "man"];

/// What is not tried where there is no home, because it does there what it always does.
const NEED_NO_HOME: [&str; 5] = ["certs init", "completions", "demo", "man", "pair"];

/// A command that was tried: what it is called, and what it said.
type Tried = (String, Ran);

/// The commands that have none below them, as the help tells them.
pub(crate) fn commands(homes: &Homes, above: &[&str]) -> Vec<String> {
    let help = homes.ok("a", &[above, &["--help"]].concat());
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        return vec![above.join(" ")];
    };
    let list = list.split("\n\n").next().unwrap();
    // A description that goes on in a line of its own stands further to the right.
    let names = list.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    let names = names.map(|line| line.split(' ').next().unwrap());
    names
        .filter(|name| *name != "help")
        .flat_map(|name| commands(homes, &[above, &[name]].concat()))
        .collect()
}

/// The lines that are no event, or an event with more or less than its type has.
fn strange(ran: &Ran) -> Vec<String> {
    let is_strange = |line: &&str| {
        let Ok(Value::Object(mut object)) = serde_json::from_str(line) else {
            return true;
        };
        let version = object.remove("v");
        match serde_json::from_value::<Event>(Value::Object(object.clone())) {
            Err(_) | Ok(Event::Other) => true,
            Ok(event) => {
                version != Some(1.into())
                    || serde_json::to_value(event).unwrap() != Value::Object(object)
            }
        }
    };
    let lines = ran.out.lines().filter(is_strange);
    lines.map(str::to_owned).collect()
}

/// Runs commands with `--json` and keeps what each said.
struct Trial {
    homes: Homes,
    tried: Vec<Tried>,
}

impl Trial {
    fn command(&self, home: &str, name: &str, args: &[&str]) -> Command {
        let words: Vec<_> = name.split(' ').collect();
        let mut command = self
            .homes
            .command(home, &[&["--json"], &words[..], args].concat());
        command.env("XDG_CONFIG_HOME", self.homes.path("config"));
        command.env("HOME", self.homes.path("user"));
        command
    }

    fn keep(&mut self, name: &str, ran: Ran) -> &Ran {
        self.tried.push((name.to_owned(), ran));
        &self.tried.last().unwrap().1
    }

    /// Runs what must succeed, or end with a code that says something of what was found.
    fn ok(&mut self, home: &str, name: &str, args: &[&str]) -> &Ran {
        let ran = Ran::from(self.command(home, name, args).output().unwrap());
        assert!([0, 10, 11].contains(&ran.code), "{name} {args:?}: {ran:?}");
        self.keep(name, ran)
    }

    fn fails(&mut self, home: &str, name: &str, args: &[&str]) {
        let ran = Ran::from(self.command(home, name, args).output().unwrap());
        assert!(![0, 11].contains(&ran.code), "{name} {args:?}: {ran:?}");
        ran.object("error");
        self.keep(name, ran);
    }

    /// What moves files, between `a` and `b`, who serves.
    fn transfers(&mut self, to: &str) {
        let homes = &self.homes;
        std::fs::write(homes.path("f.txt"), "text").unwrap();
        std::fs::write(homes.path("g.txt"), "more").unwrap();
        self.ok("a", "send", &["f.txt", "--to", to, "--dry-run"]);
        let sent = self.ok("a", "send", &["f.txt", "--to", to]);
        let id = sent.object("sent")["id"].as_str().unwrap().to_owned();
        self.ok("b", "inbox list", &[]);
        self.ok("b", "inbox accept", &[&id]);
        let sent = self.ok("a", "send", &["g.txt", "--to", to]);
        let id = sent.object("sent")["id"].as_str().unwrap().to_owned();
        self.ok("b", "inbox refuse", &[&id]);
        let shared = self.ok("a", "share", &["g.txt"]);
        let id = shared.object("sent")["id"].as_str().unwrap().to_owned();
        let granted = self.ok("a", "grant", &[&id, "--to", "b"]);
        let id = granted.object("granted")["id"].as_str().unwrap().to_owned();
        self.ok("a", "list", &[]);
        self.ok("a", "list", &["--chunks"]);
        self.ok("a", "receive", &["--all", "--out", "got"]);
        self.ok("a", "delete", &[&id, "--dry-run"]);
        self.ok("a", "delete", &[&id, "--yes"]);
        self.ok("a", "seal", &["f.txt", "--to", "b", "--out", "sealed"]);
        self.ok("b", "open", &["sealed", "--out", "opened"]);
        self.ok("a", "history", &[]);
        self.ok("b", "history", &[]);
        self.cancelling(to);
        let kept = self.ok("a", "send", &["g.txt", "--to", to, "--keep"]);
        let id = kept.object("sent")["id"].as_str().unwrap().to_owned();
        self.ok("a", "check", &["b", &id]);
        self.ok("a", "check", &["--read-data"]);
        self.ok("a", "gc", &[]);
        self.ok("b", "gc", &[]);
    }

    /// What arrives slowly is seen, and cancelled.
    fn cancelling(&mut self, to: &str) {
        std::fs::write(self.homes.path("film"), testkit::bytes(1, 8 << 20)).unwrap();
        let args = ["film", "--to", to, "--limit", "256KiB"];
        let mut sending = self.command("a", "send", &args);
        let sending = sending.stdout(Stdio::piped()).spawn().unwrap();
        let mut id = String::new();
        wait_for("an arrival", || {
            let seen = self.homes.ok("b", &["--json", "inbox"]);
            let seen = seen.lines().map(|line| serde_json::from_str(line).unwrap());
            let arriving = seen.into_iter().find(|o: &Value| o["event"] == "arriving");
            let arriving = arriving.map(|one| one["transfer"].as_str().unwrap().to_owned());
            arriving.map(|found| id = found).is_some()
        });
        self.ok("b", "inbox list", &[]);
        self.ok("b", "status", &[]);
        self.ok("b", "inbox stop", &[&id]);
        self.fails("b", "inbox stop", &[&id]);
        let sent = Ran::from(sending.wait_with_output().unwrap());
        assert_eq!(sent.code, 10, "{sent:?}");
        self.keep("send", sent);
    }

    fn peers(&mut self, to: &str) {
        self.ok("a", "peers add", &[to]);
        self.ok("a", "peers check", &["b"]);
        self.ok("a", "peers list", &[]);
        self.ok("a", "peers rename", &["b", "bob"]);
        self.ok("a", "peers rename", &["bob", "b"]);
        self.ok("a", "peers role", &["b", "member"]);
        self.ok("a", "peers allow", &["b", "bank:atm"]);
        self.ok("a", "peers deny", &["b", "bank:atm"]);
    }

    fn care(&mut self) {
        self.ok("a", "config init", &[]);
        self.ok("a", "config set", &["jobs", "3"]);
        self.ok("a", "config unset", &["jobs"]);
        self.ok("a", "config show", &[]);
        self.ok("a", "status", &[]);
        self.ok("b", "status", &["--serving"]);
        self.ok("a", "doctor", &["b"]);
        self.ok("a", "serve", &["--install"]);
        self.ok("a", "serve", &["--uninstall"]);
        self.ok("a", "serve", &["--install", "--system"]);
        self.ok("a", "demo", &["--size", "8MiB"]);
        self.ok("a", "completions", &["bash"]);
        self.ok("a", "man", &[]);
    }

    fn certs(&mut self) {
        self.ok("z", "certs init", &["--name", "z"]);
        self.ok("z", "certs show", &[]);
        self.ok("z", "certs issue", &["y", "--out", "y-certs"]);
        let word = self.homes.path("word");
        std::fs::write(&word, "a passphrase of twelve\n").unwrap();
        std::fs::set_permissions(&word, std::fs::Permissions::from_mode(0o600)).unwrap();
        self.ok("z", "certs passphrase set", &["--new-file", "word"]);
        let given = ["--key-passphrase-file", "word"];
        self.ok("z", "certs passphrase remove", &given);
        self.ok("z", "certs renew", &[]);
        self.ok("z", "certs renew-circle", &[]);
        self.ok("z", "certs revoke", &["y"]);
        self.ok("x", "certs import", &["y-certs"]);
        self.ok("x", "certs leave", &["--yes"]);
    }

    /// The machine that shows the code, and the one that joins.
    fn pairing(&mut self) {
        let mut shows = self.command("a", "pair", &["--port", "0"]);
        let mut shows = shows.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = std::io::BufReader::new(shows.stdout.take().unwrap());
        let (mut text, mut code) = (String::new(), Value::Null);
        while code["event"] != "code" {
            let mut line = String::new();
            assert!(std::io::BufRead::read_line(&mut out, &mut line).unwrap() > 0);
            code = serde_json::from_str(&line).unwrap();
            text.push_str(&line);
        }
        let to = format!("127.0.0.1:{}", code["port"]);
        let mut joins = self.command("c", "pair", &[&to, "--name", "c"]);
        let joins = joins.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut joins = joins.spawn().unwrap();
        let mut input = joins.stdin.take().unwrap();
        writeln!(input, "{}", code["code"].as_str().unwrap()).unwrap();
        drop(input);
        let joined = Ran::from(joins.wait_with_output().unwrap());
        assert_eq!(joined.code, 0, "{joined:?}");
        std::io::Read::read_to_string(&mut out, &mut text).unwrap();
        assert!(shows.wait().unwrap().success());
        let (code, err) = (0, String::new());
        let out = text;
        self.keep("pair", joined);
        self.keep("pair", Ran { code, out, err });
    }
}

#[test]
fn what_programs_read_is_events_and_nothing_else() {
    let mut trial = Trial {
        homes: Homes::new(&["b"]),
        tried: Vec::new(),
    };
    let serving = trial.homes.serve("b", &["--inbox", "ask"]);
    let to = serving.to();
    trial.transfers(&to);
    trial.peers(&to);
    trial.care();
    trial.certs();
    trial.pairing();
    trial.ok("a", "peers block", &["b"]);
    trial.ok("a", "peers forget", &["b"]);
    let arrived = || serving.said().iter().any(|o| o["event"] == "arrival");
    wait_for("an arrival", arrived);
    trial.ok("b", "stop", &[]);
    trial.ok("b", "stop", &[]);
    let said: Vec<_> = serving.said().iter().map(Value::to_string).collect();
    let (code, out, err) = (0, said.join("\n"), String::new());
    trial.keep("serve", Ran { code, out, err });

    let all = commands(&trial.homes, &[]);
    for name in &all {
        trial.fails("a", name, &["--no-such-flag"]);
        if !NEED_NO_HOME.contains(&name.as_str()) {
            let ran = trial.command("nowhere", name, &[]).output().unwrap();
            trial.keep(name, Ran::from(ran));
        }
    }
    assert!(all.len() > 30, "{all:?}");
    let mut wrong = Vec::new();
    for name in &all {
        let of = trial.tried.iter().filter(|(tried, _)| tried == name);
        assert!(
            of.clone().any(|(_, ran)| ran.code == 0),
            "`{name}` is not tried"
        );
        let objects =
            of.filter(|(name, ran)| ran.code != 0 || !NO_OBJECTS.contains(&name.as_str()));
        let strange: BTreeSet<_> = objects.flat_map(|(_, ran)| strange(ran)).collect();
        wrong.extend(strange.iter().map(|line| format!("{name}: {line:.300}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let lines = trial.tried.iter().flat_map(|(_, ran)| ran.out.lines());
    let words: usize = lines.map(tolerates_new_words).sum();
    assert!(words > 500, "{words} words were tried");
}

/// A newer version may have other words than this one wherever a word stands: none of them breaks a reader. Gives how many were
/// tried.
fn tolerates_new_words(line: &str) -> usize {
    let Ok(event @ Value::Object(_)) = serde_json::from_str::<Value>(line) else {
        return 0;
    };
    let mut places = Vec::new();
    texts_of(&event, &mut String::new(), &mut places);
    for place in &places {
        let mut newer = event.clone();
        *newer.pointer_mut(place).unwrap() = "of-a-newer-version".into();
        // An id or a time that is none is still an error, and not a word.
        if let Err(error) = serde_json::from_value::<Event>(newer) {
            let error = error.to_string();
            assert!(!error.contains("variant"), "{place} of {line}: {error}");
        }
    }
    places.len()
}

/// Where `value` has texts.
fn texts_of(value: &Value, at: &mut String, places: &mut Vec<String>) {
    let length = at.len();
    let mut go = |key: &str, value: &Value| {
        at.push('/');
        at.push_str(&key.replace('~', "~0").replace('/', "~1"));
        texts_of(value, at, places);
        at.truncate(length);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| go(key, value)),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(number, value)| go(&number.to_string(), value));
        }
        Value::String(_) => places.push(at.clone()),
        _ => {}
    }
}
