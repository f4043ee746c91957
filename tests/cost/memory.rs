//! Peak memory, whatever the size of the file.

use std::{
    fs::{self, File},
    process::Command,
};

use crate::support::{Homes, Serving, around};

/// Of a sparse file: many times what any of them may use.
const LENGTH: u64 = 256 << 20;

// What was measured in November 2026, by a debug build: 32, 35, 50 and 30 MiB, in this order.
const SENDING_MIB: f64 = 40.0;
const STORING_MIB: f64 = 44.0;
const OPENING_MIB: f64 = 63.0;
const RECEIVING_MIB: f64 = 38.0;

/// Runs a program and prints the most memory that it had, in KiB. Its own is in it, which is less than any limit here.
const MEASURE: &str = "import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)";

#[test]
fn memory_does_not_grow_with_the_file() {
    let homes = Homes::new(&["b", "c"]);
    let file = File::create(homes.path("sparse.bin")).unwrap();
    file.set_len(LENGTH).unwrap();

    let b = homes.serve("b", &["--inbox", "off"]);
    let sending = peak_of_run(&homes, &["send", "sparse.bin", "--to", &b.to()]);
    let storing = peak_of_peer(&b);
    let from = b.to();
    let receiving = peak_of_run(
        &homes,
        &["receive", "--from", &from, "--all", "--out", "back"],
    );

    let c = homes.serve("c", &[]);
    homes.ok("a", &["send", "sparse.bin", "--to", &c.to(), "--wait"]);
    let opening = peak_of_peer(&c);

    for folder in ["back", "c/received"] {
        let arrived = homes.path(folder).join("sparse.bin");
        assert_eq!(fs::metadata(arrived).unwrap().len(), LENGTH, "{folder}");
    }
    for (role, peak, limit) in [
        ("sending", sending, SENDING_MIB),
        ("storing", storing, STORING_MIB),
        ("opening", opening, OPENING_MIB),
        ("receiving", receiving, RECEIVING_MIB),
    ] {
        println!("{role}: {peak:.1} MiB");
        assert!(peak <= limit, "{role}: {peak:.1} MiB; the limit is {limit}");
    }
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

/// The most memory of a running peer so far, in MiB.
fn peak_of_peer(peer: &Serving) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", peer.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<f64>().unwrap() / 1024.0
}
