//! What the two sides tell each other once both have proved that they know the code. Each has committed to its public keys before.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::{Breach, PairError};
use crate::{id::SealPublicKey, name::LibraryError};

/// Bytes of a text that the other side may have us show.
const MAX_TEXT: usize = 300;

/// What the joining machine asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// Random: the commitment to this tells nothing about it.
    pub(super) blind: String,
    pub(super) name: String,
    /// Signing requests, as PEM.
    pub(super) identity: String,
    pub(super) script: String,
    pub(super) seal_key: SealPublicKey,
    /// Where it will serve.
    pub(super) port: Option<u16>,
}

/// Who the inviting machine is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    pub(super) blind: String,
    /// Its bundle, in the envelope that it signed.
    pub(super) bundle: String,
    pub(super) ca_cert: String,
    pub(super) port: Option<u16>,
}

/// What the inviting machine gives.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grant {
    /// A [`Host`], as the bytes that were committed to.
    pub(super) host: String,
    pub(super) certificate: String,
    pub(super) script_certificate: String,
    pub(super) crl: String,
}

/// How often a machine may ask for another name.
pub(super) const OTHER_NAMES: usize = 3;

/// The joining machine cannot be called as it wants. Only who has proved that it knows the code is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Taken {
    pub(super) reason: String,
    /// A name that it can have.
    pub(super) free: Option<String>,
}

/// What the joining machine wants to be called instead.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OtherName {
    pub(super) name: String,
}

/// Why the inviting machine does not go on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Refusal {
    WrongCode { left: u8 },
    Burned,
    Used,
    Expired,
    Busy,
    Refused { reason: String },
}

impl From<Refusal> for PairError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::WrongCode { left } => Self::WrongCode { left },
            Refusal::Burned => Self::Burned,
            Refusal::Used => Self::Used,
            Refusal::Expired => Self::Expired,
            Refusal::Busy => Self::Busy,
            Refusal::Refused { reason } => Self::Refused {
                said: bounded(reason),
            },
        }
    }
}

/// Text of the other side, no longer than we show it.
pub(super) fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

/// 32 random bytes, as text.
pub(super) fn blind() -> Result<String, PairError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(PairError::failed)?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

/// A card as the bytes that are sent, and the commitment to them.
pub(super) fn seal<T: Serialize>(card: &T) -> Result<(String, [u8; 32]), PairError> {
    let text = serde_json::to_string(card).map_err(PairError::failed)?;
    let commitment = commitment(text.as_bytes());
    Ok((text, commitment))
}

/// A card that must be the one that was committed to.
pub(super) fn open<T: DeserializeOwned>(bytes: &[u8], committed: &[u8]) -> Result<T, PairError> {
    if commitment(bytes) != committed {
        return Err(Breach::OtherKeys.into());
    }
    parse(bytes)
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PairError> {
    serde_json::from_slice(bytes).map_err(|e| Breach::Json(LibraryError::new(e)).into())
}

fn commitment(bytes: &[u8]) -> [u8; 32] {
    let hash = Sha256::new().chain_update(b"colis/v1/pair/keys\0");
    hash.chain_update(bytes).finalize().into()
}
