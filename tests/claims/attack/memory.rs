//! How much one member can make a peer hold in memory: what the limit of one peer says, whatever it asks for.

use std::{
    fs,
    io::{Read as _, Write as _},
};

use colis::{
    id::{ChunkId, PeerId, TransferId},
    manifest::{MAX_WRAPS, Offer, Payload as _},
    store::{LocalStore, LocalStoreOptions, Store as _},
    tls::Identity,
    wire,
};

use crate::bad_input::parcel::sign;
use testkit::sealed::{self, Draft, TestSigner, wrap_for};
use testkit::site::{Site, Tls, certificate, certs, key, request, shows};
use testkit::{Homes, wait_for};

/// What connections take beside bodies, and what the allocator keeps of bodies that are gone.
const ROOM: u64 = 64 << 20;
/// Far more large answers than fit.
const MANY: usize = 24;
/// Transfers of a catalogue that has more than one page.
const TRANSFERS: usize = 256;

/// The memory of a process from now on.
pub(super) struct Watched {
    id: u32,
    before: u64,
}

impl Watched {
    pub(super) fn new(site: &Site) -> Self {
        let id = site.serving.id();
        // The peak begins anew (proc(5)).
        fs::write(format!("/proc/{id}/clear_refs"), "5").unwrap();
        let before = memory(id, "VmRSS:");
        Self { id, before }
    }

    /// By how much it grew at most.
    pub(super) fn growth(&self) -> u64 {
        memory(self.id, "VmHWM:").saturating_sub(self.before)
    }
}

