//! The key exchange and its confirmation: SPAKE2 over the code, then a tag of each side over all that both have seen.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroizing;

use super::{Breach, Code, PairError};
use crate::tls::PAIRING_OTHER_NAMES;

/// Version of the protocol, and the first byte of a hello.
const VERSION: u8 = 1;
/// A message of SPAKE2 over Ed25519: its side, and a point.
const MESSAGE: usize = 33;
const COMMITMENT: usize = 32;
const HELLO: usize = 1 + MESSAGE + COMMITMENT;

/// Names the protocol in everything that is derived.
const LABEL: &[u8] = b"colis/v1/pair\0";
const INVITER: &[u8] = b"colis pairing: inviter";
const JOINER: &[u8] = b"colis pairing: joiner";

/// What a channel alone has, on both its ends.
pub(super) type Exporter = [u8; 32];

/// What the messages go through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channel {
    pub(super) exporter: Exporter,
    pub(super) dialect: Dialect,
}

/// What both ends of a channel understand, by its ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// A name that is taken ends the pairing.
    First,
    /// The joining machine may take another name, over the same channel.
    OtherNames,
}

impl Channel {
    /// Of a TLS connection with this exporter and this ALPN.
    pub(super) fn new(exporter: Exporter, alpn: Option<&[u8]>) -> Self {
        let dialect = match alpn {
            Some(PAIRING_OTHER_NAMES) => Dialect::OtherNames,
            _ => Dialect::First,
        };
        Self { exporter, dialect }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Inviter,
    Joiner,
}

/// One side that has said hello.
pub(super) struct Exchange {
    side: Side,
    state: Spake2<Ed25519Group>,
    /// What it says: version, message, and the commitment to its public keys.
    pub(super) hello: Vec<u8>,
}

impl Exchange {
    pub(super) fn start(side: Side, code: &Code, commitment: &[u8; COMMITMENT]) -> Self {
        let password = Password::new(code.expose());
        let (inviter, joiner) = (Identity::new(INVITER), Identity::new(JOINER));
        let (state, message) = match side {
            Side::Inviter => Spake2::start_a(&password, &inviter, &joiner),
            Side::Joiner => Spake2::start_b(&password, &inviter, &joiner),
        };
        let mut hello = vec![VERSION];
        hello.extend_from_slice(&message);
        hello.extend_from_slice(commitment);
        Self { side, state, hello }
    }

    /// Takes the hello of the other side. A wrong code is no error here: it shows in the tags.
    pub(super) fn finish(self, theirs: &Hello, exporter: &Exporter) -> Result<Tags, PairError> {
        let key = self.state.finish(theirs.message());
        let key = key.map_err(|_| Breach::Exchange)?;
        let key = Zeroizing::new(key);
        let (inviter, joiner) = match self.side {
            Side::Inviter => (&self.hello, &theirs.0),
            Side::Joiner => (&theirs.0, &self.hello),
        };
        // Every part has a fixed length: one transcript has one meaning.
        let transcript = [LABEL, exporter, inviter, joiner].concat();
        Ok(Tags {
            inviter: tag_key(&key, b"inviter")?,
            joiner: tag_key(&key, b"joiner")?,
            transcript,
        })
    }
}

/// A hello of the right shape.
pub(super) struct Hello(Vec<u8>);

impl Hello {
    pub(super) fn parse(body: Vec<u8>) -> Result<Self, PairError> {
        if body.first() != Some(&VERSION) {
            return Err(Breach::Version.into());
        }
        if body.len() != HELLO {
            return Err(Breach::HelloLength.into());
        }
        Ok(Self(body))
    }

    fn message(&self) -> &[u8] {
        &self.0[1..=MESSAGE]
    }

    pub(super) fn commitment(&self) -> &[u8] {
        &self.0[1 + MESSAGE..]
    }
}

/// Makes and checks the proofs that a side knows the code.
pub(super) struct Tags {
    inviter: Zeroizing<[u8; 32]>,
    joiner: Zeroizing<[u8; 32]>,
    transcript: Vec<u8>,
}

impl Tags {
    /// The proof of `side`.
    pub(super) fn of(&self, side: Side) -> Result<[u8; 32], PairError> {
        Ok(self.mac(side)?.finalize().into_bytes().into())
    }

    /// Whether `tag` proves that `side` knows the code; in constant time.
    pub(super) fn proves(&self, side: Side, tag: &[u8]) -> Result<bool, PairError> {
        Ok(self.mac(side)?.verify_slice(tag).is_ok())
    }

    fn mac(&self, side: Side) -> Result<Hmac<Sha256>, PairError> {
        let key = match side {
            Side::Inviter => &self.inviter,
            Side::Joiner => &self.joiner,
        };
        let mac = Hmac::<Sha256>::new_from_slice(key.as_ref());
        Ok(mac
            .map_err(PairError::failed)?
            .chain_update(&self.transcript))
    }
}

fn tag_key(key: &[u8], side: &[u8]) -> Result<Zeroizing<[u8; 32]>, PairError> {
    let mut out = Zeroizing::new([0; 32]);
    let hkdf = Hkdf::<Sha256>::new(Some(LABEL), key);
    hkdf.expand(side, out.as_mut()).map_err(PairError::failed)?;
    Ok(out)
}
