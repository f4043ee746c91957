//! Tools that are written in Python, each in an environment of its own below Cargo's target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Mutex,
};

use crate::target_folder;

/// The folder of the programs of an environment that has what `requirements` (a file as pip reads it) names. It is made
/// once and kept until that file changes.
pub fn environment(name: &str, requirements: &Path) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    let folder = target_folder().join("python").join(name);
    let (programs, made) = (folder.join("bin"), folder.join("made-from.txt"));
    let wanted = fs::read(requirements).unwrap();
    if fs::read(&made).is_ok_and(|from| from == wanted) {
        return programs;
    }
    let mut python = Command::new("python3");
    must_run(python.args(["-m", "venv", "--clear"]).arg(&folder));
    let mut pip = Command::new(programs.join("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]);
    must_run(pip.arg(requirements));
    fs::write(made, wanted).unwrap();
    programs
}

/// Runs what must succeed.
pub fn must_run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}
