//! Who of those that an outside authority has signed for is a member.

use std::fs;

use testkit::wait_for;

use super::{Leaf, Pki, Site, name};

#[test]
fn nobody_is_a_member_until_the_owner_says_so_and_block_works_at_once() {
    let site = Site::alone();
    for home in ["a", "b"] {
        site.join(home);
    }
    let homes = &site.homes;
    fs::write(homes.path("f"), "x").unwrap();
    let b = homes.serve("b", &[]);
    let send = ["send", "f", "--to", &b.to()];
    // On the side that calls.
    let said = homes.fails("a", &send, 4);
    assert!(
        said.contains("b.example.org is no member here: nobody has allowed peer"),
        "{said}"
    );
    assert!(said.contains("colis peers allow ID"), "{said}");
    homes.ok("a", &["peers", "allow", &site.id("b")]);
    // On the side that is called.
    let said = homes.fails("a", &send, 4);
    assert!(said.contains("only its owner can change that"), "{said}");
    wait_for("the log", || {
        homes.log("b").contains("a.example.org is no member here")
    });
    homes.ok("b", &["peers", "allow", &site.id("a")]);
    homes.ok("a", &send);
    homes.ok("b", &["peers", "block", &site.id("a")]);
    homes.fails("a", &send, 4);
    homes.ok("b", &["peers", "allow", &site.id("a")]);
    homes.ok("a", &send);
}

#[test]
fn certificates_that_do_not_count_are_refused_with_the_reason() {
    let site = Site::new();
    let homes = &site.homes;
    let other = Pki::new(&homes.path("other"));
    site.allow("b", &["a.example.org", "c.example.org"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f"), "x").unwrap();
    let mut old = Leaf::of("c.example.org");
    old.dates = Some(("20200101000000Z", "20210101000000Z"));
    let foreign = other.leaf(&Leaf::of("c.example.org"));
    for (leaf, reason) in [
        (
            site.pki.leaf(&old),
            "the certificate of c.example.org expired on",
        ),
        (foreign, "does not come from our circle"),
    ] {
        let ran = super::curl(&site, &leaf, &b);
        assert_ne!(ran.code, 0, "{ran:?}");
        wait_for(reason, || homes.log("b").contains(reason));
    }
    // Of a foreign authority no home is made by the bundle of this one.
    let foreign = other.leaf(&Leaf::of("d.example.org"));
    let said = homes.fails("d", &site.words(&foreign), 4);
    assert!(said.contains("does not come from our circle"), "{said}");
    assert!(!homes.home("d").join("certs").exists());
}

#[test]
fn a_second_key_of_a_name_is_refused_and_said_in_command_log_and_doctor() {
    let site = Site::new();
    let homes = &site.homes;
    fs::write(homes.path("f"), "x").unwrap();
    let mut b = homes.serve("b", &[]);
    homes.ok("a", &["send", "f", "--to", &b.to()]);
    // Somebody gets a certificate of the name `a`, and calls b.
    let second = site.pki.leaf(&Leaf::of(&name("a")));
    site.import("eve", &second);
    site.allow("eve", &[&name("b")]);
    homes.fails("eve", &["send", "f", "--to", &b.to()], 4);
    let reason = "the name a.example.org belongs to peer";
    wait_for("the log", || homes.log("b").contains(reason));
    let doctor = homes.run("b", &["doctor"]);
    assert!(
        doctor
            .out
            .contains("a second key showed the name a.example.org"),
        "{doctor:?}"
    );
    assert!(
        doctor.out.contains("colis peers forget a.example.org"),
        "{doctor:?}"
    );
    // And of the name of b, and a calls it.
    b.kill();
    let second = site.pki.leaf(&Leaf::of(&name("b")));
    site.import("mallory", &second);
    site.allow("mallory", &[&name("a")]);
    let mallory = homes.serve("mallory", &[]);
    let said = homes.fails("a", &["send", "f", "--to", &mallory.to()], 4);
    assert!(
        said.contains("the name b.example.org belongs to peer"),
        "{said}"
    );
    assert!(said.contains("colis peers forget"), "{said}");
    // The owner knows better.
    homes.ok("a", &["peers", "forget", "b.example.org"]);
    homes.ok("a", &["send", "f", "--to", &mallory.to()]);
    let doctor = homes.run("a", &["doctor"]);
    assert!(!doctor.out.contains("a second key"), "{doctor:?}");
}

#[test]
fn a_common_name_counts_where_there_is_no_alternative_name_and_nowhere_else() {
    let site = Site::new();
    let homes = &site.homes;
    fs::write(homes.path("f"), "x").unwrap();
    site.allow("b", &["a.example.org", "carl", "dora"]);
    let b = homes.serve("b", &[]);
    let mut carl = Leaf::of("carl");
    carl.san = None;
    site.import("carl", &site.pki.leaf(&carl));
    site.allow("carl", &["b.example.org"]);
    homes.ok("carl", &["send", "f", "--to", &b.to()]);
    // The name that is allowed is only the common one of somebody else.
    let mut dora = Leaf::of("dora");
    dora.san = Some("DNS:other.example.org".into());
    site.import("dora", &site.pki.leaf(&dora));
    site.allow("dora", &["b.example.org"]);
    homes.fails("dora", &["send", "f", "--to", &b.to()], 4);
    wait_for("the log", || {
        homes
            .log("b")
            .contains("other.example.org is no member here")
    });
    let nobody = Leaf {
        san: Some("IP:192.0.2.7".into()),
        ..Leaf::of("dora")
    };
    let nobody = site.pki.leaf(&nobody);
    let said = homes.fails("nobody", &site.words(&nobody), 4);
    assert!(said.contains("no name: neither a DNS name"), "{said}");
}

#[test]
fn a_home_without_its_settings_lets_nobody_in() {
    let site = Site::new();
    let homes = &site.homes;
    fs::write(homes.path("f"), "x").unwrap();
    fs::remove_file(homes.home("b").join("colis.toml")).unwrap();
    let b = homes.serve("b", &[]);
    homes.fails("a", &["send", "f", "--to", &b.to()], 4);
}

#[test]
fn settings_of_others_are_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    let settings = site.homes.home("b").join("colis.toml");
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o666)).unwrap();
    let said = site.homes.fails("b", &["list"], 3);
    assert!(said.contains("can be written by others"), "{said}");
}
