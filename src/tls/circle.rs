//! The circle as a judge: which certificates and signatures count, as of now.
//!
//! Its authority is its own, or an outside one. An outside one has intermediates, lists of its own form, and signs for others than
//! members; apart from that both are judged by the same steps.

mod handle;

use std::{fmt::Display, sync::Arc};

pub use handle::{CircleHandle, Taken};

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder,
};

use super::{
    BadFile, BadList, Caller, CertsDir, TlsError, anchor::Anchor, certificate::is_for,
    identity::read_certificate, io_error, lists::Lists, outside_members::OutsideMembers, provider,
    revoked::Revoked, writers,
};
use crate::{
    id::PeerId,
    manifest::{BadCertificate, Distrust, Timestamp},
    name::LibraryError,
    private,
    trust::KnownPeer,
};

/// `id-kp-serverAuth` and `id-kp-clientAuth` (RFC 5280, 4.2.1.12), DER. A certificate must name what it is for; an intermediate
/// that names anything must name that too.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What a certificate is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Server,
    Client,
}

/// The certificates of the circle's authority, its revocation lists and who is a member, as they were read.
#[derive(Clone)]
pub struct Circle {
    anchor: Arc<Anchor>,
    /// The lists of the circle's own authority, which members give each other.
    revoked: Revoked,
    /// Those of an outside one.
    lists: Arc<Lists>,
    /// Who is a member where an outside authority signs; whom the circle's own has signed for always is.
    members: Option<OutsideMembers>,
}

impl Circle {
    /// Reads the circle of `dir`.
    ///
    /// # Errors
    /// [`TlsError::Missing`], [`TlsError::Malformed`]; [`TlsError::Writable`] if others could change who is a member.
    pub fn load(dir: &CertsDir) -> Result<Self, TlsError> {
        writers::check_writers(dir)?;
        let mut circle = Self::without_revocations(dir)?;
        let path = dir.crl();
        if path.exists() {
            let text = private::read(&path).map_err(|e| io_error(&path, e))?;
            let own = read_certificate(&dir.server_cert())?;
            let read = circle.read(&own, &text);
            read.map_err(|list| TlsError::Malformed {
                path,
                fault: list.into(),
            })?;
        }
        Ok(circle)
    }

    /// Reads the lists in `text`, of the form that its authority has.
    fn read(&mut self, own: &CertificateDer<'_>, text: &[u8]) -> Result<(), BadList> {
        match self.is_outside() {
            true => self.lists = Arc::new(Lists::parse(text, &self.anchor, own)?),
            false => self.revoked = self.read_lists(own, text)?,
        }
        Ok(())
    }

    /// Fails if these are older lists of an outside authority than those of `before`, or lack some.
    pub(super) fn check_not_behind(&self, before: &Self, dir: &CertsDir) -> Result<(), TlsError> {
        match self.lists.behind(&before.lists, &self.anchor) {
            None => Ok(()),
            Some(issuer) => Err(TlsError::Malformed {
                path: dir.crl(),
                fault: BadList::Older { issuer }.into(),
            }),
        }
    }

    /// The circle of `dir` without its revocation lists: for saying what is wrong, never for letting anybody in.
    pub(super) fn without_revocations(dir: &CertsDir) -> Result<Self, TlsError> {
        let path = dir.ca_cert();
        let pem = private::read(&path).map_err(|e| io_error(&path, e))?;
        let (anchor, members) = match dir.outside() {
            None => (Anchor::parse(&pem), None),
            Some(_) => {
                let own = read_certificate(&dir.server_cert())?;
                let key = Caller::from_certificate(&own)?.key_id;
                let members = OutsideMembers::load(dir, key)?;
                let anchor = Anchor::parse_outside(&pem, &own);
                (anchor.map_err(BadFile::from), Some(members))
            }
        };
        Ok(Self {
            anchor: Arc::new(anchor.map_err(|fault| TlsError::Malformed { path, fault })?),
            revoked: Revoked::default(),
            lists: Arc::default(),
            members,
        })
    }

