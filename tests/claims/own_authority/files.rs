//! Files of an outside authority that make no home, and those that replace what one has.

use std::fs;

use super::{Leaf, Site, name};

const MAKE: &str = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const REQUEST: &str = "openssl req -new -key";
const USAGE: &str = "extendedKeyUsage=serverAuth,clientAuth";

/// Makes a certificate one that cannot be used.
type Spoil = fn(&mut Leaf<'static>);

/// Certificates that a peer cannot use, and what is said of each.
const UNUSABLE: [(Spoil, &[&str]); 6] = [
    (
        |leaf| leaf.key = "RSA",
        &[
            "is RSA of 2048 bits, where a peer has ECDSA P-256",
            MAKE,
            USAGE,
        ],
    ),
    (
        |leaf| leaf.key = "EC -pkeyopt ec_paramgen_curve:P-384",
        &["another elliptic curve", MAKE],
    ),
    (
        |leaf| leaf.usage = "",
        &["no extended key usage serverAuth", REQUEST, USAGE],
    ),
    (
        |leaf| leaf.usage = "clientAuth",
        &["clientAuth alone", REQUEST, USAGE],
    ),
    (
        |leaf| leaf.san = Some("DNS:*.example.org".into()),
        &["cannot be that of a peer"],
    ),
    (
        |leaf| {
            leaf.san = Some(format!(
                "DNS:a.example.org,URI:urn:colis:peer:{}",
                "0".repeat(64)
            ))
        },
        &["it acts for another peer"],
    ),
];

#[test]
fn what_a_peer_cannot_use_is_refused_with_the_command_that_makes_the_right_one() {
    let site = Site::alone();
    for (change, says) in UNUSABLE {
        let mut leaf = Leaf::of("a.example.org");
        change(&mut leaf);
        refused(&site, &site.pki.leaf(&leaf), says);
    }
    let good = site.pki.leaf(&Leaf::of("a.example.org"));
    let (cert, key) = good.split_once(' ').unwrap();
    let sec1 = site.homes.path("sec1.pem");
    let sec1 = sec1.to_str().unwrap();
    site.pki
        .openssl("issuing", &format!("ec -in {key} -out {sec1}"));
    let others = site.pki.leaf(&Leaf::of("a.example.org"));
    let (_, others) = others.split_once(' ').unwrap();
    for (leaf, says) in [
        (
            format!("{cert} {sec1}"),
            &["SEC 1", "openssl pkcs8 -topk8"][..],
        ),
        (
            format!("{cert} {others}"),
            &["no certificate in it is that of the key"],
        ),
        (
            format!("{cert} {cert}"),
            &["a certificate, where its private key is needed"],
        ),
        (format!("{key} {key}"), &["no certificate in it"]),
    ] {
        refused(&site, &leaf, says);
    }
}

/// Fails to make a home of a leaf, and leaves nothing behind.
fn refused(site: &Site, leaf: &str, says: &[&str]) {
    let ran = site.homes.run("a", &site.words(leaf));
    assert!(ran.code == 3 || ran.code == 4, "{says:?}: {ran:?}");
    for part in says {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert!(!ran.err.contains(".certs-"), "{}", ran.err);
    assert!(!site.homes.home("a").join("certs").exists(), "{ran:?}");
}

#[test]
fn files_that_are_no_authority_or_too_few_are_refused() {
    let site = Site::alone();
    let homes = &site.homes;
    let good = site.pki.leaf(&Leaf::of("a.example.org"));
    let (cert, key) = good.split_once(' ').unwrap();
    let issuing = site.pki.file("issuing", "ca.pem");
    for (ca, says) in [
        (issuing.to_str().unwrap(), "no root in it"),
        (cert, "is no authority"),
        (key, "no certificate in it"),
    ] {
        let ran = homes.run(
            "a",
            &["certs", "import", "--ca", ca, "--cert", cert, "--key", key],
        );
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(
            ran.err.contains(says) && ran.err.contains(ca),
            "{says}: {}",
            ran.err
        );
    }
    let said = homes.fails("a", &["certs", "import", "--cert", cert, "--key", key], 2);
    assert!(said.contains("--ca FILE --cert FILE --key FILE"), "{said}");
    let said = homes.fails("a", &["certs", "import", "folder", "--cert", cert], 2);
    assert!(said.contains("cannot be used with"), "{said}");
}

#[test]
fn a_certificate_is_found_wherever_it_stands_among_others() {
    let site = Site::alone();
    let homes = &site.homes;
    let leaf = site.pki.leaf(&Leaf::of(&name("a")));
    let (cert, key) = leaf.split_once(' ').unwrap();
    let chain = homes.path("chain.pem");
    let text = fs::read_to_string(site.pki.bundle()).unwrap() + &fs::read_to_string(cert).unwrap();
    fs::write(&chain, text).unwrap();
    site.import("a", &format!("{} {key}", chain.display()));
    let kept = fs::read_to_string(homes.home("a").join("certs/server-cert.pem")).unwrap();
    assert_eq!(kept.matches("BEGIN").count(), 1, "the leaf alone");
}

#[test]
fn a_renewed_certificate_keeps_the_peer_and_one_for_another_key_says_what_to_type() {
    let site = Site::alone();
    let homes = &site.homes;
    let first = site.pki.leaf(&Leaf::of(&name("a")));
    site.import("a", &first);
    site.join("b");
    site.allow("a", &[&name("b")]);
    site.allow("b", &[&name("a")]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("a", &["send", "f", "--to", &b.to()]);
    let id = site.id("a");
    let renewed = site.pki.again(&Leaf::of(&name("a")), &first);
    let (cert, _) = renewed.split_once(' ').unwrap();
    let ran = homes.run("a", &["--json", "certs", "import", "--cert", cert]);
    assert_eq!(ran.object("renewed")["new"], true, "{ran:?}");
    assert_eq!(site.id("a"), id);
    homes.ok("a", &["send", "f", "--to", &b.to()]);
    // Another key.
    let other = site.pki.leaf(&Leaf::of(&name("a")));
    let (cert, key) = other.split_once(' ').unwrap();
    let said = homes.fails("a", &["certs", "import", "--cert", cert, "--key", key], 4);
    for part in [
        "this would be another peer",
        &id,
        "colis certs leave",
        "colis certs import --ca FILE --cert FILE --key FILE",
        "colis peers forget a.example.org",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(site.id("a"), id);
    // As it says: the other side refuses it until the owner there has said so.
    homes.ok("a", &["certs", "leave", "--yes"]);
    site.import("a", &other);
    homes.fails("a", &["send", "f", "--to", &b.to()], 4);
    homes.ok("b", &["peers", "forget", "a.example.org"]);
    homes.ok("a", &["send", "f", "--to", &b.to()]);
}

#[test]
fn settings_may_name_files_elsewhere() {
    let site = Site::alone();
    let homes = &site.homes;
    let leaf = site.pki.leaf(&Leaf::of(&name("a")));
    let (cert, key) = leaf.split_once(' ').unwrap();
    let crl = homes.path("lists.pem");
    fs::write(&crl, site.pki.lists()).unwrap();
    fs::create_dir(homes.home("a")).unwrap();
    let settings = format!(
        "[tls]\nca = {:?}\ncert = {cert:?}\nkey = {key:?}\ncrl = \"../lists.pem\"\n",
        site.pki.bundle()
    );
    fs::write(homes.home("a").join("colis.toml"), settings).unwrap();
    homes.ok("a", &["certs", "import"]);
    homes.ok("a", &["list"]);
    // They are those that count.
    fs::write(&crl, "nothing").unwrap();
    let said = homes.fails("a", &["list"], 3);
    assert!(said.contains("lists.pem"), "{said}");
    let shown = homes.ok("a", &["config"]);
    assert!(shown.contains("tls.crl"), "{shown}");
}
