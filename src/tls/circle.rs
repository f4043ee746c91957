//! The circle as a judge: which certificates and signatures count, as of now.

use std::{fmt::Display, sync::Arc};

use arc_swap::ArcSwap;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder,
};

use super::{
    BadList, Caller, CertsDir, TlsError,
    anchor::Anchor,
    hold_list,
    identity::read_certificate,
    io_error, provider,
    revoked::Revoked,
    signature::{check_alone, is_signed, public_key},
    writers,
};
use crate::{
    id::PeerId,
    manifest::{BadCertificate, Claim, Distrust, SignerFault, Timestamp, Verifier, VerifyError},
    name::LibraryError,
    private,
    trust::write_durably,
};

/// `id-kp-serverAuth` and `id-kp-clientAuth` (RFC 5280, 4.2.1.12), DER. A certificate must name what it is for.
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What a certificate is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Server,
    Client,
}

/// The circle's certificate and its revocation lists, as they were read.
pub struct Circle {
    anchor: Arc<Anchor>,
    revoked: Revoked,
}

impl Circle {
    /// Reads the circle of `dir`.
    ///
    /// # Errors
    /// [`TlsError::Missing`], [`TlsError::Malformed`]; [`TlsError::Writable`] if others could change who is a member.
    pub fn load(dir: &CertsDir) -> Result<Self, TlsError> {
        writers::check_writers(dir)?;
        let mut circle = Self::without_revocations(dir)?;
        if dir.crl().exists() {
            let path = dir.crl();
            let pem = private::read(&path).map_err(|e| io_error(&path, e))?;
            let own = read_certificate(&dir.server_cert())?;
            let revoked = circle.read_lists(&own, &pem);
            circle.revoked = revoked.map_err(|list| TlsError::Malformed {
                path,
                fault: list.into(),
            })?;
        }
        Ok(circle)
    }

