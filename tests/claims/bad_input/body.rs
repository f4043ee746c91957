//! Rows 28 to 39: the bytes of chunks, on their way in and out.

use std::{
    fs,
    io::Write as _,
    time::{Duration, Instant, SystemTime},
};

use colis::{
    id::ChunkId,
    manifest::Signer as _,
    tls::{CertsDir, Identity},
    wire::{Code, MAX_CHUNK_BODY, MAX_MANIFEST_BODY},
};

use testkit::site::{Answer, Site, Tls, raw, read_to_close, request};
use testkit::{Homes, bytes, stretched, wait_for};

const BEGUN: &[u8] = b"hello";

/// A `PUT` that announces `length` bytes and brings only the first of them.
fn begun(id: ChunkId, length: u64) -> Vec<u8> {
    let header = format!("content-length: {length}\r\n");
    raw("PUT", &format!("/v1/chunks/{id}"), &header, BEGUN)
}

pub(crate) fn row_28_a_body_that_is_too_large() {
    let site = Site::default();
    let id = ChunkId::of(b"x");
    let mut asked = Vec::new();
    for length in [MAX_CHUNK_BODY as u64 + 1, 1 << 40, u64::MAX - 100] {
        asked.push((begun(id, length), Code::TooLarge));
    }
    let json = format!(
        "content-type: application/json\r\ncontent-length: {}\r\n",
        MAX_MANIFEST_BODY + 1
    );
    for path in [
        format!("/v1/manifests/{id}"),
        format!("/v1/offers/{}", "0".repeat(32)),
    ] {
        asked.push((raw("PUT", &path, &json, b"{"), Code::TooLarge));
    }
    asked.push((
        raw("POST", "/v1/chunks/missing", &json, b"{"),
        Code::TooLarge,
    ));
    asked.push((
        request("GET", "/v1/peer", "content-length: 5\r\n", b"hello"),
        Code::TooLarge,
    ));
    site.refuses(asked);
    let length = MAX_CHUNK_BODY + 1;
    let waiting = format!("content-length: {length}\r\nexpect: 100-continue\r\n");
    site.talk(&raw("PUT", &format!("/v1/chunks/{id}"), &waiting, b""))
        .is(Code::TooLarge, "no `100 Continue` comes before it");
}

