//! Rows 81 to 84: keys, certificates, and what peers say of themselves.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::Path,
    process::Command,
    sync::Arc,
    thread,
};

use colis::{
    id::PeerId,
    manifest::{Payload as _, Signer as _},
    tls::{self, Identity},
    trust::{PeerBundle, SignedBundle},
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::parcel;
use testkit::Homes;
use testkit::site::{assert_clean, certificate, certs, key};

/// With `file` in this state no command works, and each says `what`; then it is put back.
fn is_refused(homes: &Homes, file: &Path, what: &str, damage: impl FnOnce()) {
    let (before, mode) = (
        fs::read(file).unwrap(),
        fs::metadata(file).unwrap().permissions(),
    );
    damage();
    for args in [
        &["status"][..],
        &["serve", "--listen", "127.0.0.1:0"],
        &["list", "b"],
    ] {
        let said = homes.fails("a", args, 3);
        assert!(said.contains(what), "{args:?}: {said}");
        assert!(said.contains(&*file.to_string_lossy()), "{args:?}: {said}");
        assert_clean(&said);
    }
    fs::remove_file(file).unwrap();
    fs::write(file, before).unwrap();
    fs::set_permissions(file, mode).unwrap();
    homes.ok("a", &["status"]);
}

pub(crate) fn row_81_keys_that_others_could_read_or_swap() {
    let homes = Homes::new(&[]);
    let dir = certs(&homes, "a");
    for file in [dir.server_key(), dir.seal_key()] {
        for mode in [0o644, 0o640, 0o602] {
            let open = || fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let chmod = format!("hint: chmod 600 {}", file.display());
            is_refused(&homes, &file, &chmod, open);
        }
        let elsewhere = homes.path("elsewhere.pem");
        let link = || {
            fs::rename(&file, &elsewhere).unwrap();
            symlink(&elsewhere, &file).unwrap();
        };
        is_refused(&homes, &file, "not a regular file", link);
        // Only root can give a file away.
        if rustix::process::geteuid().is_root() {
            let give = || chown(&file, Some(65_534), None).unwrap();
            is_refused(&homes, &file, "it belongs to another user", give);
        }
    }
    let ca_key = dir.ca_key();
    fs::set_permissions(&ca_key, fs::Permissions::from_mode(0o644)).unwrap();
    let said = homes.fails("a", &["certs", "issue", "x", "--out", "x"], 3);
    assert!(said.contains("hint: chmod 600"), "{said}");
}

/// What openssl makes of the key in `file`.
fn openssl(args: &[&str], file: &Path) -> Vec<u8> {
    let ran = Command::new("openssl")
        .args(args)
        .arg("-in")
        .arg(file)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    ran.stdout
}

pub(crate) fn row_82_files_that_are_no_keys() {
    let homes = Homes::new(&["b"]);
    let (dir, other) = (certs(&homes, "a"), certs(&homes, "b"));
    let file = dir.server_key();
    let good = fs::read(&file).unwrap();
    let encrypted = ["pkcs8", "-topk8", "-passout", "pass:x"];
    let encrypted = openssl(&encrypted, &file);
    let rsa = Command::new("openssl")
        .args(["genrsa", "2048"])
        .output()
        .unwrap()
        .stdout;
    for (bytes, what) in [
        (b"garbage \x1b[31m".to_vec(), "no PKCS#8 private key in it"),
        (Vec::new(), "no PKCS#8 private key in it"),
        (
            good[..good.len() / 2].to_vec(),
            "no PKCS#8 private key in it",
        ),
        (
            [good.clone(), good.clone()].concat(),
            "more than one private key in it",
        ),
        (encrypted, "a private key under a passphrase"),
        (rsa, "not an ECDSA P-256 key"),
        (
            fs::read(other.server_key()).unwrap(),
            "not the key of the certificate beside it",
        ),
        (
            fs::read(dir.server_cert()).unwrap(),
            "a certificate, where its private key is needed",
        ),
    ] {
        let damage = || fs::write(&file, bytes).unwrap();
        is_refused(&homes, &file, what, damage);
    }
    let seal = dir.seal_key();
    is_refused(&homes, &seal, "no seal key in it", || {
        fs::write(&seal, "x").unwrap()
    });
    for (file, what) in [
        (dir.server_cert(), "no certificate in it"),
        (dir.ca_cert(), ""),
        (dir.crl(), ""),
    ] {
        let text = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
        let before = fs::read(&file).unwrap();
        fs::write(&file, text).unwrap();
        let said = homes.fails("a", &["serve", "--listen", "127.0.0.1:0"], 3);
        assert!(
            said.contains(&*file.to_string_lossy()) && said.contains(what),
            "{said}"
        );
        fs::write(&file, before).unwrap();
    }
    // Line ends of another system are no fault.
    let windows = String::from_utf8(good).unwrap().replace('\n', "\r\n");
    fs::write(&file, windows).unwrap();
    homes.ok("a", &["status"]);
}

/// Serves as `b` and answers every question who it is with this bundle, whatever that is.
fn posing(homes: &Homes, bundle: &[u8]) -> SocketAddr {
    let b = certs(homes, "b");
    let config = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate(&b)], key(&b))
        .unwrap();
    let limits = json!({"chunk_bytes": 1, "manifest_bytes": 1, "missing_ids": 1, "requests": 1});
    let bundle = String::from_utf8_lossy(bundle);
    let id = PeerId::of(b"for people");
    let body = json!({"bundle": bundle, "peer_id": id, "limits": limits}).to_string();
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {length}\r\n\r\n{body}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(config);
    // It ends with the test's process.
    thread::spawn(move || {
        for tcp in listener.incoming() {
            // Whoever does not like what it hears hangs up.
            let _ = say(config.clone(), tcp.unwrap(), &answer);
        }
    });
    address
}

