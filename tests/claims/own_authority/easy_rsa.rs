//! An authority of easy-rsa, as Debian has it.

use std::{fs, path::Path, process::Command};

use testkit::{Homes, wait_for};

const PROGRAM: &str = "/usr/share/easy-rsa/easyrsa";

struct EasyRsa<'a>(&'a Homes);

impl EasyRsa<'_> {
    fn run(&self, words: &[&str]) {
        let mut easyrsa = Command::new(PROGRAM);
        easyrsa
            .args(["--batch"])
            .args(words)
            .current_dir(self.0.path(""));
        easyrsa
            .env("EASYRSA_PKI", self.0.path("pki"))
            .env("EASYRSA_ALGO", "ec")
            .env("EASYRSA_CURVE", "prime256v1");
        let ran = easyrsa.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(
            ran.status.success(),
            "{words:?}: {said}{}",
            String::from_utf8_lossy(&ran.stdout)
        );
    }

    fn path(&self, name: &str) -> String {
        self.0.path("pki").join(name).to_str().unwrap().to_owned()
    }

    fn import(&self, home: &str) {
        let words = [
            "certs",
            "import",
            "--ca",
            &self.path("ca.crt"),
            "--cert",
            &self.path(&format!("issued/{home}.crt")),
            "--key",
            &self.path(&format!("private/{home}.key")),
            "--crl",
            &self.path("crl.pem"),
        ];
        self.0.ok(home, &words);
    }
}

#[test]
fn an_authority_of_easy_rsa_makes_homes_and_revokes_them() {
    if !Path::new(PROGRAM).exists() {
        eprintln!("not tried: there is no {PROGRAM}");
        return;
    }
    let homes = Homes::bare();
    let authority = EasyRsa(&homes);
    authority.run(&["init-pki"]);
    authority.run(&["build-ca", "nopass"]);
    // For servers alone, as easy-rsa makes them for servers; and for both.
    authority.run(&["build-server-full", "a", "nopass"]);
    authority.run(&["build-serverClient-full", "b", "nopass"]);
    authority.run(&["gen-crl"]);
    for (home, other) in [("a", "b"), ("b", "a")] {
        authority.import(home);
        let settings = format!(
            "[tls]\nallowed = [\"{other}\"]\ncrl = {:?}\n",
            authority.path("crl.pem")
        );
        fs::write(homes.home(home).join("colis.toml"), settings).unwrap();
    }
    fs::write(homes.path("f"), "x").unwrap();
    let b = homes.serve("b", &[]);
    let send = ["send", "f", "--to", &b.to(), "--wait"];
    homes.ok("a", &send);
    assert_eq!(
        fs::read_to_string(homes.home("b").join("received/f")).unwrap(),
        "x"
    );
    authority.run(&["revoke", "a"]);
    authority.run(&["gen-crl"]);
    wait_for("the list", || {
        homes.log("b").contains("revocations read again")
    });
    let said = homes.fails("a", &send, 4);
    assert!(said.contains("revoked"), "{said}");
}
