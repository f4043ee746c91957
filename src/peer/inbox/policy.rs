//! What the person wants done with what arrives, and from whom.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{
    id::PeerId,
    store::{KeepSettled, WaitReason},
    transfer::ReceiveOptions,
    trust::{AddressBook, TrustError},
};

/// How the inbox behaves.
#[derive(Debug, Clone, Default)]
pub struct InboxOptions {
    /// What is opened unasked.
    pub policy: InboxPolicy,
    /// For how long what was opened or refused stays.
    pub keep: KeepSettled,
    /// How files are written.
    pub receive: ReceiveOptions,
}

/// What to do with what arrives for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum InboxMode {
    /// Open it on arrival.
    #[default]
    Auto,
    /// Wait for a yes.
    Ask,
    /// Leave it sealed, for an explicit receive.
    Off,
}

impl InboxMode {
    /// Its spelling, as in settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ask => "ask",
            Self::Off => "off",
        }
    }
}

/// What to do with what arrives from one sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InboxRule {
    /// What to do.
    pub mode: InboxMode,
    /// With [`InboxMode::Auto`]: bytes of content above which it waits for a yes.
    pub auto_up_to: Option<u64>,
}

/// The rule for everybody, and those for single senders by what they are called here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InboxPolicy {
    /// For everybody else.
    pub default: InboxRule,
    /// For these.
    pub senders: BTreeMap<String, InboxRule>,
}

/// The policy in force, which may change while the inbox runs.
#[derive(Debug, Clone)]
pub struct InboxRules {
    policy: Arc<ArcSwap<InboxPolicy>>,
    changed: Arc<Notify>,
}

impl InboxRules {
    pub(super) fn new(policy: InboxPolicy) -> Self {
        Self {
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            changed: Arc::default(),
        }
    }

    /// From now on `policy` counts, also for transfers that wait.
    pub fn set(&self, policy: InboxPolicy) {
        self.policy.store(Arc::new(policy));
        self.changed.notify_one();
    }

    pub(super) fn now(&self) -> Arc<InboxPolicy> {
        self.policy.load_full()
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Why a transfer was not opened on arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "waits", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Waiting {
    /// Its sender is asked about.
    Asks,
    /// It is larger than what is opened unasked.
    Larger {
        /// The limit, in bytes.
        than: u64,
    },
    /// Its table is longer than what is opened unasked: it would take much of the peer's memory.
    LongTable {
        /// The limit, in sealed bytes.
        than: u64,
    },
    /// Only a password opens it.
    Locked,
    /// The inbox is off.
    Off,
    /// It could not be opened now; it is tried again.
    Failed {
        /// What its sender is told.
        code: WaitReason,
        /// Why. May have foreign text.
        reason: String,
    },
}

impl Waiting {
    /// Why, in a word that programs know, or in the words of what failed.
    pub fn reason(&self) -> &str {
        match self {
            Self::Failed { reason, .. } => reason,
            other => other.kind(),
        }
    }

    /// Why, in a word without names of files.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Asks => "asks",
            Self::Larger { .. } => "larger",
            Self::LongTable { .. } => "long-table",
            Self::Locked => "locked",
            Self::Off => "off",
            Self::Failed { .. } => "failed",
        }
    }
}

impl InboxPolicy {
    /// Why a transfer of `size` bytes is not opened unasked, if so, from a sender that has these names here; the first with a rule
    /// counts. A stream has no size before it ends.
    pub fn waits<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
        size: Option<u64>,
    ) -> Option<Waiting> {
        let mut rules = names.into_iter().filter_map(|name| self.senders.get(name));
        let rule = rules.next().unwrap_or(&self.default);
        match (rule.mode, rule.auto_up_to) {
            (InboxMode::Auto, Some(than)) if size.is_none_or(|size| size > than) => {
                Some(Waiting::Larger { than })
            }
            (InboxMode::Auto, _) => None,
            (InboxMode::Ask, _) => Some(Waiting::Asks),
            (InboxMode::Off, _) => Some(Waiting::Off),
        }
    }
}

/// The names that the peer `sender` has here: in the address book, by its id; else that of its certificate, if nobody in the book
/// has it or had it.
pub(super) fn names_of(
    book: &AddressBook,
    sender: PeerId,
    certified: &str,
) -> Result<Vec<String>, TrustError> {
    let mut known = book.peers()?.into_iter();
    if let Some(known) = known.find(|known| known.peer_id == sender) {
        // A rule was made for whoever had the name then.
        let name = known.moved.is_none().then_some(known.name);
        return Ok(known.alias.into_iter().chain(name).collect());
    }
    let mut forgotten = book.forgotten()?.into_iter();
    let was_taken = forgotten.any(|(id, name)| name == certified && id != sender);
    let is_taken = was_taken || book.by_name(certified)?.is_some();
    Ok(if is_taken {
        Vec::new()
    } else {
        vec![certified.to_owned()]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::SealPublicKey,
        manifest::Timestamp,
        trust::{KnownPeer, PeerBundle},
    };

    /// The first key called `c` was revoked, and the name went to another.
    #[test]
    fn a_rule_by_name_is_for_who_had_the_name_when_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let book = AddressBook::new(folder.path().join("peers.json"));
        let peer = |key: &[u8]| {
            let peer_id = PeerId::of(key);
            PeerBundle {
                v: 1,
                created: Timestamp::now(),
                peer_id,
                name: "c".into(),
                certificate: vec![1],
                seal_key: SealPublicKey::from_bytes(&[7; SealPublicKey::LENGTH]).unwrap(),
                sequence: 1,
            }
        };
        let (old, new) = (PeerId::of(b"old"), PeerId::of(b"new"));
        let names = |sender| names_of(&book, sender, "c").unwrap();
        assert_eq!(names(new), ["c"], "nobody had it");
        book.remember(&peer(b"old"), None).unwrap();
        assert_eq!((names(old), names(new)), (vec!["c".to_owned()], Vec::new()));
        book.forget("c").unwrap();
        assert_eq!(names(new), [""; 0], "also once the former is forgotten");
        book.remember(&peer(b"old"), None).unwrap();
        let known = KnownPeer {
            peer_id: new,
            ..book.by_name("c").unwrap().unwrap()
        };
        book.take_in(&[known], |id| *id == old).unwrap();
        assert_eq!(names(new), [""; 0], "nor when it is in the book");
        book.rename("c", "carl").unwrap();
        assert_eq!(names(new), ["carl"], "an alias is its own");
        book.confirm(new).unwrap();
        assert_eq!(names(new), ["carl", "c"]);
    }

    #[test]
    fn the_rule_of_a_sender_wins_over_that_of_everybody() {
        let rule = |mode, auto_up_to| InboxRule { mode, auto_up_to };
        let policy = InboxPolicy {
            default: rule(InboxMode::Ask, None),
            senders: BTreeMap::from([
                ("ben".to_owned(), rule(InboxMode::Auto, Some(100))),
                ("eve".to_owned(), rule(InboxMode::Off, None)),
            ]),
        };
        assert_eq!(policy.waits(["anna"], Some(1)), Some(Waiting::Asks));
        assert_eq!(policy.waits(["eve"], Some(1)), Some(Waiting::Off));
        assert_eq!(policy.waits(["ben"], Some(100)), None);
        let larger = Some(Waiting::Larger { than: 100 });
        assert_eq!(policy.waits(["ben"], Some(101)), larger);
        assert_eq!(
            policy.waits(["ben"], None),
            larger,
            "a stream may be of any size"
        );
    }
}
