//! Every script and every program of `examples/`, for real: colis, curl and jq over mutual TLS.

mod folder;
mod generated;
mod programs;
mod scripts;
mod walk;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use testkit::{Homes, Ran, Serving};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// A circle whose certificates are at paths with spaces: `certs of a`.
fn circle(others: &[&str]) -> Homes {
    let homes = Homes::new(others);
    for name in ["a"].iter().chain(others) {
        let spaced = homes.path(&format!("certs of {name}"));
        symlink(homes.home(name).join("certs"), spaced).unwrap();
    }
    homes
}

/// Where scripts find a peer. By name, so the certificate must have that name.
fn url(serving: &Serving) -> String {
    format!("https://localhost:{}", serving.address.port())
}

fn script(homes: &Homes, name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(examples().join(name));
    command.args(args).current_dir(homes.path(""));
    command
        .env("COLIS", testkit::program())
        .stdin(Stdio::null());
    command
}

fn run(homes: &Homes, name: &str, args: &[&str]) -> Ran {
    Ran::from(script(homes, name, args).output().unwrap())
}

fn ok(homes: &Homes, name: &str, args: &[&str]) -> String {
    let ran = run(homes, name, args);
    assert_eq!(ran.code, 0, "{name} {args:?}: {} {}", ran.out, ran.err);
    ran.out
}

/// A program that must not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seals `file` as `a`. Gives the id of the manifest.
fn seal(homes: &Homes, file: &str, folder: &str, more: &[&str]) -> String {
    let args = [&["--full", "seal", file, "--out", folder], more].concat();
    let out = homes.ok("a", &args);
    out.split_whitespace().next().unwrap().to_owned()
}

/// The names in a folder that `*` would give.
fn names(folder: impl AsRef<Path>) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect()
}
