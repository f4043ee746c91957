//! The directory of a circle: each member's own signed bundle, and where it was reached.
//!
//! The circle's key signs it, so any member may pass it on. An address in it is a hint: the peer that answers there must
//! show the key in the bundle, as everywhere.

use serde::{Deserialize, Serialize};

use super::SignedBundle;
use crate::{
    address::PeerAddress,
    id::PeerId,
    manifest::{Contradiction, MAX_ENVELOPE, ManifestError, Payload, Signed, Timestamp},
};

/// Bytes of a directory in its envelope.
pub const MAX_DIRECTORY: usize = MAX_ENVELOPE;
/// Members of a directory. More do not fit into [`MAX_DIRECTORY`], as long as their certificates are.
pub const MAX_MEMBERS: usize = 1_000;
/// Addresses of one member.
pub const MAX_HINTS: usize = 4;
/// Bytes of a member's bundle in its envelope: a certificate with a hundred host names has room.
pub const MAX_MEMBER_BUNDLE: usize = 16 << 10;
/// Bytes of an address: the longest name of a host, and a port.
const MAX_HINT: usize = 253 + 6;

/// The members of a circle.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Version of the format: 1.
    pub v: u64,
    /// The digest of the circle's public key.
    pub circle: PeerId,
    /// A higher one replaces a lower one: milliseconds since 1970, or one more than that of the directory before.
    pub number: u64,
    /// The members, by name.
    pub members: Vec<Member>,
}

/// A member, by what it says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its bundle, in the envelope that it signed.
    #[serde(with = "envelope_text")]
    pub bundle: SignedBundle,
    /// Where the circle's machine reached it, the latest first.
    pub addresses: Vec<String>,
}

/// A directory in its envelope.
pub type SignedDirectory = Signed<Directory>;

/// Whether `text` may stand in a directory: an address in its one spelling, which is not of one link only.
pub fn is_hint(text: &str) -> bool {
    let parsed = text.parse::<PeerAddress>();
    let is_spelled = parsed.is_ok_and(|parsed| parsed.to_string() == text);
    text.len() <= MAX_HINT && !text.contains('%') && is_spelled
}

impl Member {
    /// Its name, by its own word.
    pub fn name(&self) -> &str {
        &self.bundle.payload().name
    }

    /// Its id.
    pub fn peer_id(&self) -> PeerId {
        self.bundle.payload().peer_id
    }

    fn check(&self) -> Result<(), Contradiction> {
        let (length, most) = (self.bundle.envelope().len(), MAX_MEMBER_BUNDLE);
        if length > most {
            return Err(Contradiction::LongBundle { length, most });
        }
        let (addresses, most) = (self.addresses.len(), MAX_HINTS);
        if addresses > most {
            return Err(Contradiction::TooManyAddresses { addresses, most });
        }
        match self.addresses.iter().all(|address| is_hint(address)) {
            true => Ok(()),
            false => Err(Contradiction::Address),
        }
    }
}

impl Directory {
    fn check_members(&self) -> Result<(), Contradiction> {
        let (members, most) = (self.members.len(), MAX_MEMBERS);
        if members > most {
            return Err(Contradiction::TooManyMembers { members, most });
        }
        if !self
            .members
            .iter()
            .map(Member::name)
            .is_sorted_by(|a, b| a < b)
        {
            return Err(Contradiction::MemberOrder);
        }
        let mut ids: Vec<_> = self.members.iter().map(Member::peer_id).collect();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Contradiction::MemberTwice(pair[0]));
        }
        self.members.iter().try_for_each(Member::check)
    }
}

impl Payload for Directory {
    const TYPE: &'static str = "application/vnd.colis.directory.v1+json";
    const NAME: &'static str = "directory";

    fn check(&self) -> Result<(), ManifestError> {
        let field = "members";
        self.check_members()
            .map_err(|fault| ManifestError::Invariant { field, fault })
    }

    /// The circle.
    fn sender(&self) -> PeerId {
        self.circle
    }

