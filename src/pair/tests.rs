//! Attacks on the messages themselves: both ends on one channel that is not TLS, with somebody in the middle of it.

use std::{
    cell::RefCell,
    future::Future,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex},
    net::{TcpListener, TcpStream},
};

use super::{
    card::{self, Grant, Request},
    exchange::Hello,
    frame::{self, Frame, Kind, MAX_BODY, MAX_GRANT},
    inviter::House,
    joiner, *,
};
use crate::{
    manifest::Signer as _,
    tls::{
        CertsDir, Joining,
        ca::{self, CertificateOptions},
    },
    trust::{AddressBook, KnownPeer},
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const EXPORTER: [u8; 32] = [7; 32];
const CODE: &str = "7-lotus-castor";
const PATIENCE: Duration = Duration::from_secs(60);

/// A circle whose machine is `a`, and room for a machine `b`.
struct Site {
    root: TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            root: tempfile::tempdir().unwrap(),
        };
        ca::init(&site.a(), "a", &CertificateOptions::default()).unwrap();
        site
    }

    fn a(&self) -> CertsDir {
        CertsDir::new(self.root.path().join("a"))
    }

    fn b(&self) -> CertsDir {
        CertsDir::new(self.root.path().join("b"))
    }

    fn invitation(&self, code: &str) -> Invitation {
        Invitation {
            code: code.parse().unwrap(),
            certs: self.a(),
            port: Some(1),
            options: PairOptions::default(),
        }
    }

    fn house(&self) -> House {
        House::open(self.invitation(CODE)).unwrap()
    }

    fn wish(&self, code: &str) -> Wish {
        Wish {
            code: code.parse().unwrap(),
            name: "b".into(),
            certs: self.b(),
            port: Some(2),
            host: "here".into(),
            options: PairOptions::default(),
        }
    }

    /// Nothing is left on the joining side, and nothing that counts on the other.
    fn is_untouched(&self) {
        let left = std::fs::read_dir(self.root.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["a"]);
        let live = ca::list(&self.a()).unwrap();
        let live = live.iter().filter(|(i, revoked)| i.name == "b" && !revoked);
        assert_eq!(live.count(), 0);
        assert!(
            AddressBook::new(self.a().peers())
                .by_name("b")
                .unwrap()
                .is_none()
        );
    }
}

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Joiner,
    Inviter,
}

type Ended = (Result<KnownPeer, PairError>, Result<Joined, PairError>);

/// Both ends, and in the middle somebody who may change each frame.
async fn between(house: &House, wish: &Wish, meddle: impl FnMut(From, &mut Frame)) -> Ended {
    let (mut joiner, near) = duplex(1 << 20);
    let (mut inviter, far) = duplex(1 << 20);
    let ((from_joiner, to_joiner), (from_inviter, to_inviter)) =
        (tokio::io::split(near), tokio::io::split(far));
    let inviting = async {
        let met = house.meet(&mut inviter, &EXPORTER, HERE).await;
        drop(inviter);
        met
    };
    let joining = async {
        let met = joiner::meet(&mut joiner, &EXPORTER, wish).await;
        drop(joiner);
        met
    };
    let meddle = RefCell::new(meddle);
    let up = pass(From::Joiner, from_joiner, to_inviter, &meddle);
    let down = pass(From::Inviter, from_inviter, to_joiner, &meddle);
    let (met, joined, (), ()) = tokio::join!(inviting, joining, up, down);
    (met, joined)
}

