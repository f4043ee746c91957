//! The manual page of each command, made from the same definition as its `--help`.

use std::{fs, io, path::Path};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use roff::{Inline, Roff, bold, roman};

use super::{
    args::{self, Cli},
    report::{ExitCode, Failure},
    shell::print,
};

/// What every command reads and writes.
const FILES: [(&str, &str); 6] = [
    (
        "~/.local/share/colis",
        "The home: the folder of the rest, unless --home, COLIS_HOME or a current folder that is a home says otherwise.",
    ),
    (
        "certs/",
        "Certificates and keys, the address book peers.json and the list of revoked certificates crl.pem.",
    ),
    (
        "chunks/",
        "The store: sealed chunks, manifests and what belongs to them, the history too.",
    ),
    ("received/", "What was opened."),
    ("logs/", "The log of a peer that serves, a file a day."),
    (
        "colis.toml",
        "Settings; colis config init writes it with every setting as a comment.",
    ),
];

const EXIT_STATUS: [(&str, &str); 12] = [
    ("0", "It is done."),
    ("2", "The command line is wrong."),
    ("3", "A setting or a file of this home is wrong."),
    (
        "4",
        "Somebody is not trusted: a certificate, a signature, a role, a code.",
    ),
    ("5", "Bytes are not those that were sealed."),
    ("6", "There is no such peer, transfer or file."),
    ("7", "A disk: no space, no right, a failure."),
    ("8", "The network: nobody there, no answer, a cut."),
    ("9", "Something is in use or locked."),
    ("10", "It is done in part; the message says what is not."),
    ("11", "status: something needs care."),
    ("129, 130, 143", "It was ended by SIGHUP, SIGINT, SIGTERM."),
];

const ENVIRONMENT: [(&str, &str); 2] = [
    ("COLIS_HOME", "The home, if --home does not name it."),
    (
        "COLIS_<SETTING>",
        "A setting, as COLIS_INBOX=ask; a flag overrules it, and it overrules colis.toml.",
    ),
];

pub(super) fn man(args: &args::Man) -> Result<ExitCode, Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = &args.out else {
        let mut command = &command;
        for word in &args.command {
            let below = command.find_subcommand(word);
            let what = || {
                Failure::usage(format!(
                    "there is no command {word:?} in {}",
                    command.get_name()
                ))
            };
            command = below.ok_or_else(|| what().hint("see the commands: colis --help"))?;
        }
        return print(&page(command).map_err(|e| Failure::io(Path::new("standard output"), &e))?);
    };
    let failed = |e| Failure::io(folder, &e);
    fs::create_dir_all(folder).map_err(failed)?;
    write_all(&command, folder).map_err(failed)?;
    Ok(ExitCode::Ok)
}

/// Writes the pages of `command` and of everything below it.
fn write_all(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        write_all(below, folder)?;
    }
    let name = Man::new(command.clone()).get_filename();
    fs::write(folder.join(name), page(command)?)
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).manual("colis");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::new();
    // In the manual of the whole the exit codes have a section of their own; the line of them is not repeated.
    let after = command.get_after_help().map(ToString::to_string);
    if let Some(examples) = after
        .as_deref()
        .and_then(|after| after.strip_prefix("Examples:\n"))
    {
        section(&mut rest, "EXAMPLES");
        rest.control("nf", []);
        examples.lines().for_each(|line| {
            rest.text([roman(line)]);
        });
        rest.control("fi", []);
    }
    table(&mut rest, "EXIT STATUS", &EXIT_STATUS);
    table(&mut rest, "ENVIRONMENT", &ENVIRONMENT);
    table(&mut rest, "FILES", &FILES);
    rest.to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// As `--help` has it: what matters, and not every option once more.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let mut page = Roff::new();
    section(&mut page, "SYNOPSIS");
    page.control("nf", []);
    for line in usage.lines() {
        page.text([bold(line.trim())]);
    }
    page.control("fi", []);
    page
}

fn section(page: &mut Roff, title: &str) {
    page.control("SH", [title]);
}

fn table(page: &mut Roff, title: &str, rows: &[(&str, &str)]) {
    section(page, title);
    for (what, says) in rows {
        let says: Inline = roman(*says);
        page.control("TP", []);
        page.text([bold(*what)]);
        page.text([says]);
    }
}