    /// None: a reader has the circle's.
    fn certificate(&self) -> &[u8] {
        &[]
    }

    fn created(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.number / 1000)
    }

    fn expires(&self) -> Option<Timestamp> {
        None
    }
}

/// A bundle as the text of its envelope.
mod envelope_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _, ser::Error as _};

    use super::{MAX_MEMBER_BUNDLE, SignedBundle};

    pub(super) fn serialize<S: Serializer>(
        bundle: &SignedBundle,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let text = std::str::from_utf8(bundle.envelope());
        to.serialize_str(text.map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<SignedBundle, D::Error> {
        let text = String::deserialize(from)?;
        if text.len() > MAX_MEMBER_BUNDLE {
            return Err(D::Error::custom("a bundle that is too long"));
        }
        SignedBundle::parse(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::SealPublicKey,
        manifest::{SignError, Signer, dsse, to_json},
        trust::PeerBundle,
    };

    /// Signs nothing that anybody believes.
    struct Pen(PeerId);

    impl Signer for Pen {
        fn peer_id(&self) -> PeerId {
            self.0
        }

        fn certificate(&self) -> Vec<u8> {
            vec![1]
        }

        fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
            Ok([7; 64])
        }
    }

    fn member(name: &str, key: &[u8], addresses: &[&str]) -> Member {
        let pen = Pen(PeerId::of(key));
        let bundle = PeerBundle {
            v: 1,
            created: Timestamp::from_unix_seconds(1_800_000_000),
            peer_id: pen.0,
            name: name.into(),
            certificate: vec![1],
            seal_key: SealPublicKey::from_bytes(&[7; SealPublicKey::LENGTH]).unwrap(),
            sequence: 1,
        };
        Member {
            bundle: Signed::sign(bundle, &pen).unwrap(),
            addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    fn directory(members: Vec<Member>) -> Directory {
        Directory {
            v: 1,
            circle: PeerId::of(b"circle"),
            number: 1_800_000_000_123,
            members,
        }
    }

    fn signed(members: Vec<Member>) -> Result<SignedDirectory, ManifestError> {
        let pen = Pen(PeerId::of(b"circle"));
        Signed::sign(directory(members), &pen)
    }

    /// What a reader says of it, whether or not a writer would write it.
    fn read(directory: &Directory) -> Result<SignedDirectory, ManifestError> {
        read_bytes(&to_json(directory))
    }

    fn read_bytes(payload: &[u8]) -> Result<SignedDirectory, ManifestError> {
        let circle = PeerId::of(b"circle");
        SignedDirectory::parse(dsse::write(Directory::TYPE, payload, circle, &[7; 64]))
    }

    fn fault(members: Vec<Member>) -> Contradiction {
        match (read(&directory(members.clone())), signed(members)) {
            (Err(ManifestError::Invariant { fault, .. }), Err(_)) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let members = || {
            vec![
                member("a", b"a", &[]),
                member("b", b"b", &["10.0.0.1:8443", "[::1]:1", "nas.lan:9"]),
            ]
        };
        let written = signed(members()).unwrap();
        let read = SignedDirectory::parse(written.envelope().clone()).unwrap();
        let names: Vec<_> = read.payload().members.iter().map(Member::name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(read.payload().members[1].addresses.len(), 3);
        assert_eq!(read.payload().created().unix_seconds(), 1_800_000_000);
        assert!(signed(Vec::new()).is_ok());
    }

    #[test]
    fn members_stand_once_and_by_name() {
        let (a, b) = (member("a", b"a", &[]), member("b", b"b", &[]));
        let order = Contradiction::MemberOrder;
        assert_eq!(fault(vec![b.clone(), a.clone()]), order);
        assert_eq!(fault(vec![a.clone(), member("a", b"other", &[])]), order);
        let twice = Contradiction::MemberTwice(PeerId::of(b"a"));
        assert_eq!(fault(vec![a, member("b", b"a", &[])]), twice);
    }

    #[test]
    fn an_address_is_one_and_they_are_few() {
        let many = vec!["10.0.0.1:1"; MAX_HINTS + 1];
        let too_many = Contradiction::TooManyAddresses {
            addresses: MAX_HINTS + 1,
            most: MAX_HINTS,
        };
        assert_eq!(fault(vec![member("a", b"a", &many)]), too_many);
        let long = format!("{}:1", ["a".repeat(60), "b".repeat(60)].concat().repeat(3));
        for bad in [
            "",
            "box",
            "box:8443/x",
            "http://box:1",
            "BOX :1",
            "box:65536",
            "box:08443",
            "[::0:1]:1",
            "[fe80::1%eth0]:1",
            " box:1",
            "box:1\n",
            &long,
        ] {
            assert_eq!(
                fault(vec![member("a", b"a", &[bad])]),
                Contradiction::Address,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn it_is_bounded_in_members_and_in_bytes_before_it_is_read() {
        let (count, most) = (MAX_MEMBERS + 1, MAX_MEMBERS);
        let members: Vec<_> = (0..count)
            .map(|n| member(&format!("m{n:05}"), &n.to_be_bytes(), &[]))
            .collect();
        let all = Contradiction::TooManyMembers {
            members: count,
            most,
        };
        assert_eq!(fault(members.clone()), all);
        let largest = signed(members[..most].to_vec()).unwrap();
        assert!(largest.envelope().len() <= MAX_DIRECTORY);
        let length = MAX_DIRECTORY + 1;
        let long = SignedDirectory::parse(vec![b' '; length]).unwrap_err();
        assert_eq!(long, ManifestError::TooLarge { length });
        let mut padded = member("a", b"a", &[]).bundle.payload().clone();
        padded.certificate = vec![1; MAX_MEMBER_BUNDLE];
        let pen = Pen(padded.peer_id);
        let (bundle, addresses) = (Signed::sign(padded, &pen).unwrap(), Vec::new());
        let long = directory(vec![Member { bundle, addresses }]);
        assert!(matches!(read(&long), Err(ManifestError::Syntax { .. })));
        assert!(long.check().is_err(), "nor is it written");
    }

    #[test]
    fn it_has_one_spelling_and_only_its_own_fields() {
        let good = to_json(&directory(vec![member("a", b"a", &["b:1"])]));
        let text = String::from_utf8(good.clone()).unwrap();
        assert!(read_bytes(&good).is_ok());
        for bad in [
            text.replacen('{', "{\"x\":1,", 1),
            text.replacen("\"number\"", "\"number\":1,\"number\"", 1),
            text.replacen("{\"bundle\"", "{\"x\":1,\"bundle\"", 1),
            text.replacen("\"addresses\":[", "\"addresses\":[],\"addresses\":[", 1),
            text.replacen("\":", "\": ", 1),
            text.replacen("{\\\"payload\\\"", "{ \\\"payload\\\"", 1),
            text.replacen("vnd.colis.peer", "vnd.colis.offer", 1),
            text.replacen("\"members\":[", "\"members\":[null,", 1),
            text.replacen("1800000000123", "18446744073709551616", 1),
            text.replacen("1800000000123", "-1", 1),
            text.replacen("1800000000123", "1.8e12", 1),
        ] {
            assert_ne!(bad, text);
            let refused = read_bytes(bad.as_bytes()).unwrap_err();
            assert!(
                matches!(refused, ManifestError::Syntax { .. }),
                "{refused}: {bad}"
            );
        }
        let other = text.replacen("\"v\":1", "\"v\":2", 1);
        let other = read_bytes(other.as_bytes()).unwrap_err();
        assert_eq!(other, ManifestError::UnsupportedVersion { v: 2 });
        let kind = dsse::write(PeerBundle::TYPE, &good, PeerId::of(b"circle"), &[7; 64]);
        let kind = SignedDirectory::parse(kind).unwrap_err();
        assert!(matches!(kind, ManifestError::UnsupportedType { .. }));
    }
}
