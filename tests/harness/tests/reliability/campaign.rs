//! Rounds of load and fault.

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use crate::{
    disk::Disk,
    inject::{Call, Injection, Wrong},
    rand,
};
use harness::ledger::{KEEPING, Ledger};
use harness::load::Load;
use testkit::{Homes, Serving, stretched};

/// Rounds on one store; then a new one begins, so that none grows without end.
const EPOCH: usize = 20;
/// How long the peer is under load before the fault, at most.
const LONGEST: u64 = 500;
/// How long a peer is under load in which a call fails.
const WITH_ERRORS: Duration = Duration::from_millis(300);
/// A peer serves within so long after its start.
const READY: Duration = Duration::from_secs(1);

/// What happens to the peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill,
    PowerLoss,
    /// From some moment on the disk refuses everything.
    DeadDisk,
    /// A call fails; some time later the power goes, so that what was only said to be durable is not there.
    Error(Call, &'static str),
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) rounds: usize,
    chunks: usize,
    transfers: usize,
    slowest_start: Duration,
    pub(crate) violations: Vec<String>,
}

impl Outcome {
    pub(crate) fn show(&self, what: &str) {
        eprintln!(
            "{what}: {} rounds, {} chunks and {} transfers acknowledged, {} promises broken, slowest start {} ms",
            self.rounds,
            self.chunks,
            self.transfers,
            self.violations.len(),
            self.slowest_start.as_millis()
        );
    }
}

/// The same fault `rounds` times, or until something is broken.
pub(crate) fn campaign(fault: Fault, rounds: usize) -> Outcome {
    let mut bench = Bench::new(fault != Fault::Kill, Outcome::default());
    while bench.outcome.rounds < rounds && bench.outcome.violations.is_empty() {
        bench.renew_if_old();
        bench.round(fault);
    }
    bench.finish()
}

/// One peer, and those who load it.
pub(crate) struct Bench {
    runtime: Runtime,
    homes: Homes,
    load: Arc<Load>,
    disk: Option<Disk>,
    ledger: Arc<Ledger>,
    /// It is not served any more if something was broken.
    serving: Option<Serving>,
    rounds: usize,
    pub(crate) outcome: Outcome,
}

impl Bench {
    pub(crate) fn new(has_disk: bool, outcome: Outcome) -> Self {
        let homes = Homes::new(&["b"]);
        let mut bench = Self {
            runtime: Runtime::new().unwrap(),
            load: Arc::new(Load::new(&homes)),
            disk: has_disk.then(|| on_disk(&homes)),
            homes,
            ledger: Arc::default(),
            serving: None,
            rounds: 0,
            outcome,
        };
        bench.serve();
        // What a sabotaged peer leaves out must be missed in what it acknowledges from now on, not in the making of its store.
        rustix::fs::syncfs(std::fs::File::open(bench.home()).unwrap()).unwrap();
        bench
    }

    /// Another store once this one has had its rounds.
    pub(crate) fn renew_if_old(&mut self) {
        if self.rounds >= EPOCH && self.outcome.violations.is_empty() {
            let has_disk = self.disk.is_some();
            self.look_back();
            *self = Self::new(has_disk, std::mem::take(&mut self.outcome));
        }
    }

    fn home(&self) -> PathBuf {
        self.homes.home("b")
    }