    /// Whether an outside authority signs for it.
    pub fn is_outside(&self) -> bool {
        self.members.is_some()
    }

    /// What the outside authority is called, if one signs for it.
    pub fn authority(&self) -> Option<&str> {
        self.is_outside().then(|| self.anchor.common_name())
    }

    /// When the circle's own certificate ends. No certificate that it has signed counts longer.
    pub fn not_after(&self) -> Timestamp {
        self.anchor.not_after()
    }

    /// When the circle's own certificate begins.
    pub fn not_before(&self) -> Timestamp {
        self.anchor.not_before()
    }

    /// What the peer was called that made the circle, by the circle's certificate.
    pub fn maker(&self) -> Option<&str> {
        self.anchor.maker()
    }

    /// What names the circle of `dir`, if that can be read: the digest of its key, as a peer's id is of that of a peer.
    pub fn id_of(dir: &CertsDir) -> Option<PeerId> {
        Some(Self::without_revocations(dir).ok()?.anchor.id())
    }

    /// What the outside authority of `dir` is called, if that can be read.
    pub fn authority_of(dir: &CertsDir) -> Option<String> {
        let circle = Self::without_revocations(dir).ok()?;
        circle.authority().map(str::to_owned)
    }

    pub(super) fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// The same of the circle of `dir`, if that can be read.
    pub fn maker_of(dir: &CertsDir) -> Option<String> {
        let circle = Self::without_revocations(dir).ok()?;
        circle.maker().map(str::to_owned)
    }

    /// Reads revocation lists and checks that our circle signed each, by judging our own certificate under it.
    fn read_lists(&self, own: &CertificateDer<'_>, pem: &[u8]) -> Result<Revoked, BadList> {
        let own = EndEntityCert::try_from(own).map_err(unreadable)?;
        Revoked::parse(pem, |list| self.check_signature(list, &own))
    }

