//! The DSSE 1.0 envelope (github.com/secure-systems-lab/dsse): exact bytes beside one signature over them.
//!
//! Signing the bytes instead of the meaning of a JSON text leaves no room for two parsers to disagree. The envelope
//! itself has one spelling too, because its digest is an address.

use serde::{Deserialize, Serialize};

use super::{ManifestError, check_spelling, to_json};
use crate::id::PeerId;

/// What an envelope carries, before anybody believes it.
#[derive(Debug)]
pub struct Opened {
    /// The signed bytes.
    pub payload: Vec<u8>,
    /// Whose key the envelope names. A hint: the payload names the sender.
    pub keyid: PeerId,
    /// r || s.
    pub signature: [u8; 64],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    #[serde(with = "crate::id::base64")]
    payload: Vec<u8>,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: [Signature; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: PeerId,
    #[serde(with = "crate::id::base64")]
    sig: [u8; 64],
}

/// DSSE's pre-authentication encoding: what is really signed.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

/// Writes an envelope.
pub fn write(payload_type: &str, payload: &[u8], keyid: PeerId, signature: &[u8; 64]) -> Vec<u8> {
    to_json(&Envelope {
        payload: payload.to_vec(),
        payload_type: payload_type.to_owned(),
        signatures: [Signature {
            keyid,
            sig: *signature,
        }],
    })
}

/// Reads an envelope that must carry `payload_type`. The caller has bounded its length.
///
/// # Errors
/// [`ManifestError::Syntax`], [`ManifestError::UnsupportedType`].
pub fn read(bytes: &[u8], payload_type: &'static str) -> Result<Opened, ManifestError> {
    let syntax = |e| ManifestError::syntax("envelope", &e);
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(syntax)?;
    check_spelling(&envelope, bytes, "envelope")?;
    if envelope.payload_type != payload_type {
        return Err(ManifestError::UnsupportedType {
            expected: payload_type,
        });
    }
    let [Signature { keyid, sig }] = envelope.signatures;
    Ok(Opened {
        payload: envelope.payload,
        keyid,
        signature: sig,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pre_authentication_encoding_is_that_of_the_specification() {
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            expected
        );
    }

    #[test]
    fn an_envelope_has_one_spelling() {
        let written = write("type", b"payload", PeerId::of(b"p"), &[7; 64]);
        let opened = read(&written, "type").unwrap();
        assert_eq!(
            (opened.payload.as_slice(), opened.keyid),
            (&b"payload"[..], PeerId::of(b"p"))
        );
        let text = String::from_utf8(written).unwrap();
        let spaced = text.replace("\":", "\": ");
        let trailing = format!("{text}\n");
        let unknown = text.replacen('{', "{\"x\":1,", 1);
        let twice = text.replacen('{', "{\"payloadType\":\"type\",", 1);
        for wrong in [spaced, trailing, unknown, twice, text.replace('=', "")] {
            assert!(
                matches!(
                    read(wrong.as_bytes(), "type"),
                    Err(ManifestError::Syntax { .. })
                ),
                "{wrong}"
            );
        }
        let other = read(text.as_bytes(), "other").unwrap_err();
        assert_eq!(other, ManifestError::UnsupportedType { expected: "other" });
    }
}
