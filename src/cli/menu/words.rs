//! Commands as the command line has them: what the menu has found out is put into words, which clap reads. So each
//! default, each limit and each variable of the environment counts here as it does there.

use std::{ffi::OsString, path::PathBuf};

use clap::Parser as _;

use crate::{
    cli::{
        args::{Cli, Command},
        report::Failure,
    },
    session::TransferRow,
};

/// The words of one command.
#[derive(Debug, Clone)]
pub(super) struct Words(Vec<OsString>);

/// A command by its first words. What was typed goes after `--`, where nothing is a flag.
pub(super) fn words(words: &[&str]) -> Words {
    let program = std::iter::once("colis");
    Words(
        program
            .chain(words.iter().copied())
            .map(OsString::from)
            .collect(),
    )
}

impl Words {
    pub(super) fn paths(mut self, paths: Vec<PathBuf>) -> Self {
        self.0
            .extend(paths.into_iter().map(PathBuf::into_os_string));
        self
    }

    pub(super) fn ids(mut self, rows: &[&TransferRow]) -> Self {
        let ids = rows.iter().map(|row| row.info.id.to_string().into());
        self.0.extend(ids);
        self
    }

    /// What they mean.
    pub(super) fn command(self) -> Result<Command, Failure> {
        let parsed = Cli::try_parse_from(self.0);
        let command = parsed.map_err(|error| Failure::usage(error.to_string().trim_end()))?;
        command.command.ok_or_else(|| Failure::usage("no command"))
    }
}
