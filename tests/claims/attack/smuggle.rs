//! Requests that two readers could read in two ways, and requests that nobody should read: each is answered once or not at
//! all, and what hides in a body is never done.

use std::{collections::HashSet, fmt::Write as _};

use colis::id::ChunkId;

use testkit::site::Site;

/// What may be answered to something malformed.
const REFUSALS: [u16; 11] = [400, 404, 405, 408, 411, 413, 414, 415, 417, 422, 431];
/// What hides: it stores a chunk, and it is answered with a status that nothing else here gets.
const HIDDEN: &str = "hidden in a body, and never done";
const STORED: &str = "HTTP/1.1 201";
const EACH: usize = 25;

/// One attack.
struct Case {
    what: String,
    bytes: Vec<u8>,
    /// Whether it says clearly where it ends, so that what follows may be answered.
    clear: bool,
}

fn id() -> ChunkId {
    ChunkId::of(HIDDEN.as_bytes())
}

/// The request that hides.
fn hidden() -> String {
    let length = HIDDEN.len();
    format!(
        "PUT /v1/chunks/{} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{HIDDEN}",
        id()
    )
}

/// A good request at the end, which also ends the connection.
const LAST: &str = "GET /v1/peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

fn lines() -> [String; 5] {
    let other = ChunkId::of(b"another");
    [
        "GET /v1/health".into(),
        format!("PUT /v1/chunks/{other}"),
        "POST /v1/chunks/missing".into(),
        format!("DELETE /v1/manifests/{other}"),
        format!("PUT /v1/manifests/{other}"),
    ]
}

/// Fields that do not say, or say twice, or say in a forbidden spelling, how long a body is.
const UNCLEAR: [&str; 46] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 0",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 0\r\nContent-Length: 5",
    "Content-Length: 5\r\ncontent-length: 0",
    "Content-Length: 0, 5",
    "Content-Length: 5, 0",
    "Content-Length: 5,6",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: -0",
    "Content-Length: 0x5",
    "Content-Length: 5.0",
    "Content-Length: 5e0",
    "Content-Length: 5 0",
    "Content-Length: 5;",
    "Content-Length: 5\u{b}",
    "Content-Length: \"5\"",
    "Content-Length: 5_0",
    "Content-Length: \u{665}",
    "Content-Length: 18446744073709551615",
    "Content-Length: 18446744073709551616",
    "Content-Length: 99999999999999999999999999",
    "Content-Length : 5",
    "Content-Length\t: 5",
    " Content-Length: 5",
    "Content-Length:\r\n 5",
    "Content-Length: 5\r\n\t0",
    "X: y\r\n Content-Length: 5",
    "Content-Length: 5\0",
    "Content\0-Length: 5",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    " Transfer-Encoding: chunked",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: chunk\0ed",
    "Transfer_Encoding\r: chunked",
];

/// Chunked bodies that end before they seem to, or never.
const CHUNKED: [&str; 24] = [
    "0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "0\n\n",
    "5\nhello\n0\n\n",
    "0;a=b\r\n\r\n",
    "0;\r\n\r\n",
    "0 \r\n\r\n",
    " 0\r\n\r\n",
    "-1\r\n\r\n",
    "+0\r\n\r\n",
    "0x0\r\n\r\n",
    "00000000000000000000\r\n\r\n",
    "10000000000000000\r\n",
    "FFFFFFFFFFFFFFFF\r\n",
    "fffffffffffffff0\r\n",
    "\r\n0\r\n\r\n",
    "5\r\nhelloX\r\n0\r\n\r\n",
    "5\r\nhell\r\n0\r\n\r\n",
    "0\r\nContent-Length: 5\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "0\r\r\n\r\n",
    "0;\n\r\n\r\n",
    "g\r\n",
    "0\0\r\n\r\n",
];

