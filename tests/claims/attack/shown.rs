//! What strangers write ends on our terminal and in our logs without a character that moves, hides or reorders anything.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use colis::{
    name::{Escaped, Place, SafeName, escape_json},
    tls,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::Dice;
use crate::bad_input::parcel::{Parcel, Plain};
use testkit::site::{Site, assert_clean, certificate, certs, key};
use testkit::{Homes, Ran, rounds};

/// Characters and sequences that a terminal acts on, or shows nothing for. Each could begin a line of its own.
const TRICKS: [&str; 40] = [
    "\u{1b}[2J",
    "\u{1b}[31m",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://x\u{1b}\\",
    "\u{1b}[?1049h",
    "\u{1b}P+q544e\u{1b}\\",
    "\u{9b}31m",
    "\u{9d}0;x\u{9c}",
    "\u{85}",
    "\u{0}",
    "\u{7}",
    "\u{8}\u{8}\u{8}",
    "\r",
    "\n",
    "\u{b}",
    "\u{c}",
    "\t",
    "\u{7f}",
    "\u{90}",
    "\u{1b}c",
    "\u{202e}",
    "\u{202d}",
    "\u{202a}",
    "\u{202c}",
    "\u{2066}",
    "\u{2067}",
    "\u{2069}",
    "\u{200e}",
    "\u{200f}",
    "\u{61c}",
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{2060}",
    "\u{feff}",
    "\u{ad}",
    "\u{2028}",
    "\u{2029}",
    "\u{e0001}",
    "\u{e0041}",
];

fn text(dice: &mut Dice) -> String {
    let mut text = String::new();
    for _ in 0..=dice.below(6) {
        match dice.below(6) {
            0 => text.extend(char::from_u32(
                u32::try_from(dice.below(0x11_0000)).unwrap(),
            )),
            1 => text.extend(char::from_u32(u32::try_from(dice.below(0x3000)).unwrap())),
            2 => text.push_str("FAKE"),
            _ => text.push_str(dice.of(&TRICKS)),
        }
    }
    text
}

#[test]
fn no_text_is_shown_as_it_came_when_it_could_do_harm() {
    let (wanted, mut dice) = (rounds(20_000), Dice::new(61));
    let mut harmful = 0;
    for _ in 0..wanted {
        let text = text(&mut dice);
        let shown = [
            Escaped::new(&text).to_string(),
            escape_json(&serde_json::to_string(&text).unwrap()),
            SafeName::new(&text, Place::Nested).to_string(),
        ];
        for shown in &shown {
            assert_clean(shown);
            assert!(!shown.contains('\n'), "{shown:?}");
        }
        harmful += usize::from(shown[0] != text);
    }
    assert!(
        harmful * 2 > wanted,
        "only {harmful} of {wanted} were harmful"
    );
    eprintln!("{wanted} texts shown, {harmful} of them harmful as they came");
}

fn is_harmless(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        assert_clean(text);
        assert!(!text.contains("\nFAKE"), "{text}");
    }
}

/// Names of files, targets of links and messages, in transfers that a member sends and that the other lists and receives.
#[test]
fn names_of_a_transfer_are_harmless_wherever_they_are_shown() {
    let (site, rounds) = (Site::with(&["--inbox", "ask", "-vv"]), rounds(3));
    let (a, b, homes) = (site.identity("a"), site.identity("b"), &site.homes);
    let mut dice = Dice::new(62);
    for _ in 0..rounds {
        let mut plain = Plain::default();
        for number in 0..30 {
            let name: String = text(&mut dice)
                .chars()
                .filter(|c| !"/\0".contains(*c))
                .take(60)
                .collect();
            plain.add(&format!("{number}{name}"), b"x");
            plain.link(&format!("l{number}{name}"), &format!("/{name}"));
        }
        let id = Parcel::seal(&b, &a, plain).send(&site, &b).to_string();
        for flags in [
            &["list"][..],
            &["--json", "list"],
            &["-vv", "list"],
            &["inbox"],
            &["inbox", "list", &id],
        ] {
            is_harmless(&homes.run("a", flags));
        }
        for out in ["one", "two"] {
            is_harmless(&homes.run("a", &["-vv", "receive", &id, "--out", out]));
        }
        is_harmless(&homes.run("a", &["--json", "-vv", "receive", &id, "--out", "three"]));
        is_harmless(&homes.run("a", &["-v", "inbox", "accept", &id]));
        is_harmless(&homes.run("a", &["history"]));
        is_harmless(&homes.run("a", &["receive", &text(&mut dice).replace('\0', "")]));
    }
    site.is_well();
    eprintln!("{} names shown by eleven commands each", rounds * 60);
}

/// A peer that answers every question with hostile text wherever text can be.
fn serve_hostile(homes: &Homes, seed: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let b = certs(homes, "b");
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate(&b)], key(&b))
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    thread::spawn(move || {
        let mut dice = Dice::new(seed);
        for tcp in listener.incoming().map_while(Result::ok) {
            let tls = ServerConnection::new(config.clone()).unwrap();
            answer(StreamOwned::new(tls, tcp), &hostile(&mut dice));
        }
    });
    address
}

/// An answer with hostile text in its status line, its header or its body.
fn hostile(dice: &mut Dice) -> Vec<u8> {
    let (one, two) = (text(dice), text(dice));
    let status = dice.of(&[200, 400, 403, 404, 409, 422, 429, 500, 503, 507]);
    let problem = serde_json::json!({
        "type": one, "code": one, "title": two, "status": status, "detail": two, "missing": [one],
        "status ": two, "bundle": one, "peer_id": two, "version": one, "manifests": [{"id": one}],
    });
    let body = match dice.below(4) {
        0 => one,
        1 => format!("\"{two}\""),
        _ => problem.to_string(),
    };
    let media = dice.of(&[
        "application/json",
        "application/problem+json",
        "text/plain\u{9b}",
    ]);
    let length = body.len();
    let reason: String = two.chars().filter(|c| !c.is_control()).collect();
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {media}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>, answer: &[u8]) {
    stream
        .sock
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut asked = Vec::new();
    let mut piece = [0; 4096];
    while !asked.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(read @ 1..) => asked.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let _ = stream.write_all(answer);
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

#[test]
fn what_a_hostile_peer_says_is_harmless_wherever_it_is_shown() {
    let (homes, rounds) = (Homes::new(&["b"]), rounds(6));
    let address = serve_hostile(&homes, 63).to_string();
    std::fs::write(homes.path("f.txt"), "x").unwrap();
    for _ in 0..rounds {
        for args in [
            &["-vv", "list", &address][..],
            &["--json", "list", &address],
            &["-vv", "send", "f.txt", "--to", &address],
            &["-v", "receive", "--from", &address, "--all", "--out", "out"],
            &["doctor", &address],
        ] {
            let ran = homes.run("a", args);
            is_harmless(&ran);
            assert_ne!(ran.code, 101, "{}", ran.err);
        }
    }
    eprintln!("{} commands told hostile things", rounds * 5);
}