    /// The circle of `dir` without its revocation lists: for saying what is wrong, never for letting anybody in.
    pub(super) fn without_revocations(dir: &CertsDir) -> Result<Self, TlsError> {
        let path = dir.ca_cert();
        let pem = private::read(&path).map_err(|e| io_error(&path, e))?;
        let anchor = Anchor::parse(&pem).map_err(|fault| TlsError::Malformed { path, fault })?;
        Ok(Self {
            anchor: Arc::new(anchor),
            revoked: Revoked::default(),
        })
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
        let anchors = [self.anchor.trusted()];
        let algorithms = provider().signature_verification_algorithms.all;
        let judged = own.verify_for_usage(
            algorithms,
            &anchors,
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

    /// Whether this certificate is revoked: it, its key, or the peer that it acts for.
    pub fn is_revoked(&self, caller: &Caller) -> bool {
        self.revoked.has(caller)
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
        self.revoked.this_update()
    }

    /// When the newest revocation list should have been signed again.
    pub fn crl_next_update(&self) -> Option<Timestamp> {
        self.revoked.next_update()
    }

    /// This circle with the lists of `other` as well.
    fn with_lists_of(&self, other: &Self) -> Self {
        Self {
            anchor: self.anchor.clone(),
            revoked: self.revoked.union(&other.revoked),
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
        let anchors = [self.anchor.trusted()];
        // Who has signed it is only told of a certificate that counts; whether it counts at `at` is for below.
        let within = at.max(caller.not_before).min(caller.not_after);
        let time = std::time::Duration::from_secs(within.unix_seconds());
        let time = UnixTime::since_unix_epoch(time);
        let key_usage = match usage {
            Usage::Server => KeyUsage::required(SERVER_AUTH),
            Usage::Client => KeyUsage::required(CLIENT_AUTH),
        };
        let algorithms = provider().signature_verification_algorithms.all;
        match certificate.verify_for_usage(algorithms, &anchors, &[], time, key_usage, None, None) {
            // Before the dates: a revoked member that is told to renew would be refused that too.
            Ok(_) if self.is_revoked(&caller) => Err(Distrust::Revoked { name, peer }),
            Ok(_) => in_time(caller, at),
            Err(webpki::Error::RequiredEkuNotFoundContext(_)) => {
                Err(Distrust::WrongUsage { name, peer })
            }
            Err(e) => Err(Distrust::Foreign {
                source: LibraryError::new(e),
            }),
        }
    }
}

/// How revocation lists that were offered compare to those that are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// They have something new, and are in force.
    Newer,
    /// They are those that are here.
    Same,
    /// They have nothing new; those that are here stay.
    Older,
}

/// A circle that can be read again while it is in use. Clones share what is read.
#[derive(Clone)]
pub struct CircleHandle(Arc<ArcSwap<Circle>>);

impl CircleHandle {
    /// A handle on `circle`.
    pub fn new(circle: Circle) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(circle)))
    }

    /// The circle as it is now.
    pub fn now(&self) -> Arc<Circle> {
        self.0.load_full()
    }

    /// Reads the files again. If one is broken, everything stays as it is. A revocation that is in use stays in use, and is
    /// written back if it is missing on disk.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn reload(&self, dir: &CertsDir) -> Result<(), TlsError> {
        let disk = Circle::load(dir)?;
        self.add(&disk);
        if self.now().crl_pem() == disk.crl_pem() {
            return Ok(());
        }
        let _alone = hold_list(dir)?;
        let disk = Circle::load(dir)?;
        self.write(dir, &disk)
    }

    /// Takes over revocation lists from another member, if they are the circle's and have something that is neither in use
    /// nor on disk.
    ///
    /// # Errors
    /// [`TlsError::BadList`] if one is not the circle's, or they are too many; [`TlsError::Io`].
    pub fn install_crl(&self, dir: &CertsDir, pem: &str) -> Result<Taken, TlsError> {
        let now = self.now();
        if now.crl_pem() == Some(pem) {
            return Ok(Taken::Same);
        }
        let offered = now
            .read_lists(&read_certificate(&dir.server_cert())?, pem.as_bytes())
            .map_err(TlsError::BadList)?;
        let _alone = hold_list(dir)?;
        // Another process may have written a newer one by now. A list that cannot be read there is replaced.
        let known = match Circle::load(dir) {
            Ok(disk) => disk.revoked.union(&self.now().revoked),
            Err(_) => self.now().revoked.clone(),
        };
        let joined = known.union(&offered);
        if joined.pem() == known.pem() {
            let is_same = offered.pem() == known.pem();
            return Ok(if is_same { Taken::Same } else { Taken::Older });
        }
        if joined.is_too_long() {
            return Err(TlsError::BadList(BadList::TooLong));
        }
        let disk = Circle {
            anchor: now.anchor.clone(),
            revoked: joined,
        };
        self.write(dir, &disk)?;
        Ok(Taken::Newer)
    }

    /// Uses another certificate of the circle from now on.
    pub(super) fn set_anchor(&self, anchor: &Arc<Anchor>) {
        self.0.rcu(|used| Circle {
            anchor: anchor.clone(),
            revoked: used.revoked.clone(),
        });
    }

    /// Adds the lists of `disk` to those in use, and takes its anchor.
    fn add(&self, disk: &Circle) {
        self.0.rcu(|used| disk.with_lists_of(used));
    }

    /// Writes the lists in use and those of `disk`.
    fn write(&self, dir: &CertsDir, disk: &Circle) -> Result<(), TlsError> {
        self.add(disk);
        let (path, now) = (dir.crl(), self.now());
        let pem = now.crl_pem().unwrap_or_default();
        write_durably(&path, pem.as_bytes(), 0o644).map_err(|e| io_error(&path, e))
    }
}

impl Verifier for CircleHandle {
    fn verify(&self, claim: &Claim<'_>) -> Result<String, VerifyError> {
        let certificate = CertificateDer::from(claim.certificate);
        let judged = self
            .now()
            .judge(&certificate, Usage::Server, claim.signed_at);
        let caller = judged.map_err(|distrust| match distrust {
            Distrust::Revoked { .. } => VerifyError::Revoked,
            other => VerifyError::UntrustedSigner {
                fault: SignerFault::Certificate(other),
            },
        })?;
        if caller.script || caller.key_id != claim.sender {
            return Err(VerifyError::SenderMismatch {
                sender: claim.sender,
            });
        }
        let key = public_key(claim.certificate).ok_or(VerifyError::BadSignature)?;
        if is_signed(&key, claim.message, claim.signature) {
            Ok(caller.name)
        } else {
            Err(VerifyError::BadSignature)
        }
    }

    fn verify_unknown(&self, claim: &Claim<'_>) -> Result<(), VerifyError> {
        // The circle does not know the certificate, but may have taken back the key in it.
        if self.now().is_key_revoked(&claim.sender) {
            return Err(VerifyError::Revoked);
        }
        check_alone(claim)
    }
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