fn memory(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// Asks for `path` on one connection after the other, reading only how each answer begins, until it is turned away.
fn ask_until_refused(site: &Site, path: &str) -> Vec<Tls> {
    let get = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut unread = Vec::new();
    for _ in 0..MANY {
        let mut stream = site.connect(site.member());
        stream.write_all(get.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        match &head {
            b"HTTP/1.1 200" => unread.push(stream),
            b"HTTP/1.1 503" => return unread,
            _ => panic!("{head:?}"),
        }
    }
    panic!("{path}: {MANY} answers of one member are held");
}

/// As another member, over a connection of its own.
fn talk_as(site: &Site, name: &str, bytes: &[u8]) -> u16 {
    let home = certs(&site.homes, name);
    let config = shows(&site.homes, vec![certificate(&home)], key(&home));
    let mut stream = site.connect(config);
    stream.write_all(bytes).unwrap();
    testkit::site::read_to_close(&mut stream).status
}

/// A peer whose catalogue is long, for every transfer in it has as many recipients as there may be.
async fn with_long_catalogue(homes: Homes) -> Site {
    let store = LocalStore::open(
        &homes.home("a").join("chunks"),
        LocalStoreOptions::default(),
    )
    .unwrap();
    let signer = TestSigner::new(1);
    let mut ids = Vec::new();
    for seed in 0..3 {
        let (id, sealed) = sealed::chunk(seed, 30);
        store.put_chunk(id, sealed, None).await.unwrap();
        ids.push(id);
    }
    let mut draft = Draft::new(&signer, &ids);
    let readers = (1..MAX_WRAPS).map(|n| wrap_for(PeerId::of(&n.to_be_bytes())));
    draft.offer.wraps.extend(readers);
    for _ in 0..TRANSFERS {
        draft.offer.transfer_id = TransferId::generate().unwrap();
        store.put_manifest(&draft.sign(&signer)).await.unwrap();
    }
    drop(store);
    Site::of(homes, &["--inbox", "off"])
}

/// Lets `b` ask for `path` and read nothing, until it is turned away; `c` is served `small` all the same.
fn hoard(site: &Site, path: &str, small: ChunkId) {
    // What is freed goes back to the system after a while only.
    assert_eq!(site.get(path).status, 200);
    let watched = Watched::new(site);
    let unread = ask_until_refused(site, path);
    assert!(!unread.is_empty(), "one body always fits");
    let theirs = request("GET", &format!("/v1/chunks/{small}"), "", b"");
    assert_eq!(talk_as(site, "c", &theirs), 200, "others go on");
    drop(unread);
    let (growth, one) = (watched.growth(), wire::MAX_CHUNK_BODY as u64);
    let most = one.max(wire::MAX_BODY_MEMORY_PER_PEER as u64) + ROOM;
    eprintln!("{} MiB more for {path}", growth >> 20);
    assert!(growth <= most, "{} MiB more", growth >> 20);
}

#[tokio::test]
async fn answers_that_a_member_does_not_read_stay_within_its_memory() {
    let site = with_long_catalogue(Homes::new(&["b", "c"])).await;
    let (small, put) = site.put_chunk(&vec![7; 1 << 20]);
    assert_eq!(put.status, 201);
    let (large, put) = site.put_chunk(&vec![7; wire::MAX_CHUNK_BODY]);
    assert_eq!(put.status, 201);
    hoard(&site, &format!("/v1/chunks/{large}"), small);
    hoard(&site, "/v1/manifests?limit=10000", small);
}

#[test]
fn members_that_take_the_largest_chunks_slowly_leave_room_for_the_others() {
    let site = Site::of(Homes::new(&["b", "c", "d"]), &["--inbox", "off"]);
    let large = [0, 1].map(|less| {
        let (id, put) = site.put_chunk(&vec![7; wire::MAX_CHUNK_BODY - less]);
        assert_eq!(put.status, 201);
        request("GET", &format!("/v1/chunks/{id}"), "", b"")
    });
    let (small, put) = site.put_chunk(&vec![7; 1 << 20]);
    assert_eq!(put.status, 201);
    let mut unread = site.connect(site.member());
    unread.write_all(&large[0]).unwrap();
    let mut head = [0; 12];
    unread.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    // A second one would leave nothing for anybody.
    assert_eq!(talk_as(&site, "c", &large[1]), 503);
    for name in ["c", "d"] {
        let get = request("GET", &format!("/v1/chunks/{small}"), "", b"");
        assert_eq!(talk_as(&site, name, &get), 200, "{name}");
    }
    drop(unread);
    wait_for("it has room again", || {
        talk_as(&site, "c", &large[1]) == 200
    });
}

/// Envelopes as long as they may be, in which something is not what belongs there.
fn shapes(sender: &Identity) -> Vec<(String, Vec<u8>)> {
    let room = wire::MAX_MANIFEST_BODY * 3 / 4 - 4096;
    let (numbers, objects) = ("0,".repeat(room / 2), "{},".repeat(room / 3));
    let room = room - 3;
    let text = format!("\"{}\",", "x".repeat(room));
    let fillings = [&numbers, &objects, &text].map(|filling| &filling[..room]);
    let places = [
        "\"wraps\":[{\"type\":\"recipient\",\"enc\":[?]}]",
        "\"wraps\":[{\"ct\":[?],\"type\":\"password\"}]",
        "\"wraps\":[{\"x\":[?],\"type\":\"password\"}]",
        "\"wraps\":[{\"x\":[[[?]]]}]",
        "\"wraps\":[[?]]",
        "\"wraps\":[?]",
        "\"table\":[?]",
        "\"certificate\":[?]",
        "\"expires\":[?]",
        "\"x\":[?]",
    ];
    let mut shapes = Vec::new();
    for place in places {
        for filling in fillings {
            let what = format!("{place} with {}", &filling[..3]);
            let filled = place.replace('?', filling.trim_end_matches(','));
            let payload = format!("{{\"v\":1,{filled}}}");
            shapes.push((what, sign(payload.as_bytes(), Offer::TYPE, sender)));
        }
    }
    for field in ["payload", "signatures", "x"] {
        let envelope = format!("{{\"{field}\":[{}]}}", numbers.trim_end_matches(','));
        shapes.push((format!("an envelope with {field}"), envelope.into_bytes()));
    }
    shapes
}

#[test]
fn an_envelope_of_any_shape_takes_what_is_charged_for_it() {
    // What is charged for each of its bytes (docs/protocol.md).
    const CHARGED: u64 = 4;
    let site = Site::default();
    let sender = site.identity("b");
    let shapes = shapes(&sender);
    let watched = Watched::new(&site);
    let most = CHARGED * wire::MAX_MANIFEST_BODY as u64 + ROOM / 2;
    let headers = format!("content-type: {}\r\n", wire::media::ENVELOPE);
    let path = format!("/v1/offers/{}", "0".repeat(32));
    for (what, envelope) in shapes {
        let answer = site.talk(&request("PUT", &path, &headers, &envelope));
        assert!(
            [400, 422].contains(&answer.status),
            "{what}: {}",
            answer.head
        );
        let growth = watched.growth();
        assert!(growth <= most, "{what}: {} MiB more", growth >> 20);
    }
    eprintln!("{} MiB more at most", watched.growth() >> 20);
}
