//! What is done with foreign bytes, one function a parser. None may panic, whatever the bytes; each says what else must
//! hold. `.ci/fuzz` looks for bytes that break them; `tests/claims/corpus.rs` runs them over the inputs that were kept.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a finding is a panic; these are for tests only"
)]

pub mod files;
pub mod wire;

use colis::{
    crypto::{
        ChunkOpener, ChunkPosition, ChunkSealer, FileKey, SealKey, Stream,
        key::WrapContext,
        recipient::{ENCAPSULATED_LENGTH, Wrapped},
    },
    id::{ChunkId, FileDigest, PeerId, SealKeyId, SealPublicKey, TransferId},
    manifest::{
        MIN_CHUNK_SIZE, Manifest, Offer, Payload, Signed, Timestamp, dsse,
        table::{self, Entry, Lines},
        to_json,
    },
    name::{self, Escaped, Place, RelPath, SafeName},
    trust::{Directory, PeerBundle},
};
use zeroize::Zeroizing;

/// A parser of foreign bytes.
pub type Target = fn(&[u8]);

/// Every target, by the name of its folder in `corpus/`.
pub const TARGETS: [(&str, Target); 13] = [
    ("id", id),
    ("name", name),
    ("envelope", envelope),
    ("payload", payload),
    ("wrap", wrap),
    ("chunk", chunk),
    ("table", table),
    ("timestamp", timestamp),
    ("wire", wire::bodies),
    ("certificate", files::certificate),
    ("certs", files::certs),
    ("settings", files::settings),
    ("store", files::store),
];

/// Text is an id in one spelling or not at all.
pub fn id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(id) = text.parse::<ChunkId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(id) = text.parse::<TransferId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(key) = serde_json::from_str::<SealPublicKey>(text) {
        assert_eq!(SealPublicKey::from_bytes(key.as_bytes()), Some(key));
    }
}

/// A name becomes safe and stays so; a path stays below its folder; what is shown hides nothing.
pub fn name(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for place in [Place::TopLevel, Place::Nested] {
        let safe = SafeName::new(&text, place);
        is_safe(safe.as_str());
        assert_eq!(SafeName::new(safe.as_str(), place), safe);
        is_safe(safe.numbered(u32::MAX).as_str());
    }
    let shown = Escaped::new(&text).to_string();
    assert!(!shown.chars().any(char::is_control) && shown.chars().count() <= 3100);
    let json = name::escape_json(&serde_json::to_string(&text).unwrap());
    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    if let Ok(path) = RelPath::parse(&text) {
        let parts: Vec<_> = path.as_str().split('/').collect();
        assert!(!parts.iter().any(|part| ["", ".", ".."].contains(part)));
        assert_eq!(
            (parts.len(), parts.last()),
            (path.depth(), Some(&path.file_name()))
        );
    }
    let (link, target) = text.split_once('\n').unwrap_or(("a/b/c", &text));
    if let Ok(link) = RelPath::parse(link)
        && name::check_link(&link, target).is_ok()
    {
        stays_inside(&link, target);
    }
}

fn is_safe(name: &str) {
    assert!(!name.is_empty() && name.len() <= name::MAX_COMPONENT);
    let harmful = |c: char| c.is_control() || matches!(c, '/' | '\\' | ':' | '\u{202e}');
    assert!(
        !name.chars().any(harmful) && !matches!(name, "." | ".."),
        "{name:?}"
    );
}

/// Walks the target from the folder of the link: it never comes above the top-level folder.
fn stays_inside(link: &RelPath, target: &str) {
    assert!(!target.starts_with('/'));
    let mut depth = link.depth() - 1;
    assert!(depth >= 1, "{link:?} is at the top");
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                depth = depth.checked_sub(1).unwrap();
                assert!(depth >= 1, "{link:?} -> {target:?}");
            }
            _ => depth += 1,
        }
    }
}

/// Envelopes as they come. Only one spelling of each is taken.
pub fn envelope(data: &[u8]) {
    signed::<Manifest>(data);
    signed::<Offer>(data);
    signed::<PeerBundle>(data);
    signed::<Directory>(data);
}

