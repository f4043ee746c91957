//! How a command fails: a sentence, a hint, and an exit code that scripts can rely on.

mod advice;
mod ambiguous;
mod exit;
mod folder;
mod hint;
mod pair;
mod session;
mod source;
mod store;
mod tls;
mod usage;

use std::{
    fmt::{self, Display},
    io,
    path::Path,
};

use rustix::io::Errno;

use super::{output::Output, show::brief, terminal};
use crate::{
    address::{AddressError, PeerAddress},
    config::{ConfigError, ConfigFault, units::UnitError},
    crypto::CryptoError,
    disk::NoRoom,
    id::PeerId,
    manifest::{ManifestError, VerifyError},
    name::{Escaped, shell_word},
    peer::PeerError,
    received::ReceivedError,
    session::{
        Event, Failed, Kind,
        advice::{NEWER, no_rights},
    },
    transfer::TransferError,
    trust::TrustError,
};

pub(super) use exit::ExitCode;
pub(super) use hint::Hint;
pub(super) use session::to_go_back;
pub(super) use usage::usage;

/// For a file that must be text.
pub(super) const NOT_UTF8: &str =
    "it must be text in UTF-8: save it so, for instance: iconv -f UTF-16 -t UTF-8";

/// What failed, on what, and what to do next.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: ExitCode,
    what: String,
    /// What is said to a person instead: a sentence, and the lines of a list below it.
    said: Option<Box<(String, Vec<String>)>>,
    hint: Option<Hint>,
    about: Option<Box<About>>,
    /// Whether a person was asked, and went back.
    is_left: bool,
}

/// Who misbehaved, which peer it is about, and where.
#[derive(Debug, Default)]
struct About {
    culprit: Option<PeerId>,
    peer: Option<PeerId>,
    address: Option<String>,
}

impl Failure {
    pub(super) fn new(code: ExitCode, what: impl Display) -> Self {
        Self {
            code,
            what: what.to_string(),
            said: None,
            hint: None,
            about: None,
            is_left: false,
        }
    }

    /// A question that its person left without an answer: a menu goes back then, and says nothing of it.
    pub(super) fn left(what: impl Display) -> Self {
        Self {
            is_left: true,
            ..Self::usage(what)
        }
    }

    /// Whether it is no more than a question that was left.
    pub(super) fn is_left(&self) -> bool {
        self.is_left
    }

