//! Runs the independent scripts in an environment of their own.

use std::process::Command;

use testkit::python::{environment, must_run};

use super::vector::root;

/// Runs a script of the vectors' folder. Gives what it printed.
pub(crate) fn run(arguments: &[&str]) -> String {
    let programs = environment("vectors", &root().join("requirements.txt"));
    let mut python = Command::new(programs.join("python"));
    python.args(arguments).current_dir(root());
    let output = must_run(python.env("PYTHONDONTWRITEBYTECODE", "1"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
