//! Bytes that are no TLS, or not quite: each ends its connection and nothing else.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConnection, pki_types::ServerName};

use super::Dice;
use testkit::site::{Site, shows_nothing};
use testkit::{bytes, rounds};

const HANDSHAKE: u8 = 22;
const APPLICATION: u8 = 23;
/// KiB of memory that may come in use meanwhile.
const GROWTH: u64 = 20 << 10;
/// The peer looks after itself so often.
const EACH: usize = 50;

/// A good first flight of ours.
fn hello(site: &Site) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(shows_nothing(&site.homes)), name).unwrap();
    let mut bytes = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[kind, 3, 3][..], &length, body].concat()
}

/// A first flight that is wrong in one of many ways.
fn mutated(good: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let at = dice.below(bytes.len());
    match dice.below(12) {
        0 => bytes[at] ^= 1 << dice.below(8),
        1 => bytes.truncate(at),
        2 => bytes.insert(at, u8::try_from(dice.below(256)).unwrap()),
        3 => drop(bytes.remove(at)),
        // The lengths and kinds are at the front.
        4 => bytes[dice.below(60)] = u8::try_from(dice.below(256)).unwrap(),
        5 => bytes.extend_from_slice(good),
        6 => {
            let end = (at + dice.below(64)).min(bytes.len());
            bytes[at..end].fill(0xff);
        }
        7 => {
            bytes = good
                .chunks(5)
                .flat_map(|piece| record(HANDSHAKE, piece))
                .collect()
        }
        8 => bytes = record(HANDSHAKE, &[]).repeat(1 + dice.below(200)),
        9 => {
            bytes = record(
                u8::try_from(dice.below(256)).unwrap(),
                &vec![7; dice.below(1 << 16)],
            )
        }
        10 => bytes.extend(record(APPLICATION, &vec![7; dice.below(20_000)])),
        _ => {
            // Handshake messages at the wrong time, in the clear: a key update, a ticket, a certificate, a Finished.
            let kind = dice.of(&[24, 4, 11, 20, 0, 1, 2, 13, 15]);
            let body = vec![0; dice.below(64)];
            let length = u8::try_from(body.len()).unwrap();
            bytes.extend(record(
                HANDSHAKE,
                &[&[kind, 0, 0, length][..], &body].concat(),
            ));
        }
    }
    bytes
}

/// Says `bytes`, and asserts that the other side ends the connection without a word of HTTP.
fn ends(site: &Site, bytes: &[u8]) {
    let mut tcp = TcpStream::connect(site.serving.address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = tcp.write_all(bytes);
    let _ = tcp.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = tcp.read_to_end(&mut answer) {
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset,
            "never closed"
        );
    }
    assert!(!answer.windows(5).any(|w| w == b"HTTP/"), "it was answered");
}

fn memory(site: &Site) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", site.serving.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_handshake_that_is_wrong_anywhere_ends_and_costs_nothing() {
    let (site, cases, mut dice) = (Site::default(), rounds(400), Dice::new(64));
    let good = hello(&site);
    (0..20).for_each(|_| ends(&site, &mutated(&good, &mut dice)));
    let (before, mut slowest) = (memory(&site), Duration::ZERO);
    for case in 0..cases {
        ends(&site, &mutated(&good, &mut dice));
        if case % EACH == 0 {
            let began = Instant::now();
            assert_eq!(site.get("/v1/health").status, 200);
            slowest = slowest.max(began.elapsed());
        }
    }
    let grown = memory(&site).saturating_sub(before);
    eprintln!("{cases} bad handshakes: {grown} KiB more memory, slowest good request {slowest:?}");
    assert!(grown <= GROWTH, "{grown} KiB");
    is_unharmed(&site);
}

/// A member that goes mad once he is in.
#[test]
fn records_that_are_wrong_after_the_handshake_end_the_connection() {
    let (site, cases, mut dice) = (Site::default(), rounds(100), Dice::new(65));
    for _ in 0..cases {
        let mut stream = site.connect(site.member());
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        let length = dice.below(20_000);
        let noise = match dice.below(5) {
            0 => record(APPLICATION, &bytes(length as u64, length)),
            1 => record(APPLICATION, &[]),
            2 => record(HANDSHAKE, &[24, 0, 0, 1, 1]),
            3 => vec![APPLICATION, 3, 3, 0xff, 0xff],
            _ => record(u8::try_from(dice.below(256)).unwrap(), &[1; 40]),
        };
        let _ = stream.sock.write_all(&noise);
        let _ = stream.sock.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    eprintln!("{cases} connections with bad records");
    is_unharmed(&site);
}

/// Each new key costs little, and the peer needs no more memory for a thousand of them.
#[test]
fn a_flood_of_new_keys_is_only_a_flood() {
    let (site, floods) = (Site::default(), rounds(2));
    let before = memory(&site);
    for _ in 0..floods {
        let mut stream = site.connect(site.member());
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        for _ in 0..1_000 {
            if stream.conn.refresh_traffic_keys().is_err() || stream.flush().is_err() {
                break;
            }
        }
        let _ =
            stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 200"));
    }
    let grown = memory(&site).saturating_sub(before);
    eprintln!("{floods} floods of 1,000 new keys: {grown} KiB more memory");
    assert!(grown <= GROWTH, "{grown} KiB");
    is_unharmed(&site);
}

fn is_unharmed(site: &Site) {
    site.is_well();
    assert!(
        !site.homes.log("a").contains("panicked"),
        "{}",
        site.homes.log("a")
    );
}
