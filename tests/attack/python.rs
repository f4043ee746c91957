//! Tools that are written in Python, in an environment of their own below `target/`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attack")
}

/// The folder of the programs of an environment that has what `requirements.txt` names; made once and kept.
pub(crate) fn programs() -> &'static PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let environment = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("attack-python");
        let programs = environment.join("bin");
        let mut check = Command::new(programs.join("python"));
        let usable = check
            .args(["-c", "import schemathesis, sslyze"])
            .output()
            .is_ok_and(|output| output.status.success());
        if !usable {
            let mut make = Command::new("python3");
            must_run(make.args(["-m", "venv", "--clear"]).arg(&environment));
            let mut pip = Command::new(programs.join("pip"));
            pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]);
            must_run(pip.arg(folder().join("requirements.txt")));
        }
        programs
    })
}

/// Runs what must succeed.
pub(crate) fn must_run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

/// Whether there is a program of this name; if not, says that nothing was tried.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let found = found.unwrap().status.success();
    if !found {
        eprintln!("not tried: there is no {program} here");
    }
    found
}
