//! The built program.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The program `colis`, as these tests were built.
///
/// Cargo builds it for the tests of its own package and names it to them. For tests of another package it is built here,
/// once a process: so it is never an older one.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match env::var_os("CARGO_BIN_EXE_colis") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// The folder of the profile that the running tests were built with, for example `target/debug`.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().find(|folder| folder.ends_with("deps"));
    folder.unwrap().parent().unwrap().to_owned()
}

/// Cargo's target folder.
pub fn target_folder() -> PathBuf {
    profile_folder().parent().unwrap().to_owned()
}

/// Builds the program with the same dependencies as the tests, for which `testkit` is named beside it.
fn build() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--bin", "colis"]);
    cargo.args(["--package", "colis", "--package", "testkit"]);
    cargo.arg("--manifest-path").arg(manifest);
    cargo.arg("--target-dir").arg(target_folder());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    if cfg!(feature = "sabotage") {
        cargo.args(["--features", "colis/sabotage"]);
    }
    let built = cargo.status().unwrap();
    assert!(built.success(), "colis does not build: {built}");
    profile_folder().join("colis")
}

/// Copies the program. A child process writes the copy: a program that this process has open for writing cannot be started
/// while another thread starts one, which has inherited the file.
pub fn copy_program(to: &Path) {
    let copied = Command::new("cp").arg(program()).arg(to).status();
    assert!(copied.unwrap().success());
}

/// Whether there is a program of this name; if not, says that nothing was tried.
pub fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let found = found.unwrap().status.success();
    if !found {
        eprintln!("not tried: there is no {program} here");
    }
    found
}
