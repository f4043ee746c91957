//! No bit of a sealed transfer can be flipped unseen: not of its chunks, not of its envelope with signature and wraps.

use colis::{
    crypto::{ChunkOpener, ChunkPosition, ChunkSealer, FileKey, SealKey, Stream, chunk::OVERHEAD},
    id::{ChunkId, PeerId, TransferId},
    manifest::{
        Claim, MIN_CHUNK_SIZE, Offer, Signed, SignedManifest, Signer as _, Timestamp, Verifier,
        VerifyError, Wrap, WrapScope,
    },
};
use p256::{
    ecdsa::{Signature, SigningKey, VerifyingKey, signature::Verifier as _},
    pkcs8::EncodePublicKey as _,
};

use testkit::rounds;
use testkit::sealed::TestSigner;

/// Believes one key.
struct Believer(VerifyingKey);

impl Verifier for Believer {
    fn verify(&self, claim: &Claim<'_>) -> Result<String, VerifyError> {
        let der = self.0.to_public_key_der().unwrap();
        if PeerId::of(der.as_bytes()) != claim.sender || claim.certificate != b"certificate" {
            let sender = claim.sender;
            return Err(VerifyError::SenderMismatch { sender });
        }
        let signature = Signature::from_slice(claim.signature);
        let good = signature.is_ok_and(|signature| {
            signature.normalize_s() == signature && self.0.verify(claim.message, &signature).is_ok()
        });
        good.then(|| "sender".to_owned())
            .ok_or(VerifyError::BadSignature)
    }
}

struct Transfer {
    believer: Believer,
    key: FileKey,
    seal_key: SealKey,
    manifest: SignedManifest,
    /// Each with its stream and place.
    chunks: Vec<(Stream, ChunkPosition, Vec<u8>)>,
}

impl Transfer {
    fn new() -> Self {
        let signer = TestSigner::new(1);
        let signing = SigningKey::from_slice(&[1; 32]).unwrap();
        let (key, seal_key) = (FileKey::generate().unwrap(), SealKey::generate().unwrap());
        let plain = vec![0x5a; MIN_CHUNK_SIZE as usize];
        let mut chunks = Vec::new();
        let mut seal = |stream, lengths: &[usize]| {
            let sealer = ChunkSealer::new(&key, stream, MIN_CHUNK_SIZE);
            let count = lengths.len();
            let mut ids = Vec::new();
            for (index, length) in lengths.iter().enumerate() {
                let last = index + 1 == count;
                let index = index as u64;
                let place = ChunkPosition { index, last };
                let sealed = sealer.seal(place, &plain[..*length]).unwrap();
                ids.push(ChunkId::of(&sealed));
                chunks.push((stream, place, sealed));
            }
            ids
        };
        let full = MIN_CHUNK_SIZE as usize;
        let table = seal(Stream::Table, &[256]);
        let content = seal(Stream::Content, &[full, full, 100]);
        let sums = seal(Stream::Sums, &[256]);
        let scope = WrapScope {
            key_id: key.commitment(),
            transfer_id: TransferId::generate().unwrap(),
            sender: signer.peer_id(),
        };
        let now = Timestamp::now();
        let wrap = Wrap::to_recipient(&key, scope, scope.sender, seal_key.public());
        let offer = Offer {
            v: 1,
            transfer_id: scope.transfer_id,
            created: now,
            expires: Some(now.plus_seconds(3600)),
            sender: scope.sender,
            certificate: signer.certificate(),
            key_id: scope.key_id,
            chunk_size: MIN_CHUNK_SIZE,
            size: None,
            table,
            wraps: vec![wrap.unwrap()],
        };
        let size = 2 * u64::from(MIN_CHUNK_SIZE) + 100;
        let manifest = Signed::sign(offer.complete(size, content, sums), &signer).unwrap();
        Self {
            believer: Believer(*signing.verifying_key()),
            key,
            seal_key,
            manifest,
            chunks,
        }
    }

    fn believes(&self, envelope: Vec<u8>) -> bool {
        let parsed = SignedManifest::parse(envelope);
        parsed.is_ok_and(|manifest| manifest.verify(&self.believer, Timestamp::now()).is_ok())
    }

    fn opens(&self, (stream, place, sealed): &(Stream, ChunkPosition, Vec<u8>)) -> bool {
        let opener = ChunkOpener::new(&self.key, *stream, MIN_CHUNK_SIZE);
        opener.open(*place, &mut sealed.clone()).is_ok()
    }

    /// Only in memory: a wrap is covered by the signature too.
    fn unwraps(&self, envelope: &[u8]) -> bool {
        let Ok(manifest) = SignedManifest::parse(envelope.to_vec()) else {
            return false;
        };
        let payload = manifest.payload();
        let scope = WrapScope {
            key_id: payload.key_id,
            transfer_id: payload.transfer_id,
            sender: payload.sender,
        };
        let opened = payload.wraps[0].open_with_key(scope, payload.sender, &self.seal_key);
        opened.is_some_and(|opened| opened.is_ok())
    }
}

/// `count` numbers below `end`, evenly spread, whatever divides it.
fn spread(count: usize, end: usize) -> impl Iterator<Item = usize> {
    let step = end as f64 / count as f64;
    (0..count.min(end)).map(move |n| (n as f64 * step) as usize)
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn ten_thousand_flipped_bits_are_all_refused() {
    let transfer = Transfer::new();
    let envelope = transfer.manifest.envelope().to_vec();
    assert!(transfer.believes(envelope.clone()) && transfer.unwraps(&envelope));
    assert!(transfer.chunks.iter().all(|chunk| transfer.opens(chunk)));
    let each = rounds(10_000) as usize / 6;
    let mut tried = 0;
    for bit in spread(each, envelope.len() * 8) {
        assert!(!transfer.believes(flipped(&envelope, bit)), "bit {bit}");
        tried += 1;
    }
    for (stream, place, sealed) in &transfer.chunks {
        // The ends hold nonce and tag: they are tried whole.
        let ends = (0..OVERHEAD * 8).map(|bit| match bit < 96 {
            true => bit,
            false => sealed.len() * 8 - (bit - 95),
        });
        for bit in ends.chain(spread(each, sealed.len() * 8)) {
            let changed = flipped(sealed, bit);
            assert_ne!(ChunkId::of(&changed), ChunkId::of(sealed));
            let chunk = (*stream, *place, changed);
            assert!(!transfer.opens(&chunk), "{stream:?} {place:?} bit {bit}");
            tried += 1;
        }
    }
    eprintln!("{tried} flipped bits refused");
    assert!(tried >= 10_000);
}
