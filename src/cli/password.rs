//! A password or passphrase: from a file, a descriptor or a prompt, never from the command line.

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

/// What is asked for, in words.
pub(super) struct Asked {
    what: &'static str,
    prompt: &'static str,
    /// The options by which it is given.
    file: &'static str,
    fd: &'static str,
}

/// The password of a transfer.
const SHARED: Asked = Asked {
    what: "password",
    prompt: "Password",
    file: "--password-file",
    fd: "--password-fd",
};

/// The passphrase of the keys.
pub(super) const OF_KEYS: Asked = Asked {
    what: "passphrase",
    prompt: "Passphrase of the keys",
    file: "--key-passphrase-file",
    fd: "--key-passphrase-fd",
};

/// One that the keys are to have.
pub(super) const OF_KEYS_ANEW: Asked = Asked {
    what: "passphrase",
    prompt: "New passphrase",
    file: "--new-file",
    fd: "--new-file",
};

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
        match SHARED.given(self.password_file.as_deref(), self.password_fd, purpose) {
            Some(given) => given,
            None => SHARED.ask(purpose).await,
        }
    }
}

impl Asked {
    /// The one that the options give, if they do.
    pub(super) fn given(
        &self,
        file: Option<&Path>,
        fd: Option<u32>,
        purpose: Purpose,
    ) -> Option<Result<Password, Failure>> {
        let text = match (file, fd) {
            (Some(path), _) => self.read_file(path),
            (None, Some(fd)) => self.read_descriptor(fd),
            (None, None) => return None,
        };
        Some(text.and_then(|text| self.check(&text, purpose)))
    }

    /// Asks on the terminal.
    pub(super) async fn ask(&self, purpose: Purpose) -> Result<Password, Failure> {
        let text = self.read_terminal(purpose).await?;
        self.check(&text, purpose)
    }

    fn check(&self, text: &str, purpose: Purpose) -> Result<Password, Failure> {
        let what = self.what;
        // Editors of Windows put a byte order mark before UTF-8; nobody types one.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text
            .strip_suffix('\n')
            .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() || text.len() > MAX {
            let failure = Failure::usage(format!("{what}-length: a {what} has 1 to {MAX} bytes"));
            return Err(failure.hint("one line is enough; the line end does not count"));
        }
        if purpose == Purpose::Seal && text.chars().count() < MIN_NEW {
            return Err(Failure::usage(format!(
                "{what}-length: a new {what} has at least {MIN_NEW} characters"
            ))
            .hint("several words are easy to say and hard to guess"));
        }
        Ok(Password::new(text))
    }

    fn read_file(&self, path: &Path) -> Result<Zeroizing<String>, Failure> {
        let file = File::open(path).map_err(|e| Failure::io(path, &e))?;
        self.read_open(file, path)
    }

    fn read_descriptor(&self, fd: u32) -> Result<Zeroizing<String>, Failure> {
        let (to_file, to_fd) = (self.file, self.fd);
        let descriptors = Path::new("/proc/self/fd");
        if !descriptors.is_dir() {
            let what = format!("{to_fd} needs /proc, which is not mounted here");
            return Err(Failure::new(ExitCode::Storage, what).hint(format!("use {to_file} FILE")));
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
            let open = format!("open it for the command: {to_fd} {fd} {fd}<FILE");
            Failure::usage(what).hint(open)
        })?;
        self.read_open(file, &path)
    }

    fn read_open(&self, file: File, path: &Path) -> Result<Zeroizing<String>, Failure> {
        let mut text = Zeroizing::new(String::with_capacity(2 * MAX));
        let read = file.take(2 * MAX as u64).read_to_string(&mut text);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                let what = format!("{}: a {} is text in UTF-8", path.display(), self.what);
                Failure::usage(what).hint(report::NOT_UTF8)
            }
            _ => Failure::io(path, &error),
        })?;
        Ok(text)
    }

    async fn read_terminal(&self, purpose: Purpose) -> Result<Zeroizing<String>, Failure> {
        let what = self.what;
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let failure = Failure::usage(format!(
                "a {what} is needed, and there is no terminal to ask for it"
            ));
            let (file, fd) = (self.file, self.fd);
            return Err(failure.hint(match file == fd {
                true => format!("give it by {file} FILE"),
                false => format!("give it by {file} FILE or {fd} FD"),
            }));
        }
        let interrupted = format!("interrupted; no {what} was given");
        let prompt = self.prompt;
        terminal::asked(what, &interrupted, move || ask(prompt, purpose)).await
    }
}

impl PasswordSource for Secret {
    fn ask(&self) -> BoxFuture<'_, Result<Password, Box<dyn Error + Send + Sync>>> {
        Box::pin(async { Ok(self.read(Purpose::Open).await?) })
    }
}

fn ask(prompt: &str, purpose: Purpose) -> io::Result<Zeroizing<String>> {
    loop {
        let password = terminal::read_secret(prompt)?;
        if password.is_empty() {
            continue;
        }
        if purpose == Purpose::Open || *terminal::read_secret("Once more")? == *password {
            return Ok(password);
        }
        terminal::say("They differ, try again");
    }
}
