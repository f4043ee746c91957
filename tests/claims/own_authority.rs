//! Homes whose certificates an outside authority signs: made by openssl with an intermediate, or by easy-rsa.

mod easy_rsa;
mod files;
mod lists;
mod names;
mod pki;

use std::{fs, process::Command};

use testkit::{Homes, Ran, Serving, bytes, wait_for};

use pki::{Leaf, Pki};

/// Homes `a` and `b` of one authority that has an intermediate, each of which has allowed the other by its DNS name.
struct Site {
    homes: Homes,
    pki: Pki,
}

impl Site {
    fn new() -> Self {
        let site = Self::alone();
        for (home, other) in [("a", "b"), ("b", "a")] {
            site.join(home);
            site.allow(home, &[&name(other)]);
        }
        site
    }

    /// The authority, and no home yet.
    fn alone() -> Self {
        let homes = Homes::bare();
        let pki = Pki::new(&homes.path("pki"));
        Self { homes, pki }
    }

    /// Makes `home` of a certificate of its own.
    fn join(&self, home: &str) {
        let leaf = self.pki.leaf(&Leaf::of(&name(home)));
        self.import(home, &leaf);
    }

    fn import(&self, home: &str, leaf: &str) {
        self.homes.ok(home, &self.words(leaf));
    }

    fn words<'a>(&'a self, leaf: &'a str) -> Vec<&'a str> {
        let mut words = vec!["certs", "import", "--ca", self.pki.bundle()];
        let (cert, key) = leaf.split_once(' ').unwrap();
        words.extend(["--cert", cert, "--key", key]);
        words
    }

    /// Writes who is allowed in `home`.
    fn allow(&self, home: &str, allowed: &[&str]) {
        let list: Vec<_> = allowed.iter().map(|who| format!("{who:?}")).collect();
        let text = format!("[tls]\nallowed = [{}]\n", list.join(", "));
        fs::write(self.homes.home(home).join("colis.toml"), text).unwrap();
    }