    fn check_signature(
        &self,
        list: &CertificateRevocationListDer<'_>,
        own: &EndEntityCert<'_>,
    ) -> Result<(), BadList> {
        let list = OwnedCertRevocationList::from_der(list).map_err(unreadable)?;
        let list = CertRevocationList::from(list);
        let lists = [&list];
        let options = RevocationOptionsBuilder::new(&lists).map_err(|_| BadList::None)?;
        let options = options
            .with_depth(RevocationCheckDepth::EndEntity)
            // A list past its date still applies: a circle's machine that is off must not stop the others.
            .with_expiration_policy(ExpirationPolicy::Ignore)
            .build();
        let algorithms = provider().signature_verification_algorithms.all;
        let judged = own.verify_for_usage(
            algorithms,
            self.anchor.trusted(),
            &[],
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(middle_of_validity(own))),
            KeyUsage::client_auth(),
            Some(options),
            None,
        );
        match judged {
            Ok(_) | Err(webpki::Error::CertRevoked) => Ok(()),
            Err(e) => Err(BadList::NotSigned(LibraryError::new(e))),
        }
    }

    /// Whether this certificate is revoked: it, its key, or the peer that it acts for; or what has signed it.
    pub fn is_revoked(&self, caller: &Caller) -> bool {
        self.revoked.has(caller) || self.lists.has(&caller.issuer, &caller.serial)
    }

    /// Whether who shows this certificate, which the authority has signed, is no member, or one no more.
    pub fn is_out(&self, caller: &Caller) -> bool {
        let members = self.members.as_ref();
        self.is_revoked(caller) || members.is_some_and(|members| members.admit(caller).is_err())
    }

    /// Fails for a known peer that an outside authority has revoked, or that is no member any more. Its own authority takes back keys:
    /// [`is_key_revoked`](Self::is_key_revoked).
    ///
    /// # Errors
    /// [`Distrust`].
    pub fn check_known(&self, known: &KnownPeer) -> Result<(), Distrust> {
        let Some(members) = &self.members else {
            return Ok(());
        };
        let caller = Caller::from_certificate(&known.certificate)?;
        match self.is_revoked(&caller) {
            false => members.admit(&caller),
            true => Err(Distrust::Revoked {
                name: caller.name,
                peer: caller.key_id,
            }),
        }
    }

    /// Whether a known peer is revoked.
    pub fn is_revoked_known(&self, known: &KnownPeer) -> bool {
        let judged = self.check_known(known);
        self.is_key_revoked(&known.peer_id) || matches!(judged, Err(Distrust::Revoked { .. }))
    }

    /// Whether a known peer is revoked, or no member any more.
    pub fn is_known_out(&self, known: &KnownPeer) -> bool {
        self.is_key_revoked(&known.peer_id) || self.check_known(known).is_err()
    }

    /// Whether the circle has taken back this key, and so every certificate of it.
    pub fn is_key_revoked(&self, key: &PeerId) -> bool {
        self.revoked.has_key(key)
    }

    pub(super) fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// The number of the newest revocation list; 0 without one.
    pub fn crl_number(&self) -> u64 {
        self.revoked.number()
    }

    /// What is wrong if more than one revocation list is in force, each with a key that the others lack.
    pub fn conflict(&self) -> Option<String> {
        if !self.revoked.is_split() {
            return None;
        }
        let numbers = self.revoked.numbers();
        let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
        Some(format!(
            "revocation lists {} of the circle contradict each other, and all of them apply: the circle's machine was restored \
             from an older copy, or its key is used on two machines",
            numbers.join(" and ")
        ))
    }

    /// The revocation lists in force, as PEM.
    pub fn crl_pem(&self) -> Option<&str> {
        self.revoked.pem()
    }

    /// The number of the newest of the revocation lists that another member has, if they are the circle's, and whether they
    /// revoke the same as ours under the same numbers.
    ///
    /// # Errors
    /// [`TlsError::BadList`].
    pub fn compare_lists(&self, dir: &CertsDir, pem: &str) -> Result<(u64, bool), TlsError> {
        let lists = self
            .read_lists(&read_certificate(&dir.server_cert())?, pem.as_bytes())
            .map_err(TlsError::BadList)?;
        Ok((lists.number(), lists.revokes_as(&self.revoked)))
    }

    /// When the newest revocation list was signed.
    pub fn crl_this_update(&self) -> Option<Timestamp> {
        self.revoked.this_update().or(self.lists.this_update())
    }

    /// When the newest revocation list should have been signed again; of those of an outside authority, the first one.
    pub fn crl_next_update(&self) -> Option<Timestamp> {
        self.revoked.next_update().or(self.lists.next_update())
    }

    /// This circle with the lists of `other` as well.
    fn with_lists_of(&self, other: &Self) -> Self {
        Self {
            revoked: self.revoked.union(&other.revoked),
            ..self.clone()
        }
    }

    /// Judges a certificate as of `at`; revocation always as of now.
    pub(super) fn judge(
        &self,
        der: &CertificateDer<'_>,
        usage: Usage,
        at: Timestamp,
    ) -> Result<Caller, Distrust> {
        let caller = Caller::from_certificate(der)?;
        let (name, peer) = (caller.name.clone(), caller.key_id);
        let certificate = EndEntityCert::try_from(der)
            .map_err(|e| BadCertificate::Unreadable(LibraryError::new(e)))?;
        if self.is_outside() {
            OutsideMembers::check_form(der, &caller)?;
        }
        // Who has signed it is only told of a certificate that counts; whether it counts at `at` is for below.
        let within = at.max(caller.not_before).min(caller.not_after);
        let usage = self.usage_of(der, usage);
        let judged = self.check_chain(&certificate, usage, within);
        match judged {
            // The library asks an intermediate for what it asks the certificate.
            Ok(()) if !is_for(der, usage) => Err(Distrust::WrongUsage { name, peer }),
            // Before the dates: a revoked member that is told to renew would be refused that too.
            Ok(()) if self.is_revoked(&caller) => Err(Distrust::Revoked { name, peer }),
            Ok(()) => {
                self.admit(&caller)?;
                in_time(caller, at)
            }
            Err(webpki::Error::CertRevoked) => Err(Distrust::Revoked { name, peer }),
            Err(webpki::Error::RequiredEkuNotFoundContext(_)) => {
                Err(Distrust::WrongUsage { name, peer })
            }
            Err(error) if is_of_list(&error) => Err(Distrust::Unchecked {
                name,
                peer,
                source: LibraryError::new(error),
            }),
            Err(e) => Err(Distrust::Foreign {
                source: LibraryError::new(e),
            }),
        }
    }

    /// Whether the authority has signed it, as of `at`, and has not taken that back.
    fn check_chain(
        &self,
        certificate: &EndEntityCert<'_>,
        usage: Usage,
        at: Timestamp,
    ) -> Result<(), webpki::Error> {
        let lists = self.lists.all();
        // Without a list nothing is asked; with one, each authority of the chain must have one. One past its date still applies.
        let revocation = RevocationOptionsBuilder::new(&lists).ok();
        let time = std::time::Duration::from_secs(at.unix_seconds());
        let purpose = match usage {
            Usage::Server => SERVER_AUTH,
            Usage::Client => CLIENT_AUTH,
        };
        let path = certificate.verify_for_usage(
            provider().signature_verification_algorithms.all,
            self.anchor.trusted(),
            self.anchor.intermediates(),
            UnixTime::since_unix_epoch(time),
            KeyUsage::required_if_present(purpose),
            revocation.map(RevocationOptionsBuilder::build),
            None,
        );
        path.map(drop)
    }

    /// What a certificate must be for. An outside authority's that is for servers may call too: some sign for one use alone.
    fn usage_of(&self, der: &[u8], usage: Usage) -> Usage {
        match self.is_outside() && is_for(der, Usage::Server) {
            true => Usage::Server,
            false => usage,
        }
    }

    /// Fails for whom the authority has signed, and who is no member all the same.
    fn admit(&self, caller: &Caller) -> Result<(), Distrust> {
        match &self.members {
            Some(members) => members.admit(caller),
            None => Ok(()),
        }
    }
}

