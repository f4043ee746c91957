//! What bounds an invitation: tries, time, lengths, and how many come at once.

use std::net::Ipv4Addr;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::{
    super::tests::{CHANNEL, CODE, HERE, PATIENCE, Site, between, play, run},
    *,
};

impl House {
    /// All that is said over one channel, by a visitor that has just come.
    pub(in crate::pair) async fn meet(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        channel: &Channel,
        from: SocketAddr,
    ) -> Result<KnownPeer, PairError> {
        let place = self.waiting.enter(from.ip(), self.options.step);
        self.meet_at(place, stream, channel, from).await
    }
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

/// Says hello, and gives what it is answered.
async fn hello(stream: &mut DuplexStream) -> Kind {
    let hello = Exchange::start(Side::Joiner, &CODE.parse().unwrap(), &[0; 32]).hello;
    play(stream, &[(Kind::Hello, hello)]).await;
    let answer = frame::read(stream, MAX_BODY, PATIENCE).await;
    answer.unwrap().kind
}

#[test]
fn who_says_hello_and_nothing_more_keeps_nobody_out() {
    let site = Site::new();
    let mut invitation = site.invitation(CODE);
    invitation.options.step = 2 * PATIENCE;
    let house = House::open(invitation).unwrap();
    run(async {
        let mut idle = Vec::new();
        let mut met = Vec::new();
        for _ in 0..8 {
            let (near, far) = duplex(1 << 20);
            idle.push(near);
            met.push(far);
        }
        let meeting = met.iter_mut();
        let meeting = meeting.map(|far| house.meet(far, &CHANNEL, HERE));
        let meeting = futures::future::join_all(meeting);
        let joining = async {
            for near in &mut idle {
                assert_eq!(hello(near).await, Kind::Hello);
            }
            let (met, _) = between(&house, &site.wish(CODE), |_, _| {}).await;
            assert_eq!(met.unwrap().name, "b");
            drop(idle);
        };
        let (met, ()) = tokio::join!(meeting, joining);
        assert!(
            met.iter()
                .all(|met| matches!(met, Err(PairError::Broken(_)))),
            "{met:?}"
        );
    });
}

/// Guesses that are made at the same time are still three.
#[test]
fn guesses_side_by_side_are_answered_one_after_the_other() {
    let site = Site::new();
    let house = site.house();
    run(async {
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let (a, b) = duplex(1 << 20);
            near.push(a);
            far.push(b);
        }
        let meeting = far.iter_mut();
        let meeting = meeting.map(|far| house.meet(far, &CHANNEL, HERE));
        let meeting = futures::future::join_all(meeting);
        let guessing = async {
            for stream in &mut near {
                assert_eq!(hello(stream).await, Kind::Hello);
            }
            for stream in &mut near {
                play(stream, &[(Kind::Confirm, vec![7; 32])]).await;
            }
        };
        let (met, ()) = tokio::join!(meeting, guessing);
        let (mut wrong, mut burned) = (0, 0);
        for met in met {
            match met {
                Err(PairError::WrongCode { .. }) => wrong += 1,
                Err(PairError::Burned) => burned += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((wrong, burned), (3, 2));
    });
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
            let met = house.meet(&mut far, &CHANNEL, HERE).await;
            drop(far);
            let mut answer = Vec::new();
            near.read_to_end(&mut answer).await.unwrap();
            assert!(answer.is_empty(), "strangers are told nothing: {answer:?}");
            met.unwrap_err()
        })
    };
    let header = |kind: u8, length: u32| [&[kind][..], &length.to_be_bytes()].concat();
    let long = said(header(1, MAX_BODY + 1));
    assert!(matches!(long, PairError::Protocol(_)), "{long:?}");
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        header(0, 0),
        header(255, 0),
        header(2, 0),
        header(1, 0),
    ] {
        let garbage = said(bytes.clone());
        assert!(
            matches!(garbage, PairError::Protocol(_)),
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
                bytes[0] = 1 + (random() % 9) as u8;
                bytes[1..5].copy_from_slice(&length.to_be_bytes());
            }
            let read = frame::read(&mut &bytes[..], MAX_BODY, PATIENCE).await;
            if let Ok(frame) = read {
                assert!(frame.body.len() <= bytes.len() - 5);
                frames += 1;
                let _ = card::parse::<Request>(&frame.body);
                let _ = card::parse::<Grant>(&frame.body);
                let _ = card::parse::<Refusal>(&frame.body);
                let mut hello = frame.body;
                hello.resize(66, 0);
                hello[0] = 1;
                if let Ok(hello) = Hello::parse(hello) {
                    let code = CODE.parse().unwrap();
                    let start = Exchange::start(Side::Inviter, &code, &[0; 32]);
                    let _ = start.finish(&hello, &CHANNEL.exporter);
                    hellos += 1;
                }
            }
        }
    });
    assert!(frames > 1000 && hellos > 1000, "{frames} {hellos}");
}

/// A name may have an address of a network that is not there today.
#[test]
fn an_address_that_swallows_everything_does_not_hold_the_next_one_up() {
    let site = Site::new();
    let (hole, _full) = hole();
    run(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addresses = [hole, hole, listener.local_addr().unwrap()];
        let mut wish = site.wish(CODE);
        // Of the addresses that swallow: more than this test waits.
        wish.options.step = 2 * PATIENCE;
        let inviting = invite(listener, site.invitation(CODE), |_| {});
        let both = async { tokio::try_join!(super::super::join(&addresses, &wish), inviting) };
        let done = tokio::time::timeout(PATIENCE, both).await;
        let (joined, paired) = done.expect("one after the other").unwrap();
        assert_eq!((joined.issuer.as_str(), &*paired.peer.name), ("a", "b"));
    });
}

/// A place that answers to nobody, while those before stand in its line.
fn hole() -> (SocketAddr, Vec<Socket>) {
    let tcp = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let listener = tcp();
    listener
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut full = vec![listener];
    for _ in 0..4 {
        let waiting = tcp();
        waiting.set_nonblocking(true).unwrap();
        let _ = waiting.connect(&address);
        full.push(waiting);
    }
    (address.as_socket().unwrap(), full)
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

#[test]
fn a_code_that_a_machine_has_joined_by_is_said_to_count_no_more() {
    let site = Site::new();
    let house = site.house();
    let (met, joined) = run(between(&house, &site.wish(CODE), |_, _| {}));
    assert!(met.is_ok() && joined.is_ok());
    let mut second = site.wish(CODE);
    second.certs = CertsDir::new(second.certs.path().join("second"));
    let (met, joined) = run(between(&house, &second, |_, _| {}));
    assert!(matches!(met, Err(PairError::Used)), "{met:?}");
    let said = joined.err().unwrap();
    assert!(matches!(said, PairError::Used), "{said:?}");
    assert!(said.to_string().contains("counts no more"), "{said}");
}