    fn id(&self, home: &str) -> String {
        let ran = self.homes.run(home, &["--json", "certs", "show"]);
        ran.object("identity")["peer_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

fn name(home: &str) -> String {
    format!("{home}.example.org")
}

/// curl with a certificate of the authority, at the health of a peer.
fn curl(site: &Site, leaf: &str, to: &Serving) -> Ran {
    let (cert, key) = leaf.split_once(' ').unwrap();
    let at = format!("b.example.org:{}", to.address.port());
    let mut curl = Command::new("curl");
    curl.args([
        "-sS",
        "--cacert",
        site.pki.bundle(),
        "--cert",
        cert,
        "--key",
        key,
    ]);
    curl.args(["--resolve", &format!("{at}:127.0.0.1")]);
    curl.args(["--fail-with-body", &format!("https://{at}/v1/health")]);
    Ran::from(curl.current_dir(site.homes.path("")).output().unwrap())
}

#[test]
fn every_command_works_where_an_outside_authority_signs() {
    let site = Site::new();
    let homes = &site.homes;
    let b = homes.serve("b", &["--inbox", "ask"]);
    let content = bytes(1, 700_000);
    fs::write(homes.path("f.bin"), &content).unwrap();
    homes.ok("a", &["send", "f.bin", "--to", &b.to()]);
    // By its name from now on, which is that of its certificate.
    assert!(
        homes
            .ok("a", &["peers", "check", "b.example.org"])
            .contains("b.example.org")
    );
    assert!(homes.ok("b", &["inbox"]).contains("f.bin"));
    homes.ok("b", &["inbox", "accept", "f.bin"]);
    let received = homes.home("b").join("received/f.bin");
    wait_for("the file", || {
        fs::read(&received).is_ok_and(|read| read == content)
    });
    homes.ok(
        "a",
        &[
            "send",
            "f.bin",
            "--to",
            "a.example.org",
            "--via",
            "b.example.org",
        ],
    );
    homes.ok(
        "a",
        &[
            "receive",
            "--from",
            "b.example.org",
            "--all",
            "--mine",
            "--out",
            "got",
        ],
    );
    assert_eq!(fs::read(homes.path("got/f.bin")).unwrap(), content);
    assert!(homes.ok("a", &["list", "b.example.org"]).contains("f.bin"));
    assert!(homes.ok("a", &["peers"]).contains("b.example.org"));
    for words in [
        &["status"][..],
        &["check"],
        &["gc"],
        &["history"],
        &["certs", "show"],
        &["doctor"],
    ] {
        let ran = homes.run("a", words);
        assert!(
            ran.code == 0 || words == ["doctor"] && ran.code == 11,
            "{words:?}: {ran:?}"
        );
    }
    homes.ok("a", &["doctor", "b.example.org"]);
}

#[test]
fn a_certificate_for_clients_alone_asks_as_curl_once_it_is_allowed_while_the_peer_serves() {
    let site = Site::new();
    let b = site.homes.serve("b", &[]);
    // A member that asks as curl does, with a certificate for clients alone.
    let mut client = Leaf::of("curl.example.org");
    client.usage = "clientAuth";
    let client = site.pki.leaf(&client);
    assert_ne!(curl(&site, &client, &b).code, 0, "nobody has allowed it");
    site.allow("b", &["a.example.org", "curl.example.org"]);
    site.homes.ok("b", &["config", "set", "jobs", "3"]);
    let ran = curl(&site, &client, &b);
    assert!(ran.out.contains("\"status\":\"ok\""), "{ran:?}");
}

#[test]
fn what_only_an_own_authority_does_says_what_stands_in_its_place() {
    let site = Site::new();
    for (words, says) in [
        (
            &["pair"][..],
            &[
                "pairing is for a circle",
                "colis certs import --ca FILE",
                "peers allow ID",
            ][..],
        ),
        (&["pair", "192.0.2.1"], &["pairing is for a circle"]),
        (
            &["certs", "init", "--name", "x"],
            &["making a circle", "CN=Example-Root"],
        ),
        (
            &["certs", "issue", "x", "--out", "x"],
            &["issuing", "peers allow ID"],
        ),
        (
            &["certs", "revoke", "b.example.org", "--yes"],
            &["revoking", "colis peers block NAME", "crl.pem"],
        ),
        (
            &["certs", "renew"],
            &[
                "renewing",
                "openssl req -new -key",
                "subjectAltName=DNS:a.example.org",
                "colis certs import --cert cert.pem",
                "colis peers forget a.example.org",
            ],
        ),
        (
            &["certs", "renew-circle"],
            &["colis certs import --ca FILE"],
        ),
    ] {
        let said = site.homes.fails("a", words, 2);
        for part in says {
            assert!(said.contains(part), "{words:?}: {said}");
        }
        assert!(!said.contains("the circle's machine"), "{words:?}: {said}");
    }
    for words in [&["status"][..], &["doctor"]] {
        let ran = site.homes.run("a", words);
        assert!(!ran.out.contains("colis pair"), "{words:?}: {ran:?}");
    }
}

#[test]
fn leaving_and_coming_back_with_another_key_makes_another_peer_that_opens_what_was_for_the_former()
{
    let site = Site::new();
    let homes = &site.homes;
    let settings = homes.home("b").join("colis.toml");
    let allowed = fs::read_to_string(&settings).unwrap();
    // It is received more than once.
    fs::write(&settings, format!("keep_opened = \"1d\"\n{allowed}")).unwrap();
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f"), "for the former").unwrap();
    homes.ok("a", &["send", "f", "--to", &b.to()]);
    homes.ok("b", &["stop"]);
    homes.ok("b", &["receive", "--all", "--out", "first"]);
    let before = site.id("b");
    homes.ok("b", &["certs", "leave", "--yes"]);
    site.join("b");
    assert_ne!(site.id("b"), before);
    homes.ok("b", &["receive", "f", "--out", "again"]);
    let received = homes.path("again/f");
    assert_eq!(fs::read_to_string(received).unwrap(), "for the former");
}