/// Passes frames on until one end hangs up; then the other one hears that.
async fn pass(
    who: From,
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    meddle: &RefCell<impl FnMut(From, &mut Frame)>,
) {
    while let Ok(mut frame) = frame::read(&mut from, MAX_GRANT, PATIENCE).await {
        (meddle.borrow_mut())(who, &mut frame);
        // Whoever has hung up hears no more.
        let _ = frame::write(&mut to, frame.kind, &frame.body, PATIENCE).await;
    }
    let _ = to.shutdown().await;
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

#[test]
fn one_code_on_both_sides_makes_a_member_and_both_remember() {
    let site = Site::new();
    let (peer, joined) = run(between(&site.house(), &site.wish(CODE), |_, _| {}));
    let (peer, joined) = (peer.unwrap(), joined.unwrap());
    assert_eq!((joined.identity.name(), &*joined.issuer), ("b", "a"));
    assert_eq!(peer.peer_id, joined.identity.peer_id());
    assert_eq!(peer.addresses, ["127.0.0.1:2"]);
    let known = AddressBook::new(site.b().peers())
        .by_name("a")
        .unwrap()
        .unwrap();
    assert_eq!(known.addresses, ["here:1"]);
    assert!(!site.b().ca_key().exists());
    // A joined peer is one that can be renewed, and its bundle is the one that is known.
    let shown = joined.identity.bundle().unwrap();
    AddressBook::new(site.a().peers())
        .remember(shown.payload(), None)
        .unwrap();
}

/// Every message, at every place that means something: nobody joins, and nothing is left.
#[test]
fn a_bit_that_is_changed_in_any_message_pairs_nobody() {
    let site = Site::new();
    let house = |tries| {
        let mut invitation = site.invitation(CODE);
        invitation.options.tries = tries;
        House::open(invitation).unwrap()
    };
    let targets: [(From, Kind, &[usize]); 6] = [
        // Version, side, the point's ends, the commitment's ends.
        (From::Joiner, Kind::Hello, &[0, 1, 2, 33, 34, 65]),
        (From::Inviter, Kind::Hello, &[0, 1, 2, 33, 34, 65]),
        (From::Joiner, Kind::Confirm, &[0, 15, 31]),
        (From::Inviter, Kind::Confirm, &[0, 15, 31]),
        (From::Joiner, Kind::Request, &[0, 12, 100, 300, 1000, 2000]),
        (From::Inviter, Kind::Grant, &[0, 30, 400, 2000, 5000]),
    ];
    let mut changed = 0;
    for (from, kind, places) in targets {
        for place in places {
            let (met, joined) = run(between(&house(3), &site.wish(CODE), |who, frame| {
                if (who, frame.kind) == (from, kind) {
                    frame.body[*place] ^= 1;
                    changed += 1;
                }
            }));
            assert!(joined.is_err(), "{from:?} {kind:?} {place}");
            assert!(met.is_err(), "{from:?} {kind:?} {place}: {met:?}");
            site.is_untouched();
        }
    }
    assert_eq!(changed, 29);
    // What is given is no part of what was committed to: the circle's signatures and our own keys hold it.
    let fields: [fn(&mut Grant) -> &mut String; 3] = [
        |grant| &mut grant.certificate,
        |grant| &mut grant.script_certificate,
        |grant| &mut grant.crl,
    ];
    for field in fields {
        let (met, joined) = run(between(&house(3), &site.wish(CODE), |_, frame| {
            if frame.kind == Kind::Grant {
                let mut grant: Grant = card::parse(&frame.body).unwrap();
                let text = field(&mut grant);
                let middle = text.len() / 2;
                let other = if text.as_bytes()[middle] == b'A' {
                    "B"
                } else {
                    "A"
                };
                text.replace_range(middle..=middle, other);
                frame.body = serde_json::to_vec(&grant).unwrap();
            }
        }));
        assert!(joined.is_err());
        assert!(matches!(met, Err(PairError::TakenBack { .. })), "{met:?}");
        site.is_untouched();
    }
}

#[test]
fn keys_that_are_put_in_the_place_of_others_are_not_signed() {
    let site = Site::new();
    // Whole requests and commitments of somebody else, well-formed, who sits in the middle and may do all but know the code.
    let mallory = Joining::new("b").unwrap();
    let [identity, script] = mallory.requests().unwrap();
    let request = Request {
        blind: card::blind().unwrap(),
        name: "b".into(),
        identity,
        script,
        seal_key: mallory.seal_key().clone(),
        port: None,
    };
    let (request, commitment) = card::seal(&request).unwrap();
    let (met, joined) = run(between(&site.house(), &site.wish(CODE), |_, frame| {
        if frame.kind == Kind::Request {
            frame.body = request.clone().into_bytes();
        }
    }));
    assert!(matches!(met, Err(PairError::Protocol { .. })), "{met:?}");
    assert!(joined.is_err());
    site.is_untouched();
    let (met, joined) = run(between(
        &site.house(),
        &site.wish(CODE),
        |from, frame| match (from, frame.kind) {
            (From::Joiner, Kind::Hello) => frame.body[34..].copy_from_slice(&commitment),
            (From::Joiner, Kind::Request) => frame.body = request.clone().into_bytes(),
            _ => {}
        },
    ));
    assert!(
        matches!(met, Err(PairError::WrongCode { left: 2 })),
        "{met:?}"
    );
    assert!(matches!(joined, Err(PairError::WrongCode { left: 2 })));
    site.is_untouched();
    // And the circle of somebody else, in the place of ours.
    let theirs = Site::new();
    let other = theirs.house();
    let (met, joined) = run(between(&site.house(), &site.wish(CODE), |_, frame| {
        if frame.kind == Kind::Grant {
            let mut grant: Grant = card::parse(&frame.body).unwrap();
            grant.host = other.card().to_owned();
            frame.body = serde_json::to_vec(&grant).unwrap();
        }
    }));
    assert!(matches!(joined, Err(PairError::Protocol { .. })));
    assert!(matches!(met, Err(PairError::TakenBack { .. })), "{met:?}");
    site.is_untouched();
}

#[test]
fn a_recorded_pairing_is_worth_nothing_when_it_is_played_again() {
    let site = Site::new();
    let record = Arc::new(Mutex::new(Vec::new()));
    let (met, _) = run(between(&site.house(), &site.wish(CODE), |from, frame| {
        record
            .lock()
            .unwrap()
            .push((from, frame.kind, frame.body.clone()));
    }));
    met.unwrap();
    let said = |who| {
        let record = record.lock().unwrap();
        let said = record.iter().filter(|(from, ..)| *from == who).cloned();
        said.map(|(_, kind, body)| (kind, body)).collect::<Vec<_>>()
    };
    // To the inviting machine, which shows the same code again.
    let (house, frames) = (site.house(), said(From::Joiner));
    let (mut near, mut far) = duplex(1 << 20);
    let met = run(async {
        play(&mut near, &frames).await;
        house.meet(&mut far, &EXPORTER, HERE).await
    });
    assert!(
        matches!(met, Err(PairError::WrongCode { left: 2 })),
        "{met:?}"
    );
    // To a machine that joins by that code.
    let (mut near, mut far) = duplex(1 << 20);
    let mut wish = site.wish(CODE);
    wish.certs = CertsDir::new(site.root.path().join("c"));
    let joined = run(async {
        play(&mut near, &said(From::Inviter)).await;
        joiner::meet(&mut far, &EXPORTER, &wish).await
    });
    assert!(matches!(joined, Err(PairError::Impostor)));
    assert!(!wish.certs.path().exists());
}

async fn play(stream: &mut DuplexStream, frames: &[(Kind, Vec<u8>)]) {
    for (kind, body) in frames {
        let wrote = frame::write(stream, *kind, body, PATIENCE).await;
        wrote.unwrap();
    }
}

#[test]
fn another_channel_needs_another_proof() {
    let site = Site::new();
    let (house, wish) = (site.house(), site.wish(CODE));
    let (mut near, mut far) = duplex(1 << 20);
    let (met, joined) = run(async {
        tokio::join!(
            house.meet(&mut far, &EXPORTER, HERE),
            joiner::meet(&mut near, &[8; 32], &wish)
        )
    });
    assert!(
        matches!(met, Err(PairError::WrongCode { left: 2 })),
        "{met:?}"
    );
    assert!(matches!(joined, Err(PairError::WrongCode { left: 2 })));
    site.is_untouched();
}

#[test]
fn the_third_wrong_code_is_the_last_whatever_comes_after() {
    let site = Site::new();
    let house = site.house();
    for left in [2, 1, 0] {
        let (met, joined) = run(between(&house, &site.wish("8-lotus-castor"), |_, _| {}));
        assert!(
            matches!(met, Err(PairError::WrongCode { left: l }) if l == left),
            "{met:?}"
        );
        assert!(matches!(joined, Err(PairError::WrongCode { left: l }) if l == left));
    }
    let (met, joined) = run(between(&house, &site.wish(CODE), |_, _| {}));
    assert!(matches!(met, Err(PairError::Burned)), "{met:?}");
    assert!(matches!(joined, Err(PairError::Burned)));
    site.is_untouched();
}

/// Guesses that are made at the same time are still three.
#[test]
fn one_machine_at_a_time_tries_the_code() {
    let site = Site::new();
    let mut invitation = site.invitation(CODE);
    invitation.options.step = Duration::from_millis(400);
    let house = House::open(invitation).unwrap();
    let (mut first, mut first_far) = duplex(1 << 20);
    let (first_met, second_met, second) = run(async {
        let idle = async {
            let hello =
                exchange::Exchange::start(exchange::Side::Joiner, &CODE.parse().unwrap(), &[0; 32])
                    .hello;
            play(&mut first, &[(Kind::Hello, hello)]).await;
            // It has its turn, and says nothing more.
            let answer = frame::read(&mut first, MAX_BODY, PATIENCE).await;
            assert_eq!(answer.unwrap().kind, Kind::Hello);
            between(&house, &site.wish(CODE), |_, _| {}).await
        };
        let (first_met, (second_met, second)) =
            tokio::join!(house.meet(&mut first_far, &EXPORTER, HERE), idle);
        (first_met, second_met, second)
    });
    assert!(matches!(first_met, Err(PairError::Silent)), "{first_met:?}");
    assert!(matches!(second_met, Err(PairError::Busy)), "{second_met:?}");
    assert!(matches!(second, Err(PairError::Busy)));
    // Its turn is over, and no try was lost.
    let (met, _) = run(between(&house, &site.wish(CODE), |_, _| {}));
    assert_eq!(met.unwrap().name, "b");
}

#[test]
fn what_is_too_long_too_slow_or_no_frame_ends_the_connection() {
    let site = Site::new();
    let mut invitation = site.invitation(CODE);
    invitation.options.step = Duration::from_millis(300);
    let house = House::open(invitation).unwrap();
    let said = |bytes: Vec<u8>| {
        let (mut near, mut far) = duplex(1 << 20);
        run(async {
            near.write_all(&bytes).await.unwrap();
            let met = house.meet(&mut far, &EXPORTER, HERE).await;
            drop(far);
            let mut answer = Vec::new();
            near.read_to_end(&mut answer).await.unwrap();
            assert!(answer.is_empty(), "strangers are told nothing: {answer:?}");
            met.unwrap_err()
        })
    };
    let header = |kind: u8, length: u32| [&[kind][..], &length.to_be_bytes()].concat();
    let long = said(header(1, MAX_BODY + 1));
    assert!(matches!(long, PairError::Protocol { .. }), "{long:?}");
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        header(0, 0),
        header(255, 0),
        header(2, 0),
        header(1, 0),
    ] {
        let garbage = said(bytes.clone());
        assert!(
            matches!(garbage, PairError::Protocol { .. }),
            "{bytes:?}: {garbage:?}"
        );
    }
    // Announced, begun, and never ended: the connection is open all the time.
    let dripping = said([&header(1, MAX_BODY)[..], &[1; 20]].concat());
    assert!(matches!(dripping, PairError::Silent), "{dripping:?}");
}