fn say(config: Arc<ServerConfig>, tcp: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        asked.push(byte[0]);
    }
    stream.write_all(answer.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn row_83_peers_that_lie_about_themselves() {
    let homes = Homes::new(&["b", "c"]);
    let load = |name: &str| Identity::load(&certs(&homes, name)).unwrap();
    let (b, c) = (load("b"), load("c"));
    let signed = |change: &dyn Fn(&mut PeerBundle), signer: &Identity| {
        let mut bundle = b.bundle().unwrap().payload().clone();
        change(&mut bundle);
        let payload = serde_json::to_vec(&bundle).unwrap();
        parcel::sign(&payload, PeerBundle::TYPE, signer)
    };
    let good = SignedBundle::parse(signed(&|_| {}, &b)).unwrap();
    let key_of_c = c.seal_keys()[0].public().clone();
    let kept = fs::read(certs(&homes, "a").peers()).unwrap();
    let text = serde_json::to_string(good.payload()).unwrap();
    let short = text.replacen("\"seal_key\":\"", "\"seal_key\":\"AAAA", 1);
    let kem = text.replacen("\"seal_key\":", "\"kem\":\"rot13\",\"seal_key\":", 1);
    let raw = |text: &str| parcel::sign(text.as_bytes(), PeerBundle::TYPE, &b);
    for (bundle, code, what) in [
        (
            signed(&|bundle| bundle.sequence -= 1, &b),
            4,
            "an old bundle of b",
        ),
        (
            signed(&|bundle| bundle.seal_key = key_of_c.clone(), &c),
            4,
            "",
        ),
        (signed(&|bundle| bundle.name = "a".into(), &b), 4, ""),
        (
            signed(&|bundle| bundle.name = "zed".into(), &b),
            4,
            "calls itself zed",
        ),
        (
            signed(&|bundle| bundle.name = "\u{1b}[31m\nFAKE".into(), &b),
            5,
            "`name`",
        ),
        (signed(&|bundle| bundle.v = 2, &b), 3, "format version 2"),
        (
            c.bundle().unwrap().envelope().to_vec(),
            4,
            "the bundle of another peer",
        ),
        (raw(&short), 3, "not a well-formed"),
        (raw(&kem), 3, "unknown field `kem`"),
        (b"{}".to_vec(), 3, "not a well-formed"),
        (b"\x1b[31m\nFAKE".to_vec(), 3, "not a well-formed"),
    ] {
        let address = posing(&homes, &bundle).to_string();
        let said = homes.fails("a", &["peers", "add", &address], code);
        assert!(said.contains(what), "{said}");
        assert_clean(&said);
        assert!(!said.contains("\nFAKE"), "{said}");
        let after = fs::read(certs(&homes, "a").peers()).unwrap();
        assert!(after == kept, "the address book has changed: {said}");
    }
    // A changed key under the old signature.
    let mut forged: serde_json::Value = serde_json::from_slice(good.envelope()).unwrap();
    let changed = signed(&|bundle| bundle.seal_key = key_of_c.clone(), &b);
    let changed: serde_json::Value = serde_json::from_slice(&changed).unwrap();
    forged["payload"] = changed["payload"].clone();
    let address = posing(&homes, forged.to_string().as_bytes()).to_string();
    let said = homes.fails("a", &["peers", "add", &address], 5);
    assert!(said.contains("bad signature"), "{said}");
    let address = posing(&homes, good.envelope()).to_string();
    homes.ok("a", &["peers", "add", &address]);
    assert_eq!(good.payload().peer_id, b.peer_id());
}

pub(crate) fn row_84_ourselves_and_names_that_are_taken() {
    let homes = Homes::new(&["b", "c"]);
    let serving = homes.serve("a", &[]);
    let shown = homes.ok("a", &["peers", "add", &serving.to()]);
    assert!(shown.starts_with("a (this peer)"), "{shown}");
    assert_eq!(homes.ok("a", &["peers"]).matches("(this peer)").count(), 1);
    for (name, why) in [
        ("a", "the circle's own machine is called a"),
        ("b", "was issued and is not revoked"),
    ] {
        let said = homes.fails("a", &["certs", "issue", name, "--out", "x"], 4);
        assert!(said.contains(why), "{said}");
    }
    // Every machine takes these for addresses.
    for name in ["127.0.0.1", "10.1"] {
        let said = homes.fails("a", &["certs", "issue", name, "--out", "x"], 2);
        assert!(said.contains("what is an address"), "{said}");
        homes.fails("new", &["certs", "init", "--name", name], 2);
        homes.fails("a", &["peers", "rename", "b", name], 2);
    }
    assert!(!homes.path("x").exists(), "something was made");
    // `b` knows a `c`; another one comes, with the same name.
    let mut old = homes.serve("c", &[]);
    homes.ok("b", &["peers", "add", &old.to()]);
    old.kill();
    homes.ok("a", &["certs", "revoke", "c"]);
    let out = homes.home("c2").join("certs");
    homes.ok(
        "a",
        &["certs", "issue", "c", "--out", out.to_str().unwrap()],
    );
    let new = homes.serve("c2", &[]);
    let before = homes.ok("b", &["peers"]);
    let said = homes.fails("b", &["peers", "add", &new.to()], 4);
    assert!(said.contains("answered instead of peer"), "{said}");
    assert_eq!(homes.ok("b", &["peers"]), before);
    homes.ok("b", &["peers", "forget", "c"]);
    homes.ok("b", &["peers", "add", &new.to()]);
}

#[test]
fn a_key_of_another_form_has_the_command_that_makes_it_one() {
    if !testkit::has("openssl") {
        return;
    }
    let homes = Homes::new(&[]);
    let key = homes.home("a").join("certs/server-key.pem");
    let run = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(&key);
        assert!(shell.output().unwrap().status.success(), "{script}");
    };
    run("openssl ec -in \"$1\" -out \"$1\"");
    let failed = homes.fails("a", &["certs", "show"], 3);
    assert!(failed.contains("in the form of SEC 1"), "{failed}");
    let doctor = homes.run("a", &["doctor"]);
    let hint = failed.split_once("hint: ").unwrap().1.trim();
    assert!((doctor.out + &doctor.err).contains(hint), "{hint}");
    run(hint);
    homes.ok("a", &["certs", "show"]);
    for (label, said, hint) in [
        (
            "ENCRYPTED PRIVATE KEY",
            "under a passphrase",
            "openssl pkcs8",
        ),
        ("RSA PRIVATE KEY", "an RSA key", "colis certs issue"),
        ("OPENSSH PRIVATE KEY", "of SSH", "ssh-keygen"),
        (
            "CERTIFICATE",
            "a certificate, where",
            "put the private key there",
        ),
    ] {
        let text = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        fs::write(&key, text).unwrap();
        let failed = homes.fails("a", &["certs", "show"], 3);
        let (what, hints) = failed.split_once("hint: ").unwrap();
        assert!(what.contains(said) && hints.contains(hint), "{failed}");
    }
}
