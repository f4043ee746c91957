//! What scanners of others say of our TLS: nothing that is not on purpose.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::programs;
use testkit::site::{Site, certs};
use testkit::{Homes, wait_for};

/// Findings of testssl.sh that are so on purpose, and why.
const ON_PURPOSE: &[(&str, &str)] = &[
    (
        "optimal_proto",
        "the openssl that it brings shows no client certificate, so it is shut out: as it must be",
    ),
    (
        "cert_chain_of_trust",
        "the circle is its own certificate authority; no public one is trusted",
    ),
    (
        "cert_revocation",
        "the list of the revoked travels between peers, at /v1/crl",
    ),
    ("DNS_CAArecord", "a circle is in no public name service"),
];

/// What was found at a level that somebody should look at.
fn findings(report: &Value) -> Vec<(String, String)> {
    let text =
        |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let harmless = ["OK", "INFO", "DEBUG"];
    report
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| !harmless.contains(&finding["severity"].as_str().unwrap()))
        .map(|finding| {
            let what = format!(
                "{}: {}",
                text(finding, "severity"),
                text(finding, "finding")
            );
            (text(finding, "id"), what)
        })
        .collect()
}

fn is_on_purpose(id: &str) -> bool {
    ON_PURPOSE
        .iter()
        .any(|(known, _)| id.split(' ').next() == Some(known))
}

/// Runs testssl.sh with these flags against an address.
fn testssl(address: &str, flags: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut command = Command::new("testssl");
    command.args(["--quiet", "--color", "0", "--warnings", "off", "--jsonfile"]);
    let output = command
        .arg(&report)
        .args(flags)
        .arg(address)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let text = fs::read_to_string(&report).unwrap_or_else(|e| panic!("{e}: {said}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}: {said}"))
}

#[test]
fn testssl_finds_nothing_that_is_not_on_purpose() {
    if !testkit::has("testssl") {
        return;
    }
    let site = Site::default();
    // Everything takes minutes.
    let few = ["-p"];
    let flags = if testkit::is_long() { &[][..] } else { &few };
    let report = testssl(&site.serving.to(), flags);
    let found = findings(&report);
    let (known, unknown): (Vec<_>, Vec<_>) = found.iter().partition(|(id, _)| is_on_purpose(id));
    for (id, what) in &known {
        eprintln!("on purpose: {id}: {what}");
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    let has = |id: &str, text: &str| {
        let mut all = report.as_array().unwrap().iter();
        all.any(|f| f["id"] == id && f["finding"].as_str().unwrap().contains(text))
    };
    assert!(
        has("TLS1_3", "offered with final"),
        "it saw no TLS 1.3: {report:#}"
    );
    for old in ["SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2"] {
        assert!(has(old, "not offered"), "{old}");
    }
    eprintln!(
        "{} findings of testssl.sh, {} of them on purpose",
        report.as_array().unwrap().len(),
        known.len()
    );
    site.is_well();
}

/// What sslyze is to look at.
const TRIALS: [&str; 16] = [
    "--sslv2",
    "--sslv3",
    "--tlsv1",
    "--tlsv1_1",
    "--tlsv1_2",
    "--tlsv1_3",
    "--compression",
    "--early_data",
    "--heartbleed",
    "--openssl_ccs",
    "--reneg",
    "--robot",
    "--resum",
    "--elliptic_curves",
    "--mozilla_config",
    "disable",
];

/// What sslyze says, as whoever has the certificate of `home`, or as a stranger.
fn sslyze(homes: &Homes, address: &str, home: Option<&str>) -> Value {
    let report = homes.path("sslyze.json");
    let mut sslyze = Command::new(programs().join("sslyze"));
    if let Some(home) = home {
        let dir = certs(homes, home);
        sslyze.arg("--cert").arg(dir.server_cert());
        sslyze.arg("--key").arg(dir.server_key());
    }
    sslyze
        .args(TRIALS)
        .arg("--json_out")
        .arg(&report)
        .arg(address);
    let said = sslyze.output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let scan = &report["server_scan_results"][0]["scan_result"];
    assert!(scan.is_object(), "{said}");
    scan.clone()
}

#[test]
fn sslyze_finds_tls_1_3_and_nothing_else() {
    let site = Site::default();
    let address = site.serving.to();
    let member = sslyze(&site.homes, &address, Some("b"));
    assert_eq!(complaints(&member), [""; 0]);
    let early = &member["tls_1_3_early_data"]["result"]["supports_early_data"];
    assert_eq!(early, &Value::Bool(false));
    assert_eq!(complaints(&sslyze(&site.homes, &address, None)), [""; 0]);
    site.is_well();
}

#[test]
fn a_server_of_old_versions_would_be_found_out() {
    let homes = Homes::new(&[]);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let dir = certs(&homes, "a");
    let mut old = Command::new("openssl")
        .args([
            "s_server", "-www", "-quiet", "-accept", &address, "-tls1_2", "-cert",
        ])
        .arg(dir.server_cert())
        .arg("-key")
        .arg(dir.server_key())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the old server", || TcpStream::connect(&address).is_ok());
    let found = complaints(&sslyze(&homes, &address, None));
    old.kill().unwrap();
    old.wait().unwrap();
    assert!(found.contains(&"tls_1_2 is spoken".to_owned()), "{found:?}");
    assert!(found.contains(&"no TLS 1.3".to_owned()), "{found:?}");
}

/// What is not as it should be.
fn complaints(scan: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let suites = |version: &str| {
        let result = &scan[format!("{version}_cipher_suites")]["result"];
        let suites = result["accepted_cipher_suites"].as_array().cloned();
        suites.unwrap_or_else(|| panic!("nothing about {version}"))
    };
    for old in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2"] {
        if !suites(old).is_empty() {
            found.push(format!("{old} is spoken"));
        }
    }
    let new = suites("tls_1_3");
    if new.is_empty() {
        found.push("no TLS 1.3".into());
    }
    let names = new
        .iter()
        .map(|suite| suite["cipher_suite"]["name"].to_string());
    let weak = names.filter(|name| !name.contains("GCM") && !name.contains("CHACHA20"));
    found.extend(weak.map(|name| format!("{name} is spoken")));
    for (trial, field) in [
        ("heartbleed", "is_vulnerable_to_heartbleed"),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection"),
        ("tls_compression", "supports_compression"),
        (
            "session_renegotiation",
            "is_vulnerable_to_client_renegotiation_dos",
        ),
    ] {
        if scan[trial]["result"][field] != Value::Bool(false) {
            found.push(format!("{trial}: {}", scan[trial]["result"][field]));
        }
    }
    found
}
