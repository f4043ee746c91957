//! The rules of offers and manifests at their limits, by fields that break one of them.

use std::sync::Mutex;

use super::*;
use crate::{
    crypto::{
        FileKey,
        password::{MAX_ITERATIONS, MIN_ITERATIONS},
    },
    id::{FileDigest, ManifestId, SealKeyId},
};

const DAY: u64 = 24 * 3600;
const NOW: u64 = 1_800_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn ids(count: u64, from: u64) -> Vec<ChunkId> {
    let numbers = (0..count).map(|n| (from + n).to_be_bytes());
    numbers.map(|n| ChunkId::of(&n)).collect()
}

fn wrap_for(peer: &[u8]) -> Wrap {
    Wrap::Recipient {
        peer: PeerId::of(peer),
        kid: SealKeyId::of(b"key"),
        enc: vec![1; 1120],
        ct: vec![2; 48],
    }
}

fn password_wrap(iterations: u32) -> Wrap {
    Wrap::Password {
        salt: [1; 32],
        iterations,
        check: [2; 32],
        ct: [3; 48],
    }
}

fn offer() -> Offer {
    Offer {
        v: 1,
        transfer_id: TransferId::from_bytes([1; 16]),
        created: at(NOW),
        expires: Some(at(NOW + DAY)),
        sender: PeerId::of(b"sender"),
        certificate: b"certificate".to_vec(),
        key_id: FileKey::from_bytes(zeroize::Zeroizing::new([4; 32])).commitment(),
        chunk_size: MIN_CHUNK_SIZE,
        size: None,
        table: ids(1, 1_000_000),
        wraps: vec![wrap_for(b"sender"), wrap_for(b"reader")],
    }
}

/// Two chunks, of which the last is not full.
fn manifest() -> Manifest {
    offer().complete(u64::from(MIN_CHUNK_SIZE) + 1, ids(2, 0), ids(1, 2_000_000))
}

/// Signs with a constant; believes it, and remembers what was claimed.
#[derive(Default)]
struct Constant(Mutex<Vec<u8>>);

impl Signer for Constant {
    fn peer_id(&self) -> PeerId {
        PeerId::of(b"sender")
    }

    fn certificate(&self) -> Vec<u8> {
        b"certificate".to_vec()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        message.clone_into(&mut self.0.lock().unwrap());
        Ok([7; 64])
    }
}

impl Verifier for Constant {
    fn verify(&self, claim: &Claim<'_>) -> Result<String, VerifyError> {
        assert_eq!(*self.0.lock().unwrap(), claim.message);
        assert_eq!(claim.signature, &[7; 64]);
        assert_eq!(claim.certificate, b"certificate");
        assert_eq!(claim.sender, PeerId::of(b"sender"));
        assert_eq!(claim.signed_at, at(NOW));
        Ok("name".into())
    }
}

/// The field that `payload` is refused for.
fn field(payload: &impl Payload) -> Option<&'static str> {
    match payload.check() {
        Ok(()) => None,
        Err(ManifestError::Invariant { field, .. }) => Some(field),
        Err(ManifestError::BadWrap(_) | ManifestError::KdfParameters(_)) => Some("wraps"),
        Err(other) => panic!("{other}"),
    }
}

fn field_of_changed(change: impl FnOnce(&mut Manifest)) -> Option<&'static str> {
    let mut changed = manifest();
    change(&mut changed);
    field(&changed)
}

fn field_of_changed_offer(change: impl FnOnce(&mut Offer)) -> Option<&'static str> {
    let mut changed = offer();
    change(&mut changed);
    field(&changed)
}

fn reads_back<T: Payload + PartialEq + std::fmt::Debug + Clone>(payload: &T) {
    let signer = Constant::default();
    let signed = Signed::sign(payload.clone(), &signer).unwrap();
    let read = Signed::<T>::parse(signed.envelope().clone()).unwrap();
    assert_eq!((signed.payload(), read.payload()), (payload, payload));
    assert_eq!(read.id(), ManifestId::of(signed.envelope()));
    assert_eq!(read.envelope(), signed.envelope());
    let message = dsse::pae(T::TYPE, &to_json(payload));
    assert_eq!(*signer.0.lock().unwrap(), message);
    for signed in [signed, read] {
        assert_eq!(signed.verify(&signer, at(NOW)).unwrap(), "name");
    }
}

#[test]
fn what_was_signed_reads_back_and_is_what_a_verifier_is_asked() {
    reads_back(&offer());
    reads_back(&manifest());
}

#[test]
fn a_manifest_says_what_it_names_and_who_can_open_it() {
    let mut manifest = manifest();
    let expected = [&manifest.table[..], &manifest.chunks, &manifest.sums].concat();
    assert_eq!(manifest.all_chunks().collect::<Vec<_>>(), expected);
    let readers = [b"sender", b"reader"].map(|name| PeerId::of(name));
    assert!(!manifest.has_password());
    manifest.wraps.push(password_wrap(MIN_ITERATIONS));
    assert_eq!(manifest.recipients().collect::<Vec<_>>(), readers);
    assert!(manifest.has_password());
}

