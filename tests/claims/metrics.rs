//! `/v1/metrics` and the details of `/v1/health`: what an alert needs, for those who may know it.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;
use testkit::{Homes, bytes, python, wait_for};

use crate::members::curl;

/// Samples by their name and labels, as the parser of Prometheus' own Python client reads them.
type Samples = BTreeMap<String, f64>;

const PARSE: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families as parse
samples = {}
for family in parse(sys.stdin.read()):
    assert family.documentation and family.type in ('counter', 'gauge'), family
    for sample in family.samples:
        labels = ','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))
        key = f'{sample.name}{{{labels}}}' if labels else sample.name
        assert key not in samples, key
        samples[key] = sample.value
print(json.dumps(samples))
";

fn parsed(homes: &Homes, text: &str) -> Samples {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/claims/metrics");
    let programs = python::environment("prometheus", &folder.join("requirements.txt"));
    fs::write(homes.path("metrics.txt"), text).unwrap();
    let mut python = Command::new(programs.join("python"));
    let python = python.args(["-c", PARSE]);
    let file = fs::File::open(homes.path("metrics.txt")).unwrap();
    let output = python::must_run(python.stdin(file));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn url(to: &str, path: &str) -> String {
    let port = to.rsplit(':').next().unwrap();
    format!("https://localhost:{port}{path}")
}

fn scrape(homes: &Homes, home: &str, to: &str) -> Samples {
    let ran = curl(homes, home, &["--fail", &url(to, "/v1/metrics")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    parsed(homes, &ran.out)
}

fn health(homes: &Homes, home: &str, to: &str) -> Value {
    let ran = curl(homes, home, &["--fail", &url(to, "/v1/health")]);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn a_scrape_parses_and_moves_with_real_transfers() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let head = curl(&homes, "b", &["-D", "-", &url(&b.to(), "/v1/metrics")]).out;
    let kind = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(head.to_lowercase().contains(kind), "{head}");
    let before = scrape(&homes, "b", &b.to());
    let version = format!("colis_build_info{{version={}}}", env!("CARGO_PKG_VERSION"));
    assert_eq!((before[&version], before["colis_up"]), (1.0, 1.0));
    for (name, least) in [
        ("colis_certificate_left_seconds", 364.0 * 86400.0),
        ("colis_script_certificate_left_seconds", 364.0 * 86400.0),
        ("colis_circle_left_seconds", 3600.0 * 86400.0),
        ("colis_revocation_list_left_seconds", 29.0 * 86400.0),
        ("colis_disk_free_bytes", 1.0),
        ("colis_connections", 1.0),
        ("colis_bytes_total{direction=out}", 1.0),
    ] {
        assert!(before[name] >= least, "{name} {}", before[name]);
    }
    assert_eq!(before["colis_transfers_opened_total"], 0.0);
    assert!(!before.contains_key("colis_store_quota_bytes"));
    fs::write(homes.path("f.bin"), bytes(7, 3_000_000)).unwrap();
    homes.ok("a", &["send", "f.bin", "--to", &b.to(), "--wait"]);
    let after = scrape(&homes, "b", &b.to());
    assert_eq!(after["colis_transfers_opened_total"], 1.0);
    assert_eq!(after["colis_transfers_waiting"], 0.0);
    let put = "colis_requests_total{method=PUT,route=/v1/chunks/{id},status=2xx}";
    assert!(after[put] >= 3.0, "{after:?}");
    let came = |samples: &Samples| samples["colis_bytes_total{direction=in}"];
    assert!(came(&after) - came(&before) > 3_000_000.0);
    // What no route or method is has one label.
    for odd in ["/v1/zzz-one", "/v1/zzz-two"] {
        curl(&homes, "b", &["-X", "BREW", &url(&b.to(), odd)]);
    }
    let text = curl(&homes, "b", &[&url(&b.to(), "/v1/metrics")]).out;
    assert!(!text.contains("zzz") && !text.contains("BREW"), "{text}");
    let odd = "colis_requests_total{method=other,route=other,status=4xx}";
    assert_eq!(parsed(&homes, &text)[odd], 2.0);
}

#[test]
fn what_is_refused_and_what_waits_is_counted() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.home("b").join("colis.toml"), "quota = \"200KiB\"\n").unwrap();
    let b = homes.serve("b", &["--inbox", "ask"]);
    fs::write(homes.path("f.bin"), bytes(7, 3_000_000)).unwrap();
    fs::write(homes.path("small"), "x").unwrap();
    assert_eq!(homes.run("a", &["send", "f.bin", "--to", &b.to()]).code, 7);
    homes.ok("a", &["send", "small", "--to", &b.to()]);
    wait_for("it waits", || {
        health(&homes, "b", &b.to())["details"]["inbox"]["left_waiting"] == 1
    });
    let said = health(&homes, "b", &b.to());
    let details = &said["details"];
    assert_eq!(details["refused"], 1, "{said}");
    assert_eq!(details["last_refused"]["what"], "quota-exceeded", "{said}");
    assert_eq!(details["quota"], 200 << 10, "{said}");
    assert!(said["free"].as_u64() < Some(200 << 10), "{said}");
    assert!(said["certificate_days"].as_i64() > Some(300), "{said}");
    assert!(details["list_since"].is_string(), "{said}");
    assert_eq!(details["errors"], 0, "{said}");
    let samples = scrape(&homes, "b", &b.to());
    assert_eq!(samples["colis_refused_total{code=quota-exceeded}"], 1.0);
    assert_eq!(samples["colis_store_quota_bytes"], f64::from(200 << 10));
    wait_for("the store is counted anew", || {
        let samples = scrape(&homes, "b", &b.to());
        samples["colis_transfers_waiting"] == 1.0 && samples["colis_store_manifests"] == 1.0
    });
}

#[test]
fn only_the_owner_and_who_may_watch_know_more_than_whether_all_is_well() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    let known = |home: &str| health(&homes, home, &b.to())["details"].is_object();
    let scraped = |home: &str| {
        let said = curl(&homes, home, &[&url(&b.to(), "/v1/metrics")]).out;
        let scraped = said.contains("colis_up");
        assert!(scraped || said.contains("\"not-allowed\""), "{said}");
        scraped
    };
    assert!(known("b") && scraped("b") && !known("c") && !scraped("c"));
    let all = health(&homes, "c", &b.to());
    let keys: Vec<_> = all.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "certificate_days",
            "circle_days",
            "free",
            "revocation_list_days",
            "scripts_certificate_days",
            "status",
            "version"
        ]
    );
    homes.ok("c", &["peers", "add", &b.to()]);
    homes.ok("c", &["send", "--text", "hi", "--to", "b"]);
    let id = homes.ok("c", &["--json", "status"]);
    let id: Value = serde_json::from_str(&id).unwrap();
    let id = id["peer_id"].as_str().unwrap();
    homes.ok("b", &["peers", "role", id, "monitor"]);
    wait_for("c may watch", || known("c"));
    assert!(scraped("c"));
    // And nothing else: it sees no transfer and puts none.
    let list = curl(&homes, "c", &[&url(&b.to(), "/v1/manifests")]).out;
    assert!(list.contains("\"manifests\":[]"), "{list}");
    let said = homes.fails("c", &["send", "--text", "ho", "--to", "b"], 4);
    assert!(said.contains("your role here is monitor"), "{said}");
    // A script of the owner may do less than the owner.
    let own = homes.ok("b", &["--json", "status"]);
    let own: Value = serde_json::from_str(&own).unwrap();
    let own = own["peer_id"].as_str().unwrap();
    homes.ok("b", &["peers", "role", own, "reader", "--script"]);
    wait_for("the script reads only", || !known("b"));
    assert!(!scraped("b"));
    homes.ok("b", &["peers", "role", own, "monitor", "--script"]);
    wait_for("the script watches", || known("b"));
}
