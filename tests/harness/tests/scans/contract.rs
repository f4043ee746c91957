//! Requests made from the contract, good and bad: every answer is one that the contract has, and none is our fault.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

use serde_json::Value;

use crate::{folder, programs};
use testkit::rounds;
use testkit::site::{Site, certs};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,documented_code";
/// Cases of each route besides those that every run has, which are about 600.
const FEW: &str = "5";
const MANY: &str = "50";
/// Runs side by side.
const AT_ONCE: usize = 2;

/// What a run said.
struct Said {
    cases: usize,
    failures: usize,
    text: String,
}

#[test]
fn requests_made_from_the_contract_get_answers_of_the_contract() {
    programs();
    let (site, wanted) = (Site::default(), rounds(500));
    let document = document(&site);
    // One seed makes the same requests again: a run that is to add to another one begins elsewhere.
    let first = std::env::var("COLIS_SEED").map_or(1, |seed| seed.parse().unwrap());
    let (cases, seed) = (AtomicUsize::new(0), AtomicU64::new(first));
    let runs = if wanted > 1000 { AT_ONCE } else { 1 };
    let many = if wanted > 1000 { MANY } else { FEW };
    thread::scope(|scope| {
        for _ in 0..runs {
            scope.spawn(|| {
                while cases.load(Ordering::SeqCst) < wanted {
                    let seed = seed.fetch_add(1, Ordering::SeqCst).to_string();
                    let said = run(&site, &document, &["--seed", &seed, "-n", many]);
                    assert_eq!(said.failures, 0, "seed {seed}: {}", said.text);
                    let so_far = said.cases + cases.fetch_add(said.cases, Ordering::SeqCst);
                    eprintln!("{so_far} cases, seed {seed}");
                }
            });
        }
    });
    let log = site.homes.log("a");
    assert!(
        !log.contains("panicked") && !log.contains("a request failed"),
        "{log}"
    );
    site.is_well();
}

#[test]
fn an_answer_that_is_not_in_the_contract_is_noticed() {
    programs();
    let site = Site::default();
    let path = document(&site);
    let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let responses = &mut document["paths"]["/v1/chunks/{id}"]["get"]["responses"];
    responses.as_object_mut().unwrap().remove("404").unwrap();
    fs::write(&path, document.to_string()).unwrap();
    let one = [
        "--include-name",
        "GET /v1/chunks/{id}",
        "--phases",
        "coverage",
        "-n",
        "1",
    ];
    let said = run(&site, &path, &one);
    assert!(said.failures > 0, "{}", said.text);
    assert!(
        said.text.contains("Undocumented status code"),
        "{}",
        said.text
    );
}

/// The contract as the peer gives it.
fn document(site: &Site) -> PathBuf {
    let path = site.homes.path("openapi.json");
    let answer = site.get("/v1/openapi.json");
    assert_eq!(answer.status, 200);
    fs::write(&path, answer.body).unwrap();
    path
}

/// A stream of events has no end, so nobody asks for it here.
fn run(site: &Site, document: &Path, args: &[&str]) -> Said {
    let (a, b) = (certs(&site.homes, "a"), certs(&site.homes, "b"));
    let reports = tempfile::tempdir().unwrap();
    let mut command = Command::new(programs().join("st"));
    let settings = folder().join("schemathesis.toml");
    command.arg("--config-file").arg(settings);
    command.arg("run").arg(document);
    command.args([
        "--url",
        &format!("https://localhost:{}", site.serving.address.port()),
    ]);
    command.arg("--tls-verify").arg(a.ca_cert());
    command.arg("--request-cert").arg(b.server_cert());
    command.arg("--request-cert-key").arg(b.server_key());
    command.args(["--exclude-path", "/v1/events", "--checks", CHECKS]);
    // Whoever leaves is revoked, and asks nothing more.
    command.args(["--exclude-path", "/v1/certs/leave"]);
    command.args([
        "--continue-on-failure",
        "--no-shrink",
        "--no-color",
        "--warnings",
        "off",
    ]);
    command.args([
        "--suppress-health-check",
        "all",
        "--report",
        "json",
        "--report-dir",
    ]);
    command.arg(reports.path()).args(args);
    command
        .current_dir(reports.path())
        .env("PYTHONPATH", folder());
    command
        .env("SCHEMATHESIS_HOOKS", "contract")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let written = fs::read_dir(reports.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let report = written
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "json"));
    let report = fs::read(report.unwrap_or_else(|| panic!("no report: {text}"))).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let count = |what: &str| usize::try_from(report["test_cases"][what].as_u64().unwrap()).unwrap();
    let errors = report["errors"].as_array().unwrap().len();
    Said {
        cases: count("generated"),
        failures: count("with_failures") + count("errored") + errors,
        text,
    }
}
