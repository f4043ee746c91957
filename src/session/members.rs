//! The members of the circle that the address book does not have: looked up in the directory, of which a newer one is asked for
//! before somebody is said to be unknown.

use std::{
    collections::HashSet,
    sync::PoisonError,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::{sync::Mutex, time::timeout};

use super::{Error, Event, Mistake, Session, whom::known};
use crate::{
    id::{PeerId, Short as _},
    manifest::MAX_WRAPS,
    name::Escaped,
    peer::{others, take_in_directory},
    tls::{self, TlsError},
    trust::{KnownPeer, MAX_MEMBERS, MovedName, SignedBundle, is_peer_name},
};

/// Peers that are asked at once for a newer directory.
const AT_ONCE: usize = 16;
/// How long one of them may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How long all of them may.
const ALL: Duration = Duration::from_secs(5);
/// For so long what was asked is not asked again.
const JUST_ASKED: Duration = Duration::from_secs(5);

/// Digits of an id that lists show, and that mean a peer where a name does as well.
const SHORT_ID: usize = 8;

/// What a session has done about the directory.
#[derive(Default)]
pub(super) struct Members {
    /// When a newer one was asked for last. Held while it is.
    asked_at: Mutex<Option<Instant>>,
    /// Those who have others' names, as it was told.
    told: std::sync::Mutex<HashSet<PeerId>>,
}

impl Session {
    /// The members of the circle that the address book does not have, by its directory. One that is met enters the book.
    ///
    /// # Errors
    /// Fails if the address book cannot be read.
    pub fn other_members(&self) -> Result<Vec<KnownPeer>, Error> {
        let me = self.peer_id();
        let others = tls::other_members(&self.dir, self.circle(), MAX_MEMBERS);
        let mut others = usable(others)?;
        others.retain(|peer| peer.peer_id != me);
        Ok(others)
    }

    /// Whom something is shared with that names nobody: the peers of the address book, and the other members, if there is room for
    /// all of them in one transfer.
    pub(super) fn members_to_share_with(&self) -> Result<Vec<KnownPeer>, Error> {
        let mut known = self.book.peers()?;
        let circle = self.circle().now();
        known.retain(|peer| !circle.is_known_out(peer));
        let others = self.other_members()?;
        if known.len() + others.len() < MAX_WRAPS {
            known.extend(others);
        }
        Ok(known)
    }

    /// The peer that is called `text`: by the address book, else by the directory; else the one whose id begins so. Nobody is asked.
    pub(crate) fn known_here(&self, text: &str) -> Result<Option<KnownPeer>, Error> {
        let in_book = known(text, &self.book)?;
        let is_revoked = |peer: &KnownPeer| self.circle().now().is_key_revoked(&peer.peer_id);
        match in_book {
            Some(peer) if !is_revoked(&peer) => return Ok(Some(peer)),
            // Its name may be another's by now.
            Some(_) => self.take_in_directory(),
            None => {
                let name = text.trim().to_lowercase();
                let others = self.other_members()?;
                let named = others.into_iter().find(|peer| peer.name == name);
                return match named {
                    Some(named) => Ok(Some(named)),
                    None => self.known_by_id(&name),
                };
            }
        }
        Ok(known(text, &self.book)?)
    }

    /// The same, after a newer directory was asked for if nobody is called so, or who was is revoked.
    pub(super) async fn known_to_members(&self, text: &str) -> Result<Option<KnownPeer>, Error> {
        let is_found = |found: &Option<KnownPeer>| {
            let circle = self.circle().now();
            let live = |peer: &KnownPeer| !circle.is_key_revoked(&peer.peer_id);
            found.as_ref().is_some_and(live)
        };
        let found = self.known_here(text)?;
        if is_found(&found) || !is_peer_name(&text.trim().to_lowercase()) {
            return Ok(found);
        }
        self.ask_for_directory(|| self.known_here(text).is_ok_and(|found| is_found(&found)))
            .await;
        self.known_here(text)
    }

    /// Asks the known peers for a newer directory, side by side, until it `is_enough`.
    pub(super) async fn ask_for_directory(&self, is_enough: impl Fn() -> bool) {
        let mut asked_at = self.members.asked_at.lock().await;
        if asked_at.is_some_and(|at| at.elapsed() < JUST_ASKED) {
            return;
        }
        let (me, circle) = (self.peer_id(), self.circle().now());
        let mut peers = others(&self.book, me, &circle).unwrap_or_default();
        if peers.is_empty() {
            peers = self.other_members().unwrap_or_default();
        }
        let asked = peers.iter().map(|peer| self.ask_one(peer).boxed());
        let asked: Vec<_> = asked.collect();
        let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        let asking = async {
            while asked.next().await.is_some() {
                if is_enough() {
                    break;
                }
            }
        };
        let _ = timeout(ALL, asking).await;
        *asked_at = Some(Instant::now());
    }

    /// What the peer knows is taken over as it is met.
    async fn ask_one(&self, peer: &KnownPeer) {
        let answer = self.connect_at_one_of(&peer.addresses, peer.peer_id);
        let _ = timeout(ANSWER, answer).await;
    }

    /// Where `known` may be: where it was seen, then where the directory says.
    pub(super) fn addresses_of(&self, known: &KnownPeer) -> Vec<String> {
        let hints = tls::hints_of(&self.dir, self.circle(), known.peer_id).unwrap_or_default();
        let mut addresses = known.addresses.clone();
        addresses.extend(
            hints
                .into_iter()
                .filter(|hint| !known.addresses.contains(hint)),
        );
        addresses
    }

    /// Whoever has shown that a name of the address book is its own by now gets that name, if who had it is revoked.
    pub(super) fn make_way(&self, bundle: &SignedBundle) -> Result<(), Error> {
        let said = bundle.payload();
        let known = self.book.by_certificate_name(&said.name)?;
        if known.is_none_or(|known| known.peer_id == said.peer_id) {
            return Ok(());
        }
        let circle = self.circle().now();
        let new = [KnownPeer::of(bundle, Vec::new())];
        let moved = self.book.take_in(&new, |id| circle.is_key_revoked(id))?;
        self.tell_moved(moved);
        Ok(())
    }

    /// The member that is called so in the directory, also one that was forgotten here.
    pub(super) fn member_called(&self, name: &str) -> Result<Option<KnownPeer>, Error> {
        usable(tls::member_called(&self.dir, self.circle(), name))
    }

    /// The known peer whose id begins with `text`, as lists show it: with eight digits or more, for in a few a name may be meant.
    fn known_by_id(&self, text: &str) -> Result<Option<KnownPeer>, Error> {
        if text.len() < SHORT_ID || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut known = self.book.peers()?;
        known.extend(self.other_members()?);
        known.retain(|peer| peer.peer_id.to_string().starts_with(text));
        if known.len() > 1 {
            let shown = |peer: &KnownPeer| {
                let name = Escaped::new(peer.called()).to_string();
                format!("{} {name}", peer.peer_id.short())
            };
            let (text, peers) = (text.to_owned(), known.iter().map(shown).collect());
            return Err(Mistake::SeveralPeers { text, peers }.into());
        }
        Ok(known.pop())
    }

    /// Enters a member into the address book that only the directory has, so that it can be looked after.
    pub(super) fn adopt(&self, text: &str) -> Result<(), Error> {
        if known(text, &self.book)?.is_some() {
            return Ok(());
        }
        let name = text.trim().to_lowercase();
        let Some(member) = self.member_called(&name)? else {
            return Ok(());
        };
        let bundle = member.bundle.unwrap_or_default();
        let bundle = SignedBundle::parse(bundle)?;
        self.book.remember_signed(&bundle, None)?;
        for address in member.addresses.iter().rev() {
            self.book.remember_signed(&bundle, Some(address))?;
        }
        Ok(())
    }

    fn take_in_directory(&self) {
        self.tell_moved(take_in_directory(&self.dir, self.circle()));
    }

    pub(super) fn tell_moved(&self, moved: Vec<MovedName>) {
        for MovedName { name, from, to } in moved {
            let told = self.members.told.lock();
            let is_new = told.unwrap_or_else(PoisonError::into_inner).insert(to);
            if is_new {
                self.tell(Event::NameMoved { name, from, to });
            }
        }
    }

    /// Says of a peer that is meant by its name that another had it, until the person has said that this one is meant.
    pub(super) fn tell_if_moved(&self, peer: &KnownPeer) {
        let moved = peer.moved.map(|from| MovedName {
            name: peer.name.clone(),
            from,
            to: peer.peer_id,
        });
        self.tell_moved(moved.into_iter().collect());
    }
}

/// A directory that cannot be used is as none: a newer one takes its place.
fn usable<T: Default>(read: Result<T, TlsError>) -> Result<T, Error> {
    match read {
        Err(error @ (TlsError::Malformed { .. } | TlsError::Io { .. })) => {
            tracing::debug!(%error, "the directory cannot be used");
            Ok(T::default())
        }
        read => Ok(read?),
    }
}
