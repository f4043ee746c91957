//! What a peer says of itself: its name, its certificate, its seal key.

use serde::{Deserialize, Serialize};

use super::{NAME_RULE, is_peer_name};
use crate::{
    id::{PeerId, SealPublicKey},
    manifest::{Contradiction, ManifestError, Payload, Signed, Timestamp},
};

/// What a peer says of itself, signed by its identity key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerBundle {
    /// Version of the format: 1.
    pub v: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Who it is.
    pub peer_id: PeerId,
    /// What it is called.
    pub name: String,
    /// Its certificate, DER in base64.
    #[serde(with = "crate::id::base64")]
    pub certificate: Vec<u8>,
    /// To which transfers for it are sealed.
    pub seal_key: SealPublicKey,
    /// A higher one replaces a lower one.
    pub sequence: u64,
}

/// A bundle in its envelope.
pub type SignedBundle = Signed<PeerBundle>;

impl Payload for PeerBundle {
    const TYPE: &'static str = "application/vnd.colis.peer.v1+json";
    const NAME: &'static str = "peer bundle";

    fn check(&self) -> Result<(), ManifestError> {
        if is_peer_name(&self.name) {
            return Ok(());
        }
        Err(ManifestError::Invariant {
            field: "name",
            fault: Contradiction::PeerName { rule: NAME_RULE },
        })
    }

    fn sender(&self) -> PeerId {
        self.peer_id
    }

    fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn expires(&self) -> Option<Timestamp> {
        None
    }
}
