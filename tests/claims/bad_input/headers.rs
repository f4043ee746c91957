//! Rows 20 to 27: the fields of a request's head.

use colis::{id::ChunkId, wire::Code};

use testkit::site::{Site, raw, request};

/// A `PUT` of a chunk with these fields, on a connection that would stay open, with another request in its body.
fn put(headers: &str) -> Vec<u8> {
    let id = ChunkId::of(b"hello");
    format!(
        "PUT /v1/chunks/{id} HTTP/1.1\r\nhost: x\r\n{headers}\r\n\
         0\r\n\r\nGET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n"
    )
    .into_bytes()
}

pub(crate) fn row_20_two_hosts_or_none() {
    let site = Site::default();
    let two = request("GET", "/v1/health", "host: y\r\n", b"");
    let none = b"GET /v1/health HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec();
    site.refuses([(two, Code::BadHeader), (none, Code::BadHeader)]);
}

pub(crate) fn row_21_large_heads() {
    let site = Site::default();
    let fields = |count: usize| -> String { (0..count).map(|i| format!("x-{i}: 1\r\n")).collect() };
    let get = |headers: &str| {
        site.talk(&request("GET", "/v1/health", headers, b""))
            .status
    };
    // Two more come with every request of this test.
    assert_eq!(get(&fields(62)), 200);
    assert_eq!(get(&fields(63)), 431);
    assert_eq!(get(&fields(5000)), 431);
    assert_eq!(get(&format!("x: {}\r\n", "a".repeat(16 << 10))), 431);
    assert_eq!(get(&format!("{}: x\r\n", "a".repeat(1 << 20))), 431);
    site.is_well();
}

pub(crate) fn row_22_bodies_of_unclear_length() {
    let site = Site::default();
    let before = site.stored();
    for (headers, status) in [
        ("content-length: 5\r\ntransfer-encoding: chunked\r\n", 411),
        ("transfer-encoding: chunked\r\ncontent-length: 5\r\n", 411),
        ("transfer-encoding: gzip, chunked\r\n", 411),
        ("transfer-encoding: chunked, gzip\r\n", 400),
        ("content-length: 5\r\ncontent-length: 6\r\n", 400),
        ("content-length: -1\r\n", 400),
        ("content-length: +5\r\n", 400),
        ("content-length: 1e3\r\n", 400),
        ("content-length: 0x5\r\n", 400),
        ("content-length: 5, 6\r\n", 400),
        ("content-length: 18446744073709551616\r\n", 400),
        ("content-length : 5\r\n", 400),
        ("content-length: 5\r\n folded: 1\r\n", 400),
    ] {
        let answer = site.talk(&put(headers));
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.head);
        let rest = String::from_utf8_lossy(&answer.body);
        assert!(
            !rest.contains("HTTP/1.1"),
            "{headers:?} smuggles a request: {rest}"
        );
    }
    assert_eq!(site.stored(), before);
    site.is_well();
}

pub(crate) fn row_23_a_chunk_without_its_length() {
    let site = Site::default();
    let path = format!("/v1/chunks/{}", ChunkId::of(b"hello"));
    let manifest = format!("/v1/manifests/{}", ChunkId::of(b"hello"));
    let json = "content-type: application/json\r\n";
    site.refuses([
        (raw("PUT", &path, "", b""), Code::LengthRequired),
        (
            raw(
                "PUT",
                &path,
                "transfer-encoding: chunked\r\n",
                b"5\r\nhello\r\n0\r\n\r\n",
            ),
            Code::LengthRequired,
        ),
        (raw("PUT", &manifest, json, b""), Code::LengthRequired),
        (
            raw("POST", "/v1/chunks/missing", json, b""),
            Code::LengthRequired,
        ),
    ]);
}

pub(crate) fn row_24_encoded_bodies() {
    let site = Site::default();
    let path = format!("/v1/chunks/{}", ChunkId::of(&[7; 100]));
    let with = |encoding: &str| {
        let header = format!("content-encoding: {encoding}\r\n");
        (
            request("PUT", &path, &header, &[7; 100]),
            Code::UnsupportedMediaType,
        )
    };
    site.refuses(["gzip", "br", "zstd", "identity, gzip", "x"].map(with));
    let answer = site.talk(&request(
        "GET",
        "/v1/health",
        "accept-encoding: gzip\r\n",
        b"",
    ));
    assert_eq!(answer.header("content-encoding"), None);
}

pub(crate) fn row_25_other_types_of_manifests() {
    let site = Site::default();
    let id = ChunkId::of(b"{}").to_string();
    let offer = format!("/v1/offers/{}", &id[..32]);
    let manifest = format!("/v1/manifests/{id}");
    let mut asked = Vec::new();
    for path in [&manifest, &offer] {
        for header in [
            "",
            "content-type: text/plain\r\n",
            "content-type: application/x-www-form-urlencoded\r\n",
            "content-type: application/json-seq\r\n",
            "content-type: \r\n",
        ] {
            asked.push((
                request("PUT", path, header, b"{}"),
                Code::UnsupportedMediaType,
            ));
        }
        let twice = "content-type: application/json\r\ncontent-type: text/plain\r\n";
        asked.push((request("PUT", path, twice, b"{}"), Code::BadHeader));
    }
    let question = request("POST", "/v1/chunks/missing", "", b"{\"ids\":[]}");
    asked.push((question, Code::UnsupportedMediaType));
    site.refuses(asked);
}

pub(crate) fn row_26_ranges() {
    let site = Site::default();
    let bytes = [7; 1000];
    let (id, _) = site.put_chunk(&bytes);
    let get = |range: &str| {
        let header = format!("range: {range}\r\n");
        site.talk(&request("GET", &format!("/v1/chunks/{id}"), &header, b""))
    };
    for range in ["bytes=1000-", "bytes=18446744073709551615-"] {
        let answer = get(range);
        answer.is(Code::RangeNotSatisfiable, range);
        assert_eq!(answer.header("content-range"), Some("bytes */1000"));
    }
    // What is no range of bytes is as if it were not there (RFC 9110, section 14.2).
    for range in [
        "bytes=5-2",
        "bytes=-0",
        "bytes=a-b",
        "lines=0-1",
        "bytes=0-1,5-6",
        "bytes",
        "bytes=99999999999999999999-",
    ] {
        let answer = get(range);
        assert_eq!((answer.status, answer.body.len()), (200, 1000), "{range}");
    }
    let part = get("bytes=10-19");
    assert_eq!((part.status, part.body.len()), (206, 10));
    site.is_well();
}

pub(crate) fn row_27_unknown_expectations() {
    let site = Site::default();
    let path = format!("/v1/chunks/{}", ChunkId::of(&[7; 100]));
    let with = |expect: &str| {
        let header = format!("expect: {expect}\r\n");
        (
            request("PUT", &path, &header, &[7; 100]),
            Code::ExpectationFailed,
        )
    };
    site.refuses(["200-ok", "100-continue, more", ""].map(with));
}