    /// Load, a fault, and a look at what is left. Gives whether the fault came to be.
    pub(crate) fn round(&mut self, fault: Fault) -> bool {
        let mut serving = self.serving.take().unwrap();
        let log = self.homes.path("strace.log");
        let (happened, mut broken) = self.runtime.block_on(async {
            let mut broken = Vec::new();
            let may_fail = matches!(fault, Fault::Error(..));
            let gone = Arc::new(AtomicBool::new(may_fail));
            let injection = match fault {
                Fault::Error(call, error) => Some(Injection::into(
                    serving.id(),
                    call,
                    Wrong::Fails(error),
                    log,
                )),
                _ => None,
            };
            let mut load = self.load.start(&serving.to(), &self.ledger, &gone);
            tokio::time::sleep(under_load(fault)).await;
            let happened = injection.is_none_or(Injection::end);
            if let Fault::Error(call, error) = fault
                && happened
            {
                let healed = self.load.goes_on(&serving.to(), &self.ledger, error).await;
                broken.extend(
                    healed
                        .err()
                        .map(|e| format!("after {error} in {call}: {e}")),
                );
            }
            gone.store(true, Ordering::SeqCst);
            if let Some(disk) = &self.disk {
                disk.cut_power();
            }
            if fault == Fault::DeadDisk {
                let refused = self.load.is_refused(&serving.to()).await;
                broken.extend(refused.err().map(|e| format!("without a disk: {e}")));
            }
            serving.kill();
            while let Some(ended) = load.join_next().await {
                broken.extend(ended.unwrap());
            }
            (happened, broken)
        });
        if let Some(disk) = &self.disk {
            disk.mount_again();
        }
        self.outcome.rounds += 1;
        self.rounds += 1;
        broken.extend(self.ledger.verify(&self.home()));
        broken.extend(panics(&self.homes));
        self.outcome.violations.extend(broken);
        if self.outcome.violations.is_empty() {
            self.serve();
        }
        happened
    }

    pub(crate) fn finish(mut self) -> Outcome {
        self.look_back();
        self.outcome
    }

    /// What was acknowledged is opened and whole in the end.
    fn look_back(&mut self) {
        let (chunks, transfers) = self.ledger.acknowledged();
        self.outcome.chunks += chunks;
        self.outcome.transfers += transfers;
        let Some(mut serving) = self.serving.take() else {
            return;
        };
        let unopened = all_opened(&self.ledger, &self.home());
        self.outcome.violations.extend(unopened);
        serving.kill();
        self.ledger.doubt();
        let broken = self.ledger.verify(&self.home());
        self.outcome.violations.extend(broken);
        let checked = self.homes.run("b", &["check", "--read-data"]);
        if checked.code != 0 {
            let said = format!("check: {} {}", checked.out, checked.err);
            self.outcome.violations.push(said);
        }
    }

    fn serve(&mut self) {
        let args = ["--json", "serve", "--listen", "127.0.0.1:0"];
        let begin = Instant::now();
        let mut command = self.homes.command("b", &args);
        command.args(KEEPING);
        self.serving = Some(self.homes.serve_by("b", command));
        let took = begin.elapsed();
        self.outcome.slowest_start = self.outcome.slowest_start.max(took);
        if took > READY && took > stretched(READY) {
            let late = format!("ready only after {took:?}");
            self.outcome.violations.push(late);
        }
    }
}

fn under_load(fault: Fault) -> Duration {
    match fault {
        Fault::Error(..) => WITH_ERRORS,
        _ => Duration::from_millis(rand(LONGEST)),
    }
}

/// Puts the home of `b` on a disk of its own.
fn on_disk(homes: &Homes) -> Disk {
    let (home, aside): (PathBuf, PathBuf) = (homes.home("b"), homes.path("b-certs"));
    std::fs::rename(home.join("certs"), &aside).unwrap();
    let disk = Disk::new(&homes.path("image"), &home);
    let copied = Command::new("cp")
        .arg("-a")
        .arg(&aside)
        .arg(home.join("certs"))
        .status();
    assert!(copied.unwrap().success());
    rustix::fs::syncfs(std::fs::File::open(&home).unwrap()).unwrap();
    disk
}

fn panics(homes: &Homes) -> Option<String> {
    let log = homes.log("b");
    let said = log.lines().find(|line| line.contains("panicked"))?;
    Some(format!("a panic: {said}"))
}

/// Waits until the peer has opened every transfer that it acknowledged. Gives those that it has not after a minute.
fn all_opened(ledger: &Ledger, home: &std::path::Path) -> Vec<String> {
    let begin = Instant::now();
    loop {
        let unopened = ledger.unopened(home);
        if unopened.is_empty() || begin.elapsed() > Duration::from_secs(60) {
            return unopened
                .into_iter()
                .map(|name| format!("{name} was never opened"))
                .collect();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
