//! Runs the independent scripts in an environment of their own, below `target/`.

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::OnceLock,
};

use crate::vector::root;

/// Runs a script of the vectors' folder. Gives what it printed.
pub(crate) fn run(arguments: &[&str]) -> String {
    let mut command = Command::new(interpreter());
    let output = command
        .args(arguments)
        .current_dir(root())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    printed(
        &format!("{arguments:?}"),
        &output.output().expect("python starts"),
    )
}

/// The interpreter of an environment that has what `requirements.txt` names; made once and kept.
fn interpreter() -> &'static PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("vectors-python");
        let python = folder.join("bin/python");
        let check = [
            "-c",
            "from cryptography.hazmat.primitives import hpke; hpke.MLKEM768X25519PrivateKey",
        ];
        let usable = Command::new(&python).args(check).output();
        if !usable.is_ok_and(|output| output.status.success()) {
            let venv = Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder)
                .output();
            printed(
                "making an environment",
                &venv.expect("python3 is installed"),
            );
            let mut pip = Command::new(&python);
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ]);
            let installed = pip.arg(root().join("requirements.txt")).output();
            printed(
                "installing the requirements",
                &installed.expect("pip starts"),
            );
        }
        python
    })
}

fn printed(what: &str, output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{what} failed\n{out}\n{err}");
    out.into_owned()
}