#[test]
fn no_bytes_whatever_make_the_parsers_give_up() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize
    };
    let (mut frames, mut hellos) = (0, 0);
    run(async {
        for _ in 0..10_000 {
            let mut bytes: Vec<u8> = (0..random() % 200).map(|_| random() as u8).collect();
            // Half of them begin like a frame.
            if random() % 2 == 0 && bytes.len() > 5 {
                let length = (bytes.len() - 5 - random() % 2).min(bytes.len() - 5) as u32;
                bytes[0] = 1 + (random() % 7) as u8;
                bytes[1..5].copy_from_slice(&length.to_be_bytes());
            }
            let read = frame::read(&mut &bytes[..], MAX_BODY, PATIENCE).await;
            if let Ok(frame) = read {
                assert!(frame.body.len() <= bytes.len() - 5);
                frames += 1;
                let _ = card::parse::<Request>(&frame.body);
                let _ = card::parse::<Grant>(&frame.body);
                let _ = card::parse::<card::Refusal>(&frame.body);
                let mut hello = frame.body;
                hello.resize(66, 0);
                hello[0] = 1;
                if let Ok(hello) = Hello::parse(hello) {
                    let code = CODE.parse().unwrap();
                    let start = exchange::Exchange::start(exchange::Side::Inviter, &code, &[0; 32]);
                    let _ = start.finish(&hello, &EXPORTER);
                    hellos += 1;
                }
            }
        }
    });
    assert!(frames > 1000 && hellos > 1000, "{frames} {hellos}");
}

