//! What `send` and `share` take: paths, standard input or a message; and what a dry run says of them.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    os::fd::AsFd as _,
    path::Path,
};

use super::{args::Seal, report::Failure, standard};
use crate::{
    config::Config,
    session::{self, Home},
    transfer::{Filter, MAX_MESSAGE, Sources, TransferError},
};

impl Seal {
    /// Walks the paths, or takes standard input for `-`, or the message.
    pub(super) fn sources(&self, home: &Home, config: &Config) -> Result<Sources, Failure> {
        if let Some(text) = &self.text {
            return message(text);
        }
        let is_stdin = |path: &Path| path.as_os_str() == "-";
        if !self.paths.iter().any(|path| is_stdin(path)) {
            let filter = Filter::chosen(&self.exclude, self.git, self.with_keys);
            let walked = session::walk(home, config, &self.paths, filter);
            return walked.map_err(|error| self.explain(error));
        }
        if self.paths.len() > 1 {
            return Err(
                Failure::usage("standard input cannot be sent together with files")
                    .hint("send them one after the other"),
            );
        }
        if self.name.contains('/') || self.name.is_empty() {
            let failure = Failure::usage("--name is a file name, without a folder");
            return Err(failure.hint("for instance --name dump.sql"));
        }
        Ok(Sources::stream(
            self.name.clone(),
            rest_of_stdin()?,
            io::stdin(),
        ))
    }

    /// In `--password SECRET` the secret is taken for a path.
    fn explain(&self, error: TransferError) -> Failure {
        let missing = matches!(&error, TransferError::Source { source, .. } if source.kind() == io::ErrorKind::NotFound);
        let failure = Failure::from(error);
        if missing && self.password {
            return failure.hint("a password is never on the command line: --password-file FILE");
        }
        failure
    }
}

/// How many bytes standard input still has, if it is a file.
fn rest_of_stdin() -> Result<Option<u64>, Failure> {
    let failed = |e| Failure::io(Path::new("standard input"), &e);
    let hint = "to send an empty file: colis send - --name NAME --to PEER </dev/null";
    let stdin = standard::input(hint)?;
    let stdin = stdin.as_fd().try_clone_to_owned().map_err(failed)?;
    let mut stdin = File::from(stdin);
    let metadata = stdin.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::usage("standard input is a folder")
            .hint("name the folder in the place of `-`"));
    }
    let position = stdin.stream_position().unwrap_or(0);
    let rest = metadata.len().saturating_sub(position);
    Ok(metadata.is_file().then_some(rest))
}

/// The message itself, or for `-` what standard input has.
fn message(text: &str) -> Result<Sources, Failure> {
    let mut read = String::new();
    if text == "-" {
        let stdin = standard::input("give it the message: echo MESSAGE | colis send --text -")?;
        let most = stdin.take(MAX_MESSAGE + 1).read_to_string(&mut read);
        most.map_err(|e| Failure::usage(format!("the message cannot be read: {e}")))?;
    } else {
        text.clone_into(&mut read);
    }
    Ok(session::message(read)?)
}
