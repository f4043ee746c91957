//! Rows 14 to 19 and 40: the request line.

use colis::{id::ChunkId, wire::Code};

use testkit::site::{Site, request};

/// Asks for `id` in every way that takes one.
fn asked_for(id: &str) -> Vec<Vec<u8>> {
    let mut asked = Vec::new();
    for method in ["GET", "PUT"] {
        let body: &[u8] = if method == "PUT" { &[7; 100] } else { b"" };
        let json = "content-type: application/json\r\n";
        for path in ["chunks", "manifests"] {
            asked.push(request(method, &format!("/v1/{path}/{id}"), json, body));
        }
    }
    asked.push(request("DELETE", &format!("/v1/manifests/{id}"), "", b""));
    asked.push(request(
        "GET",
        &format!("/v1/manifests/{id}/state"),
        "",
        b"",
    ));
    asked
}

fn bad_ids(ids: &[&str]) {
    let site = Site::default();
    let asked = ids.iter().flat_map(|id| asked_for(id));
    site.refuses(asked.map(|bytes| (bytes, Code::BadId)));
}

pub(crate) fn row_14_ids_of_63_and_65_digits() {
    let id = ChunkId::of(&[7; 100]).to_string();
    bad_ids(&[&id[1..], &format!("{id}0"), "0", &"z".repeat(64)]);
}

pub(crate) fn row_15_upper_case_hex() {
    let id = ChunkId::of(&[7; 100]).to_string();
    let mut one = id.clone().into_bytes();
    let letter = one.iter().position(u8::is_ascii_lowercase).unwrap();
    one[letter].make_ascii_uppercase();
    bad_ids(&[&id.to_uppercase(), std::str::from_utf8(&one).unwrap()]);
}

pub(crate) fn row_16_paths_that_climb() {
    let id = ChunkId::of(&[7; 100]).to_string();
    let escaped = format!("%{:02x}{}", id.as_bytes()[0], &id[1..]);
    let (nul, dot) = (format!("{id}%00"), format!("%c0%ae{id}"));
    bad_ids(&[
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "%c0%ae",
        &escaped,
        &nul,
        &dot,
        "..",
        ".",
    ]);
    let site = Site::default();
    let before = site.stored();
    for path in [
        "/v1/chunks/../../../etc/passwd",
        "/v1//chunks/x",
        "/v1/chunks//",
        "//etc/passwd",
    ] {
        site.get(path).is(Code::NoSuchRoute, path);
    }
    for path in ["/v1/chunks/..\\..\\x", "/v1/chunks/\u{0}", "/v1/chunks/a b"] {
        let answer = site.get(path);
        assert_eq!(answer.status, 400, "{path:?}: {}", answer.head);
    }
    assert_eq!(site.stored(), before);
    site.is_well();
}

pub(crate) fn row_17_unknown_routes_and_methods() {
    let site = Site::default();
    for path in [
        "/",
        "/v1",
        "/v2/peer",
        "/v1/peer/",
        "/v1/chunks/a/b",
        "/etc/passwd",
        "/v1/%1b[31m",
    ] {
        site.get(path).is(Code::NoSuchRoute, path);
    }
    let id = ChunkId::of(b"x");
    for (method, path, allowed) in [
        ("POST", "/v1/peer".to_owned(), "GET,HEAD"),
        ("DELETE", format!("/v1/chunks/{id}"), "GET,HEAD,PUT"),
        ("BREW", "/v1/health".into(), "GET,HEAD"),
        ("OPTIONS", "/v1/manifests".into(), "GET,HEAD"),
    ] {
        let answer = site.talk(&request(method, &path, "", b""));
        answer.is(Code::MethodNotAllowed, &path);
        let mut allow: Vec<_> = answer.header("allow").unwrap().split(',').collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{path}");
    }
    site.is_well();
}

pub(crate) fn row_18_long_addresses() {
    let site = Site::default();
    let get = |path: String| request("GET", &path, "", b"");
    site.refuses([
        (get(format!("/v1/{}", "a".repeat(253))), Code::UriTooLong),
        (get(format!("/v1/{}", "a".repeat(8000))), Code::UriTooLong),
        (
            get(format!("/v1/chunks?{}", "a".repeat(2049))),
            Code::UriTooLong,
        ),
        (get(format!("/v1/{}", "a".repeat(252))), Code::NoSuchRoute),
    ]);
    let answer = site.get(&format!("/v1/{}", "a".repeat(1 << 20)));
    assert!([0, 414, 431].contains(&answer.status), "{}", answer.head);
    site.is_well();
}

pub(crate) fn row_19_trace_connect_and_absolute_form() {
    let site = Site::default();
    let trace = site.talk(&request("TRACE", "/v1/health", "x-secret: 1\r\n", b""));
    trace.is(Code::MethodNotAllowed, "TRACE");
    assert!(trace.header("allow").is_some());
    site.talk(&request("CONNECT", "example.com:443", "", b""))
        .is(Code::NoSuchRoute, "CONNECT");
    site.get("http://example.com/")
        .is(Code::NoSuchRoute, "absolute form");
    // The certificate says who is meant, not the host: it is never compared, in no form, and nothing is fetched for it.
    let answer = site.get("http://example.com/v1/health");
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert!(answer.body.starts_with(b"{\"status\":\"ok\""));
    site.is_well();
}

pub(crate) fn row_40_limits_and_cursors_of_lists() {
    let site = Site::default();
    let mut asked = Vec::new();
    for (query, code) in [
        ("limit=0", Code::BadLimit),
        ("limit=10001", Code::BadLimit),
        ("limit=1000000000", Code::BadLimit),
        ("limit=99999999999999999999999", Code::BadLimit),
        ("limit=abc", Code::BadLimit),
        ("limit=-1", Code::BadLimit),
        ("limit=+1", Code::BadLimit),
        ("limit=", Code::BadLimit),
        ("after=abc", Code::BadCursor),
        ("after=%1b[31m", Code::BadCursor),
        ("after=", Code::BadCursor),
        ("limit=1&limit=2", Code::BadQuery),
        ("x=1", Code::BadQuery),
    ] {
        for list in ["chunks", "manifests"] {
            let path = format!("/v1/{list}?{query}");
            asked.push((request("GET", &path, "", b""), code));
        }
    }
    site.refuses(asked);
    // A cursor is only a place in the order of ids: one that nobody gave out is no harm.
    let forged = site.get(&format!("/v1/chunks?after={}", ChunkId::of(b"forged")));
    assert_eq!(forged.status, 200);
}
