//! Signing the circle's directory: the members that are known here, each by its own bundle.
//!
//! A directory is made from the one before, to which the address book adds newer bundles and addresses. So nobody leaves it
//! because the book has forgotten them, or was restored from an older copy; only who is revoked does, and whose certificate
//! has ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use super::number_after;
use crate::{
    id::PeerId,
    manifest::{Signed, Signer as _, Timestamp},
    name::LibraryError,
    tls::{
        CertsDir, Circle, CircleHandle, Identity, TlsError,
        directory::{CircleSigner, has_ended, load_directory, write_directory},
        hold_list,
    },
    trust::{
        AddressBook, Directory, KnownPeer, MAX_DIRECTORY, MAX_HINTS, MAX_MEMBER_BUNDLE,
        MAX_MEMBERS, Member, PeerBundle, SignedBundle, SignedDirectory, is_hint,
    },
};

/// Bytes of all members as JSON: in base64 they need a third more, and the envelope has a few.
const MAX_TEXT: usize = (MAX_DIRECTORY - 4096) / 4 * 3;

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDirectory {
    /// Its number.
    pub number: u64,
    /// Members for whom there was no room, or whose name another member has.
    pub left_out: Vec<String>,
}

/// On the circle's machine: signs a new directory if who is a member has changed, or what is known of one: its certificate, its
/// seal key, or where it is. `own` says where this machine itself serves, if it does. Elsewhere it does nothing.
///
/// # Errors
/// [`TlsError::Malformed`], [`TlsError::Trust`], [`TlsError::Io`].
pub fn refresh_directory(dir: &CertsDir, own: &[String]) -> Result<Option<NewDirectory>, TlsError> {
    refresh(dir, own, None)
}

/// The same after another directory was met that has the number of the one here: one machine has signed both, before and after
/// it was restored. A new one has the members of both.
///
/// # Errors
/// As [`refresh_directory`]; [`TlsError::BadDirectory`] if it is not the circle's.
pub fn join_directory(
    dir: &CertsDir,
    circle: &CircleHandle,
    other: &[u8],
) -> Result<Option<NewDirectory>, TlsError> {
    let other = circle.parse_directory(other)?;
    refresh(dir, &[], Some(&other))
}

/// Copies the directory, if there is one, to the folder `out` of another machine.
///
/// # Errors
/// [`TlsError::Io`].
pub fn give_directory(dir: &CertsDir, out: &CertsDir) -> Result<(), TlsError> {
    match load_directory(dir, &Circle::load(dir)?) {
        Ok(Some(directory)) => write_directory(out, &directory),
        // That machine learns of it when it meets a member.
        Ok(None) | Err(_) => Ok(()),
    }
}

/// The directory for a machine that has just joined, which is in it, in its envelope; nothing if there is none. It learns of it
/// too when it meets a member, so what fails here keeps nobody from joining.
pub fn directory_to_give(dir: &CertsDir) -> Vec<u8> {
    let read = refresh_directory(dir, &[]).and_then(|_| load_directory(dir, &Circle::load(dir)?));
    match read {
        Ok(Some(directory)) => directory.envelope().to_vec(),
        Ok(None) => Vec::new(),
        Err(error) => {
            tracing::warn!(%error, "no directory is given");
            Vec::new()
        }
    }
}

fn refresh(
    dir: &CertsDir,
    own: &[String],
    other: Option<&SignedDirectory>,
) -> Result<Option<NewDirectory>, TlsError> {
    if !dir.ca_key().exists() {
        return Ok(None);
    }
    let _alone = hold_list(dir)?;
    let circle = CircleHandle::new(Circle::load(dir)?);
    // One that cannot be read is signed anew: its number is a time, and so is that of the next.
    let before = load_directory(dir, &circle.now()).unwrap_or_default();
    let mut known = Candidates::new(&circle);
    for directory in before.iter().chain(other) {
        known.add_directory(directory);
    }
    for peer in AddressBook::new(dir.peers()).peers()? {
        known.add_peer(&peer);
    }
    known.add_own(&Identity::load(dir)?, own)?;
    let stood = before.as_ref().map(names_of).unwrap_or_default();
    let (members, left_out) = known.chosen(&stood, Timestamp::now());
    let is_same = |before: &SignedDirectory| says_the_same(&before.payload().members, &members);
    if other.is_none() && before.as_ref().is_some_and(is_same) {
        return Ok(None);
    }
    let last = before.map_or(0, |before| before.payload().number);
    let number = number_after(last, milliseconds());
    let signer = CircleSigner::load(dir, &circle.now())?;
    let directory = Directory {
        v: 1,
        circle: signer.peer_id(),
        number,
        members,
    };
    let signed = Signed::sign(directory, &signer);
    let signed = signed.map_err(|e| TlsError::Crypto(LibraryError::new(e)))?;
    write_directory(dir, &signed)?;
    Ok(Some(NewDirectory { number, left_out }))
}