/// Heads that are wrong as a whole, or ask for what is not done. `{}` is where a path goes.
const HEADS: [&str; 62] = [
    "GET {} HTTP/1.1\nhost: x\n\n",
    "GET {} HTTP/1.1\rhost: x\r\r",
    "GET {} HTTP/1.1\r\nhost: x\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nx: a\rb\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nx\0: a\r\n\r\n",
    "GET {}\0 HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET\0 {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\n folded: 1\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nx: 1\r\n\tfolded\r\n\r\n",
    "GET {} HTTP/1.1\r\n host: x\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost : x\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\n: no name\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nn@me: x\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\n\u{e9}: x\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: \r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: a b\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x/y\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: u@x\r\n\r\n",
    "GET {} HTTP/1.1\r\n\r\n",
    "GET  {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET {}  HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET\t{}\tHTTP/1.1\r\nhost: x\r\n\r\n",
    " GET {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "\r\n\r\nGET {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "\0GET {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET {}\r\n\r\n",
    "GET {} HTTP/0.9\r\nhost: x\r\n\r\n",
    "GET {} HTTP/1.0\r\nhost: x\r\n\r\n",
    "GET {} HTTP/1.2\r\nhost: x\r\n\r\n",
    "GET {} HTTP/2.0\r\nhost: x\r\n\r\n",
    "GET {} HTTP/3\r\nhost: x\r\n\r\n",
    "GET {} HTTP/11\r\nhost: x\r\n\r\n",
    "GET {} HTTP/1.1 \r\nhost: x\r\n\r\n",
    "GET {} http/1.1\r\nhost: x\r\n\r\n",
    "GET {} FTP/1.1\r\nhost: x\r\n\r\n",
    "get {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "G\u{e9}T {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "TRACE {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "TRACK {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
    "OPTIONS {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "PATCH {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "PROPFIND {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "CONNECT localhost:22 HTTP/1.1\r\nhost: x\r\n\r\n",
    "CONNECT {} HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET http://other.example{} HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET https://user:word@localhost{} HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET http://[::1{} HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET //other.example{} HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET {}#fragment HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET {}?\u{e9} HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue, 200-ok\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n",
    "GET {} HTTP/1.1\r\nhost: x\r\nconnection: host, close\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    "PRI * HTTP/1.1\r\nhost: x\r\n\r\n",
    "SSH-2.0-x\r\n\r\n",
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |what: &str, bytes: String, clear| {
        let (what, bytes) = (what.escape_debug().to_string(), bytes.into_bytes());
        cases.push(Case { what, bytes, clear });
    };
    let json = "content-type: application/json\r\n";
    for line in lines() {
        for fields in UNCLEAR {
            let bytes = format!(
                "{line} HTTP/1.1\r\nhost: x\r\n{json}{fields}\r\n\r\n0\r\n\r\n{}{LAST}",
                hidden()
            );
            add(&format!("{line}: {fields}"), bytes, false);
        }
    }
    for line in &lines()[1..3] {
        for body in CHUNKED {
            let chunked = "transfer-encoding: chunked";
            let bytes = format!(
                "{line} HTTP/1.1\r\nhost: x\r\n{json}{chunked}\r\n\r\n{body}{}{LAST}",
                hidden()
            );
            add(&format!("{line}: {chunked}: {body}"), bytes, false);
        }
    }
    for path in ["/v1/health", "/v1/chunks"] {
        for head in HEADS {
            add(head, format!("{}{LAST}", head.replace("{}", path)), true);
        }
    }
    add_large(&mut add);
    cases
}

/// Heads and framings that are only too large.
fn add_large(add: &mut impl FnMut(&str, String, bool)) {
    for size in [300, 3_000, 17_000, 65_536, 1_000_000] {
        let long = "a".repeat(size);
        for (what, head) in [
            (
                "path",
                format!("GET /v1/{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
            ),
            (
                "query",
                format!("GET /v1/chunks?{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
            ),
            (
                "method",
                format!("{long} /v1/health HTTP/1.1\r\nhost: x\r\n\r\n"),
            ),
            (
                "name",
                format!("GET /v1/health HTTP/1.1\r\nhost: x\r\n{long}: 1\r\n\r\n"),
            ),
            (
                "value",
                format!("GET /v1/health HTTP/1.1\r\nhost: x\r\nx: {long}\r\n\r\n"),
            ),
            (
                "version",
                format!("GET /v1/health HTTP/{long}\r\nhost: x\r\n\r\n"),
            ),
        ] {
            add(&format!("{what} of {size} bytes"), head + LAST, true);
        }
        let mut flood = format!(
            "{} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
            lines()[1]
        );
        let _ = write!(flood, "1;{long}\r\nx\r\n0\r\n\r\n{}{LAST}", hidden());
        add(&format!("a chunk extension of {size} bytes"), flood, false);
    }
    for count in [63, 65, 101, 1_000, 10_000] {
        let fields: String = (0..count).map(|n| format!("x-{n}: 1\r\n")).collect();
        add(
            &format!("{count} fields"),
            format!("GET /v1/health HTTP/1.1\r\nhost: x\r\n{fields}\r\n{LAST}"),
            true,
        );
    }
}

/// What came back: how many answers, and whether the hidden request has one.
fn judge(case: &Case, answer: &str) {
    let what = &case.what;
    let statuses: Vec<u16> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|rest| rest.get(..3).unwrap_or_default().parse().unwrap_or(0))
        .collect();
    assert!(
        !answer.contains(STORED),
        "{what}: the hidden request was done: {answer}"
    );
    let most = if case.clear { 2 } else { 1 };
    assert!(statuses.len() <= most, "{what}: {statuses:?}");
    let known = |status: &u16| {
        REFUSALS.contains(status) || *status == 100 || (case.clear && *status == 200)
    };
    assert!(statuses.iter().all(known), "{what}: {statuses:?}");
    if statuses.len() == 2 {
        assert_eq!(
            statuses[1], 200,
            "{what}: the good request after it: {statuses:?}"
        );
    }
}

#[test]
fn what_hides_in_a_malformed_request_is_never_done() {
    let site = Site::default();
    let before = site.stored();
    let cases = cases();
    let different: HashSet<_> = cases.iter().map(|case| &case.bytes).collect();
    assert!(different.len() >= 300, "only {} cases", different.len());
    for (number, case) in cases.iter().enumerate() {
        let answer = site.talk(&case.bytes);
        judge(
            case,
            &(answer.head + &String::from_utf8_lossy(&answer.body)),
        );
        if number % EACH == 0 {
            site.is_well();
        }
    }
    assert_eq!(site.stored(), before, "a hidden request was done");
    site.is_well();
    eprintln!("{} malformed requests, none done twice", different.len());
}

#[test]
fn a_hidden_request_that_is_done_would_be_seen() {
    // A good request, and what would hide in a bad one behind it: a peer that cannot tell does both.
    let site = Site::default();
    let both = format!(
        "GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n{}{LAST}",
        hidden()
    );
    let answer = site.talk(both.as_bytes());
    let text = answer.head + &String::from_utf8_lossy(&answer.body);
    let case = Case {
        what: "both".into(),
        bytes: Vec::new(),
        clear: false,
    };
    assert!(text.contains(STORED), "{text}");
    assert!(std::panic::catch_unwind(|| judge(&case, &text)).is_err());
}

#[test]
fn a_thousand_requests_at_once_are_answered_in_their_order() {
    let site = Site::default();
    let mut asked = String::new();
    for number in 0..1_000 {
        let path = if number % 2 == 0 {
            "/v1/health"
        } else {
            "/v1/nothing"
        };
        let _ = write!(asked, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    }
    let answer = site.talk((asked + LAST).as_bytes());
    let text = answer.head + &String::from_utf8_lossy(&answer.body);
    let statuses: Vec<_> = text
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|rest| rest[..3].to_owned())
        .collect();
    assert_eq!(statuses.len(), 1_001);
    assert!(
        statuses
            .chunks(2)
            .all(|pair| pair == ["200", "404"] || pair == ["200"])
    );
    site.is_well();
}