/// Whether a certificate could not be judged for want of a list that can be used.
fn is_of_list(error: &webpki::Error) -> bool {
    use webpki::Error;
    matches!(
        error,
        Error::UnknownRevocationStatus
            | Error::InvalidCrlSignatureForPublicKey
            | Error::IssuerNotCrlSigner
            | Error::UnsupportedCrlSignatureAlgorithmContext(_)
            | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_)
    )
}

fn unreadable(error: impl Display) -> BadList {
    BadList::Unreadable(LibraryError::new(error))
}

fn middle_of_validity(certificate: &EndEntityCert<'_>) -> u64 {
    // Only signatures and revocation are asked here; the dates of our own certificate are judged elsewhere.
    Caller::from_certificate(certificate.der().as_ref()).map_or(0, |caller| {
        (caller.not_before.unix_seconds() + caller.not_after.unix_seconds()) / 2
    })
}

/// Whether the dates of a certificate of the circle say that it counts at `at`.
fn in_time(caller: Caller, at: Timestamp) -> Result<Caller, Distrust> {
    let (peer, not_before, not_after) = (caller.key_id, caller.not_before, caller.not_after);
    if at > not_after {
        return Err(Distrust::Expired {
            name: caller.name,
            peer,
            not_after,
            now: at,
        });
    }
    if at < not_before {
        return Err(Distrust::NotYetValid {
            name: caller.name,
            peer,
            not_before,
            now: at,
        });
    }
    Ok(caller)
}
