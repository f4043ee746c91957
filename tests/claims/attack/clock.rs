//! Clocks that are wrong: whoever is refused for one is told what it shows.

use std::{fs, process::Command};

use testkit::site::Site;
use testkit::{Ran, around, has};

/// `command` of `b`, whose clock is off by so much, or stands at a date.
fn at(site: &Site, clock: &str, args: &[&str]) -> Ran {
    let mut faketime = Command::new("faketime");
    faketime.args(["-f", clock]);
    // Waiting is measured by another clock, which nobody can set.
    let mut command = around(faketime, &site.homes.command("b", args));
    Ran::from(
        command
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .output()
            .unwrap(),
    )
}

#[test]
fn whoever_has_a_wrong_clock_is_told_what_it_shows() {
    if !has("faketime") {
        return;
    }
    let site = Site::default();
    let to = site.serving.to();
    fs::write(site.homes.path("f.txt"), "x").unwrap();
    assert_eq!(
        at(&site, "+0", &["list", &to]).code,
        0,
        "with a clock that is right"
    );
    for (clock, shows) in [
        ("-2d", "20"),
        ("@1970-01-02 00:00:00", "1970-01-02"),
        ("@2038-01-20 00:00:00", "2038-01-20"),
        ("@2106-02-08 00:00:00", "2106-02-08"),
    ] {
        let ran = at(&site, clock, &["list", &to]);
        assert_eq!(ran.code, 4, "{clock}: {} {}", ran.out, ran.err);
        assert!(
            ran.err.contains("the clock here says") && ran.err.contains(shows),
            "{clock}: {}",
            ran.err
        );
        assert!(ran.err.contains("hint: "), "{clock}: {}", ran.err);
        let ran = at(&site, clock, &["send", "f.txt", "--to", &to]);
        assert_eq!(ran.code, 4, "{clock}: {}", ran.err);
    }
    // Its certificate is still good, but what it signs is from the future.
    let ran = at(&site, "+2d", &["send", "f.txt", "--to", &to]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(
        ran.err.contains("future") && ran.err.contains("the clock of the refusing peer says"),
        "{}",
        ran.err
    );
    assert_eq!(at(&site, "+2d", &["list", &to]).code, 0);
    site.is_well();
}
