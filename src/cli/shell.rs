//! `completions` and `man`: made from the same definition as the command line.

use std::{fs, io, path::Path};

use clap::CommandFactory as _;

use super::{
    args::{Cli, Completions, Man},
    report::{ExitCode, Failure},
};

pub(super) fn completions(args: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "colis", &mut script);
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
    match io::stdout().lock().write_all(text) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::io(Path::new("standard output"), &e))
        }
        _ => Ok(ExitCode::Ok),
    }
}
