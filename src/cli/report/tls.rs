//! Certificates and keys that cannot be used.

use std::path::Path;

use super::{Failure, advice};
use crate::{
    session::{
        advice::{NEWER, NO_LIST, NO_RECORD, bad_file, distrusted, is_missing_alone},
        care::{NO_HOME, unless_without_modes},
        certs::other_key,
    },
    tls::{self, BadFile, Distrust, KeyForm, TlsError, WhyRefused},
};

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        let error = match error {
            TlsError::Trust(error) => return error.into(),
            other => other,
        };
        let failure = || Self::of(&error);
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
                format!("chmod 600 {}", path.display()),
            )),
            TlsError::Writable { path, .. } => failure().hint(unless_without_modes(
                path,
                format!("chmod go-w {}", path.display()),
            )),
            TlsError::Mounted { path } => failure().hint(format!(
                "unmount it, and mount it at a folder in {} instead: that is where circles are that were left",
                path.with_file_name("left").display()
            )),
            TlsError::KeyForm { path, form } => failure().hint(for_key(path, *form)),
            TlsError::Malformed {
                path,
                fault: BadFile::Authority(_),
            } => failure().hint(format!(
                "put the root of that authority and all between it and its peers into one file, PEM in any order: cat root.pem \
                 intermediate.pem >{}",
                path.display()
            )),
            TlsError::Malformed {
                fault: BadFile::List(list),
                ..
            } if list.is_of_outside() => failure().hint(NO_LIST),
            TlsError::Malformed { path, .. } => failure().hint(bad_file(path)),
            TlsError::BadList(_) => failure().hint(
                "nothing was taken from that member: its list is damaged, or of another circle",
            ),
            TlsError::BadDirectory(_) => failure().hint(
                "nothing was taken from that member: its directory is damaged, or of another circle",
            ),
            TlsError::Crypto(_) => failure(),
            TlsError::BadName => failure().hint("for instance: box-1"),
            TlsError::AlreadyIssued { name, until } => failure().hint(advice::already_issued(name, *until)),
            TlsError::NeverIssued { .. } => {
                failure().hint(
                    "see what was issued: colis certs show; what is not recorded is revoked by its peer id",
                )
            }
            TlsError::Refused(WhyRefused::SameName { .. }) => {
                failure().hint("nothing was revoked: name the one that is meant by its whole id: colis certs revoke ID")
            }
            TlsError::Refused(why) if for_outside(why).is_some() => {
                failure().hint(for_outside(why).unwrap_or_default())
            }
            TlsError::Distrusted(
                known @ (Distrust::NotYetValid { .. }
                | Distrust::NotAllowed { .. }
                | Distrust::SecondKey { .. }
                | Distrust::Unchecked { .. }),
            ) => failure().hint(distrusted(known)),
            TlsError::Distrusted(_) | TlsError::Refused(_) => failure(),
            TlsError::NotTheCircle { .. } => {
                failure().hint("run it on the machine that made the circle")
            }
            TlsError::Io { path, source } => Self::io(path, source),
            TlsError::Trust(_) => failure(),
        }
    }
}

/// What to do where an outside authority signs.
fn for_outside(why: &WhyRefused) -> Option<String> {
    let kept = Path::new("server-key.pem");
    match why {
        WhyRefused::OutsideAuthority { instead, .. } => Some(instead.clone()),
        WhyRefused::NotForServers { name, key, .. } => Some(tls::how_to_request(name, key)),
        WhyRefused::KeyKind { name, .. } => Some(tls::how_to_make(name, kept)),
        WhyRefused::NotOfKey { .. } => Some("name the key that the certificate was asked for with".to_owned()),
        WhyRefused::OtherPeer { name, .. } => Some(other_key(name)),
        WhyRefused::OwnAuthority => Some(
            "leave that circle first: colis certs leave; then: colis certs import --ca FILE --cert FILE --key FILE".to_owned(),
        ),
        _ => None,
    }
}

/// How a key of another form becomes one that is read.
fn for_key(path: &Path, form: KeyForm) -> String {
    let path = path.display();
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
