//! Who put a chunk that no manifest has named, noted at its file: an extended attribute, which goes where the file goes.
//!
//! Nothing is lost with a mark but whom to charge: it is not synced, and a file system may have none.

use rustix::fs::{XattrFlags, lgetxattr, lremovexattr, lsetxattr};

use super::disk::Folder;
use crate::id::PeerId;

const NAME: &str = "user.colis.put-by";
const LENGTH: usize = 33;

/// Why a chunk is charged to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The peer put it, and no manifest has named it yet.
    Put,
    /// The same, for a transfer that it had announced.
    Announced,
    /// A manifest of the peer named it, and was deleted or has expired.
    Left,
}

impl Why {
    /// Whether the peer has put it.
    pub(super) fn is_put(self) -> bool {
        self != Self::Left
    }

    /// Whether no transfer is known that it is of.
    pub(super) fn is_unannounced(self) -> bool {
        self != Self::Announced
    }
}

/// Whom a chunk is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) peer: PeerId,
    pub(super) why: Why,
}

impl Mark {
    fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..32].copy_from_slice(self.peer.as_bytes());
        bytes[32] = match self.why {
            Why::Put => b'p',
            Why::Announced => b'a',
            Why::Left => b'l',
        };
        bytes
    }

    fn parse(bytes: [u8; LENGTH]) -> Option<Self> {
        let mut peer = [0; 32];
        peer.copy_from_slice(&bytes[..32]);
        let why = match bytes[32] {
            b'p' => Why::Put,
            b'a' => Why::Announced,
            b'l' => Why::Left,
            _ => return None,
        };
        let peer = PeerId::from_bytes(peer);
        Some(Self { peer, why })
    }
}

impl Folder {
    pub(super) fn set_mark(&self, name: &str, mark: Mark) {
        let path = self.path().join(name);
        if let Err(error) = lsetxattr(&path, NAME, &mark.to_bytes(), XattrFlags::empty()) {
            tracing::debug!(%error, "who put a chunk is not noted");
        }
    }

    pub(super) fn mark_of(&self, name: &str) -> Option<Mark> {
        let mut bytes = [0; LENGTH];
        let length = lgetxattr(self.path().join(name), NAME, &mut bytes[..]).ok()?;
        (length == LENGTH).then(|| Mark::parse(bytes)).flatten()
    }

    pub(super) fn remove_mark(&self, name: &str) {
        // One that stays is found to be wrong when it is counted again: a manifest names the chunk.
        let _ = lremovexattr(self.path().join(name), NAME);
    }
}
