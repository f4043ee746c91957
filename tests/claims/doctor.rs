//! `colis doctor` and `colis status`: each step made to fail for real, and what is said of it.

mod certs;
mod damaged;
mod fake;
mod machine;
mod peer;
mod refusals;
mod rot;
mod status;

use std::{fs, path::Path, process::Command};

use colis::tls::{CertsDir, ca};
use serde_json::Value;
use testkit::{Homes, Ran};

const DAY: time::Duration = time::Duration::DAY;

/// What doctor said, in both forms.
struct Said {
    code: i32,
    text: String,
    objects: Vec<Value>,
}

impl Said {
    /// Runs the command that `make` gives twice: for people, and with `--json`.
    fn of(make: impl Fn(&[&str]) -> Command) -> Self {
        let plain = Ran::from(make(&[]).output().unwrap());
        let json = Ran::from(make(&["--json"]).output().unwrap());
        assert_eq!(plain.code, json.code, "{}\n{}", plain.out, json.out);
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let objects: Vec<Value> = json.out.lines().map(parse).collect();
        for object in &objects {
            assert_eq!(object["v"], 1, "{object}");
        }
        let summary = objects.last().unwrap_or_else(|| panic!("{}", json.err));
        assert_eq!(summary["event"], "summary", "{summary}");
        assert_eq!(summary["exit"], json.code, "{summary}");
        Self {
            code: plain.code,
            text: plain.out,
            objects,
        }
    }

    fn check(&self, step: &str) -> &Value {
        let mut of_step = self.objects.iter().filter(|object| object["step"] == step);
        let found = of_step.next();
        let found = found.unwrap_or_else(|| panic!("nothing of {step}:\n{}", self.text));
        assert!(of_step.next().is_none(), "{step} twice:\n{}", self.text);
        assert_eq!(found["event"], "finding");
        found
    }

    fn verdict(&self, step: &str) -> &str {
        self.check(step)["verdict"].as_str().unwrap()
    }

    /// Checks what is said of a step, in both forms; without a hint there must be none.
    #[track_caller]
    fn says(&self, step: &str, verdict: &str, detail: &str, hint: Option<&str>) -> &Self {
        let check = self.check(step);
        let said = (
            check["verdict"].as_str().unwrap(),
            check["detail"].as_str().unwrap(),
        );
        assert_eq!(said.0, verdict, "{check}");
        assert!(said.1.contains(detail), "{check}");
        let mut lines = self.text.lines();
        let begins = format!("{verdict:<5} {step:<18} ");
        let line = lines.find(|line| line.starts_with(&begins));
        let line = line.unwrap_or_else(|| panic!("no line {begins:?}:\n{}", self.text));
        assert!(line.contains(detail), "{line}");
        let next = lines.next().unwrap_or_default().trim_start();
        match hint {
            Some(hint) => {
                assert!(check["hint"].as_str().unwrap().contains(hint), "{check}");
                assert!(next.starts_with("hint: ") && next.contains(hint), "{next}");
            }
            None => {
                assert!(check["hint"].is_null(), "{check}");
                assert!(!next.starts_with("hint: "), "{next}");
            }
        }
        self
    }

    #[track_caller]
    fn ends(&self, code: i32, failed: &[&str]) -> &Self {
        let summary = self.objects.last().unwrap();
        let said: Vec<_> = summary["failed"].as_array().unwrap().iter().collect();
        assert_eq!(said, failed, "{}", self.text);
        assert_eq!(self.code, code, "{}", self.text);
        self
    }
}

/// Runs doctor for a home, with a port that is free.
fn doctor(homes: &Homes, home: &str, args: &[&str]) -> Said {
    Said::of(|global| {
        let mut command = homes.command(home, global);
        command
            .args(["doctor", "--listen", "127.0.0.1:0"])
            .args(args);
        command
    })
}

/// The same, by a shell that does something to itself before.
fn doctor_after(homes: &Homes, home: &str, before: &str) -> Said {
    Said::of(|global| {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{before} && exec \"$0\" \"$@\""));
        command.arg(testkit::program());
        command.arg("--home").arg(homes.home(home)).args(global);
        command.args(["doctor", "--listen", "127.0.0.1:0"]);
        command.current_dir(homes.path("."));
        command.env_remove("COLIS_HOME").env_remove("COLIS_LOG");
        command
    })
}

fn certs(homes: &Homes, home: &str) -> CertsDir {
    CertsDir::new(homes.home(home).join("certs"))
}

/// A member of the circle whose certificate counts from now plus `from` until now plus `to`.
fn member_with_dates(homes: &Homes, name: &str, from: time::Duration, to: time::Duration) {
    let now = time::OffsetDateTime::now_utc();
    let options = ca::CertificateOptions {
        sans: Vec::new(),
        not_before: now + from,
        not_after: now + to,
    };
    ca::issue(&certs(homes, "a"), name, &certs(homes, name), &options).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}
