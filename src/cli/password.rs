//! The shared password: from a file, a descriptor or a prompt, never from the command line.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _},
    path::Path,
};

use dialoguer::Password as Prompt;
use zeroize::Zeroizing;

use super::{args::Secret, report::Failure};
use crate::crypto::password::Password;

/// The longest password, in bytes.
const MAX: usize = 1024;

/// Why a password is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is chosen now, so it is asked for twice.
    Seal,
    /// It was chosen before.
    Open,
}

impl Secret {
    /// Whether it says where the password comes from.
    pub(super) fn is_given(&self) -> bool {
        self.password_file.is_some() || self.password_fd.is_some()
    }

    /// The password, from where the flags say, else from the terminal.
    pub(super) fn read(&self, purpose: Purpose) -> Result<Password, Failure> {
        let text = match (&self.password_file, self.password_fd) {
            (Some(path), _) => from_file(path)?,
            (None, Some(fd)) => from_file(Path::new(&format!("/proc/self/fd/{fd}")))?,
            (None, None) => from_terminal(purpose)?,
        };
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| {
            text.strip_suffix('\r').unwrap_or(text)
        });
        if text.is_empty() || text.len() > MAX {
            let failure =
                Failure::usage(format!("password-length: a password has 1 to {MAX} bytes"));
            return Err(failure.hint("one line is enough; the line end does not count"));
        }
        Ok(Password::new(text))
    }
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(2 * MAX));
    let file = File::open(path).map_err(|e| Failure::io(path, &e))?;
    file.take(2 * MAX as u64)
        .read_to_string(&mut text)
        .map_err(|e| Failure::io(path, &e))?;
    Ok(text)
}

fn from_terminal(purpose: Purpose) -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let failure =
            Failure::usage("a password is needed, and there is no terminal to ask for it");
        return Err(failure.hint("give it by --password-file FILE or --password-fd FD"));
    }
    let mut prompt = Prompt::new().with_prompt("Password");
    if purpose == Purpose::Seal {
        prompt = prompt.with_confirmation("Once more", "They differ, try again");
    }
    let read = prompt
        .interact()
        .map_err(|e| Failure::usage(format!("no password: {e}")))?;
    Ok(Zeroizing::new(read))
}
