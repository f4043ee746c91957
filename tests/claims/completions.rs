//! What the Tab key makes of a command line in a real shell.

use std::{fs, process::Command};

use rexpect::session::spawn_command;
use testkit::{Homes, has};

#[test]
fn bash_completes_a_name_with_spaces_to_one_word() {
    if !has("bash") {
        return;
    }
    let homes = Homes::new(&[]);
    let folder = homes.path("work");
    fs::create_dir_all(folder.join("my dir/inside it")).unwrap();
    fs::write(folder.join("notes 1.txt"), "").unwrap();
    let script = homes.path("colis.bash");
    fs::write(&script, homes.ok("a", &["completions", "bash"])).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-i"])
        .current_dir(&folder);
    bash.env("TERM", "dumb")
        .env("INPUTRC", "/dev/null")
        .env("PS1", "ready>");
    let mut bash = spawn_command(bash, Some(60_000)).unwrap();
    bash.send_line(&format!(
        "source {}; colis() {{ printf '<%s>' \"$@\"; echo; }}",
        script.display()
    ))
    .unwrap();
    for (typed, words) in [
        ("receive --out my", "<receive><--out><my dir/>"),
        ("receive --out 'notes", "<receive><--out><notes 1.txt>"),
        ("receive --out \"notes", "<receive><--out><notes 1.txt>"),
        ("receive --out my\\ d", "<receive><--out><my dir/>"),
        (
            "receive --out my\\ dir/in",
            "<receive><--out><my dir/inside it/>",
        ),
        ("--home my", "<--home><my dir/>"),
        ("serve --home my", "<serve><--home><my dir/>"),
        (
            "send --password-file notes",
            "<send><--password-file><notes 1.txt>",
        ),
        ("pair --code-file notes", "<pair><--code-file><notes 1.txt>"),
        ("send notes", "<send><notes 1.txt>"),
        ("receive --al", "<receive><--all>"),
    ] {
        bash.send(&format!("colis {typed}\t\r")).unwrap();
        bash.flush().unwrap();
        if let Err(error) = bash.exp_string(words) {
            panic!("{typed}: {error}");
        }
    }
    bash.send_line("exit").unwrap();
}
