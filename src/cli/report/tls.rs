//! Certificates and keys that cannot be used.

use std::path::Path;

use super::{Failure, Hint, advice};
use crate::{
    name::shell_word,
    session::{
        advice::{NEWER, NO_LIST, NO_RECORD, bad_file, distrusted, is_missing_alone},
        care::{NO_HOME, unless_without_modes},
        certs::other_key,
    },
    tls::{self, BadFile, Distrust, KeyForm, TlsError, WhyRefused},
};

/// Where the key of the circle is needed.
const NOT_HERE: &str = "run it on the machine that made the circle";

/// Where the circle's machine has no record of a certificate.
const NEVER_ISSUED: &str =
    "see what was issued: colis certs show; what is not recorded is revoked by its peer id";

/// Where a passphrase is needed and was not given.
const GIVE_PASSPHRASE: &str = "run it on a terminal, or give the passphrase: --key-passphrase-file FILE or --key-passphrase-fd N";

/// Where it is not the right one.
const LOST_PASSPHRASE: &str = "try again; if it is lost, only a copy of certs/ from before it was set has keys that can be used: docs/operating.md";

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        let error = match error {
            TlsError::Trust(error) => return error.into(),
            other => other,
        };
        let failure = || Self::of(&error);
        if let Some(hint) = of_outside(&error) {
            return failure().hint(hint);
        }
        match &error {
            TlsError::Newer { .. } => failure().hint(NEWER),
            TlsError::NoRecord { .. } => failure().hint(NO_RECORD),
            TlsError::Missing { path } if is_missing_alone(path) => {
                failure().hint(bad_file(path))
            }
            TlsError::Missing { .. } => failure().hint(NO_HOME),
            TlsError::Exists { .. } => {
                failure().hint(
                    "nothing was changed; use another --home or folder, or leave the circle of this one first: colis certs leave",
                )
            }
            TlsError::TooOpen { path, .. } => failure().hint(unless_without_modes(
                path,
                format!("chmod 600 {}", shell_word(path)),
            )),
            TlsError::Writable { path, .. } => failure().hint(unless_without_modes(
                path,
                format!("chmod go-w {}", shell_word(path)),
            )),
            TlsError::Mounted { path } => failure().hint(format!(
                "unmount it, and mount it at a folder in {} instead: that is where circles are that were left",
                path.with_file_name("left").display()
            )),
            TlsError::Locked { .. } | TlsError::Closed => failure().hint(GIVE_PASSPHRASE),
            TlsError::WrongPassphrase => failure().hint(LOST_PASSPHRASE),
            TlsError::KeyForm { path, form } => failure().hint(for_key(path, *form)),
            TlsError::Malformed { path, .. } => failure().hint(bad_file(path)),
            TlsError::BadList(_) => failure().hint(
                "nothing was taken from that member: its list is damaged, or of another circle",
            ),
            TlsError::BadDirectory(_) => failure().hint(
                "nothing was taken from that member: its directory is damaged, or of another circle",
            ),
            TlsError::BadName => failure().hint("for instance: box-1"),
            TlsError::AlreadyIssued { name, until } => failure().hint(advice::already_issued(name, *until)),
            TlsError::NeverIssued { .. } => failure().hint(NEVER_ISSUED),
            TlsError::Refused(WhyRefused::SameName { .. }) => {
                failure().hint("nothing was revoked: name the one that is meant by its whole id: colis certs revoke ID")
            }
            TlsError::Distrusted(early @ Distrust::NotYetValid { .. }) => {
                failure().hint(distrusted(early))
            }
            TlsError::Crypto(_)
            | TlsError::Distrusted(_)
            | TlsError::Refused(_)
            | TlsError::Trust(_) => failure(),
            TlsError::NotTheCircle { .. } => failure().hint(NOT_HERE),
            TlsError::Io { path, source } => Self::io(path, source),
        }
    }
}

/// What to do where an outside authority signs.
fn of_outside(error: &TlsError) -> Option<Hint> {
    match error {
        TlsError::Malformed {
            path,
            fault: BadFile::Authority(_),
        } => Some(Hint::from(format!(
            "put the root of that authority and all between it and its peers into one file, PEM in any order: cat root.pem \
             intermediate.pem >{}",
            shell_word(path)
        ))),
        TlsError::Malformed {
            fault: BadFile::List(list),
            ..
        } if list.is_of_outside() => Some(NO_LIST.into()),
        TlsError::Distrusted(
            known @ (Distrust::NotAllowed { .. }
            | Distrust::SecondKey { .. }
            | Distrust::Unchecked { .. }),
        ) => Some(distrusted(known).into()),
        TlsError::Refused(why) => refused(why),
        _ => None,
    }
}

/// What to type in the place of what was refused where an outside authority signs.
fn refused(why: &WhyRefused) -> Option<Hint> {
    let lines = match why {
        WhyRefused::OutsideAuthority(asked) => asked.instead.clone(),
        WhyRefused::NotForServers { name, key, .. } => {
            after("for the same key:", tls::how_to_request(name, key))
        }
        WhyRefused::KeyKind { name, .. } => after(
            "make another key, and a certificate for it:",
            tls::how_to_make(name, Path::new("server-key.pem")),
        ),
        WhyRefused::NotOfKey { .. } => after(
            "name the key that the certificate was asked for with",
            Vec::new(),
        ),
        WhyRefused::OtherPeer(other) => after("if that is meant:", other_key(&other.name).into()),
        WhyRefused::OwnAuthority => after(
            "leave that circle first: colis certs leave; then: colis certs import --ca FILE --cert FILE --key FILE",
            Vec::new(),
        ),
        _ => return None,
    };
    let (first, steps) = lines.split_first()?;
    Some(Hint::from(first).with_steps(steps.to_vec()))
}

fn after(first: &str, steps: Vec<String>) -> Vec<String> {
    [vec![first.to_owned()], steps].concat()
}

/// How a key of another form becomes one that is read.
fn for_key(path: &Path, form: KeyForm) -> String {
    let path = shell_word(path);
    match form {
        KeyForm::Sec1 | KeyForm::Encrypted => format!(
            "openssl pkcs8 -topk8 -nocrypt -in {path} -out {path}.new && chmod 600 {path}.new && mv {path}.new {path}"
        ),
        KeyForm::Ssh => format!("ssh-keygen -p -N '' -m PKCS8 -f {path}"),
        KeyForm::Rsa => "let the circle's machine issue a new certs/: colis certs issue".to_owned(),
        KeyForm::Certificate => {
            "put the private key there that was made with the certificate".to_owned()
        }
    }
}
