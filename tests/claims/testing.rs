//! The page for testers: its fixtures are run as they stand there.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use testkit::python;

/// The only block of the page in this language.
fn block(language: &str) -> String {
    let page = fs::read_to_string("docs/testing-with-colis.md").unwrap();
    let blocks: Vec<_> = page.split(&format!("```{language}\n")).skip(1).collect();
    let [block] = blocks[..] else {
        panic!("{} blocks of {language}", blocks.len())
    };
    block.split("```").next().unwrap().to_owned()
}

#[test]
fn the_fixture_for_pytest_passes_its_test_many_times_at_once() {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/claims/testing.txt");
    let programs = python::environment("pytest", &requirements);
    let folder = tempfile::tempdir().unwrap();
    let test = folder.path().join("test_colis.py");
    fs::write(&test, block("python")).unwrap();
    let started: Vec<_> = (0..4)
        .map(|number| {
            let mut pytest = Command::new(programs.join("pytest"));
            let base = folder.path().join(format!("base{number}"));
            pytest.args(["-q", "-p", "no:cacheprovider", "--basetemp"]);
            pytest.arg(base).arg(&test).env("COLIS", testkit::program());
            pytest.env_remove("COLIS_HOME").stdin(Stdio::null());
            pytest.stdout(Stdio::piped()).stderr(Stdio::piped());
            pytest.spawn().unwrap()
        })
        .collect();
    for pytest in started {
        let output = pytest.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
    }
}

#[test]
fn the_fixture_for_a_shell_shows_what_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let program = testkit::program().parent().unwrap();
    let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(block("sh")).stdin(Stdio::null());
    shell.env("PATH", path).env("TMPDIR", folder.path());
    let output = shell.env_remove("COLIS_HOME").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{err}");
    assert_eq!(said.lines().last(), Some("42"), "{said}{err}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
