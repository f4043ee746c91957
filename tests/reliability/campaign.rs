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
    ledger::Ledger,
    load::Load,
    rand,
    support::{Homes, Serving},
};

/// Rounds on one store; then a new one begins, so that none grows without end.
const EPOCH: usize = 20;
/// How long the peer is under load before the fault, at most.
const LONGEST: u64 = 500;

/// What happens to the peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill,
    PowerLoss,
}

pub(crate) struct Campaign {
    fault: Fault,
    without: Option<&'static str>,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    rounds: usize,
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

impl Campaign {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            without: None,
        }
    }

    /// The peer leaves this out.
    #[cfg(feature = "sabotage")]
    pub(crate) fn without(mut self, what: &'static str) -> Self {
        self.without = Some(what);
        self
    }

    /// Until something is broken, at most `rounds` times.
    pub(crate) fn run(&self, rounds: usize) -> Outcome {
        let mut outcome = Outcome::default();
        while outcome.rounds < rounds && outcome.violations.is_empty() {
            self.epoch(EPOCH.min(rounds - outcome.rounds), &mut outcome);
        }
        outcome
    }

    fn epoch(&self, rounds: usize, outcome: &mut Outcome) {
        let runtime = Runtime::new().unwrap();
        let homes = Homes::new(&["b"]);
        let load = Load::new(&homes);
        let home = homes.home("b");
        let disk = (self.fault == Fault::PowerLoss).then(|| on_disk(&homes));
        let ledger = Arc::new(Ledger::default());
        let mut serving = self.serve(&homes, outcome);
        if self.without.is_some() {
            // What is left out must be missed in what is acknowledged from now on, not in the making of the store.
            rustix::fs::syncfs(std::fs::File::open(&home).unwrap()).unwrap();
        }
        for _ in 0..rounds {
            let under_load = Duration::from_millis(rand(LONGEST));
            let broken = runtime.block_on(async {
                let fault = Arc::new(AtomicBool::new(false));
                let mut load = load.start(&serving.to(), &ledger, &fault);
                tokio::time::sleep(under_load).await;
                fault.store(true, Ordering::SeqCst);
                if let Some(disk) = &disk {
                    disk.cut_power();
                }
                serving.kill();
                let mut broken = Vec::new();
                while let Some(ended) = load.join_next().await {
                    broken.extend(ended.unwrap());
                }
                broken
            });
            outcome.violations.extend(broken);
            if let Some(disk) = &disk {
                disk.mount_again();
            }
            outcome.rounds += 1;
            outcome.violations.extend(ledger.verify(&home));
            if !outcome.violations.is_empty() {
                break;
            }
            serving = self.serve(&homes, outcome);
        }
        let (chunks, transfers) = ledger.acknowledged();
        outcome.chunks += chunks;
        outcome.transfers += transfers;
        if outcome.violations.is_empty() {
            outcome.violations = all_opened(&ledger, &home);
            serving.kill();
            ledger.doubt();
            outcome.violations.extend(ledger.verify(&home));
            let checked = homes.run("b", &["check", "--read-data"]);
            if checked.code != 0 {
                outcome
                    .violations
                    .push(format!("check: {} {}", checked.out, checked.err));
            }
        }
    }

    fn serve(&self, homes: &Homes, outcome: &mut Outcome) -> Serving {
        let mut command = homes.command("b", &["--json", "serve", "--listen", "127.0.0.1:0"]);
        if let Some(what) = self.without {
            command.env("COLIS_SABOTAGE", what);
        }
        let begin = Instant::now();
        let serving = homes.serve_by("b", command);
        let took = begin.elapsed();
        outcome.slowest_start = outcome.slowest_start.max(took);
        if took > Duration::from_secs(1) {
            outcome
                .violations
                .push(format!("ready only after {took:?}"));
        }
        serving
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
