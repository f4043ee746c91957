//! `completions` and `man`: made from the same definition as the command line.

use std::{fs, io, path::Path};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{
    args::{Cli, Completions, Man},
    report::{ExitCode, Failure},
    standard,
};

/// How clap_complete completes the name of a file in bash: a name with a space becomes two words.
const SPLIT_NAMES: &str = r#"COMPREPLY=($(compgen -f "${cur}"))"#;
/// Nothing is proposed, so bash completes the name itself (`-o default`): it knows spaces, quotes and folders.
const OWN_NAMES: &str = "COMPREPLY=()";

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&b);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

pub(super) fn completions(args: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "colis", &mut script);
    if args.shell == Shell::Bash {
        let text = String::from_utf8_lossy(&script).replace(SPLIT_NAMES, OWN_NAMES);
        script = text.into_bytes();
    }
    print(&script)
}

pub(super) fn man(args: &Man) -> Result<ExitCode, Failure> {
    if let Some(folder) = &args.out {
        let failed = |e| Failure::io(folder, &e);
        fs::create_dir_all(folder).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
        return Ok(ExitCode::Ok);
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|e| Failure::io(Path::new("standard output"), &e))?;
    print(&page)
}

fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    use io::Write as _;
    let stdout = standard::output("send it to a file or a program")?;
    match stdout.lock().write_all(text) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::io(Path::new("standard output"), &e))
        }
        _ => Ok(ExitCode::Ok),
    }
}
