//! What a bad manifest costs a peer, in its own processor time: little, and no key derivation ever.

use std::fs;

use colis::{
    crypto::password::Password,
    id::{ChunkId, PeerId},
    manifest::{Manifest, Payload as _, Wrap, to_json},
    tls::Identity,
    wire::MAX_MANIFEST_BODY,
};
use data_encoding::BASE64;

use crate::bad_input::parcel::{Parcel, Plain, publishing, sign};
use testkit::site::Site;
use testkit::{rounds, stretch};

const MAX_IDS: usize = 65_536;
/// Milliseconds of processor time for one bad manifest.
const BOUND: f64 = 50.0;
/// For one of MiBs, most of which is TLS, SHA-256 and base64: about 60 ms for 8 MiB that are no envelope at all.
const LARGE: f64 = 500.0;
/// For one whose 65,536 chunks are all looked for on the disk, and are not there.
const LOOKUPS: f64 = 2_000.0;
/// Milliseconds of the unit that the system counts processor time in.
const TICK: f64 = 10.0;

/// A parcel that says more or less than it should, signed by its sender all the same.
struct Forge<'a> {
    a: &'a Identity,
    b: &'a Identity,
}

impl Forge<'_> {
    fn parcel(&self) -> Manifest {
        Parcel::seal(self.b, self.a, Plain::files(&["x"])).manifest
    }

    fn signed(&self, change: impl Fn(&mut Manifest)) -> Vec<u8> {
        let mut manifest = self.parcel();
        change(&mut manifest);
        sign(&to_json(&manifest), Manifest::TYPE, self.b)
    }

    /// An envelope around any text.
    fn text(&self, payload: &[u8]) -> Vec<u8> {
        sign(payload, Manifest::TYPE, self.b)
    }
}

fn many_ids(manifest: &mut Manifest) {
    manifest.chunks = (0..MAX_IDS)
        .map(|n| ChunkId::of(&n.to_be_bytes()))
        .collect();
    manifest.size = MAX_IDS as u64 * u64::from(manifest.chunk_size);
}

/// Each of these is refused, or names chunks that are not there.
fn bad(forge: &Forge<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let wraps = |count: usize| {
        forge.signed(|manifest| {
            let more = (0..count).map(|n| Wrap::Recipient {
                peer: PeerId::of(&n.to_be_bytes()),
                kid: colis::id::SealKeyId::of(b"key"),
                enc: vec![7; 1120],
                ct: vec![7; 48],
            });
            manifest.wraps.extend(more);
        })
    };
    let mut flipped = forge.signed(many_ids);
    let at = flipped.len() - 20;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    let ids = |id: String| {
        format!(
            "{{\"v\":1,\"chunks\":[\"{}\"]}}",
            vec![id; MAX_IDS].join("\",\"")
        )
    };
    vec![
        ("65,536 ids that are not there", forge.signed(many_ids)),
        (
            "65,536 ids, one twice",
            forge.signed(|m| {
                many_ids(m);
                m.chunks[MAX_IDS - 1] = m.chunks[0];
            }),
        ),
        ("65,536 ids, a bad signature", flipped),
        (
            "65,536 times one id",
            forge.text(ids(ChunkId::of(b"x").to_string()).as_bytes()),
        ),
        ("62 wraps more", wraps(62)),
        ("5,000 wraps", wraps(5_000)),
    ]
}

