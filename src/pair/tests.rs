//! Attacks on the messages themselves: both ends on one channel that is not TLS, with somebody in the middle of it.

use std::{
    cell::RefCell,
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;
use tokio::io::{AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex};

use super::{
    card::{self, Grant, Request},
    exchange::{Channel, Dialect},
    frame::{self, Frame, Kind, MAX_GRANT},
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

pub(super) const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
pub(super) const CHANNEL: Channel = Channel {
    exporter: [7; 32],
    dialect: Dialect::OtherNames,
};
pub(super) const CODE: &str = "7-lotus-castor";
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A circle whose machine is `a`, and room for a machine `b`.
pub(super) struct Site {
    root: TempDir,
}

impl Site {
    pub(super) fn new() -> Self {
        let site = Self {
            root: tempfile::tempdir().unwrap(),
        };
        ca::init(&site.a(), "a", &CertificateOptions::default()).unwrap();
        site
    }

    pub(super) fn a(&self) -> CertsDir {
        CertsDir::new(self.root.path().join("a"))
    }

    pub(super) fn b(&self) -> CertsDir {
        CertsDir::new(self.root.path().join("b"))
    }

    pub(super) fn invitation(&self, code: &str) -> Invitation {
        Invitation {
            code: code.parse().unwrap(),
            certs: self.a(),
            port: Some(1),
            options: PairOptions::default(),
            taken: all_free(),
        }
    }

    pub(super) fn house(&self) -> House {
        House::open(self.invitation(CODE)).unwrap()
    }

    pub(super) fn wish(&self, code: &str) -> Wish {
        Wish {
            code: code.parse().unwrap(),
            name: "b".into(),
            if_taken: IfTaken::TakeAnother,
            certs: self.b(),
            port: Some(2),
            host: Some("here".into()),
            options: PairOptions::default(),
            is_last_step: Arc::default(),
        }
    }

    /// Nothing is left on the joining side, and nothing that counts on the other.
    pub(super) fn is_untouched(&self) {
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
pub(super) enum From {
    Joiner,
    Inviter,
}

pub(super) type Ended = (Result<KnownPeer, PairError>, Result<Joined, PairError>);

/// Both ends, and in the middle somebody who may change each frame.
pub(super) async fn between(
    house: &House,
    wish: &Wish,
    meddle: impl FnMut(From, &mut Frame),
) -> Ended {
    let (mut joiner, near) = duplex(1 << 20);
    let (mut inviter, far) = duplex(1 << 20);
    let ((from_joiner, to_joiner), (from_inviter, to_inviter)) =
        (tokio::io::split(near), tokio::io::split(far));
    let inviting = async {
        let met = house.meet(&mut inviter, &CHANNEL, HERE).await;
        drop(inviter);
        met
    };
    let joining = async {
        let met = joiner::meet(&mut joiner, &CHANNEL, wish, HERE).await;
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

pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
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
    assert!(matches!(met, Err(PairError::Protocol(_))), "{met:?}");
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
    assert!(matches!(joined, Err(PairError::Protocol(_))));
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
        house.meet(&mut far, &CHANNEL, HERE).await
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
        joiner::meet(&mut far, &CHANNEL, &wish, HERE).await
    });
    assert!(matches!(joined, Err(PairError::Impostor)));
    assert!(!wish.certs.path().exists());
}

pub(super) async fn play(stream: &mut DuplexStream, frames: &[(Kind, Vec<u8>)]) {
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
    let other = Channel {
        exporter: [8; 32],
        ..CHANNEL
    };
    let (met, joined) = run(async {
        tokio::join!(
            house.meet(&mut far, &CHANNEL, HERE),
            joiner::meet(&mut near, &other, &wish, HERE)
        )
    });
    assert!(
        matches!(met, Err(PairError::WrongCode { left: 2 })),
        "{met:?}"
    );
    assert!(matches!(joined, Err(PairError::WrongCode { left: 2 })));
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

#[test]
fn who_only_looks_whether_a_code_is_shown_costs_no_try_and_is_not_told_of() {
    let site = Site::new();
    run(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.unwrap();
        let addresses = [listener.local_addr().unwrap()];
        let wish = site.wish(CODE);
        let mut told = Vec::new();
        let inviting = invite(listener, site.invitation(CODE), |event| told.push(event));
        let joining = async {
            for _ in 0..5 {
                knock(&addresses, &wish.options).await?;
            }
            join(&addresses, &wish).await
        };
        let (joined, paired) = tokio::try_join!(joining, inviting).unwrap();
        assert_eq!((joined.issuer.as_str(), &*paired.peer.name), ("a", "b"));
        assert!(told.is_empty(), "{told:?}");
        let nobody = knock(&addresses, &wish.options).await;
        assert!(matches!(nobody, Err(PairError::Unreachable { .. })));
    });
}
