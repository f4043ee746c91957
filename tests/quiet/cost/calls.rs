//! System calls, counted by strace around the real program.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{LARGE, Load, SMALL};
use testkit::{Homes, Serving, around, wait_for};

/// Calls by which a thread waits or wakes another: their number is the scheduler's, not ours.
const WAITING: [&str; 7] = [
    "clock_nanosleep",
    "epoll_pwait",
    "epoll_wait",
    "futex",
    "poll",
    "restart_syscall",
    "sched_yield",
];

/// The most calls of each role. The whole run of a command counts; of a peer what it does once it serves.
struct Limits {
    /// `send`, to a peer that stores.
    sending: f64,
    /// That peer, its inbox off.
    storing: f64,
    /// `receive`, from it.
    receiving: f64,
    /// That peer.
    serving: f64,
    /// A peer that stores and opens.
    delivering: f64,
}

/// For a MiB of a large file. Counted in November 2026, in this order: 43, 111, 94, 40, 106.
const A_MEBIBYTE: Limits = Limits {
    sending: 54.0,
    storing: 140.0,
    receiving: 117.0,
    serving: 50.0,
    delivering: 132.0,
};

/// For a file of 10 KiB among many. Counted in November 2026, in this order: 12.1, 1.5, 9.8, 0.9, 8.1.
const A_SMALL_FILE: Limits = Limits {
    sending: 13.5,
    storing: 2.5,
    receiving: 11.0,
    serving: 1.4,
    delivering: 9.0,
};

#[test]
fn a_large_file_costs_few_calls_a_mebibyte() {
    let _shared = crate::MACHINE.blocking_read();
    check(&LARGE, LARGE.length >> 20, &A_MEBIBYTE);
}

#[test]
fn a_small_file_costs_few_calls() {
    let _shared = crate::MACHINE.blocking_read();
    check(&SMALL, SMALL.files, &A_SMALL_FILE);
}

/// Moves `load` in every way, and compares what that took for each of `units`.
fn check(load: &Load, units: usize, limits: &Limits) {
    let homes = load.make();
    let start = started(&homes, "b");
    let (sending, storing) = stored(&homes, load);
    let (receiving, serving) = fetched(&homes, load);
    let delivering = delivered(&homes, load);
    let counted = [
        ("sending", sending, limits.sending),
        ("storing", storing.without(&start), limits.storing),
        ("receiving", receiving, limits.receiving),
        ("serving", serving.without(&start), limits.serving),
        ("delivering", delivering.without(&start), limits.delivering),
    ];
    let mut over = Vec::new();
    for (role, calls, limit) in counted {
        let each = calls.total() as f64 / units as f64;
        let line = format!("{role}: {each:.1} calls each, {calls}");
        println!("{}: {line}", load.name);
        if each > limit {
            over.push(format!("{line}; the limit is {limit}"));
        }
    }
    assert!(over.is_empty(), "{}: {}", load.name, over.join("\n"));
}

/// What it takes a peer to start, once its store is made.
fn started(homes: &Homes, home: &str) -> Calls {
    homes.serve(home, &["--inbox", "off"]).kill();
    let (mut peer, starting) = serve(homes, home, "off");
    peer.kill();
    starting.read()
}

fn stored(homes: &Homes, load: &Load) -> (Calls, Calls) {
    let (mut b, storing) = serve(homes, "b", "off");
    let sending = run(homes, "a", &["send", load.name, "--to", &b.to()]);
    b.kill();
    (sending, storing.read())
}

fn fetched(homes: &Homes, load: &Load) -> (Calls, Calls) {
    let (mut b, serving) = serve(homes, "b", "off");
    let args = ["receive", "--from", &b.to(), "--all", "--out", "back"];
    let receiving = run(homes, "a", &args);
    b.kill();
    load.assert_in(homes, "back");
    (receiving, serving.read())
}

/// To another peer, which has none of the chunks yet.
fn delivered(homes: &Homes, load: &Load) -> Calls {
    homes.serve("c", &[]).kill();
    let (mut c, delivering) = serve(homes, "c", "auto");
    homes.ok("a", &["send", load.name, "--to", &c.to(), "--wait"]);
    c.kill();
    load.assert_in(homes, "c/received");
    delivering.read()
}

/// Starts a peer whose calls are counted until it ends, and waits for what it does at the start by itself.
fn serve(homes: &Homes, home: &str, inbox: &str) -> (Serving, Trace) {
    let trace = Trace::new(homes, home);
    let args = ["--json", "serve", "--listen", "127.0.0.1:0"];
    let mut command = homes.command(home, &args);
    command.args(["--inbox", inbox]);
    command.env("COLIS_LOG", "colis::peer=debug");
    let serving = homes.serve_by(home, trace.around(&command));
    wait_for("the first collection", || {
        homes.log(home).contains("collected")
    });
    (serving, trace)
}

/// Runs what must succeed.
fn run(homes: &Homes, home: &str, args: &[&str]) -> Calls {
    let trace = Trace::new(homes, home);
    let ran = trace.around(&homes.command(home, args)).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{args:?}: {said}");
    trace.read()
}

/// Where strace writes what it has counted of one process.
struct Trace(PathBuf);

impl Trace {
    fn new(homes: &Homes, home: &str) -> Self {
        let path = homes.path(&format!("{home}.calls"));
        let _ = fs::remove_file(&path);
        Self(path)
    }

    /// The same command, counted. The process that is started is the program itself: strace stands beside it.
    fn around(&self, command: &Command) -> Command {
        let mut strace = Command::new("strace");
        strace.args(["-D", "-f", "-c", "--summary-columns=calls,name", "-o"]);
        strace.arg(&self.0);
        around(strace, command)
    }

    /// What it counted, once the process has ended.
    fn read(&self) -> Calls {
        wait_for("the summary of strace", || summary(&self.0).is_some());
        Calls(summary(&self.0).unwrap())
    }
}

/// The calls by name, once the last line is there. What strace has to say of threads that end stands above the table.
fn summary(path: &Path) -> Option<BTreeMap<String, usize>> {
    let text = fs::read_to_string(path).ok()?;
    let table = text.lines().skip_while(|line| !line.starts_with("---"));
    let lines = table.filter_map(|line| {
        let (calls, name) = line.trim().split_once(' ')?;
        Some((name.trim().to_owned(), calls.parse().ok()?))
    });
    let mut calls: BTreeMap<String, usize> = lines.collect();
    let total = calls.remove("total")?;
    assert_eq!(calls.values().sum::<usize>(), total, "{text}");
    Some(calls)
}

/// System calls by name.
struct Calls(BTreeMap<String, usize>);

impl Calls {
    /// Less what is in `start` too.
    fn without(mut self, start: &Self) -> Self {
        for (name, calls) in &mut self.0 {
            *calls = calls.saturating_sub(start.0.get(name).copied().unwrap_or(0));
        }
        self
    }

    /// All but those that only wait.
    fn total(&self) -> usize {
        let working = self.0.iter().filter(|(name, _)| !is_waiting(name));
        working.map(|(_, calls)| calls).sum()
    }
}

/// The most frequent, for whoever looks for what is too many.
impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut calls: Vec<_> = self
            .0
            .iter()
            .filter(|(name, _)| !is_waiting(name))
            .collect();
        calls.sort_by_key(|(_, calls)| std::cmp::Reverse(**calls));
        write!(f, "{} in all:", self.total())?;
        calls
            .iter()
            .take(12)
            .try_for_each(|(name, calls)| write!(f, " {name} {calls}"))
    }
}

fn is_waiting(name: &str) -> bool {
    WAITING.contains(&name)
}