#[test]
fn lengths_are_those_of_the_format() {
    assert_eq!((MIN_SEALED_CHUNK, MAX_SEALED_CHUNK), (29, 67_108_892));
    assert_eq!((MIN_CHUNK_SIZE, MAX_CHUNK_SIZE), (65_536, 67_108_864));
    assert_eq!((DEFAULT_CHUNK_SIZE, MAX_ENVELOPE), (1_048_576, 8_388_608));
}

#[test]
fn a_transfer_ends_after_it_begins() {
    for (expires, fault) in [
        (Some(NOW - 1), Some("expires")),
        (Some(NOW), Some("expires")),
        (Some(NOW + 1), None),
        (None, None),
    ] {
        let expires = expires.map(at);
        assert_eq!(field_of_changed(|m| m.expires = expires), fault);
        assert_eq!(field_of_changed_offer(|o| o.expires = expires), fault);
    }
}

#[test]
fn chunk_sizes_are_powers_of_two_within_bounds() {
    let (smallest, largest) = (MIN_CHUNK_SIZE, MAX_CHUNK_SIZE);
    for (size, good) in [
        (0, false),
        (1, false),
        (smallest / 2, false),
        (smallest - 1, false),
        (smallest, true),
        (smallest + 1, false),
        (3 * smallest, false),
        (largest / 2, true),
        (largest, true),
        (largest * 2, false),
    ] {
        assert_eq!(check_chunk_size(size).is_ok(), good, "{size}");
        let fault = field_of_changed_offer(|offer| offer.chunk_size = size);
        assert_eq!(fault, (!good).then_some("chunk_size"), "{size}");
    }
    assert_eq!(field_of_changed(|m| m.chunk_size = 1), Some("chunk_size"));
}

#[test]
fn as_many_chunks_as_the_size_needs_and_not_too_many() {
    let full = u64::from(MIN_CHUNK_SIZE);
    for (size, count, good) in [
        (0, 0, true),
        (0, 1, false),
        (1, 0, false),
        (1, 1, true),
        (full, 1, true),
        (full, 2, false),
        (full + 1, 2, true),
        (full + 1, 1, false),
    ] {
        let fault = field_of_changed(|m| (m.size, m.chunks) = (size, ids(count, 0)));
        assert_eq!(fault, (!good).then_some("chunks"), "{size} in {count}");
    }
    let most = MAX_CHUNKS as u64;
    let all =
        |extra: u64| field_of_changed(|m| (m.size, m.chunks) = (most * full + extra, ids(most, 0)));
    assert_eq!((all(0), all(1)), (None, Some("size")));
    let offered = |size| field_of_changed_offer(|offer| offer.size = Some(size));
    assert_eq!(offered(most * full), None);
    assert_eq!(offered(most * full + 1), Some("size"));
}

#[test]
fn tables_and_sums_are_bounded_by_what_can_be_in_them() {
    for (chunk_size, most) in [(MIN_CHUNK_SIZE, 8192), (MAX_CHUNK_SIZE, 8)] {
        for (count, good) in [(0, false), (1, true), (most, true), (most + 1, false)] {
            let fault = (!good).then_some("table");
            let table = ids(count, 1_000_000);
            let found = field_of_changed_offer(|offer| {
                (offer.chunk_size, offer.table) = (chunk_size, table.clone());
            });
            assert_eq!(found, fault, "{count} of {chunk_size}");
            let found = field_of_changed(|m| {
                (m.chunk_size, m.table) = (chunk_size, table);
                m.size = 2 * u64::from(chunk_size);
            });
            assert_eq!(found, fault, "{count} of {chunk_size}");
        }
    }
    // A million lines of 67 bytes.
    for (count, fault) in [(0, None), (1023, None), (1024, Some("sums"))] {
        let sums = ids(count, 2_000_000);
        assert_eq!(field_of_changed(|m| m.sums = sums), fault, "{count}");
    }
}

#[test]
fn no_chunk_stands_twice() {
    let one = ids(1, 0)[0];
    let twice = vec![one, one];
    assert_eq!(field_of_changed_offer(|o| o.table = twice), Some("table"));
    assert_eq!(field_of_changed(|m| m.chunks[1] = one), Some("chunks"));
    assert_eq!(field_of_changed(|m| m.table[0] = one), Some("chunks"));
    assert_eq!(field_of_changed(|m| m.sums[0] = one), Some("chunks"));
}

