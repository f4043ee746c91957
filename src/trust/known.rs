//! A peer of the address book, or of the directory.

use serde::{Deserialize, Serialize};

use super::SignedBundle;
use crate::{
    id::{PeerId, SealPublicKey},
    manifest::Timestamp,
};

/// A peer that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownPeer {
    /// What it is called, by its certificate.
    pub name: String,
    /// What it is called here, if the person wants so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Who it is.
    pub peer_id: PeerId,
    /// To which transfers for it are sealed.
    pub seal_key: SealPublicKey,
    /// The sequence of the bundle that told so.
    pub sequence: u64,
    /// Where it was seen, the latest first.
    pub addresses: Vec<String>,
    /// When it was last heard of.
    pub seen: Timestamp,
    /// Its certificate, DER in base64: the proof that the circle gave it its name.
    #[serde(with = "crate::id::base64")]
    pub certificate: Vec<u8>,
    /// The bundle with that sequence in its envelope, if it was seen: the proof that it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Who had its name here before. What was said by that name is not for this peer, until the person says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<PeerId>,
}

impl KnownPeer {
    /// The peer that `bundle` tells of, at these addresses.
    pub fn of(bundle: &SignedBundle, addresses: Vec<String>) -> Self {
        let said = bundle.payload();
        Self {
            name: said.name.clone(),
            alias: None,
            peer_id: said.peer_id,
            seal_key: said.seal_key.clone(),
            sequence: said.sequence,
            addresses,
            seen: said.created,
            certificate: said.certificate.clone(),
            bundle: Some(String::from_utf8_lossy(bundle.envelope()).into_owned()),
            moved: None,
        }
    }

    /// What the person calls it.
    pub fn called(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    /// Both names, if there are two: `alias (name)`.
    pub fn shown(&self) -> String {
        match &self.alias {
            Some(alias) => format!("{alias} ({})", self.name),
            None => self.name.clone(),
        }
    }
}
