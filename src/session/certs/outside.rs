//! A home whose certificates an outside authority signs: how it is made and kept, and what stands there in the place of what a
//! circle's own authority does.

use crate::{
    config::Config,
    session::{Error, Home, Mistake},
    tls::{
        self, Caller, CertsDir, Circle, Inspected, OutsideAuthority, OutsideFiles, TlsError,
        WhyRefused,
    },
};

use super::{MadePeer, RenewedCertificate, renew::CertificateOf};

const IMPORT: &str = "colis certs import --ca FILE --cert FILE --key FILE";

/// What was made of the files of an outside authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportedOutside {
    /// A home's certificates.
    Made(MadePeer),
    /// Another certificate of the peer that was there.
    Renewed(RenewedCertificate),
    /// Other certificates of the authority, or other revocation lists.
    Replaced,
}

/// Makes `home` one of an outside authority; in a home that is one, replaces what is given. What is not given at first is taken from
/// where the settings say.
///
/// # Errors
/// Fails if a file is missing or cannot be used, if `home` has certificates of a circle's own authority, or if a renewed certificate
/// is for another key. Then nothing has changed.
pub fn import_outside(
    home: &Home,
    config: &Config,
    files: &OutsideFiles,
) -> Result<ImportedOutside, Error> {
    let dir = CertsDir::new(home.certs()).with(home.outside(config));
    if dir.outside().is_some() && dir.seal_key().exists() {
        return replace(&dir, files);
    }
    let said = home.outside(config);
    let files = OutsideFiles {
        ca: files.ca.clone().or(said.ca),
        cert: files.cert.clone().or(said.cert),
        key: files.key.clone().or(said.key),
        crl: files.crl.clone().or(said.crl),
    };
    if files.ca.is_none() || files.cert.is_none() || files.key.is_none() {
        return Err(Mistake::OutsideFiles.into());
    }
    let identity = tls::import_outside(&files, &dir)?;
    home.keep_store();
    Ok(ImportedOutside::Made(MadePeer::of(&identity, &dir)))
}

fn replace(dir: &CertsDir, files: &OutsideFiles) -> Result<ImportedOutside, Error> {
    let before = Inspected::peer(dir).map(|own| own.caller.serial).ok();
    let identity = tls::update_outside(files, dir)?;
    let Caller {
        name,
        serial,
        not_after,
        ..
    } = identity.caller().clone();
    Ok(match files.cert {
        None => ImportedOutside::Replaced,
        Some(_) => ImportedOutside::Renewed(RenewedCertificate {
            name: Some(name),
            purpose: CertificateOf::Peer,
            not_after,
            new: before != Some(serial),
            renewable_from: None,
        }),
    })
}

/// What only a circle with an authority of its own does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum OfOwnAuthority {
    Init,
    Issue,
    Revoke,
    Renew,
    RenewCircle,
    Pair,
}

/// Fails in a home of an outside authority, with what stands in the place of what was asked.
pub(in crate::session) fn need_own_authority(
    dir: &CertsDir,
    asked: OfOwnAuthority,
) -> Result<(), Error> {
    let Some(path) = dir.outside() else {
        return Ok(());
    };
    let authority = Circle::authority_of(dir).unwrap_or_else(|| path.display().to_string());
    let (what, instead) = (asked.what(), asked.instead(dir));
    let refused = Box::new(OutsideAuthority {
        authority,
        what,
        instead,
    });
    Err(TlsError::Refused(WhyRefused::OutsideAuthority(refused)).into())
}

impl OfOwnAuthority {
    fn what(self) -> &'static str {
        match self {
            Self::Init => "making a circle",
            Self::Issue => "issuing certificates",
            Self::Revoke => "revoking",
            Self::Renew | Self::RenewCircle => "renewing",
            Self::Pair => "pairing",
        }
    }

    /// What the person does, in lines.
    fn instead(self, dir: &CertsDir) -> Vec<String> {
        let one = |text: String| vec![text];
        match self {
            Self::Init => one(format!(
                "get a certificate of that authority, then: {IMPORT}; or take [tls] out of colis.toml"
            )),
            Self::Issue | Self::Pair => vec![
                format!("each machine gets its certificate from that authority, and there: {IMPORT}"),
                "then here, to let it in: colis peers allow ID; or its id or DNS name into allowed of [tls] in colis.toml"
                    .to_owned(),
            ],
            Self::Revoke => vec![
                "here at once: colis peers block NAME".to_owned(),
                format!(
                    "everywhere, when the authority has it in its list: on each machine that list into {}",
                    dir.crl().display()
                ),
            ],
            Self::Renew => renewal(dir),
            Self::RenewCircle => one(
                "the authority renews its own certificates; then on each machine: colis certs import --ca FILE".to_owned(),
            ),
        }
    }
}

/// What the owner types to have the certificate of this peer renewed.
fn renewal(dir: &CertsDir) -> Vec<String> {
    let own = Inspected::peer(dir).ok();
    let name = own.map_or_else(|| "NAME".to_owned(), |own| own.caller.name);
    let mut lines = vec!["that authority renews it, for the same key:".to_owned()];
    lines.extend(tls::how_to_request(&name, &dir.server_key()));
    lines.push("colis certs import --cert cert.pem".to_owned());
    lines.push("with another key it is another peer:".to_owned());
    lines.extend(other_key(&name));
    lines
}

/// What the owners type if a peer gets another key.
pub(crate) fn other_key(name: &str) -> [String; 2] {
    [
        format!("here: colis certs leave, then {IMPORT}"),
        format!(
            "on each other machine: colis peers forget {name}, and its new id in place of the old one where that was allowed"
        ),
    ]
}
