//! Rows 1 to 13: what comes before the first HTTP byte.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use colis::{tls::ca, wire::Code};
use rustls::pki_types::pem::PemObject as _;
use rustls::{AlertDescription, HandshakeKind, pki_types::CertificateDer};

use testkit::site::{Site, certificate, certs, key, read_to_close, request, shows, shows_nothing};
use testkit::{Homes, stretched, wait_for};

const DAY: time::Duration = time::Duration::DAY;

/// Everything until the other side closes.
fn read_plain(tcp: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    if let Err(error) = tcp.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    bytes
}

pub(crate) fn row_1_plain_http_to_the_tls_port() {
    let site = Site::default();
    for _ in 0..30 {
        let mut tcp = TcpStream::connect(site.serving.address).unwrap();
        tcp.write_all(b"GET /\x1b[31m HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
        let answer = read_plain(&mut tcp);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    let refusals = || site.homes.log("a").matches("connection refused").count();
    wait_for("it is logged", || refusals() > 0);
    site.is_well();
    assert!(refusals() <= 10, "the log can be filled from outside");
}

pub(crate) fn row_2_older_versions_of_tls() {
    let site = Site::default();
    for version in ["-tls1_2", "-tls1_1"] {
        let said = s_client(&site, None, &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(said.contains(" alert "), "{version}: {said}");
        assert!(said.contains("Cipher is (NONE)"), "{version}: {said}");
    }
    // The hello of SSL 3, which no tool speaks any more.
    let mut tcp = TcpStream::connect(site.serving.address).unwrap();
    let hello = [&[3, 0][..], &[7; 32], &[0, 0, 2, 0, 10, 1, 0]].concat();
    let length = u8::try_from(hello.len()).unwrap();
    let hello = [&[22, 3, 0, 0, length + 4, 1, 0, 0, length][..], &hello].concat();
    tcp.write_all(&hello).unwrap();
    let answer = read_plain(&mut tcp);
    // A fatal alert, and nothing else.
    assert_eq!(
        (answer[0], answer[5], answer.len()),
        (21, 2, 7),
        "{answer:?}"
    );
    site.is_well();
}

pub(crate) fn row_3_no_client_certificate() {
    let site = Site::default();
    let alert = site.alert(shows_nothing(&site.homes));
    assert_eq!(alert, AlertDescription::CertificateRequired);
    wait_for("the log says who", || {
        let log = site.homes.log("a");
        log.contains("127.0.0.1") && log.contains("peer sent no certificates")
    });
    site.is_well();
}

pub(crate) fn row_4_a_certificate_of_another_circle() {
    let (site, others) = (Site::default(), Homes::new(&["b"]));
    let b = certs(&others, "b");
    let alert = site.alert(shows(&site.homes, vec![certificate(&b)], key(&b)));
    assert_eq!(alert, AlertDescription::UnknownCA);
    let said = others.fails("b", &["list", &site.serving.to()], 4);
    assert!(said.contains("hint: "), "{said}");
    wait_for("it is logged", || {
        site.homes
            .log("a")
            .contains("does not come from our circle")
    });
    site.is_well();
}

pub(crate) fn row_5_a_revoked_peer() {
    let site = Site::of(Homes::new(&["b", "c"]), &[]);
    let c = certs(&site.homes, "c");
    site.homes.ok("c", &["list", &site.serving.to()]);
    site.homes.ok("a", &["certs", "revoke", "c"]);
    let list = ["list", "a"];
    wait_for("c is out", || site.homes.run("c", &list).code == 4);
    let alert = site.alert(shows(&site.homes, vec![certificate(&c)], key(&c)));
    assert_eq!(alert, AlertDescription::CertificateRevoked);
    let said = site.homes.fails("c", &list, 4);
    assert!(
        said.contains("revoked") && said.contains("hint: "),
        "{said}"
    );
    site.is_well();
}

pub(crate) fn row_6_the_right_certificate_with_another_key() {
    let site = Site::default();
    let (a, b) = (certs(&site.homes, "a"), certs(&site.homes, "b"));
    let alert = site.alert(shows(&site.homes, vec![certificate(&b)], key(&a)));
    assert_eq!(alert, AlertDescription::DecryptError);
    site.is_well();
}

pub(crate) fn row_7_expired_or_not_yet_valid() {
    let homes = Homes::new(&["b"]);
    let circle = certs(&homes, "a");
    for (name, from, to) in [("late", -2 * DAY, -DAY), ("early", DAY, 2 * DAY)] {
        let now = time::OffsetDateTime::now_utc();
        let options = ca::CertificateOptions {
            sans: Vec::new(),
            not_before: now + from,
            not_after: now + to,
        };
        ca::issue(&circle, name, &certs(&homes, name), &options).unwrap();
    }
    let mut site = Site::of(homes, &[]);
    let shown = |site: &Site, name| {
        let dir = certs(&site.homes, name);
        shows(&site.homes, vec![certificate(&dir)], key(&dir))
    };
    // The circle's machine lets it in to be renewed.
    let mut late = site.connect(shown(&site, "late"));
    let _ = late.write_all(&request("GET", "/v1/peer", "", b""));
    read_to_close(&mut late).is(Code::CertificateExpired, "whose certificate has ended");
    let b = site.homes.serve("b", &[]);
    let a = std::mem::replace(&mut site.serving, b);
    let alert = site.alert(shown(&site, "late"));
    assert_eq!(alert, AlertDescription::CertificateExpired);
    site.serving = a;
    let alert = site.alert(shown(&site, "early"));
    assert_eq!(alert, AlertDescription::CertificateExpired);
    for name in ["late", "early"] {
        let said = site.homes.fails(name, &["list", &site.serving.to()], 4);
        assert!(said.contains("expired, or a clock is wrong"), "{said}");
        let theirs = site.homes.serve(name, &[]);
        let said = site.homes.fails("b", &["list", &theirs.to()], 4);
        assert!(
            said.contains("the clock here says 20"),
            "both clocks: {said}"
        );
        assert!(
            said.contains("hint: compare the clocks of both machines"),
            "{said}"
        );
    }
    site.is_well();
}

pub(crate) fn row_8_weak_or_foreign_kinds_of_keys() {
    let site = Site::default();
    let folder = site.homes.path("keys");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join("ext"),
        "extendedKeyUsage=clientAuth,serverAuth\n",
    )
    .unwrap();
    let get = |name: &str| {
        let cert = folder.join(format!("{name}.pem"));
        let key = folder.join(format!("{name}.key"));
        let level = ["-tls1_3", "-cipher", "DEFAULT:@SECLEVEL=0"];
        s_client(&site, Some((&cert, &key)), &level)
    };
    let p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    issue(&site, &folder, "good", &p256, "-sha256");
    assert!(get("good").contains("HTTP/1.1 200"), "{}", get("good"));
    for (name, kind, digest) in [
        ("rsa", &["-newkey", "rsa:1024"][..], "-sha256"),
        ("ed448", &["-newkey", "ed448"], "-sha256"),
        ("sha1", &p256, "-sha1"),
    ] {
        issue(&site, &folder, name, kind, digest);
        let said = get(name);
        assert!(!said.contains("HTTP/1.1"), "{name}: {said}");
        assert!(said.contains("alert"), "{name}: {said}");
    }
    site.is_well();
}

/// A certificate as the circle's key could make it with another tool.
fn issue(site: &Site, folder: &Path, name: &str, kind: &[&str], digest: &str) {
    let openssl = |args: &[&str]| {
        let ran = Command::new("openssl")
            .args(args)
            .current_dir(folder)
            .output();
        let ran = ran.unwrap();
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    };
    let (csr, key) = (format!("{name}.csr"), format!("{name}.key"));
    let request = [
        "req",
        "-new",
        "-nodes",
        "-subj",
        "/CN=guest",
        "-keyout",
        &key,
        "-out",
        &csr,
    ];
    openssl(&[&request[..], kind].concat());
    let a = certs(&site.homes, "a");
    let (ca, ca_key) = (a.ca_cert(), a.ca_key());
    let (ca, ca_key) = (ca.to_str().unwrap(), ca_key.to_str().unwrap());
    let pem = format!("{name}.pem");
    let sign = [
        "x509", "-req", "-in", &csr, "-out", &pem, "-days", "2", "-extfile", "ext",
    ];
    openssl(
        &[
            &sign[..],
            &["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", digest],
        ]
        .concat(),
    );
}

/// What `openssl s_client` says after it has asked for the health of `a`.
fn s_client(site: &Site, shown: Option<(&Path, &Path)>, args: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-ign_eof", "-connect", &site.serving.to()]);
    if let Some((cert, key)) = shown {
        command.arg("-cert").arg(cert).arg("-key").arg(key);
    }
    let command = command
        .args(args)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    // It may have been refused already.
    let get = request("GET", "/v1/health", "", b"");
    let _ = child.stdin.take().unwrap().write_all(&get);
    let ran = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned()
}

pub(crate) fn row_9_long_chains_and_large_certificates() {
    let (site, others) = (Site::default(), Homes::new(&[]));
    let b = certs(&site.homes, "b");
    let circle = CertificateDer::from_pem_file(b.ca_cert()).unwrap();
    let chain = |more: usize| {
        let chain = [vec![certificate(&b)], vec![circle.clone(); more]].concat();
        shows(&site.homes, chain, key(&b))
    };
    let mut stream = site.connect(chain(1));
    stream
        .write_all(&request("GET", "/v1/health", "", b""))
        .unwrap();
    assert_eq!(read_to_close(&mut stream).status, 200, "as curl sends it");
    assert_eq!(site.alert(chain(10)), AlertDescription::BadCertificate);
    let names: Vec<_> = (0..400).map(|n| format!("host-{n}.example")).collect();
    let out = others.home("large").join("certs");
    let (out, names) = (out.to_str().unwrap(), names.join(","));
    others.ok(
        "a",
        &["certs", "issue", "large", "--out", out, "--san", &names],
    );
    let large = certs(&others, "large");
    assert!(certificate(&large).len() > 4096);
    let alert = site.alert(shows(&site.homes, vec![certificate(&large)], key(&large)));
    assert_eq!(alert, AlertDescription::UnknownCA);
    site.is_well();
}

pub(crate) fn row_10_a_stalled_handshake() {
    let site = Site::default();
    let begun = Instant::now();
    let openings: [&[u8]; 3] = [b"", &[22], &[22, 3, 1, 2, 0, 1, 0, 1]];
    let mut stalled = openings.map(|bytes| {
        let mut tcp = TcpStream::connect(site.serving.address).unwrap();
        tcp.write_all(bytes).unwrap();
        tcp
    });
    site.is_well();
    for tcp in &mut stalled {
        assert_eq!(read_plain(tcp), b"");
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(4), "{took:?}");
    assert!(took < stretched(Duration::from_secs(8)), "{took:?}");
    site.is_well();
}

pub(crate) fn row_11_tickets_and_early_data() {
    let site = Site::default();
    let mut config = site.member();
    config.enable_early_data = true;
    for _ in 0..2 {
        let mut stream = site.connect(config.clone());
        assert!(stream.conn.early_data().is_none(), "nothing to resume");
        stream
            .write_all(&request("GET", "/v1/health", "", b""))
            .unwrap();
        assert_eq!(read_to_close(&mut stream).status, 200);
        assert_eq!(stream.conn.tls13_tickets_received(), 0);
        assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Full));
    }
}

pub(crate) fn row_12_an_unknown_protocol() {
    let site = Site::default();
    for protocol in ["h2", "smtp", "http/1.0"] {
        let mut config = site.member();
        config.alpn_protocols = vec![protocol.into()];
        assert_eq!(site.alert(config), AlertDescription::NoApplicationProtocol);
    }
    site.is_well();
}

pub(crate) fn row_13_another_peer_answers() {
    let homes = Homes::new(&["b", "c"]);
    fs::write(homes.path("f.txt"), "for b only").unwrap();
    let mut b = homes.serve("b", &[]);
    let address = b.to();
    homes.ok("a", &["peers", "add", &address]);
    b.kill();
    let _c = homes.serve_on("c", &address, &[]);
    for args in [&["list", "b"][..], &["send", "f.txt", "--to", "b"]] {
        let said = homes.fails("a", args, 4);
        assert!(
            said.contains("(called c) answered instead of peer "),
            "{said}"
        );
        assert!(said.contains("hint: "), "{said}");
    }
    let chunks = homes.ok("c", &["list", "--chunks"]);
    assert_eq!(chunks, "", "nothing was sent");
}
