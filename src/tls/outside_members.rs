//! Who is a member where an outside authority signs, and the address book in which names are pinned to keys.

use super::{Caller, CertsDir, TlsError, signature::public_key};
use crate::{
    id::PeerId,
    manifest::{BadCertificate, Distrust},
    trust::{AddressBook, Members, NotMember, TrustError, is_peer_name},
};

/// The members, as they were read.
#[derive(Clone)]
pub(super) struct OutsideMembers {
    members: Members,
    book: AddressBook,
}

impl OutsideMembers {
    /// Those of the peer `own` of `dir`.
    pub(super) fn load(dir: &CertsDir, own: PeerId) -> Result<Self, TlsError> {
        let book = AddressBook::new(dir.peers());
        let members = Members::of(own, dir.allowed(), &book)?;
        Ok(Self { members, book })
    }

    /// Fails for a certificate that an outside authority may sign and that no peer has.
    pub(super) fn check_form(der: &[u8], caller: &Caller) -> Result<(), BadCertificate> {
        match () {
            () if caller.script => Err(BadCertificate::ActsForAnother),
            () if !is_peer_name(&caller.name) => Err(BadCertificate::NoPeerName),
            () if public_key(der).is_none() => Err(BadCertificate::OtherKind),
            () => Ok(()),
        }
    }

    /// Fails if the certificate, which the authority has signed, makes no member.
    pub(super) fn admit(&self, caller: &Caller) -> Result<(), Distrust> {
        let judged = self.members.judge(caller.key_id, &caller.dns_names);
        judged.map(drop).map_err(|why| distrust(caller, why))
    }

    /// Pins the allowed names in the certificate to its key. Returns the members after that, if something is new. A name that
    /// another process has pinned meanwhile belongs to that key.
    pub(super) fn pin(&self, caller: &Caller) -> Result<Option<Self>, Distrust> {
        let (key, judged) = (
            caller.key_id,
            self.members.judge(caller.key_id, &caller.dns_names),
        );
        let fresh = judged.map_err(|why| distrust(caller, why))?;
        if fresh.is_empty() {
            return Ok(None);
        }
        let mut pinned = self.clone();
        for name in fresh {
            let owner = self.book.pin(name, key).unwrap_or_else(|error| {
                tracing::warn!(%error, "a name is pinned until this process ends, for the address book is not written");
                key
            });
            if owner != key {
                let name = name.to_owned();
                return Err(distrust(
                    caller,
                    NotMember::SecondKey {
                        name,
                        pinned: owner,
                    },
                ));
            }
            pinned.members = pinned.members.with_pinned(name, key);
        }
        Ok(Some(pinned))
    }

    /// Notes for the owner that a second key has shown a name.
    pub(super) fn note_second(&self, name: &str, key: PeerId) {
        if let Err(error) = self.book.note_second(name, key) {
            tracing::debug!(%error, "a second key of a name is not noted");
        }
    }

    /// The same members, as the address book and the settings say now.
    pub(super) fn again(&self, dir: &CertsDir) -> Result<Self, TrustError> {
        let members = self.members.again(dir.allowed(), &self.book)?;
        let book = self.book.clone();
        Ok(Self { members, book })
    }

    /// Whether they are the same.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

fn distrust(caller: &Caller, why: NotMember) -> Distrust {
    let peer = caller.key_id;
    match why {
        NotMember::NotAllowed => Distrust::NotAllowed {
            name: caller.name.clone(),
            peer,
        },
        NotMember::SecondKey { name, pinned } => Distrust::SecondKey {
            name,
            pinned: Box::new(pinned),
            peer,
        },
    }
}
