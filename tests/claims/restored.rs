//! Homes that were restored from an older copy, as processes: what was revoked stays revoked, what was issued stays known, and
//! what is wrong is said by command, log and `doctor`.

mod issued;
mod lies;
mod lists;
mod member;

use std::{
    fs,
    process::{Command, Stdio},
};

use colis::tls::{CertsDir, Circle};
use testkit::{Homes, Serving};

fn certs(homes: &Homes, name: &str) -> CertsDir {
    CertsDir::new(homes.home(name).join("certs"))
}

fn number(homes: &Homes, name: &str) -> u64 {
    Circle::load(&certs(homes, name)).unwrap().crl_number()
}

/// `cp -a`, over whatever is there.
pub(super) fn copy(homes: &Homes, from: &str, to: &str) {
    let _ = fs::remove_dir_all(homes.home(to));
    let mut cp = Command::new("cp");
    cp.arg("-a").arg(homes.home(from)).arg(homes.home(to));
    assert!(cp.status().unwrap().success());
}

/// Whether `who` is refused at `at` because it is revoked.
fn is_out(homes: &Homes, who: &str, at: &Serving) -> bool {
    let ran = homes.run(who, &["list", &at.to()]);
    ran.code == 4 && ran.err.contains("revoked")
}

/// Runs what must succeed, with a clock that is off by so much.
fn ok_at(homes: &Homes, clock: &str, home: &str, args: &[&str]) -> String {
    let mut faketime = Command::new("faketime");
    faketime.args(["-f", clock]);
    let mut command = testkit::around(faketime, &homes.command(home, args));
    let ran = command
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{args:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}
