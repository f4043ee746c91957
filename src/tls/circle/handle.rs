//! A circle that is read again while it is in use.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls_pki_types::CertificateDer;

use super::{Circle, Usage};
use crate::{
    manifest::{Claim, Distrust, SignerFault, Timestamp, Verifier, VerifyError},
    tls::{
        BadList, Caller, CertsDir, TlsError,
        anchor::Anchor,
        hold_list,
        identity::read_certificate,
        io_error,
        signature::{check_alone, is_signed, public_key},
    },
    trust::{TrustError, write_durably},
};

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
    /// written back if it is missing on disk; lists of an outside authority that are older than those in use are as broken ones.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn reload(&self, dir: &CertsDir) -> Result<(), TlsError> {
        let disk = Circle::load(dir)?;
        disk.check_not_behind(&self.now(), dir)?;
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
        if now.is_outside() {
            return Err(TlsError::BadList(BadList::OfOutside));
        }
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
            revoked: joined,
            ..Circle::clone(&now)
        };
        self.write(dir, &disk)?;
        Ok(Taken::Newer)
    }

    /// Uses another certificate of the circle from now on.
    pub(in crate::tls) fn set_anchor(&self, anchor: &Arc<Anchor>) {
        self.0.rcu(|used| Circle {
            anchor: anchor.clone(),
            ..Circle::clone(used)
        });
    }

    /// Judges a certificate as of `at`, and notes for the owner if a second key shows a name that is pinned.
    pub(in crate::tls) fn judge(
        &self,
        der: &CertificateDer<'_>,
        usage: Usage,
        at: Timestamp,
    ) -> Result<Caller, Distrust> {
        let now = self.now();
        let judged = now.judge(der, usage, at);
        if let (Err(Distrust::SecondKey { name, peer, .. }), Some(members)) =
            (&judged, &now.members)
        {
            members.note_second(name, *peer);
        }
        judged
    }

    /// Pins the allowed names in a certificate of an outside authority to its key, which was proved to be the other side's. The
    /// certificate was judged before.
    ///
    /// # Errors
    /// [`Distrust::SecondKey`] if another key was faster.
    pub fn pin(&self, caller: &Caller) -> Result<(), Distrust> {
        let now = self.now();
        let pinned = match &now.members {
            Some(members) => members.pin(caller)?,
            None => None,
        };
        if let Some(pinned) = pinned {
            self.0.rcu(|used| Circle {
                members: Some(pinned.clone()),
                ..Circle::clone(used)
            });
        }
        Ok(())
    }

    /// Reads again who is a member where an outside authority signs. Gives whether that has changed.
    ///
    /// # Errors
    /// [`TrustError`]; then nothing has.
    pub fn reload_members(&self, dir: &CertsDir) -> Result<bool, TrustError> {
        let now = self.now();
        let Some(before) = &now.members else {
            return Ok(false);
        };
        let members = before.again(dir)?;
        if members.is_as(before) {
            return Ok(false);
        }
        self.0.rcu(|used| Circle {
            members: Some(members.clone()),
            ..Circle::clone(used)
        });
        Ok(true)
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
        let judged = self.judge(&certificate, Usage::Server, claim.signed_at);
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
        if !is_signed(&key, claim.message, claim.signature) {
            return Err(VerifyError::BadSignature);
        }
        let pinned = self.pin(&caller);
        pinned.map_err(|distrust| VerifyError::UntrustedSigner {
            fault: SignerFault::Certificate(distrust),
        })?;
        Ok(caller.name)
    }

    fn verify_unknown(&self, claim: &Claim<'_>) -> Result<(), VerifyError> {
        // The circle does not know the certificate, but may have taken back the key in it.
        let now = self.now();
        let caller = Caller::from_certificate(claim.certificate);
        if now.is_key_revoked(&claim.sender) || caller.is_ok_and(|caller| now.is_revoked(&caller)) {
            return Err(VerifyError::Revoked);
        }
        check_alone(claim)
    }
}
