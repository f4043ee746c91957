//! Peak memory, whatever the size of the file.

use std::{
    fs::{self, File},
    process::Command,
};

use testkit::{Homes, Serving, around};

/// Of a sparse file: many times what any of them may use.
const LENGTH: u64 = 256 << 20;

/// Chunks in flight with four jobs, at most: those being read or written, and those being stored or fetched
/// (docs/architecture.md). A chunk has a MiB.
const IN_FLIGHT: f64 = 11.0;
/// What an opening peer holds of a transfer until its turn comes, at most.
const HELD: f64 = 8.0;
/// The allocator keeps some of what was freed; half as much again is room for that.
const ROOM: f64 = 1.5;
/// Memory of a peer that has done nothing yet, without its program. Measured in November 2026: 9 MiB.
const IDLE_MIB: f64 = 16.0;

/// Runs a program and prints the most memory that it had, in KiB. Its own is in it, which is less than any limit here.
const MEASURE: &str = "import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)";

/// Compared with what a file of one chunk takes in the same run: that is the program, which a build without optimization
/// makes larger, and what every transfer takes.
#[test]
fn memory_does_not_grow_with_the_file() {
    let _shared = crate::MACHINE.blocking_read();
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    let c = homes.serve("c", &[]);
    let idle = memory_of_peer(&b, "RssAnon:");
    assert!(idle <= IDLE_MIB, "idle: {idle:.1} MiB");

    let small = peaks(&homes, &b, &c, "small.bin", 1 << 20);
    let large = peaks(&homes, &b, &c, "large.bin", LENGTH);
    let limits = [
        ("sending", IN_FLIGHT),
        ("storing", IN_FLIGHT),
        ("receiving", IN_FLIGHT),
        ("opening", IN_FLIGHT + HELD),
    ];
    for ((role, in_flight), (small, large)) in limits.into_iter().zip(small.into_iter().zip(large))
    {
        let (growth, limit) = (large - small, in_flight * ROOM);
        println!("{role}: {small:.1} and {large:.1} MiB");
        assert!(
            growth <= limit,
            "{role}: {growth:.1} MiB more; the limit is {limit}"
        );
    }
}

/// The most memory of sending a file to `b`, of `b`, of receiving it from there, and of `c`, which opens it.
fn peaks(homes: &Homes, b: &Serving, c: &Serving, name: &str, length: u64) -> [f64; 4] {
    let file = File::create(homes.path(name)).unwrap();
    file.set_len(length).unwrap();
    let sending = peak_of_run(homes, &["send", name, "--to", &b.to()]);
    let storing = memory_of_peer(b, "VmHWM:");
    let receive = ["receive", "--from", &b.to(), name, "--out", "back"];
    let receiving = peak_of_run(homes, &receive);
    homes.ok("a", &["send", name, "--to", &c.to(), "--wait"]);
    let opening = memory_of_peer(c, "VmHWM:");
    for folder in ["back", "c/received"] {
        let arrived = homes.path(folder).join(name);
        assert_eq!(fs::metadata(arrived).unwrap().len(), length, "{folder}");
    }
    [sending, storing, receiving, opening]
}

/// The most memory of a command of `a`, which must succeed, in MiB.
fn peak_of_run(homes: &Homes, args: &[&str]) -> f64 {
    let mut python = Command::new("python3");
    python.args(["-c", MEASURE]);
    let ran = around(python, &homes.command("a", args)).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{args:?}: {said}");
    let kib = String::from_utf8(ran.stdout).unwrap();
    kib.trim().parse::<f64>().unwrap() / 1024.0
}

/// A line of a running peer's `/proc/ID/status`, in MiB: `VmHWM:` is the most memory that it had so far.
fn memory_of_peer(peer: &Serving, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", peer.id())).unwrap();
    let number = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = number.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<f64>().unwrap() / 1024.0
}