/// As long as a manifest may be, and none.
fn junk(forge: &Forge<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let room = MAX_MANIFEST_BODY * 3 / 4 - 4096;
    let nested = |open: &str| open.repeat(room / open.len());
    let spaces = format!("{{\"payload\":\"{}\"", " ".repeat(MAX_MANIFEST_BODY - 100));
    vec![
        ("brackets, 6 MiB deep", forge.text(nested("[").as_bytes())),
        (
            "braces, 6 MiB deep",
            forge.text(nested("{\"v\":").as_bytes()),
        ),
        (
            "a text of 6 MiB",
            forge.text(format!("{{\"v\":\"{}\"}}", "x".repeat(room - 100)).as_bytes()),
        ),
        (
            "escapes of 6 MiB",
            forge.text(format!("{{\"v\":\"{}\"}}", "\\u0041".repeat(room / 6 - 100)).as_bytes()),
        ),
        (
            "a number of 6 MiB",
            forge.text(format!("{{\"v\":{}}}", "9".repeat(room - 100)).as_bytes()),
        ),
        (
            "a field twice, a million times",
            forge.text(format!("{{{}}}", "\"v\":1,".repeat(room / 7)).as_bytes()),
        ),
        (
            "brackets instead of an envelope",
            "[".repeat(MAX_MANIFEST_BODY).into_bytes(),
        ),
        ("8 MiB of white space", spaces.into_bytes()),
        (
            "base64 of 8 MiB, of nothing",
            envelope(&BASE64.encode(&vec![0; room])),
        ),
        (
            "base64 that ends badly",
            envelope(&"A".repeat(MAX_MANIFEST_BODY - 400)),
        ),
    ]
}

fn envelope(payload: &str) -> Vec<u8> {
    let kind = Manifest::TYPE;
    format!("{{\"payload\":\"{payload}\",\"payloadType\":\"{kind}\",\"signatures\":[{{\"keyid\":\"\",\"sig\":\"\"}}]}}").into_bytes()
}

/// Processor time of a process so far, in milliseconds.
fn spent(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    f64::from(u32::try_from(ticks).unwrap()) * TICK
}

#[test]
fn a_bad_manifest_costs_little() {
    let (site, rounds) = (Site::default(), u32::try_from(rounds(3)).unwrap());
    let (a, b) = (site.identity("a"), site.identity("b"));
    let mut dear = Vec::new();
    let forge = Forge { a: &a, b: &b };
    for (what, envelope) in bad(&forge).into_iter().chain(junk(&forge)) {
        let request = publishing(&envelope);
        let before = spent(site.serving.id());
        for _ in 0..rounds {
            let answer = site.talk(&request);
            let refused = [400, 403, 409, 413, 422].contains(&answer.status);
            assert!(refused, "{what}: {}", answer.head);
        }
        let each = (spent(site.serving.id()) - before) / f64::from(rounds);
        eprintln!("{each:6.1} ms for {what} ({} bytes)", envelope.len());
        let bound = match envelope.len() {
            _ if what.contains("not there") => LOOKUPS,
            0..1_000_000 => BOUND,
            _ => LARGE,
        };
        if each > bound && each > bound * stretch() {
            dear.push(format!("{each} ms for {what}"));
        }
    }
    assert!(dear.is_empty(), "{dear:?}");
    site.is_well();
}

/// A peer opens nothing, so a password costs it nothing, however many iterations it has.
#[test]
fn a_peer_derives_no_key_from_a_password() {
    let (site, rounds) = (Site::default(), u32::try_from(rounds(3)).unwrap());
    let (a, b) = (site.identity("a"), site.identity("b"));
    let mut parcel = Parcel::seal(&b, &a, Plain::files(&["x"]));
    parcel.upload(&site);
    parcel.manifest.wraps.push(Wrap::Password {
        salt: [1; 32],
        iterations: 2_000_000,
        check: [2; 32],
        ct: [3; 48],
    });
    let began = std::time::Instant::now();
    let scope = colis::manifest::WrapScope {
        key_id: parcel.key.commitment(),
        transfer_id: parcel.manifest.transfer_id,
        sender: parcel.manifest.sender,
    };
    Wrap::to_password(
        &parcel.key,
        scope,
        &Password::new("a password of some length"),
    )
    .unwrap();
    let derived = began.elapsed().as_secs_f64() * 1000.0;
    let envelope = sign(&to_json(&parcel.manifest), Manifest::TYPE, &b);
    let before = spent(site.serving.id());
    for _ in 0..rounds {
        assert!([200, 201].contains(&site.talk(&publishing(&envelope)).status));
    }
    let each = (spent(site.serving.id()) - before) / f64::from(rounds);
    eprintln!(
        "{each:.1} ms for 2,000,000 iterations; deriving once with 600,000 takes {derived:.0} ms"
    );
    assert!(each <= BOUND * stretch() && each * 2.0 < derived);
    site.is_well();
}