pub(crate) fn row_29_a_body_that_ends_early() {
    let site = Site::default();
    let before = site.stored();
    let id = ChunkId::of(&[b'x'; 100]);
    for polite in [true, false] {
        let mut stream = site.connect(site.member());
        stream.write_all(&begun(id, 100)).unwrap();
        if polite {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
        stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = read_to_close(&mut stream);
        if answer.status != 0 {
            answer.is(Code::ShortBody, "half a body");
        }
    }
    assert_eq!(site.stored(), before);
    site.get(&format!("/v1/chunks/{id}"))
        .is(Code::NoSuchChunk, "what was cut");
    site.is_well();
}

pub(crate) fn row_30_bytes_of_another_id() {
    let site = Site::default();
    let (good, other) = ([1; 100], [2; 100]);
    let path = format!("/v1/chunks/{}", ChunkId::of(&good));
    site.refuses([(request("PUT", &path, "", &other), Code::HashMismatch)]);
    let problem = site
        .talk(&request("PUT", &path, "", &other))
        .problem()
        .unwrap();
    assert_eq!(problem.actual, Some(ChunkId::of(&other)));
    assert!(
        problem.detail.contains(&ChunkId::of(&good).to_string()),
        "{}",
        problem.detail
    );
    assert_eq!(site.put_chunk(&good).1.status, 201);
}

pub(crate) fn row_31_less_than_nonce_and_tag() {
    let site = Site::default();
    let before = site.stored();
    for length in [0, 1, 12, 27, 28] {
        let (_, answer) = site.put_chunk(&vec![7; length]);
        answer.is(Code::ChunkTooShort, &format!("{length} bytes"));
    }
    assert_eq!(site.stored(), before);
    // A chunk without a single byte of content is none.
    assert_eq!(site.put_chunk(&[7; 29]).1.status, 201);
}

pub(crate) fn row_32_slow_bodies() {
    let site = Site::default();
    let before = site.stored();
    let id = ChunkId::of(b"x");
    let start = |length| {
        let mut stream = site.connect(site.member());
        stream.write_all(&begun(id, length)).unwrap();
        stream
    };
    let (began, mut idle, mut crawling) = (Instant::now(), start(100), start(1 << 20));
    crawl(&mut crawling);
    for stream in [&mut crawling, &mut idle] {
        read_to_close(stream).is(Code::SlowBody, "a slow body");
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(4), "{took:?}");
    assert!(took < stretched(Duration::from_secs(9)), "{took:?}");
    assert_eq!(site.stored(), before);
    site.is_well();
}

/// Brings about 5 KiB a second, until the other side has something to say.
fn crawl(stream: &mut Tls) {
    stream.sock.set_nonblocking(false).unwrap();
    let pause = Duration::from_millis(100);
    stream.sock.set_read_timeout(Some(pause)).unwrap();
    let mut byte = [0];
    while stream.sock.peek(&mut byte).is_err() && stream.write_all(&[0; 512]).is_ok() {}
    let patience = Duration::from_secs(20);
    stream.sock.set_read_timeout(Some(patience)).unwrap();
}

pub(crate) fn row_33_a_chunk_that_is_there() {
    let site = Site::default();
    let sealed = bytes(33, 1000);
    let (id, first) = site.put_chunk(&sealed);
    assert_eq!(first.status, 201);
    let path = site.path_of(id);
    let yesterday = SystemTime::now() - Duration::from_secs(86_000);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(yesterday).unwrap();
    let (_, again) = site.put_chunk(&sealed);
    assert_eq!(again.status, 200);
    assert_eq!(again.body, b"{\"result\":\"already-there\"}");
    let lease = fs::metadata(&path).unwrap().modified().unwrap();
    assert!(
        lease.elapsed().unwrap() < Duration::from_secs(60),
        "its lease is not renewed"
    );
    assert_eq!(fs::read(&path).unwrap(), sealed);
}

/// `a` serves with these settings; a chunk of 5,000 bytes is refused as `code`, and the problem says how much is free.
fn is_full(settings: &str, code: Code) -> Answer {
    let homes = Homes::new(&["b"]);
    fs::write(homes.home("a").join("colis.toml"), settings).unwrap();
    let site = Site::of(homes, &[]);
    let before = site.stored();
    let (id, answer) = site.put_chunk(&[7; 5000]);
    answer.is(code, settings);
    assert_eq!(site.stored(), before);
    site.get(&format!("/v1/chunks/{id}"))
        .is(Code::NoSuchChunk, "what had no room");
    // Refused before the body, which a client that waits for the word need not send.
    let waiting = "content-length: 5000\r\nexpect: 100-continue\r\n";
    let early = site.talk(&raw(
        "PUT",
        &format!("/v1/chunks/{id}"),
        waiting,
        &[7; 5000],
    ));
    assert!([0, 100, 507].contains(&early.status), "{}", early.head);
    site.is_well();
    answer
}

pub(crate) fn row_34_a_full_store() {
    let quota = is_full("quota = \"4KiB\"\n", Code::QuotaExceeded)
        .problem()
        .unwrap();
    assert_eq!(
        (quota.needed, quota.free, quota.quota),
        (Some(5000), Some(4096), Some(4096))
    );
    let disk = is_full("reserve = \"1000000TiB\"\n", Code::NoSpace)
        .problem()
        .unwrap();
    assert_eq!(
        (disk.needed, disk.free, disk.quota),
        (Some(5000), Some(0), None)
    );
}

pub(crate) fn row_36_too_much_at_once() {
    let site = Site::default();
    let begin = |id: ChunkId, length: u64| {
        let mut stream = site.connect(site.member());
        let bytes = begun(id, length);
        stream.write_all(&bytes).unwrap();
        stream
    };
    let id = ChunkId::of(b"x");
    // Two bodies of 20 MiB are more than a peer's share of the memory for bodies; one always fits.
    let large: Vec<_> = (0..2).map(|_| begin(id, 20 << 20)).collect();
    only_answer(large, 503);
    site.is_well();
    let many: Vec<_> = (0..33).map(|_| begin(id, 100)).collect();
    only_answer(many, 429);
    site.is_well();
}

/// One of these unfinished requests is refused at once, the others go on.
fn only_answer(mut streams: Vec<Tls>, status: u16) {
    let answered = |stream: &Tls| {
        stream.sock.set_nonblocking(true).unwrap();
        let answered = stream.sock.peek(&mut [0]).is_ok();
        stream.sock.set_nonblocking(false).unwrap();
        answered
    };
    wait_for("one is refused", || streams.iter().any(answered));
    let refused: Vec<_> = streams.iter().map(answered).collect();
    let mut refused = refused.iter().zip(&mut streams).filter(|(is, _)| **is);
    let answer = read_to_close(refused.next().unwrap().1);
    assert_eq!(answer.status, status, "{}", answer.head);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(refused.next().is_none(), "two are refused");
}

pub(crate) fn row_37_an_absent_chunk() {
    let site = Site::default();
    let path = format!("/v1/chunks/{}", ChunkId::of(b"x"));
    site.refuses([(request("GET", &path, "", b""), Code::NoSuchChunk)]);
    let head = site.talk(&request("HEAD", &path, "", b""));
    assert_eq!((head.status, head.body.len()), (404, 0));
}

pub(crate) fn row_38_a_chunk_that_is_not_for_this_peer() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "for a alone").unwrap();
    homes.ok("a", &["share", "f", "--to", "a"]);
    let listed = homes.ok("a", &["--json", "list", "--chunks"]);
    let id = listed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find_map(|object| (object["event"] == "chunk").then(|| object["id"].clone()))
        .unwrap();
    let path = format!("/v1/chunks/{}", id.as_str().unwrap());
    let b = Identity::load(&CertsDir::new(homes.home("b").join("certs"))).unwrap();
    let b = b.peer_id().to_string();
    let site = Site::of(homes, &["--inbox", "off"]);
    assert_eq!(site.get(&path).status, 200);
    for role in ["sender", "reader", "monitor"] {
        site.homes.ok("a", &["peers", "role", &b, "member"]);
        wait_for("it is a member", || site.get(&path).status == 200);
        site.homes.ok("a", &["peers", "role", &b, role]);
        wait_for(role, || site.get(&path).status == 404);
        site.get(&path).is(Code::NoSuchChunk, role);
    }
}