    /// What an error says, with the exit code of its kind.
    pub(super) fn of<'e, E: Display>(error: &'e E) -> Self
    where
        Kind: From<&'e E>,
    {
        Self::new(Kind::from(error).into(), error)
    }

    pub(super) fn usage(what: impl Display) -> Self {
        Self::new(ExitCode::Usage, what)
    }

    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let what = format!("{}: {error}", path.display());
        let failure = Self::new(Kind::from(error).into(), what);
        match error.kind() {
            io::ErrorKind::NotFound => failure
                .hint("check the path, and quote it if it has spaces or special characters"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self {
                hint: no_rights(path, error).map(Hint::from),
                ..failure
            },
            io::ErrorKind::InvalidData => failure.hint(NOT_UTF8),
            io::ErrorKind::FileTooLarge => failure.hint(
                "this process may write no larger files: raise the limit, `ulimit -f unlimited` or LimitFSIZE= of a service; or choose a folder on another file system",
            ),
            io::ErrorKind::StorageFull => failure.hint(advice::full(path)),
            _ if Errno::from_io_error(error) == Some(Errno::MFILE) => failure
                .hint("this process may open too few files: raise the limit, `ulimit -n 4096`"),
            _ => failure,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says `sentence` to a person, with `list` below it; programs are told what it was made of.
    fn listing(self, sentence: String, list: Vec<String>) -> Self {
        let said = Some(Box::new((sentence, list)));
        Self { said, ..self }
    }

    /// Says all of several errors, and what to do about the last.
    fn of_several<E: Display>(errors: impl IntoIterator<Item = E>) -> Self
    where
        Self: From<E>,
    {
        let (mut said, mut last) = (Vec::new(), None);
        for error in errors {
            said.push(error.to_string());
            last = Some(Self::from(error));
        }
        let what = said.join("; ");
        match last {
            Some(last) => Self {
                what,
                said: None,
                ..last
            },
            None => Self::new(ExitCode::Network, what),
        }
    }

    /// Who misbehaved, which peer it is about, and where.
    fn about(
        self,
        culprit: Option<PeerId>,
        peer: Option<PeerId>,
        address: Option<&PeerAddress>,
    ) -> Self {
        let address = address.map(ToString::to_string);
        let about = About {
            culprit,
            peer,
            address,
        };
        let about = Some(Box::new(about));
        Self { about, ..self }
    }

    /// Its exit code, its sentence, its hint.
    pub(super) fn into_parts(self) -> (ExitCode, String, Option<String>) {
        (self.code, self.what, self.hint.map(|hint| hint.text(false)))
    }

    /// What a person is told of it beside a question, in one line: its sentence, and its hint.
    pub(super) fn sentences(self) -> String {
        let hint = self.hint.map(|hint| hint.text(true));
        match hint {
            Some(hint) => format!("{}; {hint}", self.what),
            None => self.what,
        }
    }

    /// Says it on standard error, or as an object. What came from elsewhere is escaped.
    pub(super) fn print(&self, output: Output) {
        let is_menu = terminal::is_held();
        let steps = self.hint.as_ref().map_or(&[][..], Hint::steps);
        let hint = self.hint.clone().map(|hint| hint.text(is_menu));
        if output.json {
            let lines = hint.iter().chain(steps).map(String::as_str);
            let lines: Vec<_> = lines.collect();
            let hint = hint.as_ref().map(|_| lines.join("\n"));
            let none = About::default();
            let about = self.about.as_deref().unwrap_or(&none);
            return output.last_event(&Event::Error(Failed {
                exit: self.code as u8,
                message: self.what.clone(),
                hint,
                culprit: about.culprit,
                peer_id: about.peer,
                address: about.address.clone(),
            }));
        }
        let (sentence, list) = match self.said.as_deref() {
            Some((sentence, list)) => (sentence, list.as_slice()),
            None => (&self.what, [].as_slice()),
        };
        let sentence = brief::on_clock_here(sentence);
        let mut text = format!("colis: {}", Escaped::new(&sentence));
        for line in list {
            text.push_str(&format!("\n  {}", Escaped::new(line)));
        }
        if let Some(hint) = hint {
            let hint = brief::on_clock_here(&hint);
            text.push_str(&format!("\nhint: {}", Escaped::whole(&hint)));
        }
        for step in steps {
            text.push_str(&format!("\n  {}", Escaped::new(step)));
        }
        output.warn(text);
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let failure = Self::of(&error);
        match error {
            ManifestError::FromTheFuture { .. } => {
                failure.hint("compare the clocks of both machines")
            }
            ManifestError::Expired { .. } => failure.hint("ask the sender to send it again"),
            ManifestError::Untrusted(VerifyError::Blocked { .. }) => failure.hint(
                "let it in again first: colis peers role NAME member; see who is who: colis peers",
            ),
            _ => failure,
        }
    }
}

impl From<CryptoError> for Failure {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::WrongPassword => Self::of(&error).hint("ask the sender for the password"),
            _ => Self::of(&error).hint("do not use it; ask the sender to send it again"),
        }
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        let failure = || Self::of(&error);
        match error {
            TransferError::Journal {
                ref path,
                ref source,
            } => Self::io(path, source),
            TransferError::Source { .. }
            | TransferError::UnsupportedSource { .. }
            | TransferError::DanglingLink { .. }
            | TransferError::PrivateKey { .. }
            | TransferError::BadGlob { .. }
            | TransferError::NothingNamed
            | TransferError::AllFiltered
            | TransferError::DuplicateSource { .. }
            | TransferError::UnsendableName { .. }
            | TransferError::TooDeep { .. }
            | TransferError::NamelessSource { .. }
            | TransferError::SourceChanged { .. }
            | TransferError::NotAsSent { .. }
            | TransferError::TooManyChunks { .. }
            | TransferError::TooManyEntries { .. } => source::failure(&error),
            TransferError::Output(error) => Self::io(Path::new("standard output"), &error),
            TransferError::Stopped => failure(),
            TransferError::KeptWaiting { .. } => failure().hint(
                Hint::from("it alone may be as slow as it likes: colis send --resume all")
                    .in_menu("it alone may be as slow as it likes: go on with it by 5"),
            ),
            TransferError::AlreadySending => failure().hint("wait for it to end"),
            TransferError::NotAccepted { .. } => failure().hint("ask the recipient"),
            TransferError::NotForUs { .. } => failure().hint("ask the sender to send it to you"),
            TransferError::NotOurs { .. } => failure().hint("only its sender can do that"),
            TransferError::LetGo => failure().hint("send it again: colis send"),
            TransferError::PasswordNeeded => {
                failure().hint("give the password: --password-file FILE, or on a terminal")
            }
            TransferError::Integrity { .. } => {
                failure().hint("nothing was released; ask the sender to send it again")
            }
            TransferError::NotOneFile { .. } => failure().hint("use a folder: --out DIR"),
            TransferError::Store(error) => error.into(),
            TransferError::NoStore { failures } => Self::of_several(failures),
            TransferError::Manifest(error) => error.into(),
            TransferError::Crypto(error) => error.into(),
            TransferError::Name(_) => {
                failure().hint("the sender's table is hostile; nothing was written")
            }
            TransferError::Received(error) => error.into(),
        }
    }
}