#[test]
fn wraps_are_few_of_the_right_form_and_one_is_the_senders() {
    let many = |count: usize| -> Vec<Wrap> {
        let others = (1..count).map(|n| wrap_for(&n.to_be_bytes()));
        std::iter::once(wrap_for(b"sender")).chain(others).collect()
    };
    let with = |wrap: Wrap| vec![wrap_for(b"sender"), wrap];
    let of_lengths = |enc_length, ct_length| {
        with(Wrap::Recipient {
            peer: PeerId::of(b"reader"),
            kid: SealKeyId::of(b"key"),
            enc: vec![0; enc_length],
            ct: vec![0; ct_length],
        })
    };
    let counted = |iterations| with(password_wrap(iterations));
    let two_passwords = [counted(MIN_ITERATIONS), vec![password_wrap(700_000)]].concat();
    for (wraps, good) in [
        (vec![], false),
        (many(1), true),
        (many(64), true),
        (many(65), false),
        (vec![wrap_for(b"reader")], false),
        (with(wrap_for(b"sender")), false),
        (two_passwords, false),
        (of_lengths(1119, 48), false),
        (of_lengths(1121, 48), false),
        (of_lengths(1120, 47), false),
        (of_lengths(1120, 49), false),
        (counted(MIN_ITERATIONS - 1), false),
        (counted(MIN_ITERATIONS), true),
        (counted(MAX_ITERATIONS), true),
        (counted(MAX_ITERATIONS + 1), false),
    ] {
        let fault = (!good).then_some("wraps");
        assert_eq!(field_of_changed(|m| m.wraps.clone_from(&wraps)), fault);
        assert_eq!(field_of_changed_offer(|o| o.wraps = wraps), fault);
    }
}

#[test]
fn a_signer_must_be_the_sender_that_is_named() {
    let payload = to_json(&manifest());
    let other = PeerId::of(b"other");
    let envelope = dsse::write(Manifest::TYPE, &payload, other, &[7; 64]);
    let sender = manifest().sender;
    let refused = SignedManifest::parse(envelope).unwrap_err();
    assert_eq!(refused, VerifyError::SenderMismatch { sender }.into());
}

#[test]
fn dates_are_judged_to_the_second() {
    let signer = Constant::default();
    let signed = Signed::sign(manifest(), &signer).unwrap();
    let verify = |now| signed.verify(&signer, at(now));
    assert!(verify(NOW - DAY).is_ok(), "24 hours ahead");
    let (created, now) = (at(NOW), at(NOW - DAY - 1));
    assert_eq!(
        verify(NOW - DAY - 1),
        Err(ManifestError::FromTheFuture { created, now })
    );
    assert!(verify(NOW + DAY - 1).is_ok(), "a second before its end");
    let (expires, now) = (at(NOW + DAY), at(NOW + DAY));
    let expired = Err(ManifestError::Expired { expires, now });
    assert_eq!(verify(NOW + DAY), expired);
    let offer = Signed::sign(offer(), &signer).unwrap();
    assert_eq!(offer.check_dates(now), expired.map(drop));
    let mut endless = manifest();
    endless.expires = None;
    let endless = Signed::sign(endless, &signer).unwrap();
    assert!(endless.check_dates(at(NOW + 10_000 * DAY)).is_ok());
}

#[test]
fn an_envelope_is_bounded_when_it_is_read_and_when_it_is_written() {
    let length = MAX_ENVELOPE + 1;
    let long = SignedManifest::parse(vec![b' '; length]).unwrap_err();
    assert_eq!(long, ManifestError::TooLarge { length });
    let longest = SignedManifest::parse(vec![b' '; MAX_ENVELOPE]).unwrap_err();
    assert!(matches!(longest, ManifestError::Syntax { .. }), "{longest}");
    let mut manifest = manifest();
    manifest.certificate = vec![0; MAX_ENVELOPE];
    let written = Signed::sign(manifest, &Constant::default()).unwrap_err();
    assert!(
        matches!(written, ManifestError::TooLarge { .. }),
        "{written}"
    );
}

#[test]
fn other_versions_and_spellings_are_told_apart_and_say_where() {
    let text = String::from_utf8(to_json(&manifest())).unwrap();
    let parse = |text: &str| from_json::<Manifest>(text.as_bytes(), "manifest").unwrap_err();
    let version = parse(&text.replace("\"v\":1", "\"v\":2"));
    assert_eq!(version, ManifestError::UnsupportedVersion { v: 2 });
    let spaced = parse(&text.replace("{\"v\":1", "{\"v\": 1"));
    let fault = SyntaxFault::Spelling { at: 5 };
    let what = "manifest";
    assert_eq!(spaced, ManifestError::Syntax { what, fault });
    let cut = parse("{\"v\":1");
    let said = "not a well-formed manifest: line 1 column 6: EOF while parsing an object";
    assert_eq!(cut.to_string(), said);
    let fault = SyntaxFault::Spelling { at: 3 };
    let other = check_spelling(&"abc", b"\"abd\"", what);
    assert_eq!(other, Err(ManifestError::Syntax { what, fault }));
}

#[test]
fn a_line_of_the_sums_is_a_digest_in_its_one_spelling() {
    let digest = FileDigest::of(b"file");
    let mut line = Vec::new();
    table::write_line(&digest, &mut line);
    assert_eq!(line.len(), table::SUM_LINE);
    assert_eq!(table::parse_sum(&line[..66]), Ok(digest));
    assert!(table::parse_sum(&line).is_err(), "with its line feed");
    assert!(table::parse_sum(b"\"00\"").is_err());
}