/// What is inside of an envelope, so that base64 is not in the way.
pub fn payload(data: &[u8]) {
    // The sender that most seeds name.
    let named = data.windows(74).find_map(|at| {
        let text = at.strip_prefix(b"\"sender\":\"");
        let text = text.or_else(|| at.strip_prefix(b"\"circle\":\""))?;
        std::str::from_utf8(text).ok()?.parse::<PeerId>().ok()
    });
    let keyid = named.unwrap_or_else(|| PeerId::of(b"nobody"));
    let kinds = [
        Manifest::TYPE,
        Offer::TYPE,
        PeerBundle::TYPE,
        Directory::TYPE,
    ];
    for kind in kinds {
        envelope(&dsse::write(kind, data, keyid, &[7; 64]));
    }
}

fn signed<T: Payload>(data: &[u8]) {
    let Ok(signed) = Signed::<T>::parse(data.to_vec()) else {
        return;
    };
    assert_eq!(&signed.envelope()[..], data);
    signed.payload().check().unwrap();
    let again = to_json(signed.payload());
    let opened = dsse::read(data, T::TYPE).unwrap();
    assert_eq!(opened.payload, again, "two spellings of one payload");
    let _ = signed.check_dates(Timestamp::from_unix_seconds(1_800_000_000));
}

fn file_key() -> FileKey {
    FileKey::from_bytes(Zeroizing::new([7; 32]))
}

/// Nobody can make a wrap that opens without knowing what it is bound to.
pub fn wrap(data: &[u8]) {
    let key = SealKey::from_bytes(Zeroizing::new([9; 32])).unwrap();
    let (enc, ct) = data.split_at(data.len().min(ENCAPSULATED_LENGTH));
    let wrapped = Wrapped {
        enc: enc.to_vec(),
        ct: ct.to_vec(),
    };
    let context = WrapContext {
        key_id: file_key().commitment(),
        transfer_id: TransferId::from_bytes([1; 16]),
        sender: PeerId::of(b"sender"),
        recipient: Some((PeerId::of(b"reader"), SealKeyId::of(b"key"))),
    };
    if let Ok(opened) = key.unwrap(&wrapped, &context) {
        assert!(opened.check(&context.key_id).is_err());
    }
}

/// Foreign bytes never open as a chunk; sealed ones do, only in their place.
pub fn chunk(data: &[u8]) {
    let key = file_key();
    let at = |index| ChunkPosition { index, last: false };
    for stream in [Stream::Content, Stream::Table, Stream::Sums] {
        let opener = ChunkOpener::new(&key, stream, MIN_CHUNK_SIZE);
        assert!(opener.open(at(0), &mut data.to_vec()).is_err());
        let plain = &data[..data.len().min(MIN_CHUNK_SIZE as usize)];
        let sealer = ChunkSealer::new(&key, stream, MIN_CHUNK_SIZE);
        let sealed = sealer.seal(at(1), plain).unwrap();
        assert_eq!(opener.open(at(1), &mut sealed.clone()).unwrap(), plain);
        assert!(opener.open(at(2), &mut sealed.clone()).is_err());
        let id = ChunkId::of(&sealed);
        let other = ChunkId::of_each(&[&sealed, data]);
        assert_eq!((other[0], other[1]), (id, ChunkId::of(data)));
    }
}

/// A table is taken or refused alike, however it is cut into pieces.
pub fn table(data: &[u8]) {
    let Some((piece, data)) = data.split_first() else {
        return;
    };
    let whole = entries(data, data.len().max(1));
    let pieces = entries(data, usize::from(*piece) + 1);
    assert_eq!(whole.is_some(), pieces.is_some());
    assert_eq!(whole, pieces);
    if let Some(entries) = whole {
        let mut again = Vec::new();
        entries
            .iter()
            .for_each(|entry| table::write_line(entry, &mut again));
        table::pad(&mut again);
        assert!(data.starts_with(&again) || again.is_empty());
    }
    if let Ok(sum) = table::parse_sum(data) {
        assert_eq!(to_json::<FileDigest>(&sum), data);
    }
}

fn entries(data: &[u8], piece: usize) -> Option<Vec<Entry>> {
    let (mut lines, mut entries) = (Lines::new("table"), Vec::new());
    for piece in data.chunks(piece) {
        let each = |line: &[u8]| Entry::parse(line).map(|entry| entries.push(entry));
        lines.push(piece, each).ok()?;
    }
    lines.finish().ok()?;
    Some(entries)
}

/// A time has one spelling.
pub fn timestamp(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(time) = text.parse::<Timestamp>()
    {
        assert_eq!(time.to_string(), text);
        let seconds = time.unix_seconds();
        assert_eq!(Timestamp::from_unix_seconds(seconds), time);
    }
}