/// Where to receive instead of `path`, which is not safe.
fn instead_of(path: &Path) -> String {
    match path.is_symlink() && path.is_dir() {
        true => format!(
            "it is a link to a folder: to follow it, --out {}/",
            shell_word(path)
        ),
        false => "choose another folder: --out DIR".to_owned(),
    }
}

impl From<ReceivedError> for Failure {
    fn from(error: ReceivedError) -> Self {
        match &error {
            ReceivedError::Unsafe { path, .. } => Self::of(&error).hint(instead_of(path)),
            ReceivedError::Gone { path, .. } => Self::of(&error).hint(format!(
                "mount its disk; to receive there all the same, or elsewhere: make the folder, then \
                 colis config set received {}",
                shell_word(path)
            )),
            ReceivedError::InUse { .. } => Self::of(&error).hint("wait for it to end"),
            ReceivedError::BadTable { .. } => Self::of(&error),
            ReceivedError::OneName { .. } => Self::of(&error)
                .hint("choose a folder on another file system, such as ext4: --out DIR"),
            ReceivedError::NoRoom(NoRoom::Bytes { .. }) => {
                Self::of(&error).hint("free some space, or choose another folder: --out DIR")
            }
            ReceivedError::NoRoom(NoRoom::Files { .. }) => {
                Self::of(&error).hint("remove some files, or choose another folder: --out DIR")
            }
            ReceivedError::NoSpace { .. } => {
                Self::of(&error).hint("free some space, then run it again")
            }
            ReceivedError::Io { path, source } => Self::io(path, source),
        }
    }
}

/// What to do about an address book that is damaged.
const FORGOTTEN: &str = "restore it from a backup, or remove it: then nobody is known, and roles and blocks are forgotten";

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        let failure = || Self::of(&error);
        match &error {
            TrustError::NameTaken { name, .. } => failure().hint(format!(
                "if that peer really has a new key: colis peers forget {name}, then try again"
            )),
            TrustError::OldBundle { .. } => failure().hint(
                "its clock was set back, or two machines serve copies of its home; it heals itself within minutes, or at once when \
                 `colis serve` is started again there: docs/operating.md",
            ),
            TrustError::AliasTaken { alias, .. } => failure()
                .hint(format!("take another: colis peers rename {alias} NAME")),
            TrustError::InUse { .. } | TrustError::BadName { .. } => {
                failure().hint("choose another name; see who is known: colis peers")
            }
            TrustError::Unknown { name } => {
                failure().hint(session::about_an_id(name, "see who is known: colis peers"))
            }
            TrustError::Newer { .. } => failure().hint(NEWER),
            TrustError::Damaged { .. } => {
                failure().hint(FORGOTTEN)
            }
            TrustError::Io { path, source } => Self::io(path, source),
        }
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Store(error) => error.into(),
            PeerError::Tls(error) => error.into(),
            PeerError::Received(ReceivedError::Unsafe { .. }) => {
                Self::of(&error).hint(
                    "it must be a folder of its own: remove it, and mount another disk there, or choose another --home DIR",
                )
            }
            PeerError::Received(error) => error.into(),
            PeerError::Bind(_) => {
                Self::of(&error).hint("choose another: --listen :9443")
            }
            PeerError::Serve(_) => Self::of(&error),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::of(&error);
        match &error {
            ConfigError::Io { source, .. } => match source.kind() {
                io::ErrorKind::InvalidData => failure.hint(NOT_UTF8),
                io::ErrorKind::PermissionDenied => failure.hint(
                    "a home is for its owner alone: run this as that user, or name another home: --home DIR",
                ),
                _ => failure,
            },
            ConfigError::Invalid { fault: ConfigFault::UnknownKey { .. }, .. } => failure
                .hint("correct it, or remove it; a newer colis may have written it: then use that one"),
            _ => failure,
        }
    }
}

impl From<UnitError> for Failure {
    fn from(error: UnitError) -> Self {
        Self::of(&error)
    }
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        Self::of(&error)
    }
}