#[test]
fn a_code_that_nobody_types_in_time_counts_no_more() {
    let site = Site::new();
    let mut invitation = site.invitation(CODE);
    invitation.options.life = Duration::from_millis(50);
    run(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let ended = invite(listener, invitation, |_| {}).await;
        assert!(matches!(ended, Err(PairError::Expired)), "{ended:?}");
        assert!(
            TcpStream::connect(address).await.is_err(),
            "it still listens"
        );
    });
    // And whoever is connected by then is not let in.
    let mut invitation = site.invitation(CODE);
    invitation.options.life = Duration::ZERO;
    let house = House::open(invitation).unwrap();
    let (met, joined) = run(between(&house, &site.wish(CODE), |_, _| {}));
    assert!(matches!(met, Err(PairError::Expired)), "{met:?}");
    assert!(matches!(joined, Err(PairError::Expired)));
    site.is_untouched();
}

/// The new machine gets its certificates and is gone: what it was given does not count.
#[test]
fn a_machine_that_never_says_it_is_ready_gets_nothing_that_counts() {
    let site = Site::new();
    let (met, joined) = run(between(&site.house(), &site.wish(CODE), |from, frame| {
        if from == From::Joiner && frame.kind == Kind::Ready {
            frame.kind = Kind::Refusal;
        }
    }));
    assert!(
        matches!(&met, Err(PairError::TakenBack { name, .. }) if name == "b"),
        "{met:?}"
    );
    assert!(matches!(joined, Err(PairError::Undecided)));
    site.is_untouched();
    // The name is free again.
    let (met, _) = run(between(&site.house(), &site.wish(CODE), |_, _| {}));
    assert_eq!(met.unwrap().name, "b");
}
