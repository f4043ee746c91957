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

/// A peer to which nobody comes.
const IDLE: &str = "d";

/// The most calls of each role. The whole run of a command counts; of a peer what it does for the transfer, not what it does at its
/// start and as time passes.
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

/// For a MiB of a large file. Counted in November 2026, in this order: 51, 107, 99, 36, 110.
const A_MEBIBYTE: Limits = Limits {
    sending: 58.0,
    storing: 134.0,
    receiving: 123.0,
    serving: 45.0,
    delivering: 137.0,
};

/// For a file of 10 KiB among many. Counted in November 2026, in this order: 10.9, 1.5, 7.5, 0.6, 7.5. A call more for each file
/// is over every limit.
const A_SMALL_FILE: Limits = Limits {
    sending: 11.8,
    storing: 2.2,
    receiving: 8.4,
    serving: 1.2,
    delivering: 8.4,
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
    let (sending, storing) = stored(&homes, load);
    let (receiving, serving) = fetched(&homes, load);
    let delivering = delivered(&homes, load);
    let counted = [
        ("sending", sending, limits.sending),
        ("storing", storing, limits.storing),
        ("receiving", receiving, limits.receiving),
        ("serving", serving, limits.serving),
        ("delivering", delivering, limits.delivering),
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

fn stored(homes: &Homes, load: &Load) -> (Calls, Calls) {
    served(homes, "b", "off", |to| {
        run(homes, "a", &["send", load.name, "--to", to])
    })
}

fn fetched(homes: &Homes, load: &Load) -> (Calls, Calls) {
    let counted = served(homes, "b", "off", |from| {
        let args = [
            "receive", "--from", from, "--all", "--mine", "--out", "back",
        ];
        run(homes, "a", &args)
    });
    load.assert_in(homes, "back");
    counted
}

/// To another peer, which has none of the chunks yet.
fn delivered(homes: &Homes, load: &Load) -> Calls {
    let ((), delivering) = served(homes, "c", "auto", |to| {
        homes.ok("a", &["send", load.name, "--to", to, "--wait"]);
    });
    load.assert_in(homes, "c/received");
    delivering
}

/// Does `work` with a peer that serves `home`, and counts what that costs the peer: what a peer to which nobody comes does in the
/// same time, its start included, is not of the work.
fn served<T>(homes: &Homes, home: &str, inbox: &str, work: impl FnOnce(&str) -> T) -> (T, Calls) {
    for home in [home, IDLE] {
        homes.serve(home, &["--inbox", inbox]).kill();
    }
    let (mut peer, serving) = serve(homes, home, inbox);
    let (mut idle, idling) = serve(homes, IDLE, inbox);
    let done = work(&peer.to());
    peer.kill();
    idle.kill();
    (done, serving.read().without(&idling.read()))
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
    /// Less what is in `other` too.
    fn without(mut self, other: &Self) -> Self {
        for (name, calls) in &mut self.0 {
            *calls = calls.saturating_sub(other.0.get(name).copied().unwrap_or(0));
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