pub(crate) fn row_39_stored_bytes_that_are_damaged() {
    let site = Site::default();
    for (seed, damage) in [flip, cut, extend, empty].into_iter().enumerate() {
        let sealed = bytes(seed as u64 + 1, 1000);
        let (id, put) = site.put_chunk(&sealed);
        assert_eq!(put.status, 201);
        let path = site.path_of(id);
        let mut stored = fs::read(&path).unwrap();
        damage(&mut stored);
        fs::write(&path, &stored).unwrap();
        for _ in 0..2 {
            let answer = site.get(&format!("/v1/chunks/{id}"));
            answer.is(Code::NoSuchChunk, "a damaged chunk");
        }
        assert_eq!(site.put_chunk(&sealed).1.status, 201, "it heals");
        let kept = fs::read(aside(&site, id)).unwrap();
        assert_eq!(kept, stored, "and is kept for whoever wants to look");
        let healed = site.get(&format!("/v1/chunks/{id}"));
        assert_eq!((healed.status, healed.body), (200, sealed));
    }
    site.is_well();
}

fn aside(site: &Site, id: ChunkId) -> std::path::PathBuf {
    let folder = site.homes.home("a").join("chunks/corrupt");
    let mut names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let is_it = |path: &std::path::PathBuf| path.to_string_lossy().contains(&id.to_string());
    names.find(is_it).expect("it is in corrupt/")
}

fn flip(bytes: &mut Vec<u8>) {
    let last = bytes.pop().unwrap();
    bytes.push(last ^ 1);
}

fn cut(bytes: &mut Vec<u8>) {
    bytes.truncate(999);
}

fn extend(bytes: &mut Vec<u8>) {
    bytes.push(0);
}

fn empty(bytes: &mut Vec<u8>) {
    bytes.clear();
}
