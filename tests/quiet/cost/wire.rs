//! Bytes on the wire for each byte of content. TCP's and IP's headers come on top of them.

use super::{LARGE, Load, SMALL, relay::Relay};

#[test]
fn a_large_file_adds_a_hundredth_on_the_wire() {
    let _shared = crate::MACHINE.blocking_read();
    check(&LARGE, 1.01);
}

#[test]
fn small_files_add_a_twentieth_on_the_wire() {
    let _shared = crate::MACHINE.blocking_read();
    check(&SMALL, 1.05);
}

/// Sends `load` to a peer and fetches it back, each through a relay.
fn check(load: &Load, limit: f64) {
    let homes = load.make();
    let b = homes.serve("b", &["--inbox", "off"]);
    let up = Relay::to(b.address);
    homes.ok("a", &["send", load.name, "--to", &up.address.to_string()]);
    let down = Relay::to(b.address);
    let from = down.address.to_string();
    homes.ok(
        "a",
        &[
            "receive", "--from", &from, "--all", "--mine", "--out", "back",
        ],
    );
    load.assert_in(&homes, "back");
    let content = (load.files * load.length) as f64;
    for (way, relay) in [("sent", up), ("received", down)] {
        let ratio = relay.passed() as f64 / content;
        println!("{} {way}: {ratio:.4} bytes a byte", load.name);
        assert!(
            ratio > 1.0,
            "{} {way}: the relay carried not all",
            load.name
        );
        assert!(
            ratio <= limit,
            "{} {way}: {ratio:.4} bytes a byte",
            load.name
        );
    }
}
