//! The shared password: from a file, a descriptor or a prompt, never from the command line.

use std::{
    error::Error,
    fs::File,
    io::{self, IsTerminal as _, Read as _},
    path::Path,
};

use futures::future::BoxFuture;
use zeroize::Zeroizing;

use super::{
    args::Secret,
    report::{self, ExitCode, Failure},
    standard, terminal,
};
use crate::{crypto::password::Password, session::PasswordSource};

/// The longest password, in bytes.
const MAX: usize = 1024;
/// The shortest that may be chosen, in characters: whoever stores a transfer can try passwords as long as they like.
const MIN_NEW: usize = 12;

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
        self.known.is_some() || self.password_file.is_some() || self.password_fd.is_some()
    }

    /// The password, from where the flags say, else from the terminal.
    pub(super) async fn read(&self, purpose: Purpose) -> Result<Password, Failure> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let text = match (&self.password_file, self.password_fd) {
            (Some(path), _) => from_file(path)?,
            (None, Some(fd)) => from_descriptor(fd)?,
            (None, None) => from_terminal(purpose).await?,
        };
        // Editors of Windows put a byte order mark before UTF-8; nobody types one.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let text = text
            .strip_suffix('\n')
            .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() || text.len() > MAX {
            let failure =
                Failure::usage(format!("password-length: a password has 1 to {MAX} bytes"));
            return Err(failure.hint("one line is enough; the line end does not count"));
        }
        if purpose == Purpose::Seal && text.chars().count() < MIN_NEW {
            return Err(Failure::usage(format!(
                "password-length: a new password has at least {MIN_NEW} characters"
            ))
            .hint("several words are easy to say and hard to guess"));
        }
        Ok(Password::new(text))
    }
}

impl PasswordSource for Secret {
    fn ask(&self) -> BoxFuture<'_, Result<Password, Box<dyn Error + Send + Sync>>> {
        Box::pin(async { Ok(self.read(Purpose::Open).await?) })
    }
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let file = File::open(path).map_err(|e| Failure::io(path, &e))?;
    from(file, path)
}

fn from_descriptor(fd: u32) -> Result<Zeroizing<String>, Failure> {
    let descriptors = Path::new("/proc/self/fd");
    if !descriptors.is_dir() {
        let what = "--password-fd needs /proc, which is not mounted here";
        return Err(Failure::new(ExitCode::Storage, what).hint("use --password-file FILE"));
    }
    let path = descriptors.join(fd.to_string());
    let opened = match standard::is_closed_number(fd) {
        true => Err(io::ErrorKind::NotFound.into()),
        false => File::open(&path),
    };
    let file = opened.map_err(|error: io::Error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "it is closed".to_owned(),
            _ => error.to_string(),
        };
        let what = format!("descriptor {fd} cannot be read: {why}");
        let open = format!("open it for the command: --password-fd {fd} {fd}<FILE");
        Failure::usage(what).hint(open)
    })?;
    from(file, &path)
}

fn from(file: File, path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(2 * MAX));
    let read = file.take(2 * MAX as u64).read_to_string(&mut text);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            let what = format!("{}: a password is text in UTF-8", path.display());
            Failure::usage(what).hint(report::NOT_UTF8)
        }
        _ => Failure::io(path, &error),
    })?;
    Ok(text)
}

async fn from_terminal(purpose: Purpose) -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let failure =
            Failure::usage("a password is needed, and there is no terminal to ask for it");
        return Err(failure.hint("give it by --password-file FILE or --password-fd FD"));
    }
    let interrupted = "interrupted; no password was given";
    terminal::asked("password", interrupted, move || ask(purpose)).await
}

fn ask(purpose: Purpose) -> io::Result<Zeroizing<String>> {
    loop {
        let password = terminal::read_secret("Password")?;
        if password.is_empty() {
            continue;
        }
        if purpose == Purpose::Open || *terminal::read_secret("Once more")? == *password {
            return Ok(password);
        }
        terminal::say("They differ, try again");
    }
}