/// Everybody of whom there is a bundle, the newest of each.
struct Candidates<'a> {
    circle: &'a CircleHandle,
    members: BTreeMap<PeerId, Member>,
}

impl<'a> Candidates<'a> {
    fn new(circle: &'a CircleHandle) -> Self {
        Self {
            circle,
            members: BTreeMap::new(),
        }
    }

    /// The circle's key has signed it, so the bundles in it were checked once.
    fn add_directory(&mut self, directory: &SignedDirectory) {
        for member in &directory.payload().members {
            if !self.circle.now().is_key_revoked(&member.peer_id()) {
                self.add(member.clone());
            }
        }
    }

    /// A peer of the address book. Whose bundle was not seen is no member of the directory yet.
    fn add_peer(&mut self, peer: &KnownPeer) {
        let addresses = hints_in(&peer.addresses);
        let bundle = peer.bundle.clone().map(SignedBundle::parse);
        if let Some(Ok(bundle)) = bundle
            && bundle.envelope().len() <= MAX_MEMBER_BUNDLE
        {
            self.add_checked(Member { bundle, addresses });
        } else if let Some(known) = self.members.get_mut(&peer.peer_id)
            && !addresses.is_empty()
        {
            known.addresses = addresses;
        }
    }

    /// This machine, by the bundle that it has now, if that says something new.
    fn add_own(&mut self, identity: &Identity, addresses: &[String]) -> Result<(), TlsError> {
        let bundle = identity.bundle()?;
        let known = self.members.get_mut(&identity.peer_id());
        let addresses = hints_in(addresses);
        match known {
            Some(known) if is_same_peer(known.bundle.payload(), bundle.payload()) => {
                if !addresses.is_empty() {
                    known.addresses = addresses;
                }
            }
            _ => self.add_checked(Member { bundle, addresses }),
        }
        Ok(())
    }

    fn add_checked(&mut self, member: Member) {
        let known = self.members.get(&member.peer_id());
        let is_known = known.is_some_and(|k| k.bundle.envelope() == member.bundle.envelope());
        if is_known {
            return self.add(member);
        }
        match self.circle.member(&member) {
            Ok(_) => self.add(member),
            Err(error) => tracing::debug!(%error, "not a member of the directory"),
        }
    }

    /// Of two bundles of one peer the one with the higher sequence counts; addresses are those that were added last.
    fn add(&mut self, mut member: Member) {
        if let Some(known) = self.members.remove(&member.peer_id()) {
            if known.bundle.payload().sequence >= member.bundle.payload().sequence {
                member.bundle = known.bundle;
            }
            if member.addresses.is_empty() {
                member.addresses = known.addresses;
            }
        }
        self.members.insert(member.peer_id(), member);
    }

    /// Those that there is room for, by name, and the names of the others. Who `stood` in the directory before comes first: nobody
    /// takes another's name, or their place.
    fn chosen(self, stood: &BTreeSet<PeerId>, now: Timestamp) -> (Vec<Member>, Vec<String>) {
        let mut members: Vec<_> = self.members.into_values().collect();
        members.retain(|member| !has_ended(&member.bundle.payload().certificate, now));
        members.sort_by_cached_key(|member| {
            (!stood.contains(&member.peer_id()), member.name().to_owned())
        });
        let (mut names, mut room) = (BTreeSet::new(), MAX_TEXT);
        let (chosen, left): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| {
            let length = serde_json::to_vec(member).map_or(usize::MAX, |text| text.len() + 1);
            let fits = names.len() < MAX_MEMBERS && length <= room;
            let is_chosen = fits && names.insert(member.name().to_owned());
            room -= if is_chosen { length } else { 0 };
            is_chosen
        });
        let mut chosen = chosen;
        chosen.sort_by(|a, b| a.name().cmp(b.name()));
        (chosen, left.iter().map(|m| m.name().to_owned()).collect())
    }
}

/// Those of `addresses` that a directory may have.
fn hints_in(addresses: &[String]) -> Vec<String> {
    let hints = addresses.iter().filter(|text| is_hint(text));
    hints.take(MAX_HINTS).cloned().collect()
}

fn names_of(directory: &SignedDirectory) -> BTreeSet<PeerId> {
    let members = directory.payload().members.iter();
    members.map(Member::peer_id).collect()
}

/// Whether nothing has changed that others need to know: a peer that is started again has a later sequence, and nothing else.
fn says_the_same(before: &[Member], now: &[Member]) -> bool {
    let is_same = |(before, now): (&Member, &Member)| {
        let addresses = |member: &Member| member.addresses.iter().cloned().collect::<BTreeSet<_>>();
        is_same_peer(before.bundle.payload(), now.bundle.payload())
            && addresses(before) == addresses(now)
    };
    before.len() == now.len() && before.iter().zip(now).all(is_same)
}

fn is_same_peer(before: &PeerBundle, now: &PeerBundle) -> bool {
    before.certificate == now.certificate && before.seal_key == now.seal_key
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
